"""What was learnt of providers and is worth a day: kept in a small file beside the statistics, for other processes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from runllm.errors import RunllmError
from runllm.files import read_bytes, replacing

LASTS = 86_400.0
"""Seconds that a thing is held to be so: a provider may take tomorrow what it refuses today."""
_MOST = 1000
_LARGEST = 1 << 20


class Memory:
    """A set of facts, each known by its digest. What cannot be read or written is not known: nothing fails for it."""

    def __init__(self, path: Path | None, wall: Callable[[], float] = time.time) -> None:
        """Read nothing yet; without a file, all is forgotten with the process."""
        self._path = path
        self._wall = wall
        self._known: dict[str, float] | None = None

    def has(self, fact: str) -> bool:
        """Whether the fact was kept, not longer ago than it is held to be so."""
        return self.when(fact) > 0

    def when(self, fact: str) -> float:
        """Unix seconds at which the fact was kept; 0 where it is not held to be so."""
        known = self._facts()
        kept = known.get(_digest(fact), 0.0) if known else 0.0
        return kept if abs(self._wall() - kept) < LASTS else 0.0

    def keep(self, fact: str) -> None:
        """Keep a fact, beside what other processes have kept meanwhile."""
        now, new = self._wall(), _digest(fact)
        facts = {**self._facts(), **self._read(), new: now}
        self._known = dict(sorted(facts.items(), key=lambda one: one[1])[-_MOST:])
        if self._path is not None:
            with suppress(RunllmError, OSError):
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with replacing(str(self._path), private=True) as file:
                    json.dump({name: when for name, when in self._known.items() if abs(now - when) < LASTS}, file)

    def _facts(self) -> dict[str, float]:
        if self._known is None:
            self._known = self._read()
        return self._known

    def _read(self) -> dict[str, float]:
        found: Any = None
        if self._path is not None and self._path.is_file():
            with suppress(RunllmError, OSError, ValueError, RecursionError):
                found = json.loads(read_bytes(str(self._path), _LARGEST))
        pairs = cast("dict[str, Any]", found).items() if isinstance(found, dict) else ()
        return {name: float(when) for name, when in pairs if isinstance(when, int | float)}


def _digest(fact: str) -> str:
    from hashlib import sha256  # 5 ms that a call without a form need not pay

    return sha256(fact.encode(errors="surrogatepass")).hexdigest()
