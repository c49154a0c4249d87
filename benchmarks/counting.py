"""What several benchmarks share: an app, a provider that answers it, the memory of a process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

APP = """---
name: count
input: {text: text}
returns: {n: integer}
llm: openai/gpt-4o-mini
---
Count: {{ input.text }}
"""
_PROVIDER = """
import asyncio
from aiohttp import web
BODY = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [
    {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": '{"n": 1}'}}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}}
now = most = 0
asked = b''
async def chat(request):
    global now, most, asked
    asked = await request.read()
    now += 1
    most = max(most, now)
    await asyncio.sleep(float(request.match_info["wait"]))
    now -= 1
    return web.json_response(BODY)
async def at_most(request):
    global most
    said, most = most, 0
    return web.json_response(said)
async def last(request):
    return web.Response(body=asked, content_type="application/json")
OLLAMA = {  # a model `m`, as Ollama tells of it
    "tags": {"models": [{"name": "m:latest", "model": "m:latest"}]},
    "ps": {"models": [{"name": "m:latest", "context_length": 8192}]},
    "show": {"details": {"family": "test"}, "parameters": "", "capabilities": ["completion"],
             "model_info": {"general.architecture": "test", "test.context_length": 8192}},
    "chat": {"model": "m", "message": {"role": "assistant", "content": '{"n": 1}'}, "done": True,
             "done_reason": "stop", "prompt_eval_count": 9, "eval_count": 5}}
async def ollama(request):
    await request.read()
    return web.json_response(OLLAMA[request.match_info["asked"]])
app = web.Application()
app.router.add_post("/{wait}/v1/chat/completions", chat)
app.router.add_route("*", "/api/{asked}", ollama)
app.router.add_get("/most", at_most)
app.router.add_get("/last", last)
async def main():
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=512)
    await site.start()
    print(f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


@contextmanager
def provider() -> Iterator[str]:
    """The address of a provider on the loopback interface, in a process of its own.

    An API that takes so many seconds for an answer is at `/SECONDS/v1`, one of Ollama's form, with a model `m`, at
    `/api`; at `/most` is how many calls were in flight at most since it was asked last, and at `/last` what was asked
    last.
    """
    process = subprocess.Popen([sys.executable, "-c", _PROVIDER], stdout=subprocess.PIPE, text=True)
    try:
        yield process.stdout.readline().strip() if process.stdout else ""
    finally:
        process.terminate()
        process.wait()


def memory(process: int | str, field: str = "VmRSS") -> float:
    """MiB that a process holds, or with `VmHWM` has held at most: `getrusage` begins with what its parent held."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(field)).split()[1]) / 1024


def used(process: int) -> float:
    """CPU seconds that a process has taken."""
    after_name = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, after_name[11:13])) / os.sysconf("SC_CLK_TCK")
