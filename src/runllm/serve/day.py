"""What a service may spend in a day (UTC), kept in a file so that a restart does not begin the day anew."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from runllm.errors import FileAccessError
from runllm.spending import Bounds, Budget

_TABLE = "CREATE TABLE IF NOT EXISTS spent (day TEXT PRIMARY KEY, cost REAL NOT NULL)"
_ADD = "INSERT INTO spent VALUES (?, ?) ON CONFLICT (day) DO UPDATE SET cost = cost + excluded.cost"


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def seconds_left() -> int:
    """Seconds until the next day begins, at least 1."""
    now = datetime.now(UTC)
    return max(1, 86_400 - (now.hour * 3_600 + now.minute * 60 + now.second))


class Ledger:
    """US dollars by day, shared by all services that name the same file. Thread-safe."""

    def __init__(self, path: Path, day: Callable[[], str] = _today) -> None:
        """Open or make it.

        Args:
            path: the file.
            day: what day it is.

        Raises:
            FileAccessError: it cannot be written.
        """
        self._lock, self._day = threading.Lock(), day
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
            path.chmod(0o600)
            self._file.execute("PRAGMA journal_mode=WAL")
            self._file.execute(_TABLE)
        except (OSError, sqlite3.Error) as error:
            raise FileAccessError(
                f"what the service spends cannot be kept in `{path}`: {error}", details={"path": str(path)}
            ) from None

    def today(self) -> float:
        """What was spent today."""
        with self._lock, closing(self._file.execute("SELECT cost FROM spent WHERE day = ?", (self._day(),))) as found:
            row = found.fetchone()
        return row[0] if row else 0.0

    def add(self, cost: float) -> None:
        """Keep what a call came to."""
        with self._lock:
            self._file.execute(_ADD, (self._day(), cost))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()


class Daily(Budget):
    """A budget of a day. What was spent before this began, and by others, counts as well; each day begins anew."""

    def __init__(self, most: float, ledger: Ledger) -> None:
        """Bound a day to `most` US dollars."""
        super().__init__(Bounds(cost=most))
        self._ledger = ledger
        self._levelling = threading.Lock()

    def take(self, counted: Mapping[str, int], needed: Mapping[str, float]) -> None:
        """Count what needs so much, after looking what is spent today."""
        with self._levelling:
            self.spend(cost=self._ledger.today() - self.spent.cost)
        super().take(counted, needed)

    def pay(self, *, tokens: int = 0, cost: float = 0.0, held: int = 0) -> None:
        """Count what a call came to, here and in the file."""
        with self._levelling:
            super().pay(tokens=tokens, cost=cost, held=held)
            if cost:
                self._ledger.add(cost)
