"""Model text to JSON: what can be read in one way only is read, everything else is asked again.

    text ─▶ strict      the whole text is JSON: done
         ─▶ candidates  the values in fences, else at the top level of the prose
         ─▶ tolerant    each by a grammar a little wider than JSON
         ─▶ coercion    what the schema itself asks for, such as 3 for "3"
         ─▶ exactly one value that fits is the answer; none, or two that differ, is an error

Deterministic, no I/O. `docs/extraction.md` lists every repair, and what is never repaired.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from runllm.errors import OutputSchemaError
from runllm.reading import strict
from runllm.reading.strict import Extraction
from runllm.schema import VALUE, Contract, is_text

if TYPE_CHECKING:
    from runllm.reading.search import Reading

__all__ = ["Extraction", "extract", "read_answer"]


def read_answer(text: str, contract: Contract, asked: Contract, *, finish_reason: str = "stop") -> Extraction:
    """Read the value of an output that an answer gives, in the form in which it was asked for.

    Args:
        text: a model's answer.
        contract: of the output.
        asked: of the answer: `schema.asked_as` of the same; the same contract where that changes nothing.
        finish_reason: why the model stopped; after `length` the text is not read at all.

    Raises:
        OutputSchemaError: as `extract`.
    """
    if is_text(contract.schema):
        from runllm.reading.plain import read_text  # an answer in JSON needs none of it

        return read_text(text, contract, finish_reason=finish_reason)
    if asked is contract:
        return extract(text, contract, finish_reason=finish_reason)
    try:
        found = extract(text, asked, finish_reason=finish_reason)
    except OutputSchemaError as error:
        try:  # many a model gives the list itself
            bare = extract(text, contract, finish_reason=finish_reason)
        except OutputSchemaError as other:  # of a list that is given itself, say what is wrong with the list
            is_other_value = [(problem.pointer, problem.keyword) for problem in error.problems] == [("", "type")]
            raise (other if is_other_value else error) from None
        return Extraction(value=bare.value, repairs=(*bare.repairs, "unwrapped"))
    if any(repair.startswith("key-dropped") for repair in found.repairs):  # what was dropped may be part of the value
        with suppress(OutputSchemaError):
            bare = extract(text, contract, finish_reason=finish_reason)
            return Extraction(value=bare.value, repairs=(*bare.repairs, "unwrapped"))
    return Extraction(value=found.value[VALUE], repairs=found.repairs)


def extract(text: str, schema: Mapping[str, Any] | Contract, *, finish_reason: str = "stop") -> Extraction:
    """Read the one value of `schema` that `text` holds.

    Args:
        text: a model's answer.
        schema: a valid JSON Schema of any kind, or its contract, which is then not compiled again.
        finish_reason: why the model stopped; after `length` the text is not read at all.

    Raises:
        OutputSchemaError: there is no such value, there are several, or it would take a guess. Its
            `problems` say what to correct.
    """
    contract = schema if isinstance(schema, Contract) else Contract(schema)
    if finish_reason == "length":
        from runllm.reading.search import TOKEN_LIMIT, refusal

        raise refusal(text, contract, [TOKEN_LIMIT])
    try:
        found, unusual = strict.whole(text)
    except ValueError:
        return _reading(text, contract).search()
    if not unusual and contract.accepts(found) and strict.is_unicode(text, found):
        return Extraction(value=found, repairs=())
    return _reading(text, contract).only(found)


def _reading(text: str, contract: Contract) -> Reading:
    from runllm.reading.search import Reading  # 6 ms that an answer in plain JSON need not pay

    return Reading(text, contract)
