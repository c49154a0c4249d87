"""The Tab key, pressed in real shells: what is typed, with \\t for the key, and the words that the command then gets."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runllm.cli.completion.line import Line, bash_word, read_line

BIN = Path(sys.executable).parent
APP = """---
name: app
description: Say it again.
version: 1.0.0
author: me
max_context_window: 4096
input_schema:
  $defs: {style: {enum: [plain, open air, shout]}}
  type: object
  properties:
    text: {type: string, description: "What to say: a word."}
    loud: {type: boolean}
    style: {$ref: "#/$defs/style"}
  required: [text]
output_schema: {type: object}
llm: {model: local/smollm2-135m}
llm_params: {}
---
Say {{ input.text }}.
"""
# In the shells, `runllm` shows the words it gets, but for what the Tab key asks.
SHOW_POSIX = (
    'runllm() { if [ "$1" = completion ]; then command runllm "$@"; else printf "<%s>" "$@"; echo "<end>"; fi; }'
)
SHELLS = {
    "bash": (
        ["bash", "--norc", "--noprofile", "-i"],
        f"bind 'set enable-bracketed-paste off'\nsource <(runllm completion bash)\n{SHOW_POSIX}\n",
    ),
    "zsh": (
        ["zsh", "-f", "-i"],
        f"autoload -U compinit && compinit -u -D\nsource <(runllm completion zsh)\n{SHOW_POSIX}\n",
    ),
}
CASES = [
    ("vali\t", ["validate"]),
    ("con\tse\tmax_r\t", ["config", "set", "max_retries"]),
    ("app\tlo\tt\t", ["app.rllm", "loud=true"]),
    ("run app.rllm sty\tpl\t", ["run", "app.rllm", "style=plain"]),
    ("run app.rllm style=o\t", ["run", "app.rllm", "style=open air"]),
    ("run app.rllm text=@no\t", ["run", "app.rllm", "text=@notes.txt"]),
    ("run app.rllm --ar\tte\tx lo\t", ["run", "app.rllm", "--arg", "text", "x", "loud="]),
    ("app.rllm --arg sty\to\t", ["app.rllm", "--arg", "style", "open air"]),
    ("run app.rllm --arg text -- --dry\t", ["run", "app.rllm", "--arg", "text", "--", "--dry-run"]),
    ("run my\\ a\t--dry\t", ["run", "my app.rllm", "--dry-run"]),
    ('run "my a\t', ["run", "my app.rllm"]),
    ("run ~/ap\t", ["run", "HOME/app.rllm"]),
    ("run ./ap\tte\tx", ["run", "./app.rllm", "text=x"]),
    ("run fold\tinn\t", ["run", "folder/inner.rllm"]),
    ("run app.rllm --form\tya\t", ["run", "app.rllm", "--format", "yaml"]),
    ("run app.rllm --model local/smollm2-13\t", ["run", "app.rllm", "--model", "local/smollm2-135m"]),
    ("run app.rllm --model fas\t", ["run", "app.rllm", "--model", "fast"]),
    ("validate folder/inner.rllm ap\t", ["validate", "folder/inner.rllm", "app.rllm"]),
    ("run broken.rllm te\t", ["run", "broken.rllm", "te"]),
    ("run half.rllm te\t", ["run", "half.rllm", "text="]),  # its inputs are right, its model is not
    ("run nowhere.rllm te\t", ["run", "nowhere.rllm", "te"]),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tab")
    (made / "folder").mkdir()
    for name in ("app.rllm", "my app.rllm", "folder/inner.rllm"):
        (made / name).write_text(APP, encoding="utf-8")
    (made / "half.rllm").write_text(APP.replace("llm: {model", "llm: {modle"), encoding="utf-8")
    (made / "broken.rllm").write_text("---\nname: [\n\x1b[31m", encoding="utf-8")
    (made / "notes.txt").write_text("notes", encoding="utf-8")
    (made / "config.toml").write_text('[aliases]\nfast = "openai/gpt-4o-mini"\n', encoding="utf-8")
    return made


def environment(folder: Path) -> dict[str, str]:
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    known = {
        "PATH": path,
        "RUNLLM_CONFIG": str(folder / "config.toml"),
        "RUNLLM_MODELS": str(folder / "models"),
        "HOME": str(folder),
    }
    return {**os.environ, **known, "TERM": "dumb", "PS1": "$ ", "LC_ALL": "C.UTF-8", "ZDOTDIR": str(folder)}


class Shell:
    """An interactive shell on a terminal of its own."""

    def __init__(self, name: str, folder: Path) -> None:
        arguments, setting_up = SHELLS[name]
        self.process, self.terminal = pty.fork()
        if self.process == 0:
            os.chdir(folder)
            os.execvpe(arguments[0], arguments, environment(folder))  # noqa: S606 - a shell is what is tested
        self.press(setting_up + "echo re''ady\n", until=b"ready\r\n")

    def press(self, keys: str, *, until: bytes) -> str:
        """Press keys; what the terminal shows until then."""
        os.write(self.terminal, keys.encode())
        seen = b""
        deadline = time.monotonic() + 60
        while until not in seen and time.monotonic() < deadline:
            if select.select([self.terminal], [], [], 0.2)[0]:
                seen += os.read(self.terminal, 1 << 16)
        assert until in seen, seen.decode(errors="replace")
        return seen.decode()

    def close(self) -> None:
        os.write(self.terminal, b"\nexit\n")
        os.close(self.terminal)
        os.waitpid(self.process, 0)


@pytest.fixture(scope="module", params=SHELLS)
def shell(request: pytest.FixtureRequest, folder: Path):
    if shutil.which(request.param) is None:
        pytest.skip(f"there is no {request.param} here")
    started = Shell(request.param, folder)
    yield started
    started.close()


@pytest.mark.parametrize(("keys", "words"), CASES, ids=[keys.replace("\t", "→") for keys, _ in CASES])
def test_tab(shell: Shell, keys: str, words: list[str], folder: Path) -> None:
    shown = shell.press(f"runllm {keys}\n", until=b"<end>\r\n")
    assert [word.replace(str(folder), "HOME") for word in re.findall(r"<([^>]*)>", shown)] == [*words, "end"]


FISH_CASES = {
    "runllm vali": ["validate"],
    "runllm ap": ["app.rllm"],
    "runllm app.rllm ": ["text=", "loud=", "style="],
    "runllm app.rllm text=x ": ["loud=", "style="],
    "runllm app.rllm loud=": ["loud=true", "loud=false"],
    "runllm run app.rllm style=o": ["style=open air"],
    "runllm run my\\\\ app.rllm te": ["text="],
    "runllm run app.rllm text=@no": ["text=@notes.txt"],
    "runllm app.rllm loud=true --arg ": ["text", "style"],
    "runllm app.rllm --arg=text x ": ["loud=", "style="],
    "runllm app.rllm --arg style ": ["plain", "open air", "shout"],
    "runllm run app.rllm --format=y": ["--format=yaml"],
    "runllm run app.rllm --model fas": ["fast"],
    "runllm run broken.rllm te": [],
}


@pytest.mark.parametrize("line", FISH_CASES)
def test_fish(line: str, folder: Path) -> None:
    if shutil.which("fish") is None:
        pytest.skip("there is no fish here")
    script = f"runllm completion fish | source; complete -C '{line}'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", script], capture_output=True, text=True, cwd=folder, env=environment(folder)
    )
    assert (done.stderr, [row.partition("\t")[0] for row in done.stdout.splitlines()]) == ("", FISH_CASES[line])


@pytest.mark.parametrize("line", [line for line in FISH_CASES if "\\\\" not in line])
def test_what_fish_is_told(line: str, folder: Path) -> None:
    """The same, where there is no fish."""
    words = line.split(" ")[1:]
    done = subprocess.run(
        [BIN / "runllm", "completion", "fish", "--", *words],
        capture_output=True, text=True, cwd=folder, env=environment(folder),
    )  # fmt: skip
    assert (done.stderr, [row.split("\t")[1] for row in done.stdout.splitlines()]) == ("", FISH_CASES[line])


@pytest.mark.parametrize(
    "words",
    [
        ["run", "broken.rllm", "te"],
        ["run", "nowhere.rllm", "te"],
        ["no-such-command", "--x", ""],
        ["stats", "--since", "x", ""],
    ],
)
def test_what_is_wrong_disturbs_nobody(words: list[str], folder: Path) -> None:
    known = {**environment(folder), "RUNLLM_TIMEOUT": "soon"}
    done = subprocess.run(
        [BIN / "runllm", "completion", "zsh", "--", *words], capture_output=True, text=True, cwd=folder, env=known
    )
    assert (done.returncode, done.stdout if words[0] == "run" else "", done.stderr) == (0, "", "")


@pytest.mark.parametrize("quote", ["", '"', "'"])
@pytest.mark.parametrize(
    "value", ["open air", "$(touch x)", "`touch x`", "it's", 'say "x"', "a\\b", "*;&|<>(){}[]#~?", "é ü"]
)
def test_what_a_file_lists_is_typed_as_text(value: str, quote: str, tmp_path: Path) -> None:
    typed = f"{quote}{bash_word(value, Line(words=(), current='', quote=quote))}{quote}"
    done = subprocess.run(["bash", "-c", f"printf %s {typed}"], capture_output=True, text=True, cwd=tmp_path)
    assert (done.stdout, done.stderr, [*tmp_path.iterdir()]) == (value, "", [])
    assert read_line(f"runllm {typed} ", "") == Line(words=("runllm", value), current="")


def test_a_key_press_imports_nothing_that_calls_a_model(folder: Path) -> None:
    code = """
import sys
from runllm.cli import invoke
for words in (["app.rllm", ""], ["run", "app.rllm", "--model", "l"], ["pull", ""]):
    assert invoke(["completion", "zsh", "--", *words]) == 0
print(*sorted({"litellm", "httpx", "asyncio", "xllamacpp", "rich", "ollama"} & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, env=environment(folder)
    )
    assert (done.returncode, done.stderr.strip()) == (0, "")
    assert "local/smollm2-135m" in done.stdout


def test_powershell_is_said_not_to_be_there() -> None:
    done = subprocess.run([BIN / "runllm", "completion", "powershell"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "bash" in done.stderr
