"""Load a file and the files it uses, each once, and check them all: the only way from a path to a `Plan`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from runllm import parser
from runllm.diagnostics import Problem, Severity, did_you_mean, errors_in, in_order
from runllm.engines import file_named
from runllm.errors import FileAccessError
from runllm.notices import tell
from runllm.ownership import doubt
from runllm.program import Dependency, Plan, Program
from runllm.project.check import analyse, refusals
from runllm.project.places import MARKERS, Disk, Resources
from runllm.project.unanswerable import unanswerable
from runllm.values import frozen

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from runllm.parser import Parsed

MAX_DEPTH = 32
MAX_FILES = 1000
MAX_TOLD = 20
"""Problems of a dependency that are told at one entry: each app could tell those of all below it twice."""


@frozen
class Loaded:
    """A file that was read and checked, and what it uses.

    Attributes:
        plan: ready to run; None exactly when a problem is an error.
        problems: in the order of the file; those of a dependency stand at the entry that names it.
    """

    plan: Plan | None
    problems: tuple[Problem, ...]


def load(path: str | Path | Traversable, *, trust_python: bool = False, whole_tree: bool = False) -> Loaded:
    """Read a file and all that it uses.

    Args:
        path: the file, or a resource of a package.
        trust_python: whether its Python blocks will run without the sandbox.
        whole_tree: whether that holds for the apps it uses as well.

    Raises:
        FileAccessError: the file itself cannot be read.
    """
    if isinstance(path, (str, Path)):
        return _Loader(Disk(), trust_python, whole_tree).load(str(path), _resolved(path))
    found = Resources(path)
    return _Loader(found, trust_python, whole_tree, found.root).load(str(path), found.path)


def load_text(
    text: str, *, name: str, folder: str | Path | None = None, trust_python: bool = False, whole_tree: bool = False
) -> Loaded:
    """As `load`, of a text as if it were saved in `folder` as `name`; without a folder it can use no other."""
    path = None if folder is None else Path(folder) / name
    files = Disk("" if path else "this app was read from a text without a `folder`")
    parsed = parser.parse(text, name=name, path=path)
    return _Loader(files, trust_python, whole_tree).load(name, path and path.resolve(), parsed)


def project_root(folder: Path) -> Path:
    """The folder that no dependency may leave.

    The nearest one, from `folder` upwards, that holds a `runllm.toml`, a `pyproject.toml` or a `.git`; `folder` itself
    where there is none, or where another user could have put it there. The home folder and the root of the file system
    are never a project.

    Raises:
        ConfigError: something is wrong in the user's settings, which are read only where another user's hand shows.
    """
    home = Path.home() if os.environ.get("HOME") or os.name == "nt" else None
    for candidate in (folder, *folder.parents):
        if candidate in (home, candidate.parent):
            break
        markers = [found for name in MARKERS if os.path.exists(found := candidate / name)]  # noqa: PTH110 - `Path` raises for a closed folder
        if markers:
            return candidate if _count(markers) else folder
    return folder


def _count(markers: Sequence[Path]) -> bool:
    """Whether one of these is the user's own word, or is to count as that; told where none is."""
    if not all(map(doubt, markers)):
        return True
    from runllm import settings  # needed nearly never

    trusted = settings.trusted_folders(settings.own_layers(os.environ)[0])
    doubts = {marker: doubt(marker, trusted) for marker in markers}
    if all(doubts.values()):
        tell(settings.passed_over(marker, why, "project") for marker, why in list(doubts.items())[:1])
        return False
    return True


def _resolved(path: str | Path) -> Path | None:
    """Where a file is, links followed; None for what is no file, such as a pipe that a shell names."""
    try:
        real = Path(path).resolve()
    except (OSError, RuntimeError, ValueError):
        return None
    return real if os.path.isfile(real) else None  # noqa: PTH113 - `Path` raises for some names


