// The form without a page: each test is a line of Node's own runner. `tests/unit/test_form.py` runs it.

import assert from "node:assert/strict";
import test from "node:test";

const { absent, branchOf, fieldOf, parse, read, resolve, words, write } = await import(process.env.FORM);

const field = (schema, required = true, root = schema) => fieldOf(schema, root, "word_count", required);

/** The kinds of the fields of a schema, as deep as they go at once. */
function kinds(found) {
  if (found.kind === "object") return Object.fromEntries(found.fields().map(([name, one]) => [name, kinds(one)]));
  if (found.kind === "list") return [kinds(found.each())];
  if (found.kind === "union") return new Set(found.branches().map(kinds));
  return found.type ?? found.kind;
}

for (const [schema, kind] of [
  [{ type: "string" }, "area"],
  [{ type: "string", maxLength: 80 }, "text"],
  [{ type: "string", maxLength: 8000 }, "area"],
  [{ type: "string", pattern: "^a" }, "text"],
  [{ type: "string", format: "date" }, "date"],
  [{ type: "string", format: "date-time" }, "datetime-local"],
  [{ type: "string", format: "email" }, "email"],
  [{ type: "string", format: "uri" }, "url"],
  [{ type: "string", format: "uuid" }, "text"],
  [{ type: "integer" }, "number"],
  [{ type: "number", minimum: 1 }, "number"],
  [{ type: "boolean" }, "boolean"],
  [{ enum: ["a", 1, null] }, "choice"],
  [{ const: 4 }, "choice"],
  [{ oneOf: [{ const: "a", title: "A" }, { const: "b" }] }, "choice"],
  [{ type: ["string", "null"] }, "area"],
  [{ anyOf: [{ type: "integer" }, { type: "null" }] }, "number"],
  [{ type: ["string", "integer"] }, new Set(["area", "number"])],
  [{ anyOf: [{ type: "string" }, { type: "array", items: { type: "integer" } }] }, new Set(["area", ["number"]])],
  [{ type: "array", items: { type: "object", properties: { a: { type: "integer" } } } }, [{ a: "number" }]],
  [{ properties: { a: { type: "string" } } }, { a: "area" }],
  [{ type: "object", additionalProperties: { type: "string" } }, {}],
  [{ allOf: [{ properties: { a: { type: "string" } } }, { properties: { b: { type: "integer" } } }] }, { a: "area", b: "number" }],
  [{ $ref: "#/$defs/a~1b", $defs: { "a/b": { type: "integer" } } }, "number"],
  // What is too odd is JSON.
  [{}, "json"],
  [true, "json"],
  [{ type: "object" }, "json"],
  [{ type: "array" }, "json"],
  [{ type: "array", prefixItems: [{ type: "string" }] }, "json"],
  [{ type: "null" }, "json"],
  [{ $ref: "#/$defs/nothing" }, "json"],
  [{ $ref: "https://example.org/other" }, "json"],
  [{ $ref: "#" }, "json"],
  [{ allOf: [{ $ref: "#" }, { type: "boolean" }] }, "boolean"],
])
  test(`${JSON.stringify(schema)} is ${JSON.stringify(kind)}`, () => assert.deepEqual(kinds(field(schema)), kind));

test("a field is called by its title, else by its name", () => {
  assert.equal(field({ type: "string", title: "Words" }).label, "Words");
  assert.equal(field({ type: "string", title: " " }).label, "Word count");
  assert.equal(words("maxTokens"), "Max Tokens");
  assert.equal(words("__"), "__");
  assert.equal(resolve({ $ref: "#/$defs/a", title: "Mine" }, { $defs: { a: { title: "Its", type: "string" } } }).title, "Mine");
});

test("a schema that holds itself, and one of depth 30, end", () => {
  const root = { type: "object", properties: Object.fromEntries([..."abcdefghij"].map((name) => [name, { $ref: "#" }])) };
  assert.equal(field(root).fields()[9][1].fields()[9][1].kind, "object");
  const tree = { type: "object", properties: { sub: { type: "array", items: { $ref: "#" } } } };
  assert.deepEqual(field(tree).fields()[0][1].each().kind, "object");
  let deep = { type: "string" };
  for (let level = 0; level < 30; level++) deep = { type: "object", properties: { in: deep }, required: ["in"] };
  let found = field(deep);
  let levels = 0;
  for (; found.kind === "object"; levels++) found = found.fields()[0][1];
  assert.deepEqual([found.kind, levels], ["json", 9]);
});

