"""The tests of the examples hold: from what was recorded, and with the model that they name."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
APPS = sorted(path.stem for path in EXAMPLES.glob("*.rllm"))
FILES = [str(EXAMPLES / f"{name}.rllm") for name in APPS]  # those of the cookbook want larger models
_OFFLINE = """
import json, os, socket, sys
def refused(*_, **__):
    raise OSError("a replay reached for the network")
socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = socket.getaddrinfo = refused
from runllm.cli import main
os._exit = sys.exit
try:
    main(sys.argv[1:])
finally:
    print(json.dumps(sorted({"litellm", "httpx", "xllamacpp", "rich"} & set(sys.modules))), file=sys.stderr)
"""


def test_each_example_has_tests_and_a_cassette() -> None:
    kept = {path.name.partition(".")[0] for path in EXAMPLES.glob("*.cassette.yaml")}
    beside = {path.name.partition(".")[0] for path in EXAMPLES.glob("*.tests.*")}
    inside = {name for name in APPS if "\ntests:" in (EXAMPLES / f"{name}.rllm").read_text(encoding="utf-8")}
    assert kept == set(APPS) == beside | inside


def test_the_cassettes_hold_nothing_of_the_machine_they_were_recorded_on() -> None:
    for path in EXAMPLES.glob("*.cassette.yaml"):
        text = path.read_text(encoding="utf-8")
        assert (
            re.findall(r"(?m)(?:^|[\s'\"])(?:/|[A-Z]:\\|~/)\w+|[\w.]+@[\w.]+|sk-\w+|127\.0\.0\.1|localhost", text) == []
        ), path


def replayed(*arguments: str) -> tuple[dict[str, Any], list[str]]:
    command = [sys.executable, "-c", _OFFLINE, "test", *arguments, "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    said = done.stderr.strip().split("\n")
    return json.loads(done.stdout), json.loads(said[-1])


def test_all_of_them_pass_in_replay_without_a_network_or_a_model() -> None:
    found, imported = replayed(*FILES, "--replay")
    assert imported == []
    assert sorted(Path(one["file"]).stem for one in found["files"]) == APPS
    assert [
        (one["file"], one["mode"], one["problems"])
        for one in found["files"]
        if one["mode"] != "replay" or one["problems"]
    ] == []
    assert (found["passed"], found["failed"]) == (True, 0), found
    assert all(one["cases"] for one in found["files"])


def test_a_changed_prompt_is_a_miss_that_shows_what_changed(tmp_path: Path) -> None:
    for path in EXAMPLES.glob("summary.*"):
        shutil.copy(path, tmp_path)
    app = tmp_path / "summary.rllm"
    app.write_text(app.read_text(encoding="utf-8").replace("in plain words,", "in hard words,"), encoding="utf-8")
    found, _ = replayed_with_misses(app)
    (miss,) = found["files"][0]["cases"][0]["runs"][0]["misses"]
    assert "-Summarise the text below in at most 1 sentence, in plain words," in miss
    assert "+Summarise the text below in at most 1 sentence, in hard words," in miss


def replayed_with_misses(app: Path) -> tuple[dict[str, Any], int]:
    done = subprocess.run(
        [sys.executable, "-m", "runllm", "test", str(app), "--replay", "--format", "json"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    return json.loads(done.stdout), done.returncode


@pytest.mark.model
@pytest.mark.soak
@pytest.mark.timeout(600)
def test_all_of_them_pass_with_the_embedded_model() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "runllm", "test", *FILES, "--live"], capture_output=True, text=True, timeout=590
    )
    assert done.returncode == 0, done.stdout + done.stderr
