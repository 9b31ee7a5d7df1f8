"use strict";
// Who is told by e-mail or webhook when an alert does not reach enough in time: addresses, and the steps that tell them.
let _escalation = null; // as read
let _steps = null; // as edited, not saved
let _stepsBegan = ""; // the hash of what was there when the editing began
const DRAFT_STEPS = "escalation-steps";

const _stepContent = (s) => ({ after_s: s.after_s, below_percent: s.below_percent, village_unreached: s.village_unreached, drills: s.drills, addresses: [...s.addresses] });

SECTIONS.escalation = async () => {
  _escalation = await ask("GET", "/escalation");
  const kept = maySet() ? heldBefore(DRAFT_STEPS) : null;
  const known = _escalation.addresses.map((a) => a.id);
  _stepsBegan = kept ? kept.value.began : _escalation.content_hash;
  _steps = (kept ? kept.value.steps : _escalation.steps.map(_stepContent)).map((s) => ({ ...s, addresses: s.addresses.filter((id) => known.includes(id)) }));
  return [make("p", { class: "hint" }, word("escalation_hint")), make("div", { class: "columns" }, make("div", { class: "column" }, _addressesCard(), maySet() ? _addressCard() : null), make("div", { class: "column wide" }, _stepsCard(kept)))];
};

function _addressesCard() {
  const rows = _escalation.addresses.map((a) => {
    const said = make("p", { class: "soft", role: "status" });
    const row = make("li", { class: "item", "data-id": a.id }, make("div", { class: "row" }, make("b", { class: "grow" }, a.name)), make("div", { class: "soft" }, a.shown), said,
      !maySet() ? null : make("div", { class: "row" }, make("button", { type: "button", class: "small", onclick: (e) => tried(row, e.currentTarget, async () => {
        said.textContent = word("testing");
        try {
          const done = await ask("POST", `/escalation/addresses/${a.id}/test`);
          said.textContent = done.sent ? word("test_sent", { when: instant(new Date(serverNow()).toISOString()) }) : "";
          if (!done.sent) throw new Problem({ title: word("test_failed", { why: done.trouble }) });
        } catch (error) { said.textContent = ""; throw error; }
      }) }, word("test_address")), make("span", { class: "spring" }), make("button", { type: "button", class: "small stop", onclick: (e) => _removeAddress(a, row, e.currentTarget) }, word("remove_address"))),
      make("p", { class: "wrong", role: "alert", hidden: true }));
    return row;
  });
  return make("section", { class: "card" }, make("h2", {}, word("addresses")), rows.length ? make("ul", { class: "pick-list", id: "address-list" }, rows) : make("p", { class: "soft" }, word(maySet() ? "no_addresses" : "no_addresses_ask")));
}

async function _removeAddress(a, row, button) {
  const told = _escalation.steps.filter((s) => s.addresses.includes(a.id)).length;
  if (!confirm(word("confirm_remove_address", { name: a.name, n: told }))) return;
  await tried(row, button, async () => {
    await ask("DELETE", `/escalation/addresses/${a.id}`);
    const kept = heldBefore(DRAFT_STEPS);
    // The steps that told it are others now, and by nobody else.
    if (kept && kept.value.began === _escalation.content_hash) hold(DRAFT_STEPS, { ...kept.value, began: (await ask("GET", "/escalation")).content_hash });
    canUndo("address_removed", { name: a.name }, null);
    await redraw();
  });
}

/** The fields of an address by what it is; what they make together is what the server is given, and nothing keeps it here. */
function _addressCard() {
  const secret = { autocomplete: "off", autocapitalize: "none", spellcheck: "false" };
  const parts = {
    mail: make("div", {}, field(word("mail_to"), make("input", { name: "to", inputmode: "email", ...secret }), word("mail_to_hint")), field(word("mail_server"), make("input", { name: "server", placeholder: "smtp.example.vn", ...secret })),
      make("div", { class: "inline" }, field(word("mail_user"), make("input", { name: "user", ...secret })), field(word("mail_password"), make("input", { name: "pass", type: "password", autocomplete: "new-password" }))), field(word("mail_from"), make("input", { name: "from", inputmode: "email", ...secret }))),
    web: make("div", {}, field(word("web_address"), make("input", { name: "web", "data-unkept": true, inputmode: "url", placeholder: "https://", ...secret }), word("web_hint"))),
    raw: make("div", {}, field(word("raw_address"), make("input", { name: "url", "data-unkept": true, ...secret }), word("raw_hint"))),
  };
  const way_ = () => form.elements.way.value;
  const fits = () => { for (const [name, part] of Object.entries(parts)) part.hidden = name !== way_(); };
  const form = make("form", { id: "address-form", novalidate: true, onsubmit: (e) => { e.preventDefault(); _addAddress(form); } }, field(word("address_name"), make("input", { name: "name", maxlength: 200, autocomplete: "off" })),
    make("fieldset", { class: "choice" }, Object.keys(parts).map((name) => make("label", { class: "tick" }, make("input", { type: "radio", name: "way", value: name, checked: name === "mail", onchange: () => fits() }), make("span", {}, word("address_" + name))))),
    Object.values(parts), make("p", { class: "wrong", role: "alert", hidden: true }), make("button", { type: "submit", class: "main" }, word("add_address")));
  restoreDraft(form, "notice-address");
  keepsDraft(form, "notice-address");
  fits();
  return make("section", { class: "card", id: "address-add" }, make("h2", {}, word("add_address")), make("p", { class: "hint" }, word("address_hint")), form);
}

