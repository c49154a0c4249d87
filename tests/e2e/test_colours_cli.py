"""Colours: on a terminal, and nowhere for those who do not want them."""

import os
from pathlib import Path

import pytest
from tests.docs.sessions import on_a_terminal
from tests.warm import RUNLLM

EXAMPLE = str(Path(__file__).parent.parent.parent / "examples" / "subject.rllm")
COMMANDS = [["validate", EXAMPLE], ["inspect", EXAMPLE], ["config"], ["doctor"], ["exectime", EXAMPLE]]
COMMANDS += [["run", EXAMPLE, "message=@@none", "--max-retries", "0", "--model", "local/none", "-v"]]


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: arguments[0])
@pytest.mark.parametrize("unwanted", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["NO_COLOR", "dumb"])
def test_who_wants_no_colours_gets_none(arguments: list[str], unwanted: dict[str, str], tmp_path: Path) -> None:
    """NO_COLOR and a terminal that knows none hold for every command."""
    environment = {**os.environ, "HOME": str(tmp_path), "OLLAMA_HOST": "http://127.0.0.1:9", **unwanted}
    assert "\x1b" not in on_a_terminal([RUNLLM, *arguments], tmp_path, environment)


def test_others_get_them(tmp_path: Path) -> None:
    """The check above would see colours if there were any."""
    environment = {**os.environ, "HOME": str(tmp_path), "TERM": "xterm"}
    environment.pop("NO_COLOR", None)
    assert "\x1b[" in on_a_terminal([RUNLLM, "config"], tmp_path, environment)
