"""Composed apps over real HTTP and on the real local model."""

import asyncio
import json
import time
from pathlib import Path

import pytest
from tests.apps import at, leaf
from tests.integration.provider import Provider, Received, Reply, answer, failure

import runllm
from runllm.errors import ProviderError
from runllm.runtime import Runtime

EXAMPLES = Path(__file__).parents[2] / "examples"
TOP = """---
name: top
description: A test.
version: 1.0.0
author: me
max_context_window: 4096
input_schema: {type: object, properties: {text: {type: string}}, required: [text]}
output_schema: {type: object, properties: {a: {type: string}, b: {type: string}}, required: [a, b]}
uses:
  - {name: a, path: ./a.rllm, with: {text: "{{ input.text }}"}}
  - {name: b, path: ./b.rllm, with: {text: "{{ input.text }}"}}
output: {a: "{{ uses.a.out }}", b: "{{ uses.b.out }}"}
---
"""


@pytest.fixture
def provider():
    with Provider() as server:
        yield server


@pytest.fixture(scope="module")
def runtime():
    with Runtime(sleep=lambda _: None, jitter=lambda: 0.0) as made:
        yield made


@pytest.fixture(params=["sync", "async"])
def go(request: pytest.FixtureRequest, runtime: Runtime, provider: Provider, tmp_path: Path):
    """Run the composed app against a script of replies."""

    def run(*replies: Reply):
        provider.script(*replies)
        for name in ("a", "b"):
            (tmp_path / f"{name}.rllm").write_text(leaf(name, llm=at(provider.base)), encoding="utf-8")
        (tmp_path / "top.rllm").write_text(TOP, encoding="utf-8")
        app = runllm.load(tmp_path / "top.rllm", runtime=runtime)
        if request.param == "sync":
            return app.run({"text": "t"})
        return asyncio.run(app.arun({"text": "t"}))

    return run


def test_two_slow_apps_take_the_time_of_one(go) -> None:
    go(answer('{"out": "x"}'))  # the client library is loaded
    result = go(answer('{"out": "x"}', delay=1.0))
    assert result.output == {"a": "x", "b": "x"}
    assert 1.0 <= result.latency < 1.9
    assert result.usage.prompt_tokens == 22


def test_a_failure_does_not_wait_for_the_slow_one_and_keeps_the_bill(go) -> None:
    def body(received: Received) -> object:
        if "b: t" in json.dumps(received.body):
            time.sleep(0.3)
            return failure(400, "no").body(received)
        return answer('{"out": "x"}').body(received)

    started = time.monotonic()
    with pytest.raises(ProviderError, match=r"top > [ab]: ") as caught:
        go(Reply(body=body, status=400), answer('{"out": "x"}', delay=20))
    assert time.monotonic() - started < 10
    assert caught.value.result is not None
    assert len(caught.value.result.children) == 2


def test_the_composed_example_runs_on_the_local_model() -> None:
    given = {"text": "The Suez Canal opened in 1869 after ten years of work led by Ferdinand de Lesseps.", "limit": 3}
    with Runtime() as runtime:
        app = runllm.load(EXAMPLES / "compose_summary_keywords.rllm", runtime=runtime)
        assert app.warnings == ()
        result = app.run(given)
    assert result.output is not None
    assert app.program.output_contract.problems(result.output) == ()
    assert set(result.output) == {"summary", "key_points", "keywords", "language"}
    assert [child.name for child in result.children] == ["summary", "found"]
    assert result.usage.completion_tokens > 20


@pytest.mark.soak
@pytest.mark.timeout(500)
def test_a_text_that_no_window_holds_is_mapped_and_reduced_on_the_local_model() -> None:
    """Five parts, each with the window of the whole app filled by far less than the text needs."""
    with Runtime() as runtime:
        app = runllm.load(EXAMPLES / "long_summary.rllm", runtime=runtime, max_retries=0)
        text = app.read_input(path=str(EXAMPLES / "long_summary.input.yaml"))["text"]
        assert len(text) > 4 * 8192
        result = app.run({"text": text})
    assert result.output is not None
    assert app.program.output_contract.problems(result.output) == ()
    parts = [child for child in result.children if child.name == "parts"]
    assert [child.index for child in parts] == list(range(len(parts)))
    assert len(parts) >= 6
    assert sum(child.result.usage.prompt_tokens for child in parts) > 8192
