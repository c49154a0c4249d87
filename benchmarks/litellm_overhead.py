"""What the engine costs beside plain LiteLLM: a whole process that makes one call, and a warm call.

    python benchmarks/litellm_overhead.py [--cold 5] [--warm 200]

Pairs are interleaved, so that a busy machine slows both sides; medians and their ratios are printed. The
provider is a server on this machine in a process of its own.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

PROVIDER = Path(__file__).parent.parent / "tests" / "integration" / "provider.py"
PAUSE = 0.01  # seconds: what a call leaves running behind it must not slow the next one

PLAIN = """
import sys, litellm
reply = litellm.completion(
    model="openai/m", api_base=sys.argv[1], api_key="x", messages=[{"role": "user", "content": "hi"}]
)
assert reply.choices[0].message.content
"""
OURS = """
import sys
from runllm.engines.litellm import LiteLLMEngine
from runllm.results import Endpoint, Message, Request
endpoint = Endpoint(model="openai/m", api_base=sys.argv[1])
engine = LiteLLMEngine()
assert engine.complete(Request(endpoint=endpoint, messages=(Message(role="user", content="hi"),))).text
engine.close()
"""


def cold(base: str, rounds: int) -> dict[str, list[float]]:
    """Seconds of a whole process, from start to exit: import, one call, interpreter exit."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    local = environment | {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    kinds = {
        "plain, as written": (PLAIN, environment),
        "plain, price map local": (PLAIN, local),
        "runllm": (OURS, environment),
    }
    taken: dict[str, list[float]] = {name: [] for name in kinds}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(rounds + 1):  # the first writes bytecode and fills the page cache
            for name, (code, variables) in kinds.items():
                start = time.perf_counter()
                subprocess.run(
                    [sys.executable, "-c", code, base],
                    env=variables,
                    cwd=folder,
                    check=True,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
                if turn:
                    taken[name].append(time.perf_counter() - start)
    return taken


def warm(base: str, rounds: int) -> dict[str, list[float]]:
    """Seconds of a call when everything is loaded and the connection is open."""
    from runllm.engines.litellm import LiteLLMEngine
    from runllm.results import Endpoint, Message, Request

    engine = LiteLLMEngine()
    request = Request(
        endpoint=Endpoint(model="openai/gpt-4o", api_base=base), messages=(Message(role="user", content="hi"),)
    )
    engine.complete(request)

    import litellm  # after the engine has switched its habits off

    arguments: dict[str, Any] = {
        "model": "openai/gpt-4o",
        "api_base": base,
        "api_key": "x",
        "messages": [{"role": "user", "content": "hi"}],
        "max_retries": 0,
        "timeout": 600.0,
    }
    pool = ThreadPoolExecutor(1)
    ways: dict[str, Callable[[], Any]] = {
        "plain": lambda: litellm.completion(**arguments),
        "runllm": lambda: engine.complete(request),
        "plain, in a worker thread": lambda: pool.submit(litellm.completion, **arguments).result(),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 10):
        for name, call in ways.items():
            time.sleep(PAUSE)
            start = time.perf_counter()
            call()
            if turn >= 10:
                taken[name].append(time.perf_counter() - start)
    engine.close()
    pool.shutdown()
    return taken


def show(title: str, taken: dict[str, list[float]], reference: str, unit: str, scale: float) -> None:
    middle = {name: statistics.median(times) for name, times in taken.items()}
    print(f"\n{title} (n={len(taken[reference])})")
    for name, times in taken.items():
        difference = (middle[name] - middle[reference]) * scale
        print(
            f"  {name:28} median {middle[name] * scale:8.2f} {unit}  min {min(times) * scale:8.2f} {unit}"
            f"  ratio {middle[name] / middle[reference]:5.2f}  difference {difference:+8.2f} {unit}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cold", type=int, default=5, help="rounds of whole processes")
    parser.add_argument("--warm", type=int, default=200, help="rounds of warm calls")
    chosen = parser.parse_args()
    server = subprocess.Popen([sys.executable, str(PROVIDER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        base = server.stdout.readline().strip() if server.stdout else ""
        if chosen.cold:
            show("whole process, one call", cold(base, chosen.cold), "plain, price map local", "s", 1)
        if chosen.warm:
            show("warm call", warm(base, chosen.warm), "plain", "ms", 1000)
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
