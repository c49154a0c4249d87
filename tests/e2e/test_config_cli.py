"""`runllm config`, as a user types it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.warm import RUNLLM


class Shell:
    """A home, a project below it, and the command."""

    def __init__(self, root: Path) -> None:
        self.project = root / "home" / "project"
        self.project.mkdir(parents=True)
        self.user_file = root / "home" / ".config" / "runllm" / "config.toml"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RUNLLM_", "XDG_"))}
        self.environment = {**kept, "HOME": str(root / "home"), "RUNLLM_LOOPBACK_ONLY": "1"}

    def __call__(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [RUNLLM, "config", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=self.project,
            stdin=subprocess.DEVNULL,
            env={**self.environment, **environment},
        )


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    if sys.platform != "linux":
        pytest.skip("the place of the user's file is the one of Linux")
    return Shell(tmp_path)


def test_what_is_set_is_shown_with_where_it_came_from(shell: Shell) -> None:
    assert shell("set", "aliases.fast", "openai/gpt-4o-mini").returncode == 0
    assert shell("set", "models.openai/*.timeout", "30").returncode == 0
    assert shell("set", "--project", "model", "fast").returncode == 0
    done = shell(RUNLLM_MAX_RETRIES="5")
    rows = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert (done.returncode, done.stderr) == (0, "")
    assert rows["model"].split() == ["fast", f"{shell.project / 'runllm.toml'}:1"]
    assert rows["max_retries"].split() == ["5", "RUNLLM_MAX_RETRIES"]
    assert rows["concurrency"].split() == ["8", "default"]
    assert rows['models."openai/*".timeout'].split() == ["30.0", f"{shell.user_file}:5"]
    found = json.loads(shell("--format", "json", RUNLLM_STATS="off").stdout)
    settings = {entry.pop("key"): entry for entry in found["settings"]}
    assert settings["stats"] == {"value": False, "origin": "environment", "place": "RUNLLM_STATS"}
    assert settings["aliases.fast"] == {
        "value": "openai/gpt-4o-mini",
        "origin": "user",
        "place": f"{shell.user_file}:2",
    }
    assert found["files"] == {"user": str(shell.user_file), "project": str(shell.project / "runllm.toml")}


def test_one_value_can_be_asked_for_and_taken_out(shell: Shell) -> None:
    shell("set", "allowed_bases", "https://a.example,https://b.example")
    shell("set", "model", "openai/x")
    assert shell("get", "model").stdout == "openai/x\n"
    assert shell("get", "allowed_bases").stdout == '["https://a.example", "https://b.example"]\n'
    assert shell("get", "stats").stdout == "true\n"
    assert shell("unset", "model").returncode == 0
    assert shell("get", "model").stdout == ""
    assert shell("path").stdout == f"{shell.user_file}\n"
    assert shell("path", "--project").stdout == f"{shell.project / 'runllm.toml'}\n"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["get", "modle"], 3, "Did you mean `model`?"),
        (["set", "max_retries", "many"], 3, "a whole number from 0 to 20"),
        (["set", "--project", "log_content", "true"], 3, "may not set `log_content`"),
        (["set", "model"], 2, "VALUE"),
        (["unset", "model"], 3, "is not in"),
        (["nonsense"], 2, "nonsense"),
    ],
)
def test_a_wrong_command_says_what_to_do_and_writes_nothing(
    shell: Shell, arguments: list[str], status: int, said: str
) -> None:
    done = shell(*arguments)
    error = json.loads(done.stderr)
    assert (done.returncode, done.stdout) == (status, "")
    assert said in error["message"] + error["recovery_hint"]
    assert not shell.user_file.exists()
    assert not (shell.project / "runllm.toml").exists()


def test_a_bad_file_is_an_error_with_its_line_that_set_can_mend(shell: Shell) -> None:
    shell("set", "model", "openai/x")
    shell.user_file.write_text('model = "openai/x"\nmax_retries = 99\n', encoding="utf-8")
    done = shell()
    problem = json.loads(done.stderr)["details"]["problems"][0]
    assert (done.returncode, problem["line"]) == (3, 2)
    assert problem["source"] == "max_retries = 99"
    assert shell("set", "max_retries", "9").returncode == 0
    assert shell().returncode == 0


def test_a_mistyped_variable_is_a_warning(shell: Shell) -> None:
    done = shell(RUNLLM_MAX_RETRY="1")
    assert done.returncode == 0
    assert "RUNLLM_MAX_RETRY is not a setting" in done.stderr
    assert "RUNLLM_MAX_RETRIES" in done.stderr


def test_help_and_path_need_no_valid_file(shell: Shell) -> None:
    shell.user_file.parent.mkdir(parents=True)
    shell.user_file.write_text("nonsense", encoding="utf-8")
    assert shell("--help").returncode == 0
    assert shell("path").stdout == f"{shell.user_file}\n"


def test_a_path_that_is_no_text_is_printed_as_it_is(shell: Shell) -> None:
    home = os.fsdecode(b"/tmp/h\xff")
    environment = {**shell.environment, "HOME": home, "PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run([RUNLLM, "config", "path"], capture_output=True, cwd=shell.project, env=environment)
    assert (done.returncode, done.stderr, done.stdout) == (0, b"", b"/tmp/h\xff/.config/runllm/config.toml\n")
