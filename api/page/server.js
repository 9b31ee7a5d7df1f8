"use strict";
// The way to the server: requests with the CSRF token, problems as errors, and the page's own elements.
let csrf = null;
let signedOut = () => {};

class Problem extends Error {
  constructor(problem) {
    super(problem.title + (problem.remedy ? " — " + problem.remedy : ""));
    this.code = problem.code;
    this.status = problem.status;
    this.field = problem.field;
  }
}
/** How long a weak link is waited for. */
const _PATIENCE_MS = 40000;
let lost = false;
let lostAt = 0;

let clockOff = 0;
let clockTold = false;

/** What time it is by the server, ms since 1970: this device's own clock may be hours off. */
const serverNow = () => Date.now() + clockOff;

function _readClock(date) {
  const off = Date.parse(date) - Date.now();
  if (Number.isNaN(off) || Math.abs(off - clockOff) < 2500) return; // the header counts in seconds, and was on its way
  clockOff = off;
  if (Math.abs(off) < 90000 || clockTold) return;
  clockTold = true;
  toast(word("clock_off", { n: Math.round(Math.abs(off) / 60000) }));
}

/** Whether the server answers (what was asked at `began` says so); while it does not, a banner says so and offers another try. */
function setLost(yes, began = performance.now()) {
  if (!yes && began < lostAt) return; // an answer that was on its way
  if (yes) lostAt = performance.now();
  if (lost === yes) return;
  lost = yes;
  $("offline").hidden = !yes;
}

/** One request; the reply's JSON, or a Problem thrown. `sounds` gives it an Idempotency-Key. */
async function ask(method, path, body, { sounds = false, key, patience = _PATIENCE_MS } = {}) {
  const headers = { "Accept-Language": language };
  if (csrf && method !== "GET") headers["X-CSRF-Token"] = csrf;
  if (sounds) headers["Idempotency-Key"] = key || newKey();
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const began = performance.now();
  let reply;
  try {
    reply = await fetch("/api/v1" + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store",
      signal: AbortSignal.timeout(patience) });
    _readClock(reply.headers.get("date"));
    reply = { status: reply.status, text: await reply.text() };
  } catch {
    setLost(true);
    throw new Problem({ title: word("unreachable"), code: "unreachable", status: 0 });
  }
  setLost(false, began);
  try { return read(reply.status, reply.text); } catch (error) {
    if (!["fresh_code_required", "fresh_sign_in_required"].includes(error.code)) throw error;
    await freshCode(error.code === "fresh_sign_in_required"); // then the same again, under the same key
    return ask(method, path, body, { sounds, key: headers["Idempotency-Key"], patience });
  }
}

function read(status, text) {
  let json = null;
  try { json = text ? JSON.parse(text) : null; } catch { /* not ours */ }
  if (status >= 200 && status < 300) return json;
  if (status === 401 && json && json.code === "auth_required") signedOut();
  throw new Problem(json && json.code ? json : { title: word("unreachable"), code: "unreachable", status });
}

function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
}

/** Upload a form with its progress (fetch cannot tell it). Returns {done, abort}. */
function upload(path, form, progress) {
  const request = new XMLHttpRequest();
  const done = new Promise((resolve, reject) => {
    request.open("POST", "/api/v1" + path);
    request.setRequestHeader("Accept-Language", language);
    if (csrf) request.setRequestHeader("X-CSRF-Token", csrf);
    request.upload.onprogress = (e) => e.lengthComputable && progress(e.loaded / e.total);
    request.onload = () => { try { resolve(read(request.status, request.responseText)); } catch (e) { reject(e); } };
    request.onerror = () => reject(new Problem({ title: word("unreachable"), code: "unreachable", status: 0 }));
    request.onabort = () => reject(new Problem({ title: word("cancel"), code: "cancelled", status: 0 }));
    request.send(form);
  });
  return { done, abort: () => request.abort() };
}

const $ = (id) => document.getElementById(id);

/** An element with text only: whatever people wrote stays text. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element[name] = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  for (const child of children.flat()) if (child !== null && child !== undefined) element.append(child);
  return element;
}

function showWrong(root, error) {
  const place = root.querySelector(".wrong");
  place.textContent = error ? error.message : "";
  place.hidden = !error;
  for (const marked of root.querySelectorAll("[aria-invalid]")) marked.removeAttribute("aria-invalid");
  const form = root.closest("form") || root.querySelector("form");
  const named = error && error.field && form && form.elements[error.field];
  if (named && named.setAttribute) { named.setAttribute("aria-invalid", "true"); named.focus(); }
}

let toastTimer = 0;
function toast(text, undo, forMs = undo ? 30000 : 4000) {
  const [words, button] = $("toast").children;
  words.textContent = text;
  button.hidden = !undo;
  button.onclick = () => { $("toast").hidden = true; if (undo) undo(); };
  $("toast").hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { $("toast").hidden = true; }, forMs);
}

/** Run something a person asked for; what goes wrong is shown. */
async function act(button, work) {
  if (button) button.disabled = true;
  try { await work(); } catch (error) { toast(error.message); } finally { if (button) button.disabled = false; }
}
