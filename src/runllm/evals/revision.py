"""A file as it was at a revision of its git repository, with all that it uses, in a folder of its own.

The contents come from `git cat-file`, which runs no filter, hook or other program that a repository names, and fetches
nothing.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from runllm import parser
from runllm.errors import EngineUnavailableError, FileAccessError, UsageError
from runllm.project.loading import MAX_FILES

_AT = re.compile(r"(.+\.rllm)@([^@]+)")
_QUIET = ("-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}", "-c", "protocol.allow=never")
_ALONE = {"GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
_MARKER = "runllm.toml"


def as_it_is(said: str) -> str | None:
    """The file of `FILE@REVISION`; None where no revision is named."""
    found = None if os.path.exists(said) else _AT.fullmatch(said)  # noqa: PTH110 - `Path` raises for some names
    return found and found[1]


@contextmanager
def at_revision(said: str) -> Generator[str]:
    """The path of what is said: a file, or `FILE@REVISION`, which is there as long as the block runs.

    Raises:
        FileAccessError: there is no such file at that revision.
        UsageError: it is in no repository, or there is no such revision.
        EngineUnavailableError: there is no git.
    """
    found = None if os.path.exists(said) else _AT.fullmatch(said)  # noqa: PTH110 - `Path` raises for some names
    if found is None:
        yield said
        return
    path, revision = found.groups()
    repository = _Repository(Path(path).parent, revision)
    name = PurePosixPath(os.path.relpath(os.path.realpath(path), repository.top).replace(os.sep, "/"))
    with tempfile.TemporaryDirectory(prefix="runllm-") as folder:
        repository.take(name, Path(folder))
        yield str(Path(folder, name))


class _Repository:
    """A repository at one revision."""

    def __init__(self, folder: Path, revision: str) -> None:
        self.folder = folder
        self.revision = revision
        self.top = os.path.realpath(os.fsdecode(self.git("rev-parse", "--show-toplevel", why="it is in no repository")))
        why = f"there is no revision `{revision}` here"
        self.commit = self.git("rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}", why=why).decode()

    def git(self, *arguments: str, why: str) -> bytes:
        """What git prints, without its last line end."""
        command = ["git", *_QUIET, "-C", str(self.folder), *arguments]
        try:
            told = subprocess.run(command, capture_output=True, check=False, env={**os.environ, **_ALONE})  # noqa: S603
        except FileNotFoundError:
            raise EngineUnavailableError("git is not installed", hint="Install it, or compare two files.") from None
        if told.returncode != 0:
            said = " ".join(told.stderr.decode("utf-8", "replace").split())
            raise UsageError(f"`@{self.revision}`: {why}", details={"git": said[:300]})
        return told.stdout.removesuffix(b"\n") if arguments[0] == "rev-parse" else told.stdout

    def read(self, name: PurePosixPath) -> bytes | None:
        """A file; None where there is none."""
        try:
            return self.git("cat-file", "blob", f"{self.commit}:{name}", why="")
        except UsageError:
            return None

    def take(self, name: PurePosixPath, folder: Path) -> None:
        """Write a file and all that it uses below a folder, with the settings of their project."""
        waiting, taken = [name], set[PurePosixPath]()
        while waiting:
            one = waiting.pop()
            if one in taken or len(taken) >= MAX_FILES or one.is_absolute() or ".." in one.parts:
                continue
            text = self.read(one)
            if text is None and one == name:
                raise FileAccessError(f"there is no file `{name}` at `{self.revision}`", details={"path": str(name)})
            taken.add(one)
            if text is None:
                continue  # whoever uses it is told of it, with its place
            _put(folder / one, text)
            program = parser.parse(text, name=str(one)).program
            waiting += [_normal(one.parent / use.path) for use in (program.uses if program else ())]
        for above in name.parents:
            if (settings := self.read(above / _MARKER)) is not None:
                _put(folder / above / _MARKER, settings)
        if not (folder / _MARKER).exists():
            _put(folder / _MARKER, b"")  # where the project ends


def _normal(path: PurePosixPath) -> PurePosixPath:
    return PurePosixPath(os.path.normpath(path).replace(os.sep, "/"))


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
