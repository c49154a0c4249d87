"""Measure how long runllm takes to start, beside a bare interpreter and a bare LiteLLM script.

    python benchmarks/startup.py [--rounds N] [NAME ...]

Every round starts each command once, in another order each time, so that a busy machine slows all of them
alike; a round before the first writes the bytecode and is not counted. `x pass` is the ratio to
`python -c pass`; `cpu ms` is the processor time of the command, which other work on the machine disturbs
less than its wall time. The provider is a server on the loopback interface, started here; its key is a dummy. The run
on the embedded model is given without the time of the call itself, which `--verbose` reports.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

EXAMPLES = Path(__file__).parent.parent / "examples"
RUNLLM = str(Path(sysconfig.get_path("scripts")) / "runllm")

APP = """---
name: start
description: Answers yes or no.
version: 1.0.0
author: benchmark
max_context_window: 2048
input_schema: {{type: object, properties: {{text: {{type: string}}}}, required: [text]}}
output_schema: {{type: object, properties: {{ok: {{type: boolean}}}}, required: [ok], additionalProperties: false}}
llm: {llm}
llm_params: {{temperature: 0, max_tokens: 30}}
---
Is this a greeting? {{{{ input.text }}}}
"""

RAW = """
import litellm
reply = litellm.completion(
    model="openai/m",
    api_base={base!r},
    api_key="sk-dummy",
    messages=[{{"role": "user", "content": "Is this a greeting? hi"}}],
)
print(reply.choices[0].message.content)
"""

REPLY = {
    "id": "1",
    "object": "chat.completion",
    "created": 0,
    "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": '{"ok": true}'}}],
    "usage": {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17},
}

ENVIRONMENT = {
    # Without this LiteLLM fetches its price table at import, and the raw script would time the network.
    **os.environ,
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "OPENAI_API_KEY": "sk-dummy",
}
ENVIRONMENT.pop("PYTHONDONTWRITEBYTECODE", None)


@dataclass(kw_only=True)
class Case:
    """A command, its wall times and processor times in seconds, and what is asked of it.

    Attributes:
        spent: seconds that the command reports of its stderr and that are not its own.
        target: what is asked, as text, and as a test of all medians by name.
    """

    name: str
    argv: list[str]
    spent: Callable[[str], float] = lambda _: 0.0
    target: tuple[str, Callable[[dict[str, float]], bool]] | None = None
    taken: list[float] = field(default_factory=list[float])
    worked: list[float] = field(default_factory=list[float])
    failure: str = ""

    def run(self, *, counted: bool) -> None:
        """Start the command once; keep its times when `counted`, or its complaint when it fails."""
        worked, start = _child_time(), time.perf_counter()
        done = subprocess.run(
            self.argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=ENVIRONMENT, check=False
        )
        elapsed = time.perf_counter() - start
        if done.returncode:
            self.failure = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[0]
        elif counted:
            self.taken.append(elapsed - self.spent(done.stderr))
            self.worked.append(_child_time() - worked)


def _child_time() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def cases(folder: Path, base: str) -> Iterator[Case]:
    python, summary = sys.executable, str(EXAMPLES / "summary.rllm")
    remote, local = folder / "remote.rllm", folder / "local.rllm"
    remote.write_text(APP.format(llm=f"{{model: openai/m, api_base: '{base}'}}"), encoding="utf-8")
    local.write_text(APP.format(llm="{model: local/smollm2-135m}"), encoding="utf-8")
    given = ["--input", '{"text": "hi"}']
    yield Case(name="pass", argv=[python, "-c", "pass"])
    yield Case(
        name="import",
        argv=[python, "-c", "import runllm"],
        target=("< 30 ms over pass", lambda at: at["import"] - at["pass"] < 0.030),
    )
    yield Case(name="help", argv=[RUNLLM, "--help"], target=("< 100 ms", lambda at: at["help"] < 0.100))
    yield Case(name="version", argv=[RUNLLM, "--version"])
    yield Case(
        name="validate", argv=[RUNLLM, "validate", summary], target=("< 100 ms", lambda at: at["validate"] < 0.100)
    )
    yield Case(name="schema", argv=[RUNLLM, "schema"])
    yield Case(
        name="dry-run",
        argv=[RUNLLM, "run", summary, "--dry-run", "--input-file", str(EXAMPLES / "summary.input.yaml")],
    )
    yield Case(name="raw litellm", argv=[python, "-c", RAW.format(base=base)])
    yield Case(
        name="run litellm",
        argv=[RUNLLM, "run", str(remote), *given],
        target=("<= 0.6 of raw litellm", lambda at: at["run litellm"] <= 0.6 * at["raw litellm"]),
    )
    yield Case(name="run local", argv=[RUNLLM, "run", str(local), "--verbose", *given], spent=_calls)


def _calls(trace: str) -> float:
    """Seconds of all calls to the model, as the trace states them."""
    return sum(map(float, re.findall(r" answer .*?([0-9.]+) s,", trace)))


class _Provider(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.dumps(REPLY).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def provider() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Provider)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()


def measure(chosen: list[Case], rounds: int) -> None:
    for case in chosen:
        case.run(counted=False)
    order = random.Random(0)  # noqa: S311 - an order, not a secret
    for _ in range(rounds):
        for case in order.sample(chosen, len(chosen)):
            if not case.failure:
                case.run(counted=True)


def report(chosen: list[Case]) -> None:
    medians = {case.name: statistics.median(case.taken) for case in chosen if case.taken}
    bare = medians["pass"]
    heads = (("median ms", 10), ("fastest", 9), ("slowest", 9), ("cpu ms", 8), ("over pass", 11), ("x pass", 8))
    print(f"{'command':<14}" + "".join(f"{head:>{width}}" for head, width in heads) + "  asked for")
    for case in chosen:
        if case.failure or not case.taken:
            print(f"{case.name:<14}{'not available':>20}  {case.failure[:100]}")
            continue
        at = medians[case.name]
        seconds = (at, min(case.taken), max(case.taken), statistics.median(case.worked), at - bare)
        row = "".join(f"{value * 1000:{width}.0f}" for value, width in zip(seconds, (10, 9, 9, 8, 11), strict=True))
        print(f"{case.name:<14}{row}{at / bare:8.1f}  {_verdict(case, medians)}")
    if {"run litellm", "raw litellm"} <= medians.keys():
        print(f"\nrun litellm / raw litellm: {medians['run litellm'] / medians['raw litellm']:.2f}")


def _verdict(case: Case, medians: dict[str, float]) -> str:
    if case.target is None:
        return ""
    text, holds = case.target
    try:
        return f"{text}: {'met' if holds(medians) else 'MISSED'}"
    except KeyError as missing:
        return f"{text}: {missing} was not measured"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="how often each command is counted (default 7)")
    parser.add_argument("names", nargs="*", help="measure these commands alone, and `pass`")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, provider() as base:
        every = list(cases(Path(folder), base))
        unknown = set(options.names) - {case.name for case in every}
        if unknown:
            parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(case.name for case in every)}")
        chosen = [case for case in every if not options.names or case.name in {"pass", *options.names}]
        measure(chosen, options.rounds)
    report(chosen)


if __name__ == "__main__":
    main()
