"""Run the embedded model over every schema of tests/spec/schemas.yaml and print what came out.

Usage: python benchmarks/local_schemas.py [-v] [--temperature T] [--seed N] [NAME ...]

Each answer is checked against the original schema. `bound` is the most tokens that its bounded form
allows, `plan ms` the time it took to make the form. The options `--temperature T` and `--seed N`
sample instead of taking the likeliest token.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from runllm.engines.local.bounding import bounded
from runllm.engines.local.engine import LocalEngine
from runllm.executor.prompt import instruction
from runllm.results import Completion, Endpoint, Message, Request
from runllm.schema import Contract

ENDPOINT = Endpoint(model="local/smollm2-135m")
CASES = Path(__file__).parent.parent / "tests" / "spec" / "schemas.yaml"


def request(case: dict[str, Any], sampling: dict[str, Any]) -> Request:
    return Request(
        endpoint=ENDPOINT,
        messages=(
            Message(role="system", content=instruction(case["schema"], constrained=True)),
            Message(role="user", content=case["prompt"]),
        ),
        params={"max_tokens": case.get("tokens", 250), **sampling},
        schema=case["schema"],
    )


def verdict(case: dict[str, Any], answer: Completion) -> str:
    try:
        value = json.loads(answer.text)
    except ValueError:
        return "no JSON"
    return "valid" if Contract(case["schema"]).accepts(value) else "INVALID"


def start_up() -> LocalEngine:
    started = time.perf_counter()
    engine = LocalEngine()
    engine.ready(ENDPOINT)
    window = engine.window(ENDPOINT)
    print(f"ready and window ({window}): {(time.perf_counter() - started) * 1000:.1f} ms")
    hello = (Message(role="user", content="Hello"),)
    for label, tokens in (("load and first token", 1), ("first token", 1), ("200 tokens", 200)):
        begun = time.perf_counter()
        answer = engine.complete(
            Request(endpoint=ENDPOINT, messages=hello, params={"max_tokens": tokens, "temperature": 0.8, "seed": 1})
        )
        spent = time.perf_counter() - begun
        print(f"{label}: {spent:.3f} s ({answer.usage.completion_tokens / spent:.0f} tokens/s)")
    return engine


def main(names: list[str], sampling: dict[str, Any], *, verbose: bool) -> int:
    cases = [c for c in yaml.safe_load(CASES.read_text(encoding="utf-8")) if not names or c["name"] in names]
    engine = start_up()
    print(f"\n{'schema':22} {'answer':8} {'finish':7} {'tokens':>6} {'bound':>6} {'seconds':>8} {'plan ms':>8}")
    valid, tokens, seconds = 0, 0, 0.0
    for case in cases:
        asked = request(case, sampling)
        begun = time.perf_counter()
        plan = bounded(case["schema"], case.get("tokens", 250))
        planned = (time.perf_counter() - begun) * 1000
        answer = engine.complete(asked)
        said = verdict(case, answer)
        good = said == "valid" and answer.finish_reason == "stop"
        valid, tokens, seconds = valid + good, tokens + answer.usage.completion_tokens, seconds + answer.latency
        print(
            f"{case['name']:22} {said:8} {answer.finish_reason:7} {answer.usage.completion_tokens:6} "
            f"{plan.tokens:6} {answer.latency:8.2f} {planned:8.1f}"
        )
        if verbose or not good:
            print(f"    {answer.text}")
    print(f"\n{valid} of {len(cases)} valid at the first attempt; {tokens} tokens in {seconds:.1f} s")
    engine.close()
    return 0 if valid == len(cases) else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Run the embedded model over every schema.")
    parser.add_argument("names", nargs="*")
    parser.add_argument("-v", "--verbose", action="store_true")
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    sys.exit(main(args.names, {"temperature": args.temperature, "seed": args.seed}, verbose=args.verbose))
