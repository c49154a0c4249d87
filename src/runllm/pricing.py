"""What the tokens of a call cost: one value and one function, for what is predicted and for what is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from runllm.results import Usage
from runllm.values import frozen


@frozen
class Rates:
    """US dollars per token, of every token of a request.

    Attributes:
        above: they hold where the prompt has more tokens than this; of the first rates, 0.
        prompt: of a prompt token.
        completion: of an answered token.
        cached: of a prompt token that the provider had seen before.
        written: of a prompt token that it keeps for the next time.
        reasoning: of an answered token that was thought.
    """

    above: int = 0
    prompt: float
    completion: float
    cached: float
    written: float
    reasoning: float


@frozen
class Price:
    """What a model costs.

    Attributes:
        rates: the first, then those that hold for longer prompts, by length.
        request: US dollars for each call, beside its tokens.
        services: other rates, by the `service_tier` that a request asks for.
    """

    rates: tuple[Rates, ...]
    request: float = 0.0
    services: Mapping[str, tuple[Rates, ...]] = field(default_factory=dict[str, tuple[Rates, ...]])

    def cost(self, usage: Usage, service: str | None = None) -> float:
        """US dollars of a call with this usage."""
        return sum(self.parts(usage, service))

    def parts(self, usage: Usage, service: str | None = None) -> tuple[float, float]:
        """US dollars of its prompt, and of its answer."""
        rates = self.services.get(service or "", self.rates)
        held = next((found for found in reversed(rates) if usage.prompt_tokens > found.above), rates[0])
        cached = min(usage.cached_tokens, usage.prompt_tokens)
        written = min(usage.written_tokens, usage.prompt_tokens - cached)
        thought = min(usage.reasoning_tokens, usage.completion_tokens)
        fresh, said = usage.prompt_tokens - cached - written, usage.completion_tokens - thought
        prompt = fresh * held.prompt + cached * held.cached + written * held.written
        return self.request + prompt, said * held.completion + thought * held.reasoning

    def most(self, window: int, answer: int, service: str | None = None) -> float:
        """The most US dollars of a call whose prompt and answer fill the window, the answer at most so long.

        That is the one with the longest answer, or one whose prompt just reaches higher rates.
        """
        shortest = window - min(answer, window)
        starts = (found.above + 1 for found in self.services.get(service or "", self.rates))
        prompts = {shortest, *(start for start in starts if shortest < start <= window)}
        return max(self.cost(Usage(prompt_tokens=p, completion_tokens=window - p), service) for p in prompts)


def flat(prompt: float, completion: float) -> Price:
    """A price without tiers or discounts, in US dollars per token."""
    rates = Rates(prompt=prompt, completion=completion, cached=prompt, written=prompt, reasoning=completion)
    return Price(rates=(rates,))


FREE = flat(0.0, 0.0)
"""What runs on the user's own machine."""
