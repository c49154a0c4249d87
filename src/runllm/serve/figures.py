"""What a service counts of its runs, for whoever reads it."""

from __future__ import annotations

from runllm.results import RunResult


class Figures:
    """Counts nothing: what a service that nobody reads figures of is given."""

    def ran(self, app: str, result: RunResult) -> None:
        """Count a run."""

    def left(self, app: str) -> None:
        """Count a run whose client left before it ended."""

    def refused(self) -> None:
        """Count a request that found the queue full."""

    def under_way(self, change: int) -> None:
        """Count a run that begins (1) or ends (-1)."""

    def waiting(self, runs: int) -> None:
        """Keep how many runs wait for a place now."""

    def text(self) -> bytes:
        """All of them."""
        return b""
