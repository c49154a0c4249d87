"""A contract whose smallest answer cannot fit what a model in this process may answer, found before anything runs.

Such a model is made to decode an answer that ends by itself, so that what the contract asks for at the least is
counted beforehand. Only a contract that asks for much, or an app that lets little be answered, is looked at closely.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, cast

from runllm import engines, tokens
from runllm.diagnostics import Problem
from runllm.errors import ContextWindowExceededError, RunllmError
from runllm.models.known import KNOWN, bare
from runllm.program import Program
from runllm.schema import asked_as, subschemas

_USUAL_ROOM = 1024  # tokens
_PER_NAME = 8  # tokens of a key and what is around it, or of a small value
_COUNTS = ("minItems", "minProperties", "minContains")


def unanswerable(program: Program) -> Iterator[Problem]:
    """A warning at each model that could not give the smallest answer, or is none to chat with."""
    settings = program.model
    if settings is None or program.output is not None:
        return
    models = {place: name for place, name in settings.models.items() if engines.traits(name).constrained}
    much = bool(models) and _asks_for_much(program)
    if not much and all(bare(name) in KNOWN for name in models.values()):
        return
    from runllm.engines.base import Setup
    from runllm.results import Request
    from runllm.routing import Options, endpoints

    schema = asked_as(program.output_contract.schema)
    for endpoint, place in zip(endpoints(program, Options()), settings.models, strict=True):
        if place not in models:
            continue
        asked = Request(
            endpoint=endpoint, messages=(), params=program.params, schema=schema, window=program.max_context_window
        )
        engine = engines.make(engines.traits(endpoint.model), Setup())
        warning = partial(Problem, span=settings.spans[place], severity="warning")
        try:
            for doubt in engine.doubts(endpoint):
                yield warning(message=doubt, keyword="model", kind="ModelNotFoundError", hint="")
            if much:
                engine.sent(asked)
        except ContextWindowExceededError as error:
            said = f"`{endpoint.model}` cannot answer: {error.message}"
            yield warning(message=said, keyword="window", kind=type(error).__name__, hint=error.recovery_hint)
        except RunllmError:  # it is not here, or is loaded wrongly: that is told elsewhere
            continue


def _asks_for_much(program: Program) -> bool:
    """Whether the smallest answer may be too long: a quick count that is never too small by much."""
    most = min(tokens.longest_answer(program.params) or _USUAL_ROOM, program.max_context_window or _USUAL_ROOM)
    least, times = 0, 1
    for sub, _ in subschemas(program.output_contract.schema):
        if isinstance(sub, Mapping):
            node = cast("Mapping[str, Any]", sub)
            least += int(node.get("minLength", 0)) + _PER_NAME * (1 + len(node.get("properties", ())))
            for word in _COUNTS:
                times *= max(1, int(node.get(word, 1)))
    return least * times > most // 2
