"""The thread that runs calls: results, failures, cancellation and its end."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from runllm.engines.background import Background
from runllm.errors import InterruptedRunError, RunllmError


@pytest.fixture
def background():
    background = Background()
    yield background
    background.close()


async def answer(value):
    await asyncio.sleep(0)
    return value


async def fail(error):
    raise error


def test_results_and_failures_reach_the_caller(background):
    """From a thread and from another loop."""
    assert background.run(lambda: answer(1)) == 1
    assert asyncio.run(background.arun(lambda: answer(2))) == 2
    for error in (ValueError("x"), TimeoutError("y")):
        with pytest.raises(type(error)):
            background.run(lambda error=error: fail(error))


def test_an_answer_that_takes_longer_than_one_wait(background):
    """The wait is cut into slices, the answer is not."""
    assert background.run(lambda: asyncio.sleep(0.6, "late")) == "late"


def test_closing_while_calls_begin_forgets_none(background):
    """Each is answered or interrupted; none waits for ever."""

    def one(number):
        try:
            return background.run(lambda: answer(number))
        except InterruptedRunError:
            return "interrupted"

    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(one, number) for number in range(400)]
        for _ in range(20):
            background.close()
        results = [call.result(10) for call in calls]
    assert all(result in (number, "interrupted") for number, result in enumerate(results))


def test_what_belongs_to_the_loop_is_closed_in_it(background):
    """The last work runs after the calls are cancelled; a failure of it still ends the thread."""
    seen = []
    begun = threading.Event()

    async def call():
        try:
            begun.set()
            await asyncio.sleep(60)
        finally:
            seen.append("cancelled")

    async def last():
        seen.append("last")
        raise RunllmError("broken")

    future = background.start(call)
    assert begun.wait(5)
    background.close(last)
    with pytest.raises(InterruptedRunError):
        future.result(5)
    assert seen == ["cancelled", "last"]
