"""Inputs made from others: pieces and lines left out, repeated, moved, or taken from another input."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

_WORD = re.compile(rb"[A-Za-z_]+|[0-9.]+|\s+|.", re.DOTALL)
_CUTS: tuple[Callable[[bytes], list[bytes]], ...] = (
    lambda data: data.splitlines(keepends=True),
    _WORD.findall,
    lambda data: [data[i : i + 1] for i in range(len(data))],
)


class Mutator:
    """Makes inputs for one target, out of its tokens and the inputs it has seen."""

    def __init__(self, tokens: Sequence[bytes], seeds: Sequence[bytes], chance: random.Random) -> None:
        self._tokens = tokens
        self._seeds = seeds or [b""]
        self._chance = chance

    def fresh(self, longest: int) -> bytes:
        """An input made from one of the seeds."""
        return self.changed(self._chance.choice(self._seeds), longest)

    def changed(self, data: bytes, longest: int) -> bytes:
        """An input like `data`, changed in one to four places, at most `longest` bytes long."""
        for _ in range(self._chance.choice((1, 1, 2, 4))):
            data = self._once(data)
        return data[:longest]

    def _once(self, data: bytes) -> bytes:
        parts = self._chance.choice(_CUTS)(data)
        start = self._chance.randint(0, len(parts))
        end = min(len(parts), start + self._chance.choice((0, 1, 1, 2, 4, 16)))
        return b"".join([*parts[:start], *self._instead(parts, start, end), *parts[end:]])

    def _instead(self, parts: list[bytes], start: int, end: int) -> list[bytes]:
        chance = self._chance
        match chance.randrange(7):
            case 0:
                return []
            case 1:
                return parts[start:end] * chance.choice((2, 3, 50))
            case 2 | 3:
                return [chance.choice(self._tokens)]
            case 4:
                return [*parts[start:end], chance.choice(self._tokens)]
            case 5:
                return [chance.choice(parts)] if parts else []
            case _:
                other = chance.choice(_CUTS)(chance.choice(self._seeds))
                at = chance.randint(0, len(other))
                return other[at : at + chance.choice((1, 2, 8, 64))]
