"""A place in which a page is tried: a folder with the examples, a home of its own, a terminal, models that answer.

A command runs on a terminal, as a reader's does, so that errors are reports and not JSON. What one block exports, and
where it goes with `cd`, holds for the next one; the Python blocks of a page are one program.
"""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fuzz.specimens import specimens
from tests.docs.pages import ROOT
from tests.entry import entry_points
from tests.integration.ollama_server import Model, OllamaServer
from tests.integration.provider import Provider, Received, answer
from tests.warm import RUNLLM

from runllm.schema import Contract

COLUMNS = 100
SECONDS = 120
_MARK = "--end-of-step--"
# `uv run COMMAND` is the command itself; what would install something ends with a word and status 9.
_TOOLS = {
    "uv": '[ "$1" = run ] || { echo "uv $*: not in a test" >&2; exit 9; }\nshift\nexec "$@"\n',
    "pip": 'echo "pip $*: not in a test" >&2; exit 9\n',
}
# What stands for `curl` where there is none, as far as the pages use it.
_CURL = """#!/usr/bin/env python3
import sys, time, urllib.error, urllib.request
words, headers, body = sys.argv[1:], {}, None
while words:
    word = words.pop(0)
    if word == "--json":
        headers["Content-Type"], body = "application/json", words.pop(0).encode()
    elif word == "-H":
        name, _, value = words.pop(0).partition(": ")
        headers[name] = value
    elif word == "-F":
        name, _, path = words.pop(0).partition("=@")
        headers["Content-Type"] = "multipart/form-data; boundary=edge"
        head = f'--edge\\r\\nContent-Disposition: form-data; name="{name}"; filename="{path}"\\r\\n\\r\\n'
        body = head.encode() + open(path, "rb").read() + b"\\r\\n--edge--\\r\\n"
    elif word in ("--retry", "--retry-delay"):
        words.pop(0)
    elif not word.startswith("-"):
        url = word if "://" in word else f"http://{word}"
for _ in range(60):
    try:
        found = urllib.request.urlopen(urllib.request.Request(url, body, headers))
    except urllib.error.HTTPError as error:
        found = error
    except urllib.error.URLError:
        time.sleep(1)
        continue
    sys.stdout.write(found.read().decode())
    break
"""
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_PYTHON = """
import contextlib, io, json, sys, traceback
names = {"__name__": "__main__"}
for line in sys.stdin:
    code, name = json.loads(line)
    printed, error = io.StringIO(), ""
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(code, name, "exec"), names)
    except BaseException:
        error = traceback.format_exc()
    print(json.dumps([printed.getvalue(), error]), file=sys.__stdout__, flush=True)
"""


class Session:
    """One page's place. `run` and `python` return what was printed; the first also the statuses."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self._state = folder.parent / "state.sh"
        self._python: subprocess.Popen[str] | None = None

    def write(self, name: str, text: str) -> Path:
        """Save a file of the page; `~` is the session's home."""
        path = Path(name.replace("~", self.environment["HOME"], 1)) if name.startswith("~") else self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)
        return path

    def run(self, commands: Sequence[str], *, unset: Sequence[str] = ()) -> list[tuple[int, str]]:
        """Type these commands one after the other; the status and the output of each."""
        ends = f'__s=$?; printf "\\n{_MARK} %d\\n" $__s; (exit $__s)'
        typed = "\n".join(f"{command}\n{ends}" for command in commands)
        state = f"'{self._state}'"
        script = f"[ -f {state} ] && . {state}\n{typed}\nexport -p > {state}; echo \"cd '$PWD'\" >> {state}\n"
        environment = {key: value for key, value in self.environment.items() if key not in unset}
        environment.setdefault("OLLAMA_HOST", "127.0.0.1:1")  # whoever runs the tests may have a server
        printed = self._plain(on_a_terminal(["bash", "-c", script], self.folder, environment))
        found: list[tuple[int, str]] = []
        parts = printed.split(f"\n{_MARK} ")
        said = parts[0]
        for part in parts[1 : len(commands) + 1]:
            status, _, following = part.partition("\n")
            found.append((int(status), said))
            said = following
        return found + [(-1, f"{said}\nand it went no further")] * (len(commands) - len(found))

    def python(self, code: str, name: str) -> tuple[str, str]:
        """Run a block after those before it; what it prints, and a traceback where it failed."""
        if self._python is None:
            self._python = subprocess.Popen(
                [sys.executable, "-c", _PYTHON],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=self.folder,
                env=self.environment,
            )
        assert self._python.stdin
        assert self._python.stdout
        self._python.stdin.write(json.dumps([code, name]) + "\n")
        self._python.stdin.flush()
        line = self._python.stdout.readline()
        printed, error = json.loads(line) if line else ("", "the interpreter ended")
        return printed, error

    def _plain(self, printed: str) -> str:
        """Without colours and cursor movements; the home and the folder as a page names them."""
        lines = [line.rpartition("\r")[2] for line in _COLOUR.sub("", printed).replace("\r\n", "\n").split("\n")]
        return "\n".join(lines).replace(self.environment["HOME"], "~").replace(f"{self.folder}/", "")

    def close(self) -> None:
        """End the interpreter."""
        if self._python is not None:
            self._python.kill()
            self._python.communicate()


