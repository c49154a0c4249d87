"""The value at a rank: of numbers in order, and of several such sequences without putting them together."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Protocol

_FEW = 64  # numbers of a piece, on average, below which all that is left is sorted


class Ordered(Protocol):
    """Numbers, the smallest first."""

    def __len__(self) -> int: ...

    def __getitem__(self, rank: int, /) -> float: ...


def quantile(ordered: Ordered, share: float) -> float:
    """The value below which `share` of the numbers lie, interpolated linearly between its two neighbours.

    Args:
        ordered: at least one number, smallest first.
        share: from 0 (the smallest) to 1 (the largest).
    """
    place = share * (len(ordered) - 1)
    rank = int(place)
    below, above = ordered[rank], ordered[min(rank + 1, len(ordered) - 1)]
    return below + (above - below) * (place - rank)


class Counted:
    """The numbers of which it is only known how often each comes.

    Args:
        times: that each comes.
    """

    def __init__(self, times: Mapping[float, int]) -> None:
        self._numbers = sorted(times)
        self._ends = list(accumulate(times[number] for number in self._numbers))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, rank: int) -> float:
        return self._numbers[bisect_right(self._ends, rank)]


class Merged:
    """The numbers of several pieces in one order, which is never made.

    Args:
        pieces: each smallest first.
    """

    def __init__(self, pieces: Sequence[array[float]]) -> None:
        self._pieces = pieces
        self._length = sum(map(len, pieces))

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, rank: int) -> float:
        """The number with `rank` smaller or equal ones before it.

        A pivot leaves of each piece what is smaller or what is larger, until little is left.
        """
        left = [(piece, 0, len(piece)) for piece in self._pieces]
        while sum(high - low for _, low, high in left) > _FEW * len(left):
            pivot = _middle(left)
            starts = [bisect_left(piece, pivot, low, high) for piece, low, high in left]
            ends = [bisect_right(piece, pivot, low, high) for piece, low, high in left]
            smaller = sum(start - low for start, (_, low, _) in zip(starts, left, strict=True))
            up_to = sum(end - low for end, (_, low, _) in zip(ends, left, strict=True))
            if smaller <= rank < up_to:
                return pivot
            if rank < smaller:
                left = [(piece, low, start) for start, (piece, low, _) in zip(starts, left, strict=True)]
            else:
                left = [(piece, end, high) for end, (piece, _, high) in zip(ends, left, strict=True)]
                rank -= up_to
        return sorted(number for piece, low, high in left for number in piece[low:high])[rank]


def _middle(pieces: Sequence[tuple[array[float], int, int]]) -> float:
    """The middle of the longest piece."""
    piece, low, high = max(pieces, key=lambda one: one[2] - one[1])
    return piece[(low + high) // 2]
