"""Something that happens at a chosen moment: Python tells of each file before it is opened."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_waiting: list[Callable[[], None]] = []
_installed: list[bool] = []


def _told(event: str, _arguments: object) -> None:
    if event == "open" and _waiting:
        _waiting.pop(0)()


@contextmanager
def at_opening(number: int, action: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """Have something happen just before the opening of this number, counted from 0; yields whether it has happened."""
    if not _installed:
        _installed.append(True)
        sys.addaudithook(_told)  # it stays as long as the process
    happened: list[bool] = []

    def acting() -> None:
        happened.append(True)
        action()

    _waiting[:] = [*[lambda: None] * number, acting]
    try:
        yield lambda: bool(happened)
    finally:
        _waiting.clear()
