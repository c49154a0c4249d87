"""What is calculated or compared with values of kinds that do not go together, known before a template is rendered."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from runllm.diagnostics import clip, nearest
from runllm.template.environment import check_source
from runllm.template.findings import Scope
from runllm.template.signatures import Finding, finding
from runllm.template.tree import Node
from runllm.template.types import ARITHMETIC, Types

_COUNTS = frozenset({"integer", "number", "boolean"})
_LIKE = (_COUNTS, frozenset({"string"}), frozenset({"array"}))
_SHOWN = 40
_PAIR = 2


def misfits(source: str, scope: Scope) -> Iterator[Finding]:
    """What always fails, as `"text " + input.count`, and what is always true or never, as `input.count == "3"`.

    Args:
        source: a template whose syntax is right.
        scope: what each root name holds, as for `findings`.
    """
    tree = check_source(source)
    local = {name for node in tree.inside() if node.kind == "bind" for name in node.names}
    types = Types({key: value for key, value in scope.items() if key.partition(".")[0] not in local})
    for node in tree.inside():
        if node.kind == "for":
            yield from _pairs(node.parts[0], types, source)
        elif node.kind == "operation":
            yield from _operated(node, types, source)
        elif node.kind == "if":
            for part in node.parts:
                if part.kind == "operation" and part.names[0] == "and":
                    yield from _alone(part, is_condition=True, source=source)


def _operated(node: Node, types: Types, source: str) -> Iterator[Finding]:
    if node.names[0] == "or":
        yield from _alone(node, is_condition=False, source=source)
    for sign, left, right in zip(node.names, node.parts, node.parts[1:], strict=False):
        if sign in ARITHMETIC:
            yield from _calculated(sign, left, right, types)
        elif sign in ("==", "!="):
            yield from _compared(sign, left, right, types, source)
        elif sign in ("<", "<=", ">", ">="):
            yield from _ordered(left, right, types, source)
        elif sign in ("in", "not in") and right.kind == "array":
            for one in right.parts:
                yield from _unlisted(left, one, one, "this is never so", types, source)


def _calculated(sign: str, left: Node, right: Node, types: Types) -> Iterator[Finding]:
    before, after = types.kinds(left), types.kinds(right)
    if before and after and not any(_goes(sign, a, b) for a in before for b in after):
        what = f"`{sign}` of {' or '.join(sorted(before))} and {' or '.join(sorted(after))} fails"
        hint = "A number in a text is read with `| int` or `| float`."
        if sign == "+" and "string" in before | after:
            hint = "Texts are joined with `~`: `a ~ b`."
        elif sign == "%" and before == frozenset({"string"}):
            hint = "Write `'%d pages' | format(x)`."
        yield finding(Node(kind="operation", at=left.at, end=right.end), what, hint)


def _goes(sign: str, left: str, right: str) -> bool:
    if sign == "+":
        return any(left in kinds and right in kinds for kinds in _LIKE)
    if sign == "*" and left in ("string", "array"):
        return right in _COUNTS
    return left in _COUNTS and right in _COUNTS


# --- comparisons ------------------------------------------------------------------------------------------


def _compared(sign: str, left: Node, right: Node, types: Types, source: str) -> Iterator[Finding]:
    """Two values that are never the same."""
    before, after = (frozenset(map(_kind, types.kinds(side))) - {"null"} for side in (left, right))
    place = Node(kind="operation", at=left.at, end=right.end)
    always = "always" if sign == "!=" else "never"
    other, constant = (right, left) if left.kind == "constant" else (left, right)
    written = source[other.at : other.end]
    if before and after and not before & after:
        kinds = types.kinds(other) - {"null"}
        said = f"this is {always} true: `{clip(written, _SHOWN)}` is of type {' or '.join(sorted(kinds))}"
        yield finding(place, said, _hint(kinds, constant, written), severity="warning")
    else:
        yield from _unlisted(other, constant, place, f"this is {always} true", types, source)


def _ordered(left: Node, right: Node, types: Types, source: str) -> Iterator[Finding]:
    """A number and a text, of which one is always the smaller, whatever they are."""
    before, after = (frozenset(map(_kind, types.kinds(side))) - {"null"} for side in (left, right))
    if before | after == frozenset({"number", "string"}) and before and after and not before & after:
        other, constant = (right, left) if left.kind == "constant" else (left, right)
        hint = _hint(types.kinds(other) - {"null"}, constant, source[other.at : other.end])
        said = "a number is compared with a text: this does not depend on their values"
        place = Node(kind="operation", at=left.at, end=right.end)
        yield finding(place, said, hint or "Read a number in a text with `| int` or `| float`.", severity="warning")


def _unlisted(other: Node, constant: Node, place: Node, said: str, types: Types, source: str) -> Iterator[Finding]:
    """A text that is none of those that a value may be."""
    values = _values(types.of(other).schema)
    if constant.kind == "constant" and constant.text == "string" and values and constant.value not in values:
        near = nearest(str(constant.value), values)
        shown = f"`{clip(source[other.at : other.end], _SHOWN)}` is one of {clip(', '.join(values), _SHOWN)}"
        yield finding(place, f"{said}: {shown}", f'Did you mean "{near}"?' if near else "", severity="warning")


def _kind(name: str) -> str:
    return "number" if name in _COUNTS else name


def _values(schema: Any) -> list[str]:
    """The texts of an `enum`; none where a value may be something else."""
    listed: Sequence[Any] = cast("Mapping[str, Any]", schema).get("enum", ()) if isinstance(schema, Mapping) else ()
    values = [value for value in listed if isinstance(value, str)]
    return values if len(values) == len([value for value in listed if value is not None]) else []


def _hint(kinds: frozenset[str], constant: Node, written: str) -> str:
    """What to write where a value of other types is compared with a constant."""
    value = constant.value if constant.kind == "constant" else None
    if kinds == frozenset({"boolean"}) and isinstance(value, str):
        is_false = value.lower() in ("false", "no", "off", "0", "")
        return f"Write `{'not ' if is_false else ''}{written}`: it is true or false."
    if kinds <= _COUNTS and isinstance(value, str) and value.strip("-").replace(".", "", 1).isdecimal():
        return f"Write it without quotes: `{value}`."
    if kinds == frozenset({"string"}) and isinstance(value, int | float) and not isinstance(value, bool):
        return f'Write it in quotes: `"{json.dumps(value)}"`.'
    if kinds == frozenset({"array"}) and value is not None:
        return f"Write `{json.dumps(value, ensure_ascii=False)} in {written}`."
    return ""


def _alone(node: Node, *, is_condition: bool, source: str) -> Iterator[Finding]:
    """A text behind a comparison and `or`, as in `x == "a" or "b"`: it is true by itself."""
    first, *others = node.parts
    sign = "!=" if is_condition else "=="
    if first.kind != "operation" or first.names != (sign,):
        return
    texts = [part for part in others if part.kind == "constant" and part.text == "string" and part.value]
    if not texts:
        return
    compared, given = first.parts[0], [first.parts[1], *texts]
    values = ", ".join(source[part.at : part.end] for part in given)
    hint = f"Write `{source[compared.at : compared.end]} {'not in' if is_condition else 'in'} [{values}]`."
    said = f"`{source[texts[0].at : texts[0].end]}` is compared with nothing, and is true by itself"
    yield finding(texts[0], said, hint, severity="warning")


def _pairs(bind: Node, types: Types, source: str) -> Iterator[Finding]:
    """A loop with two names over an object, which gives its keys alone."""
    if len(bind.names) == _PAIR and bind.parts and types.kinds(bind.parts[0]) - {"null"} == frozenset({"object"}):
        given = bind.parts[0]
        hint = f"Write `{', '.join(bind.names)} in {source[given.at : given.end]}.items()`."
        yield finding(given, "a loop over an object gives its names alone", hint, severity="warning")
