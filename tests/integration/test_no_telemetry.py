"""What a process does beside computing: it reaches no host but the one it is sent to, and starts nothing but its workers.

An audit hook of the interpreter sees every look-up, connection, process and opened file, those of libraries too. It is
set in each Python process before anything else, by a `sitecustomize` that they all import.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests.integration.provider import Provider, answer

PROJECT = Path(__file__).parents[2]
HOOK = """
import os, sys

def watch():
    log = os.open(os.environ["WATCH_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    loopback = ("127.", "::1", "localhost")
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

    def say(*words):
        os.write(log, ("\\t".join(map(str, words)) + "\\n").encode("utf-8", "backslashreplace"))

    def hook(event, given):
        if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
            host = given[0].decode() if isinstance(given[0], bytes) else given[0]
            if host is not None and not host.startswith(loopback):
                say("reached", event, host)
                raise OSError("nothing but this machine is reached here")
        elif event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
            address = given[1]
            if isinstance(address, tuple) and not str(address[0]).startswith(loopback):
                say("reached", event, address)
                raise OSError("nothing but this machine is reached here")
        elif event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "pty.spawn"):
            say("started", event, *(repr(part) for part in given[:2]))
        elif event == "open" and isinstance(given[0], (str, bytes)) and isinstance(given[2], int) and given[2] & writing:
            say("wrote", os.path.abspath(os.fsdecode(given[0])))
        elif event in ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.symlink", "os.link", "os.truncate"):
            say("wrote", os.path.abspath(os.fsdecode(given[0])) if not isinstance(given[0], int) else given[0])
        elif event in ("ctypes.dlopen", "webbrowser.open"):
            say("loaded", given[0])
    sys.addaudithook(hook)

watch()
"""
LIBRARY = """
import asyncio, json, sys
import runllm
app = runllm.load(sys.argv[1])
print(json.dumps(app.run(json.loads(sys.argv[2])).output))
print(json.dumps(asyncio.run(app.arun(json.loads(sys.argv[2]))).output))
"""
HEAD = """---
name: app
description: A test.
version: 1.0.0
author: me
max_context_window: 4096
input_schema: {{type: object, properties: {{text: {{type: string}}}}, required: [text]}}
output_schema: {{type: object, properties: {{out: {{type: string}}}}, required: [out], additionalProperties: false}}
llm: {{model: {model}{base}, num_retries: 0}}
llm_params: {{max_tokens: 200}}
---
{prompt}
"""


LINES = """
import json, sys
from runllm.cli import invoke
for arguments in json.loads(sys.argv[1]):
    invoke(arguments)
"""


@pytest.fixture
def provider():
    with Provider(answer('{"out": "x"}')) as server:
        yield server


_UNAME = "subprocess.Popen\t'uname'\t['uname', '-p']"  # by `platform.processor()`, which LiteLLM's client asks


class Watched:
    """Runs commands under the hook, in a home of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        self.home = folder / "home"
        (self.home / "tmp").mkdir(parents=True)
        (folder / "site").mkdir()
        (folder / "site" / "sitecustomize.py").write_text(HOOK, encoding="utf-8")
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.home), "TMPDIR": str(self.home / "tmp"), "PYTHONPATH": str(folder / "site"), "WATCH_LOG": str(self.log),
            "OPENAI_API_KEY": "a-key-of-no-one", "PYTHONDONTWRITEBYTECODE": "1", "LANG": "C.UTF-8",
        }  # fmt: skip

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, *command], capture_output=True, text=True, timeout=110, cwd=self.folder,
            stdin=subprocess.DEVNULL, env={**self.environment, **environment},
        )  # fmt: skip

    def run_all(self, lines: list[list[str]], **environment: str) -> subprocess.CompletedProcess:
        """Run command lines one after the other in one process, as LiteLLM takes seconds to import."""
        return self.run("-c", LINES, json.dumps(lines), **environment)

    def seen(self, kind: str) -> list[str]:
        lines = self.log.read_text("utf-8").splitlines() if self.log.exists() else []
        return [line.partition("\t")[2] for line in lines if line.startswith(f"{kind}\t")]

    def written_elsewhere(self) -> list[str]:
        """What was written outside of the home, which holds the folder for what is temporary, and of devices."""
        fine = (str(self.home), str(self.log), "/dev/", "/proc/self/")
        return [path for path in self.seen("wrote") if not path.startswith(fine)]

    def started_others(self) -> list[str]:
        """The processes that are neither workers of the sandbox nor this Python, nor what a library asks of the system."""
        fine = (f"subprocess.Popen\t{sys.executable!r}\t", _UNAME)
        return [line for line in self.seen("started") if not line.startswith(fine)]


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_the_hook_sees_what_it_should(watched: Watched) -> None:
    code = (
        "import socket, os, subprocess\nopen('elsewhere', 'w').close()\nos.system('true')\nsubprocess.run(['true'])\n"
    )
    for call in ("socket.create_connection(('192.0.2.1', 80), 1)", "socket.getaddrinfo('example.com', 80)"):
        watched.run("-c", f"{code}{call}")
    assert len(watched.seen("reached")) == 2
    assert len(watched.started_others()) >= 4
    assert any(path.endswith("elsewhere") for path in watched.written_elsewhere())


