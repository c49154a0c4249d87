"""Measure how fast the embedded model answers and what memory it takes, beside another state of the source.

    python benchmarks/local_speed.py --before FOLDER [--rounds N] [--tokens N]

FOLDER is a checkout of the state to compare with. Every round runs both states and llama.cpp alone, each in a process
of its own, one after another: once as the machine is, once beside a process that keeps one core busy. What counts is
the ratio within a round, since whatever else runs slows all of them alike.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent.parent / "src"

PEAK = """
def peak():
    lines = open("/proc/self/status", encoding="ascii")
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
"""

OURS = (
    PEAK
    + """
import json, sys, time
from runllm.engines.local.engine import LocalEngine
from runllm.results import Endpoint, Message, Request

engine = LocalEngine()
def ask(text, schema=None, **params):
    endpoint, messages = Endpoint(model="local/smollm2-135m"), (Message(role="user", content=text),)
    return engine.complete(Request(endpoint=endpoint, messages=messages, params=params, schema=schema))

person = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}}
ask("Ada is 36.", person | {"required": ["name", "age"]})
begun = time.perf_counter()
answer = ask("Tell a long story.", max_tokens=int(sys.argv[1]), temperature=0.8, seed=1)
print(json.dumps({"speed": answer.usage.completion_tokens / (time.perf_counter() - begun), "peak": peak()}))
"""
)

BARE = (
    PEAK
    + """
import json, sys, time
import xllamacpp
from runllm.engines.local.engine import locate
from runllm.results import Endpoint

params = xllamacpp.CommonParams()
params.model.path = str(locate(Endpoint(model="local/smollm2-135m")))
params.verbosity, params.n_parallel, params.warmup, params.n_ctx = -1, 1, False, 2048
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(params)
events = []
body = {"messages": [{"role": "user", "content": "Tell a long story."}], "max_tokens": int(sys.argv[1]), "seed": 1}
asked = body | {"temperature": 0.8, "stream": True, "stream_options": {"include_usage": True}}
begun = time.perf_counter()
server.handle_chat_completions(asked, lambda event: events.append(event) and False)
tokens = events[-1]["usage"]["completion_tokens"]
print(json.dumps({"speed": tokens / (time.perf_counter() - begun), "peak": peak()}))
"""
)


def measured(script: str, source: Path, tokens: int) -> dict[str, float]:
    """Tokens a second and peak memory in MiB of one process."""
    env = {**os.environ, "PYTHONPATH": str(source)}
    done = subprocess.run(
        [sys.executable, "-c", script, str(tokens)], env=env, capture_output=True, check=True, timeout=600
    )
    return json.loads(done.stdout)


@contextmanager
def busy(wanted: bool) -> Iterator[None]:
    """Beside a process that does nothing but compute, where that is wanted."""
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if wanted else None
    try:
        yield
    finally:
        if other is not None:
            other.kill()
            other.wait()


def main(before: Path, rounds: int, tokens: int) -> None:
    for wanted in (False, True):
        found: dict[str, list[dict[str, float]]] = {"before": [], "now": [], "bare, one thread": []}
        ways = [("before", OURS, before / "src"), ("now", OURS, HERE), ("bare, one thread", BARE, HERE)]
        with busy(wanted):
            for turn in range(rounds):
                for name, script, source in ways if turn % 2 else reversed(ways):
                    found[name].append(measured(script, source, tokens))
        print(f"{'beside a busy process' if wanted else 'as the machine is'} (load {os.getloadavg()[0]:.1f})")
        for name, rows in found.items():
            ratio = statistics.median(r["speed"] / b["speed"] for r, b in zip(rows, found["before"], strict=True))
            speed, peak = (statistics.median(row[key] for row in rows) for key in ("speed", "peak"))
            print(f"  {name:17} {speed:6.1f} tokens/s  x{ratio:.2f}  peak {peak:.0f} MiB", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure the embedded model beside an earlier state.")
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=120)
    args = parser.parse_args()
    main(args.before, args.rounds, args.tokens)
