"""The thread that runs calls: results, failures, cancellation and its end."""

from __future__ import annotations

import asyncio
import os
import threading
import time
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


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_has_a_loop_of_its_own(background):
    """A fork has no threads: what it runs begins anew, and closing ends nothing of its parent's."""
    assert background.run(lambda: answer(1)) == 1
    child = os.fork()
    if child == 0:
        found = 1
        try:
            background.close()
            found = 0 if background.run(lambda: answer(2)) == 2 else 2
        finally:
            os._exit(found)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert background.run(lambda: answer(3)) == 3


def test_closing_does_not_wait_for_a_thread_that_hangs(background):
    """As one that looks up a host: nothing can end it."""
    hanging, begun = threading.Event(), threading.Event()

    def look_up():
        begun.set()
        hanging.wait(60)

    future = background.start(lambda: asyncio.to_thread(look_up))
    assert begun.wait(5)
    started = time.monotonic()
    background.close()
    assert time.monotonic() - started < 20
    hanging.set()
    with pytest.raises(InterruptedRunError):
        future.result(5)


def test_a_call_is_answered_within_a_loop_that_waits_for_it(background):
    """As in a notebook, where a loop runs already and the caller does not use it."""

    async def cell():
        return background.run(lambda: answer("here"))

    assert asyncio.run(cell()) == "here"


def test_cancelling_a_task_ends_its_work(background):
    """At once for the one who waits, and soon in the loop."""
    begun, ended = threading.Event(), threading.Event()

    async def work():
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async def cancel():
        task = asyncio.create_task(background.arun(work))
        await asyncio.to_thread(begun.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert ended.wait(5)


def test_calls_of_another_loop_that_begin_while_it_closes_end_as_well(background):
    """As those of threads."""

    async def one(number):
        try:
            return await background.arun(lambda: answer(number))
        except InterruptedRunError:
            return "interrupted"

    async def many():
        closing = asyncio.to_thread(lambda: [background.close() for _ in range(20)])
        *results, _ = await asyncio.wait_for(asyncio.gather(*map(one, range(200)), closing), 60)
        return results

    results = asyncio.run(many())
    assert all(result in (number, "interrupted") for number, result in enumerate(results))
