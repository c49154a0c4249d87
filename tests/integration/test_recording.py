"""What runs leave in the statistics, with a real database: whatever comes of a run, it is one row."""

import asyncio
import json
import sqlite3
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.apps import leaf

import runllm
from runllm.errors import InputSchemaError, ProviderError, RetryExhaustedError, RunllmError
from runllm.results import Completion, Usage
from runllm.runtime import Runtime
from runllm.stats.store import Store
from runllm.testing import ScriptedEngine

TOP = """---
name: top
description: A test.
version: 2.0.0
author: me
max_context_window: 4096
input_schema: {type: object, properties: {text: {type: string}}, required: [text]}
output_schema: {type: object, properties: {all: {type: array}}}
uses:
  - {name: parts, path: ./part.rllm, for_each: [a, b, a], with: {text: "{{ item }}"}}
output: {all: "{{ uses.parts }}"}
---
"""
SECRET = "the private words of a user"


@pytest.fixture(params=["sync", "async"])
def go(request: pytest.FixtureRequest, tmp_path: Path):
    """Run an app that records, and return its result or error with the store."""
    store = Store(tmp_path / "stats.db")

    def run(engine, given=None, *, text: str = leaf("part"), **options):
        (tmp_path / "part.rllm").write_text(leaf("part"), encoding="utf-8")
        path = tmp_path / "app.rllm"
        path.write_text(text, encoding="utf-8")
        app = runllm.load(path, runtime=Runtime(engine=engine, store=store), **{"stats": True, **options})
        given = {"text": SECRET} if given is None else given
        try:
            result = app.run(given) if request.param == "sync" else asyncio.run(app.arun(given))
        except RunllmError as error:
            return error, store
        return result, store

    return run


def good(text: str = '{"out": "x"}') -> Completion:
    usage = Usage(prompt_tokens=11, completion_tokens=7, cached_tokens=4, reasoning_tokens=2)
    return Completion(text=text, usage=usage, model="openai/m", cost=0.25, latency=0.5)


def test_a_run_is_one_row_with_all_that_it_took(go, tmp_path: Path) -> None:
    _, store = go(ScriptedEngine([good('{"wrong": 1}'), good('Here: {"out": "x"}')]))
    (run,) = store.runs()
    assert (run.app, run.version, run.path, run.model, run.engine) == (
        "part", "1.0.0", str(tmp_path / "app.rllm"), "openai/m", "direct",
    )  # fmt: skip
    assert len(run.digest) == 64
    assert (run.input_valid, run.valid_on, run.error_code, run.retries) == (True, 2, None, 1)
    assert (run.prompt_tokens, run.completion_tokens, run.cached_tokens, run.reasoning_tokens) == (22, 14, 8, 4)
    assert run.cost == 0.5
    assert run.estimated_prompt_tokens > 0
    figures = store.summary().total
    assert dict(figures.violations) == {"required": 1, "additionalProperties": 1}
    assert (figures.first_compliance, figures.final_compliance) == (0, 100)


@pytest.mark.parametrize(
    ("answers", "given", "code", "input_valid"),
    [
        ([], {"txt": 1}, "RLLM_004", False),
        ([ProviderError("down")], None, "RLLM_011", True),
        (["no"] * 3, None, "RLLM_007", True),
    ],
)
def test_failures_are_rows_too(go, answers, given, code: str, input_valid: bool) -> None:
    error, store = go(ScriptedEngine(answers), given)
    (run,) = store.runs()
    assert (run.error_code, run.input_valid, run.valid_on) == (code, input_valid, None)
    assert error.code == code


def test_the_apps_that_are_used_are_rows_below_and_shared_ones_cost_nothing(go) -> None:
    _, store = go(ScriptedEngine(lambda _: good()), text=TOP)
    (top,) = store.runs()
    assert (top.app, top.valid_on, top.engine) == ("top", 0, "")
    parts = store.children(top.id)
    assert sorted((part.child_index, part.shared) for part in parts) == [(0, False), (1, False), (2, True)]
    assert store.summary().total.prompt_tokens == 22


def test_no_word_of_a_prompt_or_an_answer_is_kept(go, tmp_path: Path) -> None:
    answers = ['{"out": 1, "Jane Doe": "secret answer"}', '{"out": "secret answer"}']
    _, store = go(ScriptedEngine(answers))
    store.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("stats.db*"))
    for word in (b"private words", b"secret answer", b"Jane Doe"):
        assert word not in kept


def test_content_is_kept_when_it_is_asked_for_with_its_secrets_masked(go) -> None:
    key = "sk-" + "a1B2" * 12
    _, store = go(ScriptedEngine([good('{"out": "said"}')]), {"text": f"words {key}"}, log_content=True)
    store.close()
    row = sqlite3.connect(store.path).execute("SELECT request_text, answer_text FROM attempts").fetchone()
    assert "part: words" in row[0]
    assert key not in row[0]
    assert row[1] == '{"out": "said"}'


def test_what_a_model_made_up_is_not_in_a_violation(go) -> None:
    loose = leaf("part").replace(
        "output_schema: {type: object, properties: {out: {type: string}}, required: [out], additionalProperties: false}",
        "output_schema: {type: object, properties: {out: {type: object, additionalProperties: {type: integer}}}, required: [out]}",
    )
    _, store = go(ScriptedEngine(['{"out": {"Jane": "x"}}', '{"out": {"Jane": 1}}']), text=loose)
    assert store.summary().total.violations == (("type /out/*", 1),)


@pytest.mark.parametrize(
    ("model", "engine"),
    [("openai/m", "direct"), ("ollama/m", "ollama"), ("ollama_chat/m", "ollama"), ("local/m", "local")],
)
def test_the_engine_of_a_model_is_kept(go, model: str, engine: str) -> None:
    _, store = go(ScriptedEngine(['{"out": "x"}']), model=model)
    assert store.runs()[0].engine == engine


