"use strict";
// What lies at the loudspeakers before it is needed: sirens, the drill announcement, standing recordings.
const _DRILL_CODE = 255;
let _soundsArea = "";

SECTIONS.sounds = async () => {
  const area = state.areas.some((a) => a.path === _soundsArea) ? _soundsArea : _province();
  const [stored, bulletins, templates] = await Promise.all([ask("GET", "/stored-sounds?held=true&area=" + encodeURIComponent(area)), ask("GET", "/bulletins?limit=200"), ask("GET", "/alert-templates")]);
  const ready = bulletins.items.filter((b) => b.status === "approved" && b.renditions.length === 1 && !b.alert);
  return [make("div", { class: "columns" },
    make("div", { class: "column" }, maySet() ? _storeCard(area, ready, templates, stored.sounds) : null, can("bulletin.draft") ? _uploadCard() : null, maySet() && !can("bulletin.draft") ? make("section", { class: "card", id: "sound-upload-card" }, make("h2", {}, word("upload_sound")), make("p", { class: "hint" }, word("upload_by_others"))) : null),
    make("div", { class: "column wide" }, _storedCard(area, stored.sounds)))];
};

function _storedCard(area, sounds) {
  const places = placeOptions("area.read");
  const drill = sounds.some((s) => s.code === _DRILL_CODE);
  return make("section", { class: "card", id: "stored" }, make("h2", {}, word("stored_at", { area: areaName(area) })), make("p", { class: "hint" }, word("sounds_hint")), make("p", { class: "wrong", role: "alert", hidden: true }),
    places.length > 1 ? field(word("area"), choice({ id: "sounds-area", onchange: (e) => { _soundsArea = e.target.value; redraw(); } }, places, area)) : null,
    drill ? null : make("p", { class: "wrong" }, word("no_drill_sound")),
    sounds.length ? make("ul", { class: "pick-list", id: "sound-list" }, sounds.map((s) => _soundRow(area, s))) : make("p", { class: "soft" }, word(maySet() ? "no_sounds" : "no_sounds_ask")),
    maySet() ? _shippedForm() : null);
}

function _soundKind(s) {
  if (s.code === _DRILL_CODE) return word("sound_drill");
  return s.event ? word("sound_standing", { event: s.event, language: languageName(s.language) }) : word("sound_siren", { n: s.code });
}

/** By what the nodes said of themselves last. */
function _heldTag(at) {
  if (!at.nodes) return make("span", { class: "tag" }, word("held_nobody"));
  return make("span", { class: "tag " + (at.held === at.nodes ? "ok" : "warn") }, word("held_at", at));
}

function _soundRow(area, s) {
  const title = s.title || s.digest.slice(0, 12);
  return make("li", { class: "item", "data-code": s.code }, make("div", { class: "row" }, make("b", { class: "grow" }, title), make("span", { class: "tag " + (s.code === _DRILL_CODE ? "warn" : "") }, _soundKind(s))),
    make("div", { class: "row soft" }, span(s.duration_ms), _heldTag(s.at_nodes)),
    make("audio", { controls: true, preload: "none", src: `/api/v1/renditions/${s.digest}/audio`, "aria-label": `${title} · ${_soundKind(s)}` }),
    maySet() ? make("div", { class: "row" }, make("span", { class: "spring" }), make("button", { type: "button", class: "small stop", onclick: (e) => _removeSound(area, s, e.currentTarget) }, word("remove_sound"))) : null);
}

async function _removeSound(area, s, button) {
  const place = $("stored");
  if (!confirm(word(s.code === _DRILL_CODE ? "confirm_remove_drill_sound" : "confirm_remove_sound", { what: `${s.title} (${_soundKind(s)})`, area: areaName(area) }))) return;
  await tried(place, button, async () => {
    await ask("DELETE", `/stored-sounds/${s.code}?area=${encodeURIComponent(area)}`);
    canUndo("sound_removed", { what: s.title || _soundKind(s), area: areaName(area) }, s.bulletin ? () => ask("POST", "/stored-sounds", _storeAgain(area, s)) : null);
    await redraw();
  });
}
const _storeAgain = (area, s) => ({ area, bulletin: s.bulletin, ...(s.event ? { event: s.event, language: s.language } : { code: s.code }) });

