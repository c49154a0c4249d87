"""What `runllm serve` costs beside the server under it.

    python benchmarks/serve.py [--requests 4000] [--clients 50] [--rounds 5] [--growth 20000]

The same uvicorn serves a bare Starlette endpoint, which reads a JSON body and answers one, and an app whose model is a
script in the process. Rounds are interleaved; the medians of their ratios are printed, on the wall and in CPU of the
server, which other work on the machine disturbs less. Then: what a served call takes
beyond `App()` in the same process, and how much the server's memory grows.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
from counting import APP, memory, used

BARE = """
import sys, asyncio, socket, uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
async def count(request):
    await request.json()
    return JSONResponse({"n": 1})
listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
listening.bind(("127.0.0.1", 0))
listening.listen(2048)
print(listening.getsockname()[1], flush=True)
app = Starlette(routes=[Route("/apps/count", count, methods=["POST"])])
config = uvicorn.Config(app, http="h11", ws="none", log_config=None, access_log=False)
asyncio.run(uvicorn.Server(config).serve(sockets=[listening]))
"""
SERVED = """
import sys
from runllm import Runtime, load
from runllm.serve import Access, House, Limits, serve
from runllm.serve.catalog import Catalog
from runllm.serve.server import listen
from runllm.testing import ScriptedEngine
runtime = Runtime(engine=ScriptedEngine(lambda request: '{"n": 1}'))
runtime.engine(None).requests = type("Nothing", (list,), {"append": lambda self, one: None})()
house = House(Catalog([sys.argv[1]], lambda path: load(path, runtime=runtime)), runtime, Limits())
listening = listen("127.0.0.1", 0)
print(listening.getsockname()[1], flush=True)
serve(house, Access(), listening)
"""
INSIDE = """
import sys, time
from runllm import Runtime, load
from runllm.testing import ScriptedEngine
app = load(sys.argv[1], runtime=Runtime(engine=ScriptedEngine(lambda request: '{"n": 1}')))
for _ in range(200): app(text="some words")
began, used = time.perf_counter(), time.process_time()
for _ in range(1000): app(text="some words")
print((time.perf_counter() - began) / 1000, (time.process_time() - used) / 1000)
"""


@contextmanager
def server(program: str, *arguments: str) -> Iterator[tuple[str, int]]:
    """The URL of a server in a process of its own, and the process."""
    with subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, text=True) as process:
        port = int(next(iter(process.stdout or ())))
        try:
            yield f"http://127.0.0.1:{port}/apps/count", process.pid
        finally:
            process.terminate()


async def asked(url: str, requests: int, clients: int) -> list[float]:
    """Seconds of each request, and last those of all."""
    took: list[float] = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=clients)) as session:

        async def client(number: int) -> None:
            for _ in range(number):
                began = time.perf_counter()
                async with session.post(url, json={"text": "some words"}) as answer:
                    found = await answer.json()
                took.append(time.perf_counter() - began)
                if answer.status != 200 or found != {"n": 1}:
                    raise SystemExit(f"{answer.status}: {found}")

        await asyncio.gather(*(client(20) for _ in range(clients)))
        took.clear()
        began = time.perf_counter()
        await asyncio.gather(*(client(requests // clients) for _ in range(clients)))
        return [*sorted(took), time.perf_counter() - began]


def alone(url: str, process: int) -> tuple[float, float]:
    """The median seconds of a call by one client, and the CPU seconds that it takes a server."""
    before = used(process)
    *took, _ = asyncio.run(asked(url, 500, 1))
    return statistics.median(took), (used(process) - before) / 520


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--requests", type=int, default=4_000)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--growth", type=int, default=20_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        app = Path(folder, "count.rllm")
        app.write_text(APP)
        with server(BARE) as (bare, beside), server(SERVED, str(app)) as (served, process):
            ratios, tails, rates, dearer = [], [], [], []
            for _ in range(given.rounds):
                before = used(beside), used(process)
                *_, whole = asyncio.run(asked(bare, given.requests, given.clients))
                *took, own = asyncio.run(asked(served, given.requests, given.clients))
                dearer.append((used(process) - before[1]) / (used(beside) - before[0]))
                ratios.append(whole / own)
                rates.append(given.requests / own)
                tails.append(took[int(0.99 * len(took))] / took[len(took) // 2])
            rate, ratio = statistics.median(rates), statistics.median(ratios)
            print(f"{rate:.0f} requests a second, {ratio:.2f} of bare Starlette")
            print(f"{statistics.median(dearer):.2f} of its CPU a request")
            print(f"p99 is {statistics.median(tails):.1f} of p50")
            inside = map(float, subprocess.check_output([sys.executable, "-c", INSIDE, str(app)], text=True).split())
            ways = {"served": alone(served, process), "in the process": tuple(inside), "bare": alone(bare, beside)}
            for way, (wall, cpu) in ways.items():
                print(f"one call {way}: {wall * 1e3:.2f} ms, {cpu * 1e3:.2f} ms of CPU")
            before = memory(process)
            asyncio.run(asked(served, given.growth, given.clients))
            print(f"{memory(process) - before:+.1f} MiB over {given.growth:,} requests, from {before:.0f}")


if __name__ == "__main__":
    main()
