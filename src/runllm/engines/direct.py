"""Call a provider of OpenAI's form over HTTP, without LiteLLM, whose import takes two seconds and 150 MB.

Which providers are, and what becomes of each parameter, stands in `direct.json`. It was measured: LiteLLM was called,
and watched (`tools/gen_direct.py`). A request that is not proven to be the one that LiteLLM sends goes through LiteLLM.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from runllm.engines.access import PLACEHOLDER_KEY, Access, reach, stopped
from runllm.engines.addresses import covers, is_here, is_place
from runllm.engines.addresses import read as read_address
from runllm.engines.base import Setup
from runllm.engines.blocking import BlockingEngine
from runllm.engines.litellm import LiteLLMEngine
from runllm.engines.once import Once
from runllm.engines.providers import provider_of
from runllm.results import Completion, Endpoint, Request
from runllm.values import frozen

if TYPE_CHECKING:
    from runllm.engines.asking import Sent
    from runllm.engines.background import Background
    from runllm.engines.base import Fit, Price
    from runllm.engines.catalogue import Traits
    from runllm.engines.exchanges import Steps
    from runllm.engines.http import HttpReply
    from runllm.errors import RunllmError

_CHAT = "/chat/completions"
_OF_THE_CALL = frozenset(
    {"model", "messages", "api_base", "api_key", "api_version", "timeout", "max_retries", "num_retries", "stream"}
)
_EXTRA = "a_parameter_of_the_server"
_OF_THE_SDK = "OPENAI_CUSTOM_HEADERS"  # its headers go through the SDK
_ACCOUNT = {"OpenAI-Organization": "OPENAI_ORG_ID", "OpenAI-Project": "OPENAI_PROJECT_ID"}
_SHORTEST = 0.001
_REDIRECTIONS = 300


@frozen
class Row:
    """What is proven of a provider's requests.

    Attributes:
        url: its own address, to which `/chat/completions` is added; None where it has none.
        adds: what stands in the body of each request.
        others: models that are asked in another form.
        renamed: parameters that are sent under another name.
        left_out: parameters that are not sent.
        unproven: parameters that LiteLLM changes in some other way, or not for all of the models.
    """

    url: str | None = None
    adds: Mapping[str, Any] = field(default_factory=dict[str, Any])
    others: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict[str, str])
    left_out: tuple[str, ...] = ()
    unproven: tuple[str, ...] = ()


@cache
def _table() -> Mapping[str, Any]:
    return json.loads(Path(__file__).with_name("direct.json").read_text(encoding="utf-8"))


@cache
def row(provider: str) -> Row | None:
    """What is proven of a provider; None for nothing."""
    found: Any = _table().get(provider)
    if not isinstance(found, dict):
        return None
    facts = cast("dict[str, Any]", found)
    lists = {name: tuple(facts.get(name, ())) for name in ("others", "left_out", "unproven")}
    return Row(url=facts.get("url"), adds=facts.get("adds", {}), renamed=facts.get("renamed", {}), **lists)


class DirectEngine(BlockingEngine):
    """Runs the models of all providers, over HTTP or through LiteLLM. An `Engine`: see `runllm.engines.base`."""

    def __init__(self, setup: Setup | None = None) -> None:
        super().__init__()
        self._setup = setup or Setup()
        self._other = LiteLLMEngine(setup)
        self._frames = Once(os.environ, _frame)

    def ready(self, endpoint: Endpoint) -> None:
        """Raise unless the endpoint has a provider, an address and a key; and LiteLLM is here, if it is for that."""
        if row(provider_of(endpoint.model)) is None:
            self._other.ready(endpoint)
        reach(endpoint, os.environ)

    def learn(self, endpoint: Endpoint) -> None:
        """Ask a server of the user's own what it is."""
        self._other.learn(endpoint)

    def warm(self, request: Request) -> None:
        """Import LiteLLM where such a request goes through it; work out what all of them have in common where not."""
        if self._frame(self.sent(request)) is None:
            self._other.warm(request)

    def traits(self, endpoint: Endpoint) -> Traits:
        """What the engine is for this endpoint."""
        return self._other.traits(endpoint)

    def refusals(self, endpoint: Endpoint) -> Iterator[RunllmError]:
        """What the endpoint asks for and the user has not allowed."""
        return self._other.refusals(endpoint)

    def window(self, endpoint: Endpoint) -> int | None:
        """The context window in tokens, from the price table that LiteLLM ships."""
        return self._other.window(endpoint)

    def price(self, endpoint: Endpoint) -> Price | None:
        """What the model costs, from the same table."""
        return self._other.price(endpoint)

    def fit(self, request: Request) -> Fit:
        """What the model takes of the parameters."""
        return self._other.fit(request)

    def sent(self, request: Request) -> Request:
        """The request, its answer bounded where LiteLLM would ask for one of a length of its own."""
        return self._other.sent(request)

    def complete(self, request: Request) -> Completion:
        """Call the model once and wait."""
        asked = self.sent(request)
        frame = self._frame(asked)
        if frame is None:
            return replace(self._other.complete(request), engine="litellm")
        return self._through(self._call(asked, frame))

    async def acomplete(self, request: Request) -> Completion:
        """As `complete`, without blocking the event loop; cancellation ends the call."""
        asked = self.sent(request)
        frame = self._frame(asked)
        if frame is None:
            return replace(await self._other.acomplete(request), engine="litellm")
        return await self._athrough(self._call(asked, frame))

    def loop(self, endpoint: Endpoint) -> Background | None:
        """That of LiteLLM, for what always goes through it."""
        return self._other.loop(endpoint) if row(provider_of(endpoint.model)) is None else None

    def close(self) -> None:
        """End the calls under way, and close the connections. Safe to call twice."""
        super().close()
        self._other.close()

    # --- one call ------------------------------------------------------------------------------

    def _frame(self, request: Request) -> _Frame | None:
        return self._frames.of(request.endpoint, request.params, request.schema)

    def _call(self, request: Request, frame: _Frame) -> Steps[Completion]:
        """One answer, or the error that says why there is none."""
        from runllm.engines.asking import asking
        from runllm.engines.meanings import error_for, late

        access, deadline = frame.access, time.monotonic() + request.timeout
        steps = asking(request, self._other.forms(), self._setup, self._other.servers.kind(access))
        try:
            step = next(steps)
            while True:
                if isinstance(step, Mapping):
                    step = steps.send((yield from _post(request, frame, step, deadline)))
                else:
                    yield step
                    step = next(steps)
        except StopIteration as end:
            found, failure, notes = end.value
        if failure is None:
            return replace(found, notes=(*found.notes, *notes)) if notes else found
        if "TimeoutError" in failure.kinds:
            raise late(request, access.provider)
        if failure.generated:  # an answer like any other that does not fit
            return Completion(text=failure.generated, model=request.endpoint.model)
        raise error_for(failure, endpoint=request.endpoint, access=access, request=request)


