"use strict";
// Alerts of others, in CAP, that wait for a person: to say where they are for, or whether what their source wants cancelled is cancelled.
state.cap = [];

loaders.cap = async () => {
  const province = state.areas.find((a) => !a.parent);
  if (!province || !can("alert.compose", province.path)) return; // what others send is the province's business
  const found = await Promise.all(["needs_area", "cancel_asked", "not_composed"].map((one) => ask("GET", `/cap?limit=50&state=${one}`)));
  state.cap = found.flatMap((page) => page.items);
  for (const kind of ["live", "drill"]) {
    const own = state.cap.filter((c) => _capKind(c) === kind);
    fill("cap-" + kind, own, () => own.map(_capRow));
  }
};

/** An Exercise or a Test can only become a drill, and is shown with the drills alone. */
const _capKind = (c) => (c.kind === "live" ? "live" : "drill");

const _capTitle = (c) => c.title || c.identifier;
const _capFacts = (c) => [word("cap_from", { sender: c.sender }), word("cap_signature_" + c.signature), c.expires_at && word("expires_when", { when: instant(c.expires_at) }), c.trouble].filter(Boolean).join(" · ");

/** In the list only the way there: what can be made of it is offered on a page of its own kind. */
function _capRow(c) {
  const kind = _capKind(c);
  return make("li", { class: "alert-row " + kind }, make("a", { href: "#/alerts/cap/" + c.id }, make("span", { class: "kind " + kind }, word("kind_" + kind)),
    make("span", { class: "grow" }, make("b", {}, _capTitle(c)), make("span", { class: "soft" }, _capFacts(c))), make("span", { class: "tag warn" }, word("cap_" + c.state))));
}

/** The page of one. */
async function openCap(id) {
  let c = state.cap.find((one) => one.id === id);
  try { c = c || await ask("GET", "/cap/" + id); } catch (error) { showWrong($("cap"), error); return; }
  if (here.part !== "cap" || here.args[0] !== id) return;
  showWrong($("cap"), null);
  setKind(_capKind(c), _capTitle(c));
  $("cap-title").textContent = _capTitle(c);
  const links = c.before.map((one) => make("li", {}, make("a", { href: "#/alerts/" + one }, (state.alerts.find((a) => a.id === one) || { title: one.slice(0, 8) }).title)));
  fill("cap-one", c, () => [
    make("p", {}, make("span", { class: "tag warn" }, word("cap_" + c.state))), make("p", { class: "soft" }, _capFacts(c)),
    c.signature === "verified" && c.sender_is_expected ? null : make("p", { class: "hint" }, word("cap_call")),
    ["needs_area", "not_composed"].includes(c.state) ? _whereIsIt(c) : null,
    c.state === "cancel_asked" ? make("ul", {}, links) : null,
    c.state === "cancel_asked" && can("alert.cancel") ? make("button", { type: "button", onclick: (e) => act(e.currentTarget, async () => { await ask("POST", `/cap/${c.id}/settle`); refresh("cap"); location.hash = "#/alerts"; }) }, word("cap_settle")) : null]);
}

/** Areas that it only names, and the places of ours that may be meant: a person ticks. */
function _whereIsIt(c) {
  const proposed = [...new Set([...c.areas.matched, ...c.areas.named.flatMap((n) => n.proposed)])];
  const tick = (path) => make("label", { class: "tick" }, make("input", { type: "checkbox", value: path }), make("span", {}, areaName(path)));
  const ticks = make("div", {}, proposed.map(tick));
  const more = make("select", { "aria-label": word("cap_other_place"), onchange: () => { if (more.value) { ticks.append(tick(more.value)); ticks.lastChild.firstChild.checked = true; more.value = ""; } } },
    make("option", { value: "" }, word("cap_other_place")), state.areas.filter((a) => can("alert.compose", a.path)).map((a) => make("option", { value: a.path }, " ".repeat(a.path.split("/").length - 1) + a.name)));
  const go = make("button", { type: "button", class: "main", onclick: async () => {
    go.disabled = true;
    showWrong($("cap"), null);
    try {
      const places = [...ticks.querySelectorAll("input:checked")].map((e) => e.value);
      if (!places.length) throw new Problem({ title: word("compose_nowhere") });
      const made = await ask("POST", `/cap/${c.id}/compose`, { target_areas: places });
      location.hash = "#/alerts/" + made.id;
      refresh("cap", "alerts");
    } catch (error) { showWrong($("cap"), error); } finally { go.disabled = false; }
  } }, word("cap_compose"));
  const named = c.areas.named.map((n) => n.description).join("; ");
  const unknown = (c.areas.unknown || []).join("; ");
  return make("div", {}, named ? make("p", {}, word("cap_named"), " ", make("b", {}, named)) : null, unknown ? make("p", { class: "hint" }, word("cap_unknown_code"), " ", make("code", {}, unknown)) : null, ticks, make("p", {}, more), make("p", {}, go));
}