def test_the_engine_that_was_handed_the_call_is_kept(go) -> None:
    _, store = go(ScriptedEngine([replace(good(), engine="litellm")]), model="openai/m")
    assert store.runs()[0].engine == "litellm"


def test_the_engine_that_was_chosen_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "app.rllm"
    file.write_text(leaf("part"), encoding="utf-8")
    with Runtime(engine=ScriptedEngine([good()]), store=Store(tmp_path / "stats.db")) as runtime:
        runllm.load(file, runtime=runtime, stats=True, model="openai/m", engine="litellm").run({"text": "x"})
        assert runtime.store is not None
        assert runtime.store.runs()[0].engine == "litellm"


@pytest.mark.parametrize("way", ["gather", "map", "amap"])
def test_runs_side_by_side_are_all_there_when_the_last_has_ended(tmp_path: Path, way: str) -> None:
    """Whoever reads the file then, though their rows were written together."""
    path, text = tmp_path / "stats.db", tmp_path / "app.rllm"
    text.write_text(leaf("part"), encoding="utf-8")
    with Runtime(engine=ScriptedEngine(slow), store=Store(path)) as runtime:
        app = runllm.load(text, runtime=runtime, stats=True, concurrency=8)
        rows = [{"text": str(number)} for number in range(60)]

        async def side_by_side() -> None:
            if way == "gather":
                await asyncio.gather(*(app.arun(row) for row in rows))
            else:
                _ = [one async for one in app.amap(rows)]

        found = list(app.map(rows)) if way == "map" else asyncio.run(side_by_side())
        assert found is None or len(found) == 60
        assert sqlite3.connect(path).execute("SELECT count(*), sum(prompt_tokens) FROM runs").fetchone() == (60, 660)


def slow(request: object) -> Completion:
    del request
    time.sleep(0.002)
    return good()


def test_a_run_may_be_left_out(go) -> None:
    _, store = go(ScriptedEngine([good()]), stats=False)
    assert store.runs() == []


@pytest.mark.parametrize("broken", ["garbage", "newer", "folder"])
def test_a_store_that_cannot_be_used_is_a_warning_and_the_answer_is_kept(go, tmp_path: Path, broken: str) -> None:
    path = tmp_path / "stats.db"
    if broken == "garbage":
        path.write_bytes(b"no database" * 100)
    elif broken == "newer":
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA user_version = 999")
    else:
        path.mkdir()
    result, _ = go(ScriptedEngine([good()]))
    assert result.output == {"out": "x"}
    assert result.warnings[0].startswith("the run is not in the statistics: ")


def test_a_failed_run_keeps_its_error_when_the_store_fails_as_well(go, tmp_path: Path) -> None:
    (tmp_path / "stats.db").mkdir()
    error, _ = go(ScriptedEngine([]), {})
    assert isinstance(error, InputSchemaError)
    assert "statistics" in error.result.warnings[0]


class Interrupted(ScriptedEngine):
    """Answers wrong once, then is interrupted in the middle of a call."""

    waits = False

    def complete(self, request):
        if len(self.requests) == 1:
            raise KeyboardInterrupt
        return super().complete(request)

    async def acomplete(self, request):
        if len(self.requests) == 1:
            self.waits = True
            await asyncio.sleep(600)
        return super().complete(request)


@pytest.mark.parametrize("text", [leaf("part"), TOP], ids=["one app", "a tree"])
def test_an_interrupted_run_is_a_row_with_what_it_spent(tmp_path: Path, text: str) -> None:
    store = Store(tmp_path / "stats.db")
    (tmp_path / "part.rllm").write_text(leaf("part"), encoding="utf-8")
    (tmp_path / "app.rllm").write_text(text, encoding="utf-8")
    engine = Interrupted([good("no")])
    runtime = Runtime(engine=engine, store=store)
    app = runllm.load(tmp_path / "app.rllm", runtime=runtime, stats=True)

    async def cancelled() -> None:
        task = asyncio.create_task(app.arun({"text": "t"}))
        while not engine.waits:  # noqa: ASYNC110 - the call may be in another loop
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    if text == TOP:
        asyncio.run(cancelled())
    else:
        with pytest.raises(KeyboardInterrupt):
            app.run({"text": "t"})
    (run,) = store.runs()
    assert run.error_code == "RLLM_024"
    assert store.summary().total.prompt_tokens == 11
    assert store.summary().total.failed == 1


class Stuck(Store):
    """A store that hangs until the user loses patience."""

    def record(self, run):
        del run
        if threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        time.sleep(0.3)


def test_an_interruption_of_the_recording_stays_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "app.rllm").write_text(leaf("part"), encoding="utf-8")
    runtime = Runtime(engine=ScriptedEngine([good(), good()]), store=Stuck(tmp_path / "stats.db"))
    app = runllm.load(tmp_path / "app.rllm", runtime=runtime, stats=True)
    with pytest.raises(KeyboardInterrupt):
        app.run({"text": "t"})

    async def impatient() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(app.arun({"text": "t"}), 0.1)

    asyncio.run(impatient())


def test_a_retried_and_exhausted_run_counts_every_attempt(go) -> None:
    error, store = go(ScriptedEngine([good("no"), good("no"), good("never")]))
    assert isinstance(error, RetryExhaustedError)
    store.close()
    attempts = sqlite3.connect(store.path).execute("SELECT number, valid, violations FROM attempts").fetchall()
    assert [(number, valid) for number, valid, _ in attempts] == [(1, 0), (2, 0), (3, 0)]
    assert all(json.loads(violations) for *_, violations in attempts)
