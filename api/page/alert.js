"use strict";
// One alert: what is said, where, who approves it, and who has heard it.
let shownAlert = null;
let alertTimer = 0;

async function openAlert(id) {
  if (!shownAlert || shownAlert.id !== id) {
    shownAlert = null;
    setKind("");
    $("alert-parts").hidden = true;
    $("alert-title").textContent = word("loading");
    showWrong($("alert"), null);
  }
  await readAlert(id);
}

async function readAlert(id) {
  try {
    const found = await ask("GET", "/alerts/" + id);
    if (here.part !== "alert" || here.args[0] !== id) return;
    showAlert(found);
    await readHeard(found);
  } catch (error) { if (here.part === "alert") { if (!shownAlert) $("alert-title").textContent = ""; showWrong($("alert"), error); } }
}

/** Soon, and many wishes within a moment are one. */
function refreshAlert() {
  if (alertTimer) return;
  alertTimer = setTimeout(() => { alertTimer = 0; if (here.part === "alert") readAlert(here.args[0]); }, 300);
}

/** Put children into a place only where they would differ: what is open, focused or playing stays. */
function fill(place, key, build) {
  const whole = language + JSON.stringify(key);
  const root = $(place);
  if (root.dataset.key === whole) return;
  const open = [...root.querySelectorAll("details[open][data-id]")].map((d) => d.dataset.id);
  const focused = root.contains(document.activeElement) && document.activeElement.closest("[data-id]");
  root.dataset.key = whole;
  root.replaceChildren(...build().filter(Boolean));
  for (const d of root.querySelectorAll("details[data-id]")) if (open.includes(d.dataset.id)) d.open = true;
  const again = focused && root.querySelector(`[data-id="${CSS.escape(focused.dataset.id)}"]`);
  if (again) (again.tagName === "DETAILS" ? again.firstChild : again).focus({ preventScroll: true });
}

function showAlert(a) {
  shownAlert = a;
  setKind(a.kind, a.title, !["composed", "armed"].includes(a.status) && !isSounding(a));
  showWrong($("alert"), null);
  showSounding();
  $("alert-parts").hidden = false;
  $("alert-title").textContent = a.title;
  fill("alert-facts", [a.cancel_asked, a.direct, a.status, a.expires_at, a.ended_at, isSounding(a)], () => _facts(a));
  fill("alert-next", [a.status, a.approvals, a.could_approve, a.people_needed, isSounding(a)], () => _next(a));
  fill("alert-words", [a.words, a.body_sha256], () => _words(a));
  fill("alert-reach", [a.reach, a.released_at], () => _reach(a));
  showSound(a);
  _bar(a);
}

function _facts(a) {
  const status = a.status === "released" && !isSounding(a) ? "over" : a.status;
  return [
    make("p", {}, make("span", { class: "tag big " + (_STATUS_TAG[status] || "") }, word("alert_" + status)), " ", make("span", { class: "soft" }, alertTargets(a))),
    make("p", { class: "soft" }, [
      word("composed_when", { when: instant(a.composed_at), who: a.composed_by }),
      a.released_at && word("released_when", { when: instant(a.released_at) }),
      a.released_alone_by && word("released_alone", { who: a.released_alone_by }),
      a.ended_at && word("ended_when", { when: instant(a.ended_at), who: a.ended_by || "?" }),
      ["composed", "armed", "released"].includes(a.status) && word(a.status === "composed" ? "window_until" : a.status === "armed" ? "armed_until" : "expires_when", { when: instant(a.expires_at) }),
    ].filter(Boolean).join(" · ")),
    a.event || a.severity || a.source ? make("p", { class: "soft" }, [a.event !== a.title && a.event, a.severity && word("severity_" + a.severity), a.urgency && word("urgency_" + a.urgency), a.source && word("source", { where: a.source })].filter(Boolean).join(" · ")) : null,
    a.direct ? make("p", { id: "direct-rule", class: a.status === "armed" && !a.direct.ready ? "wrong" : "hint" }, word(a.released_by_cap ? "direct_put_out" : a.status === "armed" && !a.direct.ready ? "direct_not_ready" : "direct_waits", { source: a.direct.source, events: a.direct.events.join(", "), severities: a.direct.severities.map((s) => word("severity_" + s)).join(", "), where: alertTargets(a) }),
      a.released_by_cap ? [" ", make("a", { href: "#/alerts/cap/" + a.released_by_cap }, word("direct_see"))] : null) : null,
    a.cancel_asked ? make("p", { class: "wrong", role: "alert" }, word("cap_wants_cancel", { sender: a.cancel_asked.sender, signature: word("cap_signature_" + a.cancel_asked.signature) })) : null,
    a.status === "altered" ? make("p", { class: "wrong", role: "alert" }, word("altered_hint")) : null,
  ];
}

