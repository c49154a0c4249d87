// The page of an app: runs it on what the form holds, shows what comes of it, and remembers the last runs.

import { batches } from "./batch.js";
import { el } from "./dom.js";
import { formOf } from "./fields.js";
import { parse } from "./form.js";
import { copy, facts, problemOf, seconds, shown, trouble, written } from "./view.js";

/**
 * @typedef {object} Past
 * @property {string} at
 * @property {string} given  the input as JSON
 * @property {string} [output]  as JSON
 * @property {Record<string, any>} [run]
 */

const MOST_PAST = 10;
const MOST_KEPT = 200_000; // characters of a run
const MOST_SHOWN = 500_000; // characters of JSON

/** @param {string} id @returns {any} */
const by = (id) => document.getElementById(id);

const app = parse(by("app").textContent);
/** @type {ReturnType<typeof formOf>} */
let form;
const place = by("form");
/** @type {AbortController | undefined} */
let running;
/** @type {Past[]} */
let past = remembered();

/** @param {string} key @returns {Past[]} */
function remembered(key = `runllm:${app.name}`) {
  try {
    return JSON.parse(sessionStorage.getItem(key) ?? "[]");
  } catch {
    return [];
  }
}

/** @param {Past} one */
function remember(one) {
  if (one.given.length + (one.output?.length ?? 0) > MOST_KEPT) return;
  past = [one, ...past].slice(0, MOST_PAST);
  try {
    sessionStorage.setItem(`runllm:${app.name}`, JSON.stringify(past));
  } catch {
    // Then they last as long as the page is open.
  }
  showPast();
}

function showPast() {
  by("past").hidden = !past.length;
  by("past-list").replaceChildren(...past.map((one) => {
    const texts = Object.values(JSON.parse(one.given)).filter((value) => typeof value === "string");
    const said = (texts.join(" · ") || one.given).slice(0, 200).replace(/\s+/g, " ");
    const time = el("time", { datetime: one.at }, new Date(one.at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
    return el("li", {}, el("button", { type: "button", class: "past", click: () => again(one) }, time, el("span", { class: "clip" }, said), !one.output && el("span", { class: "bad" }, "failed")));
  }));
}

/** Fill the form as it was, and show what came of it. @param {Past} one */
function again(one) {
  form.fill(parse(one.given));
  clear();
  if (one.output) show(parse(one.output), one.run);
  else say("This run failed.");
  place.querySelector("input:not(.hidden), select, textarea")?.focus();
}

/** @param {string} message */
const say = (message) => void (by("status").textContent = message);

function clear() {
  for (const id of ["problem", "result", "facts", "steps"]) by(id).replaceChildren();
  by("raw").hidden = true;
}

/** @param {any} output @param {Record<string, any>} [run] */
function show(output, run) {
  const text = written(output);
  by("result").replaceChildren(shown(output, app.output_schema, app.output_schema));
  if (run) by("facts").replaceChildren(facts(run));
  by("raw").hidden = false;
  by("json").textContent = text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)}…` : text;
  by("copy").onclick = async () => void (by("copy").textContent = await copy(text, by("json")));
  by("copy").textContent = "Copy";
  say(run?.cached ? "Done, from the cache." : "Done.");
}

/** @param {Record<string, any>} problem */
function fail(problem) {
  say("It failed.");
  by("problem").replaceChildren(trouble(problem));
  if (problem.problems) form.show(problem.problems);
}

/** The events of a stream. @param {ReadableStream<Uint8Array>} body */
async function* events(body) {
  const reader = body.pipeThrough(/** @type {any} */ (new TextDecoderStream())).getReader();
  let left = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const whole = (left + value).split("\n\n");
    left = whole.pop() ?? "";
    for (const one of whole) {
      const [, name, data] = /^event: (.*)\ndata: ([^]*)$/.exec(one) ?? [];
      if (name) yield { name, data: parse(data) };
    }
  }
}

/** @param {Record<string, any>} step */
function tell(step) {
  const of = step.app === app.name ? "" : `${step.app}: `;
  by("steps").append(el("li", {}, el("span", {}, of + step.message), el("span", { class: "soft" }, seconds(step.seconds))));
}

/** @param {string} given  the input as JSON @param {AbortSignal} signal @returns {Promise<void>} */
async function call(given, signal) {
  const headers = { "Content-Type": "application/json", Accept: "text/event-stream" };
  const answer = await fetch(app.url, { method: "POST", headers, body: given, signal });
  if (!answer.ok || !answer.body) return fail(await problemOf(answer));
  for await (const { name, data } of events(answer.body)) {
    if (name === "step") tell(data);
    if (name === "error") remember({ at: new Date().toISOString(), given });
    if (name === "error") return fail(data);
    if (name !== "result") continue;
    remember({ at: new Date().toISOString(), given, output: JSON.stringify(data.output), run: data.run });
    return show(data.output, data.run);
  }
  fail({ message: "The service ended the connection before the run was over." });
}

async function run() {
  if (running) return;
  clear();
  say("");
  if (!form.check(place)) return say("Some fields need a look.");
  running = new AbortController();
  const began = performance.now();
  const tick = () => void (by("clock").textContent = seconds((performance.now() - began) / 1000));
  const clock = setInterval(tick, 100);
  work(true);
  say("Running …");
  by("outcome").scrollIntoView({ block: "nearest" });
  try {
    await call(JSON.stringify(form.value()), running.signal);
  } catch (error) {
    if (running.signal.aborted) say("Cancelled.");
    else fail({ message: "The service cannot be reached.", hint: "It may have been stopped. Your input still stands here." });
  }
  clearInterval(clock);
  by("clock").textContent = "";
  running = undefined;
  work(false);
}

/** An empty form, with its defaults. */
function begin() {
  form = formOf(app.input_schema);
  by("fields").replaceChildren(form.node);
}

/** @param {boolean} on */
function work(on) {
  by("run").setAttribute("aria-disabled", String(on)); // a button that is disabled loses the focus
  by("cancel").disabled = !on;
  by("outcome").setAttribute("aria-busy", String(on));
}

place.addEventListener("submit", (/** @type {Event} */ event) => {
  event.preventDefault();
  run();
});
place.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  run();
});
by("cancel").addEventListener("click", () => {
  by("run").focus(); // the button is disabled next, and would lose it
  running?.abort();
});
by("clear").addEventListener("click", begin);
begin();
showPast();
batches(app, by("batch"));
by("page").hidden = false; // all of it at once, so that nothing moves
