"""The seam between runllm and a model: what every engine does, and nothing else."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any, Protocol

from runllm.diagnostics import Problem, Severity, Span
from runllm.engines import catalogue
from runllm.results import Completion, Endpoint, Request, Usage
from runllm.values import frozen
from runllm.watching import Doing, untold

if TYPE_CHECKING:
    from pathlib import Path

    from runllm.engines.background import Background
    from runllm.errors import RunllmError
    from runllm.models.pulling import Progress


# --- what a model costs -----------------------------------------------------------------------------


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


# --- what a model takes --------------------------------------------------------------------------------


@frozen
class Misfit:
    """A parameter that a model does not take.

    Attributes:
        name: the parameter.
        message: that, with the value where another one would be taken.
        hint: what to write.
    """

    name: str
    message: str
    hint: str

    def problem(self, span: Span | None, severity: Severity = "error") -> Problem:
        """The same as a problem of the file, which names the parameter at `span`."""
        return Problem(
            message=self.message,
            keyword="llm_params",
            kind="LLMParamValidationError",
            span=span,
            hint=self.hint,
            severity=severity,
        )


@frozen
class Fit:
    """What a model takes of a request's parameters.

    Attributes:
        params: those that are sent.
        misfits: what it does not take.
        notes: what of the request arrives otherwise than it was written, in sentences.
    """

    params: Mapping[str, Any]
    misfits: tuple[Misfit, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, params: Mapping[str, Any], misfits: Iterable[Misfit]) -> Fit:
        """The parameters without the misfits, which are left out quietly where the file's `drop_params` says so."""
        found = {one.name: one for one in misfits}
        kept = {name: value for name, value in params.items() if name not in found}
        if params.get("drop_params"):
            return cls(
                params=kept, notes=tuple(f"left out, as `drop_params` says: {one.message}" for one in found.values())
            )
        return cls(params=kept, misfits=tuple(found[name] for name in params if name in found))


def without(request: Request, names: Iterable[str]) -> Fit:
    """The fit of a request to a model that takes none of these parameters."""
    given = (name for name in names if request.params.get(name) is not None)
    model, hint = request.endpoint.model, "Leave `{}` out for this model."
    misfits = (Misfit(name=n, message=f"`{model}` does not take `{n}`", hint=hint.format(n)) for n in given)
    return Fit.of(request.params, misfits)


# --- engines ------------------------------------------------------------------------------------------


@frozen
class Setup:
    """What a user allows engines to do, and how they tell of it.

    Attributes:
        pull: fetches a local model by its name; None where that is not allowed.
        ollama_auto_pull: whether an Ollama server may download a model that it lacks: gigabytes.
        progress: told how far a download is, in another thread.
        memory: the file in which is kept for a day what was learnt of providers; None for no longer than the process.
        slots: how many answers a model in this process may write at a time, where its memory suffices.
        doing: told of what takes a while beside the model: loading it, importing a library.
    """

    pull: Callable[[str], object] | None = None
    ollama_auto_pull: bool = False
    progress: Callable[[Progress], None] | None = None
    memory: Path | None = None
    slots: int = 1
    doing: Doing = untold


class Engine(Protocol):
    """A way to run models. Thread-safe; made once per runtime, closed once.

    A class that names it as its base is given the first methods. Its constructor takes a `Setup`, or nothing.

    Every failure is a `runllm.errors.RunllmError` raised `from None`: a library's own exception may
    hold a request with a key in it. An engine makes exactly one call per request; trying again and
    falling back belong to `runllm.executor.delivery`.
    """

    def traits(self, endpoint: Endpoint) -> catalogue.Traits:
        """What runs this endpoint's model is."""
        return catalogue.traits(endpoint.model, endpoint.engine)

    def refusals(self, endpoint: Endpoint) -> Iterator[RunllmError]:
        """Why the endpoint would be refused, whatever keys are set and servers are up; as little is asked as can be.

        Raises:
            ModelNotFoundError: there is no such model.
        """
        del endpoint
        return iter(())

    def learn(self, endpoint: Endpoint) -> None:
        """Ask a server of the user's own what it is, where that decides what it is sent; before a run's first call.

        It costs a second at the most, and fails never.
        """
        del endpoint

    def doubts(self, endpoint: Endpoint) -> Iterator[str]:
        """What a user should know of the endpoint's model before it is called, though it can be: a sentence each."""
        del endpoint
        return iter(())

    def warm(self, request: Request) -> None:
        """Do what the first such request would wait for: load weights, import a library. Sends nothing anywhere.

        The endpoint is ready, and the request has yet to be given its messages.
        """
        del request

    def fit(self, request: Request) -> Fit:
        """What the model takes of the request's parameters. Asks nobody, and imports no client library."""
        return without(request, self.traits(request.endpoint).unable)

    def suggestion(self, recommended: Sequence[str], failed: str) -> str | None:
        """What to try instead of the model `failed`: one of those recommended that is known to be here; else None."""
        del recommended, failed
        return None

    def place(self, endpoint: Endpoint) -> str:
        """What beside the model's name decides an answer; empty where that is the address alone to which calls go."""
        del endpoint
        return ""

    def sent(self, request: Request) -> Request:
        """The request with the parameters that `complete` will send: what bounds its answer may be added."""
        return request

    def ready(self, endpoint: Endpoint) -> None:
        """Raise unless `endpoint` can be called: its key is set, its model and library are here.

        Costs nothing, reaches no network, and imports no client library.
        """
        ...

    def window(self, endpoint: Endpoint) -> int | None:
        """The model's own context window in tokens, None where it is not known offline."""
        ...

    def price(self, endpoint: Endpoint) -> Price | None:
        """What the model costs, None where that is not known."""
        ...

    def complete(self, request: Request) -> Completion:
        """Call the model once and wait, at most `request.timeout` seconds."""
        ...

    async def acomplete(self, request: Request) -> Completion:
        """As `complete`, without blocking the event loop; cancellation ends the call."""
        ...

    def loop(self, endpoint: Endpoint) -> Background | None:
        """The event loop in which it makes its calls, if it has one: many runs side by side cost least in there."""
        del endpoint
        return None

    def close(self) -> None:
        """Release what is held: connections, a loaded model, threads. Safe to call twice."""
        ...


class ServerEngine(Engine):
    """An engine that calls a server, in an event loop of its own, which begins with the first call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._background: Background | None = None

    @abstractmethod
    async def _answer(self, request: Request) -> Completion:
        """Call the model once, within `request.timeout` seconds, in the engine's own loop."""

    async def _close(self) -> None:
        """Close what belongs to the loop, in it."""

    def complete(self, request: Request) -> Completion:
        """Call the model once and wait."""
        return self._own_loop().run(lambda: self._answer(request))

    async def acomplete(self, request: Request) -> Completion:
        """As `complete`, without blocking the event loop; cancellation ends the call."""
        loop = self._own_loop()
        return await (self._answer(request) if loop.is_here else loop.arun(lambda: self._answer(request)))

    def loop(self, endpoint: Endpoint) -> Background:
        """The loop of its own, for all endpoints."""
        del endpoint
        return self._own_loop()

    def close(self) -> None:
        """Cancel the calls under way, close the connections, end the loop. Safe to call twice."""
        if self._background is not None:
            self._background.close(self._close)

    def _own_loop(self) -> Background:
        from runllm.engines.background import Background  # concurrent.futures is 10 ms: not for a key that is missing

        with self._lock:
            if self._background is None:
                self._background = Background()
            return self._background
