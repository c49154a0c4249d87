"""`runllm stats` after real runs, as a user types it."""

import csv
import io
import json
import os
import pty
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tests.integration.provider import Provider, answer
from tests.warm import RUNLLM

from runllm.cli import cli
from runllm.errors import UsageError

APP = """---
name: echo
description: Say it again.
version: 1.0.0
author: me
max_context_window: 4096
input_schema:
  type: object
  properties: {{text: {{type: string}}}}
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
Say {{{{ input.text }}}}.
"""


class Home:
    """A folder with an app, a provider and a store of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.app = folder / "echo.rllm"
        self.env = {**os.environ, "RUNLLM_STATS": "on", "RUNLLM_STATS_DB": str(folder / "stats.db"), "NO_COLOR": "1"}

    def __call__(self, *arguments: str, status: int = 0, **environment: str) -> str:
        """Run a command that must end with this status; what it printed."""
        done = subprocess.run(
            [RUNLLM, *arguments], capture_output=True, text=True, timeout=100, cwd=self.folder,
            stdin=subprocess.DEVNULL, env=self.env | environment,
        )  # fmt: skip
        assert done.returncode == status, done.stderr
        return done.stderr if status else done.stdout

    def stats(self, *arguments: str) -> dict:
        return json.loads(self("stats", *arguments, "--format", "json"))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Five runs: one fits at once, one on another model, one after a retry, one never, one is refused."""
    home = Home(tmp_path_factory.mktemp("used"))
    wrong, right = answer('{"reply": "a"}'), answer('{"answer": "a"}')
    with Provider() as provider:
        home.app.write_text(APP.format(base=provider.base), encoding="utf-8")
        provider.script(right)
        home("echo.rllm", "text=a")
        home("run", "./echo.rllm", "text=a", "--model", "openai/other")
        provider.script(wrong, right)
        home("echo.rllm", "text=a")
        provider.script(wrong)
        home("echo.rllm", "text=a", "--max-retries", "1", status=5)
        home("echo.rllm", "-i", "{}", status=4)
    return home


def test_the_figures_are_those_of_the_runs(used: Home) -> None:
    total = used.stats()["total"]
    counted = ("runs", "succeeded", "failed", "judged", "asked", "retries", "unpriced")
    assert {name: total[name] for name in counted} == {
        "runs": 5, "succeeded": 3, "failed": 2, "judged": 4, "asked": 6, "retries": 2, "unpriced": 6,
    }  # fmt: skip
    assert (total["input_compliance"], total["first_compliance"], total["final_compliance"]) == (80, 50, 75)
    assert total["errors"] == {"RLLM_004": 1, "RLLM_007": 1}
    assert total["violations"] == {"additionalProperties": 3, "required": 3}
    assert total["latency_p95"] > 0


@pytest.mark.parametrize(
    ("arguments", "runs"),
    [
        (["echo.rllm"], 5),
        (["./echo.rllm", "--since", "1h"], 5),
        (["--since", "2w", "echo"], 5),
        (["echo", "--model", "openai/other"], 1),
        (["-m", "openai/other"], 1),
        (["--since", "2999-12-31"], 0),
        (["nothing"], 0),
    ],
)
def test_a_file_a_name_a_model_and_a_time_choose_the_runs(used: Home, arguments: list[str], runs: int) -> None:
    found = used.stats(*arguments)
    assert found["total"]["runs"] == runs
    assert sum(bucket["runs"] for bucket in found["timeline"]["buckets"]) == runs


def test_a_date_means_midnight_here(used: Home) -> None:
    asked = [used("stats", "--since", "2026-11-01", "--format", "json", TZ=zone) for zone in ("UTC", "Etc/GMT-3")]
    assert [json.loads(text)["asked"]["since"] for text in asked] == [1793491200, 1793491200 - 3 * 3600]


def test_the_table_compares_the_models(used: Home) -> None:
    text = used("stats", "echo.rllm", COLUMNS="150")
    assert text.startswith("echo.rllm\n")
    assert "\x1b" not in text
    assert "runs         5 · 3 succeeded · 2 failed" in text
    assert re.search(r"(?m)^openai/m +4 +33\.3% ", text)
    assert re.search(r"(?m)^openai/other +1 +100\.0% ██████ ", text)
    assert used("stats", PYTHONIOENCODING="ascii").isascii()


def test_a_terminal_gets_colours_and_no_line_that_is_too_wide(used: Home) -> None:
    main, end = pty.openpty()
    env = {key: value for key, value in used.env.items() if key != "NO_COLOR"} | {"COLUMNS": "70", "TERM": "xterm"}
    with subprocess.Popen([RUNLLM, "stats"], stdout=end, stdin=end, cwd=used.folder, env=env):
        os.close(end)
        text = b""
        try:
            while found := os.read(main, 4096):
                text += found
        except OSError:  # how Linux says that the other end was closed
            pass
    os.close(main)
    shown = text.decode()
    assert "\x1b[36m" in shown
    assert max(map(len, re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines())) <= 70


