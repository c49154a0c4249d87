"""What a failed call means: one of our errors, judged by the status, the causes and the words of its `Failure`."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any, NamedTuple

from runllm import tokens
from runllm.diagnostics import clip
from runllm.engines.access import PLACEHOLDER_KEY, Access, allowing
from runllm.engines.addresses import is_at
from runllm.engines.endings import REWORD, WINDOW
from runllm.engines.failures import Failure
from runllm.engines.providers import facts
from runllm.engines.wordings import (
    AT_ONCE,
    BAD_KEY,
    BY_PLACE,
    FILTERED,
    LOADING,
    MISREAD,
    NO_CHAT,
    NO_CREDIT,
    NO_KEY,
    NO_MEMORY,
    NO_MODEL,
    NO_MORE_TODAY,
    NOT_OPEN,
    NOWHERE,
    OF_FORM,
    OF_MODEL,
    OF_ROUTE,
    OF_TEMPLATE,
    PLAN,
    SOMETHING_ELSE,
    TERMS,
    TOO_LONG,
    TOO_MANY,
    VERIFIED,
    at_fault,
)
from runllm.errors import (
    AuthenticationError,
    ContextWindowExceededError,
    EngineUnavailableError,
    MissingCredentialError,
    ModelNotFoundError,
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
    RequestRefusedError,
    RunllmError,
)
from runllm.redaction import redact_text
from runllm.results import Endpoint, Request


class _Rule(NamedTuple):
    """A failure is of this class when its status, a kind or its words say so.

    Attributes:
        error: the class.
        says: what happened.
        statuses: of HTTP.
        kinds: of the exception.
        words: of the provider, or of its code.
        among: the statuses with which the words count; none for any.
        answered: only with HTTP, or only without.
        again: whether the same call may succeed later, where its class says that some do.
        hint: what to do.
        of_all: whether every other call would fail with it as well, though not all of its class would.
    """

    error: type[RunllmError]
    says: str
    statuses: tuple[int, ...] = ()
    kinds: str = ""
    words: str = ""
    among: tuple[int, ...] = ()
    answered: bool | None = None
    again: bool = True
    hint: str | None = None
    of_all: bool = False

    def holds(self, failure: Failure) -> bool:
        if self.answered is not None and self.answered != (failure.status is not None):
            return False
        if failure.status in self.statuses or not failure.kinds.isdisjoint(self.kinds.split()):
            return True
        heard = self.words != "" and (not self.among or failure.status in self.among)
        return heard and re.search(self.words, failure.heard) is not None


NO_ENDPOINT, STILL_LOADING = "NoEndpoint", "StillLoading"
"""Kinds of a failure that are no exception's: a server does not chat there; it was waited for in vain."""
_LONGEST_VALUE = 40
_NO_COMPLETION = "`{model}` answered with something that is not a completion"
_UNREACHED = (
    "ConnectError ReadError WriteError CloseError RemoteProtocolError LocalProtocolError ProxyError InvalidURL"
    " UnsupportedProtocol ClientConnectorError ClientOSError ServerDisconnectedError ClientPayloadError ConnectionError"
    " ConnectionRefusedError ConnectionResetError gaierror SSLError EndpointConnectionError UnreachableError"
)
_MISREAD = (
    "JSONDecodeError KeyError IndexError TypeError AttributeError ValueError ValidationError APIResponseValidationError"
)

_ELSEWHERE = "or name another model with `--model` or `llm.fallbacks`."
_NOT_TAKEN = (400, 401, 402, 403, 404, 422, 451)

