"""What takes long is done once in a run of the tests, whichever of its processes needs it first."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.warm import RUNLLM


def once(name: str, make: Callable[[], Sequence[str]]) -> Sequence[str]:
    """The lines that `make` gives, which hold none of their ends. A call that raised is made again by the next."""
    folder = Path(RUNLLM).parent  # of this run alone, and of all its processes
    kept = folder / f"{name}.once"
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            kept.write_text("\n".join(make()), encoding="utf-8")
    return kept.read_text(encoding="utf-8").splitlines()
