"""`runllm doctor`, as a user types it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.integration.ollama_server import Model, OllamaServer
from tests.warm import RUNLLM

KEY = "sk-planted0123456789abcdef"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RUNLLM_", "XDG_"))}
    own = {"HOME": str(tmp_path), "RUNLLM_MODELS": str(tmp_path / "models"), "OLLAMA_HOST": "127.0.0.1:9"}
    return {**kept, **own, "RUNLLM_LOOPBACK_ONLY": "1", "RUNLLM_CONFIG": os.devnull}


def doctor(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess:
    home = environment["HOME"]
    return subprocess.run(
        [RUNLLM, "doctor", *arguments], capture_output=True, timeout=60, cwd=home, stdin=subprocess.DEVNULL,
        env=environment,
    )  # fmt: skip


def test_a_sound_machine_is_told_line_by_line_with_what_could_be_done(environment):
    done = doctor({**environment, "OPENAI_API_KEY": KEY})
    lines = done.stdout.decode().splitlines()
    assert (done.returncode, done.stderr, lines[-1]) == (0, b"", "Nothing is wrong.")
    assert any(line.split()[:2] == ["ok", "Python"] for line in lines)
    assert any(line.split()[:3] == ["ok", "keys", "OPENAI_API_KEY"] for line in lines)
    at = next(number for number, line in enumerate(lines) if line.split()[:2] == ["-", "Ollama"])
    assert lines[at + 1].strip().startswith("= ")
    assert KEY.encode() not in done.stdout


def test_what_is_wrong_is_marked_and_is_the_exit_status(environment, tmp_path):
    (tmp_path / "runllm.toml").write_text(f'max_retries = 99\nmodel = "{KEY}"\nlog_content = true\n', encoding="utf-8")
    done = doctor({**environment, "OPENAI_API_KEY": KEY})
    text = done.stdout.decode()
    assert (done.returncode, done.stderr) == (3, b"")
    assert "runllm.toml:1:1" in text
    assert text.splitlines()[-1].endswith(" wrong")
    assert sum(line.startswith("!") for line in text.splitlines()) == int(text.splitlines()[-1].split()[0])
    assert "planted" not in text


def test_a_program_reads_the_same_as_json(environment):
    with OllamaServer({"llama3.2": Model()}) as server:
        done = doctor({**environment, "OLLAMA_HOST": server.base, "MISTRAL_API_KEY": KEY}, "--format", "json")
    found = json.loads(done.stdout)
    checks = {check.pop("name"): check for check in found["checks"]}
    assert (done.returncode, done.stderr, found["ok"]) == (0, b"", True)
    assert checks["Ollama"] == {"status": "ok", "said": f"{server.base}, 1 model", "fix": ""}
    assert checks["keys"]["said"] == "MISTRAL_API_KEY (mistral)"
    assert b"planted" not in done.stdout


def test_letters_that_the_terminal_cannot_print_do_not_stop_it(environment, tmp_path):
    folder = tmp_path / "モデル\x1b[31m"
    folder.mkdir()
    done = doctor({**environment, "RUNLLM_MODELS": str(folder), "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"its encoding is ascii" in done.stdout
    assert b"\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("library", "part"),
    [
        ("jsonschema_rs", "jsonschema-rs"),
        ("yaml", "pyyaml"),
        ("platformdirs", "models folder"),
        ("pydantic_monty", "Python blocks"),
        ("sqlite3", "statistics"),
    ],
)
def test_a_library_that_cannot_be_imported_is_told_and_does_not_stop_it(environment, tmp_path, library, part):
    broken = tmp_path / "broken" / library
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise RuntimeError('broken on purpose')\n", encoding="utf-8")
    environment.pop("RUNLLM_MODELS")
    environment["RUNLLM_STATS_DB"] = str(tmp_path / "stats.db")
    (tmp_path / "stats.db").touch()
    path = os.pathsep.join(filter(None, [str(broken.parent), environment.get("PYTHONPATH")]))
    with OllamaServer({"llama3.2": Model()}) as server:
        done = doctor({**environment, "PYTHONPATH": path, "OLLAMA_HOST": server.base}, "--format", "json")
    checks = json.loads(done.stdout)["checks"]
    assert (done.returncode, done.stderr) == (3, b"")
    assert any("broken on purpose" in check["said"] for check in checks if check["name"] == part), checks
    assert checks[-1]["name"] == "terminal"


def test_it_imports_no_engine(environment):
    code = (
        "import sys; from runllm.doctor import examine; examine()\n"
        "print(sorted({'litellm', 'xllamacpp', 'httpx', 'click'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environment)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
