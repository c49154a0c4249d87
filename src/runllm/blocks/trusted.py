"""Run a block in real CPython, in a child process, for a caller who trusts the file.

This is no sandbox: the code may do whatever its user may do. The child has a deadline, a memory
limit, an empty folder and a short environment, so that an honest block that goes wrong does no harm.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, cast

from runllm.blocks.phases import PRINTED, BlockFailure, Limits, Ran, checked, not_json, over, unassigned, values_of

_CHILD = Path(__file__).with_name("child.py")
_KEPT = ("PATH", "SystemRoot", "TMPDIR", "LANG")
_START = 10.0  # seconds for the interpreter to start, which a block's own deadline does not pay for
_ENVELOPE = 8192  # bytes that an answer may have beside its values
_READY = b"ready\n"
_LAST_WORDS = 0.5  # seconds to read what is left in a pipe once the child is dead


class TrustedRunner:
    """Runs blocks in CPython children, one process each, with the same `run` as `Sandbox`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is kept between blocks, so there is nothing to end."""

    def ready(self) -> None:
        """Nothing is needed but the interpreter that runs this."""

    def warm(self) -> None:
        """Nothing is kept between blocks, so there is nothing to start."""

    def run(
        self,
        code: str,
        names: Mapping[str, Any],
        outputs: Sequence[str],
        *,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        name: str = "block",
    ) -> Ran:
        """Run `code` and read back what it assigned; arguments and errors as for `Sandbox.run`.

        The deadline is by the wall clock, from the block's first line. Clock and randomness are real.
        """
        given = checked(code, names, outputs)
        import tempfile  # slow to load, and only a trusted block needs it

        request = {
            "code": code,
            "outputs": list(outputs),
            "memory": limits.memory,
            "recursion": limits.recursion,
            "output": limits.output,
        }
        text = f'{json.dumps(request)[:-1]}, "names": {given}}}'
        with tempfile.TemporaryDirectory(prefix="runllm-", ignore_cleanup_errors=True) as folder:
            try:
                process = _start(folder)
            except OSError as error:
                raise BlockFailure("unavailable", f"`{name}` cannot start a Python process: {error}") from None
            return _Conversation(process, text.encode(), limits).ran()


class _Conversation:
    """What is said with one child: two threads, since pipes cannot be waited for alike on every system."""

    def __init__(self, process: subprocess.Popen[bytes], request: bytes, limits: Limits) -> None:
        self._process = process
        self._request = request
        self._limits = limits
        self._begun = threading.Event()
        self._answer = b""
        self._printed = bytearray()

    def ran(self) -> Ran:
        talk = threading.Thread(target=self._talk, daemon=True)
        listen = threading.Thread(target=self._listen, daemon=True)
        talk.start()
        listen.start()
        late = False
        try:
            if self._begun.wait(_START):
                talk.join(self._limits.timeout)
            late = talk.is_alive()
        finally:  # an interrupted caller leaves no child behind, nor does a block that started processes
            _kill(self._process)
            talk.join(_LAST_WORDS)
            listen.join(_LAST_WORDS)
        printed = self._printed.decode(errors="replace")
        if not self._begun.is_set():
            raise BlockFailure("unavailable", f"the Python process did not start within {_START:g} s", printed=printed)
        if late and not self._answer.endswith(b"\n"):
            raise over("time", self._limits, printed=printed)
        return self._read(printed)

    def _talk(self) -> None:
        """Send the request; read `ready`, then the answer, as far as it may go."""
        stdin, stdout = cast("Any", self._process.stdin), cast("Any", self._process.stdout)
        with stdout:
            with suppress(OSError), stdin:  # a child that died early takes nothing; there is no answer then
                view = memoryview(self._request)
                while view:
                    view = view[stdin.write(view) :]
            ready = os.read(stdout.fileno(), len(_READY))
            self._begun.set()
            if ready == _READY:
                self._answer = self._line(stdout.fileno())

    def _line(self, pipe: int) -> bytes:
        """What comes up to the end of the line, or until it is more than an answer can be."""
        parts, size = [b""], 0
        while not parts[-1].endswith(b"\n") and size <= self._limits.output + _ENVELOPE:
            part = os.read(pipe, 1 << 16)
            if not part:
                break
            parts.append(part)
            size += len(part)
        return b"".join(parts)

    def _listen(self) -> None:
        """Keep the beginning of what is printed, and drain the rest.

        A thread closes its own pipe: a process that left the group may hold the other end for longer.
        """
        with cast("Any", self._process.stderr) as stderr:
            while part := os.read(stderr.fileno(), 1 << 16):
                self._printed += part[: PRINTED - len(self._printed)]

    def _read(self, printed: str) -> Ran:
        if not self._answer.endswith(b"\n"):
            if len(self._answer) > self._limits.output:
                raise over("output size", self._limits, printed=printed)
            raise BlockFailure("exception", _ending(self._process.returncode), printed=printed)
        text = self._answer.decode("ascii").strip()
        opening = '{"values": '
        if text.startswith(opening):
            return Ran(values=values_of(text[len(opening) : -1], self._limits, printed), printed=printed)
        raise _failure(json.loads(text), self._limits, printed)


def _start(folder: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - our own script, by its full path
        [sys.executable, "-I", "-u", "-X", "utf8", str(_CHILD)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        cwd=folder,
        env={key: os.environ[key] for key in _KEPT if key in os.environ},
        start_new_session=True,
    )


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the child and its group; before it is waited for, so that the group is still its own."""
    if sys.platform == "win32":
        process.kill()
    else:
        with suppress(ProcessLookupError, PermissionError):  # the group is gone; or all of it is dying (macOS)
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _ending(status: int) -> str:
    if status < 0:
        return f"its process was ended by {signal.Signals(-status).name} before it gave a result"
    return f"its process ended with status {status} before it gave a result"


def _failure(answer: dict[str, Any], limits: Limits, printed: str) -> BlockFailure:
    match answer:
        case {"kind": "unassigned", "name": name}:
            return unassigned(name, printed)
        case {"kind": "not_json", "name": name, "type": kind, "message": why}:
            return not_json(name, kind, why, printed)
        case {"kind": "limit", "limit": limit}:
            return over(limit, limits, line=answer.get("line"), printed=printed)
        case _:
            return BlockFailure(answer["kind"], answer["message"], line=answer["line"], printed=printed)
