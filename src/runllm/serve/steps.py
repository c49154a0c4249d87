"""What a client is told of a run while it lasts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

from runllm.app import App
from runllm.results import Event, RunResult
from runllm.serve.catalog import Served
from runllm.serve.house import House
from runllm.serve.refusals import Refusal

SHOWN = {
    "input": "the input fits",
    "python": "a Python block runs",
    "render": "the prompt is written",
    "cached": "looked for in the cache",
    "call": "the model is asked",
    "answer": "an answer is here",
    "repair": "the answer was repaired",
    "problem": "the answer does not fit",
    "retry": "the model is asked again",
    "skipped": "an item failed and is left out",
}
"""The steps that are told, each in words of ours: those of the run may hold a piece of a prompt or an answer."""


def step(event: Event, app: App) -> dict[str, Any]:
    """A step as it is told to a client."""
    of = [app.name, *event.trail][-1]
    return {"step": event.step, "message": SHOWN[event.step], "app": of, "seconds": round(event.elapsed, 3)}


@asynccontextmanager
async def heard(
    house: House, served: Served, given: Any
) -> AsyncGenerator[tuple[AsyncGenerator[Event], asyncio.Future[RunResult]]]:
    """Run an app, and hear of it: the steps that are told, as they happen, and what it came to, once they have ended.

    A run that is still under way at the end of the block is stopped.
    """
    coming: asyncio.Queue[Event | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def hear(event: Event) -> None:
        loop.call_soon_threadsafe(coming.put_nowait, event)

    async def told() -> AsyncGenerator[Event]:
        while (event := await coming.get()) is not None:
            if event.step in SHOWN:
                yield event

    run = asyncio.ensure_future(house.run(served, given, hear))
    run.add_done_callback(lambda _: coming.put_nowait(None))
    try:
        yield told(), run
    finally:
        run.cancel()
        with suppress(asyncio.CancelledError, Refusal):
            await run
