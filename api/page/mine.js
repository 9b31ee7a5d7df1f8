"use strict";
// One's own: codes, release keys, sessions and tokens.
async function openMine() {
  $("codes-card").hidden = !me.has_code;
  $("keys-card").hidden = !can("key.own");
  $("token-add").hidden = !Object.keys(me.may).length;
  const areas = state.areas.filter((a) => can("key.own", a.path));
  _options($("key-form").elements.area, areas.map((a) => [a.path, a.name]));
  _options($("token-form").elements.area, state.areas.filter((a) => can("area.read", a.path)).map((a) => [a.path, a.name]));
  const may = Object.keys(me.may).filter((p) => !_NOT_FOR_TOKENS.includes(p));
  fill("token-may", may, () => may.map((p) => make("label", { class: "tick" }, make("input", { type: "checkbox", name: "permissions", value: p }), make("span", {}, p))));
  await readMine();
}
/** What people do here and now, and no machine; the server has the last word. */
const _NOT_FOR_TOKENS = ["bulletin.approve", "node.test", "alert.compose", "alert.release", "alert.cancel", "account.manage", "key.manage", "key.own"];

async function readMine() {
  try {
    const [keys, tokens] = await Promise.all([can("key.own") ? ask("GET", "/people-keys/mine") : { items: [] }, ask("GET", "/tokens")]);
    _showKeys(keys.items);
    _showTokens(tokens.items);
  } catch (error) { showWrong($("mine"), error); }
  $("mine").classList.remove("unread");
}

function _showKeys(keys) {
  $("no-keys").hidden = keys.length > 0;
  $("key-list").replaceChildren(...keys.map((key) => {
    const status = key.retired_at ? ["", "retired"] : key.appointments.length ? ["ok", "appointed"] : ["warn", "not_appointed"];
    return make("li", { class: "item" }, make("div", { class: "row" }, make("span", { class: "kind " + key.kind }, word("kind_" + key.kind)), make("b", {}, areaName(key.area)), make("span", { class: "tag " + status[0] }, word(status[1]))),
      make("code", { class: "digest" }, key.id.replace(/(.{4})(?=.)/g, "$1 ")),
      make("div", { class: "row" }, make("button", { type: "button", class: "small", onclick: (e) => act(e.currentTarget, () => _saveRequest(key.id)) }, word("key_request")),
        key.retired_at ? null : make("button", { type: "button", class: "small", onclick: () => _openPassphrase(key) }, word("change_passphrase")),
        key.retired_at ? null : make("button", { type: "button", class: "small stop", onclick: (e) => confirm(word("confirm_retire", { id: key.id })) && act(e.currentTarget, async () => { await ask("POST", `/people-keys/${key.id}/retire`); await readMine(); }) }, word("retire"))));
  }));
}

async function _saveRequest(id) {
  const { request } = await ask("GET", `/people-keys/${id}/request`);
  const link = make("a", { download: `${me.account}-${id.slice(0, 8)}.request`, href: URL.createObjectURL(new Blob([JSON.stringify(request, null, 1)], { type: "application/json" })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** Both times the same, or said so. */
function _twice(form, root) {
  if (form.elements.passphrase.value === form.elements.again.value) return true;
  showWrong(root, new Problem({ title: word("not_the_same"), field: "again" }));
  return false;
}

$("key-form").onsubmit = async (event) => {
  event.preventDefault();
  const form = $("key-form");
  const e = form.elements;
  showWrong(form, null);
  if (!_twice(form, form)) return;
  try {
    await ask("POST", "/people-keys", { kind: e.kind.value, area: e.area.value, passphrase: e.passphrase.value });
    form.reset();
    form.closest("details").open = false;
    toast(word("key_made"));
    await readMine();
  } catch (error) { showWrong(form, error); }
};

let rekeyed = null;
function _openPassphrase(key) {
  rekeyed = key;
  $("rekey-form").reset();
  showWrong($("rekey"), null);
  $("rekey").showModal();
  $("rekey-form").elements.old.focus();
}
$("rekey-form").onsubmit = async (event) => {
  event.preventDefault();
  const form = $("rekey-form");
  showWrong($("rekey"), null);
  if (!_twice(form, $("rekey"))) return;
  try {
    await ask("POST", `/people-keys/${rekeyed.id}/passphrase`, { old_passphrase: form.elements.old.value, new_passphrase: form.elements.passphrase.value });
    form.reset();
    $("rekey").close();
    toast(word("passphrase_changed"));
  } catch (error) { showWrong($("rekey"), error); }
};
$("rekey-close").onclick = () => $("rekey").close();
$("rekey").onclose = () => $("rekey-form").reset();
$("codes-again").onclick = () => act($("codes-again"), showSetUp);

function _showTokens(tokens) {
  $("token-list").replaceChildren(...tokens.map((t) => make("li", { class: "item" },
    make("div", { class: "row" }, make("b", {}, t.name || word("a_session")), make("span", { class: "tag" }, word(t.session ? "a_session" : "this_token")), make("span", { class: "spring" }),
      make("button", { type: "button", class: "small stop", onclick: (e) => confirm(word("confirm_end", { name: t.name || word("a_session") })) && act(e.currentTarget, async () => { await ask("DELETE", "/tokens/" + t.id); toast(word("ended_it")); await readMine(); }) }, word("end_it"))),
    make("div", { class: "soft" }, [t.last_used_at ? word("last_used", { ago: ago(t.last_used_at) }) : word("never_used"), word("expires", { when: instant(t.expires_at) }), t.area && areaName(t.area), t.permissions && t.permissions.join(", ")].filter(Boolean).join(" · ")))));
}

$("token-form").onsubmit = async (event) => {
  event.preventDefault();
  const form = $("token-form");
  const e = form.elements;
  showWrong(form, null);
  try {
    const permissions = [...form.querySelectorAll("input[name=permissions]:checked")].map((one) => one.value);
    const made = await ask("POST", "/tokens", { name: e.name.value.trim(), permissions, area: e.area.value, lasts_days: Number(e.days.value) });
    form.reset();
    dropDraft("token");
    showSecret(word("token_made", { name: made.name }), made.token);
    await readMine();
  } catch (error) { showWrong(form, error); }
};
keepsDraft($("token-form"), "token");
