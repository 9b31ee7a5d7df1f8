"use strict";
// Which page is shown: the part of the address after #. Every page has a heading that takes the focus, and a title.
const PARTS = ["sign-in", "set-up", "board", "alerts", "compose", "alert", "cap", "accounts", "enrolments", "mine", "settings"];
let here = { part: "", args: [] };

/** Where the address leads: a part of the page and what it is about. */
function _address() {
  const [first, second, third] = location.hash.replace(/^#\/?/, "").split("/");
  if (first === "alerts" && second === "new") return { part: "compose", args: [["live", "drill"].includes(third) ? third : ""] };
  if (first === "alerts" && second === "cap" && third) return { part: "cap", args: [third] };
  if (first === "alerts" && second) return { part: "alert", args: [second] };
  if (first === "settings") return { part: first, args: [second, third] };
  if (["alerts", "accounts", "enrolments", "mine"].includes(first)) return { part: first, args: [] };
  return { part: "board", args: [] };
}

/** Show one part of the page. */
function only(part) {
  document.body.classList.remove("booting");
  for (const name of PARTS) $(name).hidden = name !== part;
  const out = part === "sign-in";
  $("sign-out").hidden = out;
  $("nav").hidden = out || part === "set-up";
  if (!["alert", "compose", "cap"].includes(part)) setKind("");
}

/** A live alert's page and a drill's look different in every part: band, frame, ground, words, title. */
function setKind(kind, title = "", over = false) {
  document.body.dataset.kind = kind;
  $("band").hidden = !kind;
  if (kind) $("band-words").textContent = word("band_" + kind);
  $("band-hint").textContent = kind ? word(over ? "band_hint_over" : "band_hint_" + kind) : "";
  document.title = (kind ? word("title_" + kind) + (title ? ": " + title : "") + " – " : "") + "Loa";
}

const _SHOWS = {
  board: () => catchUp(), alerts: () => showAlerts(), compose: (kind) => showCompose(kind), alert: (id) => openAlert(id),
  cap: (id) => openCap(id), accounts: () => openAccounts(), enrolments: () => openEnrolments(), mine: () => openMine(),
  settings: (section, one) => openSettings(section, one),
};
const _NEEDS = { alerts: "alert.read", compose: "alert.compose", alert: "alert.read", cap: "alert.read", accounts: "account.read", enrolments: "node.enrol", settings: "alert.read" };
/** What the province sets is looked at by those who are there for all of it. */
const _may = (part, needs = _NEEDS[part]) => !needs || can(needs, part === "settings" ? (state.areas.find((a) => !a.parent) || { path: "" }).path : undefined);

/** Scripts and styles that only some pages need come when one of those is opened for the first time. */
const _LATER = { accounts: "people", enrolments: "people", mine: "people", settings: "settings" };
const _came = {};
let _shown = "#/";

async function _bring(name, focus) {
  _came[name] = "soon";
  const isAwaited = () => _LATER[_address().part] === name; // nobody went on meanwhile
  const slow = setTimeout(() => toast(word("loading")), 500);
  try {
    for (const file of document.querySelector(`meta[name=later-${name}]`).content.split(" ")) await new Promise((onload, onerror) => {
      const address = "/page/" + file;
      document.head.append(file.endsWith("css") ? make("link", { rel: "stylesheet", href: address, onload, onerror }) : make("script", { src: address, onload, onerror }));
    });
    _came[name] = "here";
    fillWords();
    if (isAwaited()) route(focus);
  } catch {
    _came[name] = "";
    toast(word("part_missing"));
    if (isAwaited()) location.hash = _shown;
  } finally { clearTimeout(slow); }
}

/** Go where the address says. `focus`: a person went there, so the heading takes the focus. */
function route(focus = true) {
  if (!me || me.set_up_code) return;
  let next = _address();
  if (!_may(next.part)) next = { part: "board", args: [] };
  const later = _LATER[next.part];
  if (later && _came[later] !== "here") {
    if (!_came[later]) _bring(later, focus);
    return;
  }
  here = next;
  _shown = location.hash;
  only(next.part);
  showNav();
  showSounding();
  _SHOWS[next.part](...next.args);
  if (!focus) return;
  scrollTo(0, 0);
  const heading = $(next.part).querySelector("h1");
  if (heading) { heading.tabIndex = -1; heading.focus({ preventScroll: true }); }
}

function showNav() {
  const pages = ["board", "alerts", "settings", "enrolments", "accounts", "mine"].filter((page) => _may(page));
  const waiting = state.alerts.filter((a) => a.status === "composed").length;
  const counted = waiting > 0 && can("alert.release");
  const name = (page) => page === "alerts" && counted ? word("nav_waiting", { n: waiting }) : word("nav_" + page);
  const current = { compose: "alerts", alert: "alerts", cap: "alerts" }[here.part] || here.part;
  fill("nav", [me.account, me.may, current, waiting], () => pages.map((page) =>
    make("a", { href: page === "board" ? "#/" : "#/" + page, "data-id": page, "aria-current": page === current ? "page" : null, class: page,
      "aria-label": page === "alerts" && counted ? word("nav_waiting_words", { n: waiting }) : null }, name(page))));
}
window.addEventListener("hashchange", () => route());
$("skip").onclick = (event) => { event.preventDefault(); const main = $(here.part || "sign-in"); main.tabIndex = -1; main.focus(); };