def test_a_page_and_a_sheet_are_written_whole(used: Home) -> None:
    used("stats", "echo.rllm", "--format", "html", "-o", "page.html")
    page = (used.folder / "page.html").read_text("utf-8")
    assert page.startswith("<!doctype html>\n")
    assert page.endswith("</html>\n")
    assert stat.S_IMODE((used.folder / "page.html").stat().st_mode) == 0o600
    assert "openai/other" in page
    assert used("stats", "--format", "html", "echo").startswith("<!doctype html>\n")
    used("stats", "--format", "csv", "-o", "sheet.csv")
    rows = list(csv.DictReader(io.StringIO((used.folder / "sheet.csv").read_text("utf-8"))))
    assert [(row["group"], row["name"], row["runs"]) for row in rows] == [
        ("total", "", "5"), ("model", "openai/m", "4"), ("model", "openai/other", "1"), ("app", "echo", "5"),
    ]  # fmt: skip
    assert "cannot be written" in used("stats", "--format", "csv", "-o", "no/such/folder.csv", status=3)
    assert sorted(path.name for path in used.folder.iterdir() if path.name.startswith(".")) == []


def test_a_damaged_store_is_said_to_be_one_and_leaves_no_half_of_a_file(home: Home) -> None:
    (home.folder / "stats.db").write_text("no database at all" * 100, encoding="utf-8")
    assert "StatsError" in home("stats", status=3)
    assert "StatsError" in home("stats", "export", "-o", "runs.jsonl", status=3)
    assert [path.name for path in home.folder.iterdir()] == ["stats.db"]


def test_what_a_link_means_is_written_and_the_link_stays(used: Home) -> None:
    link = used.folder / "link"
    link.symlink_to("real.csv")
    used("stats", "--format", "csv", "-o", "link")
    assert link.is_symlink()
    assert (used.folder / "real.csv").read_text("utf-8").startswith("group,")
    assert used("stats", "--format", "csv", "-o", "/dev/stdout").startswith("group,")
    assert not stat.S_ISREG(os.lstat("/dev/stdout").st_mode)


def test_every_run_can_be_taken_elsewhere(used: Home) -> None:
    runs = [json.loads(line) for line in used("stats", "export").splitlines()]
    assert [(run["model"], run["error_code"], len(run["attempts"])) for run in runs] == [
        ("openai/m", None, 1), ("openai/other", None, 1), ("openai/m", None, 2), ("openai/m", "RLLM_007", 2),
        ("openai/m", "RLLM_004", 0),
    ]  # fmt: skip
    used("stats", "export", "echo.rllm", "--model", "openai/other", "--format", "csv", "-o", "runs.csv")
    [row] = csv.DictReader(io.StringIO((used.folder / "runs.csv").read_text("utf-8")))
    assert (row["app"], row["model"]) == ("echo", "openai/other")


def test_old_runs_are_removed_and_a_dry_run_says_how_many(used: Home, home: Home) -> None:
    (home.folder / "stats.db").write_bytes(b"")
    source = used.folder / "stats.db"
    subprocess.run(
        [sys.executable, "-c", "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('VACUUM INTO ?', sys.argv[2:])",
         str(source), str(home.folder / "copy.db")], check=True,
    )  # fmt: skip
    (home.folder / "copy.db").replace(home.folder / "stats.db")
    assert home("stats", "prune", "--before", "1d") == "0 runs removed\n"
    assert home("stats", "prune", "--keep", "3", "--before", "7d", "--dry-run") == "2 runs would be removed\n"
    assert home.stats()["total"]["runs"] == 5
    assert home("stats", "prune", "--keep", "9" * 30) == "0 runs removed\n"
    assert home("stats", "prune", "--keep", "4") == "1 run removed\n"
    assert home("stats", "prune", "--before", "2999-01-01") == "4 runs removed\n"
    assert home.stats()["total"]["runs"] == 0


def test_the_path_is_printed_and_a_file_of_that_name_can_still_be_meant(used: Home) -> None:
    assert used("stats", "path") == f"{used.folder / 'stats.db'}\n"
    (used.folder / "path").write_text("", encoding="utf-8")
    assert used.stats("./path")["asked"]["app"] == str(used.folder / "path")
    assert "comes first" in used("stats", "--since", "7d", "path", status=2)


def test_where_nothing_is_recorded_that_is_said_kindly(used: Home, home: Home) -> None:
    assert home("stats").startswith("Nothing is recorded yet.")
    assert home.stats()["total"]["runs"] == 0
    assert "Nothing is recorded." in home("stats", "--format", "html")
    assert used("stats", "ecco") == (
        "No run of `ecco` is recorded.\nRecorded apps: echo\nRecorded models: openai/m, openai/other\n"
    )


@pytest.mark.parametrize("time", ["7", "7x", "-7d", "d", "2026-13-01", "20261101", "٧d", "9999999d", "", "0000-01-01"])
@pytest.mark.parametrize("arguments", [["--since"], ["export", "--since"], ["prune", "--before"]])
def test_a_time_that_is_none_is_refused(arguments: list[str], time: str) -> None:
    with pytest.raises(UsageError, match="is no time") as raised:
        cli.main(["stats", *arguments, time], standalone_mode=False)
    assert f"`{arguments[-1]} {time}`" in raised.value.message


def test_prune_alone_removes_nothing(used: Home) -> None:
    assert "needs `--before` or `--keep`" in used("stats", "prune", status=2)
    assert used.stats()["total"]["runs"] == 5


def test_help_shows_the_options_and_the_commands_wherever_it_is_asked_for(home: Home) -> None:
    text = home("stats", "--help")
    assert home("stats", "echo.rllm", "-h") == text
    for said in ("[FILE | COMMAND ...]", "--since", "--format [table|json|csv|html]", "export", "prune", "path"):
        assert said in text
    assert "--keep" in home("stats", "prune", "--help")
