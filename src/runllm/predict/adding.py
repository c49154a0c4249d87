"""Add up what the runs of a tree take: sums and maxima of spreads, without unfolding the tree.

A spread stands for a number that chance decides: `POINTS` equally likely values, smallest first. The sum of two is
made of all their pairs, and so is the larger of two; so many alike are added in as many steps as the number has bits.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

from runllm.predict.outline import Call, Outline
from runllm.results import Usage
from runllm.stats.summary import quantile

POINTS = 40
SHARES = tuple((at + 0.5) / POINTS for at in range(POINTS))
_RECOVERY = 60  # tokens of the message that asks again, beside the answer that it quotes
_SCHEDULED = 2000  # jobs that are laid out one by one; of more, the edges matter no longer
Spread = tuple[float, ...]
NOTHING: Spread = (0.0,) * POINTS


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
    usual = sum(summed) / POINTS / most
    if total <= _SCHEDULED:
        ends = [0.0] * most
        for each, times in jobs:
            for _ in range(times):
                heapq.heappush(ends, heapq.heappop(ends) + sum(each) / POINTS)
        idle = max(ends) - usual
    else:
        idle = 0.0
    idle += sum(times * _lag(each, most) for each, times in jobs) / total
    return tuple(max(work / most + idle, least) for work, least in zip(summed, slowest, strict=True))


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
    tried = sorted(call.attempts)
    numbers = [tried[int(share * len(tried))] for share in SHARES]
    prompt = float(call.prompt_tokens if call.prompt_tokens is not None else call.window // 2)
    seconds, cost = NOTHING, NOTHING
    after: dict[int, tuple[Spread, Spread]] = {0: (NOTHING, NOTHING)}
    for number in range(1, max(numbers) + 1):
        answers = [_length(call, prompt, share) for share in SHARES]
        if call.speed is not None:
            ratios = [quantile(call.speed.ratios, share) for share in SHARES]
            lines = [call.speed.line(prompt, answer) for answer in answers]
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
    if call.lengths is not None:
        return call.lengths.at(round(prompt), share, call.most_tokens)
    return float(call.most_tokens or call.window // 4)
