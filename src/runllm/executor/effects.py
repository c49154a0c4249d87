"""What the steps of a run ask their driver to do."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable
from typing import Any, TypeAlias

from runllm.results import Request, RunResult
from runllm.values import frozen


@frozen
class Call:
    """Ask the driver to send a request; it answers with the `Completion`, or throws the failure in."""

    request: Request


@frozen
class Pause:
    """Ask the driver to wait for so many seconds."""

    seconds: float


@frozen
class Work:
    """Do what takes a while without I/O of ours: run a Python block.

    Attributes:
        do: what.
        to_the_end: whether it is waited for even by who is stopped meanwhile, as what writes is.
    """

    do: Callable[[], Any]
    to_the_end: bool = False


@frozen
class Start:
    """Begin another run beside this one, and go on at once.

    Attributes:
        name: of the dependency.
        index: its place in a `for_each`, None without one.
        key: what the run is: one that was begun under the same key is used again.
        steps: of the run.
    """

    name: str
    index: int | None
    key: Hashable
    steps: Steps


@frozen
class Wait:
    """Wait for the next of the runs that were started here; answered by its `ChildResult`."""


@frozen
class Stop:
    """End the runs that were started here and are still under way; answered by their `ChildResult`s."""


Effect: TypeAlias = "Call | Pause | Work | Start | Wait | Stop"
Steps: TypeAlias = "Generator[Effect, Any, RunResult]"
