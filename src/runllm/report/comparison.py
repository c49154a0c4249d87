"""Two sides of a comparison: for a terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from runllm.evals.compare import CHANCE, Comparison, changes
from runllm.quantities import count, dollars, percent, seconds, some
from runllm.redaction import redact_text
from runllm.rendering import Paint, as_json, safe
from runllm.report.tests import figures_as_json

if TYPE_CHECKING:
    from runllm.evals.figures import Tried

_MOST = 20  # of each list


def as_text(found: Comparison, paint: Paint) -> str:
    """A table of both sides, the cases that one alone passes, what differs, and what that is worth."""
    sums = [side.figures for side in found.sides]
    rows = [
        ("", *(safe(side.label) for side in found.sides)),
        ("passed", *(f"{sum(t.passed for t in side.tried)} of {len(side.tried)}" for side in found.sides)),
        ("first answer fits", *(percent(None if one.first is None else 100 * one.first) for one in sums)),
        ("half take", *(seconds(one.half) for one in sums)),
        ("nine in ten take", *(seconds(one.most) for one in sums)),
        ("cost", *(dollars(one.cost) for one in sums)),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    parts = [*_alone(found, paint), *_changed(found, paint)]
    return "\n\n".join(["\n".join([paint(table[0], "bold"), *table[1:]]), *parts, worth(found)])


def _alone(found: Comparison, paint: Paint) -> Iterator[str]:
    for side, runs in zip(found.sides, (found.only_first, found.only_second), strict=True):
        if runs:
            names = [f"  {safe(_name(one))}" for one in runs[:_MOST]]
            yield "\n".join([paint(f"only {safe(side.label)} passes", "bold"), *names, *_more(runs)])


def _changed(found: Comparison, paint: Paint) -> Iterator[str]:
    if found.changed:
        first, second = (safe(side.label) for side in found.sides)
        verb = "differs" if len(found.changed) == 1 else "differ"
        lines = [paint(f"{some(len(found.changed), 'output')} of {first} and {second} {verb}", "bold")]
        for one, other in found.changed[:_MOST]:
            told = [line for change in changes(one, other) for line in change.split("\n")]
            lines += [f"  {safe(_name(one))}", *(f"    {safe(redact_text(line))}" for line in told)]
        yield "\n".join([*lines, *_more(found.changed)])


def _more(all_of: Sequence[Any]) -> list[str]:
    return [f"  ... and {count(len(all_of) - _MOST)} more"] if len(all_of) > _MOST else []


def _name(one: Tried) -> str:
    return f"{one.case.name} [{one.number}]" if one.number > 1 else one.case.name


def worth(found: Comparison) -> str:
    """What the difference is worth, in a sentence."""
    one, other = found.better
    if not one + other:
        return "Both pass the same." if not found.only_first else "Both pass each case as often."
    better = found.sides[other > one].label
    alone = f"of {some(one + other, 'case')} that one side passes more often, {max(one, other)} fall to {safe(better)}"
    odds = f"chance alone does that or more in {percent(100 * found.chance)} of such comparisons"
    if found.chance >= CHANCE:
        return f"The difference is within chance: {alone}, and {odds}. More cases would tell."
    return f"{safe(better)} is better: {alone}, and {odds}."


def as_text_of_json(found: Comparison) -> str:
    """The same as JSON, secrets masked."""
    return as_json(
        {
            "sides": [
                {
                    "label": side.label,
                    **figures_as_json(side.figures),
                    "runs": len(side.tried),
                    "runs_passed": sum(one.passed for one in side.tried),
                }
                for side in found.sides
            ],
            "only_first": [_name(one) for one in found.only_first],
            "only_second": [_name(one) for one in found.only_second],
            "changed": [
                {"case": _name(one), "outputs": [run.result and run.result.output for run in (one, other)]}
                for one, other in found.changed
            ],
            "chance": found.chance,
            "within_chance": found.chance >= CHANCE,
        }
    )
