"""What a run will take: seconds and US dollars, before a token is spent.

`outline` finds the calls that a run will make, as far as they are known before it; `past` says how such calls went
until now; `adding` adds it up, with its spread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runllm.executor.ahead import most_calls
from runllm.predict.adding import add_up
from runllm.predict.outline import Basis, Outline, Outliner
from runllm.predict.past import ENOUGH, Past
from runllm.program import Plan
from runllm.results import Options
from runllm.runtime import Runtime
from runllm.stats.store import Store
from runllm.stats.summary import quantile
from runllm.values import frozen

__all__ = ["Basis", "Forecast", "Part", "Range", "forecast"]


@frozen
class Range:
    """What half of the runs stay below, and nine in ten."""

    p50: float
    p90: float


@frozen
class Part:
    """What is known of one app of the tree.

    Attributes:
        name: the names that lead to it; the app's own for the first.
        model: what it calls; empty for none.
        times: how often it runs.
        runs: how many recorded runs of it, with this model, the prediction rests on.
        basis: where its numbers come from.
        prompt_tokens: of its first request; None where nothing is known.
        completion_tokens: of an answer; None where nothing is known.
    """

    name: str
    model: str
    times: int
    runs: int
    basis: Basis
    prompt_tokens: int | None
    completion_tokens: Range | None


@frozen
class Forecast:
    """What a run will take.

    Attributes:
        latency: seconds; None where nothing is known of a model's speed.
        cost: US dollars; None where a price is not known.
        most_latency: seconds that the declared limits allow at the most; None where the number of runs is not known.
        most_cost: US dollars that the declared limits allow at the most; None as above, and where a price is not known.
        most_calls: model calls that the declared limits and the budget allow at the most.
        calls: model calls, retries included.
        basis: the weakest of its parts.
        parts: each app of the tree that calls a model.
        notes: what was assumed.
    """

    latency: Range | None
    cost: Range | None
    most_latency: float | None
    most_cost: float | None
    most_calls: int
    calls: Range
    basis: Basis
    parts: tuple[Part, ...]
    notes: tuple[str, ...]


def forecast(
    plan: Plan, given: Mapping[str, Any] | None, options: Options, runtime: Runtime, store: Store | None
) -> Forecast:
    """Predict a run. Calls no model; apps of the tree that need none are run, since they cost nothing.

    Args:
        plan: what will run.
        given: its input, None for a usual one.
        options: the caller's.
        runtime: for prices and windows.
        store: what is known of earlier runs; None for nothing.

    Raises:
        RunllmError: the input is refused, or a block or template fails on it; or the store cannot be read.
    """
    outliner = Outliner(options, runtime, Past(store))
    outline = outliner.outline(plan, given)
    total, parts = add_up(outline), _parts(outline)
    few = [part for part in parts if part.runs < ENOUGH]
    timed = all(node.call.speed for node in outline.nodes() if node.call)
    priced = all(node.call.price for node in outline.nodes() if node.call)
    return Forecast(
        latency=_range(total.latency) if timed else None,
        cost=_range(total.cost) if priced else None,
        most_latency=outline.most_latency() if outliner.bounded else None,
        most_cost=outline.most_cost() if outliner.bounded else None,
        most_calls=most_calls(plan, given, options),
        calls=_range(total.calls),
        basis=max((node.call.basis for node in outline.nodes() if node.call), default=Basis.HISTORY),
        parts=parts,
        notes=tuple(dict.fromkeys([*outliner.notes, *(_rough(part) for part in few)])),
    )


def _rough(part: Part) -> str:
    seen = f"only {part.runs} run{'s' if part.runs > 1 else ''}" if part.runs else "no run"
    return f"{seen} of `{part.name}` with {part.model} recorded: a rough guess"


def _range(ordered: Sequence[float]) -> Range:
    return Range(p50=quantile(ordered, 0.5), p90=quantile(ordered, 0.9))


def _parts(outline: Outline) -> tuple[Part, ...]:
    """The nodes that call a model, those of one name together."""
    named: dict[str, list[Outline]] = {}
    for node in outline.nodes():
        if node.call is not None:
            named.setdefault(node.name, []).append(node)
    counts = outline.counts()
    return tuple(_part(name, nodes, sum(counts[id(node)] for node in nodes)) for name, nodes in named.items())


def _part(name: str, nodes: list[Outline], times: int) -> Part:
    calls = [node.call for node in nodes if node.call is not None]
    first = calls[0]
    prompts = [call.prompt_tokens for call in calls if call.prompt_tokens is not None]
    prompt = round(sum(prompts) / len(prompts)) if prompts else None
    lengths = first.lengths
    answer = None
    if lengths is not None:
        at = prompt or 0
        answer = Range(p50=lengths.at(at, 0.5, first.most_tokens), p90=lengths.at(at, 0.9, first.most_tokens))
    return Part(
        name=name,
        model=first.model,
        times=times,
        runs=first.runs,
        basis=first.basis,
        prompt_tokens=prompt,
        completion_tokens=answer,
    )