/** The ones that come with the program; where the province has its own, those stay unless it is said otherwise. */
function _shippedForm() {
  const form = make("form", { id: "shipped-form", onsubmit: (e) => {
    e.preventDefault();
    const anew = form.elements.anew.checked;
    if (anew && !confirm(word("confirm_anew"))) return;
    tried(form, form.querySelector("button"), async () => {
      await ask("POST", "/stored-sounds/shipped", { anew });
      _soundsArea = _province();
      canUndo("shipped_done", {}, null);
      await redraw();
    });
  } }, make("h3", {}, word("shipped_sounds")), make("p", { class: "hint" }, word("shipped_hint")), make("label", { class: "tick" }, make("input", { type: "checkbox", name: "anew" }), make("span", {}, word("shipped_anew"))),
  make("button", { type: "submit" }, word("ship_sounds")), make("p", { class: "wrong", role: "alert", hidden: true }));
  return make("div", { class: "item" }, form);
}

function _storeCard(area, ready, templates, sounds) {
  if (!ready.length) return make("section", { class: "card", id: "store" }, make("h2", {}, word("store_sound")), make("p", { class: "soft" }, word("no_ready")));
  const free = Array.from({ length: 63 }, (_, n) => n + 1).find((code) => !sounds.some((s) => s.code === code));
  const standing = () => form.elements.as.value === "standing";
  const fits = () => {
    $("as-siren").hidden = standing();
    $("as-standing").hidden = !standing();
    const b = ready.find((one) => one.id === form.elements.bulletin.value);
    if (b && !form.elements.language.value) form.elements.language.placeholder = b.renditions[0].language;
    $("store-hear").replaceChildren(...(b ? [make("audio", { controls: true, preload: "none", src: b.renditions[0].audio, "aria-label": b.title })] : []));
  };
  const form = make("form", { id: "store-form", novalidate: true, onchange: fits, onsubmit: (e) => { e.preventDefault(); _store(form, ready); } },
    field(word("which_recording"), choice({ name: "bulletin" }, [["", word("choose")], ...ready.map((b) => [b.id, `${b.title} · ${span(b.duration_ms)}`])], "")), make("div", { id: "store-hear" }),
    field(word("where_kept"), choice({ name: "area" }, placeOptions("settings.manage"), area)),
    make("fieldset", { class: "choice" }, make("label", { class: "tick" }, make("input", { type: "radio", name: "as", value: "siren", checked: true }), make("span", {}, word("as_siren"))), make("label", { class: "tick" }, make("input", { type: "radio", name: "as", value: "standing" }), make("span", {}, word("as_standing")))),
    make("div", { id: "as-siren" }, field(word("siren_code"), make("input", { name: "code", type: "number", min: 1, max: 255, inputmode: "numeric", value: free ?? "" }), word("siren_code_hint"))),
    make("div", { id: "as-standing", class: "inline", hidden: true }, field(word("standing_event"), choice({ name: "event" }, [["", word("choose")], ...templates.map((t) => [t.id, templateName(t)])], "")), field(word("standing_language"), make("input", { name: "language", maxlength: 20, autocapitalize: "none", autocomplete: "off" }))),
    make("p", { class: "wrong", role: "alert", hidden: true }), make("button", { type: "submit", class: "main" }, word("store_it")));
  return make("section", { class: "card", id: "store" }, make("h2", {}, word("store_sound")), make("p", { class: "hint" }, word("store_hint")), form);
}