@pytest.mark.timeout(300)
def test_nothing_but_the_models_own_server_is_reached(watched: Watched, provider: Provider) -> None:
    """Import, check, run, predict, show: on the command line and in the library, sync and async."""
    app = watched.folder / "app.rllm"
    block = "```rllm-python pre\nx = context['input']['text'].upper()\n```\n{{ vars.x }}"
    app.write_text(
        HEAD.format(model="openai/gpt-4o-mini", base=f', api_base: "{provider.base}"', prompt=block), encoding="utf-8"
    )
    cli = ("-m", "runllm")
    for command in (
        ("-c", "import runllm"), (*cli, "--version"), (*cli, "validate", str(app)), (*cli, "inspect", str(app)),
        (*cli, "run", str(app), "text=a"), (*cli, "run", str(app), "text=a", "-v", "--log-content"),
        (*cli, "run", str(app), "text=a", "--dry-run"), ("-c", LIBRARY, str(app), '{"text": "a"}'),
        (*cli, "stats"), (*cli, "exectime", str(app)), (*cli, "models"), (*cli, "config"), (*cli, "schema"), (*cli, "doctor"),
    ):  # fmt: skip
        done = watched.run(*command)
        assert done.returncode == 0 or command[-1] == "doctor", (command, done.stderr[-2000:])
    assert len(provider.chats) == 4
    assert watched.seen("reached") == []
    assert watched.started_others() == []
    assert watched.written_elsewhere() == []


@pytest.mark.timeout(300)
def test_a_failing_server_makes_nobody_else_be_told(watched: Watched) -> None:
    app = watched.folder / "app.rllm"
    app.write_text(
        HEAD.format(model="openai/m", base=', api_base: "http://127.0.0.1:9/v1"', prompt="hi {{ input.text }}"),
        encoding="utf-8",
    )
    assert watched.run("-m", "runllm", "run", str(app), "text=a").returncode == 7
    assert (
        watched.run("-m", "runllm", "run", str(app), "text=a", "-m", "ollama/m", OLLAMA_HOST="127.0.0.1:9").returncode
        != 0
    )
    assert watched.seen("reached") == []
    assert watched.started_others() == []


def given_to(path: Path, home: Path) -> list[str]:
    """The arguments that feed an example."""
    given = path.with_suffix("").with_suffix(".input.yaml")
    if not given.exists():
        return ["text=some words about a town and its river"]
    copy = home / f"{path.stem}.json"
    copy.write_text(json.dumps(yaml.safe_load(given.read_text("utf-8"))), encoding="utf-8")
    return ["-f", str(copy)]


@pytest.mark.timeout(300)
def test_the_examples_reach_nothing_else(watched: Watched, provider: Provider) -> None:
    examples = sorted((PROJECT / "examples").glob("*.rllm"))
    rest = ["-m", "openai/gpt-4o-mini", "--whole-tree", "--max-retries", "0"]
    lines = [["run", str(path), *given_to(path, watched.home), *rest] for path in examples]
    done = watched.run_all(lines, OPENAI_BASE_URL=provider.base)
    assert done.returncode == 0, done.stderr
    assert "RLLM_099" not in done.stderr
    assert len(provider.chats) >= len(examples) - 1
    assert watched.seen("reached") == []
    assert watched.started_others() == []
    assert watched.written_elsewhere() == []


@pytest.mark.model
@pytest.mark.timeout(300)
@pytest.mark.soak
def test_the_local_model_reaches_nothing_at_all(watched: Watched) -> None:
    path = PROJECT / "examples" / "headline.rllm"
    arguments = [*given_to(path, watched.home), "-m", "local/smollm2-135m", "--max-retries", "0", "--timeout", "60"]
    done = watched.run("-m", "runllm", "run", str(path), *arguments)
    assert "RLLM_099" not in done.stderr
    assert watched.seen("reached") == []
    assert watched.started_others() == []
    assert watched.written_elsewhere() == []


HOSTILE = {
    "a shell in a block": "```rllm-python pre\nimport os\nx = os.system('touch owned')\n```\nx",
    "a process in a block": "```rllm-python pre\nimport subprocess\nx = str(subprocess.run(['touch', 'owned']))\n```\nx",
    "a shell in a template": "{{ input.text }} $(touch owned) `touch owned` ; touch owned | touch owned",
    "classes in a template": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "a connection in a block": "```rllm-python pre\nimport socket\nx = str(socket.create_connection(('192.0.2.1', 80)))\n```\nx",
    "a file in a block": "```rllm-python pre\nx = str(open('owned', 'w'))\n```\nx",
    "a template that builds": "{% set a = [input.text] * 3 %}{{ a | join('$(touch owned)') }}",
}


@pytest.mark.timeout(300)
def test_nothing_in_a_file_or_an_input_reaches_a_shell(watched: Watched, provider: Provider) -> None:
    provider.script(answer(json.dumps({"out": "$(touch owned); touch owned"})))
    lines: list[list[str]] = []
    for number, prompt in enumerate(HOSTILE.values()):
        app = watched.folder / str(number) / "$(touch owned).rllm"
        app.parent.mkdir()
        app.write_text(
            HEAD.format(model="openai/m", base=f', api_base: "{provider.base}"', prompt=prompt), encoding="utf-8"
        )
        lines += [["run", str(app), "text=$(touch owned) `touch owned`"], ["validate", str(app)]]
    done = watched.run_all(lines)
    assert done.returncode == 0, done.stderr
    assert "RLLM_099" not in done.stderr, done.stderr
    assert provider.chats
    assert "ok" in watched.run("-m", "runllm", *lines[-1]).stdout
    assert not list(watched.folder.glob("**/owned"))
    assert watched.seen("reached") == []
    assert watched.started_others() == []
    assert watched.written_elsewhere() == []
