"""Start the contenders in turn, so that a busy machine slows all of them alike."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contenders import Contender

HERE = Path(__file__).parent
APPS = HERE / "apps"
TEXT = APPS / "text.txt"
PATIENCE = 120  # seconds that anything may take
WARM_CALLS = 20  # in a turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A process that has ended: seconds until it answered and ended, its memory in bytes, what it said."""

    answered: float
    ended: float
    memory: int
    status: int
    out: str
    complaint: str

    @property
    def answer(self) -> Any:
        """The JSON that was printed, None where it is none."""
        try:
            return json.loads(self.out)
        except ValueError:
            return None

    @property
    def fits(self) -> bool:
        """Whether the answer satisfies the schema of the job."""
        found = self.answer
        return isinstance(found, dict) and bool(found.get("summary")) and 2 <= len(found.get("key_points", ())) <= 4


@dataclass(kw_only=True)
class Seat:
    """A contender with its environment, and what was measured of it."""

    contender: Contender
    folder: Path
    variables: dict[str, str]
    cold: list[Ended] = field(default_factory=list[Ended])
    imported: list[float] = field(default_factory=list[float])
    warm: list[float] = field(default_factory=list[float])

    @property
    def command(self) -> list[str]:
        """What a user starts, the program found on the path of the environment."""
        program, *rest = self.contender.command
        found = self.folder / "bin" / program
        return [str(found) if found.exists() else program, *rest]

    @property
    def python(self) -> str:
        """The interpreter of the environment."""
        return str(self.folder / "bin" / "python")


class Provider:
    """The provider in a process of its own; see `loopback`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "loopback.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.base = self._line()

    def play(self, scenario: str) -> None:
        """Answer from now on as this scenario says."""
        self._tell(scenario)

    def requests(self) -> list[Any]:
        """The bodies that came in since the scenario began."""
        return json.loads(self._tell("requests"))

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()

    def _tell(self, line: str) -> str:
        assert self._process.stdin  # noqa: S101 - it was asked for
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return self._line()

    def _line(self) -> str:
        assert self._process.stdout  # noqa: S101 - it was asked for
        return self._process.stdout.readline().strip()


def start(command: Sequence[str], variables: dict[str, str]) -> Ended:
    """Run a command once, with the text on its standard input."""
    with TEXT.open("rb") as text, tempfile.TemporaryFile() as complaints:
        begun = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=text, stdout=subprocess.PIPE, stderr=complaints, env=variables, cwd=APPS
        )
        assert process.stdout  # noqa: S101 - it was asked for
        out = process.stdout.read(1)
        answered = time.perf_counter() - begun
        out += process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        ended = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdout.close()
        complaints.seek(0)
        return Ended(
            answered=answered,
            ended=ended,
            memory=usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
            status=process.returncode,
            out=out.decode(),
            complaint=complaints.read().decode(errors="replace"),
        )


def cold(seats: Sequence[Seat], rounds: int) -> None:
    """Whole processes; the round before the first fills the page cache and is not counted."""
    for seat in _turns(seats, rounds):
        found = start(seat.command, seat.variables)
        if not found.fits:
            raise SystemExit(f"{seat.contender.name} did not answer:\n{found.out}\n{found.complaint[-3000:]}")
        seat.cold.append(found)
    for seat in seats:
        seat.cold.pop(0)


def imports(seats: Sequence[Seat], rounds: int) -> None:
    """Seconds of the import statement alone, in a fresh process."""
    for seat in _turns(seats, rounds):
        code = (
            f"import time; start = time.perf_counter(); {seat.contender.statement}\n"
            "print(time.perf_counter() - start, flush=True); import os; os._exit(0)"
        )
        done = subprocess.run(
            [seat.python, "-c", code], env=seat.variables, check=True, capture_output=True, text=True, timeout=PATIENCE
        )
        seat.imported.append(float(done.stdout))
    for seat in seats:
        seat.imported.pop(0)


def warm(seats: Sequence[Seat], rounds: int) -> None:
    """Seconds of a call in a process where everything is loaded, a few calls at a turn."""
    with _callers(seats) as callers:
        for caller in callers.values():
            _calls(caller, WARM_CALLS)
        for seat in _turns(seats, rounds - 1):
            seat.warm += _calls(callers[seat.contender.name], WARM_CALLS)


@contextmanager
def _callers(seats: Sequence[Seat]) -> Iterator[dict[str, subprocess.Popen[str]]]:
    callers: dict[str, subprocess.Popen[str]] = {}
    try:
        for seat in seats:
            callers[seat.contender.name] = caller = subprocess.Popen(
                [seat.python, str(HERE / "warm.py"), seat.contender.app],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=seat.variables,
                cwd=APPS,
            )
            _read(caller)
        yield callers
    finally:
        for caller in callers.values():
            caller.terminate()
            caller.wait()


def _calls(caller: subprocess.Popen[str], count: int) -> list[float]:
    assert caller.stdin  # noqa: S101 - it was asked for
    caller.stdin.write(f"{count}\n")
    caller.stdin.flush()
    return _read(caller)


def _read(caller: subprocess.Popen[str]) -> list[float]:
    assert caller.stdout  # noqa: S101 - it was asked for
    line = caller.stdout.readline()
    if not line:
        raise SystemExit(f"a caller ended: {caller.args}")
    return json.loads(line)


def _turns(seats: Sequence[Seat], rounds: int) -> Iterator[Seat]:
    """Each seat once a round, in another order each time, one round more than asked for."""
    order = random.Random(0)  # noqa: S311 - an order, not a secret
    for _ in range(rounds + 1):
        yield from order.sample(list(seats), len(seats))
