"""Types as a TypeScript module, with a function that calls the app where `runllm serve` has it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from runllm.export.shapes import AnyOf, Declared, ListOf, MapOf, Named, OneOf, Plain, Shape
from runllm.export.texts import lines_of

_PLAIN = {
    "string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null", "any": "unknown",
    "never": "never",
}  # fmt: skip
USED = (
    "Array", "Boolean", "Error", "Function", "Map", "Number", "Object", "Options", "Problem", "Promise", "Record",
    "RequestFailed", "Response", "Set", "String", "Symbol", "AbortSignal", "Type", "call", "undefined",
)  # fmt: skip


def spelt(shape: Shape) -> str:
    """A type as an annotation."""
    match shape:
        case Plain(kind=kind):
            return _PLAIN[kind]
        case OneOf(values=values):
            return " | ".join(_literal(value) for value in values)
        case ListOf(first=(), others=others):
            return f"Array<{spelt(others)}>" if others else "[]"
        case ListOf(first=first, sure=sure, others=others):
            parts = [f"({spelt(one)})" + ("" if place < sure else "?") for place, one in enumerate(first)]
            return f"[{', '.join([*parts, *([f'...Array<{spelt(others)}>'] if others else [])])}]"
        case MapOf(values=values):
            return f"{{ [key: string]: {spelt(values)} }}"
        case AnyOf(parts=parts):
            return " | ".join(dict.fromkeys(map(spelt, parts)))
        case Named(name=name):
            return name


def _literal(value: str | int | bool | None) -> str:
    exact = isinstance(value, bool) or not isinstance(value, int) or abs(value) < 1 << 53
    return json.dumps(value) if exact else "number"


def _declaration(one: Declared) -> str:
    doc = list(_comment(one.doc))
    if one.fields is None:
        return "\n".join([*doc, f"export type {one.name} = {spelt(one.shape)};"])
    if not one.fields and not one.is_open:
        return "\n".join([*doc, f"export type {one.name} = {{ [key: string]: never }};"])
    lines = [
        line
        for field in one.fields
        for line in (
            *_comment(field.doc, "  "),
            f"  {_key(field.key)}{'' if field.required else '?'}: {spelt(field.shape)};",
        )
    ]
    lines += ["  [key: string]: unknown;"] if one.is_open else []
    return "\n".join([*doc, f"export interface {one.name} {{", *lines, "}"])


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z_$][A-Za-z0-9_$]*", key) else json.dumps(key)


def _comment(doc: str, indent: str = "") -> Iterator[str]:
    lines = [line.replace("*/", "*\\/") for line in lines_of(doc)]
    if len(lines) == 1:
        yield f"{indent}/** {lines[0]} */"
    elif lines:
        yield f"{indent}/**"
        yield from (f"{indent} * {line}".rstrip() for line in lines)
        yield f"{indent} */"


def module(app: str, description: str, path: str, given: str, found: str, declared: Sequence[Declared]) -> str:
    """A whole module; `given` and `found` are the names of the types of input and output."""
    types = "\n\n".join(map(_declaration, declared))
    doc = "\n".join(_comment(f"{description or app}\n\nMade by `runllm types`: change {path} instead."))
    parts = {"GIVEN": given, "FOUND": found, "NAME": json.dumps(quote(app, safe=""))}
    client = re.sub("GIVEN|FOUND|NAME", lambda part: parts[part[0]], _CLIENT)  # all at once: a name may hold another
    return f"{doc}\n\n{types}\n\n{client}"


_CLIENT = """\
/** Where the app is served, and how it is asked. */
export interface Options {
  /** The address of `runllm serve`; by default http://127.0.0.1:8000. */
  url?: string;
  /** The token that it wants, if it does. */
  token?: string;
  signal?: AbortSignal;
}

/** What went wrong, as RFC 9457 writes it. */
export interface Problem {
  type?: string;
  title?: string;
  status?: number;
  code?: string;
  message?: string;
  hint?: string;
  problems?: Array<{ pointer: string; message: string }>;
}

/** An answer that is no output. */
export class RequestFailed extends Error {
  constructor(readonly status: number, readonly problem: Problem) {
    super(problem.message ?? problem.title ?? `status ${status}`);
    this.name = "RequestFailed";
  }
}

/** Run the app. */
export async function call(input: GIVEN, options: Options = {}): Promise<FOUND> {
  const headers: { [name: string]: string } = { "Content-Type": "application/json", Accept: "application/json" };
  if (options.token !== undefined) headers["Authorization"] = `Bearer ${options.token}`;
  const url = `${(options.url ?? "http://127.0.0.1:8000").replace(/\\/+$/, "")}/apps/${NAME}`;
  const signal = options.signal ?? null;
  const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(input), signal });
  if (!response.ok) {
    const problem = (await response.json().catch(() => ({}))) as Problem;
    throw new RequestFailed(response.status, problem);
  }
  return (await response.json()) as FOUND;
}
"""
