"""Which cases of a file are run, and how: as they are written, chosen by name and tag, live, recorded or replayed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import field, replace
from pathlib import Path

from runllm import api
from runllm.diagnostics import Problem, errors_in
from runllm.engines.cassette import cassette_of
from runllm.evals.beside import cases_of
from runllm.program import Case
from runllm.values import frozen

Mode = str
"""`live`, `record` or `replay`."""


@frozen
class Wanted:
    """What is to be tested, and how.

    Attributes:
        paths: files and folders.
        models: each case is run with each; with the file's own where there are none.
        repeat: how often each case is run.
        name: only cases whose name holds this, in whatever case; empty for all.
        tags: only cases that have one of these; empty for all.
        mode: `live`, `record`, `replay`, or `auto`: the last in CI for files that have a cassette, else the first.
        prune: whether what is not asked for is taken out of cassettes.
        rpm: the most calls a minute at one provider.
        tpm: the most tokens a minute.
    """

    paths: tuple[str, ...] = (".",)
    models: tuple[str, ...] = ()
    repeat: int = 1
    name: str = ""
    tags: tuple[str, ...] = ()
    mode: Mode = "auto"
    prune: bool = False
    rpm: float | None = None
    tpm: float | None = None


@frozen
class Group:
    """A file and its tests.

    Attributes:
        path: the file.
        name: of the app.
        mode: how it is run: `live`, `record` or `replay`.
        cassette: the file in which is kept what models answer.
        cases: those to be run.
        skipped: those that say why not.
        whole: whether all cases of the file are run.
        problems: what is wrong with the file or its tests, so that none is run, and what to be warned of.
    """

    path: str
    name: str = ""
    mode: Mode = "live"
    cassette: Path = field(default_factory=Path)
    cases: tuple[Case, ...] = ()
    skipped: tuple[Case, ...] = ()
    whole: bool = True
    problems: tuple[Problem, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether its tests can be run."""
        return not errors_in(self.problems)

    def raise_problems(self) -> None:
        """Raise what is wrong with it.

        Raises:
            RunllmError: the first error, with all problems.
        """
        if not self.ok:
            raise api.failure(self.problems)


def group_of(path: str, wanted: Wanted, *, trusted: bool = False, whole_tree: bool = False) -> Group:
    """The tests of a file that are chosen, and how they are run."""
    report = api.validate(path, trust_python=trusted, whole_tree=whole_tree)
    cassette = cassette_of(path)
    group = Group(path=path, cassette=cassette, mode=_mode(wanted, cassette), problems=report.problems)
    if report.program is None:
        return group
    cases, problems = cases_of(report.program, trusted=trusted)
    chosen = [case for case in cases if _is_chosen(wanted, case)]
    return replace(
        group,
        name=report.program.name,
        cases=tuple(case for case in chosen if not case.skip),
        skipped=tuple(case for case in chosen if case.skip),
        whole=len(chosen) == len(cases) and not any(case.skip for case in cases),
        problems=(*report.problems, *problems),
    )


def alone(groups: Sequence[Group]) -> list[Group] | None:
    """The same with the cases alone that say `only`; None where none does."""
    if not any(case.only for group in groups for case in group.cases):
        return None
    return [replace(group, cases=tuple(case for case in group.cases if case.only), whole=False) for group in groups]


def _is_chosen(wanted: Wanted, case: Case) -> bool:
    named = wanted.name.casefold() in case.name.casefold()
    return named and (not wanted.tags or bool(set(wanted.tags) & set(case.tags)))


def _mode(wanted: Wanted, cassette: Path) -> Mode:
    if wanted.mode != "auto":
        return wanted.mode
    in_ci = os.environ.get("CI", "").lower() not in ("", "0", "false")
    return "replay" if in_ci and cassette.is_file() else "live"
