"use strict";
// Who is signed in and what they may do; codes: set up, asked for at sign-in, and asked for afresh before something sounds.
let me = null;

/** Whether the one who is signed in has this permission, at an area where one is given. */
function can(permission, area) {
  const reach = (me && me.may[permission]) || [];
  return area === undefined ? reach.length > 0 : reach.some((own) => area === own || area.startsWith(own + "/"));
}

function showWho() {
  if (!me) return;
  const roles = me.roles.map((post) => `${word("role_" + post.role)} · ${areaName(post.area)}`);
  $("who").textContent = [me.account, ...roles].join(" — ");
  $("who").title = roles.join("\n");
}

/** Show what this person may use, and nothing else. */
function showAllowed() {
  $("speak").hidden = !can("bulletin.draft");
  $("notice").hidden = !me.change_password;
  $("printed-once").hidden = !me.change_password;
  $("recovery").hidden = !me.has_code;
}

/** A drawing that the server made, as elements: no markup is ever taken from text. */
function drawing(svg) {
  const parsed = new DOMParser().parseFromString(svg, "image/svg+xml").documentElement;
  const drawn = document.importNode(parsed, true);
  drawn.setAttribute("role", "img");
  drawn.setAttribute("aria-label", word("qr"));
  return drawn;
}

async function showSetUp() {
  only("set-up");
  $("set-up-form").hidden = false;
  $("set-up-done").hidden = true;
  showWrong($("set-up"), null);
  try {
    const begun = await ask("POST", "/session/code");
    $("qr").replaceChildren(drawing(begun.qr));
    $("secret").textContent = begun.secret.replace(/(.{4})(?=.)/g, "$1 ");
    $("open-app").href = begun.address;
    $("set-up-form").code.focus();
  } catch (error) { showWrong($("set-up"), error); }
}

function showRecoveryCodes(found) {
  only("set-up");
  $("set-up-form").hidden = true;
  $("set-up-done").hidden = false;
  $("recovery-codes").replaceChildren(...found.recovery_codes.map((code) => make("li", {}, code)));
}

$("set-up-form").onsubmit = async (event) => {
  event.preventDefault();
  const form = event.currentTarget;
  showWrong($("set-up"), null);
  try {
    showRecoveryCodes(await ask("POST", "/session/code/confirm", { code: form.code.value }));
    form.reset();
  } catch (error) { showWrong($("set-up"), error); }
};
$("written-down").onclick = () => begin();
$("recovery").onclick = () => act($("recovery"), async () => showRecoveryCodes(await ask("POST", "/session/recovery-codes")));

let waiting = null;

/** Ask for a fresh code, and the password where that is wanted too; resolves once the server has taken it, rejects
 * where the person thinks better of it. */
function freshCode(password = false) {
  if (waiting) return waiting.promise;
  waiting = { password };
  $("step-up-hint").textContent = word(password ? "step_up_password_hint" : "step_up_hint");
  $("step-up-password").hidden = !password;
  $("step-up-form").password.required = password;
  waiting.promise = new Promise((resolve, reject) => Object.assign(waiting, { resolve, reject }));
  showWrong($("step-up"), null);
  $("step-up-form").reset();
  $("step-up").showModal();
  $("step-up-form")[password ? "password" : "code"].focus();
  return waiting.promise;
}
$("step-up-form").onsubmit = async (event) => {
  event.preventDefault();
  showWrong($("step-up"), null);
  $("step-up-go").disabled = true;
  try {
    const form = $("step-up-form");
    await ask("POST", "/session/step-up", waiting.password ? { code: form.code.value, password: form.password.value } : { code: form.code.value });
    form.reset();
    waiting.resolve();
    waiting = null;
    $("step-up").close();
  } catch (error) {
    showWrong($("step-up"), error);
    $("step-up-form")[error.field === "password" ? "password" : "code"].select();
  } finally { $("step-up-go").disabled = false; }
};
$("step-up").onclose = () => { if (waiting) { waiting.reject(new Problem({ title: word("nothing_done"), code: "cancelled", status: 0 })); waiting = null; } };
$("step-up-close").onclick = () => $("step-up").close();
