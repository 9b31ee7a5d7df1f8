"use strict";
// Alerts of others: whose are taken, and what came, was refused and why.
const _SOURCE_TAG = { good: "ok", posts: "", new: "warn", failing: "warn", stale: "bad" };
const _WAITS = ["needs_area", "not_composed", "cancel_asked"];
let _capFilter = { state: "", source: "" };
let _sourceEditing = null; // {id, seen, content}

SECTIONS.cap = async (id) => {
  const sources = (await ask("GET", "/cap/sources")).items;
  if (id !== undefined && maySet("key.manage")) {
    const seen = sources.find((one) => one.name === id) || null;
    if (seen || id === _NEW) return _sourcePage(id, seen);
  }
  if (_capFilter.source && !sources.some((one) => one.name === _capFilter.source)) _capFilter.source = "";
  const page = await ask("GET", "/cap?" + _capQuery());
  return make("div", { class: "columns" }, make("div", { class: "column" }, _sourcesCard(sources)), make("div", { class: "column wide" }, _incomingCard(page, sources)));
};

// What came

function _capQuery(cursor = "") {
  const asked = new URLSearchParams({ limit: "20" });
  if (_capFilter.state === "refused") asked.set("refused", "true");
  else if (_capFilter.state) asked.set("state", _capFilter.state);
  if (_capFilter.source) asked.set("source", _capFilter.source);
  if (cursor) asked.set("cursor", cursor);
  return asked.toString();
}

function _incomingCard(page, sources) {
  const filter = (name, options) => choice({ name, "aria-label": word("cap_filter_" + name), onchange: (e) => { _capFilter[name] = e.target.value; redraw(); } }, options, _capFilter[name]);
  const list = make("div", { id: "cap-list" }, page.items.map(_incomingRow));
  let next = page.next_cursor;
  const more = make("button", { type: "button", hidden: !next, onclick: (e) => tried(further, e.currentTarget, async () => {
    const older = await ask("GET", "/cap?" + _capQuery(next));
    next = older.next_cursor;
    more.hidden = !next;
    list.append(...older.items.map(_incomingRow));
  }) }, word("older"));
  const further = make("div", {}, more, make("p", { class: "wrong", role: "alert", hidden: true }));
  const none = _capFilter.state || _capFilter.source ? "cap_none_such" : sources.length ? "cap_none" : "cap_none_no_source";
  return make("section", { class: "card" }, make("h2", {}, word("cap_incoming")), make("p", { class: "hint" }, word("cap_hint")),
    make("div", { class: "inline filters" }, filter("state", [["", word("cap_all")], ["refused", word("cap_refused")], ..._WAITS.map((s) => [s, word("cap_" + s)]), ["composed", word("cap_composed")], ["done", word("cap_done")]]),
      sources.length ? filter("source", [["", word("cap_all_sources")], ...sources.map((one) => [one.name, one.name])]) : null),
    page.items.length ? list : make("p", { class: "soft" }, word(none)), further);
}

/** Live, drill and test by word and shape, as everywhere. */
function _capKindTag(c) {
  if (c.kind === "live") return make("span", { class: "kind live" }, word("kind_live"));
  if (c.kind === "exercise") return make("span", { class: "kind drill" }, word("kind_drill"));
  return c.kind === "test" ? make("span", { class: "tag" }, word("cap_test")) : null;
}

function _incomingRow(c) {
  const tag = c.refused ? ["bad", "cap_refused"] : [_WAITS.includes(c.state) ? "warn" : c.state === "composed" ? "ok" : "", "cap_" + c.state];
  const inside = make("div", { class: "incoming" });
  const row = make("details", { class: "node", "data-id": c.id, ontoggle: () => { if (row.open && !inside.childElementCount) _openIncoming(c, inside); } },
    make("summary", {}, make("span", { class: "dot " + (c.refused ? "silent" : "online") }), make("span", { class: "name" }, make("b", {}, c.title || c.identifier || word("cap_nameless")), " ", _capKindTag(c)), make("span", { class: "tag " + tag[0] }, word(tag[1])),
      make("span", { class: "figures" }, make("span", {}, c.sender || word("cap_no_sender")), make("span", {}, c.source || word("cap_by", { who: c.received_by })), make("span", {}, instant(c.received_at)), c.refused || c.trouble ? make("span", {}, c.verdict) : null)), inside);
  return row;
}

