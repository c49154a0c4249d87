"""An output at an address, such as `s3://bucket/out.csv`.

It is made in the working folder, beside its journal, and copied there as one file whenever the batch ends. So a batch
goes on after whatever stopped it, and an address that fails for a while costs nothing that was paid for.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any

from runllm.batch.tables import library
from runllm.diagnostics import told
from runllm.errors import FileAccessError, UsageError

_SCHEMES = ("s3://", "file://")  # PyArrow knows more, some of which wait for minutes where nobody is
_AT_A_TIME = 1 << 23  # bytes


def is_address(target: str | None) -> bool:
    """Whether an output is at an address, and is no path."""
    return target is not None and "://" in target


class Address:
    """Where an output goes in the end.

    Attributes:
        name: as it was given.
        here: the file in the working folder that it is made as.
    """

    def __init__(self, name: str) -> None:
        """Find who serves it; what is at an address without a region is asked for it.

        Raises:
            EngineUnavailableError: PyArrow is not installed.
            FileAccessError: it cannot be reached.
            UsageError: it is no such address, or names no file.
        """
        self.name = name
        if not name.startswith(_SCHEMES):
            hint = "Such as `s3://bucket/out.csv`; or write to a file on this machine, such as `-o out.csv`."
            raise UsageError(f"{told(name)} is no address that an output can be written to", hint=hint)
        if name.endswith("/") or name.count("/") < 3:  # noqa: PLR2004 - two of the scheme, one before the file
            raise UsageError(f"{told(name)} names no file", hint=f"Name one: `{name.rstrip('/')}/out.jsonl`.")
        with self._reached("no model was called"):
            self._files, self._path = library("pyarrow.fs").FileSystem.from_uri(name)
        self.here = PurePosixPath(self._path).name

    def is_there(self) -> bool:
        """Whether a file is there already.

        Raises:
            FileAccessError: it cannot be reached, or there is no such bucket.
        """
        with self._reached("no model was called"):
            above = PurePosixPath(self._path).parents
            # The folder, or the bucket: the names between it and the file need not be there.
            within: Any = self._files.get_file_info(str(above[0] if self.name.startswith("file://") else above[-2]))
            if not within.is_file and within.type.name == "NotFound":
                raise OSError(f"there is no {told(within.path)}")
            return bool(self._files.get_file_info(self._path).is_file)

    def put(self) -> None:
        """Copy the output there; what was there is replaced once the copy is whole.

        Raises:
            FileAccessError: it cannot be written.
        """
        with self._reached(f"the output is in {told(self.here)}, and the same command copies it there once more"):
            arrow = library("pyarrow.fs")
            # One call: whatever is raised beside an open stream of PyArrow's, what it has by then takes the place.
            arrow.copy_files(self.here, self._path, arrow.LocalFileSystem(), self._files, chunk_size=_AT_A_TIME)

    @contextmanager
    def _reached(self, otherwise: str) -> Generator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise FileAccessError(
                f"{told(self.name)} cannot be reached: {reason}",
                details={"path": self.name},
                hint=f"{otherwise[0].upper()}{otherwise[1:]}. Keys and regions come from the environment.",
            ) from None
