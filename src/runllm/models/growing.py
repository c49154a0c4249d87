"""A file that grows: written piece by piece, hashed on the way, taken up again where it stopped."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Self

from runllm.errors import FileAccessError
from runllm.models.store import VARIABLE, writing
from runllm.quantities import size
from runllm.values import frozen

_BLOCK = 1 << 20
_SPARE = 16 << 20


@frozen
class Progress:
    """How far a download of a model is, whoever makes it.

    Attributes:
        name: of the model.
        stage: `waiting` for another process that pulls it, `fetching`, `checking` what is already here; in between
            what a server says that it does; `success` at the end.
        done: bytes so far.
        total: bytes in all, None where that is not known.
    """

    name: str
    stage: str
    done: int = 0
    total: int | None = None


Listener = Callable[[Progress], None]


class GrowingFile:
    """A file of a known size and checksum, that may be here in part. A context manager.

    Every method raises `FileAccessError` for what the disk refuses; what was written stays.
    """

    def __init__(self, path: Path, name: str, size: int, listener: Listener) -> None:
        self.path = path
        self.size = size
        self.done = 0
        self._name = name
        self._listener = listener
        self._hash = hashlib.sha256()

    def __enter__(self) -> Self:
        with writing(self.path):
            self._file = self.path.open("r+b" if self.path.exists() else "w+b")
        try:
            self._take_up()
            _check_room(self.path.parent, self.size - self.done)
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with writing(self.path):
            self._file.close()
            if self.done == 0:
                self.path.unlink(missing_ok=True)

    def _take_up(self) -> None:
        """Read what is here, since its hash is needed."""
        with writing(self.path):
            while block := self._file.read(_BLOCK):
                self._hash.update(block)
                self.done += len(block)
                self._listener(Progress(name=self._name, stage="checking", done=self.done, total=self.size))
        if self.done > self.size:
            self.restart()

    def restart(self) -> None:
        """Empty it."""
        with writing(self.path):
            self._file.seek(0)
            self._file.truncate()
        self._hash = hashlib.sha256()
        self.done = 0

    def write(self, data: bytes) -> None:
        """Append a piece."""
        with writing(self.path):
            self._file.write(data)
        self._hash.update(data)
        self.done += len(data)
        self._listener(Progress(name=self._name, stage="fetching", done=self.done, total=self.size))

    def delete(self) -> None:
        """Delete it; closed first, since some systems delete no open file."""
        with writing(self.path):
            self._file.close()
            self.path.unlink(missing_ok=True)

    def sha256(self) -> str:
        """The checksum of what is here, in hexadecimal, all of it safely on the disk."""
        with writing(self.path):
            self._file.flush()
            os.fsync(self._file.fileno())
        return self._hash.hexdigest()


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > 0 and free < needed + _SPARE:
        raise FileAccessError(
            f"`{folder}` has {size(free)} free, and {size(needed)} are needed",
            details={"path": str(folder), "free": free, "needed": needed},
            hint=f"Make room, or name another folder in {VARIABLE}.",
        )