const _mine = (a) => a.could_approve.find((one) => one.holder === me.account);

/** What is still needed, and who could give it: whom to call. */
function _next(a) {
  if (isSounding(a) && !canOver("alert.cancel", a)) return [make("h2", {}, word("who_cancels")), make("ul", { class: "people" }, a.could_approve.map((one) => make("li", {}, make("b", {}, one.holder), " ", make("span", { class: "soft" }, areaName(one.area)))))];
  if (a.status !== "composed" && !(a.status === "armed" && a.people_needed)) return [];
  const given = a.approvals.filter((one) => one.action === "release");
  const others = a.could_approve.filter((one) => !one.has_approved && one.holder !== me.account);
  const post = (one) => `${areaName(one.area)}${one.sole ? " · " + word("sole") : one.alone ? " · " + word("enough_alone") : ""}`;
  const mine = _mine(a);
  return [
    make("h2", {}, word("people_needed", { n: a.people_needed })),
    given.length ? make("ul", { class: "people" }, given.map((one) => make("li", { class: "done" }, make("b", {}, one.holder), " ", make("span", { class: "soft" }, `${word("approved_when", { when: instant(one.at) })}${one.counts ? "" : " · " + word("counts_no_more")}`)))) : null,
    make("p", { class: "soft" }, word(others.length ? "call_them" : "nobody_else")),
    make("ul", { class: "people" }, others.map((one) => make("li", {}, make("b", {}, one.holder), " ", make("span", { class: "soft" }, post(one))))),
    !can("alert.release") || (mine && mine.has_approved) ? null
      : mine ? null : make("p", { class: "hint" }, word("no_key_for_this"), " ", make("a", { href: "#/mine" }, word("my_keys"))),
  ];
}

function digestGroups(hex) { return hex.replace(/(.{8})(?=.)/g, "$1 "); }

function _words(a) {
  const other = language === "vi" ? "en" : "vi";
  const lines = (l) => make("ul", { class: "exact", lang: l }, (a.words[l] || []).map((line) => make("li", {}, line)));
  return [make("h2", {}, word("exact_words")), lines(language),
    make("details", { "data-id": "other" }, make("summary", {}, word("in_other_language")), lines(other)),
    make("p", { class: "soft" }, word("digest"), ": ", make("code", { class: "digest" }, digestGroups(a.body_sha256)))];
}

/** What is heard, in each language there is: the very sounds that are signed. */
function showSound(a) {
  fill("alert-sound", [a.sounds, a.siren, a.siren_missing, a.announcement_missing, a.replaced_until, a.repeats, a.gap_ms, a.volume], () => [make("h2", {}, word("what_sounds")),
    make("p", {}, [a.siren ? word("siren_first", { n: a.siren }) : word("no_siren"), a.repeats ? word("repeats_n", { n: a.repeats }) : word("until_cancelled"), a.gap_ms ? word("gap_n", { n: a.gap_ms / 1000 }) : null, a.volume === null ? null : word("volume", { n: a.volume })].filter(Boolean).join(" · ")),
    a.siren_missing ? make("p", { class: "wrong" }, word("siren_missing")) : null,
    a.announcement_missing ? make("p", { class: "wrong" }, word("announcement_missing")) : null,
    a.replaced_until ? make("p", { class: "wrong", id: "ends-earlier" }, word("ends_earlier", { end: instant(a.expires_at), until: instant(a.replaced_until) })) : null,
    ...a.sounds.map((s) => make("div", { class: "item" }, make("label", { class: "hear" },
      make("span", {}, [languageName(s.language), span(s.duration_ms), s.voice && (s.voice === "recording" ? word("a_recording") : s.voice)].filter(Boolean).join(" · ")), make("audio", { controls: true, preload: "none", src: s.audio })),
      s.text ? make("p", { lang: s.language, class: "spoken" }, s.text) : null))]);
}

