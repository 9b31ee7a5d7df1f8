"use strict";
// What a person does: upload, hear, approve, broadcast at once or in the programme.
let going = null;
let chosen = null;

function fillAreas() {
  for (const select of document.querySelectorAll("select[name=area][data-needs]")) {
    const had = select.value;
    const areas = state.areas.filter((a) => can(select.dataset.needs, a.path));
    const top = Math.min(...areas.map((a) => a.path.split("/").length));
    select.replaceChildren(...areas.map((a) => make("option", { value: a.path }, "\u2003".repeat(a.path.split("/").length - top) + (a.kind ? a.kind + " " : "") + a.name)));
    if (had && areas.some((a) => a.path === had)) select.value = had;
  }
}

function showBulletins() {
  const playing = [...document.querySelectorAll("#bulletins audio")].some((a) => !a.paused);
  if (playing) { refreshAfterHearing(); return; }
  $("bulletins").replaceChildren(...state.bulletins.filter((b) => b.status !== "withdrawn").map((b) => make("div", { class: "item" },
    make("div", { class: "row" }, make("b", {}, b.title), make("span", { class: "tag " + (b.status === "approved" ? "ok" : "warn") }, word(b.status))),
    make("div", { class: "soft" }, `${areaName(b.area)} · ${span(b.duration_ms)} · ${word("by", { who: b.author })}`, b.note ? make("div", {}, b.note) : null),
    ...b.renditions.map((r) => make("audio", { controls: true, preload: "none", src: r.audio, "aria-label": b.title })),
    make("div", { class: "row" },
      ...nextStep(b),
      !can("bulletin.withdraw", b.area) ? null : make("button", { class: "quiet small", type: "button", onclick: (e) => act(e.currentTarget, async () => {
        await ask("POST", `/bulletins/${b.id}/withdraw`, undefined, { sounds: true });
        refresh("bulletins", "timetable");
      }) }, word("withdraw"))))));
  if (!state.bulletins.length) $("bulletins").replaceChildren(make("p", { class: "soft" }, word("no_bulletins")));
}

/** What may be done with a bulletin next: approved by somebody else than its author, then broadcast. */
function nextStep(b) {
  if (b.status === "draft") {
    if (b.author === me.account) return [make("span", { class: "soft" }, word("wants_another"))];
    return can("bulletin.approve", b.area) ? [make("button", { class: "small", type: "button", onclick: (e) => approve(b, e.currentTarget) }, word("approve"))] : [];
  }
  return can("broadcast.issue") || can("programme.manage") ? [make("button", { class: "small", type: "button", onclick: () => openSay(b) }, word("put_out"))] : [];
}

let hearingTimer = 0;
function refreshAfterHearing() { clearTimeout(hearingTimer); hearingTimer = setTimeout(showBulletins, 2000); }

const approve = (bulletin, button) => act(button, async () => {
  await ask("POST", `/bulletins/${bulletin.id}/approve`, { content_hash: bulletin.content_hash });
  await loaders.bulletins();
});

async function uploadRecording(event) {
  event.preventDefault();
  const form = $("upload");
  const card = $("speak");
  showWrong(card, null);
  const data = new FormData();
  data.set("title", form.title.value);
  data.set("area", form.area.value);
  data.set("chime", String(form.chime.checked));
  data.set("accept_part", String(form.accept_part.checked));
  data.set("file", form.file.files[0]);
  busy(true);
  try {
    step("uploading", 0);
    const sent = upload("/bulletins", data, (done) => step("uploading", done * 0.3));
    going = { abort: sent.abort };
    let item = await sent.done;
    going = { id: item.id };
    while (item.status === "running") {
      step(item.stage, 0.3 + item.progress * 0.7);
      await new Promise((next) => setTimeout(next, 300));
      item = await ask("GET", `/imports/${item.id}`);
    }
    if (item.problem) throw new Problem(item.problem);
    form.reset();
    $("file-name").textContent = "";
    $("part").hidden = true;
    await loaders.bulletins();
    toast(word("hear_first"));
  } catch (error) {
    if (error.code === "decode_failed") $("part").hidden = false;
    if (error.code !== "cancelled") showWrong(card, error);
  } finally {
    going = null;
    busy(false);
  }
}

function step(stage, done) {
  $("import-stage").textContent = `${word(stage)} · ${Math.round(done * 100)} %`;
  $("import-progress").value = done;
}

