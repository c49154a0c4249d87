"""Who looks on while apps run: Python's log, and OpenTelemetry through the exporters of its own package."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from tests.apps import twice

import runllm
from runllm.results import Completion, Usage
from runllm.telemetry import OpenTelemetry
from runllm.testing import ScriptedEngine

SECRETS = ("the-input", "the-answer", "the-prompt", "the-printed", "the-key")
INNER = """\
---
name: inner
description: Shout.
version: 1.0.0
author: me
input_schema: {type: object, properties: {text: {type: string}}, required: [text]}
output_schema: {type: object, properties: {loud: {type: string, maxLength: 12}}, required: [loud], additionalProperties: false}
llm: {model: azure/m, api_base: "http://127.0.0.1:9"}
llm_params: {temperature: 0.5, max_tokens: 99, stop: ["END"]}
---
<<<SYSTEM>>>
the-prompt
<<<USER>>>
Shout {{ input.text }}

```rllm-python check
print("the-printed")
```
"""


def answer(text: str) -> Completion:
    return Completion(text=text, model="azure/m-2026", usage=Usage(prompt_tokens=30, completion_tokens=5), cost=0.25)


GOOD, WRONG = answer('{"loud": "the-answer"}'), answer('{"loud": "the-answer, far too long", "the-key": 1}')


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "inner.rllm").write_text(INNER)
    (tmp_path / "outer.rllm").write_text(twice(mark="!"))
    return tmp_path / "outer.rllm"


class Collected:
    """A watcher, and what it has told."""

    def __init__(self, *, content: bool = False) -> None:
        self._spans, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        tracers = TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        meters = MeterProvider([self._reader])
        self.watcher = OpenTelemetry(content=content, tracer_provider=tracers, meter_provider=meters)

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._spans.get_finished_spans())

    def points(self, name: str) -> list[Any]:
        data: Any = self._reader.get_metrics_data()
        found = [one for r in data.resource_metrics for s in r.scope_metrics for one in s.metrics if one.name == name]
        return [point for one in found for point in one.data.data_points]


# --- the log -----------------------------------------------------------------------------------------------


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG, logger="runllm"):
        yield caplog


def test_the_log_has_each_step_and_no_content(tree: Path, log: pytest.LogCaptureFixture) -> None:
    with runllm.Runtime(engine=ScriptedEngine([WRONG, GOOD, GOOD])) as runtime:
        runllm.load(tree, runtime=runtime)(text="the-input")
    said = [(record.levelname, record.getMessage()) for record in log.records if record.name == "runllm"]
    assert [message for level, message in said if level == "INFO"] == [
        "outer: done: 2 apps used, 90 + 15 tokens, $0.75"
    ]
    steps = " ".join(message for _, message in said)
    for step in (
        "outer > one: call: azure/m",
        "problem: maxLength",
        "print",
        "retry",
        "answer: azure/m-2026",
        "> two: done",
    ):
        assert step in steps
    assert not [secret for secret in SECRETS if secret in steps]


def test_a_failure_is_logged_by_its_code(log: pytest.LogCaptureFixture) -> None:
    app = runllm.load_text(INNER, max_retries=0)
    runtime = runllm.Runtime(engine=ScriptedEngine([WRONG]))
    with app.under(runtime, app), pytest.raises(runllm.RetryExhaustedError):
        app(text="the-input")
    last = log.records[-1]
    assert (last.levelname, last.getMessage()) == ("INFO", "inner: failed: RLLM_007 RetryExhaustedError")
    assert not [secret for secret in SECRETS if secret in log.text]


def test_nothing_is_printed_by_default_and_logging_is_not_imported_for_it() -> None:
    code = f"""
import sys, runllm
from runllm.testing import ScriptedEngine
before = "logging" in sys.modules
app = runllm.load_text({INNER.split("```", maxsplit=1)[0]!r}, runtime=runllm.Runtime(engine=ScriptedEngine(['{{"loud": ""}}'])))
app(text="x")
import logging
app2 = runllm.load_text({INNER.split("```", maxsplit=1)[0]!r}, runtime=runllm.Runtime(engine=ScriptedEngine(['{{"loud": ""}}'])))
app2(text="x")
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (found.stdout, found.stderr) == ("", "")


