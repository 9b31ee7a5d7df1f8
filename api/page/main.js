"use strict";
// Signing in, the language, and the stream of events that keeps the board true.
let stream = null;

/** Show one part of the page. */
function only(part) {
  for (const name of ["sign-in", "set-up", "board"]) $(name).hidden = name !== part;
  $("sign-out").hidden = part === "sign-in";
}

function showSignIn() {
  if (stream) { stream.close(); stream = null; }
  csrf = me = null;
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  only("sign-in");
  $("recovery").hidden = true;
  $("code-field").hidden = true;
  $("sign-in-form").code.value = "";
  $("who").textContent = "";
  setLine("");
}
signedOut = showSignIn;

function setLine(how) {
  $("line").className = "line " + how;
  $("line").textContent = how ? word("line_" + how) : "";
  $("line").dataset.how = how;
}

async function showBoard(session) {
  csrf = session.csrf_token;
  me = session;
  if (session.set_up_code) { $("who").textContent = session.account; await showSetUp(); return; }
  showAllowed();
  await loaders.areas();
  showWho();
  only("board");
  await readAll();
  listen();
}

async function readAll() {
  await Promise.all([loaders.nodes(), loaders.broadcasts(), loaders.timetable(), loaders.bulletins()]);
}

function listen() {
  setLine("wait");
  stream = new EventSource("/api/v1/events");
  stream.onopen = () => setLine("open");
  stream.onerror = () => { setLine("lost"); if (stream && stream.readyState === EventSource.CLOSED) setTimeout(begin, 3000); };
  const listens = { node: ["nodes"], air: ["nodes", "broadcasts"], coverage: ["broadcasts"], broadcast: ["broadcasts", "timetable"],
    bulletin: ["bulletins"], programme: ["timetable"], resync: Object.keys(loaders) };
  for (const [kind, names] of Object.entries(listens)) stream.addEventListener(kind, () => refresh(...names));
}

async function begin() {
  if (stream) { stream.close(); stream = null; }
  try { await showBoard(await ask("GET", "/session")); } catch (error) {
    if (error.status !== 401) { setLine("lost"); setTimeout(begin, 3000); }
  }
}

$("sign-in-form").onsubmit = async (event) => {
  event.preventDefault();
  const form = event.currentTarget;
  const button = form.querySelector("button");
  button.disabled = true;
  showWrong(form, null);
  try {
    const asked = { account: form.account.value, password: form.password.value };
    const code = form.code.value.trim();
    const session = await ask("POST", "/session", code ? { ...asked, code } : asked);
    form.password.value = form.code.value = "";
    await showBoard(session);
  } catch (error) {
    if (["code_required", "rate_limited"].includes(error.code)) $("code-field").hidden = false;  // a right code is heard even then
    if (error.code !== "code_required") showWrong(form, error);
    if (!$("code-field").hidden) { form.code.focus(); form.code.select(); }
  } finally { button.disabled = false; }
};
$("sign-out").onclick = () => act(null, async () => { await ask("DELETE", "/session"); showSignIn(); });
$("password-form").onsubmit = async (event) => {
  event.preventDefault();
  const form = event.currentTarget;
  showWrong($("notice"), null);
  try {
    await ask("POST", "/session/password", { old_password: form.elements.old.value, new_password: form.elements.new.value });
    form.reset();
    $("notice").hidden = true;
    $("printed-once").hidden = true;
    toast(word("password_changed"));
  } catch (error) { showWrong($("notice"), error); }
};
$("new-password").onclick = () => { $("notice").hidden = false; $("password-form").elements.old.focus(); };
$("language").onclick = () => {
  language = language === "vi" ? "en" : "vi";
  localStorage.setItem("loa-language", language);
  fillWords();
  setLine($("line").dataset.how || "");
  if (me) { showWho(); showAll(); }
};
$("upload").onsubmit = uploadRecording;
$("file").onchange = () => {
  const file = $("file").files[0];
  $("file-name").textContent = file ? file.name : "";
  if (file && !$("upload").title.value) $("upload").title.value = file.name.replace(/\.[^.]*$/, "").replace(/[_-]+/g, " ").slice(0, 200);
};
$("cancel-import").onclick = cancelImport;
$("say-close").onclick = () => $("say").close();
$("say-form").onsubmit = sayIt;
$("say-form").oninput = sayChanged;
setInterval(() => { if (!$("board").hidden) { showAir(); showNodes(); } }, 1000);
setInterval(() => { if (!$("board").hidden) refresh("nodes", "broadcasts"); }, 30000);
fillWords();
begin();
