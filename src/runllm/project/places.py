"""Where the files of a project are: in folders, or in a package's resources, which may lie in an archive.

A file is known by its path. That of a resource in an archive leads nowhere: it is the archive's, with the place in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runllm import parser
from runllm.errors import FileAccessError
from runllm.parser import MAX_BYTES, Parsed

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

MARKERS = ("runllm.toml", "pyproject.toml", ".git")


class Disk:
    """Files in folders.

    Attributes:
        alone: why nothing lies beside the first file; empty where something may.
        on_disk: whether paths lead to files.
    """

    def __init__(self, alone: str = "") -> None:
        self.alone = alone
        self.on_disk = not alone

    def parse(self, name: str, real: Path | None) -> Parsed:
        """Read and parse a file that is reported as `name`.

        Raises:
            FileAccessError: it cannot be read.
        """
        return parser.load(name, resolved=real)

    def resolve(self, path: Path) -> Path:
        """Where a path leads, links followed.

        Raises:
            OSError, RuntimeError, ValueError: nowhere.
        """
        return path.resolve()

    def is_folder(self, real: Path) -> bool:
        """Whether a folder is there."""
        return os.path.isdir(real)  # noqa: PTH112 - `Path` raises for some names

    def is_file(self, real: Path) -> bool:
        """Whether a file is there."""
        return os.path.isfile(real)  # noqa: PTH113 - as above

    def names(self, folder: Path) -> Iterator[str]:
        """The names of the files in a folder; none where it cannot be listed.

        Raises:
            OSError: there is no such folder.
        """
        return (entry.name for entry in folder.iterdir() if entry.is_file())


class Resources(Disk):
    """The files beside a resource, in its folder and below.

    Attributes:
        path: of the resource.
        root: of the folder that no dependency may leave: the nearest with a mark of a project, else the resource's own.
    """

    def __init__(self, resource: Traversable) -> None:
        folder: Any = getattr(resource, "parent", None)
        super().__init__("" if folder is not None else "the resource does not tell in which folder it lies")
        self.on_disk = False
        self.path = Path(os.path.normpath(str(resource)))
        self.root = root = self.path.parent
        self._resource, self._root = resource, folder
        while folder is not None and type(folder) is type(resource):  # above an archive are folders
            if any((folder / name).is_file() for name in MARKERS):
                self.root, self._root = root, folder
                break
            folder, root = getattr(folder, "parent", None), root.parent

    def parse(self, name: str, real: Path | None) -> Parsed:
        """Read and parse one."""
        found = self._at(real or self.path)
        try:
            if found is None or not found.is_file():
                data = None
            else:
                with found.open("rb") as file:
                    data = file.read(MAX_BYTES + 1)
        except Exception as error:  # of whichever importer made it
            said = f"`{name}` cannot be read: {type(error).__name__}: {error}"
            raise FileAccessError(said, details={"path": name}) from None
        if data is None:
            raise FileAccessError(f"there is no file `{name}`", details={"path": name})
        return parser.parse(data, name=name)

    def resolve(self, path: Path) -> Path:
        """The path without `..`: no step of it is a link."""
        return Path(os.path.normpath(path))

    def is_folder(self, real: Path) -> bool:
        """Whether a folder is there."""
        found = self._at(real)
        return found is not None and found.is_dir()

    def is_file(self, real: Path) -> bool:
        """Whether a file is there."""
        found = self._at(real)
        return found is not None and found.is_file()

    def names(self, folder: Path) -> Iterator[str]:
        """The names of the files in a folder."""
        found = self._at(folder)
        return (one.name for one in found.iterdir() if one.is_file()) if found is not None else iter(())

    def _at(self, real: Path) -> Traversable | None:
        """What is at a path; None where that lies outside."""
        if real == self.path:
            return self._resource
        if self._root is None or not real.is_relative_to(self.root):
            return None
        found = self._root
        for step in real.relative_to(self.root).parts:
            found = found / step
        return found
