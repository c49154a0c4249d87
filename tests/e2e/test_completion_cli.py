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

from runllm.cli import cli
from runllm.cli.completion import SHELLS as OFFERED
from runllm.cli.completion import Bash

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
SHOW_POSIX = 'runllm() { printf "<%s>" "$@"; echo "<end>"; }'
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


def asked(folder: Path, shell: str, *words: str, **more: str) -> subprocess.CompletedProcess:
    """What a script of `shell` is told for these words, the last of which is being typed."""
    said = {"COMP_WORDS": "\n".join(["runllm", *words[:-1]]), "COMP_CWORD": words[-1]}
    known = {**environment(folder), "_RUNLLM_COMPLETE": f"{shell}_complete", **said, **more}
    return subprocess.run([BIN / "runllm"], capture_output=True, text=True, cwd=folder, env=known)


@pytest.mark.parametrize("shell", ["fish", "zsh", "powershell"])
@pytest.mark.parametrize("line", [line for line in FISH_CASES if "\\\\" not in line])
def test_what_a_shell_is_told(line: str, shell: str, folder: Path) -> None:
    """The same, where there is no such shell."""
    done = asked(folder, shell, *line.split(" ")[1:])
    quoted = shell == "powershell"
    words = [f"'{word}'" if quoted and {" ", "@"} & set(word) else word for word in FISH_CASES[line]]
    assert (done.returncode, done.stderr) == (0, "")
    assert [row.split("\t")[1] for row in done.stdout.splitlines() if row] == words


@pytest.mark.parametrize(
    ("words", "first"),
    [
        (["vali"], ["plain", "validate", "Check FILES without calling a model."]),
        (["stats", "pru"], ["plain", "prune", "Remove old runs, for good."]),
        (["stats", "ap"], ["plain", "app.rllm", ""]),
        (["stats", "--sin"], ["plain", "--since", "Only runs that began later: 30m, 12h, 7d or 2w ago, or a date such as"]),
        (["stats", "export", "--format", "c"], ["plain", "csv", ""]),
        (["app.rllm", "te"], ["open", "text=", "string: What to say: a word."]),
        (["run", "fo"], ["open", "folder/", ""]),
        (["run", "app.rllm", "-o", "no"], ["plain", "notes.txt", ""]),
        (["config", "get", "max_ret"], ["plain", "max_retries", "How many attempts may follow a wrong answer."]),
        (["pull", "smollm2-1"], ["plain", "smollm2-1.7b", "Apache-2.0"]),
        (["--ver"], ["plain", "--version", "Show the version and exit."]),
    ],
)  # fmt: skip
def test_a_word_is_told_with_what_it_means(words: list[str], first: list[str], folder: Path) -> None:
    told = asked(folder, "zsh", *words).stdout.splitlines()[0].split("\t")
    assert (told[:2], told[2].lower().startswith(first[2].lower())) == (first[:2], True), told


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
    done = asked(folder, "zsh", *words, RUNLLM_TIMEOUT="soon")
    assert (done.returncode, done.stdout.strip() if words[0] == "run" else "", done.stderr) == (0, "", "")


@pytest.mark.parametrize("quote", ["", '"', "'"])
@pytest.mark.parametrize(
    "value", ["open air", "$(touch x)", "`touch x`", "it's", 'say "x"', "a\\b", "*;&|<>(){}[]#~?", "é ü"]
)
def test_what_a_file_lists_is_typed_as_text(value: str, quote: str, tmp_path: Path, monkeypatch) -> None:
    bash = Bash(cli, {}, "runllm", "_RUNLLM_COMPLETE")
    bash.quote = quote
    typed = f"{quote}{bash.typed(value)}{quote}"
    done = subprocess.run(["bash", "-c", f"printf %s {typed}"], capture_output=True, text=True, cwd=tmp_path)
    assert (done.stdout, done.stderr, [*tmp_path.iterdir()]) == (value, "", [])
    monkeypatch.setenv("COMP_WORDS", f"runllm {typed} ")
    monkeypatch.setenv("COMP_CWORD", "")
    if quote != '"' or not {"$", "`"} & set(value):  # click leaves their backslash where it reads double quotes
        assert bash.get_completion_args() == ([value], "")


def test_a_key_press_imports_nothing_that_calls_a_model(folder: Path) -> None:
    code = """
import os, sys
from runllm.cli import invoke
for words in (["app.rllm"], ["run", "app.rllm", "--model"], ["pull"]):
    os.environ |= {"COMP_WORDS": "\\n".join(["runllm", *words]), "COMP_CWORD": ""}
    assert invoke([]) == 0
print(*sorted({"litellm", "httpx", "asyncio", "xllamacpp", "rich", "ollama"} & set(sys.modules)), file=sys.stderr)
"""
    known = {**environment(folder), "_RUNLLM_COMPLETE": "zsh_complete"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, env=known)
    assert (done.returncode, done.stderr.strip()) == (0, "")
    assert "local/smollm2-135m" in done.stdout


@pytest.mark.parametrize("shell", OFFERED)
def test_each_shell_has_a_script_that_asks_in_its_name(shell: str) -> None:
    done = subprocess.run([BIN / "runllm", "completion", shell], capture_output=True, text=True)
    assert (done.returncode, done.stderr, f"{shell}_complete" in done.stdout) == (0, "", True)
