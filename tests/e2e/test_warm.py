"""The tests of the command fork it from a process that is ready; nothing else would tell that each starts anew."""

import subprocess
from pathlib import Path

from tests.warm import RUNLLM


def test_a_command_is_a_fork() -> None:
    done = subprocess.run([RUNLLM, "--version"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    folder = Path(RUNLLM).parent
    assert done.stdout.startswith("runllm ")
    assert (folder / "socket").exists(), (folder / "said").read_text()
