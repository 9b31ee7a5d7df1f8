"use strict";
// What was typed is kept on this device until it is sent: a closed browser, a lost link or an ended session loses nothing. Never secrets.
const _SECRET_KINDS = ["password", "file", "hidden"];
const _draftKey = (name) => `loa-draft:${me ? me.account : ""}:${name}`;

function _typed(form) {
  return [...form.elements].filter((e) => e.name && !_SECRET_KINDS.includes(e.type) && e.tagName !== "BUTTON" && e.tagName !== "FIELDSET" && !e.classList.contains("code") && !("unkept" in e.dataset));
}

/** Remember what this form holds. */
function keepDraft(form, name) {
  const held = {};
  for (const e of _typed(form)) {
    if (e.type === "checkbox" || e.type === "radio") { if (e.checked) (held[e.name] = held[e.name] || []).push(e.value); } else held[e.name] = e.value;
  }
  try { localStorage.setItem(_draftKey(name), JSON.stringify({ at: serverNow(), held })); } catch { /* a full disk: nothing is kept, nothing is lost yet */ }
}

/** Put back what was kept. Returns when it was kept, or null. */
function restoreDraft(form, name) {
  let kept = null;
  try { kept = JSON.parse(localStorage.getItem(_draftKey(name))); } catch { /* not ours */ }
  if (!kept || !kept.held) return null;
  for (const e of _typed(form)) {
    const value = kept.held[e.name];
    if (e.type === "checkbox" || e.type === "radio") e.checked = Array.isArray(value) && value.includes(e.value);
    else if (typeof value === "string" && (e.tagName !== "SELECT" || [...e.options].some((o) => o.value === value))) e.value = value;
  }
  return kept.at;
}

function dropDraft(name) { localStorage.removeItem(_draftKey(name)); }

/** Keep a form as it is typed. name: of the draft, or a function that says it. */
function keepsDraft(form, name) {
  form.addEventListener("input", () => keepDraft(form, typeof name === "function" ? name() : name));
}
