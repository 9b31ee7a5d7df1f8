"use strict";
// Templates of alerts: the list, and one at a time with what it will say once its blanks are filled.
let _editing = null; // {key, seen (as read, or null for a new one), content, theirs}
const _samples = {};
const _CONTENT = ["event", "names", "severity", "urgency", "title", "blanks", "texts"];
const _NEW = "+";

const _contentOf = (t) => Object.fromEntries(_CONTENT.map((name) => [name, structuredClone(t[name])]));
const _templateAddress = (id) => "#/settings/templates/" + encodeURIComponent(id);
const _templatePath = (id) => "/alert-templates/" + encodeURIComponent(id);

SECTIONS.templates = async (id) => {
  const all = await ask("GET", "/alert-templates");
  if (id === undefined) return _templateList(all);
  const seen = all.find((t) => t.id === id) || null;
  if (!seen && id !== _NEW && !(maySet() && heldBefore("template-" + id))) return [make("p", {}, word("template_gone", { id })), _backToTemplates()];
  if (id === _NEW && !maySet()) return _templateList(all);
  return _templatePage(id, seen);
};

const _backToTemplates = () => make("p", {}, make("a", { href: "#/settings/templates", class: "back" }, "← ", word("set_templates")));

function _templateList(all) {
  return make("section", { class: "card" }, make("p", { class: "hint" }, word("templates_hint")),
    maySet() ? make("p", {}, make("a", { class: "button", id: "template-new", href: _templateAddress(_NEW) }, word("template_new"))) : null,
    all.length ? make("ul", { class: "pick-list", id: "template-list" }, all.map((t) => make("li", {}, make("a", { href: _templateAddress(t.id) },
      make("span", { class: "grow" }, make("b", {}, templateName(t)), make("span", { class: "soft" }, `${severityUrgency(t)} · ${Object.keys(t.texts).map(languageName).join(", ")}`)),
      make("span", { class: "tag" }, t.version ? word("version_n", { n: t.version }) : word("as_shipped")))))) : make("p", { class: "soft" }, word("no_templates")));
}

const _empty = () => ({ event: "", names: { vi: "", en: "" }, severity: "Severe", urgency: "Immediate", title: "", blanks: [], texts: { vi: "", en: "" } });

/** The editor. What was typed and not saved comes back, whoever saved meanwhile: the version it was begun from decides. */
function _templatePage(id, seen) {
  const kept = maySet() ? heldBefore("template-" + id) : null;
  const content = kept ? kept.value.content : seen ? _contentOf(seen) : _empty();
  const version = kept ? kept.value.version : seen ? seen.version : null;
  _editing = { id, name: kept ? kept.value.name : id === _NEW ? "" : id, version, seen, content };
  const form = _templateForm();
  afterDraw = () => { _preview(form); if (version !== (seen ? seen.version : null)) _collided(form, seen); };
  return [_backToTemplates(),
    kept ? draftNotice("template-" + id, kept) : null,
    make("div", { class: "columns" }, make("div", { class: "column" }, make("section", { class: "card", id: "template-preview" }, make("h2", { id: "preview-title" }), make("p", { class: "hint" }, word("preview_hint")), make("div", { id: "preview-blanks", class: "blanks" }), make("div", { id: "preview-texts" }))),
      make("div", { class: "column wide" }, make("section", { class: "card" }, form)))];
}

