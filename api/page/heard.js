"use strict";
// Who has heard an alert: the board. Villages where nobody was reached come first, with what to do next.
const _RUNGS = ["sent", "received", "started", "finished", "sounded"];
const _ENDS = ["confirmed", "cancelled", "expired", "unreachable"];

async function readHeard(a) {
  const sent = a.released_at !== null;
  $("alert-heard-card").hidden = !sent;
  if (!sent) return;
  const board = await ask("GET", `/alerts/${a.id}/board?limit=100`);
  if (shownAlert && shownAlert.id === a.id) showHeard(a, board);
}

function showHeard(a, b) {
  const t = b.totals;
  const rung = (name) => make("li", {}, make("span", {}, word("rung_" + name)),
    make("meter", { min: 0, max: Math.max(1, t.nodes), value: t.rungs[name] || 0, "aria-label": word("rung_" + name) }), make("b", {}, `${t.rungs[name] || 0}/${t.nodes}`));
  const ends = _ENDS.filter((name) => t.ends[name]).map((name) => word("end_" + name, { n: t.ends[name] }));
  const bad = b.villages.items.filter((v) => v.state !== "reached");
  const good = b.villages.items.filter((v) => v.state === "reached");
  const now = b.recalled ? word("silent_at", { n: (t.ends.cancelled || 0) + (t.ends.confirmed || 0) + (t.ends.expired || 0), all: t.nodes }) : word(t.villages_unreached ? "villages_unreached" : "all_villages", { n: t.villages_unreached, all: t.villages }) + (t.people ? " · " + word("people_reached", { n: count(t.people_reached || 0), all: count(t.people) }) : "");
  if ($("heard-now").textContent !== now) $("heard-now").textContent = now; // read out, and only where it changed
  $("heard-now").className = (b.recalled ? t.ends.unreachable : t.villages_unreached) ? "count-bad" : "all-done";
  fill("alert-heard", { ...b, at: null }, () => [b.link_up ? null : make("p", { class: "wrong" }, word("link_down")),
    make("ol", { class: "ladder" }, _RUNGS.map(rung)),
    make("p", { class: "soft" }, [...ends, t.open ? word("board_open_n", { n: t.open }) : null, b.closed_at ? word("board_closed", { when: instant(b.closed_at) }) : null].filter(Boolean).join(" · ")),
    bad.length ? make("h3", {}, word(b.recalled ? "never_reached" : "unreached_first")) : null,
    make("ul", { class: "villages" }, bad.map((v) => _village(a, v))),
    good.length ? make("details", { "data-id": "reached" }, make("summary", {}, word("reached_villages", { n: good.length })), make("ul", { class: "villages" }, good.map((v) => _village(a, v)))) : null,
    b.villages.next_cursor ? make("p", { class: "soft" }, word("more_in_report")) : null,
    make("div", { class: "row" },
      isSounding(a) && can("alert.compose") && t.open ? make("button", { type: "button", class: "small", "data-id": "again", onclick: (e) => _sendAgain(a, e.currentTarget) }, word("send_again")) : null,
      b.may_be_closed && canOver("alert.cancel", a) ? make("button", { type: "button", class: "small", onclick: (e) => act(e.currentTarget, async () => showHeard(a, await ask("POST", `/alerts/${a.id}/board/close`))) }, word("close_board")) : null,
      make("a", { class: "button", href: `/api/v1/alerts/${a.id}/report.html`, target: "_blank", rel: "noopener" }, word("report")), make("a", { href: `/api/v1/alerts/${a.id}/report.csv`, download: true }, "CSV"))]);
}

function _village(a, v) {
  const state = { unreached: "bad", partly: "warn", reached: "ok" }[v.state];
  const place = make("ul", { class: "soft" });
  const item = make("details", { "data-id": v.path, ontoggle: () => item.open && !place.childElementCount && _nodesOf(a, v, place) },
    make("summary", {}, make("b", {}, v.name), " ", make("span", { class: "tag " + state }, word("village_" + (v.nodes ? v.state : "without"), { reached: v.reached, nodes: v.nodes })),
      v.population === null ? "" : ` ${word("people_n", { n: count(v.population) })}`,
      v.state === "reached" ? null : make("div", { class: "do" }, v.step_words[language])), place);
  return make("li", {}, item);
}

async function _nodesOf(a, v, place) {
  try {
    const found = (await ask("GET", `/alerts/${a.id}/board/nodes?limit=100&area=${encodeURIComponent(v.path)}`)).items;
    place.replaceChildren(...found.map((n) => make("li", {}, make("b", {}, nodeName(n.node)), ": ", [n.end ? n.end_words[language] : n.rung_words[language], n.since && clockTime(n.since), !n.reached && n.step_words[language]].filter(Boolean).join(" · "))));
  } catch (error) { place.replaceChildren(make("li", {}, error.message)); }
}

const clockTime = (iso) => new Date(iso).toLocaleTimeString("vi-VN", { hour: "2-digit", minute: "2-digit", second: "2-digit", timeZone: "Asia/Ho_Chi_Minh" });

const _sendAgain = (a, button) => act(button, async () => {
  const sent = await ask("POST", `/alerts/${a.id}/send-again`, {});
  toast(word("sent_again", { n: sent.nodes }));
  refreshAlert();
});