def _post(request: Request, frame: _Frame, form: Mapping[str, Any], deadline: float) -> Steps[Sent]:
    """The answer to one request, or why there is none."""
    from runllm.engines import chat
    from runllm.engines.exchanges import FAILURES
    from runllm.engines.failures import observe, refused
    from runllm.engines.http import HttpRequest
    from runllm.engines.replies import completion

    access = frame.access
    secrets = [access.api_key] if access.api_key else []
    said = [{"role": message.role, "content": message.content} for message in request.messages]
    post = HttpRequest(
        method="POST",
        url=frame.url,
        headers=frame.headers,
        body=json.dumps({**frame.body, "messages": said, **_flat(form)}).encode(),
        timeout=max(_SHORTEST, deadline - time.monotonic()),
    )
    start = time.perf_counter()
    try:
        answer: HttpReply = yield post
        elapsed, status = time.perf_counter() - start, answer.status
        if status >= _REDIRECTIONS:
            return None, refused(status, answer.headers, answer.text, secrets)
        return chat.read(completion(answer.body, _Fields), request, access, elapsed), None
    except FAILURES as error:
        return None, observe(error, secrets)
    except (TypeError, ValueError, AttributeError) as error:  # a reply whose parts are not of their kinds
        return None, observe(error, secrets)


# --- the request --------------------------------------------------------------------------------------


@frozen
class _Frame:
    """What is the same in all requests of an app to an endpoint, which are proven.

    Attributes:
        access: how it is reached.
        url: where they go.
        headers: theirs.
        body: without the messages, and without the form of the answer.
    """

    access: Access
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: Mapping[str, Any]


def _frame(endpoint: Endpoint, params: Mapping[str, Any], _: object, environment: Mapping[str, str]) -> _Frame | None:
    """The frame of requests; None unless they are proven to be those that LiteLLM sends.

    Raises:
        RunllmError: they cannot be sent, or may not go there.
    """
    from runllm.engines.http import headers

    access = reach(endpoint, environment)
    found = row(access.provider)
    base = access.api_base or (found and found.url)
    if found is None or not base or access.api_key is None or environment.get(_OF_THE_SDK):
        return None
    body = _body(endpoint, params, access.provider, found)
    if body is None:
        return None
    url = _url(base, endpoint, access)
    head = {**_account(access, environment), **headers(access.api_key)}
    return _Frame(access=access, url=url, headers=head, body=body)


def _body(endpoint: Endpoint, given: Mapping[str, Any], provider: str, found: Row) -> dict[str, Any] | None:
    from runllm.engines import chat

    model = endpoint.model.removeprefix(f"{provider}/")
    params = {name: value for name, value in chat.sent_params(endpoint, given).items() if name not in _OF_THE_CALL}
    names = {name if name in _table()["$tried"] else _EXTRA for name in params}
    if model in found.others or not names.isdisjoint(found.unproven):
        return None
    is_newer = provider == "openai" and re.fullmatch(_table()["$newer"], model)
    newer = {"max_tokens": "max_completion_tokens"} if is_newer else {}
    renamed = {**found.renamed, **newer}
    sent = {renamed.get(name, name): value for name, value in params.items() if name not in found.left_out}
    return {"model": model, **sent, **found.adds}


def _flat(form: Mapping[str, Any]) -> dict[str, Any]:
    """The form as it stands in a body: what a server has beside OpenAI's own is a part of it like any other."""
    return {**{name: value for name, value in form.items() if name != "extra_body"}, **form.get("extra_body", {})}


def _url(base: str, endpoint: Endpoint, access: Access) -> str:
    base = base.rstrip("/")
    url = base if base.endswith(_CHAT) else f"{base}{_CHAT}"
    address = read_address(url)
    if address is None or not (
        is_here(address.host)
        or covers(access.allowed, address)
        or any(is_place(place, address) for place in access.own)
    ):
        raise stopped(endpoint, access, url, os.environ)
    return url


def _account(access: Access, environment: Mapping[str, str]) -> dict[str, str]:
    """The headers that OpenAI's own client makes of the environment, for OpenAI alone."""
    if access.provider != "openai" or access.api_key == PLACEHOLDER_KEY:
        return {}
    return {header: given for header, name in _ACCOUNT.items() if (given := environment.get(name))}


# --- the reply ----------------------------------------------------------------------------------------


class _Fields(dict[str, Any]):
    """An object of JSON whose members can be read as attributes, as those of LiteLLM's replies."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        return self.get(name)
