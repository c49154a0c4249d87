"""A bounded form as a grammar for llguidance, the constrained decoder inside llama.cpp.

One rule for each part of the form; keys in the form's order; no whitespace between the parts, where
a model could loop. A free string is counted in tokens, which no JSON Schema can say: its body is
ended by force when its tokens are used up, and a tail lets the last sentence come to its end.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

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
    writer = Writer(by_characters=by_characters)
    start = writer.part(form)
    return "\n".join(["%llguidance {}", f"start: {start}", *writer.rules]) + "\n"


class Writer:
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


# --- numbers ----------------------------------------------------------------------------------

Digits = list[str]
"""One character class for each digit, such as `1`, `[2-7]`, `[0-9]`."""


_MANY = 200
_FAR = 10**9 - 1
_FARTHEST = 10**20  # beyond this a pattern grows too large to decode from; all of 64 bits lie within
_MOST_PLACES = 12


def number_form(kind: str, node: Mapping[str, Any]) -> dict[str, Any] | None:
    """The bounded form of an `integer` or `number` schema; None where no number satisfies it.

    Few values become an `enum`; bounds that are missing are set far out, and those that are farther are drawn in.
    """
    step = Fraction(str(node["multipleOf"])) if "multipleOf" in node else None
    low, high = _edges(node)
    if kind == "integer" or (step is not None and step.denominator == 1):
        unit = Fraction((step or Fraction(1)).numerator)  # the least integer multiple of a reduced fraction
        first, last = _multiples(unit, low, high)
        if first > last:
            return None
        if last - first < _MANY // 2:
            return {"enum": [int(i * unit) for i in range(first, last + 1)]}
        form: dict[str, Any] = {"type": "integer", "minimum": int(first * unit), "maximum": int(last * unit)}
        return form if unit == 1 else form | {"multipleOf": int(unit)}
    if low[0] > high[0] or (low[0] == high[0] and (low[1] or high[1])):
        return None
    if step is None:
        return _span(low, high)
    first, last = _multiples(step, low, high)
    if first > last:
        return None
    if step.numerator == 1 and _is_ten(step):
        return _span(low, high) | {"multipleOf": float(step)}
    start = min(max(first, 0), max(first, last - _MANY))
    return {"enum": [_plain_number(i * step) for i in range(start, min(last, start + _MANY) + 1)]}


def _multiples(unit: Fraction, low: tuple[Fraction, bool], high: tuple[Fraction, bool]) -> tuple[int, int]:
    first, last = math.ceil(low[0] / unit), math.floor(high[0] / unit)
    return first + int(low[1] and first * unit == low[0]), last - int(high[1] and last * unit == high[0])


def _is_ten(step: Fraction) -> bool:
    return str(step.denominator).strip("0") == "1"


def _plain_number(value: Fraction) -> int | float:
    return int(value) if value.denominator == 1 else float(value)


def _span(low: tuple[Fraction, bool], high: tuple[Fraction, bool]) -> dict[str, Any]:
    return {
        "type": "number",
        "exclusiveMinimum" if low[1] else "minimum": _plain_number(low[0]),
        "exclusiveMaximum" if high[1] else "maximum": _plain_number(high[0]),
    }


def _edges(node: Mapping[str, Any]) -> tuple[tuple[Fraction, bool], tuple[Fraction, bool]]:
    """The lowest and highest value, each with whether it is itself excluded."""
    lows = [(Fraction(str(node[k])), k.startswith("ex")) for k in ("minimum", "exclusiveMinimum") if k in node]
    highs = [(Fraction(str(node[k])), k.startswith("ex")) for k in ("maximum", "exclusiveMaximum") if k in node]
    low = max(lows, default=None)
    high = min(highs, key=lambda edge: (edge[0], not edge[1]), default=None)
    middle = max(Fraction(0), low[0]) if low else Fraction(0)  # the allowed value nearest to zero
    middle = min(middle, high[0]) if high else middle
    if low is None or low[0] < middle - _FARTHEST:
        low = (middle - (_FARTHEST if low else _FAR), False)
    if high is None or high[0] > middle + _FARTHEST:
        high = (middle + (_FARTHEST if high else _FAR), False)
    return low, high


def integer_pattern(form: Mapping[str, Any]) -> str:
    """A pattern for the integers from `minimum` to `maximum`."""
    return _scaled(int(form["minimum"]), int(form["maximum"]), 0)


def number_pattern(form: Mapping[str, Any]) -> str:
    """A pattern for the numbers between the form's bounds, with a few decimals.

    Two decimals, or as many as `multipleOf` (a power of ten) has, or as many as a narrow range needs.
    """
    low = Fraction(str(form.get("minimum", form.get("exclusiveMinimum"))))
    high = Fraction(str(form.get("maximum", form.get("exclusiveMaximum"))))
    if "multipleOf" in form:
        places = len(str(Fraction(str(form["multipleOf"])).denominator)) - 1
    else:
        places = 2 if high - low >= 1 or high == low else 3 - math.floor(math.log10(high - low))
    places = min(_MOST_PLACES, places)
    found: list[str] = []
    for digits in range(places + 1):
        scale = 10**digits
        first, last = math.ceil(low * scale), math.floor(high * scale)
        first += int("exclusiveMinimum" in form and first == low * scale)
        last -= int("exclusiveMaximum" in form and last == high * scale)
        if first <= last:
            found.append(_scaled(first, last, digits))
    return "|".join(found) or _exact(low)


def _exact(value: Fraction) -> str:
    return f"{float(value)!r}".replace(".", r"\.").replace("+", r"\+")


def _scaled(low: int, high: int, places: int) -> str:
    """A pattern for the integers from `low` to `high`, with a point before the last `places` digits."""
    parts: list[str] = []
    if low < 0:
        parts.append(f"-({_natural(max(1, -high), -low, places)})")
    if high >= 0:
        parts.append(_natural(max(0, low), high, places))
    return "|".join(f"({part})" for part in parts)


def _natural(low: int, high: int, places: int) -> str:
    found: list[str] = []
    for width in range(max(places + 1, len(str(low))), max(places + 1, len(str(high))) + 1):
        smallest = 0 if width == places + 1 else 10 ** (width - 1)
        first, last = max(low, smallest), min(high, 10**width - 1)
        if first <= last:
            found += [_pointed(piece, places) for piece in _pieces(f"{first:0{width}}", f"{last:0{width}}")]
    return "|".join(found)


def _pointed(piece: Digits, places: int) -> str:
    return "".join(piece) if places == 0 else "".join(piece[:-places]) + r"\." + "".join(piece[-places:])


def _pieces(low: str, high: str) -> list[Digits]:
    """The texts from `low` to `high`, of equal length, as a few lists of character classes."""
    if not low:
        return [[]]
    if low[0] == high[0]:
        return [[low[0], *rest] for rest in _pieces(low[1:], high[1:])]
    size = len(low) - 1
    any_digit = ["[0-9]"] * size
    first, last = int(low[0]), int(high[0])
    found: list[Digits] = []
    if low[1:] != "0" * size:
        found += [[low[0], *rest] for rest in _pieces(low[1:], "9" * size)]
        first += 1
    after: list[Digits] = []
    if high[1:] != "9" * size:
        after = [[high[0], *rest] for rest in _pieces("0" * size, high[1:])]
        last -= 1
    if first <= last:
        found.append([f"[{first}-{last}]" if first < last else str(first), *any_digit])
    return found + after
