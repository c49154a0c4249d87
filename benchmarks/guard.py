"""What it costs a warm call that its addresses are looked at: the same call with and without, turn by turn.

    python benchmarks/guard.py [--calls 400]

Both go through the same client in the same loop; without means that no call is said to be under way, so that the hooks
see nothing to do. The audit hook of the interpreter cannot be taken away again, so its share is measured by itself: how
many events a call has, times what one costs. The provider is a server on this machine in a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from runllm.engines.access import Access
from runllm.engines.litellm import _library

PROVIDER = Path(__file__).parent.parent / "tests" / "integration" / "provider.py"


async def measured(base: str, calls: int) -> None:
    """Print the two medians, their difference, and the share of the audit hook."""
    library = _library()
    from runllm.engines import guard

    access = Access(provider="openai", api_base=base, api_key="k", allowed=(base,))
    messages = [{"role": "user", "content": "hi"}]
    arguments = {"model": "openai/m", "messages": messages, "api_base": base, "api_key": "k", "max_retries": 0}

    async def call(*, guarded: bool) -> float:
        start = time.perf_counter()
        with guard.guarding(access) if guarded else nullcontext():
            await library.acompletion(**arguments)
        return time.perf_counter() - start

    for _ in range(20):  # the first makes the client
        await call(guarded=True)
    pairs = [(await call(guarded=False), await call(guarded=True)) for _ in range(calls)]
    without, with_it = (statistics.median(side) * 1e3 for side in zip(*pairs, strict=True))
    more = statistics.median(b - a for a, b in pairs) * 1e3
    print(f"a warm call without the guard {without:.3f} ms, with it {with_it:.3f} ms; in pairs {more:+.3f} ms")
    events, each = await audited(call(guarded=True))
    print(f"to enter and look at one address: {looked(access, base) * 1e3:.4f} ms")
    print(f"audit events in a call: {events}, {each * 1e9:.0f} ns each for the hook: {events * each * 1e3:.4f} ms")


def looked(access: Access, base: str) -> float:
    """Seconds for the guard's own work of a call: to begin, to look at one address, to end."""
    import httpx

    from runllm.engines import guard

    request = httpx.Request("POST", f"{base}/chat/completions")
    start = time.perf_counter()
    for _ in range(10_000):
        with guard.guarding(access):
            guard._look(request)  # noqa: SLF001 - what is measured
    return (time.perf_counter() - start) / 10_000


async def audited(call: Any) -> tuple[int, float]:
    """How many events a call has, and the seconds that the hook takes for one."""
    from runllm.engines.guard import _watch

    counted = 0

    def count(_: str, __: Any) -> None:
        nonlocal counted
        counted += counting

    counting = 0
    sys.addaudithook(count)
    counting = 1
    await call
    counting = 0
    start = time.perf_counter()
    for _ in range(100_000):
        _watch("object.__getattr__", ())
    return counted, (time.perf_counter() - start) / 100_000


def main() -> None:
    """Start the provider, and measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=400)
    calls = parser.parse_args().calls
    with subprocess.Popen(
        [sys.executable, PROVIDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        base = (server.stdout.readline() if server.stdout else "").strip()
        asyncio.run(measured(base, calls))
        server.communicate()


if __name__ == "__main__":
    main()
