"""Quantiles of sorted numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value below which `share` of the numbers lie, interpolated linearly between its two neighbours.

    Args:
        ordered: at least one number, smallest first.
        share: from 0 (the smallest) to 1 (the largest).
    """
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
