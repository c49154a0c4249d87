"""The installed command on a machine that fails it: signals, closed streams, full disks, no home, no rights."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.integration.provider import Provider, answer
from tests.warm import INSTALLED, RUNLLM

HEAD = """---
name: {name}
description: d
version: 1.0.0
author: a
max_context_window: 4096
input_schema: {{type: object, properties: {{text: {{type: string}}}}, required: [text], additionalProperties: false}}
output_schema: {{type: object, properties: {{answer: {{type: string}}}}, required: [answer], additionalProperties: false}}
"""
MODEL = (
    HEAD
    + 'llm: {{model: openai/m, api_base: "{base}"}}\nllm_params: {{temperature: 0}}\n---\nSay {{{{ input.text }}}}.\n'
)
PLAIN = HEAD + 'output: {{answer: "{{{{ input.text }}}}"}}\n---\n'
COMPOSED = (
    HEAD
    + """uses:
  - name: one
    path: ./asks.rllm
    with: {{text: "{{{{ input.text }}}}"}}
output: {{answer: "{{{{ uses.one.answer }}}}"}}
---
"""
)
BLOCK = PLAIN + "\n```rllm-python check\nwhile True:\n    pass\n```\n"
TIMES = 60.0


class Home:
    """A folder with the apps, and a store of its own."""

    def __init__(self, folder: Path, base: str) -> None:
        self.folder = folder
        self.store = folder / "stats" / "stats.db"
        for name, text in {"asks": MODEL, "plain": PLAIN, "composed": COMPOSED, "block": BLOCK}.items():
            (folder / f"{name}.rllm").write_text(text.format(name=name, base=base), encoding="utf-8")

    def environment(self, **more: str) -> dict[str, str]:
        return {**os.environ, "NO_COLOR": "1", "RUNLLM_STATS": "on", "RUNLLM_STATS_DB": str(self.store), **more}

    def shell(self, line: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a line of bash in the folder, `$R` being the command."""
        return subprocess.run(
            ["bash", "-c", line],
            capture_output=True,
            text=True,
            timeout=TIMES * 2,
            cwd=self.folder,
            env=self.environment(**{"R": RUNLLM, **more}),
            stdin=subprocess.DEVNULL,
        )

    def start(
        self, *arguments: str, before: Callable[[], object] | None = None, program: str = RUNLLM, **more: str
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [program, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            cwd=self.folder,
            env=self.environment(**more),
            preexec_fn=before,  # noqa: PLW1509 - it only sets what a signal does
        )

    def rows(self) -> list[tuple[str, str | None]]:
        """App and error of each run, after a look at whether the store is sound."""
        with contextlib.closing(sqlite3.connect(self.store)) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            return db.execute("SELECT app, error_code FROM runs ORDER BY id").fetchall()


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as server:
        yield server


@pytest.fixture
def home(provider: Provider) -> Iterator[Home]:
    with tempfile.TemporaryDirectory() as folder:  # other users can reach it, which those of pytest are not
        Path(folder).chmod(0o755)
        yield Home(Path(folder), provider.base)


def until(there: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMES
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def below(parent: int) -> list[int]:
    """The processes that a process has started."""
    found: list[int] = []
    for place in Path(f"/proc/{parent}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, place.read_text().split())
    return found


# --- signals ---------------------------------------------------------------------------------------------------


def as_in_the_background() -> None:
    """A shell without job control lets what it starts with `&` ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def as_in_a_terminal() -> None:
    """Not as under `nohup`, where the tests may run too."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.parametrize(
    ("app", "sent", "status", "before"),
    [
        ("asks", signal.SIGTERM, 143, None),
        ("asks", signal.SIGHUP, 129, as_in_a_terminal),
        ("composed", signal.SIGINT, 130, None),
        ("composed", signal.SIGTERM, 143, None),
        ("composed", signal.SIGTERM, 143, as_in_the_background),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_signal_in_the_middle_of_a_call_ends_the_run_cleanly_and_recorded(
    home: Home, provider: Provider, app: str, sent: signal.Signals, status: int, before: Callable[[], object] | None
) -> None:
    provider.script(answer('{"answer": "late"}', delay=100))
    process = home.start("run", f"{app}.rllm", "text=x", before=before)
    until(lambda: provider.chats)
    process.send_signal(sent)
    out, err = process.communicate(timeout=TIMES)
    assert (process.returncode, out) == (status, "")
    assert json.loads(err)["error_code"] == "RLLM_024"
    assert set(home.rows()) == {(app, "RLLM_024"), ("asks", "RLLM_024")}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /proc")
@pytest.mark.parametrize("how", [[], ["--trust-python"]], ids=["sandboxed", "trusted"])
def test_a_signal_in_a_block_leaves_no_process(home: Home, how: list[str]) -> None:
    process = home.start("run", "block.rllm", "text=x", "--block-timeout", "5", *how, program=INSTALLED)
    until(lambda: below(process.pid))
    children = below(process.pid)
    time.sleep(0.5)  # so that the block has begun
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=TIMES)
    assert process.returncode == 143
    until(lambda: not any(Path(f"/proc/{child}").exists() for child in children))
    assert home.rows() == [("block", "RLLM_024")]


def test_a_second_signal_ends_it_at_once(home: Home, provider: Provider) -> None:
    """Even while it waits for a store that another process keeps locked."""
    home.shell("$R plain.rllm text=x")
    other = sqlite3.connect(home.store, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    provider.script(answer('{"answer": "late"}', delay=100))
    process = home.start("run", "asks.rllm", "text=x")
    until(lambda: provider.chats)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    start = time.monotonic()
    process.communicate(timeout=TIMES)
    assert process.returncode == -signal.SIGTERM
    assert time.monotonic() - start < 5
    other.close()
    assert home.rows() == [("plain", None)]


def test_ctrl_c_twice_ends_it_with_a_sound_store(home: Home, provider: Provider) -> None:
    provider.script(answer('{"answer": "late"}', delay=100))
    process = home.start("run", "composed.rllm", "text=x")
    until(lambda: provider.chats)
    process.send_signal(signal.SIGINT)
    time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=TIMES)
    assert (process.returncode, out) == (130, "")
    told = home.shell("$R stats")  # which makes its tables, should the second one have come before them
    assert (told.returncode, told.stderr) == (0, ""), told.stderr
    home.rows()


def test_nohup_still_holds(home: Home, provider: Provider) -> None:
    provider.script(answer('{"answer": "done"}', delay=1))
    process = home.start("run", "asks.rllm", "text=x", before=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    until(lambda: provider.chats)
    process.send_signal(signal.SIGHUP)
    out, _ = process.communicate(timeout=TIMES)
    assert (process.returncode, json.loads(out)) == (0, {"answer": "done"})


# --- streams ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    ["$R schema | true", "$R --help | true", "$R schema | head -c 10", "$R inspect plain.rllm --format json | true"],
)
def test_a_reader_that_goes_away_ends_it_quietly_with_141(home: Home, line: str) -> None:
    done = home.shell(f"{line} >/dev/null; echo ${{PIPESTATUS[0]}}")
    assert done.stdout.strip() in ("141", "0")  # what was written before it went is no failure
    assert done.stderr == ""


def test_a_result_that_nobody_reads_is_recorded(home: Home) -> None:
    done = home.shell("$R plain.rllm text=x | true; echo ${PIPESTATUS[0]}")
    assert (done.stdout, done.stderr) == ("141\n", "")
    assert home.rows() == [("plain", None)]


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("$R plain.rllm text=x --verbose 2>&-", 0),
        ("$R plain.rllm text=x >&- 2>&- <&-", 3),
        ("$R plain.rllm text=x -o out.json >&-", 0),
        ("$R config >&- 2>&-", 3),
        ("$R nothing.rllm 2>&-", 3),
        ("$R nothing.rllm >&- 2>&-", 3),
        ("$R nothing.rllm 2>/dev/full", 141),
    ],
)
def test_a_closed_stream_is_no_crash(home: Home, line: str, status: int) -> None:
    done = home.shell(f"({line}); exit $?")
    assert (done.returncode, done.stderr) == (status, "")
    if home.store.exists():
        home.rows()


@pytest.mark.parametrize("line", ["$R run plain.rllm text=x >&-", "$R validate plain.rllm >&-", "$R stats >&-"])
def test_a_result_that_a_closed_output_loses_is_no_success(home: Home, line: str) -> None:
    done = home.shell(f"({line}); exit $?")
    assert done.returncode == 3
    assert json.loads(done.stderr)["message"] == "the output cannot be written: it is closed"
    assert "run plain" not in line or not home.store.exists(), "nothing was run, and nothing paid for"


@pytest.mark.parametrize(
    "line", ["$R plain.rllm text=x > /dev/full", "$R schema > /dev/full", "$R plain.rllm text=x -o /dev/full"]
)
def test_output_on_a_full_disk_is_a_catalogued_error(home: Home, line: str) -> None:
    done = home.shell(line)
    assert done.returncode == 3
    assert json.loads(done.stderr)["error_code"] == "RLLM_023"
    assert "No space left" in json.loads(done.stderr)["message"]
    assert "-o" not in line or "Make room" in json.loads(done.stderr)["recovery_hint"]


# --- disks and folders -----------------------------------------------------------------------------------------


def test_a_full_disk_loses_neither_the_answer_nor_the_store(home: Home) -> None:
    home.shell("$R plain.rllm text=x")
    done = home.shell("ulimit -f 0; $R plain.rllm text=x")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"answer": "x"})
    assert done.stderr.startswith("warning: the run is not in the statistics")
    done = home.shell("ulimit -f 0; $R plain.rllm text=x --no-stats -o out.json")
    assert json.loads(done.stderr)["error_code"] == "RLLM_023"
    assert not (home.folder / "out.json").exists()
    assert home.shell("$R plain.rllm text=x").stderr == ""
    assert home.rows() == [("plain", None)] * 2


