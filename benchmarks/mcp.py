"""What it costs to start `runllm mcp` and ask for its tools, beside a bare server of the package with the same tools.

    uv run benchmarks/mcp.py            15 pairs, each in its own processes, in turns

CPU seconds of the server's process, from its start to its end. Then: how much its memory grows over calls of a tool
whose model is a script in the process, 50 at a time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from counting import APP as COUNT
from counting import memory

APP = """---
name: app-{number}
description: Says what message number {number} is about.
input:
  message: text 1..
  "days?": integer 0..31
returns:
  topic: order | payment | account | other
  reasons: string[]
llm: openai/gpt-4o-mini
---
What is this message about, after {{{{ input.days | default(0) }}}} days?

{{{{ input.message }}}}
"""
BARE = """
import asyncio, json, sys
from pathlib import Path
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp_types import ListToolsResult, Tool
tools = [Tool.model_validate(one) for one in json.loads(Path(sys.argv[1]).read_text())]
async def listed(context, params):
    return ListToolsResult(tools=tools)
async def called(context, params):
    raise NotImplementedError
server = Server("bare", version="1", on_list_tools=listed, on_call_tool=called)
async def main():
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())
asyncio.run(main())
"""
SERVED = """
import sys
from runllm.mcp.wire import taken
wire = taken()
from runllm import Runtime, load
from runllm.mcp.server import server_of
from runllm.mcp.stdio import serve
from runllm.serve import House, Limits
from runllm.serve.catalog import Catalog
from runllm.testing import ScriptedEngine
runtime = Runtime(engine=ScriptedEngine(lambda request: '{"n": 1}'))
runtime.engine(None).requests = type("Nothing", (list,), {"append": lambda self, one: None})()
house = House(Catalog([sys.argv[1]], lambda path: load(path, runtime=runtime)), runtime, Limits())
serve(server_of(house), house, wire)
"""
CLIENT = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "benchmark", "version": "1"}}
SAID = [
    {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": CLIENT},
    {"jsonrpc": "2.0", "method": "notifications/initialized"},
    {"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
]
CALL = {"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "count", "arguments": {"text": "some words"}}}
AT_ONCE = 50


def asked(command: list[str]) -> tuple[float, list[dict[str, object]]]:
    """CPU seconds of a server, and the tools that it lists."""
    before = os.times()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        assert server.stdin is not None  # noqa: S101 - as it was opened
        assert server.stdout is not None  # noqa: S101 - as above
        server.stdin.write("".join(json.dumps(one) + "\n" for one in SAID).encode())
        server.stdin.flush()
        answers = [json.loads(server.stdout.readline()) for _ in range(2)]
        server.stdin.close()
        server.wait(60)
    after = os.times()
    used = after.children_user - before.children_user + after.children_system - before.children_system
    return used, answers[1]["result"]["tools"]


def growth(app: Path, calls: int) -> tuple[float, float]:
    """MiB of a server after its first 2,000 calls, and how much more after so many others."""
    command = [sys.executable, "-c", SERVED, str(app)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None  # noqa: S101 - as it was opened
        assert server.stdout is not None  # noqa: S101 - as above

        def say(*messages: object) -> None:
            server.stdin.writelines(json.dumps(one) + "\n" for one in messages)
            server.stdin.flush()

        def call(times: int) -> float:
            for begun in range(0, times, AT_ONCE):
                say(*({**CALL, "id": begun + number} for number in range(AT_ONCE)))
                for _ in range(AT_ONCE):
                    found = json.loads(server.stdout.readline())
                    assert found["result"]["structuredContent"] == {"n": 1}, found  # noqa: S101 - or nothing is measured
            return memory(server.pid)

        say(*SAID)
        server.stdout.readline(), server.stdout.readline()
        before = call(2_000)
        after = call(calls)
        server.stdin.close()
    return before, after - before


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--apps", type=int, default=5)
    parser.add_argument("--growth", type=int, default=20_000)
    given = parser.parse_args()
    os.environ["RUNLLM_STATS"] = "off"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(given.apps):
            (folder / f"{number}.rllm").write_text(APP.format(number=number), encoding="utf-8")
        ours = [str(Path(sys.executable).with_name("runllm")), "mcp", name]
        tools = folder / "tools.json"
        tools.write_text(json.dumps(asked(ours)[1]), encoding="utf-8")
        bare = [sys.executable, "-c", BARE, str(tools)]
        assert asked(bare)[1] == asked(ours)[1]  # noqa: S101 - or nothing is compared
        pairs = [(asked(ours)[0], asked(bare)[0]) for _ in range(given.pairs)]
        app = folder / "count.rllm"
        app.write_text(COUNT, encoding="utf-8")
        before, more = growth(app, given.growth)
    mine, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(one / other for one, other in pairs)
    print(f"{given.apps} tools, {given.pairs} pairs: {mine:.2f} s beside {theirs:.2f} s of CPU, {ratio:.2f} of it")
    print(f"{more:+.1f} MiB over {given.growth:,} calls, from {before:.0f}")


if __name__ == "__main__":
    main()
