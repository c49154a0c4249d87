"""What a case holds a run against beside its output, and what many runs come to: worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from runllm.evals.figures import Tried, figures, flakiness, pass_hat
from runllm.evals.judge import misses
from runllm.program import Case
from runllm.results import Attempt, Completion, Endpoint, Request, RunResult, Usage


def case(name: str = "one", **expect: Any) -> Case:
    return Case(name=name, input={}, expect=expect)


def result(cost: float | None = 0.01, *, tokens: int = 10, answers: int = 1, cached: bool = False) -> RunResult:
    usage = Usage(prompt_tokens=tokens - 4, completion_tokens=4)
    came = Completion(text="x", usage=usage, model="m", cost=cost, cached=cached)
    asked = Request(endpoint=Endpoint(model="m"), messages=())
    attempts = [Attempt(number=n, request=asked, completion=came if n == 1 else None) for n in range(1, answers + 1)]
    return RunResult(output="x", attempts=tuple(attempts))


@pytest.mark.parametrize(
    ("most", "ran", "took", "said"),
    [
        ({"cost": 0.01}, result(0.01), 1.0, ""),
        ({"cost": 0.01}, result(0.011), 1.0, "it cost"),
        ({"cost": 0.01}, result(None), 1.0, "what it cost is not known"),
        ({"cost": 0}, RunResult(output="x"), 1.0, ""),
        ({"tokens": 10}, result(tokens=10), 1.0, ""),
        ({"tokens": 10}, result(tokens=11), 1.0, "it took 11 tokens"),
        ({"attempts": 2}, result(answers=2), 1.0, ""),
        ({"attempts": 2}, result(answers=3), 1.0, "it took 3 answers"),
        ({"seconds": 1.5}, result(), 1.5, ""),
        ({"seconds": 1.5}, result(), 1.6, "it took"),
    ],
)
def test_what_a_run_takes_is_held_against_the_most_it_may(
    most: dict[str, float], ran: RunResult, took: float, said: str
) -> None:
    found = misses(case(most=most), ran, took, lambda *_: None)
    assert len(found) == bool(said)
    assert said in "".join(found)


def tried(*took: float, name: str = "one", passed: bool = True) -> list[Tried]:
    missed = () if passed else ("no",)
    return [Tried(case=case(name), model="m", result=result(), took=seconds, misses=missed) for seconds in took]


@pytest.mark.parametrize(("number", "most"), [(1, 1), (2, 2), (9, 9), (10, 9), (11, 10), (20, 18)])
def test_nine_in_ten_are_no_longer(number: int, most: int) -> None:
    assert figures(tried(*range(1, number + 1))).most == most


def test_a_case_passes_if_each_of_its_runs_does() -> None:
    found = figures([*tried(1, 2), *tried(1, name="two"), *tried(1, name="two", passed=False)])
    assert (found.cases, found.passed, found.half, found.cost) == (2, 1, 1, pytest.approx(0.04))
    assert figures([*tried(1, passed=False), *tried(2)]).passed == 0


def test_answers_that_were_not_given_now_are_in_no_time() -> None:
    kept = Tried(case=case(), model="m", result=result(0.0, cached=True), took=0.001)
    found = figures([*tried(2, 4), kept])
    assert (found.half, found.most, found.cached, found.first) == (3, 4, 1, 1.0)


@pytest.mark.parametrize(
    ("passed", "runs", "share"), [(0, 5, 0), (1, 5, 0.2), (4, 5, 0.2), (5, 5, 0), (2, 4, 0.5), (0, 0, 0)]
)
def test_flakiness_is_the_share_of_the_fewer(passed: int, runs: int, share: float) -> None:
    assert flakiness(passed, runs) == share


@pytest.mark.parametrize(
    ("passed", "runs", "times", "likely"), [(4, 5, 2, 0.6), (4, 5, 1, 0.8), (4, 5, 5, 0), (5, 5, 5, 1)]
)
def test_passing_many_times_in_a_row(passed: int, runs: int, times: int, likely: float) -> None:
    assert pass_hat(passed, runs, times) == pytest.approx(likely)
