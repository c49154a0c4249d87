"""What one answer takes over HTTP, as steps without I/O, and the two ways to go through them."""

from __future__ import annotations

from collections.abc import Generator
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from runllm.engines.bodies import UnreadableError
from runllm.engines.http import Client, HttpRequest, Line
from runllm.engines.proxies import UnreachableError

if TYPE_CHECKING:
    from runllm.engines.many import ManyClient

T = TypeVar("T")

Steps: TypeAlias = "Generator[HttpRequest | float, Any, T]"
"""Yields what is to be sent, and is sent the `HttpReply` or has thrown in why there is none; or seconds to wait."""

FAILURES = (TimeoutError, UnreachableError, UnreadableError, HTTPException)


def through(steps: Steps[T], client: Client, line: Line) -> T:
    """Go through the steps in this thread, over a line that another may end."""
    try:
        step = next(steps)
        while True:
            found = failure = None
            try:
                found = client.send(step, line) if isinstance(step, HttpRequest) else line.wait(step)
            except FAILURES as error:
                failure = error.with_traceback(None)  # which would hold this frame, and with it what was open
            step = steps.throw(failure) if failure else steps.send(found)  # here, where it is no error's context
    except StopIteration as end:
        return end.value


async def athrough(steps: Steps[T], client: ManyClient) -> T:
    """Go through them in this event loop; cancellation ends them."""
    import asyncio

    try:
        step = next(steps)
        while True:
            found = failure = None
            try:
                found = await (client.send(step) if isinstance(step, HttpRequest) else asyncio.sleep(step))
            except FAILURES as error:
                failure = error.with_traceback(None)
            step = steps.throw(failure) if failure else steps.send(found)
    except StopIteration as end:
        return end.value
