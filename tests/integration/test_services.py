"""What a service in Python needs: apps made ready at its start, runs as JSON, apps from texts and from packages."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import zipfile
from datetime import date
from pathlib import Path
from textwrap import dedent

import pytest
from tests.apps import leaf, twice

import runllm
from runllm.engines.cassette import Cassette, playing
from runllm.moments import now
from runllm.results import Endpoint, Request
from runllm.testing import ScriptedEngine

INNER = """\
---
name: inner
description: Shout.
version: 1.0.0
author: me
input_schema: {type: object, properties: {text: {type: string}}, required: [text]}
output_schema: {type: object, properties: {loud: {type: string}}, required: [loud]}
llm: {model: openai/m}
---
Shout {{ input.text }}
"""
KEY = "OPENAI_API_KEY"


class Warmed(ScriptedEngine):
    """A scripted engine that keeps for what it was made ready."""

    def __init__(self) -> None:
        super().__init__(lambda _: '{"loud": "HI"}')
        self.warmed: list[str] = []

    def warm(self, request: Request) -> None:
        assert not request.messages
        self.warmed.append(request.endpoint.model)


def run_alone(code: str, environment: dict[str, str]) -> str:
    """What a program in a process of its own prints."""
    usual = {"RUNLLM_LOOPBACK_ONLY": "1", "RUNLLM_CONFIG": "/dev/null", "PATH": "/usr/bin"}
    found = subprocess.run(
        [sys.executable, "-c", dedent(code)], env=usual | environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return found.stdout.strip()


# --- made ready at the start -------------------------------------------------------------------------------


def test_an_app_is_made_ready_with_all_that_it_uses_and_nothing_is_called(tmp_path: Path) -> None:
    (tmp_path / "inner.rllm").write_text(INNER)
    (tmp_path / "outer.rllm").write_text(twice())
    engine = Warmed()
    with runllm.Runtime(engine=engine) as runtime:
        runtime.warm(runllm.load(tmp_path / "outer.rllm"), runllm.load_text(INNER.replace("openai/m", "openai/n")))
    assert engine.warmed == ["openai/m", "openai/n"]
    assert not engine.requests


def test_a_key_that_is_missing_is_told_as_a_run_would_tell_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNLLM_LOOPBACK_ONLY")  # without a key nothing is called
    (tmp_path / "inner.rllm").write_text(INNER)
    (tmp_path / "outer.rllm").write_text(twice())
    app = runllm.load(tmp_path / "outer.rllm")
    with runllm.Runtime() as runtime:
        with pytest.raises(runllm.MissingCredentialError) as warmed:
            runtime.warm(app)
        with pytest.raises(runllm.MissingCredentialError) as ran, app.under(runtime, app):
            app(text="hi")
        assert warmed.value.message == ran.value.message
        assert "outer > one" in warmed.value.message


def test_a_cost_that_cannot_be_known_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "sk-fake-0123456789")
    app = runllm.load_text(INNER.replace("openai/m", "openai/nobody-knows-it"), max_cost=1.0)
    with runllm.Runtime() as runtime, pytest.raises(runllm.BudgetExceededError):
        runtime.warm(app)


def test_the_first_run_after_it_neither_starts_the_sandbox_nor_looks_for_a_model_again() -> None:
    with runllm.Runtime(engine=Warmed()) as runtime:
        app = runllm.load_text(INNER + "```rllm-python check inputs=output\nassert output\n```\n", runtime=runtime)
        runtime.warm(app)
        sandbox = runtime.runner(trusted=False)
        assert sandbox._workers._pool is not None, "its workers are started"  # type: ignore[attr-defined]


def test_the_weights_of_a_local_model_are_loaded_before_the_first_run() -> None:
    with runllm.Runtime() as runtime:
        app = runllm.load_text(INNER.replace("openai/m", "local/smollm2-135m"), runtime=runtime)
        runtime.warm(app)
        (model,) = runtime.engine(Endpoint(model="local/smollm2-135m"))._models.values()  # type: ignore[attr-defined]
        loaded = model._server
        assert loaded is not None
        app(text="hi")
        assert model._server is loaded, "what was loaded is what answers"


def test_what_was_loaded_and_never_called_is_closed_at_once() -> None:
    code = f"""
        import faulthandler, runllm
        faulthandler.dump_traceback_later(120, exit=True)
        app = runllm.load_text({INNER!r}.replace("openai/m", "local/smollm2-135m"))
        for _ in range(5):
            with runllm.Runtime() as runtime:
                runtime.warm(app)
    """
    assert not run_alone(code, {})


def test_what_replays_a_cassette_loads_no_weights() -> None:
    app = runllm.load_text(INNER.replace("openai/m", "local/smollm2-135m"))
    with runllm.Runtime(**playing(Cassette(now()), replay=True)) as runtime:
        runtime.warm(app)
        assert not runtime.engine(Endpoint(model="local/smollm2-135m"))._inner._models  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("engine", "imported"),
    [("direct", False), pytest.param("litellm", True, marks=pytest.mark.soak)],  # the import takes seconds
)
def test_litellm_is_imported_at_the_start_where_calls_go_through_it(engine: str, imported: bool) -> None:
    code = f"""
        import sys, runllm
        app = runllm.load_text({INNER!r}.replace("openai/m", "openai/m, api_base: http://127.0.0.1:9"), engine={engine!r})
        with runllm.Runtime() as runtime:
            runtime.warm(app)
        print("litellm" in sys.modules)
    """
    assert run_alone(code, {KEY: "sk-fake-0123456789"}) == str(imported)


# --- a run as JSON -----------------------------------------------------------------------------------------


def test_a_run_is_json_with_its_children_and_without_prompts_and_answers(tmp_path: Path) -> None:
    (tmp_path / "inner.rllm").write_text(INNER)
    (tmp_path / "outer.rllm").write_text(twice())
    engine = ScriptedEngine(["no json: the-answer", '{"loud": "HI"}'])
    with runllm.Runtime(engine=engine) as runtime:
        result = runllm.load(tmp_path / "outer.rllm", runtime=runtime).run({"text": "the-input"})
    found = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert found["output"] == {"both": "HI HI"}
    assert (found["app"], found["version"], found["error"], found["attempts"]) == ("outer", "2.0.0", None, [])
    one, two = found["children"]
    assert (one["name"], one["shared"], one["app"], one["output"]) == ("one", False, "inner", {"loud": "HI"})
    assert (two["name"], two["shared"], two["attempts"], two["usage"]["total_tokens"]) == ("two", True, [], 0)
    first, second = one["attempts"]
    assert (first["attempt"], first["model"], first["error"]) == (1, "openai/m", None)
    assert first["problems"]
    assert not second["problems"]
    assert first.keys() == second.keys()
    assert found["usage"] == one["usage"]
    text = json.dumps(found)
    assert "the-answer" not in text
    assert "the-input" not in text


def test_a_run_that_failed_has_the_same_keys_and_the_error_as_the_command_prints_it() -> None:
    with runllm.Runtime(engine=ScriptedEngine(lambda _: "no")) as runtime:
        app = runllm.load_text(INNER, runtime=runtime)
        with pytest.raises(runllm.RetryExhaustedError) as failed:
            app(text="hi")
    with runllm.Runtime(engine=ScriptedEngine(['{"loud": "HI"}'])) as runtime:
        fine = runllm.load_text(INNER, runtime=runtime).run({"text": "hi"})
    found = failed.value.result.to_dict()
    assert found["error"] == failed.value.payload()
    assert found.keys() == fine.to_dict().keys()
    shown = [
        {name: value for name, value in one.items() if name != "text"} for one in found["error"]["details"]["attempts"]
    ]
    assert shown == found["attempts"], "one form of an attempt, whoever shows it"


def test_what_was_refused_is_json_whatever_it_was() -> None:
    app = runllm.load_text(INNER, runtime=runllm.Runtime(engine=ScriptedEngine([])))
    with pytest.raises(runllm.InputSchemaError) as failed:
        app(text={"day": date(2026, 12, 1), "keys": {1, 2}, "more": float("inf"), "raw": b"x", 3: Path("a")})
    json.dumps(failed.value.result.to_dict(), allow_nan=False)


def test_an_app_is_called_without_blocking_the_event_loop() -> None:
    with runllm.Runtime(engine=ScriptedEngine(lambda _: '{"loud": "HI"}')) as runtime:
        app = runllm.load_text(INNER, runtime=runtime)

        async def both() -> list[object]:
            return list(await asyncio.gather(app.acall(text="a"), app.acall({"text": "b"})))

        assert asyncio.run(both()) == [{"loud": "HI"}, {"loud": "HI"}]
        with pytest.raises(runllm.InputSchemaError):
            asyncio.run(app.acall(txet="a"))


# --- from a text -------------------------------------------------------------------------------------------


def test_a_text_is_an_app_as_its_file_would_be(tmp_path: Path) -> None:
    (tmp_path / "inner.rllm").write_text(INNER)
    with runllm.Runtime(engine=ScriptedEngine(lambda _: '{"loud": "HI"}')) as runtime:
        app = runllm.load_text(twice(), name="outer.rllm", folder=tmp_path, runtime=runtime)
        result = app.run({"text": "hi"})
    assert result.output == {"both": "HI HI"}
    assert result.path == str(tmp_path / "outer.rllm")


def test_a_text_without_a_folder_uses_no_other_app_and_says_why() -> None:
    with pytest.raises(runllm.DependencyResolutionError, match="read from a text without a `folder`") as refused:
        runllm.load_text(twice())
    assert "folder" in refused.value.recovery_hint


@pytest.mark.parametrize("folder", [None, "here"])
def test_a_text_names_no_weights_outside_its_project(tmp_path: Path, folder: str | None) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "secret.gguf").write_bytes(b"GGUF")
    text = INNER.replace("openai/m", f"local/{tmp_path}/secret.gguf")
    with pytest.raises(runllm.MetadataValidationError, match="leaves the project"):
        runllm.load_text(text, folder=tmp_path / folder if folder else None)


def test_a_text_cannot_use_itself_or_leave_its_folder(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "inner.rllm").write_text(INNER)
    (tmp_path / "here" / "back.rllm").write_text(twice("outer.rllm"))
    (tmp_path / "here" / "outer.rllm").write_text(twice("back.rllm"))
    for path, said in (("../inner.rllm", "leaves the project"), ("back.rllm", "circle")):
        with pytest.raises(runllm.DependencyResolutionError, match=said):
            runllm.load_text(twice(path), name="outer.rllm", folder=tmp_path / "here")


def test_a_text_with_a_mistake_names_its_line() -> None:
    with pytest.raises(runllm.TemplateError, match=r"mail:\d+:\d+"):
        runllm.load_text(INNER.replace("input.text", "input.txet"), name="mail")


# --- from a package ----------------------------------------------------------------------------------------


def packed(folder: Path, files: dict[str, str]) -> Path:
    archive = folder / "apps.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for name, text in files.items():
            zipped.writestr(name, text)
    return archive


def test_an_app_in_an_imported_archive_finds_what_it_uses_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "packed_apps/__init__.py": "",
        "packed_apps/outer.rllm": twice("deep/inner.rllm"),
        "packed_apps/deep/inner.rllm": INNER,
    }
    monkeypatch.syspath_prepend(str(packed(tmp_path, files)))
    from importlib.resources import files as resources

    found = resources("packed_apps") / "outer.rllm"
    assert not isinstance(found, Path)
    assert runllm.validate(found).ok
    with runllm.Runtime(engine=ScriptedEngine(lambda _: '{"loud": "HI"}')) as runtime:
        assert runllm.load(found, runtime=runtime)(text="hi") == {"both": "HI HI"}
        assert runllm.run(found, {"text": "hi"}, runtime=runtime).path == ""


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("../inner.rllm", "leaves the project"), ("/etc/inner.rllm", "leaves the project"), ("gone.rllm", "there is no file"),
        ("innr.rllm", "there is no file"), ("deep.rllm", "is a folder"), ("outer.rllm", "circle"),
    ],
)  # fmt: skip
def test_what_an_archive_does_not_hold_is_told(tmp_path: Path, path: str, said: str) -> None:
    names = {"a/outer.rllm": twice(path), "inner.rllm": INNER, "a/inner.rllm": INNER, "a/deep.rllm/x": ""}
    with pytest.raises(runllm.DependencyResolutionError, match=said) as refused:
        runllm.load(zipfile.Path(packed(tmp_path, names), "a/outer.rllm"))
    assert path != "innr.rllm" or "inner.rllm" in refused.value.recovery_hint


def test_a_project_in_an_archive_is_as_large_as_its_mark_says(tmp_path: Path) -> None:
    names = {"top/a/outer.rllm": twice("../inner.rllm"), "top/inner.rllm": INNER, "top/runllm.toml": ""}
    assert runllm.validate(zipfile.Path(packed(tmp_path, names), "top/a/outer.rllm")).ok


@pytest.mark.parametrize("name", ["gone.rllm", "a/", "broken.rllm"])
def test_a_resource_that_cannot_be_read_is_an_error_of_the_catalogue(tmp_path: Path, name: str) -> None:
    archive = packed(tmp_path, {"a/b.rllm": INNER, "broken.rllm": INNER})
    data = archive.read_bytes()
    archive.write_bytes(data.replace(INNER[-30:].encode(), b"x" * 30))  # its checksum is wrong now
    with pytest.raises(runllm.FileAccessError):
        runllm.load(zipfile.Path(archive, name))


def test_a_resource_that_names_no_folder_runs_alone() -> None:
    class Alone:
        """The least that a resource may be."""

        def __init__(self, text: str) -> None:
            self.name, self.text = "app.rllm", text

        def is_file(self) -> bool:
            return True

        def open(self, mode: str) -> object:
            import io

            assert mode == "rb"
            return io.BytesIO(self.text.encode())

    assert runllm.load(Alone(INNER)).name == "inner"  # type: ignore[arg-type]
    with pytest.raises(runllm.DependencyResolutionError, match="does not tell in which folder"):
        runllm.load(Alone(twice()))  # type: ignore[arg-type]


def test_a_resource_on_disk_is_a_file_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "inner.rllm").write_text(INNER)
    (tmp_path / "outer.rllm").write_text(twice())
    assert runllm.load(tmp_path / "outer.rllm").plan.program.path == tmp_path / "outer.rllm"
    assert leaf is not None
