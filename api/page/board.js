"use strict";
// What is going on: on the air, loudspeakers, broadcasts with their coverage, the timetable.
const state = { areas: [], nodes: [], broadcasts: [], coverage: new Map(), bulletins: [], timetable: [] };

const time = (iso) => new Date(iso).toLocaleTimeString(language === "vi" ? "vi-VN" : "en-GB", { hour: "2-digit", minute: "2-digit", timeZone: "Asia/Ho_Chi_Minh" });
const dayKey = (iso) => new Date(iso).toLocaleDateString("en-CA", { timeZone: "Asia/Ho_Chi_Minh" });
function day(iso) {
  if (dayKey(iso) === dayKey(serverNow())) return word("today");
  return new Date(iso).toLocaleDateString(language === "vi" ? "vi-VN" : "en-GB", { weekday: "short", day: "numeric", month: "numeric", timeZone: "Asia/Ho_Chi_Minh" });
}
function ago(iso) {
  const s = Math.max(0, Math.round((serverNow() - Date.parse(iso)) / 1000));
  if (s < 5) return word("ago_now");
  if (s < 90) return word("ago_s", { n: s });
  if (s < 5400) return word("ago_min", { n: Math.round(s / 60) });
  if (s < 129600) return word("ago_h", { n: Math.round(s / 3600) });
  return word("ago_d", { n: Math.round(s / 86400) });
}
function span(ms) {
  const s = Math.round(ms / 1000);
  return Math.floor(s / 60) + ":" + String(s % 60).padStart(2, "0");
}
const areaName = (path) => { const found = state.areas.find((a) => a.path === path); return found ? found.name : path; };
const targetWords = (b) => [...b.target_areas.map(areaName), ...b.target_nodes].join(", ");
const endOf = (b) => Date.parse(b.start_at) + b.duration_ms;

function soundingNow() {
  const now = serverNow();
  const playing = new Set(state.nodes.map((n) => n.health && n.health.playing).filter(Boolean));
  return state.broadcasts.filter((b) => !["recalled", "withdrawn", "crowded_out"].includes(b.status) &&
    (playing.has(b.id) || (now < endOf(b) && Date.parse(b.start_at) - now < 60000)))
    .sort((a, b) => Date.parse(a.start_at) - Date.parse(b.start_at));
}

function showAir() {
  const live = soundingNow();
  const playingAt = (b) => state.nodes.filter((n) => n.health && n.health.playing === b.id).length;
  $("air").replaceChildren(...live.map((b) => {
    const wait = Math.ceil((Date.parse(b.start_at) - serverNow()) / 1000);
    return make("div", { class: "item row tight" },
      make("div", { class: "grow" }, make("b", {}, b.title), " ", precedenceTag(b), make("div", { class: "soft" },
        targetWords(b), " · ", wait > 0 ? word("starts_in", { n: wait }) : word("playing_at", { n: playingAt(b) }), " · ", span(b.duration_ms))),
      b.precedence === "emergency" ? toAlert(b) : !can("broadcast.recall", b.area) ? null : make("button", { class: "stop", type: "button", onclick: (e) => stopBroadcast(b, e.currentTarget) }, word("stop")));
  }));
  document.querySelector(".air").classList.toggle("live", live.length > 0);
  if (live.length) return;
  const next = state.timetable.find((b) => Date.parse(b.start_at) > serverNow());
  $("air").replaceChildren(make("p", { class: "soft" }, word("nothing_on_air"),
    next ? ` ${word("next")}: ${day(next.start_at)} ${time(next.start_at)}, ${next.title} → ${targetWords(next)}` : ""));
}

function precedenceTag(b) {
  const alert = b.precedence === "emergency" && state.alerts.find((a) => a.id === b.id);
  if (alert) return make("span", { class: "kind " + alert.kind }, word("kind_" + alert.kind));
  return b.precedence === "ordinary" ? null : make("span", { class: "tag live" }, word(b.precedence));
}

/** An emergency is taken back on its own page, by a key. */
const toAlert = (b) => make("a", { class: "button", href: "#/alerts/" + b.id }, word("open"));

/** The commune of an area, or the province: the first two parts of its path. */
const communeOf = (path) => path.split("/").slice(0, 2).join("/");

/** Where it stands, and in brackets its id and since when it is out of contact. */
function named(node, kind) {
  const more = [node.description && node.id, kind === "silent" && node.last_heard_at && ago(node.last_heard_at)].filter(Boolean);
  return (node.description || node.id) + (more.length ? ` (${more.join(", ")})` : "");
}

/** What an operator has to look at: loudspeakers that are silent, never came, or are muted, and what to do. */
function showTrouble() {
  const kinds = [["silent", (n) => n.state === "silent"], ["muted", (n) => n.state === "online" && n.health && n.health.muted], ["never", (n) => n.state === "never"]];
  const found = kinds.map(([kind, is]) => [kind, state.nodes.filter(is)]).filter(([, nodes]) => nodes.length);
  $("trouble").hidden = !found.length;
  $("trouble").replaceChildren(...found.map(([kind, nodes]) => make("div", { class: "item" },
    make("b", {}, word("trouble_" + kind, { n: nodes.length })), ": ",
    nodes.slice(0, 6).map((n) => named(n, kind)).join("; ") + (nodes.length > 6 ? word("and_more", { n: nodes.length - 6 }) : ""),
    make("div", { class: "soft" }, word("do_" + kind)))));
}

