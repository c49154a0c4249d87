"""Read TOML into plain values, or say where it stops being TOML."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from typing import Any, NamedTuple

from runllm.config.checking import problem
from runllm.diagnostics import Problem, Span

MAX_BYTES = 256 * 1024
_PLACE = r" \(at (?:line (\d+), column (\d+)|end of document)\)$"
_HINTS = {
    "Invalid value": 'A text stands in quotes: `model = "openai/gpt-4o-mini"`.',
    "Expected '": "A name with other characters than letters, digits, `-` and `_` stands in quotes: "
    '`[models."openai/*"]`.',
}


class Document(NamedTuple):
    """A file: its text with plain line breaks, its values, and what stops it from being TOML."""

    text: str = ""
    values: dict[str, Any] = {}  # noqa: RUF012 - never changed
    problem: Problem | None = None


def parse(data: bytes, file: str) -> Document:
    """Read a file's bytes.

    Args:
        data: at most one byte more than allowed.
        file: its name, for what is wrong.
    """
    if len(data) > MAX_BYTES:
        return Document(problem=problem(f"`{file}` is larger than {MAX_BYTES // 1024} KiB", "size"))
    try:
        text = data.decode().removeprefix("\ufeff").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        from runllm.config.places import span_at  # only once something is wrong

        before = error.object[: error.start].decode("utf-8", "replace").replace("\r\n", "\n")
        wrong = problem(f"`{file}` is not UTF-8", "encoding", hint="Save it as UTF-8.")
        return Document(problem=replace(wrong, span=span_at(file, before, len(before), len(before))))
    try:
        return Document(text, tomllib.loads(text))
    except RecursionError:
        return Document(text, problem=problem(f"`{file}` nests too deeply", "toml"))
    except ValueError as error:
        return Document(text, problem=_syntax(str(error), file, text))


def _syntax(said: str, file: str, text: str) -> Problem:
    place = re.search(_PLACE, said)
    said = said[: place.start()] if place else said
    hint = next((hint for start, hint in _HINTS.items() if said.startswith(start)), "")
    lines = text.split("\n")
    if place and place[1]:
        line, column = int(place[1]), int(place[2])
    else:  # the end of the last line that holds something
        line = next((number for number in range(len(lines), 1, -1) if lines[number - 1]), 1)
        column = len(lines[line - 1]) + 1
    span = Span(file=file, line=line, column=column, text=lines[min(line, len(lines)) - 1])
    return replace(problem(f"the file is not TOML: {said}", "toml", hint=hint), span=span)
