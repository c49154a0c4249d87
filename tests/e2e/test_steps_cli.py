"""What a command says while it waits, on a real terminal and elsewhere."""

import os
import pty
import re
import subprocess
import threading
import time

import pytest
from tests.apps import at, leaf
from tests.integration.provider import Provider, Reply, answer
from tests.warm import RUNLLM

LINE = re.compile(r"\r\x1b\[K([^\r\n]*)")
OUTER = """---
name: outer
input: {text: text}
returns: {out: text}
uses:
  - {name: inner, path: ./inner.rllm, with: {text: "{{ input.text }}"}}
output: {out: "{{ uses.inner.out }}"}
---
"""
TESTS = "- {name: one, input: {text: x}, output: {out: fine}}\n"


@pytest.fixture
def gate():
    return threading.Event()


@pytest.fixture
def provider(gate):
    """Its first answer does not fit; the next comes when it is let."""

    def held(received):
        gate.wait(60)
        return answer('{"out": "fine"}').body(received)

    with Provider(answer("{}"), Reply(body=held)) as server:
        yield server
        gate.set()


@pytest.fixture
def app(tmp_path, provider):
    (tmp_path / "inner.rllm").write_text(leaf("inner", llm=at(provider.base)), encoding="utf-8")
    (tmp_path / "outer.rllm").write_text(OUTER, encoding="utf-8")
    (tmp_path / "inner.tests.yaml").write_text(TESTS, encoding="utf-8")
    return tmp_path / "outer.rllm"


def on_a_terminal(command, app, until, gate, **environment):
    """What a terminal is shown by a command in the app's folder; the provider answers once `until` can be read."""
    reader, writer = pty.openpty()
    shown = b""
    env = {**os.environ, "TERM": "xterm", **environment}
    env.pop("NO_COLOR", None)
    with subprocess.Popen(
        [RUNLLM, *command.split()], stdin=subprocess.DEVNULL, stdout=writer, stderr=writer, env=env, cwd=app.parent
    ) as process:
        os.close(writer)
        try:
            while piece := os.read(reader, 4096):
                shown += piece
                if re.search(until, shown.decode(errors="replace")):
                    gate.set()
        except OSError:  # how Linux says that the other end is closed
            pass
        os.close(reader)
    return process.returncode, shown.decode()


def test_a_run_says_what_it_waits_for_and_takes_it_back(app, gate):
    status, shown = on_a_terminal("run outer.rllm text=x", app, "attempt 2 of 3", gate)
    after = shown.rpartition("\r\x1b[K")[2].replace("\r\n", "\n")
    assert (status, after) == (0, '{\n  "out": "fine"\n}\n')
    assert any(re.match(r"inner: waiting for openai/m, .*attempt 2 of 3", line) for line in LINE.findall(shown))
    assert "\n" not in shown.partition('{\r\n  "out"')[0]  # one line, over and over


def test_tests_say_how_far_they_are_and_end_in_colours(app, gate):
    """A report in green was an internal error."""
    status, shown = on_a_terminal("test inner.rllm --live", app, r"inner\.rllm", gate)
    assert (status, "\x1b[32m1 case passed" in shown) == (0, True)


@pytest.mark.parametrize("where", ["pipe", "dumb"])
def test_nothing_is_said_in_a_pipe_or_on_a_terminal_that_cannot_take_it_back(app, gate, provider, where):
    def let():
        while len(provider.chats) < 2 and not gate.is_set():
            time.sleep(0.02)
        gate.wait(0.9)  # longer than anybody is left without a word
        gate.set()

    helper = threading.Thread(target=let)
    helper.start()
    if where == "dumb":
        status, shown = on_a_terminal("run outer.rllm text=x", app, "never", gate, TERM="dumb")
        assert (status, shown.replace("\r\n", "\n")) == (0, '{\n  "out": "fine"\n}\n')
    else:
        done = subprocess.run([RUNLLM, "run", str(app), "text=x"], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout, done.stderr) == (0, '{\n  "out": "fine"\n}\n', "")
    gate.set()
    helper.join()