function languageName(tag) {
  try { return new Intl.DisplayNames([language], { type: "language" }).of(tag || "vi"); } catch { return tag; }
}
const count = (n) => Number(n).toLocaleString(language === "vi" ? "vi-VN" : "en-GB");

function _reach(a) {
  const r = a.reach;
  const deaf = a.released_at ? [] : r.village_list.filter((v) => !v.nodes); // afterwards the board has them
  const people = (v) => v.population === null ? "" : ` · ${word("people_n", { n: count(v.population) })}`;
  const byPeople = (x, y) => (y.population || 0) - (x.population || 0);
  return [make("h2", {}, word("whom")),
    make("dl", { class: "figures" }, ...[["nodes", r.nodes], ["villages", r.villages], ["people", r.people === null ? "?" : count(r.people)]].flatMap(([name, n]) =>
      [make("div", {}, make("dt", {}, word("reach_" + name)), make("dd", {}, String(n)))])),
    !r.nodes ? make("p", { class: "wrong", role: "alert" }, word("reach_nobody")) : null,
    deaf.length ? make("div", { class: "deaf" }, make("h3", {}, word("deaf_villages", { n: deaf.length })),
      make("ul", {}, deaf.sort(byPeople).slice(0, 20).map((v) => make("li", {}, make("b", {}, v.name), people(v)))), make("p", { class: "soft" }, word("deaf_hint"))) : null,
    make("details", { "data-id": "villages" }, make("summary", {}, word("list_villages", { n: r.village_list.length })), make("ul", {}, r.village_list.map((v) => make("li", {}, `${v.name} · ${word("nodes_n", { n: v.nodes })}${people(v)}`)))),
    make("details", { "data-id": "nodes" }, make("summary", {}, word("list_nodes", { n: r.node_list.length })), make("ul", {}, r.node_list.map((n) => make("li", {}, `${nodeName(n.node)} · ${areaName(n.area)}`)))),
  ];
}
const nodeName = (id) => { const found = state.nodes.find((n) => n.id === id); return found && found.description ? `${found.description} (${id})` : id; };

/** At the bottom, always in reach: the one thing that can be done now. */
function _bar(a) {
  const mine = _mine(a);
  const mayRelease = (a.status === "composed" || (a.status === "armed" && a.people_needed > 0)) && canOver("alert.release", a) && !(mine && mine.has_approved);
  const mayCancel = ["released"].includes(a.status) && canOver("alert.cancel", a);
  const over = mayCancel && !isSounding(a);
  fill("alert-bar", [a.id, a.status, mayRelease, mayCancel, !!mine, over], () => [
    mayCancel && !over ? make("button", { type: "button", class: "take-back whole", id: "take-back", onclick: () => openCancel(shownAlert) }, word("take_back_" + a.kind)) : null,
    mayRelease && mine ? make("button", { type: "button", class: "approve whole " + a.kind, id: "approve-open", onclick: () => openApprove(shownAlert) }, word("approve_" + a.kind)) : null,
    (a.status === "armed" && canOver("alert.compose", a)) || a.status === "composed" && (a.composed_by === me.account || (a.composed_by === "loa" && canOver("alert.compose", a))) ? make("button", { type: "button", class: "quiet", id: "withdraw-open", onclick: (e) => withdrawAlert(e.currentTarget) }, word(a.status === "armed" ? "disarm_alert" : "withdraw_alert")) : null,
  ]);
  $("alert-bar").hidden = !$("alert-bar").childElementCount;
}

async function withdrawAlert(button) {
  const a = shownAlert;
  if (!confirm(word("confirm_withdraw", { title: a.title }))) return;
  await act(button, async () => { showAlert(await ask("POST", `/alerts/${a.id}/withdraw`)); toast(word("withdrawn_now")); refresh("alerts"); });
}
