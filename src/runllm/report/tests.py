"""What came of tests: for a terminal, and as JSON."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from runllm.evals.figures import figures, flakiness, pass_hat
from runllm.quantities import count, dollars, percent, seconds, some
from runllm.redaction import redact_text
from runllm.rendering import Paint, as_json, problems_report, safe
from runllm.values import frozen

if TYPE_CHECKING:
    from runllm.evals.figures import Figures, Tried
    from runllm.evals.groups import Group

_BAD = re.compile(r"  (FAILED|not run|\d+ of \d+)(?=\s|$)")
Found: TypeAlias = "Sequence[tuple[Group, Sequence[Tried]]]"
"""Each file with the runs of its cases, in order."""


@frozen
class Totals:
    """What came of all cases, over all files and models.

    Attributes:
        cases: how many there are.
        passed: how many of them passed each time.
        unrun: how many were not run each time, since something stopped all, and did not fail before.
        broken: how many files could not be tested.
    """

    cases: int
    passed: int
    unrun: int
    broken: int

    @property
    def failed(self) -> int:
        """How many cases were run and did not pass."""
        return self.cases - self.passed - self.unrun

    def __str__(self) -> str:
        return (
            f"{some(self.passed, 'case')} passed"
            + (f", {count(self.failed)} failed" if self.failed else "")
            + (f", {count(self.unrun)} not run" if self.unrun else "")
            + (f"; {some(self.broken, 'file')} could not be tested" if self.broken else "")
        )


def totals(found: Found) -> Totals:
    """Add up all cases."""
    cells = [runs for _, tried in found for runs in cells_of(tried).values()]
    return Totals(
        cases=len(cells),
        passed=sum(all(one.passed for one in runs) for runs in cells),
        unrun=sum(not failures(runs) and not all(one.passed for one in runs) for runs in cells),
        broken=sum(not group.ok for group, _ in found),
    )


def failures(runs: Sequence[Tried]) -> list[Tried]:
    """The runs that were made and did not pass."""
    return [one for one in runs if one.result is not None and not one.passed]


def cells_of(tried: Sequence[Tried]) -> dict[tuple[str, str], list[Tried]]:
    """The repeats of each case with each model."""
    found: dict[tuple[str, str], list[Tried]] = {}
    for one in tried:
        found.setdefault((one.case.name, one.model), []).append(one)
    return found


def models_of(tried: Sequence[Tried]) -> dict[str, str]:
    """The models in their order, each with what it is called: the file's own by what answered."""
    own = next((one.result.model for one in tried if not one.model and one.result and one.result.model), "")
    none = "no model" if any(one.result for one in tried) else "the file's model"
    return {one.model: one.model or own or none for one in tried}


def state(runs: Sequence[Tried]) -> str:
    """How the runs of a case with a model ended, in a word or two."""
    passed = sum(one.passed for one in runs)
    if all(one.result is None for one in runs):
        return "not run"
    if len(runs) == 1:
        return "ok" if passed else "FAILED"
    return "ok" if passed == len(runs) else f"{passed} of {len(runs)}"


# --- text ---------------------------------------------------------------------------------------------


def as_text(found: Found, paint: Paint) -> str:
    """A table for each file, models side by side, then each failure with what was expected and what came."""
    parts = [part for group, tried in found for part in (_table(group, tried, paint), *_failures(group, tried, paint))]
    ended = totals(found)
    sound = ended.passed == ended.cases and not ended.broken
    return "\n\n".join([*filter(None, parts), paint(str(ended), "green" if sound else "red")])


def _table(group: Group, tried: Sequence[Tried], paint: Paint) -> str:
    how = {"replay": f"replayed from {group.cassette.name}: times and costs are those recorded there"}
    how["record"] = f"recorded in {group.cassette.name}"
    title = paint(safe(group.path), "bold")
    if not group.ok:
        return f"{title}\n{problems_report(group.problems, paint)}"
    title += paint(f"  {safe(how[group.mode])}", "dim") if group.mode in how else ""
    models = models_of(tried)
    rows = [["", *([safe(name) for name in models.values()] or [""])]]
    cells = cells_of(tried)
    rows += [[safe(case.name), *(state(cells.get((case.name, m), ())) for m in models)] for case in group.cases]
    rows += [[safe(case.name), f"skipped: {safe(case.skip)}"] for case in group.skipped]
    sums = [figures([one for one in tried if one.model == model]) for model in models]
    if sums:
        rows += [[""], *([name, *(show(one) for one in sums)] for name, show in FIGURES.items())]
    widths = [max(len(row[at]) for row in rows if at < len(row)) for at in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows]
    coloured = [
        re.sub(r"  (FAILED|not run|\d+ of \d+)(?=\s|$)", lambda m: "  " + paint(m[1], "red"), line) for line in lines
    ]
    marked = len(group.cases) + 1
    return "\n".join([title, *(f"  {line}".rstrip() for line in [*coloured[:marked], *lines[marked:]])])


