"use strict";
// Signing in, the language, and the stream of events that keeps the board true.
let stream = null;

function showSignIn() {
  if (stream) { stream.close(); stream = null; }
  csrf = me = null;
  setKind("");
  $("sounding").hidden = true;
  $("nav").replaceChildren();
  delete $("nav").dataset.key;
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
  await Promise.all([loaders.areas(), loaders.alerts()]); // what sounds now comes first, over a weak link too
  showWho();
  if (!state.nodes.length) document.body.classList.add("filling"); // the board shows itself at once whole, or after a while as far as it came
  const patience = setTimeout(() => document.body.classList.remove("filling"), 4000);
  route(false);
  listen();
  try { await readAll(); } finally { clearTimeout(patience); document.body.classList.remove("filling"); }
}

async function readAll() {
  const wanted = ["nodes", "broadcasts", "timetable", "bulletins"];
  await Promise.all(wanted.map((name) => loaders[name]().catch((error) => { if (error.status === 401 || !error.status) throw error; console.warn(name, error.code); })));
}

function listen() {
  setLine("wait");
  if (stream) stream.close();
  stream = new EventSource("/api/v1/events");
  stream.onopen = () => { setLine("open"); setLost(false); };
  stream.onerror = () => { setLine("lost"); setLost(true); if (stream && stream.readyState === EventSource.CLOSED) again = setTimeout(begin, 3000); };
  const listens = { node: ["nodes"], air: ["nodes", "broadcasts"], coverage: ["broadcasts"], broadcast: ["broadcasts", "timetable"],
    bulletin: ["bulletins"], programme: ["timetable"], alert: ["alerts"], cap: ["cap"], board: [] };
  for (const [kind, names] of Object.entries(listens)) stream.addEventListener(kind, () => refresh(...names));
  let fresh = true; // what was read a moment ago is not read again over a weak link; of alerts not one may be missed
  stream.addEventListener("resync", () => { refresh(...(fresh ? ["alerts"] : Object.keys(loaders))); fresh = false; });
  for (const kind of ["alert", "coverage", "broadcast", "air", "board", "resync"]) stream.addEventListener(kind, (event) => alertTold(kind, JSON.parse(event.data)));
  stream.addEventListener("alert", (event) => { const told = JSON.parse(event.data); if (told.direct_refused) toast(word("direct_refused_told", { why: told.direct_refused }), null, 60000); });
  stream.addEventListener("direct_release", (event) => { refresh("alerts"); toast(word("direct_told", { sender: JSON.parse(event.data).sender }), null, 60000); });
  stream.addEventListener("sole_release", (event) => toast(word("sole_told", { who: JSON.parse(event.data).by }), null, 60000));
}

let again = 0;

/** From the start: who is signed in, the lists, the events. Where the server does not answer, again in a moment. */
async function begin() {
  clearTimeout(again);
  if (stream) { stream.close(); stream = null; }
  try { await showBoard(await ask("GET", "/session")); } catch (error) {
    if (error.status === 401) return;
    setLine("lost");
    clearTimeout(again);
    again = setTimeout(begin, 3000);
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
$("try-again").onclick = () => act($("try-again"), begin);
addEventListener("online", () => { if (me) begin(); });
addEventListener("offline", () => { setLost(true); if (me) again = setTimeout(begin, 1000); }); // the server may be this very machine
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
  if (me) { showWho(); showAll(); route(false); }
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
setInterval(() => { if (!$("board").hidden) showAir(); }, 1000);
setInterval(() => { if (!$("board").hidden) showNodes(); }, 10000); // a province has a thousand: an old computer draws them now and then
setInterval(() => { if (me) refresh("nodes", "broadcasts", "alerts"); }, 30000);
fillWords();
begin();
