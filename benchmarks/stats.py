"""What the statistics cost: recording a run, in this process and in a fresh one, and the figures of many runs.

    python benchmarks/stats.py [--runs 1000] [--cold 15] [--rows 100000] [--pairs 7]

At last the commands `stats` and `exectime` are run over a thousand runs and over a million, in turns; what counts is
the ratio of their processor times, and the peak memory. Making the million takes some minutes: `--pairs 0` leaves it.

Runs with and without recording alternate, so that a busy machine slows both alike; the model answers at once, so
that nothing hides what recording adds. Times are wall clock; `cpu` is the processor time of this process.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import runllm
from runllm.stats.database import transaction
from runllm.stats.ranks import quantile
from runllm.stats.rows import AttemptRow, RunRow
from runllm.stats.store import Store, _insert
from runllm.testing import ScriptedEngine

APP = Path(__file__).parent.parent / "examples" / "summary.rllm"
ANSWER = '{"summary": "a", "key_points": ["b", "c"]}'
COLD = """
import runllm.results, runllm.errors, json, sys, time  # what a run has loaded when it ends
start = time.perf_counter()
from runllm.stats.store import Store, _insert
from runllm.stats.rows import AttemptRow, RunRow
imported = time.perf_counter()
attempt = AttemptRow(number=1, model="m", valid=True, completion_tokens=5)
run = RunRow(app="a", version="1", digest="d", path="p", model="m", engine="litellm", started=time.time(),
    latency=1.0, input_valid=True, valid_on=1, attempts=(attempt,))
made = time.perf_counter()
store = Store(sys.argv[1])
store.record(run)
recorded = time.perf_counter()
store.close()
print(imported - start, recorded - made, time.perf_counter() - recorded)
"""


def record(chance: random.Random, started: float) -> RunRow:
    """A run as they are: most answers fit at once, one in ten at the second attempt."""
    model = chance.choice(["openai/gpt-4o", "anthropic/claude", "local/smollm2-135m"])
    good = AttemptRow(
        number=1,
        model=model,
        latency=chance.lognormvariate(0, 0.7),
        prompt_tokens=chance.randint(100, 3000),
        completion_tokens=chance.randint(20, 600),
        cost=0.0012,
        finish_reason="stop",
        valid=True,
    )
    attempts = [good]
    if chance.random() < 0.1:
        wrong = dataclasses.replace(good, valid=False, violations=(f"required /{chance.choice('abcdef')}",))
        attempts = [wrong, dataclasses.replace(good, number=2)]
    return RunRow(
        app=chance.choice(["summary", "translate", "classify", "extract"]),
        version="1.0.0",
        digest="0f" * 32,
        path=str(APP),
        model=model,
        engine="litellm",
        started=started,
        latency=sum(attempt.latency for attempt in attempts),
        input_valid=True,
        valid_on=len(attempts),
        attempts=tuple(attempts),
    )


def show(name: str, seconds: Sequence[float]) -> None:
    ordered = sorted(seconds)
    print(f"{name:<44}{statistics.median(ordered) * 1e3:>9.2f} ms median {quantile(ordered, 0.95) * 1e3:>9.2f} ms p95")


def timed(action: Callable[[], Any]) -> float:
    """Seconds."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def warm(folder: Path, runs: int) -> None:
    """A whole run of an app, and the same with its record written."""
    chance = random.Random(1)  # noqa: S311 - the same runs each time
    records = [record(chance, float(n)) for n in range(runs)]
    children = tuple(dataclasses.replace(records[n], child_name="c", child_index=n) for n in range(10))
    trees = [dataclasses.replace(one, children=children) for one in records]
    with runllm.Runtime(engine=ScriptedEngine([ANSWER] * 2 * runs)) as runtime, Store(folder / "warm.db") as store:
        app = runllm.load(APP, runtime=runtime, model="openai/m")
        taken: dict[str, list[float]] = {"without": [], "with": [], "record": [], "tree": []}
        for one, tree in zip(records, trees, strict=True):
            taken["without"].append(timed(lambda: app.run({"text": "a few words"})))
            taken["with"].append(timed(lambda one=one: (app.run({"text": "a few words"}), store.record(one))))
            taken["record"].append(timed(lambda one=one: store.record(one)))
            taken["tree"].append(timed(lambda tree=tree: store.record(tree)))
    show("a run without recording", taken["without"])
    show("a run with recording", taken["with"])
    show("recording a run   (goal: 2 ms median)", taken["record"])
    show("recording a run with 10 children", taken["tree"])


