"""How fast many runs may call one provider."""

import asyncio
import math
import threading
import time

import pytest

from runllm.errors import (
    AuthenticationError,
    InterruptedRunError,
    ProviderConnectionError,
    ProviderError,
    RateLimitError,
    UsageError,
)
from runllm.pace import Pace, Turn, is_pressure
from runllm.results import Completion, Endpoint, Message, Request, Usage


class Clock:
    """Time that passes when it is told to."""

    def __init__(self):
        self.time = 100.0

    def __call__(self):
        return self.time


def request(model="a/m", text="x"):
    return Request(endpoint=Endpoint(model=model), messages=(Message(role="user", content=text),))


def answer(latency=1.0, tokens=0):
    return Completion(text="x", latency=latency, usage=Usage(completion_tokens=tokens))


def width(pace, model="a/m"):
    return pace._lane(request(model)).width()


def call(pace, latency=1.0, error=None, model="a/m", tokens=0):
    try:
        with pace.turn(request(model)) as turn:
            if error:
                raise error
            turn.answered(answer(latency, tokens))
    except ProviderError:
        pass


def test_it_begins_narrow_grows_while_answers_come_as_fast_and_never_beyond_its_bound():
    pace = Pace(16, now=Clock())
    assert width(pace) == 4
    for _ in range(5):
        call(pace)
    assert width(pace) == 9
    for _ in range(50):
        call(pace)
    assert width(pace) == 16


def test_it_does_not_grow_while_answers_come_slower():
    pace = Pace(64, now=Clock())
    for _ in range(6):
        call(pace, 1.0)
    wide = width(pace)
    for _ in range(50):
        call(pace, 10.0)
    assert width(pace) <= wide + 6


def test_a_busy_provider_halves_it_once_for_calls_that_were_in_flight_together():
    clock = Clock()
    pace = Pace(32, now=clock)
    for _ in range(40):
        call(pace)
    assert width(pace) == 32
    lane = pace._lane(request())
    for _ in range(5):
        lane.refused(RateLimitError("429"), began=clock.time)
        assert width(pace) == 16
        clock.time += 0.0
        lane._cut = clock.time + 1  # the others began before that
    clock.time += 100
    lane.refused(RateLimitError("429"), began=clock.time)
    assert width(pace) == 8


def test_after_it_was_busy_it_grows_by_one_for_each_round():
    clock = Clock()
    pace = Pace(32, now=clock)
    for _ in range(40):
        call(pace)
    call(pace, error=RateLimitError("429"))
    clock.time += 100
    assert width(pace) == 16
    for _ in range(16):
        call(pace)
    assert width(pace) in (16, 17)


@pytest.mark.parametrize("asked", [3.0, 40])
def test_nobody_calls_until_the_pause_is_over_that_was_asked_for(asked):
    clock = Clock()
    pace = Pace(8, now=clock)
    call(pace, error=RateLimitError("429", details={"retry_after": asked}))
    assert pace.waiting == pytest.approx(asked)
    waits = pace._waits(Turn(pace._lane(request()), 0))
    assert next(waits) == pytest.approx(asked)
    clock.time += asked
    with pytest.raises(StopIteration):
        next(waits)


def test_another_provider_goes_on_meanwhile():
    pace = Pace(8, now=Clock())
    call(pace, error=RateLimitError("429", details={"retry_after": 60}))
    call(pace, model="b/m")  # would hang otherwise
    assert width(pace, "b/m") == 5


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RateLimitError("x"), True),
        (ProviderConnectionError("x"), True),
        (ProviderError("x", details={"status": 503}), True),
        (ProviderError("x", details={"status": 529}), True),
        (ProviderError("x", details={"status": 500}), False),
        (ProviderError("x"), False),
        (AuthenticationError("x"), False),
        (ValueError("x"), False),
    ],
)
def test_which_failures_say_that_a_provider_is_busy(error, expected):
    assert is_pressure(error) is expected


def test_calls_a_minute_are_evenly_spread():
    clock = Clock()
    pace = Pace(8, rpm=60, now=clock)
    lane = pace._lane(request())
    assert [lane.moment(0) for _ in range(4)] == [100, 101, 102, 103]


def test_tokens_a_minute_count_answers_too():
    clock = Clock()
    pace = Pace(8, tpm=600, now=clock)
    lane = pace._lane(request())
    first = lane.moment(10)
    lane.answered(answer(tokens=110), 10)
    assert (first, lane.moment(10)) == (100, 111)


def test_who_cannot_wait_is_told_at_once_of_a_long_pause_and_bears_a_short_one():
    clock = Clock()
    pace = Pace(8, patient=False, now=clock)
    busy = RateLimitError("429", details={"retry_after": 90})
    assert (pace.patience(request(), busy), pace.apart().patience(request(), busy)) == (0, 8)
    call(pace, error=busy)
    with pytest.raises(RateLimitError) as told, pace.turn(request()):
        pass
    assert told.value.details["retry_after"] == 90
    clock.time += 31
    assert next(pace._waits(Turn(pace._lane(request()), 0))) == 59
    clock.time += 60
    call(pace, error=RateLimitError("429", details={"retry_after": 1e9}))
    assert pace.waiting == 600  # then it is asked again all the same


def test_who_waits_is_interrupted_when_all_is_stopped():
    pace = Pace(1)
    call(pace, error=RateLimitError("429", details={"retry_after": 600}))
    ended = []

    def wait():
        try:
            with pace.turn(request()):
                ended.append("called")
        except InterruptedRunError:
            ended.append("stopped")

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.05)
    pace.stop()
    thread.join(10)
    assert ended == ["stopped"]


def test_in_an_event_loop_it_is_the_same():
    pace = Pace(2, rpm=6_000)
    most = now = 0

    async def one():
        nonlocal most, now
        async with pace.aturn(request()) as turn:
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.01)
            now -= 1
            turn.answered(answer(0.01))

    async def all_of_them():
        await asyncio.gather(*(one() for _ in range(20)))

    asyncio.run(all_of_them())
    assert most == 2
    assert pace.in_flight == 0


@pytest.mark.parametrize("rate", [0, -1, math.nan, math.inf])
@pytest.mark.parametrize("name", ["rpm", "tpm"])
def test_a_rate_that_would_bound_nothing_is_refused(name: str, rate: float) -> None:
    """`nan` would be compared with every clock in vain."""
    with pytest.raises(UsageError, match=f"`{name}` must be a number above 0"):
        Pace(1, **{name: rate})