function _incomingFacts(c) {
  const places = [...c.areas.matched.map(areaName), ...c.areas.named.map((n) => n.description), ...c.areas.elsewhere];
  const facts = [["cap_identifier", c.identifier], ["cap_status", [c.status && word("cap_status_" + c.status), c.msg_type && word("cap_msg_" + c.msg_type)].filter(Boolean).join(", ")], ["cap_sent", c.sent && instant(c.sent)], ["cap_expires", c.expires_at && instant(c.expires_at)], ["cap_places", places.join("; ")],
    ["cap_signed", c.signature && word("cap_signature_" + c.signature) + (c.signer ? ` (${c.signer})` : "")], ["cap_expected", c.source && word(c.sender_is_expected ? "yes" : "cap_not_expected")]];
  return make("dl", { class: "facts" }, facts.filter(([, value]) => value).map(([name, value]) => make("div", {}, make("dt", {}, word(name)), make("dd", {}, value))));
}

/** All of one: the verdict in full, what may be done about it, and the XML as it came. */
async function _openIncoming(c, inside) {
  inside.replaceChildren(make("p", { class: "soft" }, word("loading")));
  try {
    const one = await ask("GET", "/cap/" + c.id);
    inside.replaceChildren(make("p", { class: one.refused || one.trouble ? "wrong" : "soft" }, `${one.verdict} — ${one.remedy} `, make("code", {}, [one.trouble || one.code, one.field].filter(Boolean).join(" · "))), _incomingFacts(one), _incomingActs(one),
      make("details", {}, make("summary", {}, word("cap_xml")), make("pre", { class: "xml", tabindex: 0 }, one.xml)));
  } catch (error) {
    inside.replaceChildren(make("p", { class: "wrong", role: "alert", hidden: true }));
    tell(inside, error);
    inside.append(make("button", { type: "button", class: "small", onclick: () => _openIncoming(c, inside) }, word("try_again")));
  }
}

/** An alert is made of it on a page of its own kind; here is only the way there. */
function _incomingActs(c) {
  const own = (id) => make("a", { class: "button", href: "#/alerts/" + id }, word("cap_ours"));
  const settle = make("button", { type: "button", onclick: (e) => confirm(word("confirm_settle")) && tried(acts, e.currentTarget, async () => {
    await ask("POST", `/cap/${c.id}/settle`);
    canUndo("cap_settled", {}, null);
    refresh("cap");
    await redraw();
  }) }, word("cap_settle"));
  const composes = ["needs_area", "not_composed"].includes(c.state);
  const acts = make("div", {}, make("div", { class: "row" }, composes && maySet("alert.compose") ? make("a", { class: "button", href: "#/alerts/cap/" + c.id }, word("cap_go_compose")) : null, composes && !maySet("alert.compose") ? make("p", { class: "soft" }, word("cap_officer_composes")) : null,
    c.alert ? own(c.alert) : null, c.state === "cancel_asked" ? c.before.map(own) : null, c.state === "cancel_asked" && maySet("alert.cancel") ? settle : null), make("p", { class: "wrong", role: "alert", hidden: true }));
  return acts;
}

// Whose are taken

function _sourcesCard(sources) {
  const may = maySet("key.manage");
  return make("section", { class: "card", id: "cap-sources" }, make("h2", {}, word("cap_sources")), make("p", { class: "hint" }, word("cap_sources_hint")), sources.length ? make("ul", { class: "pick-list" }, sources.map((one) => _sourceRow(one, may))) : make("p", { class: "soft" }, word(may ? "no_sources" : "no_sources_ask")),
    may ? make("p", {}, make("a", { class: "button", id: "source-new", href: "#/settings/cap/" + _NEW }, word("new_source"))) : null);
}

