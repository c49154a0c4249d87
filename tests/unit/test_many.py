"""Many runs at a time: in turn, bounded, and with what becomes of a row that fails."""

import asyncio
import itertools
import json
import threading
import time

import pandas as pd
import polars as pl
import pytest
from tests.apps import leaf

import runllm
from runllm.engines.background import Background
from runllm.errors import AuthenticationError, BudgetExceededError, ProviderError, UsageError
from runllm.executor import many
from runllm.results import Completion, Request, Usage
from runllm.testing import ScriptedEngine


class Counting(ScriptedEngine):
    """Answers with what was asked, and keeps the most calls that were in flight."""

    def __init__(self, seconds=0.0, fail=lambda _: None):
        super().__init__([])
        self.seconds, self.fail = seconds, fail
        self.now = self.most = self.made = 0

    def complete(self, request: Request) -> Completion:
        with self._lock:
            self.made += 1
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(self.seconds)
        with self._lock:
            self.now -= 1
        text = request.messages[-1].content.removeprefix("one: ")
        if error := self.fail(text):
            raise error
        return Completion(
            text=json.dumps({"out": text}), usage=Usage(prompt_tokens=10), cost=0.01, latency=self.seconds
        )

    async def acomplete(self, request: Request) -> Completion:
        return await asyncio.to_thread(self.complete, request)


@pytest.fixture(params=["threads", "tasks"])
def app(request, tmp_path):
    """Makes an app of an engine, which is asked in threads, or in an event loop of its own."""
    file = tmp_path / "one.rllm"
    file.write_text(leaf("one"))
    background = Background()

    def make(engine, **options):
        if request.param == "tasks":
            engine.loop = lambda _: background
        return runllm.load(file, runtime=runllm.Runtime(engine=engine), **options)

    yield make
    background.close()


def rows(number):
    return ({"text": str(n)} for n in range(number))


def test_results_come_in_the_order_of_the_rows_with_their_rows(app):
    found = list(app(Counting(0.001)).map(rows(100)))
    assert [(one.index, one.row, one.output) for one in found] == [
        (n, {"text": str(n)}, {"out": str(n)}) for n in range(100)
    ]


def test_rows_run_where_the_engine_makes_its_calls(app, request):
    engine, places = Counting(), set[str]()
    whole = app(engine, listener=lambda _: places.add(threading.current_thread().name))
    assert len(list(whole.map(rows(20), concurrency=4))) == 20
    assert places == {"runllm-row" if request.node.callspec.params["app"] == "threads" else "runllm-calls"}


def test_unordered_results_are_the_same_ones(app):
    found = list(app(Counting(0.001)).map(rows(50), ordered=False))
    assert sorted(one.index for one in found) == list(range(50))


@pytest.mark.parametrize("concurrency", [1, 3, 8])
def test_no_more_calls_are_in_flight_than_may_be(app, concurrency):
    engine = Counting(0.005)
    assert len(list(app(engine).map(rows(60), concurrency=concurrency))) == 60
    assert engine.most <= concurrency


def test_rows_are_read_as_they_are_needed_and_never_far_ahead(app):
    read = itertools.count()
    endless = ({"text": str(next(read))} for _ in itertools.repeat(0))
    found = list(itertools.islice(app(Counting()).map(endless, concurrency=2), 10))
    assert len(found) == 10
    assert next(read) <= 10 + 2 * (many.AHEAD + 2)


def test_what_nobody_asks_for_any_more_is_not_begun(app):
    engine = Counting(0.002)
    results = app(engine).map(rows(10_000), concurrency=4)
    next(results)
    results.close()
    made = engine.made
    time.sleep(0.1)
    assert engine.made - made <= 4
    assert not [one for one in threading.enumerate() if one.name == "runllm-row" and one.is_alive() and engine.now > 4]


def broken(text):
    return ProviderError("broken", details={}) if text in ("3", "5") else None