function _templateForm() {
  const c = _editing.content;
  const off = !maySet();
  const text = (name, value, more = {}) => make("input", { name, value, autocomplete: "off", disabled: off, ...more });
  const words = (tag) => field(word("text_in", { language: languageName(tag) }), make("textarea", { name: "texts." + tag, rows: 5, maxlength: 2000, lang: tag, disabled: off }, c.texts[tag]));
  const form = make("form", { id: "template-form", novalidate: true, onsubmit: (e) => { e.preventDefault(); _saveTemplate(form); } },
    _editing.id === _NEW ? field(word("template_id"), text("id", _editing.name, { maxlength: 32, autocapitalize: "none", spellcheck: "false" })) : null,
    make("div", { class: "inline" }, field(word("name_vi"), text("names.vi", c.names.vi || "", { maxlength: 200 })), field(word("name_en"), text("names.en", c.names.en || "", { maxlength: 200, lang: "en" }))),
    field(word("event"), text("event", c.event, { maxlength: 80 }), word("event_hint")),
    make("div", { class: "inline" }, field(word("severity"), choice({ name: "severity", disabled: off }, SEVERITIES.map((s) => [s, word("severity_" + s)]), c.severity)),
      field(word("urgency"), choice({ name: "urgency", disabled: off }, URGENCIES.map((u) => [u, word("urgency_" + u)]), c.urgency))),
    make("fieldset", {}, make("legend", {}, word("the_words")), make("p", { class: "hint" }, word("blanks_hint")), make("div", { id: "blank-chips", class: "chips" }),
      field(word("template_title"), text("title", c.title, { maxlength: 200 })), Object.keys(c.texts).map(words),
      off ? null : make("div", { class: "inline" }, field(word("add_language"), make("input", { name: "more_language", maxlength: 12, placeholder: "tyz", autocapitalize: "none", "data-unkept": true })), make("button", { type: "button", onclick: () => _addLanguage(form) }, word("add")))),
    make("fieldset", {}, make("legend", {}, word("blanks")), c.blanks.length ? c.blanks.map((b, at) => _blankRow(b, at, off)) : make("p", { class: "soft" }, word("no_blanks")),
      off ? null : make("button", { type: "button", class: "small", onclick: () => _addBlank("") }, word("add_blank"))),
    make("p", { class: "wrong", role: "alert", hidden: true }), make("div", { id: "template-collided" }),
    off ? null : make("div", { class: "row" }, make("button", { type: "submit", class: "main narrow" }, word("save")), make("span", { class: "spring" }),
      _editing.seen ? make("button", { type: "button", class: "stop", id: "template-delete", onclick: (e) => _deleteTemplate(form, e.currentTarget) }, word("delete_template")) : null));
  form.addEventListener("input", (e) => { if (!("unkept" in e.target.dataset)) { _collect(form); _keepTemplate(); } _preview(form); });
  form.addEventListener("focusin", (e) => { if (/^(title|texts\.)/.test(e.target.name || "")) form.lastText = e.target; });
  return form;
}

function _blankRow(b, at, off) {
  const input = (what, more = {}) => make("input", { name: `blanks.${at}.${what}`, value: b[what], maxlength: 200, autocomplete: "off", disabled: off, ...more });
  return make("div", { class: "blank-row" }, field(word("blank_name"), input("name", { maxlength: 30, autocapitalize: "none", spellcheck: "false" })), field(word("blank_example"), input("example")),
    field(word("blank_vi"), input("vi")), field(word("blank_en"), input("en", { lang: "en" })),
    off ? null : make("div", { class: "row" }, make("span", { class: "spring" }), make("button", { type: "button", class: "quiet small", "aria-label": `${word("remove_blank")}: ${b.name}`, onclick: () => { _editing.content.blanks.splice(at, 1); _redrawForm("blank_name"); } }, word("remove_blank"))));
}

function _collect(form) {
  const e = form.elements;
  const c = _editing.content;
  if (e.id) _editing.name = e.id.value.trim();
  for (const name of ["event", "severity", "urgency", "title"]) c[name] = e[name].value;
  c.names = { ...c.names, vi: e["names.vi"].value, en: e["names.en"].value };
  for (const tag of Object.keys(c.texts)) c.texts[tag] = e["texts." + tag].value;
  c.blanks = c.blanks.map((_, at) => Object.fromEntries(["name", "vi", "en", "example"].map((what) => [what, e[`blanks.${at}.${what}`].value])));
}
const _keepTemplate = () => hold("template-" + _editing.id, { name: _editing.name, version: _editing.version, content: _editing.content });

/** Draw the form anew after a row was added or taken away; the focus goes to the field of this name, or to the last blank. */
function _redrawForm(to) {
  _keepTemplate();
  const made = _templateForm();
  $("template-form").replaceWith(made);
  _preview(made);
  const rows = made.querySelectorAll(".blank-row input");
  (made.elements[to] || rows[rows.length - 4] || made.elements.title).focus();
}

function _addBlank(name) {
  _editing.content.blanks.push({ name, vi: "", en: "", example: "" });
  _redrawForm(`blanks.${_editing.content.blanks.length - 1}.${name ? "vi" : "name"}`);
}

function _addLanguage(form) {
  const tag = form.elements.more_language.value.trim();
  if (!/^[a-zA-Z]{2,8}(-[a-zA-Z0-9]{1,8}){0,3}$/.test(tag)) { tell(form, new Problem({ title: word("bad_language"), field: "more_language" })); return; }
  _editing.content.texts[tag] = _editing.content.texts[tag] || "";
  _redrawForm("texts." + tag);
}

const _blanksIn = (text) => [...text.matchAll(/\{(\w+)\}/g)].map((m) => m[1]);

