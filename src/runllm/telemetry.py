"""What OpenTelemetry is told of runs and calls, by the names of its conventions for generative AI."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from runllm._version import __version__
from runllm.errors import EngineUnavailableError, RunllmError
from runllm.installation import REQUIREMENTS, adding
from runllm.results import Completion, Message, Request, RunResult

# Where the conventions have a name of their own; else a provider is called as in `provider/model`.
_PROVIDERS = {
    "azure": "azure.ai.openai", "azure_ai": "azure.ai.inference", "bedrock": "aws.bedrock", "gemini": "gcp.gemini",
    "mistral": "mistral_ai", "vertex_ai": "gcp.vertex_ai", "watsonx": "ibm.watsonx.ai", "xai": "x_ai",
}  # fmt: skip
_PARAMETERS = {
    "frequency_penalty": "frequency_penalty", "max_tokens": "max_tokens", "max_completion_tokens": "max_tokens",
    "presence_penalty": "presence_penalty", "seed": "seed", "temperature": "temperature", "top_k": "top_k",
    "top_p": "top_p",
}  # fmt: skip
_TOKENS = [4**power for power in range(14)]
_SECONDS = [0.01 * 2**power for power in range(14)]


class OpenTelemetry:
    """Makes spans and metrics of runs and calls: `runllm.Runtime(watcher=OpenTelemetry())`.

    A span for each run, those of the apps that it uses inside, and in each of them one for each call. Prompts and
    answers are in none, unless that is asked for.
    """

    def __init__(
        self,
        *,
        content: bool = False,
        tracer_provider: Any = None,
        meter_provider: Any = None,
    ) -> None:
        """Begin to tell.

        Args:
            content: whether spans of calls hold what was sent and answered.
            tracer_provider: OpenTelemetry's, who is told of spans; the process's own by default.
            meter_provider: the same for metrics.

        Raises:
            EngineUnavailableError: `opentelemetry-api` is not installed.
        """
        try:
            metrics, trace = import_module("opentelemetry.metrics"), import_module("opentelemetry.trace")
        except ImportError:
            said = "`opentelemetry-api` is not installed"
            raise EngineUnavailableError(said, hint=adding(REQUIREMENTS["otel"], "otel")) from None
        self._content = content
        self._trace = trace
        self._tracer = trace.get_tracer("runllm", __version__, tracer_provider)
        meter = metrics.get_meter("runllm", __version__, meter_provider)
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage", "{token}", "Tokens of a call", explicit_bucket_boundaries_advisory=_TOKENS
        )
        self._seconds = meter.create_histogram(
            "gen_ai.client.operation.duration", "s", "Time of a call", explicit_bucket_boundaries_advisory=_SECONDS
        )

    @contextmanager
    def run(self, name: str) -> Generator[Callable[[RunResult], None]]:
        """A span for a run; what it ends with is known when it is told."""
        facts = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name}
        with self._span(f"invoke_agent {name}", facts) as span:

            def ended(result: RunResult) -> None:
                span.set_attributes(_of_run(result))
                if result.error is not None:
                    self._failed(span, result.error)

            yield ended

    @contextmanager
    def call(self, request: Request) -> Generator[Callable[[Completion], None]]:
        """A span for a call, and how long it took and how many tokens it was."""
        facts = _common(request)
        kind, begun = self._trace.SpanKind.CLIENT, time.perf_counter()
        with self._span(f"chat {facts['gen_ai.request.model']}", {**facts, **_of_request(request)}, kind) as span:
            if self._content:
                span.set_attributes(_said(request))

            def answered(completion: Completion) -> None:
                facts["gen_ai.response.model"] = _bare(completion.model)
                span.set_attributes(facts | _of_completion(completion))
                if self._content:
                    part = {"role": "assistant", "parts": _parts(completion.text)}
                    text = json.dumps([{**part, "finish_reason": completion.finish_reason}], ensure_ascii=False)
                    span.set_attribute("gen_ai.output.messages", text)
                usage = completion.usage
                if usage.total_tokens:
                    self._tokens.record(usage.prompt_tokens, {**facts, "gen_ai.token.type": "input"})
                    self._tokens.record(usage.completion_tokens, {**facts, "gen_ai.token.type": "output"})

            try:
                yield answered
            except BaseException as error:
                facts["error.type"] = type(error).__name__
                raise
            finally:
                self._seconds.record(time.perf_counter() - begun, facts)

    @contextmanager
    def _span(self, name: str, facts: Mapping[str, Any], kind: Any = None) -> Generator[Any]:
        """A span; an error that leaves it is named, but not quoted: its message may hold content."""
        kind = kind or self._trace.SpanKind.INTERNAL
        with self._tracer.start_as_current_span(
            name, kind=kind, attributes=facts, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except BaseException as error:
                self._failed(span, error)
                raise

    def _failed(self, span: Any, error: BaseException) -> None:
        code = error.code if isinstance(error, RunllmError) else None
        span.set_attribute("error.type", type(error).__name__)
        span.set_status(self._trace.StatusCode.ERROR, code)


def _bare(model: str) -> str:
    return model.partition("/")[2] or model


def _common(request: Request) -> dict[str, Any]:
    """What spans and metrics of a call have in common."""
    provider = request.endpoint.model.partition("/")[0]
    facts: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": _PROVIDERS.get(provider, provider),
        "gen_ai.request.model": _bare(request.endpoint.model),
    }
    if request.endpoint.api_base:
        address = urlsplit(request.endpoint.api_base)
        facts |= {"server.address": address.hostname or "", **({"server.port": address.port} if address.port else {})}
    return facts


def _of_request(request: Request) -> dict[str, Any]:
    given = {_PARAMETERS[name]: value for name, value in request.params.items() if name in _PARAMETERS}
    found: dict[str, Any] = {f"gen_ai.request.{name}": one for name, one in given.items() if one is not None}
    if stop := request.params.get("stop"):
        found["gen_ai.request.stop_sequences"] = [stop] if isinstance(stop, str) else list(stop)
    return {**found, "gen_ai.output.type": "text" if request.schema is None else "json"}


def _of_completion(completion: Completion) -> dict[str, Any]:
    usage = completion.usage
    counted = {
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
    }
    cost = {} if completion.cost is None else {"runllm.cost": completion.cost}
    return {
        "gen_ai.response.finish_reasons": [completion.finish_reason],
        **(counted if usage.total_tokens else {}),
        **cost,
    }


def _of_run(result: RunResult) -> dict[str, Any]:
    usage = result.usage
    cost = {} if result.cost is None else {"runllm.cost": result.cost}
    return {
        "gen_ai.agent.name": result.app,
        "gen_ai.agent.version": result.version,
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
        "runllm.attempts": len(result.attempts),
        "runllm.cached": result.cached,
        **cost,
    }


def _parts(text: str) -> list[dict[str, str]]:
    return [{"type": "text", "content": text}]


def _said(request: Request) -> dict[str, str]:
    """The messages of a request, as the conventions write them."""

    def written(messages: list[Message]) -> str:
        return json.dumps([{"role": one.role, "parts": _parts(one.content)} for one in messages], ensure_ascii=False)

    system = [part for one in request.messages if one.role == "system" for part in _parts(one.content)]
    said = {"gen_ai.input.messages": written([one for one in request.messages if one.role != "system"])}
    return said | ({"gen_ai.system_instructions": json.dumps(system, ensure_ascii=False)} if system else {})
