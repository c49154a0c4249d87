// Values, figures and problems, to be read.

import { isObject, isRaw, resolve, words } from "./form.js";
import { el } from "./dom.js";

const DEEPEST = 6; // what lies deeper is shown as JSON
const MOST_ITEMS = 200;
const MOST_CHARACTERS = 100_000;
const MOST_COLUMNS = 8;

/** @typedef {import("./form.js").Schema} Schema */

/** @param {string} text */
const clipped = (text) =>
  text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS)}… and ${count(text.length - MOST_CHARACTERS)} more characters` : text;

/**
 * A value as people read it: objects as lists of names, lists of like objects as tables, texts as they are.
 * @param {any} value
 * @param {any} schema  of it, for the titles in it
 * @param {Schema} root
 * @returns {Node}
 */
export function shown(value, schema, root, depth = 0) {
  if (value === null) return el("span", { class: "soft" }, "none");
  if (typeof value === "boolean") return el("span", {}, value ? "yes" : "no");
  if (typeof value === "string") return value === "" ? el("span", { class: "soft" }, "empty") : el("div", { class: "prose" }, clipped(value));
  if (typeof value === "number" || isRaw(value)) return el("span", { class: "number" }, JSON.stringify(value));
  if (depth >= DEEPEST) return el("pre", {}, clipped(written(value)));
  const known = resolve(schema, root);
  return Array.isArray(value) ? listed(value, known.items, root, depth + 1) : named(value, known, root, depth + 1);
}

/** @param {Record<string, any>} value @param {Schema} schema @param {Schema} root @param {number} depth */
function named(value, schema, root, depth) {
  const entries = Object.entries(value);
  if (!entries.length) return el("span", { class: "soft" }, "nothing");
  const pairs = entries.slice(0, MOST_ITEMS).map(([name, one]) => {
    const part = partOf(schema, name);
    return el("div", {}, el("dt", {}, title(part, name, root)), el("dd", {}, shown(one, part, root, depth)));
  });
  return el("dl", { class: "named" }, ...pairs, left(entries.length, "div"));
}

/** @param {any[]} value @param {any} items @param {Schema} root @param {number} depth */
function listed(value, items, root, depth) {
  if (!value.length) return el("span", { class: "soft" }, "nothing");
  const some = value.slice(0, MOST_ITEMS);
  const names = [...new Set(some.flatMap((one) => (isObject(one) ? Object.keys(one) : [])))];
  const isFlat = some.every((one) => isObject(one) && Object.values(one).every((cell) => !isObject(cell) && !Array.isArray(cell)));
  if (!isFlat || !names.length || names.length > MOST_COLUMNS)
    return el("ul", { class: some.some((one) => typeof one === "object" && one) ? "listed" : "" },
      ...some.map((one) => el("li", {}, shown(one, items, root, depth))), left(value.length, "li"));
  const known = resolve(items, root);
  const row = (/** @type {any} */ one) =>
    el("tr", {}, ...names.map((name) => el("td", {}, Object.hasOwn(one, name) && shown(one[name], partOf(known, name), root, depth))));
  const head = el("tr", {}, ...names.map((name) => el("th", { scope: "col" }, title(partOf(known, name), name, root))));
  const table = el("table", {}, el("thead", {}, head), el("tbody", {}, ...some.map(row)));
  return el("div", { class: "scrolled", tabindex: 0, role: "group", "aria-label": "Table" }, table, left(value.length, "p"));
}

/** @param {number} all @param {string} name */
const left = (all, name) => all > MOST_ITEMS && el(name, { class: "soft" }, `${count(all - MOST_ITEMS)} more stand in the JSON.`);

/** @param {Schema} schema @param {string} name */
const partOf = (schema, name) => (isObject(schema.properties) && Object.hasOwn(schema.properties, name) ? schema.properties[name] : {});

/** @param {any} schema @param {string} name @param {Schema} root */
function title(schema, name, root) {
  const found = resolve(schema, root).title;
  return typeof found === "string" && found.trim() ? found : words(name);
}

/** @param {any} value */
export const written = (value) => JSON.stringify(value, null, 2);

/** @param {number} number */
export const count = (number) => number.toLocaleString("en");

/** @param {number} number @param {string} one */
export const some = (number, one) => `${count(number)} ${one}${number === 1 ? "" : "s"}`;

/** @param {number} passed */
export function seconds(passed) {
  if (passed < 60) return `${passed < 10 ? passed.toFixed(1) : Math.round(passed)} s`;
  return passed < 3600 ? `${Math.floor(passed / 60)} min ${Math.round(passed % 60)} s` : `${Math.floor(passed / 3600)} h ${Math.round((passed % 3600) / 60)} min`;
}

/** @param {number | null} cost  in US dollars */
export function dollars(cost) {
  if (cost === null) return "not known";
  return cost === 0 ? "$0" : cost < 0.01 ? `$${Number(cost.toPrecision(2)).toFixed(Math.min(8, 1 - Math.floor(Math.log10(cost))))}` : `$${cost.toFixed(2)}`;
}

/** @param {Record<string, any>} run  what happened */
export function facts(run) {
  const { prompt, completion } = run.tokens;
  const found = [
    ["Time", seconds(run.seconds)],
    ["Attempts", run.cached ? "none: from the cache" : count(run.attempts)],
    ["Repairs", count(run.repairs)],
    ["Tokens", `${count(prompt)} in, ${count(completion)} out`],
    ["Cost", dollars(run.cost)],
    ["Model", run.model ?? "none"],
  ];
  return el("dl", { class: "facts" }, ...found.map(([name, said]) => el("div", {}, el("dt", {}, name), el("dd", {}, said))));
}

/** @param {Record<string, any>} problem  after RFC 9457 */
export function trouble(problem) {
  const lines = (problem.problems ?? []).map((/** @type {any} */ one) =>
    el("li", {}, one.pointer && el("code", {}, one.pointer), one.pointer && " ", one.message));
  return el("div", { class: "trouble" }, el("p", {}, el("strong", {}, problem.message ?? problem.title ?? "It failed.")),
    lines.length > 1 && el("ul", {}, ...lines), problem.hint && el("p", {}, problem.hint),
    problem.code && el("p", { class: "soft" }, `${problem.title ?? ""} ${problem.code}`));
}

/** The problem that an answer holds. @param {Response} answer @returns {Promise<Record<string, any>>} */
export async function problemOf(answer) {
  try {
    return await answer.json();
  } catch {
    return { message: `The service answered with the status ${answer.status}.` };
  }
}

/** Put a text on the clipboard; where the browser lets no page do so, mark it. @param {string} text @param {HTMLElement} place  where it stands */
export async function copy(text, place) {
  try {
    await navigator.clipboard.writeText(text);
    return "Copied";
  } catch {
    getSelection()?.selectAllChildren(place);
    return "Marked: press Ctrl+C";
  }
}
