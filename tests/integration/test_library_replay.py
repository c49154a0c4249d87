"""`runllm.testing`: apps that were loaded already are answered from a cassette or a script while that lasts."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from tests.apps import at, leaf
from tests.integration.provider import Provider, Received, Reply, answer

import runllm
from runllm.engines.recorded import answered, completion_of
from runllm.errors import FileAccessError, ParseError, ProviderError, ReplayMissError, UsageError
from runllm.results import Completion, Endpoint, Message, Request
from runllm.testing import ScriptedEngine, record, replay, scripted


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-a-test-1234567890")
    with Provider(Reply(body=_next)) as server:
        yield server


def _next(received: Received) -> Any:
    """An answer that no other request gets."""
    body = answer(json.dumps({"out": f"answer {next(_NUMBERS)}"})).body
    assert callable(body)
    return body(received)


EXCHANGES = "cassette: 1\nmoment: '2026-01-01T00:00:00+00:00'\nexchanges: "
ASKED = EXCHANGES + "[{model: m, params: {}, messages: [{role: user, content: hi}], "
_NUMBERS = itertools.count()


@pytest.fixture
def app(provider: Provider, tmp_path: Path) -> runllm.App:
    """Loaded as a module of a user's does: with the process's runtime."""
    return written(tmp_path, "one", provider)


def written(folder: Path, name: str, provider: Provider) -> runllm.App:
    path = folder / f"{name}.rllm"
    path.write_text(leaf(name, llm=at(provider.base)), encoding="utf-8")
    return runllm.load(path)


def test_what_was_recorded_is_replayed_without_the_provider(app: runllm.App, provider: Provider) -> None:
    with record(app):
        first = app(text="a")
    provider.requests.clear()
    with replay(app):
        assert app(text="a") == first
    assert provider.chats == []
    assert app(text="a") != first
    assert len(provider.chats) == 1  # after it models are called again


def test_a_run_that_asks_something_else_is_a_miss_with_its_difference(app: runllm.App) -> None:
    with record(app):
        app(text="the first text")
    with replay(app), pytest.raises(ReplayMissError) as raised:
        app(text="the other text")
    assert [line.strip() for line in raised.value.details["difference"]][-2:] == [
        "-one: the first text",
        "+one: the other text",
    ]


def test_where_no_app_is_named_all_that_share_the_process_are_answered(
    app: runllm.App, provider: Provider, tmp_path: Path
) -> None:
    kept = tmp_path / "all.cassette.yaml"
    with record(kept):
        asked = [app(text="a"), runllm.run(tmp_path / "one.rllm", {"text": "b"}).output]
    provider.requests.clear()
    with runllm.Runtime() as own, replay(kept):
        assert [app(text="a"), runllm.run(tmp_path / "one.rllm", {"text": "b"}).output] == asked
        with pytest.raises(ReplayMissError):
            runllm.run(tmp_path / "one.rllm", {"text": "c"})
        assert provider.chats == []
        assert runllm.load(tmp_path / "one.rllm", runtime=own)(text="c")  # whose runtime is its own business
    assert len(provider.chats) == 1


def test_an_app_that_is_not_named_goes_its_own_way(app: runllm.App, provider: Provider, tmp_path: Path) -> None:
    with record(app):
        app(text="a")
    provider.requests.clear()
    other = written(tmp_path, "two", provider)
    with replay(app):
        assert other(text="a")
    assert len(provider.chats) == 1


def test_the_runtime_that_it_gives_is_for_apps_loaded_later(app: runllm.App, tmp_path: Path) -> None:
    with record(app):
        first = app(text="a")
    with replay(app) as runtime:
        assert runllm.load(tmp_path / "one.rllm", runtime=runtime)(text="a") == first


def test_replays_nest_and_the_inner_one_counts(app: runllm.App, tmp_path: Path) -> None:
    first, second = tmp_path / "1.yaml", tmp_path / "2.yaml"
    for path in (first, second):
        with record(path, app):
            said = app(text="a")
    with replay(first, app), replay(second, app):
        assert app(text="a") == said
    with replay(first), replay(second, app), replay(first):
        assert app(text="a") == said  # its own, before what holds for all
    assert app._instead == []


def test_it_holds_in_all_threads_and_in_loops(app: runllm.App, provider: Provider) -> None:
    with record(app):
        asked = [app(text="a") for _ in range(3)]
    provider.requests.clear()
    found: list[object] = []
    with replay(app):
        thread = threading.Thread(target=lambda: found.append(app(text="a")))
        thread.start()
        thread.join()
        found.append(asyncio.run(app.arun({"text": "a"})).output)
        found += [row.output for row in app.map([{"text": "a"}])]
        with pytest.raises(ReplayMissError, match="for the 4th time"):
            app(text="a")
    assert found == asked
    assert provider.chats == []


def test_the_moment_is_the_recorded_one_and_stays_when_more_is_recorded(
    app: runllm.App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provider: Provider
) -> None:
    text = (tmp_path / "one.rllm").read_text(encoding="utf-8")
    (tmp_path / "one.rllm").write_text(text.replace("{{ input.text }}", "{{ run.date }} {{ input.text }}"), "utf-8")
    app = runllm.load(tmp_path / "one.rllm")
    monkeypatch.setenv("RUNLLM_NOW", "2026-01-02T03:04:05+00:00")
    with record(app):
        app(text="a")
    monkeypatch.setenv("RUNLLM_NOW", "2027-01-02T03:04:05+00:00")
    with replay(app):
        assert app(text="a")
    with record(app):
        app(text="b")
    assert "2026-01-02 b" in provider.chats[-1].body["messages"][-1]["content"]
    with replay(app):
        assert app(text="a")
        assert app(text="b")


def test_no_secret_is_in_a_cassette(app: runllm.App, tmp_path: Path) -> None:
    with record(app):
        app(text="my key is sk-of-a-test-1234567890")
    assert b"1234567890" not in (tmp_path / "one.cassette.yaml").read_bytes()
    with replay(app):
        assert app(text="my key is sk-of-a-test-1234567890")


def test_a_recording_that_fails_keeps_what_was_paid_for(app: runllm.App) -> None:
    def stopped() -> None:
        with record(app):
            app(text="a")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    with replay(app):
        assert app(text="a")


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        (None, FileAccessError, "there is no cassette"),
        ("exchanges: [", ParseError, "is no cassette: line 2"),
        ("cassette: 2\nmoment: x\nexchanges: []", ParseError, "its form is 2"),
        ("cassette: 1\nmoment: yesterday\nexchanges: []", ParseError, "is no cassette"),
        ("- a", ParseError, "is no cassette"),
        ("", ParseError, "is no cassette"),
        ("cassette: 1\nmoment: '2026-01-01'", ParseError, "line 1: `exchanges` is required"),
        (EXCHANGES + "[a]", ParseError, r"line 3: exchanges\[0\]"),
        (EXCHANGES + "[{model: m}]", ParseError, r"line 3: exchanges\[0\]"),
        (
            EXCHANGES + "[{<<: &a {model: m, params: {}, messages: [{role: user, content: hi}]}, answers: []}]",
            ParseError,
            "no cassette",
        ),
        (ASKED + "answers: []}]", ParseError, r"line 3: exchanges\[0\]\.answers"),
        (ASKED + "answers: [{text: 1}]}]", ParseError, r"line 3: exchanges\[0\]\.answers\[0\]\.text"),
        (
            ASKED + "answers: [{text: a, usage: {tokens: 1}}]}]",
            ParseError,
            r"line 3: exchanges\[0\]\.answers\[0\]\.usage",
        ),
        (
            ASKED + "answers: [{error: NoSuchError, message: m}]}]",
            ParseError,
            r"line 3: exchanges\[0\]\.answers\[0\]\.error",
        ),
        (ASKED + "schema: 7, answers: [{text: a}]}]", ParseError, "line 3: there is no schema 7"),
    ],
)
def test_what_is_no_cassette_is_said_at_once(
    app: runllm.App, tmp_path: Path, text: str | None, error: type[Exception], said: str
) -> None:
    if text is not None:
        (tmp_path / "one.cassette.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(error, match=said), replay(app):
        pass
    assert app._instead == []


def test_a_script_is_put_under_an_app_and_taken_away(app: runllm.App, provider: Provider) -> None:
    with scripted(app, ['{"out": 1}', '{"out": "yes"}'], window=4096) as engine:
        result = app.run({"text": "a"})
    assert result.output == {"out": "yes"}
    assert [len(request.messages) for request in engine.requests] == [2, 4]
    assert provider.chats == []
    assert app(text="a")
    assert len(provider.chats) == 1


# --- what people give by mistake --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "texts"),
    [
        ("whole", ["whole"]),
        ({"a": 1}, ['{"a": 1}']),
        ([{"a": "é"}, ["b"], "c"], ['{"a": "é"}', '["b"]', "c"]),
        (Completion(text="x", model="m"), ["x"]),
        (iter(["a", "b"]), ["a", "b"]),
        (lambda _: {"a": None}, ['{"a": null}']),
    ],
)
def test_a_script_is_answers_and_one_alone_is_no_letters(answers: Any, texts: list[str]) -> None:
    engine = ScriptedEngine(answers)
    request = Request(endpoint=Endpoint(model="m"), messages=(Message(role="user", content="a"),), params={})
    assert [engine.complete(request).text for _ in texts] == texts
    assert engine.left == 0


@pytest.mark.parametrize("answers", [5, None, [5], [None], b"x", [b"x"], [{"a": {1}}], [float("nan")], [("a",)]])
def test_what_is_no_script_is_refused_with_what_one_is(answers: Any) -> None:
    with pytest.raises(UsageError) as raised:
        ScriptedEngine(answers)
    assert "An answer is a text, a dict or a list" in raised.value.recovery_hint


def test_a_function_that_gives_no_answer_is_told_when_it_does() -> None:
    request = Request(endpoint=Endpoint(model="m"), messages=(Message(role="user", content="a"),), params={})
    with pytest.raises(UsageError, match="NoneType is no answer"):
        ScriptedEngine(lambda _: cast("Any", None)).complete(request)


def test_answers_that_are_left_fail_where_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "one.rllm"
    path.write_text(
        "---\nname: one\ninput: {t: text}\nreturns: text\nllm: openai/m\n---\n{{ input.t }}\n", encoding="utf-8"
    )
    app = runllm.load(path)
    with scripted(app, ["a", "b"]):
        assert app(t="x") == "a"
    with pytest.raises(AssertionError, match="nothing has asked for 1 answer"), scripted(app, ["a", "b"], strict=True):
        app(t="x")
    with pytest.raises(ValueError, match="mine"), scripted(app, ["a", "b"], strict=True):
        raise ValueError("mine")
    for wrong in (
        lambda: scripted(cast("Any", path), ["a"]),
        lambda: replay(cast("Any", 5)),
        lambda: replay(path, cast("Any", "x")),
    ):
        with pytest.raises(UsageError), wrong():
            pass


@pytest.mark.parametrize("retryable", [True, False])
def test_a_failure_that_was_kept_comes_back_as_it_was(retryable: bool) -> None:
    error = ProviderError("it failed", details={"status": 500}, hint="Do this.")
    error.retryable = retryable
    with pytest.raises(ProviderError) as caught:
        completion_of(answered(error))
    came = caught.value
    assert (came.message, came.details, came.recovery_hint) == ("it failed", {"status": 500}, "Do this.")
    assert came.retryable is retryable
