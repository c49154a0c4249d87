// A JSON Schema as fields, and what is written in a field as a value. No page is needed for any of this.

/**
 * @typedef {"text" | "number" | "boolean" | "choice" | "list" | "object" | "union" | "json"} Kind
 * @typedef {Record<string, any>} Schema
 * @typedef {object} Field
 * @property {Kind} kind
 * @property {string} label
 * @property {string} help
 * @property {boolean} required  whether a value has to be given
 * @property {boolean} nullable  whether null is a value
 * @property {any} initial  its default; undefined where there is none
 * @property {Schema} schema  with its references followed
 * @property {string} [type]  of a text: as an input of HTML has it; "area" for one of several lines
 * @property {any[]} [options]  of a choice
 * @property {() => [string, Field][]} [fields]  of an object, which may hold one of its own kind
 * @property {() => Field} [each]  of a list, an item; of an object, what may stand beside its fields
 * @property {() => Field[]} [branches]  of a union
 */

const DEEPEST = 8; // what lies deeper is written as JSON
const LONGEST_LINE = 120; // characters of a text that has one line
const DIGITS = 15; // of a number, which every browser keeps
const INPUTS = new Map([["date", "date"], ["date-time", "datetime-local"], ["email", "email"], ["uri", "url"]]);
const LINES = new Set(["time", "duration", "hostname", "ipv4", "ipv6", "uuid", "uri-reference", "iri", "regex"]);

const raw = /** @type {any} */ (JSON).rawJSON;

/**
 * JSON as a value. A number of more digits than a browser counts in is kept as it is written, where the browser can.
 * @param {string} text
 * @returns {any}
 */
export function parse(text) {
  const keep = (/** @type {string} */ _, /** @type {any} */ value, /** @type {any} */ context) =>
    typeof value === "number" && raw && isLong(value, context?.source ?? "") ? raw(context.source) : value;
  return JSON.parse(text, /** @type {any} */ (keep));
}

/** @param {number} value @param {string} source */
const isLong = (value, source) =>
  source !== String(value) && (source.replace(/e.*|\D/gi, "").length > DIGITS || !Number.isFinite(value));

/** @param {any} value */
export const isRaw = (value) => /** @type {any} */ (JSON).isRawJSON?.(value) ?? false;

/** @param {any} value @returns {value is Record<string, any>} */
export const isObject = (value) =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !isRaw(value);

/** @param {any} a @param {any} b */
export const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/**
 * A schema without its references and its `allOf`; what stands beside a reference wins.
 * @param {any} schema
 * @param {Schema} root
 * @returns {Schema}
 */
export function resolve(schema, root, followed = /** @type {string[]} */ ([])) {
  if (!isObject(schema) || (schema.$ref && followed.includes(schema.$ref))) return {};
  const { $ref, allOf, ...own } = schema;
  const parts = Array.isArray(allOf) ? [...allOf] : [];
  if (typeof $ref === "string") parts.push(at($ref, root));
  const inside = $ref ? [...followed, $ref] : followed;
  return parts.map((part) => resolve(part, root, inside)).reduceRight((found, part) => join(part, found), own);
}

/** @param {Schema} first @param {Schema} last  wins @returns {Schema} */
function join(first, last) {
  const found = { ...first, ...last };
  if (first.properties && last.properties) found.properties = { ...first.properties, ...last.properties };
  if (first.required && last.required) found.required = [...first.required, ...last.required];
  return found;
}

