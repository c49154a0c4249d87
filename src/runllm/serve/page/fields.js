// Fields as controls of the page: each is labelled, can be filled, gives its value, and shows what is wrong with it.

import { el, fault, newId, noteOf, takeFiles } from "./dom.js";
import { absent, branchOf, fieldOf, isObject, read, write } from "./form.js";

/**
 * @typedef {import("./form.js").Field} Field
 * @typedef {object} Control
 * @property {HTMLElement} node
 * @property {() => any} value  undefined where none is given
 * @property {(value: any) => void} fill
 * @property {(path: string[]) => HTMLElement} at  what shows the faults of a part
 * @property {(label: string) => void} [rename]
 */

const MOST_AT_FIRST = 20; // items that a new list has, however many it needs

/** The control for a field, filled with its default. @param {Field} field @returns {Control} */
export function control(field) {
  if (field.kind === "choice" && field.options?.length === 1 && field.required) return fixed(field.options[0]);
  const found = maker(field)(field);
  if (field.initial !== undefined) found.fill(field.initial);
  return found;
}

/** @param {Field} field */
function maker(field) {
  if (field.kind !== "object") return field.kind === "list" ? list : field.kind === "union" ? union : scalar;
  return (field.required && !field.nullable) || !field.fields?.().length ? object : optional;
}

/** @param {any} value @returns {Control} */
function fixed(value) {
  const node = el("span", { hidden: true });
  return { node, value: () => value, fill: () => {}, at: () => node };
}

// --- one value ---

/** @param {Field} field @returns {Control} */
function scalar(field) {
  const id = newId();
  const ticked = field.kind === "boolean" && (field.required || typeof field.initial === "boolean") && !field.nullable;
  const input = ticked ? el("input", { type: "checkbox" }) : field.kind === "choice" || field.kind === "boolean" ? choice(field) : written(field);
  const help = field.help && el("p", { class: "help", id: `${id}-help` }, field.help);
  const note = noteOf();
  input.id = id;
  input.setAttribute("aria-describedby", [help && help.id, note.id].filter(Boolean).join(" "));
  const name = el("span", {}, field.label);
  const label = el("label", { for: id }, ticked && input, name, !ticked && hint(field));
  const node = el("div", { class: `field ${ticked ? "tick" : field.kind}` }, label, help, !ticked && input, note);
  if (field.type === "area") takeFiles(node, input, field.label);
  if (field.kind === "json") input.addEventListener("input", () => checkJson(field, input));
  return {
    node,
    value: () => read(field, ticked ? String(input.checked) : input.value),
    fill(value) {
      if (ticked) input.checked = value === true;
      else input.value = write(field, value);
      grow(input);
    },
    at: () => node,
    rename: (label) => void (name.textContent = label),
  };
}

/** @param {Field} field */
const hint = (field) => !field.required && (field.initial ?? null) === null && el("span", { class: "soft" }, " optional");

/** @param {Field} field */
function choice(field) {
  const options = field.kind === "boolean" ? [["true", "Yes"], ["false", "No"]]
    : (field.options ?? []).map((one, index) => [String(index), typeof one === "string" ? one : JSON.stringify(one)]);
  const none = field.required && !field.nullable ? "Choose…" : "–";
  const first = (field.initial === undefined || field.nullable) && el("option", { value: "" }, none);
  const rest = options.map(([value, said]) => el("option", { value }, said));
  return el("select", { required: field.required && !field.nullable }, first, ...rest);
}