function _store(form, ready) {
  return tried(form, form.querySelector("button.main"), async () => {
    const e = form.elements;
    const b = ready.find((one) => one.id === e.bulletin.value);
    if (!b) throw new Problem({ title: word("choose_recording"), field: "bulletin" });
    const standing = e.as.value === "standing";
    const area = e.area.value;
    const before = (await ask("GET", "/stored-sounds?area=" + encodeURIComponent(area))).sounds;
    const asked = { area, bulletin: b.id, ...(standing ? { event: e.event.value, language: e.language.value.trim() || b.renditions[0].language } : { code: Number(e.code.value) }) };
    const taken = before.find((s) => standing ? s.event === asked.event && s.language === asked.language : s.code === asked.code);
    if (taken && !confirm(word("confirm_replace_sound", { what: `${taken.title} (${_soundKind(taken)})` }))) return;
    const after = (await ask("POST", "/stored-sounds", asked)).sounds;
    const made = after.find((s) => s.bulletin === b.id && (standing ? s.event !== null : s.code === asked.code));
    _soundsArea = area;
    canUndo("sound_stored", { what: b.title, area: areaName(area) }, taken ? taken.bulletin && (() => ask("POST", "/stored-sounds", _storeAgain(area, taken)))
      : made && (() => ask("DELETE", `/stored-sounds/${made.code}?area=${encodeURIComponent(area)}`)));
    await redraw();
  });
}

/** A recording on its way in, as at the board, but without chimes and in any language. */
function _uploadCard() {
  let stop = null;
  const form = make("form", { id: "sound-upload", novalidate: true, onsubmit: (e) => { e.preventDefault(); _uploadSound(form, step, (how) => { stop = how; }); } },
    make("label", { class: "drop" }, make("span", {}, word("recording")), make("input", { type: "file", name: "file", accept: "audio/*,.mp3,.m4a,.aac,.wav,.ogg,.opus,.flac,.amr,.3gp", onchange: (e) => {
      const file = e.target.files[0];
      name.textContent = file ? file.name : "";
      if (file && !form.elements.title.value) form.elements.title.value = file.name.replace(/\.[^.]*$/, "").replace(/[_-]+/g, " ").slice(0, 200);
    } }), make("b", { class: "button" }, make("span", {}, word("choose_file"))), " "),
    field(word("title"), make("input", { name: "title", maxlength: 200, autocomplete: "off" })),
    make("div", { class: "inline" }, field(word("area"), choice({ name: "area" }, placeOptions("bulletin.draft"), "")), field(word("spoken_language"), make("input", { name: "language", value: "vi", maxlength: 20, autocapitalize: "none" }))),
    make("p", { class: "wrong", role: "alert", hidden: true }), make("div", { class: "going", hidden: true }, make("p", { class: "row" }, make("span", { class: "grow", role: "status" }), make("button", { type: "button", class: "quiet", onclick: () => stop && stop() }, word("cancel"))), make("progress", { max: 1, value: 0, "aria-label": word("uploading") })),
    make("button", { type: "submit", class: "main" }, word("upload")));
  const name = make("i", {});
  form.querySelector(".drop").append(name);
  const step = (stage, done) => {
    form.querySelector(".going").hidden = stage === null;
    if (stage === null) return;
    form.querySelector(".going span").textContent = `${word(stage)} · ${Math.round(done * 100)} %`;
    form.querySelector("progress").value = done;
  };
  return make("section", { class: "card", id: "sound-upload-card" }, make("h2", {}, word("upload_sound")), make("p", { class: "hint" }, word("upload_sound_hint")), form);
}

function _uploadSound(form, step, stopBy) {
  return tried(form, form.querySelector("button.main"), async () => {
    const e = form.elements;
    if (!e.file.files.length) throw new Problem({ title: word("choose_file_first") });
    const data = new FormData();
    for (const [name, value] of [["title", e.title.value], ["area", e.area.value], ["language", e.language.value.trim()], ["chime", "false"], ["file", e.file.files[0]]]) data.set(name, value);
    try {
      step("uploading", 0);
      const sent = upload("/bulletins", data, (done) => step("uploading", done * 0.3));
      stopBy(sent.abort);
      let item = await sent.done;
      stopBy(() => act(null, () => ask("DELETE", `/imports/${item.id}`)));
      while (item.status === "running") {
        step(item.stage, 0.3 + item.progress * 0.7);
        await new Promise((next) => setTimeout(next, 300));
        item = await ask("GET", `/imports/${item.id}`);
      }
      if (item.problem && item.problem.code !== "cancelled") throw new Problem(item.problem);
      if (item.problem) return;
      form.reset();
      form.querySelector(".drop i").textContent = "";
      stale.add("bulletins");
      canUndo("sound_uploaded", {}, null);
      await redraw();
    } catch (error) { if (error.code !== "cancelled") throw error; } finally { step(null); }
  });
}