/** @param {string} reference @param {Schema} root @returns {any} */
function at(reference, root) {
  if (!/^#(\/|$)/.test(reference)) return undefined;
  const steps = decodeURIComponent(reference.slice(1)).split("/").slice(1);
  return steps.reduce((/** @type {any} */ found, step) => {
    const name = step.replaceAll("~1", "/").replaceAll("~0", "~");
    return typeof found === "object" && found !== null && Object.hasOwn(found, name) ? found[name] : undefined;
  }, root);
}

/** `word_count` as `Word count`. @param {string} name */
export function words(name) {
  const found = name.replace(/([a-z])([A-Z])/g, "$1 $2").replace(/[_-]+/g, " ").trim();
  return found ? found[0].toUpperCase() + found.slice(1) : name;
}

/**
 * The field for a schema.
 * @param {any} given
 * @param {Schema} root
 * @param {string} name  what to call it where it has no title
 * @returns {Field}
 */
export function fieldOf(given, root, name = "", required = true, depth = 0) {
  const [schema, nullable] = withoutNull(resolve(given, root), root);
  /** @type {Field} */
  const field = {
    kind: "json",
    label: typeof schema.title === "string" && schema.title.trim() ? schema.title : words(name),
    help: typeof schema.description === "string" ? schema.description : "",
    required,
    nullable,
    initial: required && Object.hasOwn(schema, "const") ? schema.const : schema.default, // what need not be given is chosen, not sent unasked
    schema,
  };
  return depth > DEEPEST ? field : { ...field, ...kindOf(schema, root, depth) };
}

/**
 * A schema without the null that it allows, and whether it does.
 * @param {Schema} schema
 * @param {Schema} root
 * @returns {[Schema, boolean]}
 */
function withoutNull(schema, root) {
  /** @type {Schema} */
  let found = { ...schema };
  for (const key of ["type", "enum"])
    if (Array.isArray(schema[key])) found[key] = schema[key].filter((/** @type {any} */ one) => one !== null && one !== "null");
  const key = ["anyOf", "oneOf"].find((one) => Array.isArray(schema[one]));
  if (key) {
    const branches = schema[key].map((/** @type {any} */ one) => resolve(one, root));
    const left = branches.filter((/** @type {Schema} */ one) => one.type !== "null" && one.const !== null);
    const { [key]: _, ...rest } = found;
    if (left.length < branches.length) found = left.length === 1 ? join(left[0], rest) : { ...rest, [key]: left };
    if (left.length < branches.length) return [found, true];
  }
  return [found, schema.type?.length > found.type?.length || schema.enum?.length > found.enum?.length];
}

/** @param {Schema} schema @param {Schema} root @param {number} depth @returns {Partial<Field>} */
function kindOf(schema, root, depth) {
  if (Object.hasOwn(schema, "const")) return { kind: "choice", options: [schema.const] };
  if (Array.isArray(schema.enum)) return { kind: "choice", options: schema.enum };
  const choices = schema.oneOf ?? schema.anyOf;
  if (Array.isArray(choices) && choices.length) return unionOf(schema, choices, root, depth);
  const types = [schema.type ?? guessed(schema)].flat();
  if (types.length > 1) return unionOf({}, types.map((type) => ({ ...schema, type })), root, depth);
  switch (types[0]) {
    case "string":
      return { kind: "text", type: typeOfText(schema) };
    case "number":
    case "integer":
      return { kind: "number" };
    case "boolean":
      return { kind: "boolean" };
    case "array":
      return listOf(schema, root, depth);
    case "object":
      return objectOf(schema, root, depth);
    default:
      return {};
  }
}

/** @param {Schema} schema */
function guessed(schema) {
  if (schema.properties ?? schema.required) return "object";
  return schema.items ? "array" : (schema.pattern ?? schema.maxLength ?? schema.minLength) !== undefined ? "string" : "";
}

/** @param {Schema} schema */
function typeOfText(schema) {
  const known = INPUTS.get(schema.format);
  return known ?? (LINES.has(schema.format) || schema.pattern || schema.maxLength <= LONGEST_LINE ? "text" : "area");
}

/** @param {Schema} schema @param {any[]} choices @param {Schema} root @param {number} depth @returns {Partial<Field>} */
function unionOf(schema, choices, root, depth) {
  const { oneOf, anyOf, title, description, default: _, ...beside } = schema;
  const parts = choices.map((one) => join(beside, resolve(one, root)));
  if (parts.every((one) => Object.hasOwn(one, "const"))) return { kind: "choice", options: parts.map((one) => one.const) };
  const branch = (/** @type {Schema} */ one, /** @type {number} */ index) =>
    ({ ...fieldOf(one, root, "", true, depth + 1), label: branchName(one, choices[index]) });
  return { kind: "union", branches: once(() => parts.map(branch)) };
}

/** @param {Schema} schema @param {any} given */
function branchName(schema, given) {
  if (typeof schema.title === "string") return schema.title;
  const tag = Object.values(schema.properties ?? {}).find((one) => isObject(one) && Object.hasOwn(one, "const"));
  if (tag) return words(String(tag.const));
  if (typeof given?.$ref === "string") return words(given.$ref.split("/").at(-1) ?? "");
  const types = { string: "Text", array: "List", object: "Fields", boolean: "Yes or no" };
  return Object.hasOwn(types, schema.type) ? types[/** @type {keyof types} */ (schema.type)] : words(String(schema.type ?? "Other"));
}

/** @param {Schema} schema @param {Schema} root @param {number} depth @returns {Partial<Field>} */
function listOf(schema, root, depth) {
  if (schema.prefixItems || schema.items === undefined || schema.items === false) return {};
  return { kind: "list", each: () => fieldOf(schema.items, root, "Item", true, depth + 1) };
}

/** @param {Schema} schema @param {Schema} root @param {number} depth @returns {Partial<Field>} */
function objectOf(schema, root, depth) {
  const properties = isObject(schema.properties) ? schema.properties : {};
  const needed = new Set(Array.isArray(schema.required) ? schema.required : []);
  const names = Object.keys(properties);
  const more = [schema.additionalProperties, ...Object.values(schema.patternProperties ?? {})].find(isObject);
  if (!names.length && !more) return {};
  const field = (/** @type {string} */ name) =>
    /** @type {[string, Field]} */ ([name, fieldOf(properties[name], root, name, needed.has(name), depth + 1)]);
  const each = more && (() => fieldOf(more, root, "Value", true, depth + 1));
  return { kind: "object", fields: once(() => names.map(field)), each };
}

/** The same function, which does its work once. @template T @param {() => T} make @returns {() => T} */
function once(make) {
  /** @type {T | undefined} */
  let found;
  return () => (found ??= make());
}

/**
 * What a field that is left empty gives: null where that says more than leaving it out, which takes the default.
 * @param {Field} field
 */
export const absent = (field) => (field.nullable && (field.required || (field.initial ?? null) !== null) ? null : undefined);

/**
 * The value of a text, a number, a choice, a boolean or JSON that is written so; undefined where it is not given.
 * @param {Field} field
 * @param {string} written
 * @throws {SyntaxError} it is no JSON
 * @returns {any}
 */
export function read(field, written) {
  if (field.kind === "text" && written === "" && !field.nullable)
    return field.required || field.initial ? "" : undefined;
  if (written.trim() === "" && field.kind !== "text") return absent(field);
  if (written === "") return absent(field);
  if (field.kind === "choice") return field.options?.[Number(written)];
  if (field.kind === "boolean") return written === "true";
  if (field.kind === "number") return numberOf(written.trim());
  if (field.kind === "json") return parse(written);
  return field.type === "datetime-local" ? withZone(written) : written;
}

/** @param {string} written @returns {any} */
function numberOf(written) {
  try {
    return parse(written); // of a long one, every digit
  } catch (error) {
    if (Number.isNaN(Number(written))) throw error;
    return Number(written); // such as `.5` and `007`
  }
}

/** A local time with the hours that it is away from UTC. @param {string} local */
function withZone(local) {
  const moment = new Date(local);
  if (Number.isNaN(moment.getTime())) return local;
  const minutes = -moment.getTimezoneOffset();
  const [hours, rest] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60].map((one) => String(one).padStart(2, "0"));
  return `${local}${local.length === 16 ? ":00" : ""}${minutes < 0 ? "-" : "+"}${hours}:${rest}`;
}

