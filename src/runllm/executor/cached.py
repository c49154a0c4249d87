"""Take an answer from the cache instead of asking, and keep the one that was accepted."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Protocol

from runllm.errors import FileAccessError, RunllmError
from runllm.executor.effects import Effect, Work
from runllm.results import Attempt, Completion, Outcome, Request, Verdict

if TYPE_CHECKING:
    from runllm.engines.cache import Answers
    from runllm.executor.context import Context


class Conversation(Protocol):
    """What of `talk.Conversation` is needed here."""

    run: Context

    def ask(self, first: Request) -> Generator[Effect, Any, Outcome]:
        """The attempt loop."""
        ...

    def judge(self, completion: Completion, request: Request) -> Generator[Effect, Any, Verdict]:
        """Hold an answer against the contract and the checks."""
        ...


def hold(talk: Conversation, first: Request, age: float, answers: Answers) -> Generator[Effect, Any, Outcome]:
    """The conversation, or what was accepted when it was held before, no longer than `age` seconds ago.

    What was kept is judged as if it had just come, since the contract and the checks may be others now. What is kept is
    the answer that was accepted, under the first request, so that what had to be corrected need not be again.
    """
    run = talk.run
    try:
        key, found = yield Work(do=lambda: _find(talk, first, age, answers))
        if found is not None:
            verdict = yield from talk.judge(found, first)
            if verdict.error is None and not verdict.problems:
                run.tree.outside.paid(first, found)
                once = Attempt(number=1, request=first, completion=found, repairs=verdict.repairs, notes=found.notes)
                return Outcome(value=verdict.value, attempts=(once,))
            run.tell("cached", "it does not fit any more: the model is asked")
    except FileAccessError as error:
        run.warn(error.message)
        return (yield from talk.ask(first))
    outcome = yield from talk.ask(first)
    answer = outcome.attempts[-1].completion if outcome.attempts else None
    # What stands in for the model today must not do so when the model is back.
    if outcome.error is None and answer is not None and answer.model in ("", first.endpoint.model):
        try:
            yield Work(do=lambda: answers.keep(key, answer, run.runtime.wall()), to_the_end=True)
        except FileAccessError as error:
            run.warn(error.message)
        except RunllmError:  # interrupted while it is kept: the answer stands
            pass
    return outcome


def _find(talk: Conversation, first: Request, age: float, answers: Answers) -> tuple[bytes, Completion | None]:
    from runllm.engines.access import address_of
    from runllm.engines.cache import key_of

    runtime = talk.run.runtime
    place = runtime.engine(first.endpoint).place(first.endpoint) or address_of(first.endpoint, os.environ)
    key = key_of(first, place)
    return key, answers.find(key, age, runtime.wall())
