"""A project of any shape ends in bounded time, memory and calls: run, shown ahead, and counted.

An input is a line for each file: `m` where it calls a model and `o` where it builds its output, then what it uses, each
as the number of lines below it, with `*N` for a run for each of N items, `+` for an input of its own and `!` for one
that depends on what the use before it gave.
"""

from __future__ import annotations

import re
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from fuzz.harness import text_of
from fuzz.targets.uses import checked_result, folder, written
from runllm import executor, project
from runllm.errors import BudgetExceededError, RunllmError
from runllm.executor.ahead import most_calls
from runllm.program import Plan
from runllm.routing import Options
from runllm.runtime import Runtime
from runllm.spending import Bounds, Budget
from runllm.testing import ScriptedEngine

TOKENS = ("m", "o", "\n", " 1", " 2", " 3", "*9", "*3000", "+", "!", " 1+ 1+\n", "o 1+ 1+\n" * 8, "o 1*3000\n" * 2)

_MOST_FILES = 40
_MOST_CALLS = 40
_MOST_RUNS = 300
_MOST_MEMORY = 200 << 20  # bytes that one input may add
_USE = re.compile(r"(?P<below>[1-9])(?:\*(?P<times>[0-9]{1,4}))?(?P<own>\+?)(?P<after>!?)")


def seeds() -> Iterator[bytes]:
    """None but the corpus."""
    return iter(())


def check(data: bytes) -> None:
    """No run makes more calls or runs than it may, and all that asks about it ends as soon."""
    loaded = project.load(written(_files(text_of(data)), folder(), most=_MOST_FILES) or Path("missing.rllm"))
    if loaded.plan is None:
        return
    before = _memory()
    _check_run(loaded.plan)
    assert most_calls(loaded.plan, {"text": "t"}, Options()) >= 0
    assert _memory() - before < _MOST_MEMORY


def _check_run(plan: Plan) -> None:
    engine = ScriptedEngine(lambda _: '{"out": "x"}')
    with Runtime(engine=engine, sleep=lambda _: None, jitter=lambda: 0.0) as runtime:
        spending = Budget(Bounds(calls=_MOST_CALLS, runs=_MOST_RUNS), time.monotonic)
        checked_result(plan, executor.run(plan, {"text": "t"}, Options(stats=False, budget=spending), runtime))
        assert len(engine.requests) == spending.spent.calls <= _MOST_CALLS
        assert spending.spent.runs <= _MOST_RUNS
        try:
            ahead = Budget(Bounds(calls=_MOST_CALLS, runs=_MOST_RUNS), time.monotonic)
            executor.preview(plan, {"text": "t"}, Options(budget=ahead), runtime)
        except RunllmError as error:
            assert isinstance(error, BudgetExceededError), error


def _files(text: str) -> str:
    """The project that an input means."""
    lines = (text.splitlines() or [""])[:_MOST_FILES]
    return "".join(_file(place, line, len(lines)) for place, line in enumerate(lines))


def _file(place: int, line: str, count: int) -> str:
    uses: list[str] = []
    for number, found in enumerate(_USE.finditer(line)):
        below = place + int(found["below"])
        if below >= count:
            continue
        each = f", for_each: '{{{{ range({found['times']}) }}}}'" if found["times"] else ""
        text = "{{ input.text }}" + (f"-{number}" if found["own"] else "") + ("{{ item }}" if each else "")
        if found["after"] and uses:
            text += f"{{{{ uses.u{len(uses) - 1} | length }}}}"
        uses.append(f"- {{name: u{len(uses)}, path: ./{_name(below)}.rllm{each}, with: {{text: '{text}'}}}}\n")
    used = "uses:\n" + "".join(uses) if uses else ""
    built = "" if line.startswith("m") else "output: {out: y}\n"
    return f">>> {_name(place)}.rllm\n{used}{built}---\n{'{{ input.text }}' if not built else ''}\n"


def _name(place: int) -> str:
    return "n" + chr(97 + place // 26) + chr(97 + place % 26)


def _memory() -> int:
    """The most bytes that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
