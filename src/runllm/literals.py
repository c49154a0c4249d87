"""Values as they were written: what digits a number loses, what text a plain word was, which input an argument is."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Collection, Iterator
from contextlib import suppress
from shlex import quote
from typing import Any

from runllm.diagnostics import clip, told
from runllm.documents import Mark, Node
from runllm.schema import Found, Schema, declared_types, enter

_MOST = 20
_SHOWN = 60
_KINDS = {"bool": {"boolean"}, "int": {"integer", "number"}, "float": {"number", "integer"}}


def kept_of(literal: str) -> str:
    """What is left of a number with a fraction or an exponent that has more digits than can be held; empty if all is.

    A number that has the digits of the one that is held, more than it needs even, loses nothing: 17 digits, as many
    programs write, or all of the exact value.
    """
    value = float(literal)
    if not math.isfinite(value):
        return ""
    mantissa = re.split("[eE]", literal.lstrip("+-"))[0]
    digits = mantissa.replace(".", "").lstrip("0")
    held = f"{abs(value):.{max(len(digits), 1) - 1}e}".partition("e")[0].replace(".", "")
    return "" if held == digits or not digits else json.dumps(value)


def of_json(text: str) -> list[tuple[Mark, str, str]]:
    """The numbers of a JSON text that lose digits: where each stands, how it is written, and what is kept of it."""
    literals = list[str]()

    def heard(literal: str) -> float:
        literals.append(literal)
        return 0.0

    with suppress(ValueError, RecursionError):
        json.loads(text, parse_float=heard, parse_int=lambda _: 0)
    found = list[tuple[Mark, str, str]]()
    at = 0
    for literal in literals:
        place = re.compile(rf"(?:^|(?<=[\s:,\[])){re.escape(literal)}(?=[\s,\]}}]|$)").search(text, at)
        at = place.end() if place else at
        if place and len(found) < _MOST and (kept := kept_of(literal)):
            line = text.count("\n", 0, place.start())
            column = place.start() - (text.rfind("\n", 0, place.start()) + 1)
            found.append((Mark(line, column, len(literal)), literal, kept))
    return found


def of_document(root: Node) -> Iterator[tuple[Mark, str, str]]:
    """The numbers of a YAML document that lose digits, as `of_json`."""
    for _, node in root.walk():
        if node.written is not None and isinstance(node.value, float) and (kept := kept_of(node.written)):
            yield node.mark, node.written, kept


def said(literal: str, kept: str) -> str:
    """That a number loses digits, for people."""
    return f"`{literal}` has more digits than a number with a fraction holds: it is read as {kept}"


def as_texts(root: Schema, schema: Any, node: Node) -> None:
    """Give each plain word of a document that is read for a text back the text that it was: `007`, `1.50`, `true`.

    Where other types are declared beside the text, it stays a value of those if nothing of it is lost. null stays
    null. The values of the document are changed in place.
    """
    for step, child in node.children.items():
        entered = enter(root, schema, step)
        if not isinstance(entered, Found):
            continue
        if child.written is not None and _is_text(child, declared_types(root, entered.schema)):
            child.value, child.written = child.written, None
            node.value[step] = child.value
        elif child.children:
            as_texts(root, entered.schema, child)


def _is_text(node: Node, types: set[str]) -> bool:
    kinds = _KINDS.get(type(node.value).__name__, set[str]())
    return "string" in types and bool(kinds) and (not kinds & types or json.dumps(node.value) != node.written)


def as_argument(word: str, names: Collection[str], text: str | None) -> str:
    """A hint for an argument that is an input in another form: `text`, `text:hi`, `--arg text=hi`, or a text alone.

    Args:
        word: what was given.
        names: the inputs of the app.
        text: the one that a text alone is for, if that is plain.
    """
    found = re.match(r"-*([^\s:=]+)\s*[:=]?\s*(.*)", word, re.DOTALL)
    name, value = (found[1], clip(found[2], _SHOWN)) if found else ("", "")
    if name in names:
        return (
            f"Write `{quote(f'{name}={value}')}`." if value else f"Write `{name}=VALUE`, without blanks beside the `=`."
        )
    alone = text and not word.startswith("-") and "=" not in word
    return f"Write `{quote(f'{text}={clip(word, _SHOWN)}')}`." if alone else ""


def parse_json(text: str) -> Any:
    """A JSON value, strictly: no key twice, and no `NaN`.

    Raises:
        ValueError, RecursionError: it is none.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except ValueError as error:
        if "set_int_max_str_digits" in str(error):  # Python's own words, for who writes Python
            raise ValueError(f"a number has more than {sys.get_int_max_str_digits():,} digits") from None
        raise


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {told(next(key for key in keys if keys.count(key) > 1))} stands twice")
    return found


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"`{word}` is not a JSON value")
