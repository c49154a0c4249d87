"""How a failure is shown: by whom it is read, how much of what was received it holds, and what was meant."""

import json
from pathlib import Path

import pytest
from tests.e2e.test_cli import command
from tests.integration.provider import Provider, answer

APP = """---
name: count
input: {{text: string}}
returns: {{n: integer}}
llm: {{model: openai/m, api_base: "{base}"}}
max_context_window: 2000
---
Count: {{{{ input.text }}}}
"""
LONG = "secret words of a mail " * 50


@pytest.fixture
def provider():
    with Provider() as server:
        yield server


@pytest.fixture
def app(tmp_path: Path, provider: Provider) -> Path:
    path = tmp_path / "count.rllm"
    path.write_text(APP.format(base=provider.base), encoding="utf-8")
    return path


def payload(stderr: str) -> dict:
    return json.loads(stderr.splitlines()[-1])


def test_what_was_received_is_shortened_unless_it_is_asked_for(app: Path) -> None:
    given = json.dumps({"text": [LONG], "more": list(range(200))})
    short = payload(command("run", str(app), "--input", given).stderr)["received_payload"]
    assert short["text"][0].startswith(LONG[:200])
    assert short["text"][0].endswith(f"… [{len(LONG) - 200:,} more characters]")
    assert short["more"][-1] == "… [150 more]"
    assert payload(command("run", str(app), "--input", given, "-v").stderr)["received_payload"] == json.loads(given)


def test_answers_are_shortened_as_well(app: Path, provider: Provider) -> None:
    provider.script(answer(LONG))
    failed = payload(command("run", str(app), "text=x", "--max-retries", "0").stderr)
    assert len(failed["details"]["attempts"][0]["text"]) < 250
    whole = payload(command("run", str(app), "text=x", "--max-retries", "0", "-v").stderr)
    assert whole["details"]["attempts"][0]["text"] == LONG


def test_the_form_of_an_error_can_be_chosen_and_set(app: Path) -> None:
    report = command("run", str(app), "--error-format", "text")
    assert report.returncode == 4
    assert report.stderr.startswith("RLLM_004 InputSchemaError: the input does not fit\n")
    assert command("run", str(app), RUNLLM_ERROR_FORMAT="text").stderr == report.stderr
    assert payload(command("run", str(app), "--error-format", "json", RUNLLM_ERROR_FORMAT="text").stderr)
    assert payload(command("config", "list", "--error-format", "json", "--nope").stderr)
    assert payload(command("run", str(app), RUNLLM_ERROR_FORMAT="xml").stderr)["error_code"] == "RLLM_026"


def test_a_report_says_a_thing_once_and_shows_every_attempt(app: Path, provider: Provider) -> None:
    provider.script(answer('{"n": "two"}'), answer('{"m": 2}'))
    text = command("run", str(app), "text=x", "--max-retries", "1", "--error-format", "text").stderr
    assert text.count('"two" is not of type "integer"') == 1
    assert text.count("`n` is required but missing") == 1
    assert text.splitlines()[0] == "RLLM_007 RetryExhaustedError: no valid answer in 2 attempts"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["count"], "runllm count.rllm"),
        (["conut.rllm"], "count.rllm"),
        (["validate", "coutn.rllm"], "Did you mean `count.rllm`?"),
        (["inspect", "coutn.rllm"], "count.rllm"),
        (["help"], "runllm --help"),
        (["help", "run"], "runllm run --help"),
        (["vaildate"], "runllm validate"),
        *((word.split(), f"Did you mean `runllm {meant}`?") for word, meant in (
            ("check count.rllm", "validate"), ("lint", "validate"), ("init", "new"), ("create", "new"), ("version", "--version"),
            ("exec", "run"), ("ls", "inspect"), ("list", "inspect"), ("download", "pull"), ("rm x", "models rm"), ("settings", "config"),
            ("diagnose", "doctor"), ("cost", "exectime"), ("history", "stats"), ("statuss", "stats"), ("Count", "count.rllm"),
            ("count.rlm", "count.rllm"), ("count.rllms", "count.rllm"), ("COUNT.RLLM", "count.rllm"), ("count.yaml", "count.rllm"),
            ("./count", "./count.rllm"), ("count.md", "count.rllm"), ("cuont.rlm", "count.rllm"),
        )),
        *((words.split(), "Did you mean `count.rllm`?") for words in (
            "run count.rlm", "validate COUNT.RLLM", "run count", "inspect Count", "validate count.yaml", "exectime conut.rllm",
            "count.rllm text=@count.rlm", "count.rllm -f conut.rllm", "test count", "batch count.rllm cuont.rllm -o out.csv", "serve conut.rllm",
            "mcp conut.rllm",
        )),
        (["count.rllm", "--text", "hi"], "If it is an input of the app: `text=VALUE`."),
        (["server"], "Did you mean `runllm serve`?"),
        (["deploy"], "no such command in this version"),
        (["run", "nothing"], "Check the path"),
        (["nothing-like-it.rllm"], "Check the path"),
    ],
)  # fmt: skip
def test_what_was_meant_is_said(app: Path, words: list[str], hint: str) -> None:
    failed = command(*words, cwd=app.parent)
    assert failed.returncode != 0
    assert hint in (payload(failed.stderr)["recovery_hint"] if failed.stderr else failed.stdout)


def test_a_dry_run_of_what_does_not_fit_ends_as_the_run_would(app: Path) -> None:
    text = "text=" + "word " * 3000
    dry, run = command("run", str(app), text, "--dry-run"), command("run", str(app), text)
    assert json.loads(dry.stdout)["tokens"]["fits"] is False
    assert dry.returncode == run.returncode == 6
    assert payload(dry.stderr)["error_code"] == "RLLM_006"