_AT_ONCE = _Rule(
    RequestRefusedError, "`{model}` refused the call: it alone is more than is allowed in a minute", words=AT_ONCE,
    among=(400, 413, 429), hint=f"Shorten the input, lower `max_tokens`, raise the limit at the provider, {_ELSEWHERE}",
)  # fmt: skip
_TOO_LONG = _Rule(
    ContextWindowExceededError, "the prompt does not fit the context window of `{model}`", (413,),
    kinds="ContextWindowExceededError", words=TOO_LONG,
)  # fmt: skip
# The first rule that holds decides.
_RULES = (
    _AT_ONCE,
    _TOO_LONG,
    _Rule(ContextWindowExceededError, "the answer of `{model}` was cut off where its context window ended",
          kinds="WindowFilledError", hint=WINDOW),
    _Rule(EngineUnavailableError, "`{model}` needs a Python package that is not installed",
          kinds="ModuleNotFoundError ImportError", answered=False),
    _Rule(ProviderError, "the server of `{model}`{at} answered with something that is not a completion",
          kinds="NoCompletionError", answered=False, again=False),
    _Rule(ProviderError, _NO_COMPLETION, kinds="NotJsonError UnknownEncodingError UnpackingError", answered=False),
    _Rule(ProviderError, "`{model}` answered with something that is not HTTP", answered=False,
          kinds="BadStatusLine BadHttpMessage LineTooLong InvalidHeader ClientResponseError HTTPException"),
    _Rule(RequestRefusedError, "`{model}` refused the call: there is no credit left", (402,), words=NO_CREDIT,
          hint=f"Add credit at the provider, {_ELSEWHERE}", of_all=True),
    _Rule(RequestRefusedError, "`{model}` refused the call: what it allows a day is used up", words=NO_MORE_TODAY,
          among=(400, 403, 429), hint=f"Run again tomorrow, add credit at the provider, {_ELSEWHERE}", of_all=True),
    _Rule(RequestRefusedError, "the server{at} has too little memory for `{model}`", words=NO_MEMORY,
          hint="Name a smaller model with `--model`, or one with fewer bits a weight.", of_all=True),
    _Rule(RequestRefusedError, "the chat template of `{model}` does not take the turns", words=OF_TEMPLATE,
          hint=f"Write the prompt as one turn, without `<<<SYSTEM>>>` and examples, {_ELSEWHERE}"),
    _Rule(AuthenticationError, "`{model}` runs in Ollama's cloud, and its server is not signed in there",
          kinds="signin_url", hint="Sign in with `ollama signin`, then run again."),
    _Rule(RequestRefusedError, "`{model}` paused before its answer was whole", kinds="PausedError", answered=False,
          hint="A turn is paused for tools that run at the provider: leave them out of `provider_params`."),
    _Rule(RateLimitError, "`{model}` refused the call: too many, or the quota is used up", (429,),
          kinds="RateLimitError", words=TOO_MANY, among=(403,)),
    _Rule(MissingCredentialError, "`{model}` needs a key and none is set", words=NO_KEY, answered=False,
          kinds="NoCredentialsError CredentialRetrievalError DefaultCredentialsError"),
    _Rule(RequestRefusedError, "the router has no provider for the request to `{model}`", words=OF_ROUTE,
          among=_NOT_TAKEN,
          hint=f"Loosen what the router requires (`provider` under `llm.provider_params`, its settings), {_ELSEWHERE}"),
    _Rule(RequestRefusedError, "`{model}` refused the call", words=NOWHERE, among=_NOT_TAKEN,
          hint="The provider does not serve where you are: name another model with `--model` or `llm.fallbacks`."),
    _Rule(RequestRefusedError, "`{model}` refused the call", words=TERMS, among=_NOT_TAKEN,
          hint=f"Accept the terms of the model on the provider's pages, {_ELSEWHERE}"),
    _Rule(RequestRefusedError, "`{model}` refused the call", words=VERIFIED, among=_NOT_TAKEN,
          hint=f"Have your account or organization verified on the provider's pages, {_ELSEWHERE}"),
    _Rule(RequestRefusedError, "`{model}` refused what was asked", words=FILTERED, among=_NOT_TAKEN, hint=REWORD),
    _Rule(AuthenticationError, "`{model}` refused the key", (401,), words=BAD_KEY, kinds="AuthenticationError"),
    _Rule(RequestRefusedError, "`{model}` refused the call", words=PLAN, among=(400, 403, 404),
          hint=f"Your plan or its billing does not cover this: look at the provider's pages, {_ELSEWHERE}"),
    _Rule(RequestRefusedError, "`{model}` refused the call: something between you and the model did", words=BY_PLACE,
          among=(403,),
          hint="A firewall or a list of addresses stands before it: check `llm.api_base`, the network and the proxy."),
    _Rule(RequestRefusedError, "`{model}` refused the call: it is not open to this key", words=NOT_OPEN, among=(403,),
          hint=f"Have the model enabled for your account or project on the provider's pages, {_ELSEWHERE}"),
    _Rule(ModelNotFoundError, "there is no `{model}`{at}", words=NO_MODEL, kinds="NoModel LiteLLMUnknownProvider"),
    _Rule(AuthenticationError, "`{model}` refused access", (403,), kinds="PermissionDeniedError"),
    _Rule(ProviderTimeoutError, "the server{at} has not loaded `{model}` in time", kinds=STILL_LOADING, again=False),
    _Rule(ProviderConnectionError, "the server{at} has no endpoint to chat with `{model}`", kinds=NO_ENDPOINT,
          again=False),
    _Rule(ProviderTimeoutError, "`{model}` did not answer in time", (408, 504),
          kinds="Timeout APITimeoutError ReadTimeout WriteTimeout ConnectTimeout PoolTimeout"),
    _Rule(ProviderConnectionError, "the server of `{model}`{at} redirects, which is not followed",
          tuple(range(300, 400)), kinds="RedirectRefusedError", again=False,
          hint="Write the address that it redirects to as `llm.api_base`, if that is the server you mean."),
    _Rule(ProviderConnectionError, "a proxy or the network on the way to `{model}` wants you to sign in", (407, 511),
          again=False, hint="Sign in to the network, or set the proxy's name and password in `HTTPS_PROXY`."),
    _Rule(ProviderError, "the answer of `{model}` is too large to be read", kinds="AnswerTooLargeError"),
    _Rule(ProviderConnectionError, "the server of `{model}`{at} cannot be reached, or closed the connection",
          kinds=_UNREACHED, answered=False),
    _Rule(RequestRefusedError, "`{model}` refused the request",
          (400, 402, 404, 405, 406, 410, 411, 413, 414, 415, 422, 431, 451),
          kinds="UnsupportedParamsError ContentPolicyViolationError RejectedRequestError"),
    _Rule(ProviderError, _NO_COMPLETION, kinds=_MISREAD, answered=False, words=MISREAD),
    _Rule(RequestRefusedError, "`{model}` cannot take the request", answered=False,
          kinds="BadRequestError UnprocessableEntityError"),
)  # fmt: skip
_OTHERWISE = _Rule(ProviderError, "`{model}` failed")
_MISSING = 404
_OLLAMA = ("ollama", "ollama_chat")
_WITHOUT_CHAT = (_MISSING, 405, 501)
_UNAVAILABLE, _FORBIDDEN = 503, 403
_REFUSALS = frozenset({400, 404, 422})
_FAILURES = frozenset({500, 501})
_PASSING = frozenset({408, 409, 423, 424, 425, 429, 460, 499})
_LASTING = frozenset({501, 505, 506, 508, 510, 511})


