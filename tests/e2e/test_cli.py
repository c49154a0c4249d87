"""The installed command, as a user types it."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.integration.provider import Provider, answer, failure
from tests.warm import RUNLLM

APP = """#!/usr/bin/env -S runllm run
---
name: echo
description: Say it again.
version: 1.0.0
author: me
max_context_window: 4096
input_schema:
  type: object
  properties:
    text: {{type: string, description: What to say.}}
    times: {{type: integer, default: 1}}
  required: [text]
  additionalProperties: false
output_schema:
  type: object
  properties: {{answer: {{type: string}}}}
  required: [answer]
  additionalProperties: false
llm: {{model: openai/m, api_base: "{base}"}}
llm_params: {{temperature: 0}}
---
Say {{{{ input.text }}}} {{{{ input.times }}}} times.
"""


def command(
    *arguments: str, stdin: str | None = None, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess:
    env = {**os.environ, "NO_COLOR": "1", **environment}
    options = {"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}
    return subprocess.run(
        [RUNLLM, *arguments], capture_output=True, text=True, timeout=100, cwd=cwd, env=env, **options
    )


@pytest.fixture
def provider():
    with Provider() as server:
        yield server


@pytest.fixture
def app(tmp_path: Path, provider: Provider) -> Path:
    path = tmp_path / "echo.rllm"
    path.write_text(APP.format(base=provider.base), encoding="utf-8")
    return path


def test_run_prints_the_output_alone(app: Path, provider: Provider) -> None:
    provider.script(answer('{"answer": "hé"}'))
    done = command(str(app), "text=hello", "times=2")
    assert (done.returncode, done.stdout, done.stderr) == (0, '{\n  "answer": "hé"\n}\n', "")
    assert provider.chats[0].body["messages"][-1]["content"] == "Say hello 2 times."


@pytest.mark.parametrize(
    ("arguments", "stdin"),
    [
        (["--input", "hello"], None),
        (["--input", '{"text": "hello"}'], None),
        (["--input", "text: hello"], None),
        (["--input-file", "in.json"], None),
        (["--input-file", "in.yaml"], None),
        (["--input-file", "in.txt"], None),
        (["--input-file", "-"], '{"text": "hello"}'),
        (["text=@in.txt"], None),
        (["--arg", "text", "hello"], None),
        (["--arg=text", "hello", "--arg", "times", "1"], None),
        (["--arg", "text", "hello", "times=1"], "not read"),
        (["--arg", "times", "1"], "hello"),
        ([], "hello\n"),
        (["--input-file", "in.json", "text=hello"], None),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_the_input_may_come_in_any_way(app: Path, arguments: list[str], stdin: str | None) -> None:
    folder = app.parent
    (folder / "in.json").write_text('{"text": "hello"}', encoding="utf-8")
    (folder / "in.yaml").write_text("text: hello\n", encoding="utf-8")
    (folder / "in.txt").write_text("hello", encoding="utf-8")
    done = command("run", "echo.rllm", *arguments, "--dry-run", stdin=stdin, cwd=folder, OPENAI_API_KEY="")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["messages"][-1]["content"] == "Say hello 1 times."


HOSTILE_LINES = ["@{file}", "@@x", "--output", "-o", "--", "-", "text=x", '{"text": 1}', "", "a\\'b\"$(id)`id`", "é€"]


@pytest.mark.parametrize("line", HOSTILE_LINES)
@pytest.mark.parametrize("start", ["run echo.rllm", "echo.rllm"])
def test_a_literal_value_is_that_text_whatever_it_holds(app: Path, line: str, start: str) -> None:
    """It names no file and is no option, in any place of the command line."""
    (app.parent / "hidden").write_text("hidden", encoding="utf-8")
    line = line.replace("{file}", str(app.parent / "hidden"))
    for words in (["--arg", "text", line, "--dry-run"], ["--dry-run", "--arg=text", line, "--", "times=1"]):
        done = command(*start.split(), *words, cwd=app.parent)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["messages"][-1]["content"] == f"Say {line} 1 times."


def test_a_literal_value_is_taken_by_every_command_with_inputs(app: Path, tmp_path: Path) -> None:
    arguments = ("exectime", str(app), "--format", "json", "--arg", "text")
    store = {"RUNLLM_STATS_DB": str(tmp_path / "s.db")}
    short, long = (json.loads(command(*arguments, text, **store).stdout)["parts"] for text in ("@x", "@x " * 900))
    assert short[0]["prompt_tokens"] < long[0]["prompt_tokens"], "its tokens are counted"
    done = command("run", str(app), "--arg", "txet", "x")
    assert json.loads(done.stderr)["recovery_hint"] == "Did you mean `text`?"
    done = command("run", str(app), "--arg", "text")
    assert (done.returncode, json.loads(done.stderr)["error_code"]) == (2, "RLLM_022")


def test_a_missing_file_may_be_meant_as_text(app: Path) -> None:
    payload = json.loads(command(str(app), "text=@home").stderr)
    assert payload["error_code"] == "RLLM_023"
    assert "`text=@@...`" in payload["recovery_hint"]
    assert "`--arg text VALUE`" in payload["recovery_hint"]


def test_dry_run_shows_tokens_and_calls_nothing(app: Path, provider: Provider) -> None:
    found = json.loads(command("run", str(app), "text=x", "--dry-run").stdout)
    assert found["tokens"]["fits"]
    assert found["tokens"]["prompt"] > 10
    assert found["api_base"] == provider.base  # where the file would send it
    assert provider.requests == []


def test_formats_and_output_file(app: Path, provider: Provider, tmp_path: Path) -> None:
    provider.script(*[answer('{"answer": "two\\nlines"}')] * 3)
    assert command("run", str(app), "text=x", "--format", "text").stdout == "two\nlines\n"
    assert command("run", str(app), "text=x", "--format", "yaml").stdout == "answer: |-\n  two\n  lines\n"
    target = tmp_path / "out.json"
    target.write_text("old", encoding="utf-8")
    assert command("run", str(app), "text=x", "--output", str(target)).stdout == ""
    assert json.loads(target.read_text(encoding="utf-8")) == {"answer": "two\nlines"}
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (["run", "no.rllm"], 3, "RLLM_023"),
        (["run", "{app}"], 4, "RLLM_004"),
        (["run", "{app}", "text=x", "times=two"], 4, "RLLM_004"),
        (["run", "{app}", "txt=x"], 2, "RLLM_022"),
        (["run", "{app}", "--input", '{"txet": "x"}'], 4, "RLLM_004"),
        (["run", "{app}", "--input-file", "no.json"], 3, "RLLM_023"),
        (["run", "{app}", "--input", "a", "--input-file", "b"], 2, "RLLM_022"),
        (["run", "{app}", "text=x", "--max-retries", "-1"], 2, "RLLM_022"),
        (["run", "{app}", "text=x", "--timeout", "nan"], 2, "RLLM_022"),
        (["run", "{app}", "text=x", "--timeout", "inf"], 2, "RLLM_022"),
        (["run", "{app}", "text=x", "--block-timeout", "inf"], 2, "RLLM_022"),
        (["run", "{app}", "text=x", "--model", "opnai/m"], 8, "RLLM_020"),
        (["run", "{app}", "text=x", "--model", "anthropic/claude-sonnet-4-5"], 7, "RLLM_012"),
        (["run", "{app}", "text=x", "--model", "local/nothing"], 8, "RLLM_020"),
        (["run"], 2, "RLLM_022"),
        (["rnu"], 2, "RLLM_022"),
        (["run", "{app}", "text=" + "word " * 9000], 6, "RLLM_006"),
    ],
    ids=lambda value: " ".join(value)[:50] if isinstance(value, list) else None,
)
def test_a_failure_is_one_line_of_json_with_its_status(app: Path, arguments: list[str], status: int, code: str) -> None:
    done = command(*[word.replace("{app}", str(app)) for word in arguments], RUNLLM_LOOPBACK_ONLY="")
    assert done.stdout == ""
    payload = json.loads(done.stderr)
    assert (done.returncode, payload["error_code"]) == (status, code), payload
    assert payload["recovery_hint"]


def test_exhausted_retries_carry_every_attempt(app: Path, provider: Provider) -> None:
    provider.script(*[answer("no")] * 2)
    done = command("run", str(app), "text=x", "--max-retries", "1")
    assert done.returncode == 5
    assert [a["text"] for a in json.loads(done.stderr)["details"]["attempts"]] == ["no", "no"]


def test_verbose_traces_on_stderr_and_keeps_stdout_clean(app: Path, provider: Provider) -> None:
    provider.script(answer("no"), answer('```json\n{"answer": "ok"}\n```'))
    done = command("run", str(app), "text=x", "--verbose")
    assert json.loads(done.stdout) == {"answer": "ok"}
    steps = [line.split()[2] for line in done.stderr.splitlines()]
    assert steps[0] == "input"
    assert {"call", "answer", "problem", "retry", "repair", "done"} <= set(steps)


def test_trusting_a_files_python_is_said_each_time_and_only_the_caller_can(app: Path, provider: Provider) -> None:
    provider.script(*[answer('{"answer": "ok"}')] * 2)
    text = app.read_text(encoding="utf-8")
    app.write_text(
        text + "{{ vars.v }}\n```rllm-python pre inputs=input.text outputs=v\nimport os\nv = os.getcwd()\n```\n",
        encoding="utf-8",
    )
    refused = command("run", str(app), "text=x")
    assert refused.returncode in (3, 9)
    assert json.loads(refused.stderr)["error_code"] == "RLLM_009"
    trusted = command("run", str(app), "text=x", "--trust-python")
    assert "without a sandbox" in trusted.stderr
    assert json.loads(trusted.stdout) == {"answer": "ok"}


def test_help_on_a_file_lists_its_inputs(app: Path) -> None:
    done = command(str(app), "--help")
    assert "text=<string>" in done.stdout
    assert "What to say." in done.stdout
    assert "default: 1" in done.stdout
    said = "--arg NAME VALUE gives VALUE as it is; NAME=@FILE gives the text of a file."
    assert done.stdout.index("text=<string>") < done.stdout.index(said) < done.stdout.index("Input:")
    other = app.with_name("other.rllm")
    other.write_text("", encoding="utf-8")
    assert command("run", "--arg", "text", str(other), str(app), "--help").stdout == done.stdout


def test_no_arguments_print_the_help() -> None:
    done = command()
    assert (done.returncode, done.stderr) == (0, "")
    assert "Commands:" in done.stdout


def test_validate_shows_every_problem_with_a_caret(app: Path) -> None:
    bad = app.with_name("bad.rllm")
    bad.write_text(
        app.read_text(encoding="utf-8").replace("input.text", "input.txet").replace("author", "autor"), encoding="utf-8"
    )
    done = command("validate", str(app), str(bad))
    assert done.returncode == 3
    assert f"{app}: ok" in done.stdout
    assert "^^^^" in done.stdout
    assert done.stdout.count("error:") == 2  # `autor` is unknown, and the path
    assert json.loads(command("validate", str(bad), "--format", "json").stdout)[0]["problems"][0]["line"]


def test_a_file_that_cannot_be_read_hides_nothing_of_the_others(app: Path, tmp_path: Path) -> None:
    done = command("validate", "none.rllm", str(app), "nothing.rllm", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (3, "")
    assert [line for line in done.stdout.splitlines() if ".rllm: " in line] == [
        "none.rllm: 1 error", f"{app}: ok", "nothing.rllm: 1 error"
    ]  # fmt: skip
    found = json.loads(command("validate", "none.rllm", str(app), "--format", "json", cwd=tmp_path).stdout)
    assert [(report["ok"], len(report["problems"])) for report in found] == [(False, 1), (True, 0)]
    assert found[0]["problems"][0]["error_type"] == "FileAccessError"


def test_inspect_and_schema(app: Path) -> None:
    assert "openai/m" in command("inspect", str(app)).stdout
    assert json.loads(command("inspect", str(app), "--format", "json").stdout)["name"] == "echo"
    assert json.loads(command("schema").stdout)["type"] == "object"


def test_the_smallest_file_runs_on_the_users_model_and_says_how_to_name_one(tmp_path: Path, provider: Provider) -> None:
    (tmp_path / "small.rllm").write_text(
        "---\nname: small\ninput_schema: {type: object, properties: {text: {type: string}}}\n"
        "output_schema: {type: string}\n---\nSay {{ input.text }}\n"
    )
    assert command("validate", "small.rllm", cwd=tmp_path).returncode == 0
    told = command("run", "small.rllm", "text=x", cwd=tmp_path)
    assert told.returncode == 2
    hint = json.loads(told.stderr)["recovery_hint"]
    assert "runllm config set model" in hint
    assert "local/smollm2-135m" in hint
    provider.script(answer("It is fine.\n"))
    settings = f'model = "openai/m"\n[models."openai/m"]\napi_base = "{provider.base}"\n'
    (tmp_path / "config.toml").write_text(settings)
    home = {"RUNLLM_CONFIG": str(tmp_path / "config.toml")}
    ran = command("run", "small.rllm", "text=x", cwd=tmp_path, **home)
    assert ran.stdout == '"It is fine."\n', ran.stderr
    assert command("run", "small.rllm", "text=x", "--format", "text", cwd=tmp_path, **home).stdout == "It is fine.\n"


def test_publish_asks_for_what_others_must_know(app: Path, tmp_path: Path) -> None:
    assert command("validate", "--publish", str(app)).returncode == 0
    bare = tmp_path / "bare.rllm"
    left = ("description:", "version:", "author:")
    bare.write_text("".join(line for line in app.read_text().splitlines(True) if not line.startswith(left)))
    assert command("validate", "--strict", str(bare)).returncode == 0
    found = command("validate", "--publish", str(bare))
    assert found.returncode == 3
    assert [line.split(": error: ")[1][:14] for line in found.stdout.splitlines() if ": error: " in line] == [
        "`description` ", "`version` is m", "`author` is mi",
    ]  # fmt: skip
    assert f"{bare}:3:1: error" in found.stdout


def test_the_schemas_of_a_file_in_either_form(app: Path, tmp_path: Path) -> None:
    found = json.loads(command("schema", str(app)).stdout)
    assert list(found) == ["input_schema", "output_schema"]
    assert found["output_schema"]["properties"]["answer"]
    short = tmp_path / "short.rllm"
    short.write_text("---\nname: a\ninput: {api_key?: text ..9}\nreturns: calm | upset\n---\nHi\n", encoding="utf-8")
    assert json.loads(command("schema", "short.rllm", cwd=tmp_path).stdout) == {
        "input_schema": {
            "type": "object",
            "properties": {"api_key": {"type": "string", "maxLength": 9}},
            "additionalProperties": False,
        },
        "output_schema": {"type": "string", "enum": ["calm", "upset"]},
    }
    short.write_text("---\nname: a\ninput: {a: strng}\nreturns: text\n---\nHi\n", encoding="utf-8")
    done = command("schema", "short.rllm", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert "`strng` is not a type" in done.stderr


def test_a_script_line_runs_the_file(app: Path, provider: Provider) -> None:
    provider.script(answer('{"answer": "ok"}'))
    app.chmod(0o755)
    path = f"{Path(RUNLLM).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [str(app), "text=x"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
    )
    assert json.loads(done.stdout) == {"answer": "ok"}


def test_ctrl_c_ends_cleanly_with_130(app: Path, provider: Provider) -> None:
    provider.script(answer('{"answer": "late"}', delay=60))
    process = subprocess.Popen(
        [RUNLLM, "run", str(app), "text=x"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not provider.chats and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert json.loads(err)["error_code"] == "RLLM_024"


def test_an_error_on_a_terminal_is_a_report_with_a_caret(app: Path) -> None:
    app.write_text(app.read_text(encoding="utf-8").replace("input.text", "input.txet"), encoding="utf-8")
    master, slave = pty.openpty()
    subprocess.run(
        [RUNLLM, "run", str(app), "text=x"], stdout=slave, stderr=slave, stdin=slave, timeout=60, check=False
    )
    os.close(slave)
    shown = b""
    while select.select([master], [], [], 0.5)[0]:
        try:
            shown += os.read(master, 65536)
        except OSError:
            break
    text = shown.decode()
    assert "RLLM_019 TemplateError" in text
    assert "^^^^" in text
    assert "Did you mean `text`?" in text


def test_a_reader_that_goes_away_is_no_error() -> None:
    done = subprocess.run(
        f"{RUNLLM} schema | head -1", shell=True, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("{\n", "")


@pytest.mark.parametrize(("closing", "status"), [("2>&-", "0"), ("<&-", "0"), (">&- 2>&- <&-", "3")])
def test_closed_streams_are_no_crash(closing: str, status: str) -> None:
    line = f"{RUNLLM} schema {closing}; echo $?"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60)
    assert (done.stdout.split()[-1], done.stderr) == (status, "")


def test_reading_a_closed_standard_input_is_a_catalogued_error(app: Path) -> None:
    line = f"{RUNLLM} run {app} --input-file - <&-"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert json.loads(done.stderr)["error_code"] == "RLLM_023"


def test_no_planted_key_is_in_any_output(app: Path, provider: Provider) -> None:
    """The provider echoes the key it was sent; neither trace nor error shows it."""
    key = "planted-key-0123456789-abcdefgh"
    app.write_text(
        app.read_text(encoding="utf-8").replace("llm: {", "llm: {api_key_env: PLANTED_API_KEY, "), encoding="utf-8"
    )
    provider.script(failure(401, f"bad {key}"))
    allowed = {"RUNLLM_ALLOWED_KEYS": "PLANTED_API_KEY", "RUNLLM_ALLOWED_BASES": provider.root}
    done = command("run", str(app), "text=x", "--verbose", PLANTED_API_KEY=key, **allowed)
    assert done.returncode == 7
    assert key in provider.chats[0].headers.get("authorization", "")
    assert key not in done.stdout + done.stderr


def test_start_up_imports_nothing_heavy(app: Path) -> None:
    """Commands that call no model leave LiteLLM, llama.cpp and asyncio alone."""
    heavy = ("litellm", "xllamacpp", "asyncio", "pydantic", "httpx", "openai", "pydantic_monty", "runllm.blocks",
             "runllm.reading.search", "ssl", "http.client", "urllib.request", "glob")  # fmt: skip
    checking = (*heavy, "runllm.executor", "runllm.settings", "runllm.stats", "runllm.reading", "sqlite3", "tempfile")
    code = "import sys; from runllm.cli import invoke; status = invoke(sys.argv[1:]); assert not status, status; print([m for m in {} if m in sys.modules])"
    for arguments, unwanted in (
        (["validate", str(app)], checking),
        (["inspect", str(app)], heavy),
        (["schema"], checking),
        (["--help"], checking),
        (["run", str(app), "text=x", "--dry-run"], heavy),
    ):
        done = subprocess.run(
            [sys.executable, "-c", code.format(unwanted), *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.stdout.endswith("[]\n"), (arguments, done.stdout[-200:], done.stderr)
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import runllm"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    ours = [line.split("|")[-1].strip() for line in done.stderr.splitlines() if "runllm" in line]
    assert ours == ["runllm._version", "runllm"]


TOO_LONG = "a" * 300


@pytest.mark.parametrize("target", ["no/such/out.json", ".", TOO_LONG, f"{TOO_LONG}/out.json", "loop", "loop/out.json"])
def test_an_output_that_cannot_be_written_is_told_before_a_model_is_paid(
    app: Path, provider: Provider, target: str
) -> None:
    provider.script(answer('{"answer": "ok"}'))
    (app.parent / "loop").symlink_to("loop")
    done = command("run", str(app), "text=x", "-o", target, cwd=app.parent)
    error = json.loads(done.stderr)
    assert (done.returncode, error["error_code"]) == (3, "RLLM_023"), error
    assert error["message"].startswith(f"`{target}` cannot be written: ")
    assert provider.requests == []
    assert sorted(path.name for path in app.parent.iterdir()) == ["echo.rllm", "loop"]


@pytest.mark.parametrize(
    "words",
    [("run", "echo.rllm", "text=x"), ("types", "echo.rllm"), ("stats", "export"), ("stats", "--format", "html")],
)
def test_no_output_is_written_over_an_app(app: Path, provider: Provider, words: tuple[str, ...]) -> None:
    """Nor over its tests; where there is none yet, an app may write one."""
    before = app.read_bytes()
    (app.parent / "echo.tests.yaml").write_text("[]")
    (app.parent / "linked").hardlink_to(app)  # an app may have any name
    named = ("linked",) if "echo.rllm" in words else ()
    for target in ("echo.rllm", "./echo.rllm", "echo.tests.yaml", *named):
        done = command(*words, "-o", target, cwd=app.parent, RUNLLM_STATS_DB=str(app.parent / "stats.db"))
        assert (done.returncode, json.loads(done.stderr)["error_code"]) == (2, "RLLM_022"), (target, done.stderr)
    assert (app.read_bytes(), (app.parent / "echo.tests.yaml").read_text()) == (before, "[]")
    assert provider.requests == []
    provider.script(answer('{"answer": "ok"}'))
    assert command("run", "echo.rllm", "text=x", "-o", "new.rllm", cwd=app.parent).returncode == 0


def test_an_output_file_can_be_read_by_whom_any_new_file_can_and_keeps_its_mode(app: Path, provider: Provider) -> None:
    provider.script(*[answer('{"answer": "ok"}')] * 2)
    other = app.parent / "other"
    other.touch()
    out = app.parent / "out.json"
    command("run", str(app), "text=x", "-o", str(out))
    assert out.stat().st_mode == other.stat().st_mode
    out.chmod(0o640)
    command("run", str(app), "text=x", "-o", str(out))
    assert out.stat().st_mode & 0o777 == 0o640


def test_a_letter_that_stdout_cannot_hold_is_escaped_and_loses_no_answer(app: Path, provider: Provider) -> None:
    said = "café € 😀"
    provider.script(*[answer(json.dumps({"answer": said}))] * 2)
    line = f"{RUNLLM} run {app} text=x"
    given = {"shell": True, "capture_output": True, "timeout": 60, "stdin": subprocess.DEVNULL}
    env = {**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}
    done = subprocess.run(line, env=env, check=False, **given)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout.decode("cp1252")) == {"answer": said}
    done = subprocess.run(f"{line} --format text", env=env, check=False, **given)
    assert done.stdout.decode("cp1252").rstrip() == "café € \\ud83d\\ude00"


def test_names_that_no_file_can_have_are_no_crash(app: Path) -> None:
    for arguments in (["stats", TOO_LONG], ["run", "--help", TOO_LONG]):
        done = command(*arguments, RUNLLM_STATS_DB=str(app.parent / "stats.db"))
        assert (done.returncode, done.stderr) == (0, ""), arguments


def test_help_is_on_the_app_and_not_on_another_file_of_the_line(app: Path) -> None:
    data = app.parent / "in.json"
    data.write_text("{}", encoding="utf-8")
    assert "text=<string>" in command("run", "-f", str(data), str(app), "--help").stdout


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("valdate", "Did you mean `runllm validate`?"),
        ("my notes.txt", "`runllm run 'my notes.txt'`"),
        ("xyz", "--help"),
    ],
)
def test_a_word_that_is_no_command_is_told_what_was_meant(word: str, hint: str, tmp_path: Path) -> None:
    (tmp_path / "my notes.txt").touch()
    done = command(word, cwd=tmp_path)
    error = json.loads(done.stderr)
    assert (done.returncode, error["error_code"]) == (2, "RLLM_022")
    assert hint in error["recovery_hint"]