@contextmanager
def session(folder: Path) -> Iterator[Session]:
    """A session in `folder`, with a provider and an Ollama server on this machine."""
    project, home, tools = folder / "project", folder / "home", folder / "bin"
    shutil.copytree(ROOT / "examples", project / "examples")
    (project / "pyproject.toml").touch()
    home.mkdir()
    tools.mkdir()
    for name, script in _TOOLS.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}", encoding="utf-8")
        (tools / name).chmod(0o755)
    kept = {name: os.environ[name] for name in ("LANG", "TMPDIR", "PYTHONPATH") if name in os.environ}
    if shutil.which("curl") is None:
        (tools / "curl").write_text(_CURL, encoding="utf-8")
        (tools / "curl").chmod(0o755)
    models = {"llama3.2": Model(answer='{"subject": "A late parcel"}')}
    with Provider(_OBLIGING) as provider, OllamaServer(models) as ollama:
        environment = {
            **kept,
            "PATH": os.pathsep.join(
                [str(tools), str(Path(RUNLLM).parent), str(Path(sys.executable).parent), os.environ["PATH"]]
            ),
            "HOME": str(home),
            "PYTHONPATH": os.pathsep.join(
                [str(entry_points(folder / "found")), *filter(None, [kept.get("PYTHONPATH")])]
            ),
            "NO_COLOR": "1",
            "TERM": "xterm",
            "RUNLLM_MODELS": str(home / "models"),
            "PYTHONIOENCODING": "utf-8",
            "RUNLLM_LOOPBACK_ONLY": "1",
            "OPENAI_API_KEY": "sk-of-a-test",
            "OPENAI_BASE_URL": provider.base,
            "ANTHROPIC_API_KEY": "sk-ant-of-a-test",
            "ANTHROPIC_API_BASE": provider.root,
            "OLLAMA_HOST": ollama.base,
        }
        made = Session(project, environment)
        try:
            yield made
        finally:
            made.close()


def _oblige(received: Received) -> Any:
    """A completion with some value that fits the schema which the request carries."""
    body = received.body
    tools = body.get("tools") or [{}]
    form = (body.get("response_format") or {}).get("json_schema", {}).get("schema")
    schema = form or tools[0].get("input_schema") or body.get("format") or {"type": "object"}
    accepts = Contract(schema).accepts
    fitting = [value for value in specimens(schema) if accepts(value)]
    fullest = max(fitting, key=lambda value: len(json.dumps(value)))
    reply = answer(json.dumps(fullest))
    assert callable(reply.body)
    return reply.body(received)


_OBLIGING = type(answer(""))(body=_oblige)


def on_a_terminal(command: Sequence[str], folder: Path, environment: dict[str, str]) -> str:
    """What a command prints on a terminal, standard error included, as it is sent there."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (50, COLUMNS))
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    os.close(slave)
    printed = b""
    deadline = time.monotonic() + SECONDS
    try:
        while time.monotonic() < deadline:
            ready, _, _ = select.select([master], [], [], 0.2)
            if ready:
                try:
                    chunk = os.read(master, 65536)
                except OSError:  # the last one who held the terminal is gone
                    break
                if not chunk:
                    break
                printed += chunk
            elif process.poll() is not None:
                break
        else:
            printed += f"\n... and ran for more than {SECONDS} s".encode()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()
        os.close(master)
    return printed.decode("utf-8", "replace")