def heals(status: int | None) -> bool:
    """Whether a call that failed with this status may be answered when it is sent again as it is."""
    return status is None or status in _PASSING or (status >= 500 and status not in _LASTING)  # noqa: PLR2004 - a server's


def error_for(failure: Failure, *, endpoint: Endpoint, access: Access, request: Request | None = None) -> RunllmError:
    """Our error for a failed call, with the provider's own words.

    Args:
        failure: what is known of it.
        endpoint: who was called.
        access: how.
        request: what was asked, with all that was sent, for what is said of a parameter.
    """
    model, provider = endpoint.model, access.provider
    details: dict[str, Any] = {"status": failure.status, "provider": provider, "model": model}
    if failure.retry_after is not None:
        details["retry_after"] = failure.retry_after
    failure = _missed(failure, access)
    rule = next((rule for rule in _RULES if rule.holds(failure)), _OTHERWISE)
    status = f" (HTTP {failure.status})" if failure.status else ""
    at = f" at {redact_text(access.api_base)}" if access.api_base else ""
    words = f": {failure.words}" if failure.words else ""
    says, hint = rule.says, rule.hint or _hint(rule.error, failure, endpoint, access)
    named = _at_fault(failure, request) if rule.error is RequestRefusedError and not hint else None
    if named and request:
        details["parameter"] = named
        says, hint = f"`{{model}}` refused the parameter `{named}`", _other_value(named, request)
    error = rule.error(f"{says.format(model=model, at=at)}{status}{words}", details=details, hint=hint)
    if error.retryable:
        error.retryable = rule.again and heals(failure.status)
    error.stops_all = error.stops_all or rule.of_all
    return error


def _missed(failure: Failure, access: Access) -> Failure:
    """The failure, with what is missing where something is: the model, or on a server of the user's the endpoint."""
    if failure.status == _FORBIDDEN:  # LiteLLM takes each for a key that is refused
        failure = replace(failure, kinds=failure.kinds - {"AuthenticationError", "PermissionDeniedError"})
    if failure.status is None and re.search(SOMETHING_ELSE, failure.words):
        return replace(failure, kinds=failure.kinds | {"NoCompletionError"})
    if re.search(NO_CHAT, failure.words):
        return replace(failure, kinds=failure.kinds | {NO_ENDPOINT})
    gone = failure.status in _WITHOUT_CHAT or "NotFoundError" in failure.kinds
    if not gone or re.search(OF_ROUTE, failure.heard):
        return failure
    if re.search(OF_MODEL, failure.heard) and failure.status in (_MISSING, None):
        return replace(failure, kinds=failure.kinds | {"NoModel"})
    if access.api_base is None or is_at(access.api_base, facts(access.provider).hosts):
        return failure
    return replace(failure, kinds=failure.kinds | {NO_ENDPOINT})


