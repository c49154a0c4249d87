"""Wait in an event loop for what blocks a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from typing import Any, TypeVar

T = TypeVar("T")


async def in_thread(do: Callable[[], T]) -> T:
    """What `do` gives, in a thread of its own, which nobody waits for who is cancelled meanwhile."""
    import asyncio

    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(found: Any, error: BaseException | None) -> None:
        if not future.done():
            future.set_exception(error) if error else future.set_result(found)

    def act() -> None:
        found, failed = None, None
        try:
            found = do()
        except BaseException as error:
            failed = error
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, found, failed)

    threading.Thread(target=copy_context().run, args=(act,), name="runllm-work", daemon=True).start()
    return await future