/** What it says with its blanks as they are tried here, and what is missing in the list of blanks. */
function _preview(form) {
  if (!$("preview-blanks")) return;
  const c = _editing.content;
  const sample = (b) => _samples[b.name] ?? b.example;
  fill("preview-blanks", [_editing.id, c.blanks], () => c.blanks.map((b) => field(b[language] || b.name, make("input", { value: sample(b), autocomplete: "off", "data-blank": b.name, oninput: (e) => { _samples[b.name] = e.target.value; _preview(form); } }))));
  const filled = (text) => text.split(/(\{\w+\})/).map((part) => {
    const name = (/^\{(\w+)\}$/.exec(part) || [])[1];
    const b = name && c.blanks.find((one) => one.name === name);
    return !name ? part : b && sample(b).trim() ? make("b", {}, sample(b)) : make("mark", {}, b ? "…" : part);
  });
  $("preview-title").replaceChildren(...(c.title ? filled(c.title) : [word("template_title")]));
  $("preview-texts").replaceChildren(...Object.entries(c.texts).filter(([, text]) => text.trim()).map(([tag, text]) => make("p", { class: "spoken", lang: tag }, make("span", { class: "tag" }, languageName(tag)), " ", filled(text))));
  const unlisted = [...new Set([c.title, ...Object.values(c.texts)].flatMap(_blanksIn))].filter((name) => !c.blanks.some((b) => b.name === name));
  if (!maySet()) return;
  const put = (name) => make("button", { type: "button", class: "small", onclick: () => _insert(form, `{${name}}`) }, `{${name}}`);
  fill("blank-chips", [c.blanks.map((b) => b.name), unlisted], () => [...c.blanks.filter((b) => b.name).map((b) => put(b.name)), ...unlisted.map((name) => make("button", { type: "button", class: "small stop", onclick: () => _addBlank(name) }, word("list_blank", { name })))]);
}

/** Put a blank where the cursor was last. */
function _insert(form, what) {
  const into = form.lastText || form.elements["texts." + Object.keys(_editing.content.texts)[0]];
  into.setRangeText(what, into.selectionStart, into.selectionEnd, "end");
  into.focus();
  into.dispatchEvent(new Event("input", { bubbles: true }));
}

/** As the API wants it: languages without words are left out. */
function _templateAsked() {
  const c = _editing.content;
  const said = (texts) => Object.fromEntries(Object.entries(texts).filter(([, text]) => text.trim()));
  return { ...c, names: said(c.names), texts: said(c.texts) };
}

function _saveTemplate(form) {
  return tried(form, form.querySelector("button.main"), async () => {
    $("template-collided").replaceChildren();
    const { id, name, version, seen } = _editing;
    const wanted = id === _NEW ? name : id;
    if (!/^[a-z0-9-]{1,32}$/.test(wanted)) throw new Problem({ title: word("bad_template_id"), field: "id" });
    let saved;
    try {
      saved = await ask("PUT", _templatePath(wanted), { ..._templateAsked(), ...(version === null ? {} : { version }) });
    } catch (error) {
      if (error.code !== "content_changed") throw error;
      const theirs = (await ask("GET", "/alert-templates")).find((t) => t.id === wanted) || null;
      _collided(form, theirs);
      throw error;
    }
    dropDraft("template-" + id);
    canUndo("template_saved", { name: templateName(saved), n: saved.version }, seen
      ? () => ask("PUT", _templatePath(wanted), { ..._contentOf(seen), version: saved.version }) : async () => { await ask("DELETE", `${_templatePath(wanted)}?version=${saved.version}`); location.hash = "#/settings/templates"; });
    if (id === _NEW) location.hash = _templateAddress(wanted); else await redraw();
  });
}

/** Somebody else saved first: both are there, and the person says which one it is to be. */
function _collided(form, theirs) {
  const version = theirs ? theirs.version : null;
  form.querySelector("#template-collided").replaceChildren(make("div", { class: "notice card" }, make("p", {}, make("b", {}, word(theirs ? "template_collided" : "template_collided_gone"))),
    theirs ? Object.entries(theirs.texts).map(([tag, text]) => make("p", { class: "spoken", lang: tag }, make("span", { class: "tag" }, languageName(tag)), " ", text)) : null,
    make("div", { class: "row" }, make("button", { type: "button", id: "take-theirs", onclick: () => { dropDraft("template-" + _editing.id); if (theirs) redraw(); else location.hash = "#/settings/templates"; } }, word("take_theirs")),
      make("button", { type: "button", id: "keep-mine", onclick: () => { _editing.version = version; _editing.seen = theirs; _keepTemplate(); _saveTemplate(form); } }, word("keep_mine")))));
}

async function _deleteTemplate(form, button) {
  const { id, seen } = _editing;
  if (!confirm(word("confirm_delete_template", { name: templateName(seen) }))) return;
  await tried(form, button, async () => {
    await ask("DELETE", `${_templatePath(id)}?version=${seen.version}`);
    dropDraft("template-" + id);
    canUndo("template_deleted", { name: templateName(seen) }, () => ask("PUT", _templatePath(id), _contentOf(seen)));
    location.hash = "#/settings/templates";
  });
}
