"use strict";
// Approving and taking back: each with a passphrase, which is never kept.
let approving = null;
let cancelling = null;

/** As people type it: without marks, in any case. */
const _plainWord = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").replace(/đ/gi, "d").toLowerCase().replace(/\s+/g, " ").trim();
const _SAID = { live: ["that", "live"], drill: ["dien tap", "drill"] };

function openApprove(a) {
  approving = a;
  const form = $("approve-form");
  form.reset();
  showWrong($("approve"), null);
  $("approve").className = a.kind;
  $("approve-band").textContent = word("band_" + a.kind);
  $("approve-title").textContent = a.title;
  $("approve-where").textContent = `${alertTargets(a)} · ${word("nodes_n", { n: a.reach.nodes })}`;
  $("approve-words").lang = language;
  $("approve-words").replaceChildren(...(a.words[language] || []).map((line) => make("li", {}, line)));
  $("approve-digest").textContent = digestGroups(a.body_sha256);
  $("approve-type").textContent = word("type_to_approve", { word: word("typed_" + a.kind) });
  $("approve-go").textContent = word(a.people_needed > 1 ? "approve_one_more" : a.direct ? "approve_arms" : "approve_sounds_" + a.kind, { n: a.reach.nodes });
  $("approve-go").className = "approve whole " + a.kind;
  $("approve-device").textContent = `loa alert approve ${a.id.slice(0, 8)} --${a.kind} --with ${me.account}.json`;
  $("approve").showModal();
  $("approve-title").tabIndex = -1;
  $("approve-title").focus(); // what is signed is read first
  $("approve").scrollTop = 0;
}

async function approveIt(event) {
  event.preventDefault();
  const form = $("approve-form");
  const a = approving;
  showWrong($("approve"), null);
  if (!_SAID[a.kind].includes(_plainWord(form.elements.said.value))) {
    showWrong($("approve"), new Problem({ title: word("typed_wrong", { word: word("typed_" + a.kind) }), field: "said" }));
    return;
  }
  const own = form.elements.approval.value.trim();
  const hand = own ? { approval: own } : { passphrase: form.elements.passphrase.value };
  $("approve-go").disabled = true;
  try {
    const done = await ask("POST", `/alerts/${a.id}/approvals`, { kind: a.kind, body_sha256: a.body_sha256, ...hand });
    form.reset();
    $("approve").close();
    toast(done.words);
    showAlert(done.alert);
    refresh("alerts");
    refreshAlert();
  } catch (error) {
    showWrong($("approve"), _passphraseField(error));
    if (["content_changed", "alert_altered", "alert_over", "alert_expired"].includes(error.code)) readAlert(a.id);
  } finally { $("approve-go").disabled = false; }
}

/** A wrong passphrase is shown at its field, which is selected for another try. */
function _passphraseField(error) {
  if (error.code === "wrong_passphrase") error.field = "passphrase";
  return error;
}

/** One dialog, one passphrase, one button; reachable from every page while a live alert sounds. */
function openCancel(a) {
  cancelling = a;
  const form = $("cancel-form");
  form.reset();
  showWrong($("cancel-alert"), null);
  $("cancel-alert").className = a.kind;
  $("cancel-band").textContent = word("band_" + a.kind);
  $("cancel-title").textContent = a.title;
  $("cancel-where").textContent = alertTargets(a);
  $("cancel-go").textContent = word("take_back_" + a.kind);
  $("cancel-state").textContent = "";
  $("cancel-alert").showModal();
  form.elements.passphrase.focus();
}

async function cancelIt(event) {
  event.preventDefault();
  const form = $("cancel-form");
  const a = cancelling;
  const own = form.elements.approval.value.trim();
  const hand = own ? { approval: own } : { passphrase: form.elements.passphrase.value };
  showWrong($("cancel-alert"), null);
  $("cancel-go").disabled = true;
  try {
    const done = await _untilHeard(() => ask("POST", `/alerts/${a.id}/cancel`, hand, { patience: 8000 }));
    form.reset();
    $("cancel-alert").close();
    toast(word("taken_back", { title: a.title, when: instant(done.ended_at) }));
    if (here.part === "alert" && here.args[0] === a.id) { showAlert(done); refreshAlert(); } else location.hash = "#/alerts/" + a.id;
    refresh("alerts");
  } catch (error) {
    $("cancel-state").textContent = "";
    showWrong($("cancel-alert"), _passphraseField(error));
  } finally { $("cancel-go").disabled = false; }
}

/** The same again while the server cannot be reached and the dialog is open: taking back twice is taking back once. */
async function _untilHeard(work) {
  for (let attempt = 1; ; attempt++) {
    try { return await work(); } catch (error) {
      if (error.status !== 0 || error.code !== "unreachable" || !$("cancel-alert").open) throw error;
      $("cancel-state").textContent = word("trying_again", { n: attempt });
      await new Promise((next) => setTimeout(next, Math.min(1000 * attempt, 4000)));
      if (!$("cancel-alert").open) throw error;
    }
  }
}

$("approve-form").onsubmit = approveIt;
$("cancel-form").onsubmit = cancelIt;
$("approve-close").onclick = () => $("approve").close();
$("cancel-close").onclick = () => $("cancel-alert").close();
for (const name of ["approve", "cancel-alert"]) $(name).onclose = () => $(name).querySelector("form").reset();
