// A table that the app runs on, row by row: checked as a whole first, then run, then downloaded.

import { el } from "./dom.js";
import { words } from "./form.js";
import { count, dollars, problemOf, seconds, some, trouble } from "./view.js";

/** @typedef {Record<string, any>} Batch  as the service tells of it */

const EVERY = 700; // milliseconds
const MOST_SHOWN = 50; // rows that do not fit

/**
 * @param {{name: string, input_schema: Record<string, any>}} app
 * @param {HTMLElement} place
 */
export function batches(app, place) {
  const picker = el("input", { type: "file", id: "table", accept: ".csv,.tsv,.tab,text/csv", "aria-describedby": "table-help",
    click: () => { picker.value = ""; }, // a file that was corrected is taken again under the same name
    change: () => { file = picker.files[0]; send(); } });
  const key = `table:${app.name}`; // where this tab keeps the address of the batch that it began
  const status = el("p", { role: "status" });
  const view = el("div", { "aria-live": "polite" });
  /** @type {Batch | undefined} */
  let held;
  /** @type {File | undefined} */
  let file;
  place.append(
    el("div", { class: "field" }, el("label", { for: "table" }, "A table as CSV"),
      el("p", { class: "help", id: "table-help" }, "Its first line names the columns. All rows are checked before anything is run."), picker),
    status, view);

  /** @param {string} path @param {RequestInit} [how] @returns {Promise<Batch | undefined>} */
  async function ask(path, how) {
    try {
      const answer = await fetch(path, how);
      if (answer.ok) return answer.status === 204 ? undefined : await answer.json();
      const problem = await problemOf(answer);
      status.textContent = "";
      view.replaceChildren(trouble(problem), problem.columns ? columns(problem.columns, problem.inputs, {}) : "");
    } catch {
      status.textContent = "The service cannot be reached.";
    }
    return undefined;
  }

  /** Send the file to be checked. @param {Record<string, string>} [feeds]  the column of each input */
  async function send(feeds) {
    if (!file) return;
    await drop();
    status.textContent = `Checking ${file.name} …`;
    view.replaceChildren();
    const body = new FormData();
    body.append("start", "no");
    if (feeds) body.append("columns", JSON.stringify(feeds));
    body.append("file", file);
    held = await ask(`/apps/${app.name}/batches`, { method: "POST", body });
    if (held) checked(held);
  }

  async function drop() {
    const old = held;
    held = undefined;
    sessionStorage.removeItem(key);
    if (old) await fetch(old.url, { method: "DELETE" }).catch(() => {});
  }

  /** Which column feeds which input, to be changed. @param {string[]} names @param {string[]} inputs @param {Record<string, string>} feeds */
  function columns(names, inputs, feeds) {
    const selects = inputs.map((input) => {
      const options = ["", ...names].map((name) => el("option", { value: name, selected: name === (feeds[input] ?? "") }, name || "–"));
      return /** @type {const} */ ([input, el("select", { id: `feeds-${input}` }, ...options)]);
    });
    const take = () => send(Object.fromEntries(selects.map(([input, one]) => [input, one.value]).filter(([, name]) => name)));
    const title = (/** @type {string} */ input) => app.input_schema.properties?.[input]?.title ?? words(input);
    return el("fieldset", { class: "group feeds" }, el("legend", {}, "Columns"),
      ...selects.map(([input, one]) => el("div", { class: "field" }, el("label", { for: one.id }, title(input)), one)),
      el("button", { type: "button", class: "quiet", click: take }, "Check with these columns"));
  }

  /** @param {Batch} batch */
  function checked(batch) {
    const fit = batch.rows - batch.unfit;
    status.textContent = batch.unfit ? `${count(batch.unfit)} of ${some(batch.rows, "row")} do not fit.` : `All ${some(batch.rows, "row")} fit.`;
    const { seconds: time, cost } = batch.expected;
    const likely = [time !== null && `about ${seconds(time)}`, cost > 0 && `about ${dollars(cost)}`].filter(Boolean).join(" and ");
    const start = async () => {
      const begun = await ask(batch.url, { method: "POST" });
      if (!begun) return;
      sessionStorage.setItem(key, begun.url);
      follow(begun);
    };
    view.replaceChildren(
      batch.unfit ? misfits(batch) : "",
      el("details", {}, el("summary", {}, "Which column feeds what"), columns(batch.columns, batch.inputs, batch.feeds)),
      el("div", { class: "actions" }, el("button", { type: "button", class: "main", click: start }, `Run ${some(fit, "row")}`), likely && el("span", { class: "soft" }, `It will take ${likely}.`)));
  }

  /** @param {Batch} batch */
  function misfits(batch) {
    const rows = batch.misfits.slice(0, MOST_SHOWN).map((/** @type {any} */ one) => el("tr", {}, el("td", { class: "number" }, count(one.line)), el("td", {}, one.message)));
    const more = batch.unfit > MOST_SHOWN && el("p", { class: "soft" }, `${count(batch.unfit - MOST_SHOWN)} more are not shown.`);
    const head = el("tr", {}, el("th", { scope: "col" }, "Line"), el("th", { scope: "col" }, "What is wrong"));
    return el("div", { class: "scrolled", tabindex: 0, role: "group", "aria-label": "Rows that do not fit" }, el("table", {}, el("thead", {}, head), el("tbody", {}, ...rows)), more);
  }

  /** Take up the batch that this tab had begun before its page was loaded again. */
  async function resume() {
    const url = sessionStorage.getItem(key);
    const answer = url ? await fetch(url).catch(() => undefined) : undefined;
    if (answer?.ok) follow((held = await answer.json()), false);
    else if (answer) sessionStorage.removeItem(key);
  }

  /** Show how far a batch is until it has ended. @param {Batch} batch @param {boolean} [moves]  whether the focus goes along */
  async function follow(batch, moves = true) {
    const bar = el("progress", { max: batch.rows, value: 0, "aria-label": "Rows that have ended" });
    const said = el("p", { class: "soft", "aria-live": "off" });
    const stop = el("button", { type: "button", class: "quiet", click: () => fetch(batch.url, { method: "DELETE" }).catch(() => {}) }, "Stop");
    view.replaceChildren(bar, said, el("div", { class: "actions" }, stop));
    if (moves) stop.focus();
    status.textContent = "Running …";
    for (let now = batch; held?.id === batch.id; await new Promise((wake) => setTimeout(wake, EVERY))) {
      bar.value = now.done;
      said.textContent = progress(now);
      if (now.state !== "running") return ended(now, moves);
      const found = await ask(batch.url);
      if (!found) return;
      now = found;
    }
  }

  /** @param {Batch} now */
  function progress(now) {
    const left = now.state === "running" && now.seconds_left !== null && `${seconds(now.seconds_left)} left`;
    return [`${count(now.done)} of ${some(now.rows, "row")}`, now.failed && `${count(now.failed)} failed`, now.cost ? dollars(now.cost) : "", left].filter(Boolean).join(" · ");
  }

  /** @param {Batch} batch @param {boolean} moves */
  function ended(batch, moves) {
    const names = /** @type {Record<string, string>} */ ({ done: "Done.", stopped: "Stopped.", failed: "It ended early." });
    status.textContent = `${names[batch.state]} ${progress(batch)}, in ${seconds(batch.seconds)}.`;
    const result = el("a", { class: "button main", href: `${batch.url}/result`, download: true }, "Download the result");
    const remove = async () => {
      await drop();
      view.replaceChildren();
      status.textContent = "Removed.";
      picker.value = "";
      picker.focus();
    };
    const actions = el("div", { class: "actions" }, batch.has_result && result, el("button", { type: "button", class: "quiet", click: remove }, "Remove it from the service"));
    view.replaceChildren(batch.problem ? trouble(batch.problem) : "", kinds(batch), actions);
    if (moves) result.focus();
  }

  /** Why rows failed. @param {Batch} batch */
  function kinds(batch) {
    if (!batch.kinds.length) return "";
    return el("ul", {}, ...batch.kinds.map((/** @type {any} */ one) =>
      el("li", {}, `${some(one.rows, "row")}, such as line ${count(one.line)}: ${one.message} `, el("span", { class: "soft" }, one.code))));
  }

  resume();
}