FIGURES: dict[str, Callable[[Figures], str]] = {
    "passed": lambda one: f"{one.passed} of {one.cases}",
    "first answer fits": lambda one: percent(None if one.first is None else 100 * one.first),
    "half take": lambda one: seconds(one.half),
    "cost": lambda one: dollars(one.cost),
}


def _failures(group: Group, tried: Sequence[Tried], paint: Paint) -> Iterator[str]:
    """Each case that failed, and why; repeats that failed alike once."""
    names = models_of(tried)
    for (case, model), runs in cells_of(tried).items():
        reasons: dict[tuple[str, ...], list[int]] = {}
        for one in failures(runs):
            reasons.setdefault(one.misses, []).append(one.number)
        span = runs[0].case.span
        place = f"{span.file}:{span.line}" if span else group.path
        for misses, numbers in reasons.items():
            times = f", run {', '.join(map(str, numbers))} of {len(runs)}" if len(runs) > 1 else ""
            head = f"{paint('FAILED', 'red')} {safe(case)} ({safe(names[model])}{times}) {paint(safe(place), 'dim')}"
            lines = [f"  {line}" for miss in misses for line in safe(redact_text(miss)).split("\n")]
            flaky = flakiness(sum(one.passed for one in runs), sum(one.result is not None for one in runs))
            more = [f"  it failed in {percent(100 * flaky)} of its runs: not each time"] if flaky > 0 else []
            yield "\n".join([head, *lines, *more])
    if unrun := [one for one in tried if one.result is None]:
        why = f"{some(len(unrun), 'run')}, since it was stopped: {safe(unrun[0].misses[0])}"
        yield f"{paint('not run', 'red')} {safe(group.path)}: {why}"


# --- for programs ---------------------------------------------------------------------------------------


def as_object(found: Found) -> dict[str, Any]:
    """All of it as a JSON value."""
    ended = totals(found)
    counts = {"cases": ended.cases, "failed": ended.failed, "not_run": ended.unrun, "broken_files": ended.broken}
    passed = ended.passed == ended.cases and not ended.broken
    return {"passed": passed, **counts, "files": [_file(*one) for one in found]}


def as_text_of_json(found: Found) -> str:
    """The same as JSON, secrets masked."""
    return as_json(as_object(found))


def _file(group: Group, tried: Sequence[Tried]) -> dict[str, Any]:
    from runllm.notices import problem_as_json

    names = models_of(tried)
    models = [
        {"model": names[model], **figures_as_json(figures([one for one in tried if one.model == model]))}
        for model in names
    ]
    return {
        "file": group.path,
        "app": group.name,
        "mode": group.mode,
        "models": models,
        "cases": [_cell(case, names[model], runs) for (case, model), runs in cells_of(tried).items()],
        "skipped": [{"case": case.name, "reason": case.skip} for case in group.skipped],
        "problems": [problem_as_json(problem) for problem in group.problems],
    }


def figures_as_json(one: Figures) -> dict[str, Any]:
    """What came of the cases of a file with one model, as JSON."""
    times = {"p50": one.half, "p90": one.most}
    spent = {"cost": one.cost, "tokens": one.tokens}
    return {"cases": one.cases, "passed": one.passed, "first_attempt": one.first, **times, **spent}


def _cell(case: str, model: str, runs: Sequence[Tried]) -> dict[str, Any]:
    passed, made = sum(one.passed for one in runs), sum(one.result is not None for one in runs)
    return {
        "case": case,
        "model": model,
        "passed": passed == len(runs),
        "runs": [_run(one) for one in runs],
        "pass_hat": {str(times): pass_hat(passed, made, times) for times in range(1, made + 1)},
        "flakiness": flakiness(passed, made),
    }


def _run(one: Tried) -> dict[str, Any]:
    result = one.result
    shown_result = {} if result is None else {
        "output": result.output, "error": result.error.code if result.error else None, "attempts": len(result.attempts),
        "tokens": result.usage.total_tokens, "cost": result.cost, "cached": result.cached,
    }  # fmt: skip
    return {
        "passed": one.passed,
        "run": result is not None,
        "misses": list(one.misses),
        "seconds": one.took,
        **shown_result,
    }
