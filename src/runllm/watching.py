"""Who looks on while apps run: the log, and a watcher that a runtime is given. Neither is told of content by itself."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import logging

    from runllm.results import Completion, Request, RunResult

NAME = "runllm"
INFO, DEBUG = 20, 10  # as `logging` has them


class Watcher(Protocol):
    """Told when a run or a call begins and ends. Its context managers are entered and left in one thread or task each.

    What a manager gives is called with what came of it; a failed call leaves with its error instead.
    """

    def run(self, name: str) -> AbstractContextManager[Callable[[RunResult], None]]:
        """A run begins, of an app that is called so."""
        ...

    def call(self, request: Request) -> AbstractContextManager[Callable[[Completion], None]]:
        """A model is called."""
        ...


def _unwatched(_: object) -> None:
    pass


UNWATCHED: AbstractContextManager[Callable[[Any], None]] = nullcontext(_unwatched)
"""For where nobody looks on."""


class Doing(Protocol):
    """Told what an engine does before or while a model answers, such as loading it or importing a library.

    What its context manager gives is called with how far it is. Of what has no name only that is worth knowing.
    """

    def __call__(self, what: str, /) -> AbstractContextManager[Callable[[str], None]]:
        """It begins; it has ended when the context manager is left, maybe in another thread than the run's."""
        ...


def untold(_: str, /) -> AbstractContextManager[Callable[[str], None]]:
    """Tell nobody."""
    return UNWATCHED


def logger(level: int) -> logging.Logger | None:
    """The log, if somebody reads what is of this level. A program that reads it has imported `logging`."""
    logging = sys.modules.get("logging")
    if logging is None:
        return None
    found: logging.Logger = logging.getLogger(NAME)
    if not found.handlers:
        found.addHandler(logging.NullHandler())
    return found if found.isEnabledFor(level) else None