# --- OpenTelemetry -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("driver", ["sync", "async"])
def test_a_run_is_a_span_with_those_of_its_apps_and_calls_inside(tree: Path, driver: str) -> None:
    told = Collected()
    with runllm.Runtime(engine=ScriptedEngine([WRONG, GOOD, GOOD]), watcher=told.watcher) as runtime:
        app = runllm.load(tree, runtime=runtime, concurrency=1)
        app(text="the-input") if driver == "sync" else asyncio.run(app.acall(text="the-input"))
    spans = {span.context.span_id: span for span in told.spans if span.context}
    above = {span.name: spans[span.parent.span_id].name if span.parent else None for span in spans.values()}
    assert above["invoke_agent outer"] is None
    assert above["invoke_agent one"] == above["invoke_agent two"] == "invoke_agent outer"
    assert sorted(span.name for span in spans.values()).count("chat m") == 3
    parents = [spans[span.parent.span_id].name for span in spans.values() if span.name == "chat m" and span.parent]
    assert sorted(parents) in (
        ["invoke_agent one"] * 2 + ["invoke_agent two"],
        ["invoke_agent one"] + ["invoke_agent two"] * 2,
    )
    text = json.dumps([span.to_json() for span in spans.values()])
    assert not [secret for secret in SECRETS if secret in text]


def test_a_call_has_the_names_of_the_conventions() -> None:
    told = Collected()
    with runllm.Runtime(engine=ScriptedEngine([GOOD]), watcher=told.watcher) as runtime:
        runllm.load_text(INNER, runtime=runtime)(text="the-input")
    call, run = told.spans
    assert call.kind is SpanKind.CLIENT
    facts = {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "azure.ai.openai", "gen_ai.request.model": "m",
        "gen_ai.request.temperature": 0.5, "gen_ai.request.max_tokens": 99, "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.response.model": "m-2026", "gen_ai.response.finish_reasons": ("stop",), "gen_ai.output.type": "json",
        "gen_ai.usage.input_tokens": 30, "gen_ai.usage.output_tokens": 5, "server.address": "127.0.0.1", "server.port": 9,
    }  # fmt: skip
    assert dict(call.attributes or {}).items() >= facts.items()
    assert dict(run.attributes or {}).items() >= {
        "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "inner", "gen_ai.agent.version": "1.0.0",
        "runllm.attempts": 1, "runllm.cost": 0.25,
    }.items()  # fmt: skip
    (seconds,) = told.points("gen_ai.client.operation.duration")
    assert seconds.count == 1
    tokens = {point.attributes["gen_ai.token.type"]: point.sum for point in told.points("gen_ai.client.token.usage")}
    assert tokens == {"input": 30, "output": 5}


def test_content_is_told_where_that_is_asked_for() -> None:
    told = Collected(content=True)
    with runllm.Runtime(engine=ScriptedEngine([GOOD]), watcher=told.watcher) as runtime:
        runllm.load_text(INNER, runtime=runtime)(text="the-input")
    facts = told.spans[0].attributes or {}
    assert "the-input" in json.loads(str(facts["gen_ai.input.messages"]))[0]["parts"][0]["content"]
    assert "the-prompt" in json.loads(str(facts["gen_ai.system_instructions"]))[0]["content"]
    (said,) = json.loads(str(facts["gen_ai.output.messages"]))
    assert (said["role"], said["finish_reason"], "the-answer" in said["parts"][0]["content"]) == (
        "assistant",
        "stop",
        True,
    )


def test_what_fails_is_named_and_not_quoted() -> None:
    told = Collected()
    engine = ScriptedEngine([runllm.AuthenticationError("the-answer is no key")])
    with runllm.Runtime(engine=engine, watcher=told.watcher) as runtime, pytest.raises(runllm.AuthenticationError):
        runllm.load_text(INNER, runtime=runtime)(text="the-input")
    for span in told.spans:
        assert (span.attributes or {})["error.type"] == "AuthenticationError"
        assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "RLLM_016")
        assert not span.events
    (seconds,) = told.points("gen_ai.client.operation.duration")
    assert seconds.attributes["error.type"] == "AuthenticationError"
    assert not [secret for secret in SECRETS if secret in json.dumps([span.to_json() for span in told.spans])]


def test_rows_of_a_map_are_spans_of_their_own() -> None:
    told = Collected()
    with runllm.Runtime(engine=ScriptedEngine(lambda _: GOOD), watcher=told.watcher) as runtime:
        app = runllm.load_text(INNER, runtime=runtime)
        list(app.map([{"text": str(n)} for n in range(5)]))
        with trace.use_span(
            caller := trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=False, trace_flags=trace.TraceFlags(1)))
        ):
            list(app.map([{"text": str(n)} for n in range(3)]))
    runs = [span for span in told.spans if span.name == "invoke_agent inner"]
    above = [span.parent.span_id if span.parent else None for span in runs]
    assert above == [None] * 5 + [caller.get_span_context().span_id] * 3, "they are inside what their caller is in"


def test_without_the_package_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("opentelemetry")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry.metrics", None)
    with pytest.raises(runllm.EngineUnavailableError) as missing:
        OpenTelemetry()
    assert "otel" in missing.value.recovery_hint