/**
 * A value as `read` takes it.
 * @param {Field} field
 * @param {any} value
 * @returns {string}
 */
export function write(field, value) {
  if (field.kind === "choice") {
    const index = field.options?.findIndex((one) => same(one, value)) ?? -1;
    return index < 0 ? "" : String(index);
  }
  if (value === undefined || (value === null && field.nullable)) return "";
  if (field.kind === "json") return JSON.stringify(value, null, 2);
  if (field.kind === "text" && field.type === "datetime-local") return localTime(String(value));
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** @param {string} moment */
function localTime(moment) {
  const time = new Date(moment).getTime();
  if (Number.isNaN(time)) return "";
  return new Date(time - new Date(time).getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

/**
 * The branch of a union that a value is most likely of.
 * @param {Field[]} branches
 * @param {any} value
 */
export function branchOf(branches, value) {
  const scores = branches.map((branch) => likeness(branch, value));
  return scores.indexOf(Math.max(...scores));
}

/** How well a value fits a field, as far as one look tells; below 0 where it does not. @param {Field} field @param {any} value @returns {number} */
function likeness(field, value) {
  switch (field.kind) {
    case "text":
      return typeof value === "string" ? 2 : -1;
    case "number":
      return typeof value === "number" || isRaw(value) ? 2 : -1;
    case "boolean":
      return typeof value === "boolean" ? 2 : -1;
    case "choice":
      return field.options?.some((one) => same(one, value)) ? 3 : -1;
    case "list":
      return Array.isArray(value) ? 2 : -1;
    case "union":
      return Math.max(...(field.branches?.() ?? []).map((branch) => likeness(branch, value)));
    case "object": {
      if (!isObject(value)) return -1;
      const parts = (field.fields?.() ?? []).map(([name, one]) =>
        Object.hasOwn(value, name) ? likeness(one, value[name]) : one.required ? -1 : 0);
      return parts.some((one) => one < 0) ? -0.5 : 1 + parts.filter((one) => one > 0).length;
    }
    default:
      return 0;
  }
}