/** @param {Field} field */
function written(field) {
  const { schema } = field;
  const needed = field.required && !field.nullable;
  if (field.kind === "json" || field.type === "area") {
    const rows = field.kind === "json" ? 3 : needed ? 4 : 2;
    return el("textarea", { rows, required: needed && schema.minLength !== 0, spellcheck: String(field.kind !== "json"), input: (/** @type {any} */ event) => grow(event.target) });
  }
  if (field.kind === "number") {
    const step = schema.multipleOf ?? (schema.type === "integer" ? 1 : "any");
    const [min, max] = [schema.minimum ?? schema.exclusiveMinimum, schema.maximum ?? schema.exclusiveMaximum];
    return el("input", { type: "number", min: step === "any" || min === undefined || Number.isInteger(min / step) ? min : undefined, max, step, required: needed, placeholder: bounds(min, max) });
  }
  return el("input", { type: field.type, minlength: schema.minLength, maxlength: schema.maxLength, required: needed && schema.minLength !== 0, step: field.type === "datetime-local" ? 1 : undefined, placeholder: like(schema.format), autocomplete: "off" });
}

/** @param {number | undefined} min @param {number | undefined} max */
function bounds(min, max) {
  if (min !== undefined && max !== undefined) return `${min} to ${max}`;
  return min !== undefined ? `at least ${min}` : max !== undefined ? `at most ${max}` : undefined;
}

/** @param {string} format */
const like = (format) => new Map([["time", "10:49:00Z"], ["duration", "P3DT12H"], ["uuid", "123e4567-e89b-12d3-a456-426614174000"]]).get(format);

/** Let a text area be as high as its text, where the style sheet cannot. @param {HTMLElement} input */
function grow(input) {
  if (input.tagName !== "TEXTAREA" || CSS.supports("field-sizing", "content")) return;
  input.style.height = "auto";
  input.style.height = `${input.scrollHeight + 2}px`;
}

/** @param {Field} field @param {any} input */
function checkJson(field, input) {
  let said = "";
  try {
    read(field, input.value);
  } catch (error) {
    said = `This is no JSON: ${/** @type {Error} */ (error).message}`;
  }
  input.setCustomValidity(said);
}

// --- many values ---

/** @param {Field} field @param {...(Node | string | null | undefined | false)} inner */
function group(field, ...inner) {
  const legend = el("legend", {}, el("span", {}, field.label), field.label && hint(field));
  const help = field.help && el("p", { class: "help" }, field.help);
  const note = noteOf();
  const kind = field.kind === "object" && !field.fields?.().length ? "maps" : field.kind;
  return el("fieldset", { class: `group ${kind}`, "aria-describedby": note.id }, field.label && legend, help, ...inner, note);
}

/** @param {HTMLElement} node */
const renames = (node) => (/** @type {string} */ label) => {
  const name = node.querySelector(":scope > legend span");
  if (name) name.textContent = label;
};

/** @param {string} said @param {string} about @param {() => void} act @param {string} [kind] */
const button = (said, about, act, kind = "small") =>
  el("button", { type: "button", class: kind, "aria-label": about, title: about, click: act }, said);

