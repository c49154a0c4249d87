"""What a run says: requests, completions, attempts and results, as plain values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from runllm.diagnostics import Problem
from runllm.notices import problem_as_json
from runllm.values import frozen

if TYPE_CHECKING:
    from runllm.errors import RunllmError

DEFAULT_MAX_RETRIES = 2
DEFAULT_NUM_RETRIES = 2
DEFAULT_TIMEOUT = 600.0
DEFAULT_CONCURRENCY = 8

Role = Literal["system", "user", "assistant"]


@frozen
class Message:
    """One turn of the conversation with the model."""

    role: Role
    content: str


@frozen
class Endpoint:
    """Which model to call and how to reach it.

    Attributes:
        model: `provider/model` in LiteLLM's spelling, or `local/...`.
        engine: what calls it, where several can; None for the usual one.
        api_base: address of the server, where it is not the provider's own.
        api_version: version string for providers that want one.
        api_key_env: name of the environment variable that holds the key.
        allowed_bases: the addresses that the user lets the call go to, beside the provider's own.
        key_allowed: whether the user lets the key of `api_key_env`, or else the provider's own, go there.
        provider_params: what only this provider knows, sent as it is.
        folder: where a relative `local/<path>.gguf` starts.
        within: the folder that such a path may not leave, links followed; None where a user named it.
        own: whether it is the model for which the file's parameters were written, and no other that stands in for it.
    """

    model: str
    engine: str | None = None
    api_base: str | None = None
    api_version: str | None = None
    api_key_env: str | None = None
    allowed_bases: tuple[str, ...] = ()
    key_allowed: bool = False
    provider_params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    folder: Path | None = None
    within: Path | None = None
    own: bool = False


@frozen
class Request:
    """One call to a model.

    Attributes:
        endpoint: the model and its address.
        messages: the conversation, oldest first.
        params: checked chat-completion parameters (`llm_params`), without those the runtime owns.
        schema: JSON Schema the answer must satisfy; an engine enforces it natively where it can. One of texts
            (`schema.is_text`) asks for the text itself, not for JSON.
        timeout: seconds for this call, from start to last byte.
        window: tokens that prompt and answer may take together, whatever the model allows; None for no such bound.
    """

    endpoint: Endpoint
    messages: tuple[Message, ...]
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    schema: Mapping[str, Any] | None = None
    timeout: float = DEFAULT_TIMEOUT
    window: int | None = None

    @property
    def service(self) -> str | None:
        """The `service_tier` that is asked for, which some prices depend on."""
        asked = {**self.endpoint.provider_params, **self.params}.get("service_tier")
        return asked if isinstance(asked, str) else None


@frozen
class Usage:
    """Tokens spent.

    Attributes:
        prompt_tokens: all that was sent; `cached_tokens` and `written_tokens` are among them.
        completion_tokens: all that was answered, `reasoning_tokens` among them.
        cached_tokens: what the provider had seen before.
        reasoning_tokens: what was thought.
        written_tokens: what the provider keeps for the next time, where it charges for that.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    written_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens

    def to_dict(self) -> dict[str, int]:
        """As JSON, with the total."""
        return {**asdict(self), "total_tokens": self.total_tokens}

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            written_tokens=self.written_tokens + other.written_tokens,
        )


@frozen
class Completion:
    """What a model answered.

    Attributes:
        text: the answer as the model wrote it.
        finish_reason: `stop`, `length`, or the provider's own word.
        usage: tokens, as the provider counted them.
        model: the model that answered, which a fallback may have changed.
        cost: US dollars, None where the price is not known.
        latency: seconds from sending the request to the last byte.
        notes: what it took to get it, such as a call that was sent again.
        called: whether it called a tool, though there is none.
        engine: what made the call, where that is not the engine that the endpoint names.
        cached: whether it was given to an earlier run, and is taken from the cache: nothing was called.
    """

    text: str
    finish_reason: str = "stop"
    usage: Usage = field(default_factory=Usage)
    model: str = ""
    cost: float | None = None
    latency: float = 0.0
    notes: tuple[str, ...] = ()
    called: bool = False
    engine: str = ""
    cached: bool = False


@frozen
class Verdict:
    """What was found in an answer: the value, unless there are problems, or an error for which it was not judged."""

    completion: Completion
    value: Any = None
    problems: tuple[Problem, ...] = ()
    repairs: tuple[str, ...] = ()
    error: RunllmError | None = None


@frozen
class Attempt:
    """One request, its answer, and what was wrong with it.

    Attributes:
        number: counted from 1.
        request: what was sent.
        completion: what came back; None when the provider failed.
        problems: the violations found in the answer; empty when it fits.
        repairs: names of the repairs that reading the answer took, in order.
        notes: what the runtime changed for this attempt, such as a shortened quotation.
        error: the provider's failure, if it failed.
    """

    number: int
    request: Request
    completion: Completion | None = None
    problems: tuple[Problem, ...] = ()
    repairs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    error: RunllmError | None = None

    def to_dict(self, *, text: bool = False) -> dict[str, Any]:
        """As JSON, without the request: the same keys for each, and where it is wanted the `text` of the answer."""
        came = self.completion
        return {
            "attempt": self.number,
            "model": came.model if came else self.request.endpoint.model,
            "latency": came and round(came.latency, 4),
            "finish_reason": came and came.finish_reason,
            "usage": (came.usage if came else Usage()).to_dict(),
            "cost": came and came.cost,
            "cached": bool(came and came.cached),
            "problems": [problem_as_json(problem) for problem in self.problems],
            "repairs": list(self.repairs),
            "notes": list(self.notes),
            "error": self.error and _said(self.error),
            **({"text": came and came.text} if text else {}),
        }


