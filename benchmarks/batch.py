"""What a batch costs beside the calls: rows a second, CPU a row, memory, and coming back to one that is finished.

    python benchmarks/batch.py [--rows 2000] [--rounds 5] [--large 100000] [--only PART ...]

    httpx    our loop against bare httpx with the same bound: 32 calls in flight, a server that takes 50 ms
    litellm  the same through LiteLLM, against bare `litellm.acompletion`
    shards   `--shards-on daft` against our own loop, as commands; the server counts the calls in flight
    memory   a large batch against one of 10,000 rows, with an engine in the process that answers at once;
             then the same command once more, which reads all rows and journals and calls nothing

The bare clients send what the batch sends, word for word: the body is taken from a run of ours. Pairs are interleaved,
so that other work on the machine slows both alike; the median of their ratios is printed. CPU is that of the process,
user and system, start-up and imports left out (but for `shards`: of all processes).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from counting import APP, provider
from counting import memory as memory_of

IN_FLIGHT = 32
SUMMARY = Path(__file__).parents[1] / "examples" / "summary.rllm"
Cost = tuple[float, float]
"""Seconds on the wall, and of CPU."""


# --- what is measured, and how ------------------------------------------------------------------------------


def table(folder: Path, rows: int) -> Path:
    """A CSV of so many rows."""
    path = folder / f"{rows}.csv"
    path.write_text("id,text\n" + "".join(f"{n},text number {n}\n" for n in range(rows)), encoding="utf-8")
    return path


def pairs(title: str, rounds: int, rows: int, ways: dict[str, Callable[[], Cost]]) -> None:
    """Measure the ways in turn, after one round that is not counted, and print them beside the first."""
    taken: dict[str, list[Cost]] = {way: [] for way in ways}
    for turn in range(rounds + 1):
        for way, measure in ways.items():
            found = measure()
            if turn:
                taken[way].append(found)
    print(f"\n{title} ({rows:,} rows, {rounds} rounds)")
    first = next(iter(taken.values()))
    for way, found in taken.items():
        rate = statistics.median(rows / wall for wall, _ in found)
        cpu = statistics.median(1000 * used / rows for _, used in found)
        faster = statistics.median(a[0] / b[0] for a, b in zip(first, found, strict=True))
        dearer = statistics.median(b[1] / a[1] for a, b in zip(first, found, strict=True))
        beside = "" if found is first else f"   {faster:.2f} of its rows a second, {dearer:.2f} of its CPU"
        print(f"  {way:28} {rate:6.4g} rows/s  {cpu:6.2f} ms CPU a row{beside}")


def clocked(work: Callable[[], Any]) -> Cost:
    """What some work in this process takes."""
    wall, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - used


# --- our loop, and bare clients -----------------------------------------------------------------------------


def batch(folder: Path, rows: Path, **options: Any) -> Cost:
    """A whole batch in this process: check, run, journal, output, statistics off as for the bare client."""
    import runllm
    from runllm.batch import Batch, Wanted

    app = runllm.load(folder / "count.rllm", concurrency=IN_FLIGHT, stats=False, **options)

    def work() -> None:
        with Batch(app, Wanted(paths=[str(rows)], target=str(folder / "out.csv"), overwrite=True)) as one:
            one.run(one.check(), sys.stdout)

    return clocked(work)


def asked(folder: Path, address: str) -> dict[str, Any]:
    """The body of a request of ours, as the server got it."""
    import runllm

    with runllm.Runtime() as runtime:
        runllm.load(folder / "count.rllm", runtime=runtime, stats=False).run({"text": "text number 0"})
    return told(f"{address}/last")


def told(url: str) -> Any:
    """What our own server says there."""
    with urllib.request.urlopen(url) as said:  # noqa: S310 - our own server
        return json.load(said)


def body(like: dict[str, Any], number: int) -> dict[str, Any]:
    """The same request for another row."""
    *before, last = like["messages"]
    return {**like, "messages": [*before, {**last, "content": f"Count: text number {number}"}]}


async def bounded(call: Callable[[dict[str, Any]], Any], like: dict[str, Any], rows: int) -> None:
    """What one writes without us: as many calls as there are rows, through a semaphore."""
    places = asyncio.Semaphore(IN_FLIGHT)

    async def one(number: int) -> int:
        async with places:
            return json.loads(await call(body(like, number)))["n"]

    await asyncio.gather(*(one(number) for number in range(rows)))


async def with_httpx(root: str, like: dict[str, Any], rows: int) -> None:
    import httpx

    limits = httpx.Limits(max_connections=IN_FLIGHT, max_keepalive_connections=IN_FLIGHT)
    async with httpx.AsyncClient(limits=limits, timeout=30) as client:

        async def call(body: dict[str, Any]) -> str:
            reply = await client.post(f"{root}/v1/chat/completions", json=body, headers={"Authorization": "Bearer x"})
            return reply.json()["choices"][0]["message"]["content"]

        await bounded(call, like, rows)


async def with_litellm(root: str, like: dict[str, Any], rows: int) -> None:
    import litellm

    async def call(body: dict[str, Any]) -> str:
        named = {**body, "model": f"openai/{body['model']}"}
        reply: Any = await litellm.acompletion(**named, api_base=f"{root}/v1", api_key="x")
        return reply.choices[0].message.content

    await bounded(call, like, rows)


# --- shards -------------------------------------------------------------------------------------------------


def command(folder: Path, rows: Path, address: str, *more: str) -> Cost:
    """A whole `runllm batch`, its start and its workers included; no more calls in flight than may be."""
    words = [str(Path(sys.executable).with_name("runllm")), "batch", "count.rllm", str(rows), "-o", "out.csv"]
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [*words, "--overwrite", "--no-stats", "--concurrency", str(IN_FLIGHT), *more],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    wall, after = time.perf_counter() - wall, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(done.stderr)
    most = told(f"{address}/most")
    if most > IN_FLIGHT:
        sys.exit(f"{most} calls were in flight")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


# --- a local model ------------------------------------------------------------------------------------------


def with_slots(folder: Path, rows: Path, slots: int) -> Cost:
    """A whole `runllm batch` on the embedded model, that many answers at a time; each row has to end well."""
    words = [str(Path(sys.executable).with_name("runllm")), "batch", str(SUMMARY), str(rows), "-o", "out.jsonl"]
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [*words, "--overwrite", "--no-stats", "--slots", str(slots)],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    wall, after = time.perf_counter() - wall, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(done.stderr)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


# --- memory, and a finished batch -----------------------------------------------------------------------------


def alone(rows: int, folder: Path) -> None:
    """Run a batch with an engine that answers at once, or come back to it; print what it took, as JSON."""
    import runllm
    from runllm.batch import Batch, Wanted
    from runllm.results import Completion, Request
    from runllm.testing import ScriptedEngine

    class AtOnce(ScriptedEngine):  # which would keep every request
        def complete(self, request: Request) -> Completion:
            return Completion(text='{"n": 1}', model=request.endpoint.model, cost=0.0)

    began = time.perf_counter()
    with runllm.Runtime(engine=AtOnce([])) as runtime:
        app = runllm.load(folder / "count.rllm", runtime=runtime, concurrency=IN_FLIGHT, stats=False)
        with Batch(app, Wanted(paths=[str(folder / f"{rows}.csv")], target=str(folder / f"out-{rows}.csv"))) as one:
            one.run(one.check(), sys.stdout)
            one.summary(0)
    print(json.dumps([time.perf_counter() - began, memory_of("self", "VmHWM")]))


def apart(rows: int, folder: Path) -> tuple[float, float]:
    """The same in a process of its own: seconds, and its peak of memory in MiB."""
    words = [sys.executable, __file__, "--alone", str(rows), str(folder)]
    return tuple(json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout))


def memory(folder: Path, large: int) -> None:
    few = 10_000
    print(f"\nmemory: {large:,} rows beside {few:,}, an engine that answers at once")
    peaks = {}
    for rows in (few, large):
        table(folder, rows)
        taken, peaks[rows] = apart(rows, folder)
        again, _ = apart(rows, folder)
        journal = (folder / f"out-{rows}.csv.journal").stat().st_size / rows
        print(
            f"  {rows:10,} rows  {peaks[rows]:5.0f} MiB at most  {rows / taken:6.0f} rows/s  "
            f"checked and resumed when finished in {again:.1f} s  {journal:.0f} bytes of journal a row"
        )
    print(f"  {peaks[large] / peaks[few]:.2f} times the memory")


# --- all of it ----------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000, help="of `httpx` and `litellm`")
    parser.add_argument("--rounds", type=int, default=5, help="pairs that are measured")
    parser.add_argument("--shards", type=int, default=10_000, help="rows of `shards`, in 3 rounds")
    parser.add_argument("--large", type=int, default=100_000, help="rows of `memory`")
    parser.add_argument("--only", nargs="+", default=["httpx", "litellm", "shards", "memory"], help="the parts")
    parser.add_argument("--alone", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.alone:
        alone(int(chosen.alone[0]), Path(chosen.alone[1]))
        return
    with provider() as address, tempfile.TemporaryDirectory() as name:
        root = f"{address}/0.05"
        folder = Path(name)
        (folder / "count.rllm").write_text(APP, encoding="utf-8")
        os.environ.update({"OPENAI_API_KEY": "x", "OPENAI_BASE_URL": f"{root}/v1", "RUNLLM_STATS_DB": f"{name}/s.db"})
        some, rows, like = table(folder, chosen.rows), chosen.rows, asked(folder, address)
        at = f"{IN_FLIGHT} in flight at 50 ms"
        if "httpx" in chosen.only:
            ways = {"httpx": lambda: clocked(lambda: asyncio.run(with_httpx(root, like, rows)))}
            pairs(at, chosen.rounds, rows, {**ways, "runllm batch": lambda: batch(folder, some)})
        if "litellm" in chosen.only:
            ways = {"litellm.acompletion": lambda: clocked(lambda: asyncio.run(with_litellm(root, like, rows)))}
            ours = {"runllm batch --engine litellm": lambda: batch(folder, some, engine="litellm")}
            pairs(f"{at}, through LiteLLM", chosen.rounds, rows, {**ways, **ours})
        if "shards" in chosen.only:
            many = table(folder, chosen.shards)
            ways = {
                "runllm batch": lambda: command(folder, many, address),
                "runllm batch --shards-on daft": lambda: command(folder, many, address, "--shards-on", "daft"),
            }
            pairs(f"{at}, whole commands", 3, chosen.shards, ways)
        if "slots" in chosen.only:
            rows = table(folder, 16)
            ways = {f"{slots} at a time": partial(with_slots, folder, rows, slots) for slots in (1, 4)}
            pairs("a local model", 3, 16, ways)
        if "memory" in chosen.only:
            memory(folder, chosen.large)


if __name__ == "__main__":
    main()
