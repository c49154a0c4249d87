"""Play a run many times over: each time with answer lengths, speeds and retries drawn from what was recorded."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterable
from dataclasses import dataclass

from runllm.forecast.outline import Call, Outline
from runllm.results import Usage
from runllm.stats.summary import quantile

DRAWS = 400
SEED = 7
_RECOVERY = 60  # tokens of the message that asks again, beside the answer that it quotes


@dataclass(frozen=True, slots=True)
class Draw:
    """One play of a run: seconds, US dollars, model calls."""

    latency: float
    cost: float
    calls: int


def play(outline: Outline) -> list[Draw]:
    """`DRAWS` plays of a run; the same ones every time."""
    chance = random.Random(SEED)  # noqa: S311 - what is drawn is no secret
    return [_Play(chance).run(outline) for _ in range(DRAWS)]


class _Play:
    """One play. Calls to local models take turns, so that together they take at least the sum of their times."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.local = 0.0
        self.cost = 0.0
        self.calls = 0
        self._taken: dict[int, float] = {}

    def run(self, outline: Outline) -> Draw:
        latency = self.latency(outline)
        return Draw(max(latency, self.local), self.cost, self.calls)

    def latency(self, node: Outline) -> float:
        """Seconds of a run; a shared one is drawn once."""
        if id(node) not in self._taken:
            self._taken[id(node)] = self.used(node) + (self.call(node.call) if node.call else 0.0) + node.overhead
        return self._taken[id(node)]

    def used(self, node: Outline) -> float:
        """Seconds until all that a run uses has ended: the longest chain of those that need each other."""
        ends: dict[str, float] = {}
        for name, children in node.children.items():  # in an order in which each comes after what it needs
            begin = max((ends[need] for need in node.needs.get(name, ())), default=0.0)
            ends[name] = begin + _side_by_side([self.latency(child) for child in children], node.concurrency)
        return max(ends.values(), default=0.0)

    def call(self, call: Call) -> float:
        """Seconds of all attempts of an app; each further one sends the wrong answer as well."""
        prompt = float(call.prompt_tokens if call.prompt_tokens is not None else call.window // 2)
        seconds = 0.0
        for _ in range(self.chance.choice(call.attempts)):
            answer = self.length(call, prompt)
            if call.speed is not None:
                seconds += call.speed.line(prompt, answer) * quantile(call.speed.ratios, self.chance.random())
            if call.price is not None:
                usage = Usage(prompt_tokens=round(prompt), completion_tokens=round(answer))
                self.cost += call.price.cost(usage, call.service)
            self.calls += 1
            prompt += answer + _RECOVERY
        if call.local:
            self.local += seconds
        return seconds

    def length(self, call: Call, prompt: float) -> float:
        """Completion tokens; where nothing was recorded, all that are allowed."""
        if call.lengths is not None:
            return call.lengths.at(round(prompt), self.chance.random(), call.most_tokens)
        return float(call.most_tokens or call.window // 4)


def _side_by_side(times: Iterable[float], most: int) -> float:
    """Seconds for jobs that are begun in their order, so many at a time."""
    ends = [0.0] * most
    for seconds in times:
        heapq.heappush(ends, heapq.heappop(ends) + seconds)
    return max(ends)