test("names that JavaScript has for itself are names like others", () => {
  const schema = parse('{"type": "object", "properties": {"__proto__": {"type": "integer"}, "constructor": {"type": "string"}}}');
  assert.deepEqual(field(schema).fields().map(([name, one]) => [name, one.kind]), [["__proto__", "number"], ["constructor", "text"]]);
  assert.equal(field({ $ref: "#/$defs/toString", $defs: {} }).kind, "json");
  assert.equal(field({ type: "string", format: "constructor" }).type, "area");
  assert.equal(branchOf([field({ required: ["toString"], properties: { toString: {} } }), field({ type: "object", properties: { a: {} } })], { a: 1 }), 1);
  assert.equal({}.polluted, undefined);
});

test("what is left empty is left out, or is null where that says more", () => {
  assert.equal(absent(field({ type: ["integer", "null"] })), null);
  assert.equal(absent(field({ type: ["integer", "null"] }, false)), undefined);
  assert.equal(absent(field({ type: ["integer", "null"], default: 3 }, false)), null);
  assert.equal(read(field({ type: "integer" }, false), ""), undefined);
  assert.equal(read(field({ type: "string" }, false), ""), undefined);
  assert.equal(read(field({ type: "string", default: "a" }, false), ""), "");
  assert.equal(read(field({ type: "string" }), ""), "");
  assert.equal(read(field({ type: "string" }), " \n"), " \n");
  assert.equal(read(field({ enum: ["a", null] }, true), ""), null);
});

for (const [schema, value] of [
  [{ type: "string" }, "a\n\"b\" </script> \u{1F600}"],
  [{ type: "string" }, "x".repeat(10_000_000)],
  [{ type: "integer" }, 0],
  [{ type: "number" }, -2.5e-7],
  [{ type: "boolean" }, false],
  [{ enum: ["a", 1, { a: [1] }] }, { a: [1] }],
  [{ enum: ["0", 0] }, "0"],
  [{ enum: ["0", 0] }, 0],
  [{}, { a: [1, null, "b"] }],
  [{ type: ["string", "null"] }, null],
  [{ type: "string", format: "date" }, "2026-11-30"],
])
  test(`${JSON.stringify(value).slice(0, 40)} of ${JSON.stringify(schema)} is read as it was written`, () => {
    const found = field(schema);
    assert.deepEqual(read(found, write(found, value)), value);
  });

test("numbers are read as people write them, and keep every digit", () => {
  const found = field({ type: "number" });
  assert.deepEqual(["7", "007", ".5", "-.5", "1e3", " 2 "].map((one) => read(found, one)), [7, 7, 0.5, -0.5, 1000, 2]);
  for (const long of ["12345678901234567890", "0.12345678901234567890", "1e400"])
    assert.equal(JSON.stringify({ a: read(found, long) }), `{"a":${long}}`);
  assert.equal(JSON.stringify(parse('[1.0, 0.0, 5]')), "[1,0,5]");
  assert.throws(() => read(found, "1,5"), SyntaxError);
  assert.throws(() => read(field({}), "{a: 1}"), SyntaxError);
});

test("a local time has its hours, and comes back", () => {
  const found = field({ type: "string", format: "date-time" });
  const given = read(found, "2026-06-01T10:30");
  assert.match(given, /^2026-06-01T10:30:00[+-]\d\d:\d\d$/);
  assert.equal(write(found, given), "2026-06-01T10:30:00");
  assert.equal(write(found, "never"), "");
});

test("the one value of what need not be given is not given unasked", () => {
  const initial = (schema, required) => fieldOf(schema, schema, "urgent", required).initial;
  assert.deepEqual([initial({ const: true }, true), initial({ const: true }, false), initial({ const: true, default: true }, false)], [true, undefined, true]);
});

test("a value chooses the branch that it is of", () => {
  const mail = { type: "object", properties: { kind: { const: "mail" }, to: { type: "string" } }, required: ["kind", "to"] };
  const chat = { type: "object", properties: { kind: { const: "chat" } }, required: ["kind"] };
  const union = field({ oneOf: [mail, chat, { type: "string" }, { type: "array", items: {} }] });
  const chosen = (value) => branchOf(union.branches(), value);
  assert.deepEqual([{ kind: "mail", to: "a" }, { kind: "chat" }, "a", [1]].map(chosen), [0, 1, 2, 3]);
  assert.deepEqual(union.branches().map((one) => one.label), ["Mail", "Chat", "Text", "List"]);
});
