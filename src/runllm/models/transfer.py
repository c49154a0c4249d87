"""A file of the hub to the disk: taken up where it stopped, and its checksum verified."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from runllm.errors import ProviderConnectionError, ProviderError, RunllmError
from runllm.models.growing import GrowingFile
from runllm.models.hub import Hub, RemoteFile, Repository

T = TypeVar("T")

_PAUSE, _LONGEST_PAUSE = 0.5, 60.0
_GOOD_PROGRESS = 1 << 20
_NO_SUCH_RANGE = 416
FEW, MANY = 4, 6
"""How many failures in a row are too many: while nothing is here yet, and in the middle of a file."""


def persistently(
    attempt: Callable[[], T], sleep: Callable[[float], None], *, most: int, done: Callable[[], int] = lambda: 0
) -> T:
    """What `attempt` gives, tried again after failures that may pass, with growing pauses.

    Args:
        attempt: raises a `RunllmError` when it fails.
        sleep: waits for so many seconds.
        most: failures in a row that are too many.
        done: bytes so far; a failure after good progress begins a new row.
    """
    failures, before = 0, done()
    while True:
        try:
            return attempt()
        except RunllmError as error:
            failures = 1 if done() - before >= _GOOD_PROGRESS else failures + 1
            before = done()
            pause = float(error.details.get("retry_after", _PAUSE * 2 ** (failures - 1)))
            if not error.retryable or failures >= most or pause > _LONGEST_PAUSE:
                raise
            sleep(pause)


def fetch(
    hub: Hub, repository: Repository, remote: RemoteFile, file: GrowingFile, sleep: Callable[[float], None]
) -> None:
    """Fill `file` with a file of the hub; its checksum is the caller's to look at.

    Raises:
        RunllmError: it cannot be had; what came so far stays.
    """

    def attempt() -> None:
        if file.done == remote.size:
            return
        try:
            _stream(hub, repository, remote.path, file)
        except ProviderError as error:
            if error.details.get("status") == _NO_SUCH_RANGE:
                file.restart()
            raise

    persistently(attempt, sleep, most=MANY, done=lambda: file.done)


def _stream(hub: Hub, repository: Repository, path: str, file: GrowingFile) -> None:
    asked = file.done
    with hub.content(repository, path, asked) as (start, pieces):
        if start != asked:
            file.restart()  # the range was ignored: what comes is the whole file
        if start not in (0, asked):
            raise ProviderError(f"{hub.host} sent another part of `{path}` than was asked for")
        for piece in pieces:
            if file.done + len(piece) > file.size:
                file.restart()
                raise ProviderError(f"{hub.host} sent more of `{path}` than it has")
            file.write(piece)
    if file.done < file.size:
        raise ProviderConnectionError(f"the connection to {hub.host} ended too early")
