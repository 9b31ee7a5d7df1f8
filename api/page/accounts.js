"use strict";
// Accounts: who may sign in, as what and where; what the one who looks may change.
let people = [];
const ROLES = ["operator", "approver", "technician", "reader", "duty_officer", "province_admin", "auditor"];
const _PROVINCE_ONLY = ["duty_officer", "province_admin", "auditor"];

async function openAccounts() {
  $("account-add").hidden = !can("account.manage");
  const lines = $("new-roles");
  if (!lines.childElementCount) lines.replaceChildren(_roleLine());
  try { people = (await ask("GET", "/accounts")).items; showAccounts(); showWrong($("accounts"), null); } catch (error) { showWrong($("accounts"), error); }
  $("accounts").classList.remove("unread");
}

/** One role at one place, as two lists. */
function _roleLine(post = { role: "operator", area: "" }) {
  const role = make("select", { "aria-label": word("role"), class: "role" }, ROLES.map((r) => make("option", { value: r, selected: r === post.role }, word("role_" + r))));
  const area = make("select", { "aria-label": word("role_area"), class: "role-area" });
  const places = () => {
    const had = area.value || post.area;
    const found = state.areas.filter((a) => !_PROVINCE_ONLY.includes(role.value) || !a.parent);
    area.replaceChildren(...found.map((a) => make("option", { value: a.path, selected: a.path === had }, " ".repeat(a.path.split("/").length - 1) + a.name)));
  };
  role.onchange = places;
  places();
  const line = make("div", { class: "role-line" }, role, area, make("button", { type: "button", class: "quiet small", onclick: () => line.remove() }, word("remove")));
  return line;
}
const _rolesIn = (place) => [...place.querySelectorAll(".role-line")].map((line) => ({ role: line.querySelector(".role").value, area: line.querySelector(".role-area").value }));

function _accountRow(one, isOpen) {
  const marks = [one.status === "disabled" ? ["bad", "disabled"] : null, one.needs_code ? (one.has_code ? ["ok", "with_code"] : ["warn", "wants_code"]) : null, one.change_password ? ["warn", "first_password"] : null].filter(Boolean);
  const posts = one.roles.map((p) => `${word("role_" + p.role)} · ${areaName(p.area)}`).join("; ") || word("no_role");
  return make("details", { class: "node", "data-name": one.name, open: isOpen },
    make("summary", {}, make("span", { class: "dot " + (one.status === "active" ? "online" : "silent") }), make("span", { class: "name" }, make("b", {}, one.name), one.full_name ? " " + one.full_name : ""),
      make("span", { class: "figures" }, posts, marks.map(([tag, name]) => make("span", { class: "tag " + tag }, word(name))))),
    can("account.manage") ? _accountActs(one) : make("p", { class: "soft" }, word("created", { when: instant(one.created_at) })));
}

function _accountActs(one) {
  const lines = make("div", {}, one.roles.map(_roleLine));
  const wrong = make("p", { class: "wrong", role: "alert", hidden: true });
  const acts = make("div", { class: "account-acts" });
  const button = (name, work, kind = "small") => make("button", { type: "button", class: kind, onclick: (e) => _change(acts, e.currentTarget, work) }, word(name));
  acts.append(lines, make("div", { class: "row" }, make("button", { type: "button", class: "quiet small", onclick: () => lines.append(_roleLine()) }, word("add_role")),
    button("save_roles", async () => { await ask("PUT", `/accounts/${one.name}/roles`, { roles: _rolesIn(lines) }); toast(word("roles_ended")); })),
    make("div", { class: "row" },
      button("reset_password", async () => confirm(word("confirm_reset", { name: one.name })) && _showPassword(await ask("POST", `/accounts/${one.name}/reset`, { code: false }))),
      one.has_code ? button("reset_code", async () => confirm(word("confirm_reset", { name: one.name })) && _showPassword(await ask("POST", `/accounts/${one.name}/reset`, { code: true }))) : null,
      one.status === "active" ? button("disable", async () => confirm(word("confirm_disable", { name: one.name })) && ask("POST", `/accounts/${one.name}/disable`), "small stop") : button("enable", () => ask("POST", `/accounts/${one.name}/enable`))), wrong);
  return acts;
}

/** Something about an account; what goes wrong is said beside it. */
async function _change(place, button, work) {
  button.disabled = true;
  showWrong(place, null);
  try { if (await work() !== false) await openAccounts(); } catch (error) { showWrong(place, error); } finally { button.disabled = false; }
}

function showAccounts() {
  const wanted = _plainWord($("account-filter").value);
  const open = new Set([...$("account-list").querySelectorAll("details[open]")].map((d) => d.dataset.name));
  const found = people.filter((one) => _plainWord(`${one.name} ${one.full_name}`).includes(wanted));
  $("account-list").replaceChildren(...found.map((one) => _accountRow(one, open.has(one.name))));
}

function _showPassword(made) {
  if (made.one_time_password) showSecret(word("one_time_for", { name: made.name }), made.one_time_password);
}

/** Something that is shown once: it stays until the person says so. */
function showSecret(title, secret) {
  $("once-title").textContent = title;
  $("once-secret").textContent = secret;
  $("once-copy").hidden = !navigator.clipboard;
  $("once").showModal();
}
$("once-copy").onclick = () => act($("once-copy"), async () => { await navigator.clipboard.writeText($("once-secret").textContent); toast(word("copied")); });
$("once").onclose = () => { $("once-secret").textContent = ""; };
$("once-close").onclick = () => $("once").close();
$("account-filter").oninput = showAccounts;
$("new-role").onclick = () => $("new-roles").append(_roleLine());
$("account-form").onsubmit = async (event) => {
  event.preventDefault();
  const form = $("account-form");
  const button = form.querySelector("button.main");
  showWrong(form, null);
  button.disabled = true;
  try {
    const made = await ask("POST", "/accounts", { name: form.elements.name.value.trim(), full_name: form.elements.full_name.value.trim(), roles: _rolesIn($("new-roles")) });
    form.reset();
    $("new-roles").replaceChildren(_roleLine());
    dropDraft("account");
    toast(word("account_made", { name: made.name }));
    _showPassword(made);
    await openAccounts();
  } catch (error) { showWrong(form, error); } finally { button.disabled = false; }
};
keepsDraft($("account-form"), "account");
