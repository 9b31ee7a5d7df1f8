"use strict";
// What the province sets for emergencies: the frame of these pages, and what they share. Each page adds itself to SECTIONS.
const SECTIONS = { __proto__: null };
/** What was done last on the page that is open, by whom, and how it is put back: {section, who, name, values, work}; name: of its words. */
let undoing = null;
let _drawn = "";
let _turn = 0; // of reading and drawing: an older one that comes late is not drawn
/** What a page still has to do once it is on the screen. */
let afterDraw = null;

const _province = () => state.areas.find((a) => !a.parent).path;
const maySet = (permission = "settings.manage") => can(permission, _province());

/** A page as the address has it: which one, and of what. */
function openSettings(section) {
  section = section in SECTIONS ? section : "levels";
  if (undoing && (undoing.section !== section || undoing.who !== me.account)) undoing = null;
  $("settings").replaceChildren(make("h1", {}, word("set_" + section)),
    make("nav", { class: "tabs", "aria-label": word("settings") }, Object.keys(SECTIONS).map((name) => make("a", { href: "#/settings/" + name, "aria-current": name === section ? "page" : null }, word("tab_" + name)))),
    make("div", { id: "undo-bar", role: "status" }), make("p", { class: "wrong", role: "alert", hidden: true }),
    make("div", { id: "settings-body" }, make("p", { class: "soft" }, word("loading"))));
  _drawn = "";
  return redraw();
}

/** Read and draw what is open, once more. */
async function redraw() {
  const key = location.hash;
  const turn = ++_turn;
  const isLate = () => turn !== _turn || here.part !== "settings"; // somebody went on meanwhile
  const [section, one] = here.args;
  const name = section in SECTIONS ? section : "levels";
  if (!undoing || undoing.section !== name) _showUndo(name);
  try {
    const parts = await SECTIONS[name](one === undefined ? undefined : decodeURIComponent(one));
    const after = afterDraw;
    afterDraw = null;
    if (isLate()) return;
    const had = _drawn === key && document.activeElement.closest("#settings-body") ? document.activeElement : null;
    $("settings-body").replaceChildren(...[parts].flat().filter(Boolean));
    if (had) _focusAgain(had);
    _showUndo(name); // "saved" is said when what is shown is what was saved, and can be typed into
    _drawn = key;
    if (after) after();
    if ($("settings").querySelector(".wrong").dataset.reading) tell($("settings"), null);
  } catch (error) {
    if (isLate()) return;
    $("settings-body").replaceChildren(make("button", { type: "button", onclick: redraw }, word("try_again")));
    _showUndo(name);
    tell($("settings"), error);
    $("settings").querySelector(".wrong").dataset.reading = "yes";
  }
}

/** What had the focus was drawn anew: its successor has it, or else the heading. */
function _focusAgain(had) {
  const again = had.isConnected ? had : had.id ? $(had.id) : had.name ? $("settings-body").querySelector(`[name="${CSS.escape(had.name)}"]`) : null;
  if (again) again.focus({ preventScroll: true });
  if (again && document.activeElement === again) return;
  const h1 = $("settings").querySelector("h1");
  h1.tabIndex = -1;
  h1.focus({ preventScroll: true });
}

/** Say beside a form what went wrong: in words, then the code and the field for whoever is called about it. */
function tell(place, error) {
  showWrong(place, error);
  const said = place.querySelector(".wrong");
  delete said.dataset.reading;
  if (!error) return;
  if (error.code && error.status) said.append(" ", make("code", {}, [error.code, error.field].filter(Boolean).join(" · ")));
  if (!place.querySelector("[aria-invalid]")) said.scrollIntoView({ block: "center" });
}

/** Run what a button is for; what goes wrong is told beside it. A button that is off loses the focus, and is given it back. */
async function tried(place, button, work) {
  const focused = place.contains(document.activeElement);
  button.disabled = true;
  tell(place, null);
  try { await work(); } catch (error) { tell(place, error); } finally { button.disabled = false; }
  if (focused && document.activeElement === document.body) _focusAgain(button);
}

/** It was done; `work` puts back what was there before. It stays on offer until something else is done or another page is opened. */
function canUndo(name, values, work) {
  undoing = { section: here.args[0] in SECTIONS ? here.args[0] : "levels", who: me.account, name, values, work };
  making.templates = []; // what composing has read is not true any more
}

function _showUndo(section) {
  const bar = $("undo-bar");
  if (!bar) return;
  if (!undoing || undoing.section !== section) { bar.replaceChildren(); return; }
  const had = undoing;
  const { name, values, work } = had;
  bar.replaceChildren(make("p", { class: "kept row" }, make("span", { class: "grow" }, word(name, values)), !work ? null : make("button", { type: "button", id: "undo-it", onclick: (e) => tried($("settings"), e.currentTarget, async () => {
    undoing = null;
    try { await work(); } catch (error) { if (!error.status) undoing = had; throw error; } finally { await redraw(); }
  }) }, word("put_back"))));
}

/** What is typed here and not sent yet, kept as drafts.js keeps forms. */
function hold(name, value) { try { localStorage.setItem(_draftKey(name), JSON.stringify({ at: serverNow(), value })); } catch { /* a full disk */ } }
function heldBefore(name) {
  try { const kept = JSON.parse(localStorage.getItem(_draftKey(name))); return kept && kept.value ? kept : null; } catch { return null; }
}

/** What is shown was typed earlier and not sent; it can be dropped. */
const draftNotice = (name, kept) => make("p", { class: "kept row" }, make("span", { class: "grow" }, word("draft_kept", { ago: ago(new Date(kept.at).toISOString()) })),
  make("button", { type: "button", class: "small", onclick: () => { dropDraft(name); redraw(); } }, word("forget")));

/** A field with its name above. */
const field = (name, input, hint = null) => make("label", {}, make("span", {}, name), input, hint && make("small", { class: "hint" }, hint));
const choice = (attributes, options, chosen) => make("select", attributes, options.map(([value, text]) => make("option", { value, selected: String(value) === String(chosen) }, text)));
const severityUrgency = (one) => `${word("severity_" + one.severity)}, ${word("urgency_" + one.urgency)}`;
const deepSame = (a, b) => JSON.stringify(a) === JSON.stringify(b);
/** Places of the province where something may be done, as options. */
function placeOptions(permission) {
  return state.areas.filter((a) => can(permission, a.path)).map((a) => [a.path, " ".repeat(a.path.split("/").length - 1) + areaLabel(a)]);
}