@frozen
class Outcome:
    """How the attempts ended: a value, or the error that says why there is none."""

    value: Any
    attempts: tuple[Attempt, ...]
    error: RunllmError | None = None


@frozen
class Event:
    """One step of a run, for a trace.

    Attributes:
        step: `input`, `python`, `print`, `render`, `cached`, `call`, `load`, `answer`, `repair`, `problem`, `retry`,
            `skipped`, `warning`, `done` or `failed`.
        message: what happened, in one line.
        elapsed: seconds since the run began.
        trail: the names that lead from the app to the one it uses, in which this happened; empty for itself.
    """

    step: str
    message: str
    elapsed: float
    trail: tuple[str, ...] = ()


@frozen
class ChildResult:
    """The run of an app that another one uses.

    Attributes:
        name: what the other calls it.
        index: its place in the list of a `for_each`, counted from 0; None without one.
        shared: whether an earlier run of the same app on the same input was used again: it cost nothing more.
        result: the run.
    """

    name: str
    index: int | None = None
    shared: bool = False
    result: RunResult

    def to_dict(self) -> dict[str, Any]:
        """As JSON, its run with what it is called."""
        run = replace(self.result, attempts=(), children=()) if self.shared else self.result
        return {"name": self.name, "index": self.index, "shared": self.shared, **run.to_dict()}


@frozen
class Skipped:
    """An item of a `for_each` that failed, and without which the run went on.

    Attributes:
        name: what the app that runs over the list is called.
        index: the item's place in the list, counted from 0.
        error: why; its run is among the `children`, if it began.
    """

    name: str
    index: int
    error: RunllmError


@frozen
class RunResult:
    """One run, whether it succeeded or not.

    Attributes:
        output: the JSON value that satisfies the output schema; None when the run failed.
        attempts: every call of the app itself, in order, failed ones included.
        children: the runs of the apps that it uses, in the order of the file.
        skipped: the items of lists that failed, and without which it went on.
        latency: seconds from start to end of the run.
        error: why the run failed, None when it did not.
        app: name of the app.
        version: version of the app.
        path: its file, absolute; empty when it was read from text.
        digest: SHA-256 of its text; empty where nothing is recorded.
        model: the model that gave the accepted answer, or the last one asked.
        started: Unix seconds.
        input_valid: whether the input fitted the contract.
        estimated_prompt_tokens: of the first request; None when none was rendered.
        warnings: what went wrong without stopping the run.
    """

    output: Any
    attempts: tuple[Attempt, ...] = ()
    children: tuple[ChildResult, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    latency: float = 0.0
    error: RunllmError | None = None
    app: str = ""
    version: str = ""
    path: str = ""
    digest: str = ""
    model: str = ""
    started: float = 0.0
    input_valid: bool = True
    estimated_prompt_tokens: int | None = None
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        # Short: an event loop writes its results into its own messages, and a shared child stands in many places.
        ended = f"error={self.error!r}" if self.error else f"output={self.output!r}"
        return f"<RunResult {self.app}: {ended}, {len(self.attempts)} attempts, {len(self.children)} children>"

    @property
    def usage(self) -> Usage:
        """Tokens over all attempts, those of the children included."""
        return sum((completion.usage for completion in self.completions()), Usage())

    @property
    def cost(self) -> float | None:
        """US dollars over all attempts, those of the children included; None when the price of one is not known."""
        costs = [completion.cost for completion in self.completions()]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if costs and len(known) == len(costs) else None

    @property
    def cached(self) -> bool:
        """Whether all that models were asked for, by the children too, came from the cache: none was called."""
        made = list(_made(self))
        return bool(made) and all(one.completion is not None and one.completion.cached for one in made)

    def completions(self) -> Iterator[Completion]:
        """Every answer, those of the children first; what was not paid for says `cached`."""
        return (attempt.completion for attempt in _made(self) if attempt.completion)

    def to_dict(self) -> dict[str, Any]:
        """The run as JSON, always the same keys: without prompts and answers, but for what an error is about.

        A child that is `shared` ran for another one, where its attempts and children stand: here it has none.
        """
        return {
            "app": self.app,
            "version": self.version,
            "model": self.model,
            "output": self.output,
            "error": self.error and self.error.payload(),
            "attempts": [attempt.to_dict() for attempt in self.attempts],
            "children": [child.to_dict() for child in self.children],
            "skipped": [{"name": x.name, "index": x.index, "error": _said(x.error)} for x in self.skipped],
            "usage": self.usage.to_dict(),
            "cost": self.cost,
            "cached": self.cached,
            "latency": round(self.latency, 4),
            "warnings": list(self.warnings),
        }

    @property
    def repairs(self) -> tuple[str, ...]:
        """The repairs that reading the accepted answer took."""
        return self.attempts[-1].repairs if self.attempts else ()


def _said(error: RunllmError) -> dict[str, str]:
    return {"error_code": error.code, "message": error.message}


def _made(result: RunResult) -> Iterator[Attempt]:
    """The attempts of a run and of the children that ran for it, those of the children first."""
    for child in result.children:
        if not child.shared:
            yield from _made(child.result)
    yield from result.attempts


@frozen
class RowResult:
    """One of many runs of an app.

    Attributes:
        index: the row's place, counted from 0.
        row: what was given.
        result: the run.
    """

    index: int
    row: Any
    result: RunResult

    @property
    def output(self) -> Any:
        """What the run gave; None where it failed."""
        return self.result.output

    @property
    def error(self) -> RunllmError | None:
        """Why it failed; None where it did not."""
        return self.result.error
