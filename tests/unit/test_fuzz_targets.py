"""Every input that fuzzing has kept still passes, and what fuzzes finds, shortens and keeps what crashes."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fuzz import harness
from fuzz.mutation import Mutator

ROOT = Path(__file__).parents[2]
KEPT = [(name, path.name) for name in harness.TARGETS for path in sorted((harness.CORPUS / name).iterdir())]


@pytest.mark.parametrize(("name", "file"), KEPT)
def test_an_input_that_is_kept_passes(name: str, file: str) -> None:
    """What once crashed, and what shows each side of a target."""
    harness.run(harness.target(name).check, (harness.CORPUS / name / file).read_bytes(), seconds=20)


@pytest.mark.parametrize("name", harness.TARGETS)
def test_inputs_made_from_those_that_are_kept_pass(name: str) -> None:
    """Fifty of them, the same each time; ten of the slowest, whole projects."""
    target = harness.target(name)
    mutator = Mutator(target.tokens, list(target.corpus().values()), random.Random(1))  # noqa: S311 - to choose inputs
    for _ in range(10 if name == "graphs" else 50):
        harness.run(target.check, mutator.fresh(harness.LONGEST), seconds=20)


class PanicException(BaseException):
    """No Exception, as a panic in a Rust library."""


def broken(data: bytes) -> None:
    if b"x" in data and b"y" in data:
        raise PanicException
    assert b"z" not in data


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> harness.Session:
    monkeypatch.setattr(harness, "CRASHES", tmp_path)
    return harness.Session(harness.Target(name="broken", check=broken, tokens=[b"x"], seeds=lambda: iter(())))


def test_a_crash_of_each_kind_is_kept_once_and_made_short(session: harness.Session) -> None:
    for data in (b"fine", b"a longer x and y, and more of it", b"xy again", b"0123456789z"):
        session.one(data)
    assert session.executions >= 4
    assert {path.read_bytes() for path in session.crashes.values()} == {b"xy", b"z"}
    assert any(kind.startswith("PanicException at") for kind in session.crashes)


def test_an_input_that_takes_too_long_is_a_crash() -> None:
    def slow(_: bytes) -> None:
        end = time.process_time() + 0.2
        while time.process_time() < end:
            pass

    with pytest.raises(harness.TooSlowError):
        harness.run(slow, b"", seconds=0.1)


def test_made_up_inputs_are_bounded_and_the_same_for_the_same_seed() -> None:
    made = [[Mutator([b"{{"], [b"a b\n" * 50], random.Random(7)).fresh(300) for _ in range(5)] for _ in range(2)]  # noqa: S311
    assert made[0] == made[1]
    assert max(map(len, made[0])) <= 300


def test_the_command_tries_inputs_and_says_how_many() -> None:
    command = [sys.executable, "-m", "fuzz", "extraction", "--seconds", "1", "--seed", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "extraction:" in done.stdout
    assert " 0 crashes" in done.stdout


def test_every_kept_schema_is_one_line_of_json() -> None:
    """Else the target would pass over the input without a word."""
    for name in ("extraction", "templates", "contracts"):
        for path in (harness.CORPUS / name).iterdir():
            json.loads(path.read_text(encoding="utf-8").split("\n")[0])