function busy(yes) {
  $("importing").hidden = !yes;
  $("upload").hidden = yes;
}

function cancelImport() {
  if (!going) return;
  if (going.abort) going.abort(); else act(null, () => ask("DELETE", `/imports/${going.id}`));
}

function openSay(bulletin) {
  chosen = bulletin;
  $("say-title").textContent = bulletin.title;
  $("when-now").hidden = !can("broadcast.issue");
  $("when-programme").hidden = !can("programme.manage");
  $("say-form").when.value = can("broadcast.issue") ? "now" : "programme";
  sayChanged();
  if (can($("say-form").area.dataset.needs, bulletin.area)) $("say-form").area.value = bulletin.area;
  showWrong($("say"), null);
  sayChanged();
  $("say").showModal();
}

const sayWhen = () => $("say-form").when.value;

/** The slot that the dialog describes, as the API wants it. */
function slot() {
  const form = $("say-form");
  const times = form.times.value.split(",").map((t) => t.trim()).filter(Boolean).map((t) => t.split(":").map(Number)).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  if (!times.length || times.some(([h, m]) => !(h < 24 && m < 60))) return null;
  const today = dayKey(serverNow());
  const two = (n) => String(n).padStart(2, "0");
  const first = times[0];
  if (form.days.value === "once") {
    const now = new Date(serverNow()).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: "Asia/Ho_Chi_Minh" });
    const date = `${two(first[0])}:${two(first[1])}` > now ? today : dayKey(serverNow() + 86400000);
    return { starts_on: `${date}T${two(first[0])}:${two(first[1])}:00`, recurrence: "" };
  }
  // One rule holds every hour with every minute; times that are not such a grid need BYSETPOS, so they become several programmes.
  const minutes = [...new Set(times.map((t) => t[1]))];
  const days = form.days.value ? `FREQ=WEEKLY;BYDAY=${form.days.value}` : "FREQ=DAILY";
  return minutes.map((m) => {
    const hours = times.filter((t) => t[1] === m).map((t) => t[0]);
    return { starts_on: `${today}T${two(hours[0])}:${two(m)}:00`, recurrence: `${days};BYHOUR=${hours.join(",")};BYMINUTE=${m}` };
  });
}
const slots = () => { const found = slot(); return found === null ? [] : [found].flat(); };

let previewTimer = 0;
function sayChanged() {
  const programme = sayWhen() === "programme";
  const needs = programme ? "programme.manage" : "broadcast.issue";
  if ($("say-form").area.dataset.needs !== needs) { $("say-form").area.dataset.needs = needs; fillAreas(); }
  $("slot").hidden = !programme;
  $("priority").hidden = programme;
  $("say-go").textContent = word(programme ? "add_programme" : "say_now");
  clearTimeout(previewTimer);
  if (programme) previewTimer = setTimeout(async () => {
    try {
      const found = await Promise.all(slots().map((s) => ask("POST", "/occurrences", s)));
      const times = found.flatMap((f) => f.occurrences).sort().slice(0, 4).map((t) => `${day(t)} ${time(t)}`);
      $("preview").textContent = times.length ? word("next_times", { times: times.join(", ") }) : word("no_times");
    } catch (error) { $("preview").textContent = error.message; }
  }, 300);
}

async function sayIt(event) {
  event.preventDefault();
  const form = $("say-form");
  const bulletin = chosen;
  showWrong($("say"), null);
  $("say-go").disabled = true;
  try {
    if (sayWhen() === "now") {
      const issued = await ask("POST", "/broadcasts", { bulletins: [bulletin.id], target_areas: [form.area.value], precedence: form.priority.checked ? "priority" : "ordinary" }, { sounds: true });
      toast(word("said", { title: bulletin.title }), () => act(null, async () => {
        await ask("POST", `/broadcasts/${issued.id}/recall`, undefined, { sounds: true });
        toast(word("undone"));
        refresh("broadcasts");
      }));
    } else {
      for (const s of slots()) await ask("POST", "/programmes", { title: bulletin.title, area: form.area.value, rundown: [bulletin.id], ...s }, { sounds: true });
      toast(word("added", { title: bulletin.title }));
    }
    $("say").close();
    refresh("broadcasts", "timetable");
  } catch (error) { showWrong($("say"), error); } finally { $("say-go").disabled = false; }
}
