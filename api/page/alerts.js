"use strict";
// Emergencies: the list, and the bar on every page while a live one sounds.
state.alerts = [];
loaders.alerts = async () => {
  if (!can("alert.read")) return;
  // What sounds stays in reach, however many were composed since.
  const found = await Promise.all(["", "&status=released", "&status=armed"].map((which) => ask("GET", "/alerts?limit=50" + which)));
  state.alerts = [...new Map(found.flatMap((page) => page.items).map((a) => [a.id, a])).values()];
  showSounding();
  if (here.part) showNav();
  if (here.part === "alerts") showAlerts();
};

const instant = (iso) => `${time(iso)}, ${day(iso)}`;
const isSounding = (a) => a.status === "released" && Date.parse(a.expires_at) > serverNow();
const kindWord = (a) => word("kind_" + a.kind);
const alertTargets = (a) => [...a.target_areas.map(areaName), ...a.target_nodes].join(", ");
/** Whether the person who is signed in has this permission over all of what an alert is for. */
const canOver = (permission, a) => can(permission, a.area);

/** On every page: live alerts that sound now, with the way to take them back. Drills have theirs on their own page alone. */
function showSounding() {
  const live = state.alerts.filter((a) => a.kind === "live" && isSounding(a));
  const bar = $("sounding");
  const key = JSON.stringify([language, live.map((a) => a.id), here.part, here.args]);
  bar.hidden = !live.length || !me || ["compose"].includes(here.part) || (here.part === "alert" && live.every((a) => a.id === here.args[0]));
  if (bar.dataset.key === key) return;
  bar.dataset.key = key;
  bar.replaceChildren(...live.filter((a) => here.part !== "alert" || a.id !== here.args[0]).map((a) => make("div", { class: "row" },
    make("span", { class: "grow" }, make("b", {}, word("sounding_live")), " ", make("a", { href: "#/alerts/" + a.id }, a.title), ` · ${alertTargets(a)} · ${word("since", { when: instant(a.released_at) })}`),
    // A drill's page offers nothing of a live alert's but the way there.
    document.body.dataset.kind === "drill" ? make("a", { class: "button", href: "#/alerts/" + a.id }, word("open"))
      : canOver("alert.cancel", a) ? make("button", { type: "button", class: "take-back", onclick: () => openCancel(a) }, word("take_back")) : null)));
}

const _STATUS_TAG = { composed: "warn", armed: "ok", released: "live", cancelled: "", withdrawn: "", expired: "", updated: "", altered: "bad" };

function alertRow(a) {
  const status = a.status === "released" && !isSounding(a) ? "over" : a.status;
  return make("li", { class: "alert-row " + a.kind },
    make("a", { href: "#/alerts/" + a.id },
      make("span", { class: "kind " + a.kind }, kindWord(a)),
      make("span", { class: "grow" }, make("b", {}, a.title),
        make("span", { class: "soft" }, `${alertTargets(a)} · ${word(a.released_at ? "released_when" : "composed_when", { when: instant(a.released_at || a.composed_at), who: a.composed_by })}`)),
      make("span", { class: "tag " + (_STATUS_TAG[status] || "") }, word("alert_" + status))));
}

function showAlerts() {
  showSounding();
  const lists = [["live", "alerts-live"], ["drill", "alerts-drill"]];
  for (const [kind, place] of lists) {
    const open = (a) => isSounding(a) || ["composed", "armed"].includes(a.status);
    const found = state.alerts.filter((a) => a.kind === kind).sort((a, b) => open(b) - open(a) || isSounding(b) - isSounding(a));
    $(place).replaceChildren(...found.map(alertRow));
    $(place + "-none").hidden = found.length > 0;
  }
  refresh("cap");
  $("compose-open").hidden = !can("alert.compose");
}

/** What an event means for the page that is open. */
function alertTold(kind, data) {
  if (here.part !== "alert") return;
  if (kind === "resync" || data.id === here.args[0]) refreshAlert();
}