def _hint(error: type[RunllmError], failure: Failure, endpoint: Endpoint, access: Access) -> str | None:
    """What to do about a failure, where more is known than its class says."""
    variables = " or ".join(access.variables)
    if NO_ENDPOINT in failure.kinds:
        return _other_address(endpoint, access)
    if "NoCompletionError" in failure.kinds:
        if access.api_base is None:
            return "A proxy, or a network to sign in to, answers in the provider's place: open a page in a browser."
        return _other_address(endpoint, access) + " A proxy or a network's sign-in page may answer in its place, too."
    if error is AuthenticationError and access.withheld:
        return f"No key was sent, for only the file names the address. {allowing(endpoint.api_base or '')}"
    if error in (AuthenticationError, MissingCredentialError) and variables:
        if access.api_key in (None, PLACEHOLDER_KEY):
            return f"No key was sent: set the environment variable {variables}."
        return f"Check the key in {variables}, and that it may use this model."
    return None


def _other_address(endpoint: Endpoint, access: Access) -> str:
    base, name = redact_text(access.api_base or ""), endpoint.model.partition("/")[2]
    if access.provider in _OLLAMA:
        root = base.rstrip("/").removesuffix("/chat").removesuffix("/api").removesuffix("/v1")
        return (
            "It is no Ollama server. If it speaks OpenAI's API, as llama.cpp, LM Studio and vLLM do, name the model as "
            f"`openai/{name}`, with `llm.api_base: {root}/v1`."
        )
    end = "" if base.rstrip("/").endswith("/v1") else f", mostly with `/v1` at its end: {base.rstrip('/')}/v1"
    return f"Check `llm.api_base`, which is {base}: it is where `/chat/completions` is added{end}."


# --- a parameter that is at fault ------------------------------------------------------------------------


def _at_fault(failure: Failure, request: Request | None) -> str | None:
    """The parameter of the request that a refusal is about; None where it is about something else."""
    if request is None:
        return None
    given = {**request.endpoint.provider_params, **request.params}
    asked = () if tokens.longest_answer(given) else ("max_tokens",)  # some ask for as many as they may give
    return at_fault(failure.param, failure.words, frozenset({*given, *asked}) - {"response_format"})


def _other_value(name: str, request: Request) -> str:
    place = "llm.provider_params" if name in request.endpoint.provider_params else "llm_params"
    given = {**request.endpoint.provider_params, **request.params}.get(name)
    if given is None:
        return f"Set `{name}` under `llm_params` to what the model takes."
    value = clip(json.dumps(given, ensure_ascii=False), _LONGEST_VALUE)
    return f"Change `{name}` under `{place}`, which is {value}, to what the model takes, or leave it out."


# --- what to do before it is an error -------------------------------------------------------------------


def is_too_long(failure: Failure) -> bool:
    """Whether the prompt did not fit the window."""
    return _TOO_LONG.holds(failure) and not _AT_ONCE.holds(failure)


def is_loading(failure: Failure) -> bool:
    """Whether the server has yet to load the model, and will answer once it has."""
    return failure.status == _UNAVAILABLE and re.search(LOADING, failure.words) is not None


def may_reject_form(failure: Failure, request: Request) -> bool:
    """Whether the provider, or LiteLLM in its place, may have refused the `response_format` and not the request.

    Providers say so in so many words that only another request without it can tell, but where theirs are plainly of
    credit, the key, the model or another parameter.
    """
    named = _at_fault(failure, request)
    if failure.generated or is_too_long(failure) or (named and failure.param):
        return False
    of_form = any(re.search(OF_FORM, words) for words in (failure.heard, failure.param))
    if failure.status in _REFUSALS:
        plain = (NO_CREDIT, NO_MORE_TODAY, OF_TEMPLATE, FILTERED, NO_KEY, BAD_KEY, NO_MODEL, NOWHERE, TERMS)
        return of_form or not (named or any(re.search(words, failure.heard) for words in plain))
    return of_form and (failure.status in _FAILURES or (failure.status is None and "BadRequestError" in failure.kinds))


def late(request: Request, provider: str) -> ProviderTimeoutError:
    """The error for a call that was not answered in time."""
    model = request.endpoint.model
    return ProviderTimeoutError(
        f"`{model}` did not answer within {request.timeout:g} s",
        details={"status": None, "provider": provider, "model": model, "timeout": request.timeout},
    )
