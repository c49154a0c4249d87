"""What each bound costs when it is hit: peak memory over a process that did the usual, and time.

python benchmarks/reliability.py [NAME...]
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.integration import faulty_server as faulty  # noqa: E402 - found through the line above
from tests.integration.faulty_server import Fault, FaultyServer  # noqa: E402

import runllm  # noqa: E402
from runllm.errors import RunllmError  # noqa: E402

HEAD = """---
name: bound
description: d
version: 1.0.0
author: a
max_context_window: 4096
input_schema: {type: object, properties: {text: {type: string}}, required: [text], additionalProperties: false}
output_schema: {type: object, properties: {answer: {type: string}}, required: [answer], additionalProperties: false}
"""
PLAIN = HEAD + 'output: {answer: "{{ input.text }}"}\n---\n'
ALIASES = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10) if n else 'x'}]\n" for n in range(9))
FILES: dict[str, str] = {
    "file of 1 MiB": PLAIN + "x" * (1 << 20),
    "YAML of 10^8 aliases": HEAD.replace("---\n", "---\n" + ALIASES, 1) + "---\nSay it.\n",
    "YAML 20,000 deep": HEAD + f"metadata: {'[' * 20_000}{']' * 20_000}\n---\nSay it.\n",
    "template of 10^15 steps": PLAIN.replace(
        "{{ input.text }}",
        "{% for a in range(99999) %}" * 3 + "x" + "{% endfor %}" * 3,
    ),
    "pattern that explodes": PLAIN.replace("text: {type: string}", "text: {type: string, pattern: '^(a|a)*(a|aa)+$'}"),
    "block of 10 GB of text": PLAIN + "\n```rllm-python pre outputs=x\nx = 'x' * 10_000_000_000\n```\n",
    "5,000 Python blocks": PLAIN + "```rllm-python pre\nx = 1\n```\n" * 5000,
    "30,000 mistakes in one line": PLAIN.replace("{{ input.text }}", "{{ inptu.text }}" * 30_000),
    "block without end": PLAIN + "\n```rllm-python pre outputs=x\nx = 1\nwhile True:\n    x += 1\n```\n",
}
ANSWERS: dict[str, Fault] = {
    "answer of 100 MB": faulty.large("200 OK"),
    "error of 100 MB": faulty.large("500 Oops"),
    "answer without end": faulty.endless_body,
    "error without end": faulty.endless_error,
    "headers without end": faulty.endless_headers,
    "gzip of 4 GiB": faulty.gzip_bomb(),
    "answer of 240,000 lists": faulty.full(b"[],", b'{"choices": [', b"1]}", mebibytes=1),
    "answer of 3 MiB of HTML": faulty.full(b"<p>Error: ", mebibytes=3),
    "bytes that drip (timeout 2 s)": faulty.dripping_body,
}
INPUT = {"text": "a" * 5000 + "b"}
RUNS = "1,000 runs at once, composed"


def peak() -> int:
    """The most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def measured(do: Callable[[], object]) -> dict[str, object]:
    """What came of it, seconds, and MiB over what there was before."""
    before, start, said = peak(), time.perf_counter(), "ok"
    try:
        do()
    except RunllmError as error:
        said = error.code
    return {"said": said, "seconds": time.perf_counter() - start, "mib": peak() - before}


def a_file(text: str) -> dict[str, object]:
    """Load and run a file, after a usual one."""
    with tempfile.TemporaryDirectory() as folder:
        usual, path = Path(folder, "usual.rllm"), Path(folder, "file.rllm")
        usual.write_text(PLAIN, encoding="utf-8")
        path.write_text(text, encoding="utf-8")
        runllm.load(usual, stats=False).run({"text": "x"})
        return measured(lambda: runllm.load(path, stats=False).run(INPUT))


def a_call(base: str) -> dict[str, object]:
    """Call a model at a faulty server, after a usual call."""
    from tests.integration.provider import Provider

    from runllm.engines.litellm import LiteLLMEngine
    from runllm.results import Endpoint, Message, Request

    def asking(base: str, timeout: float) -> Request:
        endpoint = Endpoint(model="openai/m", api_base=base)
        hello = (Message(role="user", content="hello"),)
        return Request(endpoint=endpoint, messages=hello, params={}, schema=None, timeout=timeout)

    engine = LiteLLMEngine()
    with Provider() as provider:
        engine.complete(asking(provider.base, 60))
    return measured(lambda: engine.complete(asking(base, 2 if "drip" in sys.argv[2] else 60)))


def a_thousand(base: str) -> dict[str, object]:
    """1,000 runs of an app that uses another and has a block, in one event loop, recorded."""
    import asyncio

    from tests.integration.test_machine_faults import write

    from runllm.stats.store import Store

    with tempfile.TemporaryDirectory() as folder, runllm.Runtime(store=Store(Path(folder, "stats.db"))) as runtime:
        app = runllm.load(write(Path(folder), base), runtime=runtime, stats=True)
        app.run({"k": 0})

        async def all_of_them() -> None:
            await asyncio.gather(*[app.arun({"k": k}) for k in range(1, 1001)])

        return measured(lambda: asyncio.run(all_of_them()))


def child(name: str, *more: str) -> dict[str, object]:
    """Measure in a process of its own."""
    environment = {**os.environ, "RUNLLM_LOOPBACK_ONLY": "1", "RUNLLM_CONFIG": os.devnull, "RUNLLM_STATS": "off"}
    done = subprocess.run(
        [sys.executable, __file__, "--child", name, *more],
        capture_output=True,
        text=True,
        timeout=600,
        env=environment,
        check=False,
    )
    return json.loads(done.stdout) if done.returncode == 0 else {"said": done.stderr[-300:], "seconds": 0.0, "mib": 0}


def show(name: str, found: dict[str, object]) -> None:
    """Print one row."""
    print(f"| {name} | {found['said']} | {found['mib']} MiB | {found['seconds']:.2f} s |", flush=True)


def main(chosen: list[str]) -> None:
    """Print a row for each bound."""
    print("| what | ends in | memory | time |\n|---|---|---|---|")
    for name in FILES:
        if not chosen or name in chosen:
            show(name, child(name))
    for name, fault in ANSWERS.items():
        if not chosen or name in chosen:
            with FaultyServer(fault) as server:
                show(name, child(name, server.base))
    if not chosen or RUNS in chosen:
        provider = [sys.executable, str(ROOT / "tests" / "integration" / "provider.py")]
        with subprocess.Popen(provider, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            if process.stdin and process.stdout:
                show(RUNS, child(RUNS, process.stdout.readline().strip()))
                process.stdin.close()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        kind, *more = sys.argv[2:]
        done = a_thousand(*more) if kind == RUNS else a_call(*more) if kind in ANSWERS else a_file(FILES[kind])
        print(json.dumps(done))
    else:
        main(sys.argv[1:])
