"""Every error as it reaches a user: provoked for real, its payload and its report compared with a reviewed copy.

What differs from one machine or day to the next is written as a word in capitals.
"""

import io
import json
import re
import sys
from pathlib import Path

import pytest
from tests.golden.copies import HERE, same
from tests.golden.provocations import BASE, PROVOCATIONS, Provocation

from runllm._version import __version__
from runllm.cli import invoke
from runllm.errors import catalogue

COPIES = HERE / "errors"
VARYING = (
    (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
    (r"\('127\.0\.0\.1', \d+\)", "('127.0.0.1', PORT)"),
    (r"\[Errno \d+\]", "[Errno NUMBER]"),
    (r"\.py:\d+ in ", ".py:LINE in "),
    (r'"latency": [0-9.e-]+', '"latency": "SECONDS"'),
    (r'"seconds": [0-9.e-]+', '"seconds": "SECONDS"'),
    (r"(\$0) and [0-9.e-]+ s\b", r"\1 and SECONDS s"),
    (rf"runllm \({re.escape(__version__)}\)", "runllm (VERSION)"),
)


class Terminal(io.StringIO):
    """A stderr that a person looks at."""

    def isatty(self) -> bool:
        return True


def settled(text: str) -> str:
    for pattern, word in VARYING:
        text = re.sub(pattern, word, text)
    return text


def provoke(
    provocation: Provocation, stderr: io.StringIO, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[int, str]:
    """The exit status, and what stderr was told."""
    with monkeypatch.context() as patch, provocation.serving() as base:
        for name, text in provocation.files.items():
            (folder / name).write_text(text.replace(BASE, base), encoding="utf-8")
        patch.chdir(folder)
        patch.setenv("NO_COLOR", "1")
        patch.setenv("OPENAI_API_KEY", "")
        patch.setattr(sys, "stderr", stderr)
        provocation.prepare(patch)
        status = invoke(list(provocation.arguments))
        return status, settled(stderr.getvalue())


def test_every_error_is_provoked() -> None:
    assert list(PROVOCATIONS) == [cls.__name__ for cls in catalogue()]


@pytest.mark.parametrize("cls", catalogue(), ids=lambda cls: cls.__name__)
def test_error(cls: type, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    provocation = PROVOCATIONS[cls.__name__]
    status, line = provoke(provocation, io.StringIO(), tmp_path, monkeypatch)
    payload = json.loads(line)
    again, report = provoke(provocation, Terminal(), tmp_path, monkeypatch)
    assert (payload["error_type"], payload["error_code"]) == (cls.__name__, cls.code)
    assert status == again == cls.exit_status
    shown = json.dumps(payload, ensure_ascii=False, indent=2)
    same(f"exit status {status}\n\n{shown}\n\n{report}", COPIES / f"{cls.code}_{cls.__name__}.txt")


def test_no_copy_is_left_of_an_error_that_is_gone() -> None:
    assert {path.stem for path in COPIES.iterdir()} == {f"{cls.code}_{cls.__name__}" for cls in catalogue()}
