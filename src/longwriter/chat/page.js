// Asks two models the same prompt and shows both answers while they are written.
// Texts of models are shown as text only (textContent), never as HTML.
"use strict";
const $ = (id) => document.getElementById(id);
const sections = [...document.querySelectorAll("section")];
let asked = null; // AbortController of the answers under way

async function post(path, body, signal) {
  const reply = await fetch(path, {
    method: "POST", signal, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  if (!reply.ok) {
    const error = await reply.json().catch(() => null);
    throw new Error(error?.error?.message ?? `status ${reply.status}`);
  }
  return reply;
}

async function* pieces(reply) { // of server-sent events
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const data = line.startsWith("data:") ? line.slice(5).trim() : "";
      if (data && data !== "[DONE]") yield JSON.parse(data);
    }
  }
}

async function measure(section, prompt, text, state) {
  const turn = section.turn = (section.turn ?? 0) + 1;
  const found = await (await post("measure", { prompt, text })).json();
  if (turn !== section.turn) return; // a later measure is under way
  const required = found.required_words;
  const score = required === null ? "" : ` of ${required} asked for · length score ${found.length_score}`;
  section.querySelector(".numbers").textContent = `${found.words} words${score} · ${state}`;
  const share = required === null ? 0 : found.words / required;
  section.querySelector(".bar").classList.toggle("over", share > 1.2);
  section.querySelector(".bar div").style.width = `${Math.min(100, 100 * share)}%`;
}

async function ask(section, prompt, signal) {
  const article = section.querySelector("article");
  const numbers = section.querySelector(".numbers");
  article.textContent = "";
  numbers.classList.remove("error");
  numbers.textContent = "reads the prompt …";
  const begin = performance.now();
  const seconds = () => `${Math.round((performance.now() - begin) / 1000)} s`;
  let text = "", reason = "stopped", measured = begin;
  try {
    const model = section.querySelector("select").value;
    const body = { model, stream: true, messages: [{ role: "user", content: prompt }] };
    for await (const event of pieces(await post("v1/chat/completions", body, signal))) {
      if (event.error) throw new Error(event.error.message ?? "the model stopped its answer with an error");
      const choice = event.choices?.[0];
      text += choice?.delta?.content ?? "";
      reason = choice?.finish_reason ?? reason;
      article.textContent = text;
      if (performance.now() - measured > 700) {
        measured = performance.now();
        measure(section, prompt, text, `writing, ${seconds()}`).catch(() => {});
      }
    }
  } catch (error) {
    if (error.name !== "AbortError") {
      numbers.classList.add("error");
      numbers.textContent = error.message;
      return;
    }
  }
  const ends = { stop: "ended by itself", length: "cut off at its token limit", stopped: "stopped" };
  await measure(section, prompt, text, `${ends[reason] ?? reason}, ${seconds()}`);
}

$("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  asked = new AbortController();
  $("ask").disabled = true;
  $("stop").disabled = false;
  await Promise.allSettled(sections.map((section) => ask(section, $("prompt").value, asked.signal)));
  $("ask").disabled = false;
  $("stop").disabled = true;
});
$("stop").addEventListener("click", () => asked?.abort());
$("api").textContent = `${location.origin}/v1`;

fetch("v1/models").then((reply) => reply.json()).then(({ data }) => {
  sections.forEach((section, side) => {
    const select = section.querySelector("select");
    for (const { id } of data) select.append(new Option(id, id));
    select.selectedIndex = Math.min(side, data.length - 1);
  });
  if (data.length === 0) $("ask").disabled = true;
});