function _sourceRow(one, may) {
  const tried_ = one.tried_at ? word("source_tried", { ago: ago(one.tried_at) }) : one.url ? word("source_never_tried") : "";
  const good = one.good_at ? word("source_read", { ago: ago(one.good_at) }) : "";
  const said = make("span", { class: "grow" }, make("b", {}, one.name), make("span", { class: "soft" }, one.url || word("source_posts_hint")), make("span", { class: "soft" }, one.senders.join(", ")),
    make("span", { class: "soft" }, [tried_, good, one.failures ? word("source_failures", { n: one.failures }) : "", word("source_keys", { n: one.pins.length })].filter(Boolean).join(" · ")), one.trouble ? make("span", { class: "trouble-words" }, one.trouble_words, " ", make("code", {}, one.trouble)) : null);
  const tag = make("span", { class: "tag " + _SOURCE_TAG[one.state] }, word("source_" + one.state));
  return make("li", { "data-name": one.name }, may ? make("a", { href: "#/settings/cap/" + encodeURIComponent(one.name) }, said, tag) : make("div", { class: "item row" }, said, tag));
}

/** A pinned key as the API takes it back. */
function _pem(hex) {
  const bytes = String.fromCharCode(...hex.match(/../g).map((pair) => parseInt(pair, 16)));
  return `-----BEGIN PUBLIC KEY-----\n${btoa(bytes).replace(/.{64}/g, "$&\n")}\n-----END PUBLIC KEY-----\n`;
}
const _sourceContent = (one) => ({ url: one.url, senders: one.senders, hosts: one.hosts, is_local: one.is_local, interval_s: one.interval_s, pins: one.pins.map((pin) => ({ name: pin.name, certificate: _pem(pin.key) })) });
const _sourceHash = (one) => (one ? one.content_hash : "");
const _sourcePath = (name) => "/cap/sources/" + encodeURIComponent(name);

function _sourcePage(id, seen) {
  const kept = heldBefore("cap-source-" + id);
  // What was typed earlier was typed over what was there then, whoever saved meanwhile.
  _sourceEditing = { id, seen, began: kept ? kept.value.began : _sourceHash(seen), content: kept ? kept.value.content : seen ? { name: seen.name, ..._sourceContent(seen) } : { name: "", url: "", senders: [], hosts: [], is_local: false, interval_s: 60, pins: [] } };
  return [make("p", {}, make("a", { href: "#/settings/cap", class: "back" }, "← ", word("set_cap"))),
    kept ? draftNotice("cap-source-" + id, kept) : null,
    make("section", { class: "card" }, make("h2", {}, seen ? seen.name : word("new_source")), _sourceForm())];
}

function _sourceForm() {
  const { id, seen, content: c } = _sourceEditing;
  const lines = (name, value, hint) => field(word("source_" + name), make("textarea", { name, rows: 2, spellcheck: "false", autocapitalize: "none" }, value.join("\n")), hint);
  const form = make("form", { id: "source-form", novalidate: true, onsubmit: (e) => { e.preventDefault(); _saveSource(form); } },
    id === _NEW ? field(word("source_name"), make("input", { name: "name", value: c.name, maxlength: 32, autocapitalize: "none", autocomplete: "off", spellcheck: "false" })) : null,
    field(word("source_url"), make("input", { name: "url", value: c.url, inputmode: "url", maxlength: 1000, autocomplete: "off", spellcheck: "false", placeholder: "https://" }), word("source_url_hint")),
    lines("senders", c.senders, word("source_senders_hint")), lines("hosts", c.hosts, word("source_hosts_hint")),
    field(word("source_interval"), make("input", { name: "interval_s", type: "number", min: 20, max: 3600, inputmode: "numeric", value: c.interval_s ?? "" })), make("label", { class: "tick" }, make("input", { type: "checkbox", name: "is_local", checked: c.is_local }), make("span", {}, word("source_local"))),
    make("fieldset", {}, make("legend", {}, word("source_pins")), make("p", { class: "hint" }, word("source_pins_hint")), c.pins.map((pin, at) => make("div", { class: "item" }, field(word("pin_name"), make("input", { name: `pins.${at}.name`, value: pin.name, maxlength: 200, autocomplete: "off" })),
      field(word("pin_pem"), make("textarea", { name: `pins.${at}.certificate`, rows: 3, class: "digest", spellcheck: "false", autocapitalize: "none" }, pin.certificate)), make("button", { type: "button", class: "quiet small", "aria-label": `${word("remove_pin")}: ${pin.name}`, onclick: () => { c.pins.splice(at, 1); _redrawSource(); } }, word("remove_pin")))),
    make("button", { type: "button", class: "small", onclick: () => { c.pins.push({ name: "", certificate: "" }); _redrawSource(`pins.${c.pins.length - 1}.name`); } }, word("add_pin"))),
    make("p", { class: "wrong", role: "alert", hidden: true }),
    make("div", { class: "row" }, make("button", { type: "submit", class: "main narrow" }, word("save")), make("span", { class: "spring" }), seen ? make("button", { type: "button", class: "stop", id: "source-delete", onclick: (e) => _deleteSource(form, e.currentTarget) }, word("delete_source")) : null));
  form.addEventListener("input", () => { _collectSource(form); _holdSource(); });
  return form;
}

