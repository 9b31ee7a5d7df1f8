"use strict";
// How alerts sound, by severity and urgency: the province's table, edited in place. Only rows that differ are sent.
const LEVEL_FIELDS = ["siren", "repeats", "gap_ms", "volume", "lasts_ms"];
const _UNIT = { gap_ms: 1000, lasts_ms: 60000 };
const _LIMITS = { repeats: [0, 255], gap_ms: [0, 30], volume: [50, 100], lasts_ms: [1, 44640] };
const UNDO_LEVELS = "levels-undo", DRAFT_LEVELS = "levels";
let levelTable = null;
/** Rows that were edited and not saved, by "severity/urgency". */
let levelEdits = {};
/** The same rows as they were when somebody began to edit them. */
let _levelsBegan = {};
let _levelSirens = [];

const _rowKey = (row) => `${row.severity}/${row.urgency}`;
const _baseRow = (key) => levelTable.levels.find((row) => _rowKey(row) === key);

SECTIONS.levels = async () => {
  const [table, stored] = await Promise.all([ask("GET", "/alert-levels"), ask("GET", "/stored-sounds")]);
  levelTable = table;
  _levelSirens = stored.sounds.filter((s) => s.event === null && s.code < 64);
  const kept = maySet() ? heldBefore(DRAFT_LEVELS) : null;
  ({ edits: levelEdits, began: _levelsBegan } = kept ? kept.value : { edits: {}, began: {} });
  for (const [key, row] of Object.entries(levelEdits)) if (!_baseRow(key) || deepSame(_baseRow(key), row)) delete levelEdits[key];
  _offerLevelsBack();
  return _levelsForm(Object.keys(levelEdits).length ? kept : null);
};

/** Somebody else saved what these edits were not made over: nothing of ours was sent, nothing is lost; the table is theirs, with our rows over it. */
function _overtaken() {
  const keys = Object.keys(levelEdits);
  const both = keys.filter((key) => !deepSame(_levelsBegan[key], _baseRow(key)));
  return make("p", { class: "kept", role: "status", id: "levels-told" }, word("levels_collided", { who: levelTable.changed_by, when: instant(levelTable.changed_at), version: levelTable.version, n: keys.length }),
    both.length ? " " + word("levels_both", { rows: both.map((key) => severityUrgency(_baseRow(key))).join("; ") }) : null);
}

/** The save before this one can be taken back as long as nothing was saved since, on this device even after a reload. */
function _offerLevelsBack() {
  const back = heldBefore(UNDO_LEVELS);
  if (!maySet() || !back || back.value.version !== levelTable.version) return;
  canUndo("levels_saved", { version: levelTable.version, n: back.value.rows.length }, () => _putLevels(back.value.rows));
  _showUndo("levels");
}

async function _putLevels(rows) {
  const before = rows.map((row) => _baseRow(_rowKey(row)));
  levelTable = await ask("PUT", "/alert-levels", { version: levelTable.version, levels: rows });
  hold(UNDO_LEVELS, { version: levelTable.version, rows: before });
}

function _levelsForm(kept) {
  const by = levelTable.changed_by ? word("levels_version", { version: levelTable.version, who: levelTable.changed_by, when: instant(levelTable.changed_at) }) : word("levels_shipped");
  const head = make("div", { class: "level level-head", "aria-hidden": "true" }, make("b", {}), make("div", { class: "level-fields" }, LEVEL_FIELDS.map((name) => make("span", {}, word("level_" + name)))));
  const form = make("form", { id: "levels-form", novalidate: true, onsubmit: (e) => { e.preventDefault(); _saveLevels(form); } },
    make("p", { class: "hint" }, word("levels_hint")), make("p", { class: "soft" }, by),
    !kept ? null : kept.value.version !== levelTable.version ? _overtaken() : make("p", { class: "kept" }, word("draft_kept", { ago: ago(new Date(kept.at).toISOString()) })),
    SEVERITIES.map((severity) => make("section", { class: "card levels" }, make("h2", {}, word("severity"), ": ", word("severity_" + severity)), maySet() ? head.cloneNode(true) : null,
      URGENCIES.map((urgency) => _levelRow(`${severity}/${urgency}`)))),
    make("p", { class: "wrong", role: "alert", hidden: true }),
    make("div", { class: "save-bar", hidden: true }, make("span", { class: "grow", id: "levels-count", role: "status" }),
      make("button", { type: "button", class: "quiet", onclick: () => { dropDraft(DRAFT_LEVELS); redraw(); } }, word("drop_edits")), make("button", { type: "submit", class: "main narrow" }, word("save"))));
  form.addEventListener("input", (e) => _levelTyped(form, e.target));
  _markLevels(form);
  return form;
}

