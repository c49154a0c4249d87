"""What a run will take: seconds and US dollars, before a token is spent.

`outline` finds the calls that a run will make, as far as they are known before it; `past` says how such calls went
until now; here they are added up, without unfolding the tree.

A spread stands for a number that chance decides: `POINTS` equally likely values, smallest first. The sum of two is
made of all their pairs, and so is the larger of two; so many alike are added in as many steps as the number has bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from runllm.executor.ahead import most_calls
from runllm.predict.outline import Call, Outline, Outliner
from runllm.predict.past import ENOUGH, Basis, Past
from runllm.program import Plan
from runllm.results import Usage
from runllm.routing import Options
from runllm.runtime import Runtime
from runllm.stats.ranks import quantile
from runllm.stats.store import Store
from runllm.values import frozen

__all__ = ["Basis", "Forecast", "Part", "Range", "forecast"]

POINTS = 40
SHARES = tuple((at + 0.5) / POINTS for at in range(POINTS))
_USUAL_WINDOW = 8192  # where nobody knows how many tokens fit
_RECOVERY = 60  # tokens of the message that asks again, beside the answer that it quotes
Spread = tuple[float, ...]
NOTHING: Spread = (0.0,) * POINTS


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
    calls = [node.call for node in outline.nodes() if node.call]
    return Forecast(
        latency=_range(total.latency) if all(call.past.speed for call in calls) else None,
        cost=_range(total.cost) if all(call.price for call in calls) else None,
        most_latency=outline.most_latency() if outliner.bounded else None,
        most_cost=outline.most_cost() if outliner.bounded else None,
        most_calls=most_calls(plan, given, options),
        calls=_range(total.calls),
        basis=max((call.past.basis for call in calls), default=Basis.HISTORY),
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
    lengths = first.past.lengths
    answer = None
    if lengths is not None:
        at = prompt or 0
        answer = Range(p50=lengths.at(at, 0.5, first.most_tokens), p90=lengths.at(at, 0.9, first.most_tokens))
    return Part(
        name=name,
        model=first.model,
        times=times,
        runs=len(first.past.finished),
        basis=first.past.basis,
        prompt_tokens=prompt,
        completion_tokens=answer,
    )


# --- adding up ------------------------------------------------------------------------------------


def spread(values: Iterable[float]) -> Spread:
    """Any number of equally likely values, at least one, as a spread of the same mean."""
    found = sorted(values)
    size = len(found)
    if size <= POINTS:
        return tuple(found[int(share * size)] for share in SHARES)
    parts = [found[at * size // POINTS : (at + 1) * size // POINTS] for at in range(POINTS)]
    return tuple(sum(part) / len(part) for part in parts)


def plus(one: Spread, other: Spread) -> Spread:
    """The sum of two that do not depend on each other."""
    for fixed, free in ((one, other), (other, one)):
        if fixed[0] == fixed[-1]:
            return tuple(fixed[0] + value for value in free)
    return spread(a + b for a in one for b in other)


def repeated(one: Spread, times: int) -> Spread:
    """The sum of so many that do not depend on each other."""
    found = NOTHING
    while times:
        if times & 1:
            found = plus(found, one)
        one, times = plus(one, one), times >> 1
    return found


def longest(one: Spread, other: Spread) -> Spread:
    """The larger of two that do not depend on each other."""
    if one[0] >= other[-1] or other[0] >= one[-1]:
        return max(one, other)
    return spread(max(a, b) for a in one for b in other)


def side_by_side(jobs: Sequence[tuple[Spread, int]], most: int) -> Spread:
    """Seconds for jobs that are begun in their order, so many at a time; each with how often it is done."""
    total = sum(times for _, times in jobs)
    slowest = reduce(longest, (_slowest(each, times) for each, times in jobs), NOTHING)
    if total <= most:
        return slowest
    summed = reduce(plus, (repeated(each, times) for each, times in jobs))
    rounds = math.ceil(total / most) / total  # in the last one some places stay empty
    lag = sum(times * _lag(each, most) for each, times in jobs) / total
    return tuple(max(work * rounds + lag, least) for work, least in zip(summed, slowest, strict=True))


def _lag(one: Spread, most: int) -> float:
    """Seconds by which the last of so many that end together is behind a usual one: what the others wait for it."""
    return (sum(_slowest(one, most)) - sum(one)) / POINTS


def _slowest(one: Spread, times: int) -> Spread:
    """The slowest of so many alike."""
    return one if times == 1 else tuple(one[int(POINTS * share ** (1 / max(1, times)))] for share in SHARES)


@dataclass(frozen=True, slots=True)
class Total:
    """What a tree takes: seconds, US dollars, model calls."""

    latency: Spread
    cost: Spread
    calls: Spread


def add_up(outline: Outline) -> Total:
    """What a run takes. Calls to local models take turns: together they take at least the sum of their times."""
    cost = calls = local = NOTHING
    latencies: dict[int, Spread] = {}
    counts = outline.counts()
    for node in outline.nodes():  # what is used first
        own = NOTHING
        if node.call is not None:
            own, paid, made = _attempts(node.call)
            times = counts[id(node)]
            cost, calls = plus(cost, repeated(paid, times)), plus(calls, repeated(made, times))
            local = plus(local, repeated(own, times)) if node.call.local else local
        ends: dict[str, Spread] = {}
        for name, children in node.children.items():  # in an order in which each comes after what it needs
            begin = reduce(longest, (ends[need] for need in node.needs.get(name, ())), NOTHING)
            jobs = [(latencies[id(child)], times) for child, times in children]
            ends[name] = plus(begin, side_by_side(jobs, node.concurrency))
        used = reduce(longest, ends.values(), NOTHING)
        latencies[id(node)] = tuple(seconds + node.overhead for seconds in plus(used, own))
    latency = tuple(map(max, latencies[id(outline)], local))
    return Total(latency=latency, cost=cost, calls=calls)


def _attempts(call: Call) -> tuple[Spread, Spread, Spread]:
    """Seconds, US dollars and number of all attempts of an app; each further one sends the wrong answer as well."""
    tried = sorted(call.past.attempts)
    numbers = [tried[int(share * len(tried))] for share in SHARES]
    prompt = float(call.prompt_tokens if call.prompt_tokens is not None else (call.window or _USUAL_WINDOW) // 2)
    seconds, cost = NOTHING, NOTHING
    after: dict[int, tuple[Spread, Spread]] = {0: (NOTHING, NOTHING)}
    for number in range(1, max(numbers) + 1):
        answers = [_length(call, prompt, share) for share in SHARES]
        speed = call.past.speed
        if speed is not None:
            ratios = [quantile(speed.ratios, share) for share in SHARES]
            lines = [speed.line(prompt, answer) for answer in answers]
            seconds = plus(seconds, spread(line * ratio for line in lines for ratio in ratios))
        if call.price is not None:
            used = (Usage(prompt_tokens=round(prompt), completion_tokens=round(answer)) for answer in answers)
            cost = plus(cost, spread(call.price.cost(usage, call.service) for usage in used))
        after[number] = (seconds, cost)
        prompt += answers[POINTS // 2] + _RECOVERY
    took = spread(value for number in numbers for value in after[number][0])
    paid = spread(value for number in numbers for value in after[number][1])
    return took, paid, spread(numbers)


def _length(call: Call, prompt: float, share: float) -> float:
    """Completion tokens; where nothing was recorded, all that are allowed."""
    if call.past.lengths is not None:
        return call.past.lengths.at(round(prompt), share, call.most_tokens)
    return float(call.most_tokens or (call.window or _USUAL_WINDOW) // 4)
