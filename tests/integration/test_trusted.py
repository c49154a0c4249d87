"""Trusted blocks: real CPython in a child that has a deadline, bounds and a clean surrounding."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runllm.blocks import BlockFailure, Limits, Sandbox
from runllm.blocks.trusted import TrustedRunner

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="POSIX")
LINUX = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
ROOMY = Limits(timeout=20)


@pytest.fixture(scope="module")
def trusted():
    with TrustedRunner() as one:
        yield one


def failure_of(runner, code, outputs=("x",), limits=ROOMY, **names):
    with pytest.raises(BlockFailure) as caught:
        runner.run(code, names, outputs, limits=limits)
    return caught.value


def test_it_runs_python_that_the_sandbox_does_not_have(trusted):
    """Generators, classes with bases, any module of the standard library."""
    code = """
import statistics, string
class Half(float):
    pass
def halves(values):
    for value in values:
        yield Half(value / 2)
x = [statistics.mean(halves(data["n"])), string.digits]
"""
    assert trusted.run(code, {"data": {"n": [2, 4]}}, ["x"], limits=ROOMY).values == {"x": [1.5, "0123456789"]}


@pytest.mark.parametrize(
    "value",
    [2**63, -(2**64) - 1, 10**400, 0.1, -0.0, 5e-324, True, None, "é\u2028😀\0", "'\"\\\n", {"": {"a": [None, 1.0]}}],
    ids=lambda value: repr(value)[:20],
)
def test_json_values_come_back_as_they_went_in(trusted, value):
    assert repr(trusted.run("y = x", {"x": value}, ["y"], limits=ROOMY).values) == repr({"y": value})


SAME = [
    ("x = 1\nassert x == 2, 'two\\nlines'", "assertion", 2),
    ("def f(n):\n    assert n < 3, f'{n} is too many'\n\nf(5)", "assertion", 2),
    ("raise AssertionError('no\\nassert this')", "assertion", 1),
    ("\n\nx = 1 / 0", "exception", 3),
    ("x = nope", "exception", 1),
    ("x = {1}", "result", None),
    ("x = b'a'", "result", None),
    ("x = [float('nan')]", "result", None),
    ("x = []\nx.append(x)", "result", None),
    ("x = {(1, 2): 3}", "result", None),
    ("y = 1", "result", None),
    ("def f(n): return f(n + 1)\nf(0)", "limit", None),
    ("x = 'a' * (5 << 20)", "limit", None),
    ("x = 1\0", "syntax", None),
    ("x = '\ud800'", "syntax", None),
]


@pytest.mark.parametrize(("code", "kind", "line"), SAME, ids=lambda value: repr(value)[:30])
def test_failures_are_those_of_the_sandbox(trusted, code, kind, line):
    """The same kind, the same words, the same place."""
    with Sandbox() as sandbox:
        theirs = failure_of(sandbox, code)
    ours = failure_of(trusted, code)
    assert (ours.kind, ours.limit) == (theirs.kind, theirs.limit)
    assert theirs.message.startswith(ours.message)  # older Pythons do not say which float is out of range
    assert ours.kind == kind
    if line:
        assert ours.line == theirs.line == line


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("x = 1\nassert (x ==\n  2)", "assertion", "assert (x ==\n  2)"),
        ("y = = 1", "syntax", "invalid syntax"),
        ("raise SystemExit(3)", "exception", "SystemExit: 3"),
        ("raise KeyboardInterrupt", "exception", "KeyboardInterrupt"),
        ("import os\nos._exit(4)", "exception", "its process ended with status 4 before it gave a result"),
        ("x = '\\ud800'", "result", "surrogate"),
        ("x = 10 ** 5000", "result", "digits"),
        ("x = []\nfor i in range(100000): x = [x]", "result", "nested too deeply"),
        ("import sys\nsys.stdout.close()\nsys.stdin.close()\n1 / 0", "exception", "ZeroDivisionError"),
    ],
)
def test_failures_of_its_own(trusted, code, kind, words):
    failure = failure_of(trusted, code)
    assert failure.kind == kind
    assert words in failure.message


@LINUX
@pytest.mark.parametrize("code", ["x = 'a' * 10 ** 10", "x = []\nwhile True: x.append('a' * 100000 + str(len(x)))"])
def test_memory_is_bounded(trusted, code):
    failure = failure_of(trusted, code)
    assert (failure.kind, failure.limit) == ("limit", "memory")
    assert "64 MiB" in failure.message


@LINUX
def test_a_block_may_use_the_memory_it_was_given(trusted):
    ran = trusted.run("x = len('a' * (60 << 20))", {}, ["x"], limits=ROOMY)
    assert ran.values == {"x": 60 << 20}


@POSIX
@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "import time\nprint('before', flush=True)\ntime.sleep(60)",
        "import signal\nfor s in (2, 15): signal.signal(s, signal.SIG_IGN)\nwhile True: pass",
        "import os, time\nos.close(1); os.close(2)\ntime.sleep(60)",
    ],
)
def test_the_deadline_holds(trusted, code):
    begun = time.monotonic()
    failure = failure_of(trusted, code, limits=Limits(timeout=0.5))
    assert (failure.kind, failure.limit) == ("limit", "time")
    assert 0.5 <= time.monotonic() - begun < 8
    assert failure.printed == ("before\n" if "before" in code else "")


@LINUX
def test_what_the_block_starts_ends_with_it(trusted):
    """Processes that it forks or spawns are gone, whether it ends or is stopped, and do not delay its result."""
    fork = "import os, time\nx = os.fork()\nif x == 0: time.sleep(60)\n"
    spawn = "import subprocess\nx = subprocess.Popen(['sleep', '60']).pid\n"
    begun = time.monotonic()
    pids = [trusted.run(code, {}, ["x"], limits=ROOMY).values["x"] for code in (fork, spawn)]
    failure_of(trusted, spawn + "print(x)\nwhile True: pass", limits=Limits(timeout=0.5))
    assert time.monotonic() - begun < 40
    deadline = time.monotonic() + 60
    while any(_alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [pid for pid in pids if _alive(pid)] == []


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@POSIX
def test_a_process_that_leaves_the_group_does_not_hold_the_result(trusted):
    code = """