/** One row in a line of words. */
function _levelWords(row) {
  return [row.siren ? word("siren_first", { n: row.siren }) : word("no_siren"), row.repeats ? word("repeats_n", { n: row.repeats }) : word("until_cancelled"), row.gap_ms ? word("gap_n", { n: row.gap_ms / 1000 }) : null,
    word("volume", { n: row.volume ?? "?" }), word("in_force_n", { n: row.lasts_ms / 60000 })].filter(Boolean).join(" · ");
}

function _levelRow(key) {
  const row = levelEdits[key] || _baseRow(key);
  const [, urgency] = key.split("/");
  const name = make("b", { class: "level-name" }, word("urgency_" + urgency));
  if (!maySet()) return make("div", { class: "level" }, name, make("span", {}, _levelWords(row)));
  const sirens = [[0, word("no_siren")], ..._levelSirens.map((s) => [s.code, `${s.code} · ${s.title}`])];
  if (!sirens.some(([code]) => code === row.siren)) sirens.push([row.siren, word("siren_not_stored", { n: row.siren })]);
  const input = (what) => {
    const named = { name: `${key}.${what}`, "aria-label": `${severityUrgency(row)}: ${word("level_" + what)}` };
    if (what === "siren") return choice(named, sirens, row.siren);
    const [min, max] = _LIMITS[what];
    return make("input", { ...named, type: "number", inputmode: "numeric", min, max, step: what === "gap_ms" ? "any" : 1, value: row[what] === null ? "" : row[what] / (_UNIT[what] || 1) });
  };
  const fields = make("div", { class: "level-fields" }, LEVEL_FIELDS.map((what) => field(word("level_" + what), input(what))));
  const line = make("button", { type: "button", class: "quiet level-line", "aria-expanded": "false", onclick: () => { line.setAttribute("aria-expanded", String(box.classList.toggle("open"))); } });
  const box = make("div", { class: "level", "data-key": key, role: "group", "aria-label": severityUrgency(row) }, name, line, fields, make("p", { class: "level-was", hidden: true }));
  return box;
}

/** Somebody typed into a row: it differs from the table now, or is as it was again. */
function _levelTyped(form, input) {
  const box = input.closest(".level");
  const key = box.dataset.key;
  const row = { ..._baseRow(key) };
  for (const what of LEVEL_FIELDS) {
    const value = form.elements[`${key}.${what}`].value;
    row[what] = value === "" ? null : Math.round(Number(value) * (_UNIT[what] || 1));
  }
  _levelsBegan[key] = levelEdits[key] ? _levelsBegan[key] : _baseRow(key);
  if (deepSame(row, _baseRow(key))) delete levelEdits[key]; else levelEdits[key] = row;
  hold(DRAFT_LEVELS, { version: levelTable.version, edits: levelEdits, began: _levelsBegan });
  _markLevels(form);
}

function _markLevels(form) {
  for (const box of form.querySelectorAll(".level[data-key]")) {
    const edit = levelEdits[box.dataset.key];
    const base = _baseRow(box.dataset.key);
    box.classList.toggle("changed", Boolean(edit));
    box.querySelector(".level-line").textContent = _levelWords(edit || base);
    const was = box.querySelector(".level-was");
    was.hidden = !edit;
    was.textContent = edit ? word("level_was", { what: _levelWords(base) }) : "";
  }
  const n = Object.keys(levelEdits).length;
  form.querySelector(".save-bar").hidden = !n;
  const said = n ? word("rows_edited", { n }) : "";
  const count = form.querySelector("#levels-count");
  if (count.textContent !== said) count.textContent = said;
}

async function _saveLevels(form) {
  const rows = Object.values(levelEdits);
  if (!rows.length) return;
  await tried(form, form.querySelector("button.main"), async () => {
    try {
      await _putLevels(rows);
    } catch (error) {
      if (error.code === "content_changed") { await redraw(); $("levels-told").scrollIntoView({ block: "center" }); return; }
      const [, place, what] = /^levels\.(\d+)\.(\w+)$/.exec(error.field || "") || [];
      if (place === undefined) throw error;
      form.querySelector(`[data-key="${_rowKey(rows[place])}"]`).classList.add("open");
      error.message = `${severityUrgency(rows[place])}, ${word("level_" + what)}: ${error.message}`;
      error.field = `${_rowKey(rows[place])}.${what}`;
      throw error;
    }
    dropDraft(DRAFT_LEVELS);
    await redraw();
  });
}
