"""What every engine does, each called as it really is: over HTTP to this machine, in this process, from its script.

A new engine is given a bench here. A bench knows how its engine comes to meet each case, and says of what cannot happen
to it why that is so.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from tests.integration.ollama_server import Model, OllamaServer
from tests.integration.provider import Provider, Reply, answer, failure

from runllm.engines import ENGINES, make, traits
from runllm.engines.base import Engine, Setup
from runllm.errors import (
    AuthenticationError,
    ContextWindowExceededError,
    ModelNotFoundError,
    OllamaModelMissingError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
    RequestRefusedError,
    RunllmError,
)
from runllm.results import Completion, Endpoint, Message, Request, Usage
from runllm.testing import ScriptedEngine

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
ERRORS: dict[str, tuple[Reply, type[RunllmError]]] = {
    "refusal": (failure(400, "this is refused"), RequestRefusedError),
    "401": (failure(401, "that key is wrong"), AuthenticationError),
    "404": (failure(404, "model 'm' not found"), ModelNotFoundError),
    "429": (failure(429, "too many calls", headers={"Retry-After": "2"}), RateLimitError),
    "500": (failure(500, "the server is sick"), ProviderError),
    "too long": (failure(400, "the maximum context length is 10 tokens"), ContextWindowExceededError),
    "no completion": (Reply(body="<html>Bad Gateway</html>"), ProviderError),
    "empty": (answer(""), ProviderError),
    "timeout": (answer('{"n": 1}', delay=60), ProviderTimeoutError),
    "drip": (answer('{"n": 1}', drip=0.02), ProviderTimeoutError),
}
LATE = ("timeout", "drip")


class Bench:
    """An engine and what it is called with.

    Attributes:
        engine: the engine.
        cannot: why a case cannot happen to it.
        otherwise: the error of a case, where it is one of its own.
    """

    name: str
    engine: Engine
    cannot: ClassVar[dict[str, str]] = {}
    otherwise: ClassVar[dict[str, type[RunllmError]]] = {}

    def serve(self, reply: Reply) -> None:
        """Have the next calls get this reply."""

    def asking(self, case: str) -> Request:
        """A request that meets the case."""
        raise NotImplementedError

    def request(self, model: str, base: str | None = None, **given: Any) -> Request:
        endpoint = Endpoint(model=model, api_base=base)
        return Request(endpoint=endpoint, messages=(Message(role="user", content="Count."),), schema=SCHEMA, **given)

    def close(self) -> None:
        self.engine.close()


class Served(Bench):
    """An engine that calls a server."""

    server: Any

    def serve(self, reply: Reply) -> None:
        self.server.script(reply)

    def asking(self, case: str) -> Request:
        return self.request(self.model, self.base, timeout=0.3 if case in LATE else 60.0)

    def close(self) -> None:
        super().close()
        self.server.__exit__()


class Direct(Served):
    name = "direct"
    model = "openai/gpt-4o-mini"

    def __init__(self) -> None:
        self.server = Provider().__enter__()
        self.base = self.server.base
        self.engine = make(traits(self.model, self.name), Setup())

    def request(self, model: str, base: str | None = None, **given: Any) -> Request:
        found = super().request(model, base, **given)
        return replace(found, endpoint=replace(found.endpoint, engine=self.name))


class LiteLLM(Direct):
    name = "litellm"


class Ollama(Served):
    name = "ollama"
    model = "ollama/m"
    otherwise: ClassVar[dict[str, type[RunllmError]]] = {"404": OllamaModelMissingError}

    def __init__(self) -> None:
        self.server = OllamaServer({"m": Model()}).__enter__()
        self.base = self.server.base
        self.engine = make(traits(self.model), Setup())

    def serve(self, reply: Reply) -> None:
        self.server.said = reply


class Local(Bench):
    name = "local"
    cannot: ClassVar[dict[str, str]] = {
        "refusal": "what it does not take is known before: see `Engine.fit`",
        "401": "it needs no key",
        "429": "calls wait for their turn",
        "500": "there is no server",
        "no completion": "nobody else writes its answer",
        "empty": "an answer is held to its schema",
        "drip": "as `timeout`",
    }

    def __init__(self) -> None:
        self.engine = make(traits("local/smollm2-135m"), Setup())

    def asking(self, case: str) -> Request:
        if case == "404":
            return self.request("local/no-such-model")
        params: dict[str, Any] = {"max_tokens": 1} if case == "too long" else {}
        if case in ("cut", "timeout", "cancelled"):
            params = {"max_tokens": 3 if case == "cut" else 4000}
        found = self.request("local/smollm2-135m", params=params, timeout=0.01 if case == "timeout" else 120.0)
        return replace(found, schema=None) if case in ("cut", "cancelled") else found


class Scripted(Bench):
    name = "scripted"
    cannot: ClassVar[dict[str, str]] = {"cancelled": "it answers at once"}

    def __init__(self) -> None:
        self.engine = ScriptedEngine(lambda _: self.next)

    def serve(self, reply: Reply) -> None:  # noqa: ARG002 - its script is written with the request
        self.next: Any = '{"n": 1}'

    def asking(self, case: str) -> Request:
        if case in ERRORS:
            said = ERRORS[case][1]("as the script says")
            if case == "429":
                said.details["retry_after"] = 2.0
            self.next = said
        elif case == "cut":
            self.next = Completion(text='{"n": ', finish_reason="length", usage=Usage(completion_tokens=3), cost=0.0)
        return self.request("openai/m")


BENCHES: tuple[type[Bench], ...] = (Direct, LiteLLM, Ollama, Local, Scripted)


@pytest.fixture(scope="module", params=BENCHES, ids=lambda bench: bench.name)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    made = request.param()
    yield made
    made.close()


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Any:
    """Both ways to call a model."""
    if request.param == "sync":
        return lambda engine, asked: engine.complete(asked)
    return lambda engine, asked: asyncio.run(engine.acomplete(asked))


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-user")


def meets(bench: Bench, case: str) -> Request:
    if case in bench.cannot:
        pytest.skip(bench.cannot[case])
    bench.serve(ERRORS[case][0] if case in ERRORS else answer('{"n": 1}'))
    return bench.asking(case)


def test_every_engine_has_a_bench() -> None:
    assert {found.name for found in ENGINES} <= {bench.name for bench in BENCHES}


def test_a_good_answer_satisfies_the_schema_and_says_what_it_took(bench: Bench, ask: Any) -> None:
    asked = meets(bench, "good")
    bench.engine.ready(asked.endpoint)
    got = ask(bench.engine, asked)
    assert isinstance(json.loads(got.text)["n"], int)
    assert (got.finish_reason, got.model) == ("stop", asked.endpoint.model)
    assert got.usage.prompt_tokens > 0
    assert got.usage.completion_tokens > 0
    assert got.latency >= 0


def test_the_cost_is_what_the_price_makes_of_the_usage(bench: Bench) -> None:
    asked = meets(bench, "good")
    price = bench.engine.price(asked.endpoint)
    got = bench.engine.complete(asked)
    assert price is not None
    assert got.cost == pytest.approx(price.cost(got.usage))


def test_a_cut_answer_says_so(bench: Bench, ask: Any) -> None:
    asked = meets(bench, "cut")
    bench.serve(answer('{"n": ', finish_reason="length"))
    asked = bench.asking("cut")
    got = ask(bench.engine, asked)
    assert got.finish_reason == "length"
    assert got.usage.completion_tokens > 0


@pytest.mark.parametrize("case", ERRORS)
def test_each_failure_has_its_error(bench: Bench, ask: Any, case: str) -> None:
    asked = meets(bench, case)
    began = time.monotonic()
    with pytest.raises(RunllmError) as caught:
        ask(bench.engine, asked)
    error, expected = caught.value, ERRORS[case][1]
    assert isinstance(error, bench.otherwise.get(case, expected))
    assert error.__context__ is None or error.__suppress_context__
    assert "sk-of-the-user" not in f"{error} {error.details} {error.recovery_hint}"
    assert time.monotonic() - began < 30
    if case == "429":
        assert error.details["retry_after"] == 2.0
    if case in ("401", "404", "refusal"):
        assert not error.retryable


def test_after_a_failure_the_next_call_is_answered(bench: Bench) -> None:
    for case in {"refusal", "timeout"} - bench.cannot.keys():
        with pytest.raises(RunllmError):
            bench.engine.complete(meets(bench, case))
    got = bench.engine.complete(meets(bench, "good"))
    assert got.finish_reason == "stop"


def test_cancelling_ends_the_call(bench: Bench) -> None:
    asked = meets(bench, "cancelled")
    bench.serve(answer('{"n": 1}', delay=120))

    async def cancelled() -> float:
        task = asyncio.create_task(bench.engine.acomplete(asked))
        await asyncio.sleep(0.3)
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.monotonic() - began

    assert asyncio.run(cancelled()) < 20
    assert bench.engine.complete(meets(bench, "good")).finish_reason == "stop"


def test_calls_of_many_threads_are_all_answered(bench: Bench) -> None:
    asked = meets(bench, "good")
    got: list[Completion] = []
    threads = [threading.Thread(target=lambda: got.append(bench.engine.complete(asked))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(got) == 4


def test_it_says_what_it_is_and_is_usable_after_it_was_closed(bench: Bench) -> None:
    asked = meets(bench, "good")
    said = bench.engine.traits(asked.endpoint)
    assert said == traits(asked.endpoint.model, asked.endpoint.engine)
    assert list(bench.engine.refusals(asked.endpoint)) == []
    assert bench.engine.sent(asked).messages == asked.messages
    bench.engine.close()
    bench.engine.close()
    assert bench.engine.complete(asked).finish_reason == "stop"