import os, time
if os.fork() == 0:
    os.setsid()
    time.sleep(60)
    os._exit(0)
print("done")
x = 1
"""
    begun = time.monotonic()
    ran = trusted.run(code, {}, ["x"], limits=ROOMY)
    assert (ran.values, ran.printed) == ({"x": 1}, "done\n")
    assert time.monotonic() - begun < 40


def test_a_forked_process_gives_no_second_answer(trusted):
    if not hasattr(os, "fork"):
        pytest.skip("no fork here")
    ran = trusted.run("import os\nx = 'child' if os.fork() == 0 else os.wait() and 'parent'", {}, ["x"], limits=ROOMY)
    assert ran.values == {"x": "parent"}


def test_its_surrounding_is_clean(trusted, monkeypatch, tmp_path):
    """No secrets in the environment, an empty folder of its own, nothing on stdin, no module of the caller's folder."""
    monkeypatch.setenv("RUNLLM_CANARY_KEY", "secret")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "json.py").write_text("raise RuntimeError")
    code = """
import os, sys
x = {"env": sorted(os.environ), "cwd": os.getcwd(), "files": os.listdir(), "stdin": sys.stdin.read(), "path": sys.path}
"""
    seen = trusted.run(code, {}, ["x"], limits=ROOMY).values["x"]
    assert set(seen["env"]) <= {"PATH", "SystemRoot", "TMPDIR", "LANG", "LC_CTYPE"}
    assert (seen["files"], seen["stdin"]) == ([], "")
    assert seen["cwd"] != str(tmp_path)
    assert not Path(seen["cwd"]).exists()
    assert not {str(tmp_path), "", str(Path(__file__).parents[2] / "src" / "runllm" / "blocks")} & set(seen["path"])


@LINUX
def test_it_inherits_no_open_files(trusted):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.set_inheritable(True)
        code = "import os\nx = [os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd') if os.path.lexists(f'/proc/self/fd/{n}')]"
        seen = trusted.run(code, {}, ["x"], limits=ROOMY).values["x"]
    assert [name for name in seen if "socket" in name] == []


def test_prints_are_kept_within_bounds_and_never_shown(trusted, capfd):
    """Also what C code or another process writes, and what a failing block printed."""
    code = "import os, sys\nprint('one')\nos.write(1, b'two\\n')\nprint('three', file=sys.stderr)\nx = 1"
    assert trusted.run(code, {}, ["x"], limits=ROOMY).printed == "one\ntwo\nthree\n"
    assert failure_of(trusted, "print('before')\n1 / 0").printed == "before\n"
    assert len(trusted.run("print('a' * 10**6)\nx = 1", {}, ["x"], limits=ROOMY).printed) == 64 * 1024
    assert capfd.readouterr() == ("", "")


def test_functions_see_the_names_and_nothing_of_the_runner(trusted):
    ran = trusted.run("def f(): return n + 1\nx = f()\ny = sorted(k for k in globals() if k[0] != '_')", {"n": 1}, ["x", "y"], limits=ROOMY)  # fmt: skip
    assert ran.values == {"x": 2, "y": ["f", "n", "x"]}


def test_many_at_once(trusted):
    before = threading.active_count()
    with ThreadPoolExecutor(12) as threads:
        runs = threads.map(lambda n: trusted.run("x = n * 2", {"n": n}, ["x"], limits=ROOMY).values["x"], range(24))
        assert list(runs) == [n * 2 for n in range(24)]
    assert threading.active_count() < before + 20


def test_large_values_pass_both_ways(trusted):
    """More than a pipe holds."""
    data = ["x" * 1000] * 2000
    assert trusted.run("y = data", {"data": data}, ["y"], limits=ROOMY).values == {"y": data}


@POSIX
def test_ctrl_c_stops_the_caller_at_once_and_leaves_no_child():
    code = """
import os, signal, subprocess, threading, time
from runllm.blocks import Limits
from runllm.blocks.trusted import TrustedRunner
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
begun = time.monotonic()
try:
    TrustedRunner().run("import time\\ntime.sleep(60)", {}, [], limits=Limits(timeout=60))
except KeyboardInterrupt:
    print("interrupted", time.monotonic() - begun < 10)
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    print("alone")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.stderr) == ("interrupted True\nalone\n", "")


def test_without_an_interpreter_it_says_so(trusted, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    failure = failure_of(trusted, "x = 1")
    assert failure.kind == "unavailable"
    assert "cannot start" in failure.message
    assert json.dumps(failure.printed) == '""'
