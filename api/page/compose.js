"use strict";
// Composing: live or drill first, each on a page of its own; then what and where. Nothing sounds from here.
let composing = "";
let heldFor = "";
/** Of what the form holds now: the same sent twice over a bad line is one alert. */
let composeKey = "";

async function showCompose(kind) {
  composing = kind;
  $("choose-kind").hidden = kind !== "";
  $("compose-form").hidden = kind === "";
  setKind(kind);
  $("compose-title").textContent = word(kind ? "compose_" + kind : "compose_new");
  if (!kind) return;
  fillCompose();
  if (heldFor === kind + me.account) { composeChanged(); return; } // the same page again, in another language
  heldFor = kind + me.account;
  $("compose-form").reset(); // what was typed for the other kind stays there
  showWrong($("compose-form"), null);
  composeChanged();
  _putBack(kind);
  try { await Promise.all([readMaking(), stale.has("bulletins") ? loaders.bulletins() : null]); } catch (error) { heldFor = ""; showWrong($("compose-form"), error); return; }
  if (composing !== kind) return;
  fillCompose();
  _putBack(kind);
}

/** What was typed before: first what decides which fields there are, then these. */
function _putBack(kind) {
  restoreDraft($("compose-form"), "compose-" + kind);
  composeChanged();
  const kept = restoreDraft($("compose-form"), "compose-" + kind);
  $("compose-kept").hidden = kept === null;
  if (kept !== null) $("compose-kept-words").textContent = word("draft_kept", { ago: ago(new Date(kept).toISOString()) });
  composeChanged();
}

/** With its kind, unless the name says it. */
const areaLabel = (a) => !a.kind || a.name.toLowerCase().startsWith(a.kind.toLowerCase()) ? a.name : `${a.kind} ${a.name}`;

function _areaTick(a, depth) {
  return make("label", { class: "tick area-tick", "data-name": _plainWord(areaLabel(a)), "data-depth": depth },
    make("input", { type: "checkbox", name: "target_areas", value: a.path }), make("span", {}, areaLabel(a)),
    a.population === null ? null : make("i", { class: "soft" }, count(a.population)));
}

/** Places and recordings to choose from; ticks that were set stay. */
function fillCompose() {
  const areas = state.areas.filter((a) => can("alert.compose", a.path));
  const top = Math.min(...areas.map((a) => a.path.split("/").length));
  fill("compose-areas", areas.map((a) => [a.path, a.name, a.population]), () => areas.map((a) => _areaTick(a, a.path.split("/").length - top)));
  const approved = state.bulletins.filter((b) => b.status === "approved");
  fill("compose-bulletins", approved.map((b) => b.id), () => approved.map((b) => make("div", { class: "item" },
    make("label", { class: "tick" }, make("input", { type: "checkbox", name: "bulletins", value: b.id }), make("span", {}, b.title)),
    make("div", { class: "soft" }, `${span(b.duration_ms)} · ${b.renditions.map((r) => languageName(r.language)).join(", ")}`),
    ...b.renditions.map((r) => make("audio", { controls: true, preload: "none", src: r.audio, "aria-label": `${b.title} · ${languageName(r.language)}` })))));
  $("compose-no-bulletins").hidden = approved.length > 0;
  const released = state.alerts.filter((a) => a.kind === composing && isSounding(a));
  $("compose-updates").hidden = !released.length;
  fill("compose-updates-list", [composing, released.map((a) => a.id)], () => released.map((a) =>
    make("label", { class: "tick" }, make("input", { type: "checkbox", name: "updates", value: a.id }), make("span", {}, `${kindWord(a)}: ${a.title}`))));
  fillWhat();
}

const _ticked = (name) => [...$("compose-form").querySelectorAll(`input[name=${name}]:checked`)].map((e) => e.value);

/** Of chosen places the widest: a commune inside a chosen province adds nothing. */
function _widest(paths) { return paths.filter((p) => !paths.some((o) => o !== p && p.startsWith(o + "/"))); }

function composeChanged(event) {
  composeKey = "";
  const areas = _widest(_ticked("target_areas"));
  const inside = (path) => areas.some((a) => path === a || path.startsWith(a + "/"));
  const nodes = state.nodes.filter((n) => n.state !== "retired" && inside(n.area)).length;
  const villages = state.areas.filter((a) => a.path.split("/").length === 3 && inside(a.path)).length;
  $("compose-reach").textContent = areas.length ? word("compose_reach", { where: areas.map(areaName).join(", "), nodes: count(nodes), villages: count(villages), people: _people(areas) }) : word("compose_nowhere");
  for (const tick of $("compose-areas").children) { // what lies in a chosen place is chosen with it
    const path = tick.firstChild.value;
    const within = areas.some((a) => path.startsWith(a + "/"));
    tick.classList.toggle("within", within);
    tick.firstChild.indeterminate = within;
  }
  whatChanged(event);
}

/** By a place's own figure, else by the sum of what is known of those in it. */
function _people(areas) {
  const known = (path) => {
    const own = state.areas.find((a) => a.path === path);
    if (own && own.population !== null) return own.population;
    return state.areas.filter((a) => a.parent === path).reduce((sum, a) => sum + known(a.path), 0);
  };
  const sum = areas.reduce((total, path) => total + known(path), 0);
  return sum ? count(sum) : "?";
}

function _filterAreas() {
  const wanted = _plainWord($("area-filter").value);
  for (const tick of $("compose-areas").children) tick.hidden = wanted !== "" && !tick.dataset.name.includes(wanted) && !tick.querySelector("input").checked;
}

async function composeIt(event) {
  event.preventDefault();
  const form = $("compose-form");
  const kind = composing;
  showWrong(form, null);
  $("compose-go").disabled = true;
  try {
    const made = await ask("POST", "/alerts", { kind, target_areas: _widest(_ticked("target_areas")), updates: _ticked("updates"), ...whatAsked() }, { sounds: true, key: composeKey = composeKey || newKey() });
    dropDraft("compose-" + kind);
    heldFor = composeKey = "";
    form.reset();
    location.hash = "#/alerts/" + made.id;
    toast(word("composed_look"));
  } catch (error) { showWrong(form, error); } finally { $("compose-go").disabled = false; }
}

function forgetDraft() {
  dropDraft("compose-" + composing);
  $("compose-form").reset();
  $("compose-kept").hidden = true;
  composeChanged();
}

$("compose-form").onsubmit = composeIt;
$("compose-form").addEventListener("input", composeChanged);
$("area-filter").oninput = _filterAreas;
$("compose-forget").onclick = forgetDraft;
keepsDraft($("compose-form"), () => "compose-" + composing);
