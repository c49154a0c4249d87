"""What the user has set, as runs see it."""

from pathlib import Path

import pytest

import runllm
from runllm.errors import ConfigError, RetryExhaustedError, UsageError
from runllm.runtime import Runtime
from runllm.testing import ScriptedEngine

APP = """---
name: echo
description: A test.
version: 1.0.0
author: me
max_context_window: 4096
input_schema: {type: object, properties: {text: {type: string}}}
output_schema: {type: object, properties: {out: {type: string}}, required: [out]}
llm: LLM
llm_params: {}
---
Say {{ input.text }}
"""


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run the app under a user's and a project's settings; the request that was sent, or the error."""

    def run(
        user: str = "", project: str = "", llm: str = "{model: openai/m, timeout: 7, fallbacks: [openai/n]}",
        answers: tuple[str, ...] = ('{"out": "x"}',), **options: object,
    ) -> ScriptedEngine:  # fmt: skip
        (tmp_path / "user.toml").write_text(user, encoding="utf-8")
        monkeypatch.setenv("RUNLLM_CONFIG", str(tmp_path / "user.toml"))
        folder = tmp_path / "project" / "apps"
        folder.mkdir(parents=True, exist_ok=True)
        (folder.parent / "runllm.toml").write_text(project, encoding="utf-8")
        (folder / "echo.rllm").write_text(APP.replace("LLM", llm), encoding="utf-8")
        engine = ScriptedEngine(answers)
        runllm.load(folder / "echo.rllm", runtime=Runtime(engine=engine), **options).run({"text": "t"})
        return engine

    return run


def test_without_settings_the_file_decides(go) -> None:
    request = go().requests[0]
    assert (request.endpoint.model, request.timeout) == ("openai/m", 7)


def test_a_model_that_is_set_replaces_the_files_and_a_flag_replaces_that(go, monkeypatch: pytest.MonkeyPatch) -> None:
    assert go('model = "fast"\n[aliases]\nfast = "openai/user"').requests[0].endpoint.model == "openai/user"
    assert go('model = "openai/user"', 'model = "openai/project"').requests[0].endpoint.model == "openai/project"
    monkeypatch.setenv("RUNLLM_MODEL", "openai/environment")
    assert go(project='model = "openai/project"').requests[0].endpoint.model == "openai/environment"
    assert go(model="openai/flag").requests[0].endpoint.model == "openai/flag"


def test_an_alias_may_stand_in_the_file_and_on_the_command_line(go) -> None:
    aliases = '[aliases]\nfast = "openai/quick"\n'
    assert go(aliases, llm="{model: fast}").requests[0].endpoint.model == "openai/quick"
    assert go(aliases, model="fast").requests[0].endpoint.model == "openai/quick"


def test_a_models_own_table_says_how_it_is_reached(go) -> None:
    table = '[models."openai/*"]\napi_base = "http://127.0.0.1:1/v1"\napi_key_env = "MINE"\ntimeout = 3\n'
    request = go(table, llm='{model: openai/m, api_base: "http://127.0.0.1:2/v1", timeout: 7}').requests[0]
    assert (request.endpoint.api_base, request.endpoint.api_key_env) == ("http://127.0.0.1:1/v1", "MINE")
    assert request.timeout == 3
    assert go(table, timeout=1).requests[0].timeout == 1


def test_retries_that_are_set_are_made(go) -> None:
    with pytest.raises(RetryExhaustedError, match="in 1 attempt"):
        go(project="max_retries = 0", answers=("no", "no"))
    with pytest.raises(RetryExhaustedError, match="in 2 attempts"):
        go(project="max_retries = 0", answers=("no", "no"), max_retries=1)


def test_a_project_cannot_say_where_keys_go(go) -> None:
    with pytest.raises(ConfigError):
        go(project='[models."openai/*"]\napi_base = "http://127.0.0.1:1/v1"')


def test_a_file_that_is_only_checked_needs_no_settings(go, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        go("modle = 1")
    assert runllm.validate(tmp_path / "project" / "apps" / "echo.rllm").ok


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("timeout", float("nan")), ("timeout", float("inf")), ("timeout", 0), ("timeout", "5"), ("max_retries", -1),
        ("max_retries", 1.5), ("concurrency", 0), ("model", 5), ("model", ""), ("model", "two words"),
        ("block_timeout", float("nan")), ("block_timeout", 0), ("block_timeout", "1"), ("block_memory", 0),
        ("block_memory", 10**20), ("block_memory", "64"),
    ],
)  # fmt: skip
def test_an_option_that_can_mean_nothing_is_refused(go, option: str, value: object) -> None:
    """As the setting of its name is; before a model is asked, whether it is given to `load` or to a run."""
    with pytest.raises(UsageError, match=f"`{option}` must be "):
        go(**{option: value})


def test_an_option_of_one_run_is_looked_at_too(go, tmp_path: Path) -> None:
    go()
    app = runllm.load(tmp_path / "project" / "apps" / "echo.rllm", runtime=Runtime(engine=ScriptedEngine([])))
    with pytest.raises(UsageError, match="`max_retries` must be a whole number"):
        app.run({"text": "t"}, max_retries=1000)


def test_settings_are_read_when_an_app_is_loaded_and_not_once_a_run(tmp_path: Path) -> None:
    (tmp_path / "runllm.toml").write_text("max_calls = 2", encoding="utf-8")
    (tmp_path / "echo.rllm").write_text(APP.replace("LLM", "{model: openai/m}"), encoding="utf-8")
    engine = ScriptedEngine(lambda _: '{"out": "x"}')
    app = runllm.load(tmp_path / "echo.rllm", runtime=Runtime(engine=engine))
    (tmp_path / "runllm.toml").write_text("no settings at all", encoding="utf-8")
    for _ in range(3):
        assert app(text="t") == {"out": "x"}, "each run has a budget of its own"
    with pytest.raises(ConfigError):
        runllm.load(tmp_path / "echo.rllm", runtime=Runtime(engine=engine))


@pytest.mark.parametrize(
    "options",
    [
        {"trust_python": "no"}, {"trust_python": "false"}, {"whole_tree": 1}, {"allow_unpriced": "no"},
        {"stats": "maybe"}, {"log_content": 3}, {"budget": 5}, {"listener": 5}, {"folder": 5},
        {"allowed_bases": "http://x"}, {"allowed_bases": [5]}, {"max_calls": True}, {"max_cots": 1},
    ],
    ids=str,
)  # fmt: skip
def test_an_option_of_another_kind_is_refused_and_a_word_never_takes_the_sandbox_away(tmp_path: Path, options) -> None:
    (tmp_path / "echo.rllm").write_text(APP.replace("LLM", "{model: openai/m}"), encoding="utf-8")
    engine = ScriptedEngine(lambda _: '{"out": "x"}')
    app = runllm.load(tmp_path / "echo.rllm", runtime=Runtime(engine=engine))
    for ask in (app.run, lambda _, **more: runllm.load(tmp_path / "echo.rllm", **more)):
        with pytest.raises(UsageError):
            ask({"text": "t"}, **options)
    assert engine.requests == []
    with pytest.raises(UsageError):
        runllm.load(tmp_path / "echo.rllm", {"max_calls": 3})  # pyright: ignore[reportArgumentType]
