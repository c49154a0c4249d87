"""How much the tests try. Of properties a tenth of the values, the same ones each time, and in `make soak` all, by chance.

Nothing bounds the time of one: a machine may be busy.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import settings

SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"


def examples(most: int, **more: Any) -> settings:
    """The settings of a property that is tried with at most so many values."""
    few = max(10, most // 10)
    return settings(max_examples=most if SOAK else few, derandomize=not SOAK, deadline=None, **more)


def some(cases: Sequence[Any], count: int) -> list[Any]:
    """The cases as parameters: so many, the same ones each time, and the others in `make soak`."""
    kept = {*random.Random(15).sample(range(len(cases)), min(count, len(cases)))}  # noqa: S311 - no secret
    parts = [case if isinstance(case, tuple) else (case,) for case in cases]
    return [pytest.param(*part, marks=() if number in kept else pytest.mark.soak) for number, part in enumerate(parts)]


settings.register_profile("tests", examples(1000 if SOAK else 60))
settings.load_profile("tests")