def a_folder(path: Path) -> None:
    path.mkdir(parents=True)


def no_database(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database " * 1000)


def below_a_file(path: Path) -> None:
    path.parent.write_text("in the way")


@pytest.mark.parametrize("make", [a_folder, no_database, below_a_file])
def test_a_store_that_cannot_be_used_is_a_warning(home: Home, make: Callable[[Path], None]) -> None:
    make(home.store)
    done = home.shell("$R plain.rllm text=x")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"answer": "x"})
    assert done.stderr.startswith("warning: the run is not in the statistics")


@pytest.mark.parametrize(
    "where", ["HOME=/dev/null", "HOME=/proc/1", "HOME=", "HOME=nowhere", "-u HOME", "HOME=/dev/null TMPDIR=/nowhere"]
)
def test_without_a_home_it_runs_and_says_what_is_not_recorded(home: Home, where: str) -> None:
    line = f"unset RUNLLM_STATS_DB RUNLLM_CONFIG; env {where} XDG_CONFIG_HOME= RUNLLM_STATS=on $R plain.rllm text=x"
    if where in ("HOME=", "-u HOME"):  # then it is the home that the system knows, which is the developer's
        line = line.replace("RUNLLM_STATS=on", "RUNLLM_STATS=off")
    done = home.shell(line)
    assert (done.returncode, json.loads(done.stdout)) == (0, {"answer": "x"})
    assert done.stderr == "" or done.stderr.startswith("warning: the run is not in the statistics")


