"""Two files, two revisions of one or two models on the same cases: what each passes, and whether that is chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from math import comb
from pathlib import Path
from types import MappingProxyType

from runllm.diagnostics import steps
from runllm.diagnostics import told as told_name
from runllm.errors import UsageError
from runllm.evals.beside import header_of
from runllm.evals.figures import Figures, Tried, figures
from runllm.evals.groups import Group
from runllm.evals.judge import told
from runllm.evals.suite import Suite
from runllm.parser.cases import cases, misfits
from runllm.parser.conditions import NOTHING, differences
from runllm.program import Case, Source
from runllm.quantities import some
from runllm.values import frozen

CHANCE = 0.05
"""How likely chance alone must be to make such a difference for it not to count as one."""


@frozen
class Side:
    """What is compared: a file with a model.

    Attributes:
        label: what it is called.
        tried: the runs of its cases, in their order.
    """

    label: str
    tried: tuple[Tried, ...]

    @property
    def figures(self) -> Figures:
        """Added up."""
        return figures(self.tried)


@frozen
class Comparison:
    """Two sides, run by run.

    Attributes:
        sides: the first and the second.
        only_first: the runs that the first alone passes.
        only_second: those that the second alone passes.
        changed: the runs whose outputs differ.
    """

    sides: tuple[Side, Side]
    only_first: tuple[Tried, ...]
    only_second: tuple[Tried, ...]
    changed: tuple[tuple[Tried, Tried], ...]

    @property
    def better(self) -> tuple[int, int]:
        """How many cases each side passes more often. Repeats of one case are no more cases: they fail together."""
        lead = Counter(one.case.name for one in self.only_first)
        lead.subtract(one.case.name for one in self.only_second)
        return sum(ahead > 0 for ahead in lead.values()), sum(ahead < 0 for ahead in lead.values())

    @property
    def chance(self) -> float:
        """How likely chance alone makes as many of the cases that tell the sides apart fall to one of them, or more.

        McNemar's exact test, two-sided: of n such cases each falls to either side like a coin.
        """
        one, other = self.better
        tail = sum(comb(one + other, count) for count in range(min(one, other) + 1))
        return min(1.0, 2 * tail / 2 ** (one + other))


def compared(first: Side, second: Side) -> Comparison:
    """Hold two sides against each other."""
    pairs = list(zip(first.tried, second.tried, strict=True))
    return Comparison(
        sides=(first, second),
        only_first=tuple(one for one, other in pairs if one.passed and not other.passed),
        only_second=tuple(other for one, other in pairs if other.passed and not one.passed),
        changed=tuple(pair for pair in pairs if any(changes(*pair))),
    )


def changes(one: Tried, other: Tried) -> Iterator[str]:
    """Where the outputs of two runs differ, in words."""
    first, second = (NOTHING if t.result is None or t.result.error else t.result.output for t in (one, other))
    return (told(found, "first", "second") for found in differences(first, second))


def compare(
    suite: Suite,
    paths: Sequence[str],
    labels: Sequence[str],
    rows: str | None = None,
    *,
    limit: int | None = None,
    maps: Mapping[str, str] = MappingProxyType({}),
) -> Comparison:
    """Run both sides on the same cases: those of the second file, else of the first; or rows of a table.

    Args:
        suite: how they are run; of its models two, or none where there are two files.
        paths: one file or two.
        labels: what the files are called.
        rows: a table of inputs, instead of cases; a column named like an output says what that must be.
        limit: the most rows.
        maps: the column of an input, where it is not the one of its name.

    Raises:
        UsageError: there is nothing to compare by.
        RunllmError: a file has problems, or a bound is reached.
    """
    groups = [suite.group(path) for path in paths]
    for group in groups:
        group.raise_problems()
    if rows is not None:
        chosen = _rows(suite, groups[-1], rows, limit, maps)
    else:
        chosen = next((group.cases for group in reversed(groups) if group.cases), ())
    if not chosen:
        if rows is not None:
            raise UsageError(f"`{rows}` has no rows that fit")
        named = " of that name or tag" if suite.wanted.name or suite.wanted.tags else ""
        hint = "Write cases (docs/testing.md), or name a table of inputs with `--rows`."
        raise UsageError(f"`{labels[-1]}` has no tests{named} to compare by", hint=hint)
    if len(groups) == 1:
        tried = list(suite.run(replace(groups[0], cases=chosen)))
        sides = [Side(label=m, tried=tuple(one for one in tried if one.model == m)) for m in suite.wanted.models]
    else:
        sides = [
            Side(label=label, tried=tuple(suite.run(replace(group, cases=chosen))))
            for label, group in zip(labels, groups, strict=True)
        ]
    for one in (one for side in sides for one in side.tried):
        if one.result is not None and one.result.error is not None and one.result.error.stops_all:
            raise one.result.error  # such as a missing key: no answer is worse for that
    return compared(*sides)


def _rows(suite: Suite, group: Group, path: str, limit: int | None, maps: Mapping[str, str]) -> tuple[Case, ...]:
    """The rows of a table as cases; the suite notes what they expect, and those that cannot be run."""
    from runllm import api
    from runllm.evals.tables import rows_of

    program = api.validate(group.path).program
    if program is None:
        return ()
    said = list(islice(rows_of(path, program, maps), limit))
    header = header_of(Source(name=path, text=""), said)
    found = cases(header)
    problems = reversed(list(misfits(header, program.input, program.output_contract)))
    wrong = {steps(one.pointer)[1]: one for one in problems}  # the first of each
    if expected := dict.fromkeys(name for case in found for name in case.expect.get("partial", case.expect)):
        suite.notes.append(f"{path}: {', '.join(map(told_name, expected))} of a row is what must come")
    if wrong:
        left_out = f"{some(len(wrong), 'row')} of {path} cannot hold, and {'is' if len(wrong) == 1 else 'are'} left out"
        suite.notes.append(f"{left_out}: {next(reversed(wrong.values()))}")
    return tuple(case for index, case in enumerate(found) if str(index) not in wrong)


def labels_of(paths: Sequence[str], models: Sequence[str]) -> list[str]:
    """What the files are called: as they were named, shortened where that tells them apart.

    Raises:
        UsageError: these are not two sides.
    """
    if (len(paths), len(models)) not in ((1, 2), (2, 0), (2, 1)) or (len(paths) == 1 and len(set(models)) == 1):
        raise UsageError(
            "two things are compared: two files, one file at a revision and as it is, or one file with two models",
            hint="Such as `runllm compare a.rllm b.rllm`, or `a.rllm@HEAD~1 a.rllm`, or `a.rllm -m X -m Y`.",
        )
    names = [Path(path).name for path in paths]
    return names if len(set(names)) == len(names) else list(paths)