/** @param {Field} field @returns {Control} */
function list(field) {
  const each = /** @type {() => Field} */ (field.each);
  /** @type {{control: Control, node: HTMLElement}[]} */
  let rows = [];
  const items = el("ol", { class: "items" });
  const more = el("button", { type: "button", class: "quiet", click: () => focusIn(add(undefined).node) }, "Add an item");
  const node = group(field, items, more);

  function number() {
    items.replaceChildren(...rows.map((row) => row.node));
    rows.forEach((row, index) => {
      row.control.rename?.(`Item ${index + 1}`);
      const [up, down, out] = row.node.querySelectorAll(":scope > .tools > button");
      [[up, "up"], [down, "down"]].forEach(([one, way]) => /** @type {Element} */ (one).setAttribute("aria-label", `Move item ${index + 1} ${way}`));
      out.setAttribute("aria-label", `Remove item ${index + 1}`);
      up.toggleAttribute("disabled", index === 0);
      down.toggleAttribute("disabled", index === rows.length - 1);
    });
    more.disabled = rows.length >= (field.schema.maxItems ?? Infinity);
  }
  /** @param {{node: HTMLElement}} row @param {number} by */
  function move(row, by) {
    const from = rows.findIndex((one) => one === row);
    const [taken] = rows.splice(from, 1);
    if (by) rows.splice(from + by, 0, taken);
    number();
    const tools = (rows[by ? from + by : Math.min(from, rows.length - 1)]?.node ?? node).querySelectorAll("button:enabled");
    const wanted = by ? [...tools].find((one) => one.getAttribute("aria-label")?.endsWith(by < 0 ? "up" : "down")) : undefined;
    /** @type {HTMLElement} */ (wanted ?? [...tools].at(by ? 0 : -1))?.focus();
  }
  /** @param {any} value */
  function add(value) {
    const inner = control(each());
    if (value !== undefined) inner.fill(value);
    const tools = el("span", { class: "tools" },
      button("↑", "", () => move(row, -1)), button("↓", "", () => move(row, 1)), button("×", "", () => move(row, 0)));
    const row = { control: inner, node: el("li", {}, inner.node, tools) };
    rows.push(row);
    number();
    return row;
  }
  const start = field.required ? Math.min(field.schema.minItems ?? 0, MOST_AT_FIRST) : 0;
  for (let count = 0; count < start; count++) add(undefined);
  return {
    node,
    value: () => (rows.length || (field.required && !field.nullable) || field.initial?.length ? rows.map((row) => row.control.value()) : absent(field)),
    fill(value) {
      rows = [];
      number();
      for (const one of Array.isArray(value) ? value : []) add(one);
    },
    at: ([index, ...rest]) => rows[Number(index)]?.control.at(rest) ?? node,
    rename: renames(node),
  };
}

/** @param {Field} field @returns {Control} */
function object(field) {
  const parts = (field.fields?.() ?? []).map(([name, one]) => /** @type {const} */ ([name, control(one)]));
  const own = new Map(parts);
  const beside = field.each && pairs(field.each, [...own.keys()]);
  const node = group(field, ...parts.map(([, one]) => one.node), beside?.node);
  return {
    node,
    value() {
      const given = parts.map(([name, one]) => [name, one.value()]).filter(([, value]) => value !== undefined);
      const all = [...given, ...(beside?.value() ?? [])];
      const isNone = !all.length && !parts.length && (!field.required || field.nullable);
      return isNone ? absent(field) : Object.fromEntries(all);
    },
    fill(value) {
      for (const [name, one] of parts) one.fill(isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined);
      beside?.fill(value);
    },
    at: ([name, ...rest]) => (own.get(name) ?? beside?.of(name))?.at(rest) ?? node,
    rename: renames(node),
  };
}

/** Names with values, of which nobody knows beforehand. @param {() => Field} each @param {string[]} taken */
function pairs(each, taken) {
  /** @type {{key: HTMLInputElement, control: Control, node: HTMLElement}[]} */
  let rows = [];
  const items = el("ul", { class: "items" });
  const node = el("div", {}, items, el("button", { type: "button", class: "quiet", click: () => add("", undefined).key.focus() }, "Add an entry"));
  /** @param {string} name @param {any} value */
  function add(name, value) {
    const inner = control(each());
    if (value !== undefined) inner.fill(value);
    const id = newId();
    const key = el("input", { id, required: true, autocomplete: "off" });
    key.value = name;
    const drop = () => {
      rows = rows.filter((one) => one !== row);
      row.node.remove();
      node.querySelector(":scope > button")?.focus();
    };
    const label = el("div", { class: "field" }, el("label", { for: id }, "Name"), key, noteOf());
    const row = { key, control: inner, node: el("li", { class: "pair" }, label, inner.node, el("span", { class: "tools" }, button("×", "Remove this entry", drop))) };
    rows.push(row);
    items.append(row.node);
    return row;
  }
  return {
    node,
    value: () => rows.map((row) => [row.key.value, row.control.value()]),
    of: (/** @type {string} */ name) => rows.find((row) => row.key.value === name)?.control,
    fill(/** @type {any} */ value) {
      rows = [];
      items.replaceChildren();
      for (const [name, one] of Object.entries(isObject(value) ? value : {})) if (!taken.includes(name)) add(name, one);
    },
  };
}

