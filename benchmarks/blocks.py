"""Measure what Python blocks cost: cold, warm, with large values, with many threads, and trusted.

Usage: python benchmarks/blocks.py [--runs N]

`fresh session` is what runllm does: each block gets a session of its own. `kept session` feeds block
after block to one session, which runllm does not do, since names and a seeded generator would pass
from one block to the next; it is measured to know what that safety costs. Times are medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from runllm.blocks import Limits, Sandbox
from runllm.blocks.trusted import TrustedRunner

CODE = "assert len(output['summary'].split()) <= 50, 'at most 50 words'\nwords = len(output['summary'].split())"
NAMES = {"output": {"summary": "one short line of text", "tags": ["a", "b"]}, "input": {"text": "hello " * 40}}
COLD = """
import time
begun = time.perf_counter()
from runllm.blocks import run_block
imported = time.perf_counter()
run_block("result['n'] = len(context['a'])", {"a": [1, 2]})
print(imported - begun, time.perf_counter() - imported)
"""
UNUSED = """
import sys
import runllm.blocks
print(sorted(m for m in sys.modules if m.startswith("pydantic_monty")))
"""


def median(action: Callable[[], Any], runs: int) -> float:
    """Milliseconds."""
    taken: list[float] = []
    for _ in range(runs):
        begun = time.perf_counter()
        action()
        taken.append((time.perf_counter() - begun) * 1000)
    return statistics.median(taken)


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def cold(runs: int) -> None:
    pairs = [tuple(float(part) * 1000 for part in python(COLD).split()) for _ in range(runs)]
    print(f"cold: import runllm.blocks       {statistics.median(p[0] for p in pairs):8.2f} ms")
    print(f"cold: first block                {statistics.median(p[1] for p in pairs):8.2f} ms   (goal: 150)")
    print(f"sandbox modules after the import {python(UNUSED)}")


def kept(runs: int) -> float:
    import pydantic_monty as monty

    limits: monty.ResourceLimits = {"max_feed_duration_secs": 1.0, "max_memory": 64 << 20}
    read = "import json as _j\n_j.dumps({'words': words})"
    with monty.Monty() as pool, pool.checkout(limits=limits) as session:

        def once() -> None:
            session.feed_run(CODE, inputs=NAMES)
            json.loads(session.feed_run(read))

        once()
        return median(once, runs)


def warm(sandbox: Sandbox, runs: int) -> None:
    sandbox.run(CODE, NAMES, ["words"])
    fresh = median(lambda: sandbox.run(CODE, NAMES, ["words"]), runs)
    print(f"warm: fresh session              {fresh:8.2f} ms   (goal: 0.5)")
    print(f"warm: kept session               {kept(runs):8.2f} ms")
    rows = {"rows": [{"id": n, "name": f"row {n}", "score": n / 7} for n in range(10_000)]}
    size = len(json.dumps(rows)) // 1024
    into = median(lambda: sandbox.run("n = len(d['rows'])", {"d": rows}, ["n"]), 9)
    both = median(lambda: sandbox.run("n = d", {"d": rows}, ["n"]), 9)
    print(f"{size} KiB in                        {into:8.2f} ms")
    print(f"{size} KiB in and out                {both:8.2f} ms")


def many(sandbox: Sandbox) -> None:
    for count in (1, 8, 32):
        with ThreadPoolExecutor(count) as threads:
            begun = time.perf_counter()
            list(threads.map(lambda _: sandbox.run(CODE, NAMES, ["words"]), range(2000)))
            print(f"{count:2} threads                       {2000 / (time.perf_counter() - begun):8.0f} blocks/s")


def deadlines(sandbox: Sandbox) -> None:
    for seconds in (0.05, 0.2, 1.0):
        for label, code in (("loop", "while True: pass"), ("one operation", "x = 3**10**7 * 3**10**7")):
            begun = time.perf_counter()
            try:
                sandbox.run(code, {}, [], limits=Limits(timeout=seconds))
            except Exception as error:  # the failure is the point; the print says which it was
                print(f"limit {seconds} s, {label:14}       {time.perf_counter() - begun:8.3f} s    {error}")


def main(runs: int) -> None:
    cold(9)
    with Sandbox() as sandbox:
        warm(sandbox, runs)
        many(sandbox)
        deadlines(sandbox)
    trusted = TrustedRunner()
    print(f"trusted                          {median(lambda: trusted.run(CODE, NAMES, ['words']), 15):8.2f} ms")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure what Python blocks cost.")
    parser.add_argument("--runs", type=int, default=500, help="warm blocks per median")
    main(parser.parse_args().runs)
