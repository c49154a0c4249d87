"""Get one request answered: send it again when the transport fails, fall back to other models.

A generator without I/O: it yields what to do (`Call`, `Pause`) and is sent the completion.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from itertools import count
from typing import Any, TypeAlias

from runllm.errors import ModelNotFoundError, OllamaModelMissingError, ProviderError, RunllmError
from runllm.executor.effects import Call, Pause
from runllm.results import DEFAULT_NUM_RETRIES, Completion, Endpoint, Request

Fitted: TypeAlias = "Callable[[Request], tuple[Request, tuple[str, ...]]]"

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
LONGEST_RETRY_AFTER = 60.0
LONGEST_WAIT = 600.0  # the same, of many runs that wait for one provider together


def impatient(_request: Request, _error: RunllmError) -> int:
    """The patience of a single run: somebody waits for it."""
    return 0


def deliver(
    request: Request,
    endpoints: Sequence[Endpoint],
    *,
    fitted: Fitted = lambda request: (request, ()),
    num_retries: int = DEFAULT_NUM_RETRIES,
    patience: Callable[[Request, RunllmError], int] = impatient,
    jitter: Callable[[], float] = random.random,
) -> Generator[Call | Pause, Any, Completion]:
    """Send `request` to the first endpoint, and to the next ones when that one fails for good.

    Args:
        request: what to ask; its endpoint is replaced.
        endpoints: in the order they are tried; at least one.
        fitted: makes the request one that its model takes, and says what of it arrives otherwise than as written.
        num_retries: how often a retryable failure is tried again at one endpoint.
        patience: the same after a failure of the last endpoint, where it is more.
        jitter: a number from 0 to 1; spreads out callers that failed together.

    Returns:
        The completion, whose notes say what it took.

    Raises:
        RunllmError: the last endpoint's failure, with the others' in its details.
    """
    notes: list[str] = []
    failure: RunllmError | None = None
    for endpoint in endpoints:
        asked, changed = fitted(request if endpoint is request.endpoint else replace(request, endpoint=endpoint))
        for tried in count():
            try:
                completion: Completion = yield Call(request=asked)
            except (ProviderError, ModelNotFoundError, OllamaModelMissingError) as error:
                failure = error
                notes.append(f"{endpoint.model}: {type(error).__name__}: {error.message}")
                waits = patience(asked, error) if endpoint is endpoints[-1] else 0
                pause = _pause(error, tried, jitter(), LONGEST_WAIT if waits else LONGEST_RETRY_AFTER)
                if tried >= max(num_retries, waits) or not error.retryable or pause is None:
                    break
                yield Pause(seconds=pause)
            else:
                told = (*changed, *completion.notes, *notes)
                return replace(completion, notes=told) if changed or notes else completion
    if failure is None:
        raise ProviderError("there is no model to call")
    if len(notes) > 1:
        failure.details["calls"] = notes
    raise failure


def _pause(error: RunllmError, tried: int, jitter: float, longest: float) -> float | None:
    """Seconds to wait before the next call; None when the provider asks for more than is sensible.

    Exponential backoff with half of it jittered, or the provider's `Retry-After` where it gave one.
    """
    asked = error.details.get("retry_after")
    if isinstance(asked, int | float):
        return float(asked) if asked <= longest else None
    whole = min(LONGEST_PAUSE, FIRST_PAUSE * 2**tried)
    return whole / 2 + whole / 2 * jitter