_AS_NOBODY = """
import os, sys
from runllm.cli import invoke
assert invoke(["plain.rllm", "text=before"]) == 0  # loads what it needs, which nobody may not be allowed to read
sys.stdout.flush()
del os.environ["RUNLLM_STATS_DB"]
os.environ.update(HOME=os.getcwd(), XDG_CONFIG_HOME="")
os.chmod(".", 0o555)
if os.getuid() == 0:
    os.setuid({nobody})
sys.exit(invoke(["plain.rllm", "text=after"]))
"""


def test_with_a_home_that_is_read_only_it_runs_and_says_what_is_not_recorded(home: Home) -> None:
    environment = home.environment()
    environment.pop("RUNLLM_CONFIG")
    code = _AS_NOBODY.format(nobody=pwd.getpwnam("nobody").pw_uid)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=TIMES, cwd=home.folder, env=environment
    )
    home.folder.chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith('{\n  "answer": "after"\n}\n')
    assert "warning: the run is not in the statistics" in done.stderr
    assert "ermission denied" in done.stderr


def test_in_a_folder_that_is_gone_it_runs_what_it_can_find(home: Home) -> None:
    line = "mkdir gone; cd gone; rmdir ../gone; $R {} text=x"
    assert home.shell(line.format("plain.rllm")).returncode == 3
    assert home.shell(line.format("../plain.rllm")).returncode in (0, 3)  # systems differ in what `..` means there
    assert json.loads(home.shell(line.format(home.folder / "plain.rllm")).stdout) == {"answer": "x"}


@pytest.mark.parametrize("limit", ["-n 8", "-v 200000", "-u 1", "-t 20"])
def test_with_little_of_everything_it_runs(home: Home, limit: str) -> None:
    done = home.shell(f"ulimit {limit}; exec $R plain.rllm text=x", R=INSTALLED)
    assert (done.returncode, json.loads(done.stdout)) == (0, {"answer": "x"})


def test_without_room_for_the_library_that_calls_models_it_says_so(home: Home) -> None:
    done = home.shell("ulimit -f 0; TMPDIR=/nowhere $R run asks.rllm text=x --no-stats --engine litellm")
    error = json.loads(done.stderr)
    assert (done.returncode, error["error_code"]) == (8, "RLLM_021")
    assert "temporary" in error["message"]


def test_ctrl_c_while_it_loads_ends_it_without_a_word() -> None:
    program = (
        "import sys\n"
        "class Finder:\n"
        "    def find_spec(name, path=None, target=None):\n"
        "        if name == 'runllm.cli': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Finder)\n"
        "from runllm.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
