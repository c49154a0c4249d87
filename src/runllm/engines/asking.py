"""What one answer takes: the requests for it, and the waits between them. A generator without I/O, however it is sent.

A schema may be refused where the request would not be: it is sent again without. A server that has yet to load the
model is waited for until the timeout.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from runllm.engines.base import Setup
from runllm.engines.failures import Failure
from runllm.engines.forms import Forms
from runllm.engines.meanings import STILL_LOADING, is_loading, may_reject_form
from runllm.engines.servers import LLAMA, SMALL, Kind, fits, grammar
from runllm.results import Request

_FIRST_LOOK, _LONGEST_LOOK = 0.25, 5.0  # seconds between two looks whether a server has loaded its model

Sent: TypeAlias = "tuple[Any, Failure | None]"
"""A reply, or why there is none."""

Found: TypeAlias = "tuple[Any, Failure | None, tuple[str, ...]]"
"""The same, with what there is to note of how it came."""

Steps: TypeAlias = "Generator[Mapping[str, Any] | float, Sent | None, Found]"
"""Yields the form of the answer, for a request that is to be sent and answered by what came; or seconds to wait."""


def asking(request: Request, forms: Forms, setup: Setup, kind: Kind | None = None) -> Steps:
    """Ask until there is an answer, or none can be had.

    Args:
        request: what is asked.
        forms: how the answer is held to its schema.
        setup: who is told that it is waited for.
        kind: what the server is known to be.
    """
    form = forms.of(request)
    held = kind if form else None
    if held == SMALL:
        form = grammar(request, small=True) or form
    reply, failure, waited = yield from once_loaded(request, form, setup)
    if held in LLAMA and failure is None and not fits(reply, request):
        second = grammar(request, small=held == SMALL, distinct=True)
        better, lost = ((yield second) if second else None) or (None, failure)
        if better is not None and lost is None:
            return better, None, (*waited, "asked a second time, with a grammar: the first answer did not fit")
    if not form or failure is None or not may_reject_form(failure, request):
        return reply, failure, waited
    plain, again = (yield {}) or (None, None)
    if again is not None:
        return None, failure if again.status == failure.status and not again.generated else again, ()
    forms.refused(request)
    return plain, None, (*waited, f"sent again without the schema, which was refused: {failure.words}")


def driven(steps: Steps, send: Callable[[Mapping[str, Any]], Sent | None], wait: Callable[[float], None]) -> Found:
    """What becomes of the steps in the thread that takes them."""
    try:
        step = next(steps)
        while True:
            if isinstance(step, Mapping):
                step = steps.send(send(step))
            else:
                wait(step)
                step = next(steps)
    except StopIteration as end:
        return end.value


def once_loaded(request: Request, form: Mapping[str, Any], setup: Setup) -> Steps:
    """The answer of a server that has loaded the model, or says that it never will.

    `form` is what is yielded for each request.
    """
    started, pause = time.perf_counter(), _FIRST_LOOK
    while True:
        reply, failure = (yield form) or (None, None)
        waited = time.perf_counter() - started
        loading = failure is not None and is_loading(failure)
        if not loading or failure is None or waited + pause > request.timeout:
            break
        _tell(setup, request.endpoint.model, "waiting for the server to load it")
        yield pause
        pause = min(2 * pause, _LONGEST_LOOK)
    if pause == _FIRST_LOOK:
        return reply, failure, ()
    _tell(setup, request.endpoint.model, "success")
    if failure is not None and loading:
        return None, replace(failure, kinds=failure.kinds | {STILL_LOADING}), ()
    return reply, failure, (f"waited {waited:.1f} s for the server to load the model",)


def _tell(setup: Setup, model: str, stage: str) -> None:
    if setup.progress is not None:
        from runllm.models.pulling import Progress  # who is told loads it anyway

        setup.progress(Progress(name=model, stage=stage))