function _addressAsked(e) {
  if (e.way.value === "raw") return e.url.value.trim();
  if (e.way.value === "web") {
    const [, scheme, rest] = /^(https?):\/\/(.+)$/i.exec(e.web.value.trim()) || [];
    if (!rest) throw new Problem({ title: word("bad_web"), field: "web" });
    return `${scheme.toLowerCase() === "http" ? "json" : "jsons"}://${rest}`;
  }
  const server = e.server.value.trim();
  if (!/^[^\s/?#@]+$/.test(server)) throw new Problem({ title: word("bad_server"), field: "server" });
  if (!e.user.value.trim() && !e.from.value.trim()) throw new Problem({ title: word("bad_user"), field: "user" });
  const said = Object.fromEntries(["user", "pass", "from", "to"].map((name) => [name, e[name].value.trim()]));
  if (!said.from && said.user.includes("@")) said.from = said.user; // a server known by its number alone makes no sender
  const asked = Object.entries(said).filter(([, value]) => value);
  return `mailtos://${server}?${asked.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&")}`;
}

function _addAddress(form) {
  return tried(form, form.querySelector("button.main"), async () => {
    const e = form.elements;
    if (e.way.value === "mail" && !e.to.value.trim()) throw new Problem({ title: word("bad_to"), field: "to" });
    const made = await ask("POST", "/escalation/addresses", { name: e.name.value.trim(), url: _addressAsked(e) });
    dropDraft("notice-address");
    canUndo("address_added", { name: made.name }, () => ask("DELETE", `/escalation/addresses/${made.id}`));
    await redraw();
  });
}

function _stepsCard(kept) {
  const off = !maySet();
  return make("section", { class: "card" }, make("h2", {}, word("steps")), kept ? draftNotice(DRAFT_STEPS, kept) : null,
    off ? (_steps.length ? make("ol", { id: "step-list" }, _steps.map((s) => make("li", {}, _stepWords(s)))) : make("p", { class: "soft" }, word("no_steps_ask"))) : _stepsForm());
}

const _seconds = (s) => (s.after_s !== null && s.after_s % 60 === 0 && s.after_s ? word("n_minutes", { n: s.after_s / 60 }) : word("n_seconds", { n: s.after_s ?? "?" }));
function _stepWords(s) {
  const when = [s.below_percent === null ? null : word("step_below", { n: s.below_percent }), s.village_unreached ? word("step_village") : null].filter(Boolean).join(word("step_or"));
  const whom = s.addresses.map((id) => (_escalation.addresses.find((a) => a.id === id) || { name: "?" }).name).join(", ");
  return word("step_words", { after: _seconds(s), when: when || "…", whom: whom || "…" }) + (s.drills ? " " + word("step_drills_too") : "");
}

function _stepsForm() {
  const form = make("form", { id: "steps-form", novalidate: true, onsubmit: (e) => { e.preventDefault(); _saveSteps(form); } }, _steps.length ? _steps.map(_stepFields) : make("p", { class: "soft" }, word(_escalation.addresses.length ? "no_steps" : "no_steps_no_address")),
    make("p", { class: "wrong", role: "alert", hidden: true }), make("div", { class: "row" }, make("button", { type: "button", class: "small", id: "step-add", disabled: !_escalation.addresses.length, onclick: () => { _steps.push({ after_s: 300, below_percent: 80, village_unreached: true, drills: false, addresses: [] }); _redrawSteps(`steps.${_steps.length - 1}.after`); } }, word("add_step")), make("span", { class: "spring" }),
      make("button", { type: "submit", class: "main narrow" }, word("save_steps"))));
  form.addEventListener("input", () => { _collectSteps(form); hold(DRAFT_STEPS, { steps: _steps, began: _stepsBegan }); });
  return form;
}

function _stepFields(s, at) {
  const name = (what) => `steps.${at}.${what}`;
  const minutes = s.after_s !== null && s.after_s >= 60 && s.after_s % 60 === 0;
  return make("fieldset", { class: "step-of" }, make("legend", {}, word("step_n", { n: at + 1 })), make("p", { class: "soft step-said" }, _stepWords(s)),
    make("div", { class: "inline" }, field(word("step_after"), make("input", { name: name("after"), type: "number", min: 1, inputmode: "numeric", value: s.after_s === null ? "" : minutes ? s.after_s / 60 : s.after_s })), field(word("step_unit"), choice({ name: name("unit") }, [[60, word("minutes_unit")], [1, word("seconds_unit")]], minutes ? 60 : 1)),
      field(word("step_percent"), make("input", { name: name("below_percent"), type: "number", min: 1, max: 100, inputmode: "numeric", value: s.below_percent ?? "" }), word("step_percent_hint"))),
    make("label", { class: "tick" }, make("input", { type: "checkbox", name: name("village_unreached"), checked: s.village_unreached }), make("span", {}, word("step_village_long"))), make("label", { class: "tick" }, make("input", { type: "checkbox", name: name("drills"), checked: s.drills }), make("span", {}, word("step_drills"))),
    make("p", { class: "whom" }, word("step_tells")), _escalation.addresses.map((a) => make("label", { class: "tick" }, make("input", { type: "checkbox", name: name("addresses"), value: a.id, checked: s.addresses.includes(a.id) }), make("span", {}, `${a.name} · ${a.shown}`))),
    make("div", { class: "row" }, make("span", { class: "spring" }), make("button", { type: "button", class: "quiet small", "aria-label": `${word("remove_step")} ${at + 1}`, onclick: () => { _steps.splice(at, 1); _redrawSteps(); } }, word("remove_step"))));
}

function _collectSteps(form) {
  const e = form.elements;
  _steps = _steps.map((_, at) => {
    const of = (what) => e[`steps.${at}.${what}`];
    const number = (value, times = 1) => (value === "" ? null : Math.round(Number(value) * times));
    return { after_s: number(of("after").value, Number(of("unit").value)), below_percent: number(of("below_percent").value), village_unreached: of("village_unreached").checked, drills: of("drills").checked,
      addresses: [...form.querySelectorAll(`[name="steps.${at}.addresses"]:checked`)].map((box) => box.value) };
  });
  form.querySelectorAll(".step-said").forEach((said, at) => { said.textContent = _stepWords(_steps[at]); });
}

function _redrawSteps(to) {
  hold(DRAFT_STEPS, { steps: _steps, began: _stepsBegan });
  const made = _stepsForm();
  $("steps-form").replaceWith(made);
  (made.elements[to] || made.querySelector("#step-add")).focus();
}

function _saveSteps(form) {
  return tried(form, form.querySelector("button.main"), async () => {
    _collectSteps(form);
    const before = _escalation.steps.map(_stepContent);
    let saved;
    try {
      saved = await ask("PUT", "/escalation/steps", { steps: _steps, content_hash: _stepsBegan });
    } catch (error) {
      if (error.code === "content_changed") throw await _stepsCollided();
      if (error.field) error.field = error.field.replace(/\.after_s$/, ".after");
      const [, at] = /^steps\.(\d+)/.exec(error.field || "") || [];
      if (at !== undefined) error.message = `${word("step_n", { n: Number(at) + 1 })}: ${error.message}`;
      throw error;
    }
    dropDraft(DRAFT_STEPS);
    canUndo("steps_saved", { n: _steps.length }, () => ask("PUT", "/escalation/steps", { steps: before, content_hash: saved.content_hash }));
    await redraw();
  });
}

/** Somebody else saved first: what they saved is told, and the next save is over that. */
async function _stepsCollided() {
  _escalation = await ask("GET", "/escalation");
  _stepsBegan = _escalation.content_hash;
  hold(DRAFT_STEPS, { steps: _steps, began: _stepsBegan });
  return new Problem({ title: word("steps_collided", { n: _steps.length, steps: _escalation.steps.map(_stepWords).join(" | ") || word("no_steps_ask") }) });
}