def test_a_row_that_fails_stops_is_left_out_or_kept(app):
    engine = Counting(fail=broken)
    quick = app(engine, max_retries=0)
    kept = list(quick.map(rows(8), on_error="keep"))
    assert [one.index for one in kept if one.error] == [3, 5]
    assert [one.index for one in quick.map(rows(8), on_error="skip")] == [0, 1, 2, 4, 6, 7]
    with pytest.raises(ProviderError):
        list(quick.map(rows(8)))


def test_an_input_that_does_not_fit_is_a_row_that_fails(app):
    given = [{"text": "a"}, {"text": 3}, {}, 7, None]
    found = list(app(Counting()).map(given, on_error="keep"))
    assert [one.error and one.error.code for one in found] == [None, *["RLLM_004"] * 4]


def test_what_would_end_all_others_is_raised_whatever_is_asked(app):
    engine = Counting(fail=lambda _: AuthenticationError("no"))
    with pytest.raises(AuthenticationError):
        list(app(engine).map(rows(10_000), on_error="keep"))
    assert engine.made < 100


@pytest.mark.parametrize(("bound", "most"), [({"max_calls": 10}, 10), ({"max_cost": 0.1}, 10 + 32)])
def test_the_bounds_hold_for_all_rows_together(app, bound, most):
    engine = Counting()
    with pytest.raises(BudgetExceededError):
        list(app(engine, **bound).map(rows(1_000), on_error="keep"))
    assert engine.made <= most


def test_the_bound_of_a_file_is_each_rows_own(tmp_path):
    file = tmp_path / "one.rllm"
    file.write_text(leaf("one").replace("version: 1.0.0", "version: 1.0.0\nmax_calls: 1"))
    engine = ScriptedEngine(lambda request: '{"out": 1}' if "bad" in request.messages[-1].content else '{"out": "x"}')
    with runllm.Runtime(engine=engine) as runtime:
        found = list(
            runllm.load(file, runtime=runtime).map([{"text": "a"}, {"text": "bad"}, {"text": "b"}], on_error="keep")
        )
    assert [one.error and one.error.code for one in found] == [None, "RLLM_028", None]


def test_a_word_that_means_nothing_is_refused_before_anything_runs(app):
    engine = Counting()
    with pytest.raises(UsageError, match="on_error"):
        app(engine).map(rows(3), on_error="raise")
    assert engine.made == 0


def test_in_an_event_loop_it_is_the_same(app):
    engine = Counting(0.002)

    async def gather():
        return [one async for one in app(engine).amap(rows(40), concurrency=5)]

    found = asyncio.run(gather())
    assert [one.index for one in found] == list(range(40))
    assert engine.most <= 5


def test_what_is_left_in_an_event_loop_is_cancelled(app):
    engine = Counting(0.01)

    async def some():
        async for _ in app(engine).amap(rows(1_000), concurrency=4):
            break

    asyncio.run(some())
    assert engine.made <= 12


async def _inputs():
    yield {"text": "a"}


@pytest.mark.parametrize("rows", ["abc", {"text": "a"}, None, 3, _inputs()], ids=lambda rows: type(rows).__name__)
def test_what_is_no_list_of_rows_is_refused_with_what_to_give(app, rows):
    """A text would be a row for each letter, and one input a row for each of its names."""
    with pytest.raises(UsageError, match="is no list of rows") as caught:
        list(app(Counting()).map(rows, on_error="keep"))
    assert caught.value.recovery_hint.startswith(("Give a list of inputs", "Read it into a list"))


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_the_rows_of_a_data_frame_are_inputs_and_missing_cells_are_not_given(app, frame):
    table = frame({"text": ["a", None, "c"]})
    found = list(app(Counting()).map(table, on_error="keep"))
    assert [one.output and one.output["out"] for one in found] == ["a", None, "c"]
    assert found[1].error is not None
    assert found[1].row == {}