class _RefusedError(Exception):
    """A path that cannot be used: why, and what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class _Loader:
    """One loading of one file. Files are known by their real path, which is what is checked and what is read."""

    def __init__(self, files: Disk, trust_python: bool, whole_tree: bool, root: Path | None = None) -> None:
        self.files = files
        self.trust_python = trust_python
        self.whole_tree = whole_tree
        self.fixed = root
        self.root = root or Path()
        self.loaded: dict[Path, Loaded] = {}
        self.chain: list[tuple[Path, str]] = []

    def load(self, name: str, real: Path | None, parsed: Parsed | None = None) -> Loaded:
        """Read and check one file, or what was parsed of it; `name` is what it is reported under."""
        parsed = parsed or self.files.parse(name, real)
        found: list[Problem] = []
        plans: dict[str, Plan] = {}
        programs: dict[str, Program | None] = {}
        if parsed.program is not None and parsed.program.uses:
            real = real or Path(name).resolve()
            self.root = self.root if self.chain else self.fixed or project_root(real.parent)
            self.chain.append((real, name))
            for dependency in parsed.program.uses:
                child, problems = self.child(dependency, name, real.parent)
                found += problems
                programs[dependency.name] = child.program if child else None
                if child is not None:
                    plans[dependency.name] = child
            self.chain.pop()
        trusted = self.trust_python and (self.whole_tree or not self.chain)
        if parsed.program is not None:
            program, outside = parsed.program, list[Problem]()
            if _weights(program):  # else the folder may be gone
                folder = (real or Path(name).resolve()).parent
                if self.files.on_disk:
                    program = replace(program, project=self.root if self.chain else project_root(folder))
                    parsed = replace(parsed, program=program)
                outside = list(_weights_problems(program, folder))
            found += outside or [*refusals(program), *unanswerable(program)]
        problems = in_order([*analyse(parsed, programs, trust_python=trusted), *found])
        if parsed.program is None or errors_in(problems):
            return Loaded(plan=None, problems=problems)
        if not parsed.program.uses:
            return Loaded(plan=Plan(program=parsed.program), problems=problems)
        from runllm.project.early import early  # a file that stands alone needs none of it
        from runllm.project.wire import needs

        first, others = early(parsed.program).blocks, needs(parsed.program)
        return Loaded(plan=Plan(program=parsed.program, children=plans, needs=others, early=first), problems=problems)

    def child(self, dependency: Dependency, parent: str, folder: Path) -> tuple[Plan | None, list[Problem]]:
        """The plan of a dependency, and its problems, told at the entry that names it."""
        try:
            real = self.locate(dependency, folder)
        except _RefusedError as refused:
            return None, [_problem(dependency, refused.message, refused.hint)]
        name = _shown(dependency.path, parent, real)
        if real not in self.loaded:
            try:
                self.loaded[real] = self.load(name, real)
            except FileAccessError as error:
                return None, [_problem(dependency, error.message, error.recovery_hint)]
        found = self.loaded[real]
        return found.plan, list(_retold(dependency, found.problems))

    def locate(self, dependency: Dependency, folder: Path) -> Path:
        """The real path of a dependency's file, which must lie in the project and be no one's own ancestor."""
        path = dependency.path
        if not path.endswith(".rllm"):
            raise _RefusedError(f"`{path}` is not a `.rllm` file")
        if self.files.alone:
            said = f"`{path}` cannot be looked for: {self.files.alone}"
            raise _RefusedError(said, "Load it from a file, or as a text with its `folder`.")
        try:
            real = self.files.resolve(folder / path)
        except (OSError, RuntimeError, ValueError) as error:
            raise _RefusedError(f"`{path}` leads nowhere: {error}") from None
        if not real.is_relative_to(self.root):
            raise _RefusedError(
                f"`{path}` leaves the project: it leads to {real}, which is not below {self.root}",
                "Move the file, or mark a larger project by an empty `runllm.toml` in its top folder.",
            )
        for index, (ancestor, _) in enumerate(self.chain):
            if real == ancestor:
                names = [Path(name).name for _, name in self.chain[index:]]
                circle = " → ".join([*names, names[0]])
                raise _RefusedError(f"apps cannot use each other in a circle: {circle}", "Take one of them out.")
        if len(self.chain) > MAX_DEPTH or len(self.loaded) >= MAX_FILES:
            raise _RefusedError(f"more than {MAX_DEPTH} apps use one another, or more than {MAX_FILES} are used")
        if self.files.is_folder(real):
            raise _RefusedError(f"`{path}` is a folder")
        if not self.files.is_file(real):
            raise _RefusedError(f"there is no file `{path}`", self.near(real, path))
        return real

    def near(self, real: Path, path: str) -> str:
        """A hint at a file of a similar name in the same folder."""
        try:
            names = sorted(name for name in self.files.names(real.parent) if name.endswith(".rllm"))
        except OSError:
            return f"There is no folder `{os.path.dirname(path)}` beside this file."  # noqa: PTH120 - as it is written
        return did_you_mean(real.name, names) or "Paths are relative to the file that names them."


def _weights(program: Program) -> dict[str, str]:
    """The paths of weights that a file names, each by its place in the `llm` mapping."""
    models = program.model.models if program.model else {}
    return {place: path for place, model in models.items() if (path := file_named(model))}


def _weights_problems(program: Program, folder: Path) -> Iterator[Problem]:
    """Files of weights that a file names outside its project; where else they are, only a user may say."""
    for place, path in _weights(program).items():
        try:
            real = (folder / Path(path).expanduser()).resolve()
            inside = program.project is not None and real.is_relative_to(program.project)
        except (OSError, RuntimeError, ValueError):
            inside = False
        if not inside:
            yield Problem(
                message=f"`local/{path}` leaves the project",
                keyword="model",
                kind="MetadataValidationError",
                span=program.model.spans[place] if program.model else None,
                hint="Move the file of weights into the project, or name it with `--model` or in your own settings.",
            )


def _shown(path: str, parent: str, real: Path) -> str:
    """How a dependency's file is reported: beside the file that uses it, as the caller wrote that."""
    name = os.path.normpath(Path(parent).parent / path)
    return name if Path(name).resolve() == real else str(real)


def _retold(dependency: Dependency, problems: Sequence[Problem]) -> Iterator[Problem]:
    """The problems of a dependency's file at the entry that names it, errors first."""
    gravest = sorted(problems, key=lambda problem: problem.severity != "error")
    for problem in gravest[:MAX_TOLD]:
        where = f":{problem.span.line}:{problem.span.column}" if problem.span else ""
        message = f"in {dependency.path}{where}: {problem.message}"
        yield _problem(dependency, message, problem.hint, problem.keyword, problem.severity)
    if len(gravest) > MAX_TOLD:
        message = f"in {dependency.path}: {len(gravest) - MAX_TOLD} more problems"
        hint = f"`runllm validate {dependency.path}` shows them all."
        yield _problem(dependency, message, hint, severity=gravest[MAX_TOLD].severity)


def _problem(
    dependency: Dependency, message: str, hint: str, keyword: str = "uses", severity: Severity = "error"
) -> Problem:
    return Problem(
        message=f"`{dependency.name}`: {message}",
        keyword=keyword,
        kind="DependencyResolutionError",
        span=dependency.path_span,
        hint=hint,
        severity=severity,
    )
