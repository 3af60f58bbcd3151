// Shows a pair of answers and sends the vote. Texts are shown as text only (textContent), never as HTML.
"use strict";
const $ = (id) => document.getElementById(id);
// Not the arrow down: it scrolls the texts.
const keys = { 1: "left", ArrowLeft: "left", 2: "tie", 3: "right", ArrowRight: "right" };
let rater = "", pair = null, isBusy = false;

async function post(path, body) {
  const reply = await fetch(path, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  const value = await reply.json().catch(() => ({}));
  if (reply.status === 409) return post("next", { rater }); // the vote is there already
  if (!reply.ok) throw new Error(value.error?.message ?? `status ${reply.status}`);
  return value;
}

function show(state) {
  pair = state.pair;
  $("start").hidden = true;
  $("bar").hidden = false;
  $("bar").max = Math.max(1, state.total);
  $("bar").value = state.done;
  $("progress").textContent = `${rater}: ${state.done} of ${state.total}`;
  $("pair").hidden = pair === null;
  $("message").classList.toggle("done", pair === null);
  $("message").textContent = pair === null ? "You have voted on all pairs. Thank you." : "";
  if (pair === null) return;
  $("prompt").textContent = pair.prompt;
  $("reason").value = "";
  for (const side of ["left", "right"]) {
    $(side).textContent = pair[side];
    $(side).scrollTop = 0;
  }
}

async function send(path, body) {
  if (isBusy) return;
  isBusy = true;
  try {
    show(await post(path, body));
  } catch (error) {
    $("message").textContent = `Not saved: ${error.message}. Is the server of longwriter review running?`;
  } finally {
    isBusy = false;
  }
}

const vote = (choice) => pair && send("vote", { rater, pair_id: pair.pair_id, choice, reason: $("reason").value });

$("start").addEventListener("submit", (event) => {
  event.preventDefault();
  rater = $("rater").value.trim();
  localStorage.setItem("rater", rater);
  document.activeElement.blur();
  send("next", { rater });
});
for (const button of document.querySelectorAll("[data-choice]")) {
  button.addEventListener("click", () => { button.blur(); vote(button.dataset.choice); });
}
document.addEventListener("keydown", (event) => {
  const isTyping = event.target.tagName === "INPUT";
  if (event.key === "Escape") event.target.blur();
  if (isTyping || event.repeat || event.ctrlKey || event.altKey || event.metaKey || !(event.key in keys)) return;
  event.preventDefault();
  vote(keys[event.key]);
});
$("rater").value = localStorage.getItem("rater") ?? "";
$("start").hidden = false; // not before: what somebody typed would be lost