def cold(folder: Path, rounds: int) -> None:
    """The first and only record of a process."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for name, path in (("that makes the file", "new-{}.db"), ("that opens it", "old.db")):
        parts: list[list[float]] = []
        for turn in range(rounds + 1):
            command = [sys.executable, "-c", COLD, str(folder / path.format(turn))]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            found = done.stdout.split()
            if turn:  # the first writes bytecode, and makes the file
                parts.append([float(part) for part in found])
        for column, what in enumerate(("import", "open and record", "close")):
            show(f"a process {name}: {what}", [part[column] for part in parts])


def figures(folder: Path, rows: int) -> None:
    """The queries over many runs, alone and with children among them."""
    for name, every in (("alone", 0), ("children among them", 5)):
        chance = random.Random(1)  # noqa: S311 - the same runs each time
        with Store(folder / f"{name}.db") as store:
            fill(store, chance, rows, every)
            print(f"\n{rows:,} runs, {name}: {store.path.stat().st_size / rows:.0f} bytes each")
            for label, asked in (
                ("summary   (goal: 500 ms)", {}),
                ("summary of a file", {"app": str(APP)}),
                ("summary of an app", {"app": "summary"}),
                ("summary of a model", {"model": "local/smollm2-135m"}),
                ("summary of the last tenth", {"since": rows * 0.9 * 60}),
            ):
                processor = time.process_time()
                seconds = [timed(lambda asked=asked, store=store: store.summary(**asked)) for _ in range(5)]
                show(f"{label}, cpu {(time.process_time() - processor) / 5 * 1e3:.0f} ms", seconds)
            show("the newest 100 runs", [timed(lambda store=store: store.runs(limit=100)) for _ in range(5)])
            show(
                "400 samples of a model and app",
                [timed(lambda store=store: store.samples("openai/gpt-4o", app="summary")) for _ in range(5)],
            )


def fill(store: Store, chance: random.Random, rows: int, every: int) -> None:
    """Runs a minute apart; each `every`-th has four of the next ones as children."""
    for first in range(0, rows, 50_000):
        made = [record(chance, n * 60.0) for n in range(first, min(first + 50_000, rows))]
        if every:
            made = [
                dataclasses.replace(
                    made[n],
                    children=tuple(dataclasses.replace(child, child_name="c") for child in made[n + 1 : n + every]),
                )
                for n in range(0, len(made), every)
            ]
        # All in one transaction: a commit for each is what `warm` measures.
        with store._using() as db, transaction(db):  # noqa: SLF001
            for one in made:
                _insert(db, one)


def scale(few: Path, many: Path, pairs: int) -> None:
    """The commands over few runs and over many, in turns."""
    for name, asked in (
        ("stats", ["stats"]),
        ("stats of a model", ["stats", "-m", "local/smollm2-135m"]),
        ("stats of a file", ["stats", str(APP)]),
        ("exectime", ["exectime", str(APP), "-m", "local/smollm2-135m", "--arg", "text", "a few words"]),
    ):
        taken = [(measured(asked, few), measured(asked, many)) for _ in range(pairs)]
        cpu = [statistics.median(pair[side][0] for pair in taken) for side in (0, 1)]
        ratio = statistics.median(more[0] / less[0] for less, more in taken)
        peak = max(more[1] for _, more in taken)
        print(f"{name:<28}{cpu[0]:>8.2f} s {cpu[1]:>8.2f} s {ratio:>7.1f} times, {peak / 1024:.0f} MiB")


def measured(asked: Sequence[str], path: Path) -> tuple[float, int]:
    """Processor seconds of a command on a store, and KiB that it took at the most."""
    environment = os.environ | {"RUNLLM_STATS_DB": str(path)}
    command = [sys.executable, "-m", "runllm", *asked]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"`runllm {' '.join(asked)}` failed")
    return used.ru_utime + used.ru_stime, used.ru_maxrss


def main(runs: int, rounds: int, rows: int, pairs: int) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        warm(folder, runs)
        cold(folder, rounds)
        figures(folder, rows)
        if pairs:
            for name, count in (("few", 1000), ("many", 1_000_000)):
                with Store(folder / name) as store:
                    fill(store, random.Random(1), count, 0)  # noqa: S311 - the same runs each time
            print("\na thousand runs, a million, the second by the first, peak memory of the second")
            scale(folder / "few", folder / "many", pairs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure what the statistics cost.")
    parser.add_argument("--runs", type=int, default=1000, help="runs in this process")
    parser.add_argument("--cold", type=int, default=15, help="processes per median")
    parser.add_argument("--rows", type=int, default=100_000, help="rows for the figures")
    parser.add_argument("--pairs", type=int, default=7, help="of a thousand runs and a million")
    given = parser.parse_args()
    main(given.runs, given.cold, given.rows, given.pairs)