/** An object that need not be given: made when it is asked for. @param {Field} field @returns {Control} */
function optional(field) {
  /** @type {Control | undefined} */
  let inner;
  const note = noteOf();
  const box = el("input", { type: "checkbox", "aria-describedby": note.id, change: () => show(box.checked) });
  const name = el("span", {}, field.label);
  const place = el("div");
  const node = el("div", { class: "field tick" }, el("label", {}, box, name, hint(field)), field.help && el("p", { class: "help" }, field.help), place, note);
  /** @param {boolean} shown */
  function show(shown) {
    box.checked = shown;
    inner = shown ? control({ ...field, help: "", required: true, nullable: false, initial: undefined }) : undefined;
    place.replaceChildren(...(inner ? [inner.node] : []));
  }
  return {
    node,
    value: () => inner?.value() ?? absent(field),
    fill(value) {
      show(isObject(value));
      inner?.fill(value);
    },
    at: (path) => inner?.at(path) ?? node,
    rename: (label) => void (name.textContent = label),
  };
}

/** @param {Field} field @returns {Control} */
function union(field) {
  const branches = field.branches?.() ?? [];
  const open = field.required && !field.nullable;
  const id = newId();
  /** @type {Control | undefined} */
  let inner;
  const note = noteOf();
  const select = el("select", { id, "aria-describedby": note.id, change: () => show(Number(select.value)) },
    !open && el("option", { value: "-1" }, "–"), ...branches.map((one, index) => el("option", { value: index }, one.label)));
  const place = el("div");
  const name = el("span", {}, field.label || "Kind");
  const node = el("div", { class: "field union" }, el("label", { for: id }, name, hint(field)), field.help && el("p", { class: "help" }, field.help), select, place, note);
  /** @param {number} index */
  function show(index) {
    select.value = String(index);
    inner = branches[index] && control(branches[index]);
    place.replaceChildren(...(inner ? [inner.node] : []));
  }
  show(open ? 0 : -1);
  return {
    node,
    value: () => (inner ? inner.value() : absent(field)),
    fill(value) {
      show(value === undefined || (value === null && !open) ? (open ? 0 : -1) : branchOf(branches, value));
      if (value !== undefined) inner?.fill(value);
    },
    at: (path) => inner?.at(path) ?? node,
    rename: (label) => void (name.textContent = label),
  };
}

/** @param {HTMLElement} node */
const focusIn = (node) => /** @type {HTMLElement | null} */ (node.querySelector("input:not(.hidden), select, textarea, button"))?.focus();

/**
 * The form of an app.
 * @param {Record<string, any>} schema  of its input
 */
export function formOf(schema) {
  const root = fieldOf(schema, schema);
  const own = control({ ...root, label: "", help: "" });
  return {
    ...own,
    /** Whether the browser finds nothing wrong; what it finds is said at its field. @param {HTMLFormElement} form */
    check(form) {
      for (const node of form.querySelectorAll(".field, fieldset")) fault(/** @type {HTMLElement} */ (node), "");
      const wrong = /** @type {any[]} */ ([...form.elements]).filter((input) => input.willValidate && !input.validity.valid);
      for (const input of wrong) fault(input.closest(".field"), input.validationMessage);
      wrong[0]?.focus();
      return !wrong.length;
    },
    /** Show what the service finds wrong, each at its field. @param {{pointer: string, message: string}[]} problems */
    show(problems) {
      const places = problems.map(({ pointer, message }) => {
        const path = pointer.split("/").slice(1).map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
        const missing = /^`(.*)` is required but missing$/.exec(message);
        const place = own.at(missing ? [...path, missing[1]] : path);
        fault(place, message);
        return place;
      });
      if (places[0]) focusIn(places[0]);
    },
  };
}
