"""The apps that are served, each under the name in its file, and their files as they change."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus

from runllm.app import App
from runllm.errors import RunllmError, UsageError
from runllm.evals.finding import apps_below
from runllm.meant import missing
from runllm.serve.refusals import Refusal

Loader = Callable[[str], App]
Stamp = tuple[tuple[int, int, int] | None, ...]


class Served:
    """One app, and what its files looked like when it was read.

    Attributes:
        path: its file, as it was named.
        app: as it is served: the last that could be read.
        trouble: why the file as it is now is not served; None where it is.
    """

    def __init__(self, path: str, load: Loader) -> None:
        self.path = path
        self._load = load
        self.app = load(path)
        self.trouble: RunllmError | None = None
        self._seen = self._now()

    def is_changed(self) -> bool:
        """Whether one of its files is another than the one that was looked at last."""
        return self._now() != self._seen

    def read_again(self) -> None:
        """Serve the file as it is now; where it cannot be, go on with what there is, and keep the reason."""
        self._seen = self._now()
        try:
            app = self._load(self.path)
            if app.name != self.app.name:
                raise UsageError(
                    f"`{self.path}` is called `{app.name}` now, and is served as `{self.app.name}`",
                    hint="Start the service again to serve it under its new name.",
                )
        except RunllmError as error:
            self.trouble = error
        else:
            self.app, self.trouble = app, None
            self._seen = self._now()

    def _now(self) -> Stamp:
        return tuple(map(_stamp, (self.path, *(str(plan.program.path) for _, plan in self.app.plan.ways()))))


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - text is all that is needed
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class Catalog(Mapping[str, Served]):
    """The apps by name."""

    def __init__(self, paths: Sequence[str], load: Loader) -> None:
        """Read them.

        Args:
            paths: files, and folders of which all that are apps are served.
            load: makes an app of a file.

        Raises:
            RunllmError: a file has a problem.
            UsageError: two apps have one name, or there is none.
        """
        self._served: dict[str, Served] = {}
        for path in _files(paths):
            found = Served(path, load)
            name = found.app.name
            if name in self._served:
                raise UsageError(
                    f"two apps are called `{name}`: `{self._served[name].path}` and `{path}`",
                    hint="Serve one of them, or give one another `name`.",
                )
            self._served[name] = found
        if not self._served:
            raise UsageError("there is no `.rllm` file to serve", hint="Name files, or a folder that holds some.")

    def __getitem__(self, name: str) -> Served:
        return self._served[name]

    def named(self, name: str) -> Served:
        """The app that a client asks for.

        Raises:
            Refusal: there is none.
        """
        if name not in self._served:
            raise Refusal(HTTPStatus.NOT_FOUND, "there is no app of that name", "`GET /apps` lists the apps.")
        return self._served[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._served)

    def __len__(self) -> int:
        return len(self._served)


def _files(paths: Sequence[str]) -> list[str]:
    found: dict[str, str] = {}
    for path in paths:
        if os.path.isdir(path):  # noqa: PTH112 - `Path` raises for some names
            found |= {os.path.realpath(one): one for one in apps_below(path)}
        elif os.path.isfile(path):  # noqa: PTH113 - as above
            found.setdefault(os.path.realpath(path), path)
        else:
            raise missing(path)
    return list(found.values())
