"""Models that are missing, on the command line: nothing is downloaded unasked, and what is asked for is."""

import json
import os
import re
from pathlib import Path

import pytest
from tests.docs.sessions import on_a_terminal
from tests.e2e.test_cli import command
from tests.integration.ollama_server import Model, OllamaServer, Trouble
from tests.warm import RUNLLM

from runllm.engines.base import Setup
from runllm.engines.local.engine import LocalEngine
from runllm.errors import ModelNotFoundError
from runllm.results import Endpoint

APP = """---
name: count
description: A test.
version: 1.0.0
author: me
max_context_window: 4096
input_schema: {type: object, properties: {text: {type: string}}}
output_schema: {type: object, properties: {n: {type: integer}}, required: [n]}
llm: {model: MODEL}
llm_params: {}
recommended_models: [ollama/here]
---
Count {{ input.text }}
"""


@pytest.fixture
def server():
    with OllamaServer({"here": Model()}, registry={"missing": (1000, 200)}) as started:
        yield started


def app(folder: Path, model: str) -> str:
    path = folder / "count.rllm"
    path.write_text(APP.replace("MODEL", model), encoding="utf-8")
    return str(path)


def test_an_ollama_model_is_pulled_only_with_consent(tmp_path: Path, server: OllamaServer) -> None:
    file = app(tmp_path, "ollama/missing")
    refused = command("run", file, "text=a", OLLAMA_HOST=server.base)
    error = json.loads(refused.stderr)
    assert (refused.returncode, error["error_code"]) == (8, "RLLM_010")
    assert "ollama pull missing" in error["recovery_hint"]
    assert "ollama/here" in error["recovery_hint"]  # which the file recommends, and is installed
    assert server.asked("/api/pull") == []
    pulled = command("run", file, "text=a", "--ollama-auto-pull", OLLAMA_HOST=server.base)
    assert json.loads(pulled.stdout) == {"n": 1}
    assert len(server.asked("/api/pull")) == 1


def test_a_missing_key_names_a_recommended_model_that_is_installed(tmp_path: Path, server: OllamaServer) -> None:
    # Nothing is sent without a key, so the guard of the tests, which comes before it, may be off.
    done = command("run", app(tmp_path, "openai/m"), "text=a", OLLAMA_HOST=server.base, RUNLLM_LOOPBACK_ONLY="")
    error = json.loads(done.stderr)
    assert error["error_code"] == "RLLM_012"
    assert "--model ollama/here" in error["recovery_hint"]


def test_a_local_model_is_fetched_only_with_consent() -> None:
    endpoint = Endpoint(model="local/hf:org/repo:weights.gguf")
    with pytest.raises(ModelNotFoundError, match="repo"):
        LocalEngine().ready(endpoint)
    asked: list[str] = []
    with pytest.raises(ModelNotFoundError):  # it is asked for, and still not there
        LocalEngine(Setup(pull=asked.append)).ready(endpoint)
    assert len(asked) == 1
    assert "org/repo" in asked[0]


@pytest.mark.parametrize("trouble", [None, Trouble(after=500, error="no space left")], ids=["whole", "cut"])
def test_a_pull_leaves_no_line_on_the_terminal(tmp_path: Path, server: OllamaServer, trouble: Trouble | None) -> None:
    """Neither one for each layer and step, nor half of one before what is said next."""
    server.trouble = [trouble] if trouble else []
    environment = {**os.environ, "OLLAMA_HOST": server.base, "NO_COLOR": "1"}
    shown = on_a_terminal(
        [RUNLLM, "run", app(tmp_path, "ollama/missing"), "text=a", "--ollama-auto-pull"], tmp_path, environment
    )
    assert "missing" in shown
    seen = [line for line in left_on(shown) if line]
    assert seen[0].startswith("RLLM_023" if trouble else "{"), seen


def left_on(sent: str) -> list[str]:
    """The lines that a terminal shows in the end, which knows what a bar sends: up a line, clear a line."""
    lines, row = [""], 0
    for found in re.finditer(r"\x1b\[([?0-9;]*)([A-Za-z])|(\r?\n)|\r|([^\x1b\r\n]+)", sent):
        if found[2] == "A":
            row -= int(found[1])
        elif found[2] == "K":
            lines[row] = ""
        elif found[3]:
            row += 1
            lines += [""] * (row == len(lines))
        else:
            lines[row] += found[4] or ""
    return lines
