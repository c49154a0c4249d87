"""Budgets: each bound by itself, nested ones, and that nothing passes a bound on calls, whatever the order."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runllm.errors import BudgetExceededError, UsageError
from runllm.limiter import Limiter
from runllm.spending import Bounds, Budget
from runllm.testing import FakeClock


def budget(outer: Budget | None = None, clock: FakeClock | None = None, **bounds: float) -> Budget:
    return Budget(Bounds(**bounds), (clock or FakeClock()).now, outer)  # pyright: ignore[reportArgumentType]


def test_the_last_call_is_allowed_and_the_next_is_not() -> None:
    one = budget(calls=2)
    one.call()
    one.call()
    with pytest.raises(BudgetExceededError, match="bound of 2 on calls") as caught:
        one.call()
    assert caught.value.exit_status == 10
    assert caught.value.code == "RLLM_028"
    assert caught.value.details["bound"] == "calls"
    assert caught.value.details["spent"]["calls"] == 2
    assert "--max-calls" in caught.value.recovery_hint


@pytest.mark.parametrize(
    ("bound", "paid"), [("tokens", {"tokens": 10}), ("cost", {"cost": 10.0}), ("held", {"held": 10})]
)
def test_what_is_only_known_afterwards_ends_the_next_call(bound: str, paid: dict[str, int]) -> None:
    one = budget(**{bound: 10})
    one.call()
    one.pay(**paid)
    with pytest.raises(BudgetExceededError) as caught:
        one.call()
    assert caught.value.details["bound"] == bound


def test_a_call_that_surely_costs_too_much_is_not_made() -> None:
    one = budget(cost=0.5)
    with pytest.raises(BudgetExceededError):
        one.call(cost=0.6)
    assert one.spent.calls == 0


def test_no_money_at_all_allows_what_is_free() -> None:
    one = budget(cost=0)
    one.call()
    one.call()
    with pytest.raises(BudgetExceededError):
        one.call(cost=0.001)


def test_time_runs_by_the_clock_that_is_given() -> None:
    clock = FakeClock()
    one = budget(clock=clock, seconds=10)
    assert one.seconds_left == 10
    clock.sleep(4)
    assert one.seconds_left == 6
    clock.sleep(6)
    with pytest.raises(BudgetExceededError, match="10 s on the time"):
        one.call()


def test_what_is_surely_needed_is_refused_before_it_is_spent() -> None:
    one = budget(calls=10, runs=100)
    one.foresee(calls=10, runs=100)
    with pytest.raises(BudgetExceededError, match="at least 11"):
        one.foresee(calls=11)
    assert one.spent.calls == 0


@given(st.lists(st.integers(0, 30), min_size=1, max_size=3), st.integers(0, 40))
def test_no_budget_of_a_nest_is_passed(most: list[int], calls: int) -> None:
    """However deep they nest, as many calls are made as the smallest allows, and each counts them all."""
    nest: list[Budget] = []
    for bound in most:
        nest.append(budget(nest[-1] if nest else None, calls=bound))
    made = 0
    for _ in range(calls):
        try:
            nest[-1].call()
            made += 1
        except BudgetExceededError:
            break
    assert made == min(calls, *most)
    assert {one.spent.calls for one in nest} == {made}


def test_threads_together_make_no_call_too_many() -> None:
    outer = budget(calls=100)

    def spend() -> None:
        own = budget(outer, calls=1000)
        for _ in range(50):
            try:
                own.call()
            except BudgetExceededError:
                return

    threads = [threading.Thread(target=spend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outer.spent.calls == 100


def test_as_many_have_a_place_as_may_and_all_come_in() -> None:
    limiter, lock = Limiter(), threading.Lock()
    inside, most, come = 0, 0, 0

    def enter() -> None:
        nonlocal inside, most, come
        for _ in range(30):
            with limiter.place(3):
                with lock:
                    inside, come = inside + 1, come + 1
                    most = max(most, inside)
                threading.Event().wait(0.0005)
                with lock:
                    inside -= 1

    threads = [threading.Thread(target=enter) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (come, inside) == (300, 0)
    assert most <= 3


@pytest.mark.parametrize("bounds", [{"cost": float("nan")}, {"calls": -1}, {"calls": "x"}, {"seconds": True}])
def test_a_bound_that_is_no_number_of_its_kind_is_refused(bounds: dict) -> None:
    with pytest.raises(UsageError, match=f"a bound on `{next(iter(bounds))}` must be a number"):
        Budget(Bounds(**bounds))
