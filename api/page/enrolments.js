"use strict";
// New boxes: those that wait, with six digits to compare; labels.
let boxes = [];
let boxTimer = 0;

async function openEnrolments() {
  clearTimeout(boxTimer);
  if (here.part !== "enrolments" || !me) return;
  try {
    const [pending, labels] = await Promise.all([ask("GET", "/enrolments"), ask("GET", "/labels")]);
    boxes = pending.items;
    showBoxes();
    _showLabels(labels.items);
    showWrong($("enrolments"), null);
  } catch (error) { showWrong($("enrolments"), error); }
  $("enrolments").classList.remove("unread");
  boxTimer = setTimeout(openEnrolments, 5000); // a box that is being enrolled makes no event
}

function showBoxes() {
  $("no-pending").hidden = boxes.length > 0;
  const places = state.areas.filter((a) => can("node.enrol", a.path)).map((a) => [a.path, " ".repeat(a.path.split("/").length - 1) + a.name]);
  const nodes = state.nodes.filter((n) => can("node.enrol", n.area)).map((n) => n.id);
  // A card that somebody types into stays where it is.
  const key = (box) => [language, box.id, box.code].join();
  for (const card of [...$("pending-list").children]) if (!boxes.some((box) => key(box) === card.dataset.key)) card.remove();
  const shown = [...$("pending-list").children].map((card) => card.dataset.key);
  for (const box of boxes.filter((one) => !shown.includes(key(one)))) {
    const card = _boxCard(box, places, nodes);
    card.dataset.key = key(box);
    $("pending-list").append(card);
  }
}

function _boxCard(box, places, nodes) {
  const digits = (box.code || "").replace(/\D/g, "").replace(/(...)(?=.)/, "$1 ");
  const field = (name, attributes, ...more) => make("label", {}, make("span", {}, word(name)), make("input", attributes, ...more));
  const form = make("form", { class: "box", onsubmit: (e) => { e.preventDefault(); _confirmBox(box, form); } },
    make("p", { class: "six", "aria-label": digits.split("").join(" ") }, digits || word("no_digits")),
    make("p", { class: "soft" }, [word("box_label", { label: box.label }), word("box_from", { origin: box.origin }), word("begun", { ago: ago(box.begun_at) })].join(" · ")),
    make("label", {}, make("span", {}, word("replaces")), make("select", { name: "replaces", onchange: () => { form.querySelector(".fresh").hidden = form.elements.replaces.value !== ""; form.elements.name.required = form.elements.replaces.value === ""; } },
      make("option", { value: "" }, word("replaces_none")), nodes.map((n) => make("option", { value: n }, nodeName(n))))),
    make("div", { class: "fresh" }, field("node_name", { name: "name", required: true, maxlength: 32, pattern: "[a-z0-9-]+", autocomplete: "off" }),
      make("label", {}, make("span", {}, word("area")), make("select", { name: "area" }, places.map(([value, text]) => make("option", { value }, text)))), field("node_place", { name: "description", maxlength: 200 })),
    make("label", { class: "tick" }, make("input", { type: "checkbox", name: "same", required: true, "data-unkept": true }), make("span", {}, word("same_digits"))),
    make("p", { class: "wrong", role: "alert", hidden: true }),
    make("div", { class: "row" }, make("button", { class: "main narrow", type: "submit", disabled: !box.code }, word("confirm_box")),
      make("button", { class: "stop", type: "button", onclick: (e) => confirm(word("confirm_reject")) && act(e.currentTarget, async () => { await ask("POST", `/enrolments/${box.id}/rejection`); toast(word("box_rejected")); await openEnrolments(); }) }, word("reject_box"))));
  restoreDraft(form, "box-" + box.id);
  keepsDraft(form, "box-" + box.id);
  if (form.elements.replaces.value) form.elements.replaces.onchange();
  return form;
}

async function _confirmBox(box, form) {
  const e = form.elements;
  showWrong(form, null);
  try {
    const what = e.replaces.value ? { replaces: e.replaces.value } : { name: e.name.value.trim(), area: e.area.value, description: e.description.value.trim() };
    const node = await ask("POST", `/enrolments/${box.id}/confirmation`, { code: box.code, ...what });
    dropDraft("box-" + box.id);
    toast(word("box_confirmed", { node: node.id }));
    refresh("nodes");
    await openEnrolments();
  } catch (error) { showWrong(form, error); }
}

function _showLabels(labels) {
  $("no-labels").hidden = labels.length > 0;
  fill("label-list", labels, () => labels.map((l) => make("li", { class: "item row" }, make("code", {}, l.id), make("span", { class: "tag" }, word("label_" + l.state)), make("span", { class: "soft" }, `${word("by", { who: l.created_by })} · ${word("expires", { when: instant(l.expires_at) })}`), make("span", { class: "spring" }),
    l.state !== "unused" ? null : make("button", { type: "button", class: "small stop", onclick: (e) => confirm(word("confirm_revoke", { label: l.id })) && act(e.currentTarget, async () => { await ask("POST", `/labels/${l.id}/revoke`); await openEnrolments(); }) }, word("revoke")))));
}

$("label-form").onsubmit = async (event) => {
  event.preventDefault();
  const form = $("label-form");
  showWrong(form, null);
  try {
    const made = await ask("POST", "/labels", { count: Number(form.elements.count.value), days: Number(form.elements.days.value), drawn: true });
    $("fresh-labels").hidden = false;
    $("fresh-label-list").replaceChildren(...made.items.map((l) => make("li", { class: "label" }, l.qr ? drawing(l.qr) : null, make("b", {}, "LOA " + l.id), make("code", {}, l.code))));
    await openEnrolments();
  } catch (error) { showWrong(form, error); }
};
$("print-labels").onclick = () => print();
$("labels-done").onclick = () => { $("fresh-labels").hidden = true; $("fresh-label-list").replaceChildren(); };
