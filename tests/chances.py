"""How many values the tests of properties try: a tenth, the same ones each time, and in `make soak` all, by chance.

Nothing bounds the time of one: a machine may be busy.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import settings

SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"


def examples(most: int, **more: Any) -> settings:
    """The settings of a property that is tried with at most so many values."""
    few = max(10, most // 10)
    return settings(max_examples=most if SOAK else few, derandomize=not SOAK, deadline=None, **more)


settings.register_profile("tests", examples(1000 if SOAK else 100))
settings.load_profile("tests")
