"""A bounded form as a grammar for llguidance, the constrained decoder inside llama.cpp.

One rule for each part of the form; keys in the form's order; no whitespace between the parts, where
a model could loop. A free string is counted in tokens, which no JSON Schema can say: its body is
ended by force when its tokens are used up, and a tail lets the last sentence come to its end.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from runllm.engines.local.patterns import integer_pattern, number_pattern

Form = Mapping[str, Any]

_PLAIN = r'[^"\\\x00-\x1f\x7f]'
_ESCAPE = r'\\["\\n]'
_CHARACTER = rf"({_PLAIN}|{_ESCAPE})"
_OPENING = r'[^"\\\s\x00-\x1f\x7f{}\[\]:,]'
_SENTENCE_END = r'[^".!?\\\x00-\x1f\x7f]'
_PERMUTED = 4
_PER_TOKEN = 3  # characters that a string may have for each token of its budget; English takes four


def grammar(form: Form, *, by_characters: bool = False) -> str:
    """The grammar whose texts are the values of `form`, as compact JSON.

    Args:
        form: a bounded form, as `runllm.engines.local.bounding` makes it.
        by_characters: bound free strings by characters instead of tokens. They may end in the middle of a
            sentence, but the decoder counts no tokens, which is where it has been seen to fail.
    """
    writer = _Writer(by_characters=by_characters)
    start = writer.part(form)
    return "\n".join(["%llguidance {}", f"start: {start}", *writer.rules]) + "\n"


class _Writer:
    """Collects rules; each method gives the name of a rule, or an expression."""

    def __init__(self, *, by_characters: bool) -> None:
        self.by_characters = by_characters
        self.rules: list[str] = []
        self._names: dict[str, str] = {}

    def part(self, form: Form) -> str:
        """The rule for any part of a form."""
        if "enum" in form:
            return self._rule(" | ".join(_literal(_json(value)) for value in form["enum"]))
        if "anyOf" in form:
            return self._rule(" | ".join(self.part(sub) for sub in form["anyOf"]))
        match form["type"]:
            case "object":
                return self._map(form) if "x-keys" in form else self._record(form)
            case "array":
                return self._subset(form) if form.get("uniqueItems") else self._list(form)
            case "string":
                return self._text(form) if "x-tokens" in form else self._rule("%json " + _json(form))
            case "integer":
                multiple = "multipleOf" in form
                return self._rule("%json " + _json(form) if multiple else f"/{integer_pattern(form)}/")
            case _:
                return self._rule(f"/{number_pattern(form)}/")

    def _rule(self, body: str, options: str = "") -> str:
        """A rule of this body; the same body is written once."""
        key = options + body
        if key not in self._names:
            self._names[key] = f"r{len(self._names)}"
            self.rules.append(f"{self._names[key]}{options}: {body}")
        return self._names[key]

    def _text(self, form: Form) -> str:
        """A free string: it opens like text, not like the JSON around it, which small models copy."""
        tokens, least, most = int(form["x-tokens"]), int(form["minLength"]), form.get("maxLength")
        if self.by_characters:
            longest = _PER_TOKEN * tokens
            tokens = most = max(least, longest if most is None else min(longest, int(most)))
        if most == 0:
            return self._quoted("")
        if most is not None and most <= max(tokens, least):
            whole = self._rule(f"/{_OPENING}{_CHARACTER}{{{max(0, least - 1)},{most - 1}}}/")
            return self._quoted(whole if least else f"({whole})?")
        left = max(4, tokens - least)
        tail = min(24, left // 3)
        body = left - tail
        if most is None:
            inner = self._unlimited(body, tail)
        else:
            end = min(4 * tail, int(most) - max(1, least))
            span = f"{{0,{int(most) - max(1, least) - end}}}"
            inner = f"{self._run(_PLAIN, span, body)} {self._run(_SENTENCE_END, f'{{0,{end}}}', tail)}"
        first = self._rule(f"/{_OPENING}{_CHARACTER}{{{max(0, least - 1)}}}/")
        return self._quoted(f"{first} {inner}" if least else f"({first} {inner})?")

    def _unlimited(self, body: int, tail: int) -> str:
        """Text of any length: a body, a few line breaks or quotes, and the way to the sentence's end."""
        breaks, more = (4, body // 10) if body >= 40 else (0, 0)  # noqa: PLR2004 - short texts need no line breaks
        parts = self._run(_PLAIN, "*", body - breaks * (more + 2))
        if breaks:
            parts += f" ({self._rule(f'/{_ESCAPE}/')} {self._run(_PLAIN, '*', more)}){{0,{breaks}}}"
        # The mark is a rule of its own: llguidance panics, and stops constraining, over a rule that is counted in
        # tokens and ends in an optional character.
        return f"{parts} {self._run(_SENTENCE_END, '*', tail)} {self._rule('/[.!?]/')}?"

    def _run(self, characters: str, count: str, tokens: int) -> str:
        return self._rule(f"/{characters}{count}/", f"[max_tokens={max(1, tokens)}]")

    def _quoted(self, inner: str) -> str:
        quote = _literal('"')
        return self._rule(f"{quote} {inner} {quote}")

    def _list(self, form: Form) -> str:
        heads = [self.part(sub) for sub in form["prefixItems"]]
        least, most = int(form["minItems"]), int(form["maxItems"])
        tail = ""
        if most > len(heads):
            low, high = max(0, least - len(heads)), most - len(heads)
            item = self.part(form["items"])
            if not heads:
                return self._rule(f'"[" {_listed(item, low, high)} "]"')
            tail = _repeated(item, low, high)
        return self._rule(f'"[" {_nested(heads, least, tail)} "]"' if heads else '"[]"')

    def _subset(self, form: Form) -> str:
        """A list of different values of an enum: in any order when they are few, else in the enum's."""
        values = [_literal(_json(value)) for value in form["items"]["enum"]]
        least, most = int(form["minItems"]), int(form["maxItems"])
        if len(values) <= _PERMUTED:
            chosen = self._in_any_order(values, least, most, first=True)
        else:
            chosen = self._in_order(values, least, most)
        return self._rule(f'"[" {chosen} "]"')

    def _in_any_order(self, values: Sequence[str], least: int, most: int, *, first: bool) -> str:
        if not values or not most:
            return '""'
        comma = "" if first else '"," '
        options: list[str] = []
        for value in values:
            others = [other for other in values if other != value]
            rest = self._in_any_order(others, max(0, least - 1), most - 1, first=False)
            options.append(f"{comma}{value} {rest}")
        return f"{self._rule(' | '.join(options))}{'' if least else '?'}"

    def _in_order(self, values: Sequence[str], least: int, most: int) -> str:
        """Each value is taken or left out. From the last one on, `rest[n]` is what may follow once `n` are taken."""
        rest: list[str | None] = [None if taken < least else '""' for taken in range(most + 1)]
        for index in range(len(values) - 1, -1, -1):
            before: list[str | None] = []
            for taken in range(min(index, most) + 1):
                left_out, after = rest[taken], rest[taken + 1] if taken < most else None
                if after is None:
                    before.append(left_out)
                else:
                    comma = '"," ' if taken else ""
                    option = f"{comma}{values[index]} {after}"
                    before.append(self._rule(option if left_out is None else f"{option} | {left_out}"))
            rest = before
        return rest[0] or '""'

    def _record(self, form: Form) -> str:
        required = set(form.get("required", ()))
        items = [
            (_literal(_json(name) + ":") + " " + self.part(sub), name in required)
            for name, sub in form["properties"].items()
        ]
        if not items:
            return self._rule('"{}"')
        rest = [f'"," {item}' if needed else f'("," {item})?' for item, needed in items]
        starts: list[str] = []
        for index, (item, needed) in enumerate(items):
            starts.append(" ".join([item, *rest[index + 1 :]]))
            if needed:
                break
        always = any(needed for _, needed in items)
        return self._rule(f'"{{" {self._rule(" | ".join(starts))}{"" if always else "?"} "}}"')

    def _map(self, form: Form) -> str:
        value = self.part(form["additionalProperties"])
        entries = [f'{self.part(key)} ":" {value}' for key in form["x-keys"]]
        return self._rule(f'"{{" {_nested(entries, int(form["minProperties"]), "")} "}}"')


def _listed(item: str, low: int, high: int) -> str:
    more = f"{item}{_repeated(item, max(0, low - 1), high - 1)}"
    return more if low else f"({more})?"


def _repeated(item: str, low: int, high: int) -> str:
    return f' ("," {item}){{{low},{high}}}' if high else ""  # a range that ends at 0 is refused


def _nested(items: Sequence[str], least: int, tail: str) -> str:
    """The items with commas between them, all or from the start up to any number of at least `least`."""
    text = tail
    for index in range(len(items) - 1, -1, -1):
        text = f"{items[index]} {text}" if index == 0 else f'"," {items[index]} {text}'
        if index >= least:
            text = f"({text.strip()})?"
    return text


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
