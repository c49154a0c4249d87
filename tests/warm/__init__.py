"""The command `runllm`, whose starts cost a twentieth: each is a fork of one process that has imported all of it.

A start of the command is a fifth of a second, and two to six with LiteLLM, whose import is most of the time that tests of
the whole command take. `RUNLLM` is a command like the installed one, in all that a test sees: a process of its own, with
its own arguments, folder, environment and streams, that answers signals and ends with a status. The first that is started
starts the process that forks (`forking`), and that one ends with the tests. `INSTALLED` is the real one; `asking` gives
way to it where a start itself is what matters: with settings of Python's, closed streams, limits, another user.
"""

from __future__ import annotations

import atexit
import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

INSTALLED = str(Path(sys.executable).with_name("runllm"))
_FOLDER = "RUNLLM_TESTS_WARM"


def _folder() -> Path:
    """Where the processes of one run of the tests meet: made by the first, and named to those it starts."""
    if _FOLDER not in os.environ:
        os.environ[_FOLDER] = tempfile.mkdtemp(prefix="runllm-")
        atexit.register(shutil.rmtree, os.environ[_FOLDER], ignore_errors=True)
        Path(os.environ[_FOLDER], "owner").write_text(str(os.getpid()), encoding="utf-8")
    return Path(os.environ[_FOLDER])


def _command(folder: Path) -> str:
    """Write the command that asks, and return its path."""
    path = folder / "runllm"
    if not path.exists():
        asking = Path(__file__).with_name("asking.py")
        words = shlex.join([sys.executable, "-IS", str(asking), str(folder), sys.executable, INSTALLED])
        made = folder / f"runllm.{os.getpid()}"
        made.write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8")
        made.chmod(0o755)
        made.replace(path)
    return str(path)


RUNLLM = _command(_folder())
