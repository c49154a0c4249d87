"""What a hosted call costs without LiteLLM: a whole process, a warm call, and many in flight.

    python benchmarks/direct.py [--cold 5] [--warm 300] [--many 640] [--llm PATH]

A cold `runllm run` of a model of OpenAI's form, and of one of Ollama's, stands against `--engine litellm`, and the
command `llm` with a schema, if its path is given; a warm call against `http.client`; 32 calls in flight against bare
aiohttp, to a server that takes 50 ms. Pairs are interleaved; medians and their ratios are printed. CPU time is that of
the process, user and system.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from counting import APP, provider

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
IN_FLIGHT = 32


# --- a whole process ------------------------------------------------------------------------------------


def spent(command: list[str], folder: Path, environment: dict[str, str]) -> tuple[float, float]:
    """CPU seconds and the peak of memory in MiB of a whole process."""
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command} ended with {status}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def cold(root: str, rounds: int, llm: str | None) -> None:
    base = f"{root}/0/v1"
    runllm = str(Path(sys.executable).with_name("runllm"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "count.rllm").write_text(APP, encoding="utf-8")
        (folder / "extra-openai-models.yaml").write_text(
            f"- model_id: ours\n  model_name: m\n  api_base: {base}\n  supports_schema: true\n", encoding="utf-8"
        )
        environment = {
            **os.environ, "OPENAI_API_KEY": "x", "OPENAI_BASE_URL": base, "RUNLLM_STATS_DB": str(folder / "stats.db"),
            "OLLAMA_HOST": root, "LLM_USER_PATH": name,
        }  # fmt: skip
        run = [runllm, "run", "count.rllm", "text=hi"]
        ways = {
            "runllm": run,
            "runllm, of Ollama's form": [*run, "--model", "ollama_chat/m"],
            "runllm --engine litellm": [*run, "--engine", "litellm"],
        }
        if llm is not None:
            ways["llm, with a schema"] = [llm, "-m", "ours", "--schema", json.dumps(SCHEMA), "hi"]
        taken: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        for turn in range(rounds + 1):  # the first writes bytecode
            for way, command in ways.items():
                found = spent(command, folder, environment)
                if turn:
                    taken[way].append(found)
    print("\na whole process, typed")
    for way, found in taken.items():
        pairs = [statistics.median(b[0] / a[0] for a, b in zip(found, other, strict=True)) for other in taken.values()]
        ratios = ", ".join(
            f"{1 / pair:.2f} of {other}" for other, pair in zip(taken, pairs, strict=True) if other != way
        )
        cpu, peak = statistics.median(one[0] for one in found), statistics.median(one[1] for one in found)
        print(f"  {way:26} {cpu:6.2f} s CPU  {peak:6.0f} MiB  {ratios}")


# --- warm calls -----------------------------------------------------------------------------------------


def bare(base: str) -> Callable[[], object]:
    """A call with `http.client`, over a connection that is kept."""
    parts = urlsplit(base)
    connection = HTTPConnection(parts.hostname or "", parts.port)
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]})

    def call() -> object:
        connection.request("POST", f"{parts.path}/chat/completions", body, {"Content-Type": "application/json"})
        return json.loads(connection.getresponse().read())

    return call


def warm(root: str, rounds: int) -> None:
    import runllm

    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "count.rllm"
        file.write_text(APP, encoding="utf-8")
        os.environ.update({"OPENAI_API_KEY": "x", "OPENAI_BASE_URL": f"{root}/0/v1", "RUNLLM_STATS_DB": f"{name}/s.db"})
        quiet, kept = runllm.load(file, stats=False), runllm.load(file, stats=True)
        ways: dict[str, Callable[[], object]] = {
            "http.client": bare(f"{root}/0/v1"),
            "runllm": lambda: quiet.run({"text": "hi"}),
            "runllm, with statistics": lambda: kept.run({"text": "hi"}),
        }
        taken: dict[str, list[float]] = {way: [] for way in ways}
        for turn in range(rounds + 10):
            for way, call in ways.items():
                start = time.perf_counter()
                call()
                if turn >= 10:
                    taken[way].append(time.perf_counter() - start)
    print(f"\na warm call (n={rounds})")
    for way, found in taken.items():
        print(f"  {way:26} {statistics.median(found) * 1000:6.2f} ms")


# --- many in flight -------------------------------------------------------------------------------------


async def with_aiohttp(url: str, count: int) -> float:
    import aiohttp

    body = {"model": "m", "messages": [{"role": "user", "content": "Count: hi"}]}
    places = asyncio.Semaphore(IN_FLIGHT)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def one() -> None:
            async with places, session.post(url, json=body) as reply:
                json.loads((await reply.json())["choices"][0]["message"]["content"])

        start = time.perf_counter()
        await asyncio.gather(*(one() for _ in range(count)))
        return count / (time.perf_counter() - start)


async def with_runllm(app: Any, count: int) -> float:
    start = time.perf_counter()
    await asyncio.gather(*(app.arun({"text": "hi"}) for _ in range(count)))
    return count / (time.perf_counter() - start)


def many(root: str, count: int, rounds: int = 5) -> None:
    import runllm

    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "count.rllm"
        file.write_text(APP, encoding="utf-8")
        base = f"{root}/0.05/v1"
        os.environ.update({"OPENAI_API_KEY": "x", "OPENAI_BASE_URL": base, "RUNLLM_STATS_DB": f"{name}/s.db"})
        rates: dict[str, list[float]] = {"aiohttp": [], "runllm": [], "runllm, with statistics": []}
        runtime = runllm.Runtime()
        quiet = runllm.load(file, runtime=runtime, stats=False, concurrency=IN_FLIGHT)
        kept = runllm.load(file, stats=True, concurrency=IN_FLIGHT)
        for _ in range(rounds):
            rates["aiohttp"].append(asyncio.run(with_aiohttp(f"{base}/chat/completions", count)))
            rates["runllm"].append(asyncio.run(with_runllm(quiet, count)))
            rates["runllm, with statistics"].append(asyncio.run(with_runllm(kept, count)))
        runtime.close()
    print(f"\n{IN_FLIGHT} in flight, a server that takes 50 ms ({count} calls, {rounds} rounds)")
    for way, found in rates.items():
        ratio = statistics.median(one / other for one, other in zip(found, rates["aiohttp"], strict=True))
        print(f"  {way:26} {statistics.median(found):6.0f} calls a second  {ratio:.2f} of aiohttp")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cold", type=int, default=5, help="rounds of whole processes")
    parser.add_argument("--warm", type=int, default=300, help="rounds of warm calls")
    parser.add_argument("--many", type=int, default=640, help="calls with 32 in flight")
    parser.add_argument("--llm", help="path of the command `llm`, to be compared with")
    chosen = parser.parse_args()
    with provider() as root:
        if chosen.cold:
            cold(root, chosen.cold, chosen.llm)
        if chosen.warm:
            warm(root, chosen.warm)
        if chosen.many:
            many(root, chosen.many)


if __name__ == "__main__":
    main()
