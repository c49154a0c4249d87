"""What is worked out once for an app and an endpoint, and when it is worked out again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from runllm.engines.once import Once


def counted(environment: Mapping[str, str]) -> tuple[Once[str], list[object]]:
    """Something made of objects and a variable, and what it was made of until now."""
    made: list[object] = []

    def make(one: object, found: Mapping[str, str]) -> str:
        made.append(one)
        if "NO" in found:
            raise ValueError("no")
        return f"{one}: {found.get('KEY')}"

    return Once(environment, make), made


def test_the_same_object_is_worked_out_once() -> None:
    """Another that is equal to it is another object."""
    once, made = counted({})
    one, other = ["x"], ["x"]
    assert [once.of(one), once.of(one), once.of(other), once.of(one)] == ["['x']: None"] * 4
    assert made == [one, other]


def test_a_variable_that_was_read_and_changed_is_read_again() -> None:
    """Set, changed, or taken away; what was not read does not matter."""
    environment: dict[str, str] = {}
    once, made = counted(environment)
    one = object()
    for value in (None, "a", "b", None):
        environment.update({} if value is None else {"KEY": value})
        if value is None:
            environment.pop("KEY", None)
        environment["OTHER"] = str(value)
        assert once.of(one).endswith(f": {value}")
        assert once.of(one).endswith(f": {value}")
    assert len(made) == 4


def test_a_failure_is_not_kept() -> None:
    """The next time may be better."""
    environment = {"NO": "1"}
    once, _ = counted(environment)
    one = object()
    with pytest.raises(ValueError, match="no"):
        once.of(one)
    del environment["NO"]
    assert once.of(one).endswith(": None")


def test_it_does_not_grow_without_end() -> None:
    """And an object that took the place of another in memory is not taken for it."""
    once, _ = counted({})
    for number in range(2000):
        assert once.of([number]) == f"[{number}]: None"
    kept: Any = vars(once)["_kept"]
    assert len(kept) <= 256