const _holdSource = () => hold("cap-source-" + _sourceEditing.id, { content: _sourceEditing.content, began: _sourceEditing.began });

function _collectSource(form) {
  const { content: c } = _sourceEditing;
  const e = form.elements;
  const lines = (name) => e[name].value.split("\n").map((one) => one.trim()).filter(Boolean);
  if (e.name) c.name = e.name.value.trim();
  Object.assign(c, { url: e.url.value.trim(), senders: lines("senders"), hosts: lines("hosts"), is_local: e.is_local.checked, interval_s: e.interval_s.value === "" ? null : Number(e.interval_s.value) });
  c.pins = c.pins.map((_, at) => ({ name: e[`pins.${at}.name`].value, certificate: e[`pins.${at}.certificate`].value }));
}

function _redrawSource(to = "senders") {
  _holdSource();
  const made = _sourceForm();
  $("source-form").replaceWith(made);
  made.elements[to].focus();
}

function _saveSource(form) {
  return tried(form, form.querySelector("button.main"), async () => {
    const { id, seen, began, content } = _sourceEditing;
    const { name: typed, ...asked } = content;
    const name = id === _NEW ? typed : id;
    if (!/^[a-z0-9-]{1,32}$/.test(name)) throw new Problem({ title: word("bad_template_id"), field: "name" });
    let saved;
    try {
      saved = await ask("PUT", _sourcePath(name), { ...asked, content_hash: began });
    } catch (error) {
      if (error.code !== "content_changed") throw error;
      throw id === _NEW ? new Problem({ title: word("source_exists", { name }), field: "name" }) : await _sourceCollided(name);
    }
    dropDraft("cap-source-" + id);
    canUndo("source_saved", { name }, seen ? () => ask("PUT", _sourcePath(name), { ..._sourceContent(seen), content_hash: saved.content_hash })
      : () => ask("DELETE", `${_sourcePath(name)}?content_hash=${saved.content_hash}`));
    location.hash = "#/settings/cap";
  });
}

/** Somebody else saved first: what they saved is told, and the next save is over that. */
async function _sourceCollided(name) {
  const now = (await ask("GET", "/cap/sources")).items.find((one) => one.name === name) || null;
  Object.assign(_sourceEditing, { seen: now, began: _sourceHash(now) });
  _holdSource();
  return new Problem({ title: now ? word("source_collided", { url: now.url || word("source_posts_hint"), senders: now.senders.join(", ") }) : word("source_collided_gone") });
}

async function _deleteSource(form, button) {
  const { id, seen } = _sourceEditing;
  if (!confirm(word("confirm_delete_source", { name: seen.name }))) return;
  await tried(form, button, async () => {
    await ask("DELETE", `${_sourcePath(id)}?content_hash=${seen.content_hash}`);
    dropDraft("cap-source-" + id);
    canUndo("source_deleted", { name: seen.name }, () => ask("PUT", _sourcePath(id), { ..._sourceContent(seen), content_hash: "" }));
    location.hash = "#/settings/cap";
  });
}
