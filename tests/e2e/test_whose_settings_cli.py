"""A `runllm.toml` of another user in a shared folder, as its victim meets it: really as another user."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.apps import leaf
from tests.integration.provider import Provider, answer
from tests.warm import INSTALLED

MALLORY, VICTIM = 1234, 1235
# Another user, who may still read this interpreter where it lies in a closed folder.
AS_VICTIM = [
    *("setpriv", "--reuid", str(VICTIM), "--regid", str(VICTIM), "--clear-groups"),
    *("--inh-caps", "+dac_override", "--ambient-caps", "+dac_override"),
]


def can_be_another() -> bool:
    if os.name == "nt" or os.geteuid() != 0 or shutil.which("setpriv") is None:
        return False
    return subprocess.run([*AS_VICTIM, sys.executable, "-c", ""], capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not can_be_another(), reason="only root becomes another user")


class Shared:
    """A sticky folder that everybody writes to, with Mallory's settings, and the victim's own folder in it."""

    def __init__(self, root: Path) -> None:
        self.folder, self.home = root / "shared", root / "home"
        self.work = self.folder / "work"
        self.user_file = self.home / ".config" / "runllm" / "config.toml"
        self.work.mkdir(parents=True)
        self.user_file.parent.mkdir(parents=True)
        self.folder.chmod(0o1777)
        self.theirs = self.folder / "runllm.toml"
        self.give(self.theirs, 'model = "ollama/evil"\n[aliases]\ngpt = "ollama/evil"\n', MALLORY)
        self.give(self.work / "app.rllm", leaf("app"), VICTIM)
        self.give(self.user_file, "", VICTIM)
        for folder in (self.work, self.home, self.user_file.parent):
            os.chown(folder, VICTIM, VICTIM)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RUNLLM_", "XDG_", "SUDO_"))}
        self.environment = {**kept, "HOME": str(self.home), "RUNLLM_LOOPBACK_ONLY": "1", "RUNLLM_STATS": "off"}

    def give(self, file: Path, text: str, owner: int) -> None:
        file.write_text(text, encoding="utf-8")
        file.chmod(0o644)
        os.chown(file, owner, owner)

    def __call__(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [*AS_VICTIM, INSTALLED, *arguments], capture_output=True, text=True, timeout=100, cwd=self.work,
            stdin=subprocess.DEVNULL, env={**self.environment, **environment},
        )  # fmt: skip


@pytest.fixture
def shared(tmp_path: Path) -> Shared:
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(folder.stat().st_mode | 0o755)
    return Shared(tmp_path)


def test_the_input_does_not_reach_another_users_port(shared: Shared) -> None:
    with Provider(answer('{"out": "stolen"}')) as evil, Provider(answer('{"out": "right"}')) as own:
        way = {"OLLAMA_HOST": evil.root, "OPENAI_API_KEY": "sk-x", "OPENAI_API_BASE": own.base}
        done = shared("app.rllm", "text=secret", **way)
        assert (done.returncode, json.loads(done.stdout)) == (0, {"out": "right"}), done.stderr
        assert (len(evil.requests), len(own.chats)) == (0, 1)
    warning = f"warning: `{shared.theirs}` does not count: it belongs to uid {MALLORY}"
    (line,) = done.stderr.splitlines()
    assert line.startswith(warning)
    assert "trusted_folders" in line


@pytest.mark.parametrize(
    "command",
    [
        ("run", "app.rllm", "text=t", "--dry-run"),
        ("exectime", "app.rllm", "--format", "json"),
        ("inspect", "app.rllm", "--format", "json"),
        ("validate", "app.rllm", "--format", "json"),
        ("config", "--format", "json"),
        ("stats", "--format", "json"),
        ("models", "--format", "json"),
        ("doctor", "--format", "json"),
    ],
    ids=lambda command: command[0],
)
def test_every_command_says_so_once_and_leaves_its_result_alone(shared: Shared, command: tuple[str, ...]) -> None:
    if command[0] == "validate":  # it looks at the settings where they could allow what a file asks for
        asking = leaf("app", llm='{model: openai/m, api_base: "http://a.example"}')
        shared.give(shared.work / "app.rllm", asking, VICTIM)
    done = shared(*command, PYTHONWARNINGS="ignore")
    json.loads(done.stdout)
    told = done.stdout if command[0] == "doctor" else done.stderr
    assert told.count(f"{shared.theirs}` does not count") == 1
    if command[0] != "doctor":
        assert (done.returncode, len(done.stderr.splitlines())) == (0, 2 if command[0] == "config" else 1)


def test_who_is_typing_is_not_disturbed(shared: Shared) -> None:
    words = "runllm\nrun\napp.rllm\n--model"
    done = shared(_RUNLLM_COMPLETE="zsh_complete", COMP_WORDS=words, COMP_CWORD="")
    assert (done.returncode, done.stderr) == (0, "")
    assert "local/" in done.stdout
    assert "gpt" not in done.stdout


def test_who_trusts_the_folder_gets_its_settings_and_hears_what_they_change(shared: Shared) -> None:
    shared.give(shared.user_file, f'trusted_folders = ["{shared.folder}"]\n[aliases]\ngpt = "openai/mine"\n', VICTIM)
    done = shared("app.rllm", "text=t", "--model", "gpt", "--dry-run")
    assert json.loads(done.stdout)["model"] == "ollama/evil"
    line = f"model `gpt` means `ollama/evil`, as {shared.theirs}:3 says; your own settings say `openai/mine`"
    assert done.stderr == f"warning: {line}. `--model openai/mine` names your own.\n"
    for arguments in (("exectime", "app.rllm", "--model", "gpt"), ("inspect", "app.rllm"), ("config",)):
        done = shared(*arguments)
        assert (done.returncode, done.stderr.count(line)) == (0, 1)
    assert shared("config", "get", "aliases.gpt").stdout == "ollama/evil\n"


def test_a_container_may_trust_everything(shared: Shared) -> None:
    for trusted in ("*", str(shared.folder), f"/nowhere,{shared.folder}"):
        done = shared("config", "get", "model", RUNLLM_TRUSTED_FOLDERS=trusted)
        assert (done.stdout, done.stderr) == ("ollama/evil\n", "")
    done = shared("config", "get", "model", RUNLLM_TRUSTED_FOLDERS=str(shared.work))
    assert (done.stdout, "does not count" in done.stderr) == ("", True)


def test_settings_of_the_users_own_count_there(shared: Shared) -> None:
    done = shared("config", "set", "--project", "model", "openai/mine")
    assert (done.returncode, done.stderr) == (0, f"model is set in {shared.work / 'runllm.toml'}\n")
    done = shared("config", "get", "model")
    assert (done.stdout, done.stderr) == ("openai/mine\n", "")
    assert shared.theirs.stat().st_uid == MALLORY


def test_the_users_own_file_that_others_may_write_to(shared: Shared) -> None:
    shared.theirs.unlink()
    shared.give(shared.user_file, 'model = "ollama/evil"\n', VICTIM)
    shared.user_file.chmod(0o666)
    done = shared("config", "get", "model")
    assert (done.returncode, done.stdout) == (0, "")
    assert f"`{shared.user_file}` does not count: others may write to it (mode 666)" in done.stderr
    refused = shared("config", "set", "timeout", "5")
    assert refused.returncode == 3
    assert "does not count" in json.loads(refused.stderr.splitlines()[-1])["message"]
    shared.user_file.chmod(0o644)
    assert shared("config", "get", "model").stdout == "ollama/evil\n"


def test_a_link_that_another_user_laid_to_a_file_of_the_victims(shared: Shared) -> None:
    shared.theirs.unlink()
    unpacked = shared.home / "unpacked.toml"
    shared.give(unpacked, 'model = "ollama/evil"\n', VICTIM)
    shared.theirs.symlink_to(unpacked)
    os.chown(shared.theirs, MALLORY, MALLORY, follow_symlinks=False)
    done = shared("config", "get", "model")
    assert (done.stdout, f"belongs to uid {MALLORY}" in done.stderr) == ("", True)