function showNodes() {
  showTrouble();
  const open = new Set([...document.querySelectorAll("details.node[open]")].map((d) => d.dataset.node));
  if (document.activeElement && document.activeElement.closest("details.node .acts")) return; // somebody is setting one
  const groups = new Map();
  for (const node of state.nodes) groups.set(communeOf(node.area), [...(groups.get(communeOf(node.area)) || []), node]);
  const online = state.nodes.filter((n) => n.state === "online").length;
  $("node-counts").textContent = state.nodes.length ? word("counts", { online, all: state.nodes.length }) : "";
  $("nodes").replaceChildren(...[...groups.keys()].sort().map((path) =>
    make("div", { class: "area" }, make("h3", {}, areaName(path), " ", make("span", { class: "counts" },
      word("counts", { online: groups.get(path).filter((n) => n.state === "online").length, all: groups.get(path).length }))),
    ...groups.get(path).sort(troubledFirst).map((n) => nodeRow(n, open.has(n.id))))));
  if (!state.nodes.length) $("nodes").replaceChildren(make("p", { class: "soft" }, word("no_nodes")));
}

const _rank = { silent: 0, never: 1, online: 2 };
const troubledFirst = (a, b) => _rank[a.state] - _rank[b.state] || a.id.localeCompare(b.id, undefined, { numeric: true });

function nodeRow(node, open) {
  const health = node.health;
  const playing = health && health.playing;
  const title = playing && (state.broadcasts.find((b) => b.id === playing) || { title: playing.slice(0, 8) }).title;
  const figures = [];
  if (playing) figures.push(make("b", {}, word("playing", { title })));
  if (health) {
    figures.push(word("volume", { n: health.volume }));
    if (health.link_rate) figures.push(word("link", { n: Math.round(health.link_rate / 1000) }));
    if (health.time_error_ms !== null) figures.push(word("clock", { n: health.time_error_ms }));
  }
  figures.push(node.last_heard_at ? word("heard", { ago: ago(node.last_heard_at) }) : word("never_heard"));
  const tag = health && health.muted ? make("span", { class: "tag bad" }, word("muted"))
    : make("span", { class: "tag " + ({ online: "ok", silent: "bad" }[node.state] || "warn") }, word(node.state));
  const slider = make("input", { type: "range", min: 0, max: 100, step: 5, value: node.volume, "aria-label": word("set_volume") });
  slider.onchange = () => act(slider, async () => {
    await ask("POST", `/nodes/${node.id}/volume`, { volume: Number(slider.value) }, { sounds: true });
    toast(word("volume_sent"));
  });
  return make("details", { class: "node", "data-node": node.id, open },
    make("summary", {}, make("span", { class: "dot " + (playing ? "playing" : node.state) }),
      make("span", { class: "name" }, node.description || node.id, node.description ? make("span", { class: "soft id" }, " " + node.id) : null), tag,
      make("span", { class: "figures" }, ...figures.map((f) => make("span", {}, f)))),
    !can("node.volume", node.area) && !can("node.test", node.area) ? null : make("div", { class: "acts" },
      !can("node.volume", node.area) ? null : make("label", {}, make("span", {}, word("set_volume") + " · " + node.id), slider),
      !can("node.test", node.area) ? null : make("button", { type: "button", class: "small", onclick: (e) => act(e.currentTarget, async () => {
        await ask("POST", `/nodes/${node.id}/test-tone`, {}, { sounds: true });
        toast(word("tone_sent"));
      }) }, word("test_tone"))));
}

function coverageBar(c) {
  c.failed = c.not_ready + c.refused + c.skipped;
  const bar = make("div", { class: "bar", role: "img", "aria-label": word("coverage", c) });
  const parts = { finished: c.finished, started: Math.max(0, c.started - c.finished - c.unconfirmed), unconfirmed: c.unconfirmed, failed: c.failed,
    ready: Math.max(0, c.ready - c.started), reached: Math.max(0, c.reached - Math.max(c.ready, c.started)) };
  for (const [name, count] of Object.entries(parts)) {
    if (!count) continue;
    const part = make("i", { class: name });
    part.style.width = (100 * count) / Math.max(1, c.nodes) + "%";
    bar.append(part);
  }
  const words = [word("coverage", c)];
  if (parts.started) words.push(word("coverage_started", { n: parts.started }));
  if (parts.ready) words.push(word("coverage_ready", { n: parts.ready }));
  if (c.failed) words.push(word("coverage_failed", { n: c.failed }));
  if (c.unconfirmed) words.push(word("coverage_unconfirmed", { n: c.unconfirmed }));
  if (c.waiting) words.push(word("coverage_waiting", { n: c.waiting }));
  return [bar, make("div", { class: "soft" }, words.join(" · "))];
}

