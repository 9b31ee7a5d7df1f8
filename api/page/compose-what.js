"use strict";
// What an alert says: a template with its blanks, words of one's own, or recordings; and how it sounds.
const making = { templates: [], levels: [], sounds: [], sources: [] };
const SEVERITIES = ["Extreme", "Severe", "Moderate", "Minor", "Unknown"];
const URGENCIES = ["Immediate", "Expected", "Future", "Past", "Unknown"];

/** Templates, the table of levels and stored sounds: read once, and again where that failed. */
async function readMaking() {
  if (making.templates.length && making.levels.length) return;
  const sources = ask("GET", "/cap/sources").catch(() => ({ items: [] })); // who may not see them arms nothing
  const [templates, levels, stored, known] = await Promise.all([ask("GET", "/alert-templates"), ask("GET", "/alert-levels"), ask("GET", "/stored-sounds"), sources]);
  Object.assign(making, { templates, levels: levels.levels, sounds: stored.sounds, sources: known.items.filter((s) => s.pins.length) });
}

const composeForm = () => $("compose-form").elements;
const way = () => composeForm().way.value;
const chosenTemplate = () => making.templates.find((t) => t.id === composeForm().template.value);
const templateName = (t) => t.names[language] || t.names.vi || t.event;

function _options(select, options) {
  const had = select.value;
  select.replaceChildren(...options.map(([value, text]) => make("option", { value, selected: value === had }, text)));
}

function fillWhat() {
  const e = composeForm();
  const names = making.templates.map((t) => [t.id, templateName(t)]);
  _options(e.template, [["", word("choose")], ...names]);
  _options(e.severity, [["", word("choose")], ...SEVERITIES.map((s) => [s, word("severity_" + s)])]);
  _options(e.urgency, [["", word("choose")], ...URGENCIES.map((u) => [u, word("urgency_" + u)])]);
  fillDirect();
  _options(e.siren, [["", word("by_table")], ["0", word("no_siren")], ...making.sounds.filter((s) => s.event === null && s.code < 64).map((s) => [String(s.code), `${s.code} · ${s.title}`])]);
}

/** For whose alert it is to wait: only for one whose signature can be verified, and never a drill. */
function fillDirect() {
  $("compose-direct").hidden = composing !== "live" || !making.sources.length;
  _options(composeForm().direct_source, [["", word("direct_none")], ...making.sources.map((s) => [s.name, s.name])]);
  fill("direct-severities", [], () => SEVERITIES.map((s) => make("label", { class: "tick" }, make("input", { type: "checkbox", name: "direct_severities", value: s, checked: ["Extreme", "Severe"].includes(s) }), make("span", {}, word("severity_" + s)))));
}

/** Inputs for a template's blanks; what was typed under the same name stays. */
function fillBlanks() {
  const t = chosenTemplate();
  const key = [t && t.id];
  const had = Object.fromEntries([...$("blanks").querySelectorAll("input")].map((e) => [e.name, e.value]));
  const input = (b, suffix) => make("label", {}, make("span", {}, b[language] + (suffix ? " (English)" : "")),
    make("input", { name: `blanks.${b.name}${suffix}`, maxlength: 200, placeholder: suffix ? null : b.example, autocomplete: "off", value: had[`blanks.${b.name}${suffix}`] || null, "aria-required": suffix ? null : "true" }));
  fill("blanks", key, () => !t ? [] : [...t.blanks.map((b) => input(b, "")),
    Object.keys(t.texts).includes("en") ? make("details", {}, make("summary", {}, word("other_in_english")), t.blanks.map((b) => input(b, ".en"))) : null]);
}

/** A template's text with its blanks as they stand now; those that are empty are marked. */
function _filled(text, tag) {
  const at = (name) => { const e = composeForm()[`blanks.${name}`]; const own = tag !== "vi" && composeForm()[`blanks.${name}.${tag}`]; return ((own && own.value) || (e && e.value) || "").trim(); };
  return text.split(/(\{\w+\})/).map((part) => { const name = /^\{(\w+)\}$/.exec(part); return !name ? part : at(name[1]) ? make("b", {}, at(name[1])) : make("mark", {}, "…"); });
}

function whatChanged(event) {
  const e = composeForm();
  const now = way();
  for (const name of ["template", "words", "recordings"]) { $("way-" + name).hidden = name !== now; $("way-" + name).disabled = name !== now; }
  $("own-title").hidden = now === "template";
  fillBlanks();
  const t = now === "template" ? chosenTemplate() : null;
  if (t && event && event.target && event.target.name === "template") { e.severity.value = t.severity; e.urgency.value = t.urgency; }
  $("template-text").replaceChildren(...(t ? Object.entries(t.texts).map(([tag, text]) => make("p", { lang: tag }, make("span", { class: "tag" }, languageName(tag)), " ", ..._filled(text, tag))) : []));
  $("direct-more").hidden = !e.direct_source.value;
  _showLevel();
}

/** How it will sound: by the table, but for what is set here. */
function _showLevel() {
  const e = composeForm();
  const level = making.levels.find((l) => l.severity === e.severity.value && l.urgency === e.urgency.value);
  const own = (name) => e[name].value === "" ? null : Number(e[name].value);
  const siren = own("siren") ?? (level ? level.siren : 0);
  const repeats = e.until.value === "until" ? 0 : e.until.value === "times" ? own("times") ?? 1 : level ? level.repeats : 1;
  const gap = own("gap") ?? (level ? level.gap_ms / 1000 : 0);
  const minutes = own("minutes") ?? (e.direct_source.value ? 44640 : level ? level.lasts_ms / 60000 : 30);
  const volume = own("volume") ?? (level ? level.volume : null);
  $("level-now").textContent = [siren ? word("siren_first", { n: siren }) : word("no_siren"), repeats ? word("repeats_n", { n: repeats }) : word("until_cancelled"), gap ? word("gap_n", { n: gap }) : null,
    volume === null ? null : word("volume", { n: volume }), minutes < 2880 ? word("in_force_n", { n: minutes }) : word("in_force_days", { n: Math.round(minutes / 1440) })].filter(Boolean).join(" · ");
  $("times-field").hidden = e.until.value !== "times";
}

/** The part of the request that says what sounds. */
function whatAsked() {
  const e = composeForm();
  const asked = {};
  const set = (name, field, value) => { if (e[field].value !== "") asked[name] = value(e[field].value); };
  set("severity", "severity", String);
  set("urgency", "urgency", String);
  set("siren", "siren", Number);
  set("gap_ms", "gap", (v) => Math.round(Number(v) * 1000));
  set("lasts_ms", "minutes", (v) => Math.round(Number(v) * 60000));
  set("volume", "volume", Number);
  if (e.until.value === "until") asked.repeats = 0;
  if (e.until.value === "times") asked.repeats = Number(e.times.value || 1);
  if (composing === "live" && e.direct_source.value) asked.direct = { source: e.direct_source.value, events: e.direct_events.value.split(",").map((v) => v.trim()).filter(Boolean), severities: _ticked("direct_severities") };
  if (way() === "template") {
    asked.template = e.template.value;
    asked.blanks = Object.fromEntries([...$("blanks").querySelectorAll("input")].filter((i) => i.value.trim()).map((i) => [i.name.slice(7), i.value.trim()]));
    return asked;
  }
  asked.title = e.title.value.trim();
  if (way() === "recordings") return { ...asked, bulletins: _ticked("bulletins") };
  asked.event = e.event.value.trim();
  asked.words = ["vi", "en"].map((tag) => ({ language: tag, text: e["text_" + tag].value.trim() })).filter((one) => one.text);
  return asked;
}
