"""What a client is told of a run while it lasts."""

from __future__ import annotations

from typing import Any

from runllm.app import App
from runllm.results import Event

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