/** Of those still to come; the timetable has the rest. */
const _NEXT_SHOWN = 2;

function showBroadcasts() {
  const planned = state.broadcasts.filter((b) => Date.parse(b.start_at) > serverNow());
  const shown = [...planned.slice(-_NEXT_SHOWN), ...state.broadcasts.filter((b) => !planned.includes(b))].slice(0, 12);
  $("broadcasts").replaceChildren(...shown.map((b) => {
    const coverage = state.coverage.get(b.id);
    const over = endOf(b) < serverNow() || !["planned", "issued"].includes(b.status);
    const tag = { recalled: "bad", crowded_out: "warn", issued: "ok" }[b.status] || "";
    return make("div", { class: "item" },
      make("div", { class: "row" }, make("b", {}, b.title), precedenceTag(b), make("span", { class: "tag " + tag }, word(over && b.status === "issued" ? "ended" : b.status)),
        make("span", { class: "spring" }),
        b.precedence === "emergency" ? toAlert(b) : over || !can("broadcast.recall", b.area) ? null : make("button", { class: "small stop", type: "button", onclick: (e) => stopBroadcast(b, e.currentTarget) }, word("recall"))),
      make("div", { class: "soft" }, make("span", { class: "when" }, `${day(b.start_at)} ${time(b.start_at)}`), ` · ${targetWords(b)} · ${span(b.duration_ms)} · ${word("by", { who: b.created_by })}`),
      ...(coverage && coverage.nodes ? coverageBar(coverage) : []));
  }));
  if (!state.broadcasts.length) $("broadcasts").replaceChildren(make("p", { class: "soft" }, word("no_broadcasts")));
}

function showTimetable() {
  const coming = state.timetable.filter((b) => Date.parse(b.start_at) > serverNow()).slice(0, 10);
  let last = "";
  $("timetable").replaceChildren(...coming.flatMap((b) => {
    const heading = day(b.start_at) === last ? [] : [make("h3", { class: "soft" }, last = day(b.start_at))];
    return [...heading, make("div", { class: "slot" }, make("b", { class: "when" }, time(b.start_at)),
      make("span", {}, make("b", {}, b.title), " ", precedenceTag(b), make("div", { class: "soft" }, `${targetWords(b)} · ${span(b.duration_ms)}`)))];
  }));
  if (!coming.length) $("timetable").replaceChildren(make("p", { class: "soft" }, word("empty_timetable")));
}

async function stopBroadcast(b, button) {
  if (!confirm(word("confirm_stop", { title: b.title }))) return;
  await act(button, async () => {
    await ask("POST", `/broadcasts/${b.id}/recall`, undefined, { sounds: true });
    toast(word("undone"));
    refresh("broadcasts");
  });
}

const loaders = {
  async areas() { state.areas = (await ask("GET", "/areas")).items; fillAreas(); showNodes(); },
  async nodes() { state.nodes = (await ask("GET", "/nodes")).items; showNodes(); showAir(); },
  async broadcasts() {
    const until = new Date(serverNow() + 3600000).toISOString();
    state.broadcasts = (await ask("GET", `/broadcasts?limit=20&until=${encodeURIComponent(until)}`)).items;
    await Promise.all(state.broadcasts.slice(0, 12).map(async (b) => {
      const old = state.coverage.get(b.id);
      if (old && endOf(b) < serverNow() - 600000) return; // long over: as it was
      state.coverage.set(b.id, await ask("GET", `/broadcasts/${b.id}/coverage?detail=false`));
    }));
    showBroadcasts();
    showAir();
    showNodes();
  },
  async timetable() {
    const province = state.areas.find((a) => !a.parent); // what is not for one's own areas the server leaves out
    state.timetable = province ? (await ask("GET", `/timetable?area=${encodeURIComponent(province.path)}`)).items : [];
    showTimetable();
    showAir();
  },
  async bulletins() { state.bulletins = (await ask("GET", "/bulletins?limit=12")).items; showBulletins(); },
};
const pending = new Map();
const stale = new Set();
const took = {};
/** What only the board shows. */
const _BOARD_ONLY = ["nodes", "broadcasts", "timetable", "bulletins"];

/** Read a list again soon; many wishes within a moment are one, and over a weak link one takes its time: a tenth of the
 * line at most goes to a list. What only the board shows waits until somebody looks at it. */
function refresh(...names) {
  for (const name of names) {
    if (pending.has(name)) continue;
    if (_BOARD_ONLY.includes(name) && here.part !== "board") { stale.add(name); continue; }
    pending.set(name, setTimeout(async () => {
      pending.delete(name);
      const began = performance.now();
      try { await loaders[name](); } catch (error) { if (error.status !== 401) console.warn(name, error.code); }
      took[name] = performance.now() - began;
    }, Math.min(60000, Math.max(250, 10 * (took[name] || 0)))));
  }
}

/** Somebody looks at the board: what changed meanwhile is read now. */
function catchUp() {
  const names = [...stale];
  stale.clear();
  refresh(...names);
}

function showAll() { showAir(); showNodes(); showBroadcasts(); showTimetable(); showBulletins(); fillAreas(); }
