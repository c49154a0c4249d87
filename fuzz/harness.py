"""What every target shares: its inputs, one run of one input within a time, and the crashes that come of it."""

from __future__ import annotations

import hashlib
import importlib
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
CRASHES = HERE / "crashes"
FOUND = HERE / "found"
TARGETS = ("parser", "extraction", "templates", "contracts", "uses", "graphs")
LONGEST = 4096
"""Bytes of an input that is made up; one in the corpus may be longer."""
_MOST_MINIMISING = 20.0
_MOST_SECONDS = 5.0


class TooSlowError(AssertionError):
    """One input took more processor time than any of its size should."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A part of runllm and what must hold for it.

    Attributes:
        name: its module under `fuzz.targets`, its folder under `fuzz/corpus`.
        check: raises where an input shows that something does not hold.
        tokens: pieces that its inputs are made of.
        seeds: more inputs to start from than its folder holds.
    """

    name: str
    check: Callable[[bytes], None]
    tokens: Sequence[bytes]
    seeds: Callable[[], Iterator[bytes]]

    def corpus(self) -> dict[str, bytes]:
        """The inputs that are kept, by the name of their file."""
        return {path.name: path.read_bytes() for path in sorted((CORPUS / self.name).iterdir())}


def target(name: str) -> Target:
    """The target of this name."""
    module = importlib.import_module(f"fuzz.targets.{name}")
    tokens = [token.encode("utf-8", "surrogatepass") for token in module.TOKENS]
    return Target(name=name, check=module.check, tokens=tokens, seeds=module.seeds)


def text_of(data: bytes) -> str:
    """An input as text: UTF-8 in which half characters may stand."""
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace")


def run(check: Callable[[bytes], None], data: bytes, seconds: float = _MOST_SECONDS) -> None:
    """Hold one input against a target.

    Raises:
        TooSlowError: it took more processor time than that.
        BaseException: what the target raises.
    """
    began = time.process_time()
    check(data)
    took = time.process_time() - began
    if took > seconds:
        raise TooSlowError(f"{took:.1f} s for {len(data)} bytes")


@dataclass(slots=True)
class Session:
    """The runs of one target, and the crashes among them: one of a kind is kept, made as short as time allows."""

    target: Target
    executions: int = 0
    crashes: dict[str, Path] = field(default_factory=dict[str, Path])

    def seeds(self) -> list[bytes]:
        """All inputs to start from."""
        return [*self.target.corpus().values(), *self.target.seeds()]

    def one(self, data: bytes) -> None:
        """Run one input; a crash is kept, and is no reason to stop."""
        self.executions += 1
        kind = self._kind(data)
        if kind is None or kind in self.crashes:
            return
        shortest = minimised(data, lambda other: self._kind(other) == kind, _MOST_MINIMISING)
        self.crashes[kind] = saved(self.target.name, shortest)
        print(f"{self.target.name}: {kind}\n  {self.crashes[kind]}", flush=True)

    def _kind(self, data: bytes) -> str | None:
        try:
            run(self.target.check, data)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a panic of a Rust library is no Exception
            frame = traceback.extract_tb(error.__traceback__)[-1]
            return f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
        return None


def saved(name: str, data: bytes) -> Path:
    """Keep an input that crashed."""
    folder = CRASHES / name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"crash-{hashlib.sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    return path


def minimised(data: bytes, still: Callable[[bytes], bool], seconds: float) -> bytes:
    """A shorter input for which `still` holds: pieces are left out, half of it first, then ever smaller ones."""
    end = time.monotonic() + seconds
    size = len(data) // 2
    while size and time.monotonic() < end:
        at = 0
        while at < len(data) and time.monotonic() < end:
            shorter = data[:at] + data[at + size :]
            if still(shorter):
                data = shorter
            else:
                at += size
        size //= 2
    return data
