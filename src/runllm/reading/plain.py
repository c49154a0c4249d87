"""An answer that is asked for as text: it is the value, but for reasoning before it and what stands around it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from runllm.diagnostics import Problem
from runllm.reading.coerce import Coercer
from runllm.reading.marks import CLOSING, HEAD, OPENING, SPOKEN, TAIL, TURN, WRAPPER, is_call
from runllm.reading.search import CALLED, EMPTY, HALF_CHARACTER, TOKEN_LIMIT, refusal
from runllm.reading.strict import Extraction, is_unicode
from runllm.schema import Contract

_FENCED = re.compile(r"(`{3,}|~{3,})[^\n`]*\n(?:(.*)\n)?[ \t]*\1", re.DOTALL)
_FENCE_INSIDE = re.compile(r"^[ \t]*(?:`{3,}|~{3,})", re.MULTILINE)
_ENDLESS = Problem(message="the reasoning opened here never ends, and no answer follows", keyword="truncated")


def read_text(text: str, contract: Contract, *, finish_reason: str = "stop") -> Extraction:
    """The value of a schema of texts that an answer is, without blanks around it.

    Raises:
        OutputSchemaError: it was cut off, holds nothing, or does not satisfy the schema.
    """
    if finish_reason == "length":
        raise refusal(text, contract, [TOKEN_LIMIT])
    value, repairs = _bare(text)
    called = is_call(value)
    if OPENING.match(value) and not called:
        raise refusal(text, contract, [_ENDLESS])
    fenced = _FENCED.fullmatch(value)
    if fenced and not _FENCE_INSIDE.search(fenced[2] or ""):
        value, repairs = (fenced[2] or "").strip("\n").rstrip(), (*repairs, "fence")
    if called or is_call(value):
        raise refusal(text, contract, [CALLED])
    if not value:
        raise refusal(text, contract, [EMPTY])
    if not is_unicode(value, value):
        raise refusal(text, contract, [HALF_CHARACTER])
    fitting = next((one for one in _readings(value, contract) if contract.accepts(one.value)), None)
    if fitting is None:
        raise refusal(text, contract, contract.problems(value))
    return Extraction(value=fitting.value, repairs=(*repairs, *fitting.repairs))


def _bare(text: str) -> tuple[str, tuple[str, ...]]:
    """The text without what stands around it, but a fence, and the names of what was taken off."""
    repairs: list[str] = []
    value = text.strip()
    if value.startswith("\ufeff"):
        value = value.lstrip("\ufeff").lstrip()
        repairs.append("bom")
    while True:
        if head := HEAD.match(value):
            end, name = head.end(), "turn-mark"
        elif (end := _end_of_reasoning(value)) is not None:
            name = "thinking"
        else:
            break
        value = value[end:].lstrip()
        repairs.append(name)
    if not OPENING.match(value) and (end := _end_of_turn(value)) is not None:
        value = value[:end].rstrip()
        repairs.append("turn-mark")
    if wrapper := WRAPPER.fullmatch(value):
        inside = (wrapper["inside"] or wrapper["boxed"] or "").strip()
        if not (inside.startswith("<") and wrapper["of_xml"] and "thinking" not in repairs):
            value = inside
            repairs.append("tag")
    return value, tuple(dict.fromkeys(repairs))


def _end_of_reasoning(text: str) -> int | None:
    """The offset behind the reasoning that a text begins with; its opening mark may stand in the model's template."""
    if spoken := SPOKEN.match(text):
        return spoken.end()
    end = CLOSING.search(text)
    opened = OPENING.search(text, 0, end.start()) if end else None
    return end.end() if end and (opened is None or opened.start() == 0) else None


def _end_of_turn(text: str) -> int | None:
    """The offset of the marks that a turn ends with: at the end, or before a next one that the model has made up."""
    turn = TURN.search(text)
    for found in TAIL.finditer(text):
        if turn and turn.start() < found.start():  # a text about such marks, or `<s>` of HTML
            return None
        if found.end() in (len(text), turn.start() if turn else -1):
            return found.start()
    return None


def _readings(value: str, contract: Contract) -> Iterator[Extraction]:
    """The text as it is; where that does not fit, as the schema spells it, and what it says as a JSON string."""
    yield Extraction(value=value, repairs=())
    coerced = Coercer(contract).coerce(value)
    yield Extraction(value=coerced.value, repairs=coerced.repairs)
    if value.startswith('"'):
        try:
            found = json.loads(value)
        except (ValueError, RecursionError):
            return
        coerced = Coercer(contract).coerce(found)
        yield Extraction(value=coerced.value, repairs=("quotes", *coerced.repairs))
