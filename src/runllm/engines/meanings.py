"""What a failed call means: one of our errors, judged by the status, the causes and the words of its `Failure`."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, NamedTuple

from runllm.engines.access import PLACEHOLDER_KEY, Access, allowing
from runllm.engines.addresses import is_at
from runllm.engines.failures import Failure
from runllm.engines.providers import facts
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
    """A failure is of this class when its status, a kind or its words say so; `answered`: only with or without HTTP."""

    error: type[RunllmError]
    says: str
    statuses: tuple[int, ...] = ()
    kinds: str = ""
    words: str = ""
    answered: bool | None = None
    hint: str | None = None

    def holds(self, failure: Failure) -> bool:
        if self.answered is not None and self.answered != (failure.status is not None):
            return False
        return (
            failure.status in self.statuses
            or not failure.kinds.isdisjoint(self.kinds.split())
            or (self.words != "" and re.search(self.words, failure.words) is not None)
        )


NO_ENDPOINT, STILL_LOADING = "NoEndpoint", "StillLoading"
"""Kinds of a failure that are no exception's: a server does not chat there; it was waited for in vain."""
_NO_COMPLETION = "`{model}` answered with something that is not a completion"
_TOO_LONG = (
    r"(?i)maximum context length|context (?:length|window|size) (?:is |was )?exceed|prompt is too long"
    r"|exceed\w* (?:the |its )?(?:available |maximum )?(?:context|number of tokens)"
)
# A limit on requests a minute is told in the same words by some, and then says when to come back.
_NO_CREDIT = (
    r"(?i)^(?!.*(?:retry|try again) (?:in|after) \d).*(?:insufficient[_ ]quota|exceeded your current quota"
    r"|(?:credit|account) balance is too low|insufficient (?:credit|balance|fund)|payment required|out of credits?)"
)
_FILTERED = (
    r"(?i)content[ _]management policy|content[ _-]?filter|content[ _-]?policy|(?:was|been|is) flagged|moderation"
    r"|safety (?:system|policy)"
)
_NOWHERE = r"(?i)(?:country|region|territory|location)\b.{0,60}not supported|not (?:available|supported) in your"
_NO_KEY = r"(?i)api_?key\b.{0,40}\b(?:must be set|is missing|not set)|missing .{0,20}api key"
_BAD_KEY = r"(?i)(?:invalid|incorrect|expired) api[ _-]?key|api[ _-]?key (?:not valid|is invalid|expired)"
_NO_MODEL = (
    r"(?i)\bmodels?\b.{0,80}(?:does not exist|not found|is not available|not exist\b|identifier is invalid)"
    r"|(?:unknown|invalid|no such) model\b|not a valid model|no endpoints found for|LLM Provider NOT provided"
)
# What a 404 is about, where its words say so; a router that has nobody for the request says it as well.
_OF_MODEL = re.compile(r"(?i)\bmodels?\b|deployment|endpoints found for|endpoint .{0,80}does not exist")
_OF_ROUTE = re.compile(r"(?i)\bno (?:allowed )?(?:providers|endpoints) (?:are )?(?:available|found (?:that|matching))")
_OF_FORM = re.compile(
    r"(?i)response_?format|json_?schema|json mode|response_schema|output_format|output_config|structured.?output"
    r"|guided|grammar"
)
_LOADING = re.compile(
    r"(?i)loading (?:the )?model|\bmodel\b.{0,100}\b(?:is |still |currently )+(?:being )?load(?:ing|ed)"
)
_UNREACHED = (
    "ConnectError ReadError WriteError CloseError RemoteProtocolError LocalProtocolError ProxyError InvalidURL"
    " UnsupportedProtocol ClientConnectorError ClientOSError ServerDisconnectedError ClientPayloadError ConnectionError"
    " ConnectionRefusedError ConnectionResetError gaierror SSLError EndpointConnectionError UnreachableError"
)
_MISREAD = (
    "JSONDecodeError KeyError IndexError TypeError AttributeError ValueError ValidationError APIResponseValidationError"
)

# The first rule that holds decides.
_RULES = (
    _Rule(ContextWindowExceededError, "the prompt does not fit the context window of `{model}`",
          kinds="ContextWindowExceededError", words=_TOO_LONG),
    _Rule(EngineUnavailableError, "`{model}` needs a Python package that is not installed",
          kinds="ModuleNotFoundError ImportError", answered=False),
    _Rule(ProviderError, _NO_COMPLETION, kinds="NotJsonError UnknownEncodingError UnpackingError", answered=False),
    _Rule(ProviderError, "`{model}` answered with something that is not HTTP", answered=False,
          kinds="BadStatusLine BadHttpMessage LineTooLong InvalidHeader ClientResponseError HTTPException"),
    _Rule(RequestRefusedError, "`{model}` refused the call: there is no credit left", (402,), words=_NO_CREDIT,
          hint="Add credit at the provider, or name another model with `--model` or `llm.fallbacks`."),
    _Rule(RequestRefusedError, "`{model}` paused before its answer was whole", kinds="PausedError", answered=False,
          hint="A turn is paused for tools that run at the provider: leave them out of `provider_params`."),
    _Rule(RateLimitError, "`{model}` refused the call: too many, or the quota is used up", (429,),
          kinds="RateLimitError"),
    _Rule(MissingCredentialError, "`{model}` needs a key and none is set", words=_NO_KEY, answered=False,
          kinds="NoCredentialsError CredentialRetrievalError DefaultCredentialsError"),
    _Rule(RequestRefusedError, "`{model}` refused what was asked", words=_FILTERED, answered=True,
          hint="A filter of the provider's stopped it: reword the prompt or the input, or name another model."),
    _Rule(RequestRefusedError, "`{model}` refused the call", words=_NOWHERE, answered=True,
          hint="The provider does not serve where you are: name another model with `--model` or `llm.fallbacks`."),
    _Rule(AuthenticationError, "`{model}` refused the key", (401, 403), words=_BAD_KEY,
          kinds="AuthenticationError PermissionDeniedError"),
    _Rule(ModelNotFoundError, "there is no `{model}`{at}", words=_NO_MODEL, kinds="NoModel LiteLLMUnknownProvider"),
    _Rule(ProviderTimeoutError, "the server{at} has not loaded `{model}` in time", kinds=STILL_LOADING),
    _Rule(ProviderConnectionError, "the server{at} has no endpoint to chat with `{model}`", kinds=NO_ENDPOINT),
    _Rule(ProviderTimeoutError, "`{model}` did not answer in time", (408, 504),
          kinds="Timeout APITimeoutError ReadTimeout WriteTimeout ConnectTimeout PoolTimeout"),
    _Rule(ProviderConnectionError, "the server of `{model}`{at} redirects, which is not followed",
          kinds="RedirectRefusedError"),
    _Rule(ProviderError, "the answer of `{model}` is too large to be read", kinds="AnswerTooLargeError"),
    _Rule(ProviderConnectionError, "the server of `{model}`{at} cannot be reached, or closed the connection",
          kinds=_UNREACHED, answered=False),
    _Rule(RequestRefusedError, "`{model}` refused the request",
          (400, 402, 404, 405, 406, 410, 411, 413, 414, 415, 422, 431, 451),
          kinds="UnsupportedParamsError ContentPolicyViolationError RejectedRequestError"),
    _Rule(ProviderError, _NO_COMPLETION, kinds=_MISREAD, answered=False,
          words=r"(?i)invalid response from LLM endpoint|unable to get json response"),
    _Rule(RequestRefusedError, "`{model}` cannot take the request", answered=False,
          kinds="BadRequestError UnprocessableEntityError"),
)  # fmt: skip
_OTHERWISE = _Rule(ProviderError, "`{model}` failed")
_MISSING = 404
_NO_CHAT = (_MISSING, 405, 501)  # of a server that speaks no Ollama
_OLLAMA = ("ollama", "ollama_chat")
_UNAVAILABLE = 503
_REFUSALS = frozenset({400, 404, 422})
_FAILURES = frozenset({500, 501})


def error_for(failure: Failure, *, endpoint: Endpoint, access: Access) -> RunllmError:
    """Our error for a failed call, with the provider's own words."""
    model, provider = endpoint.model, access.provider
    details: dict[str, Any] = {"status": failure.status, "provider": provider, "model": model}
    if failure.retry_after is not None:
        details["retry_after"] = failure.retry_after
    failure = _missed(failure, access)
    rule = next((rule for rule in _RULES if rule.holds(failure)), _OTHERWISE)
    status = f" (HTTP {failure.status})" if failure.status else ""
    at = f" at {redact_text(access.api_base)}" if access.api_base else ""
    words = f": {failure.words}" if failure.words else ""
    hint = rule.hint or _hint(rule.error, failure, endpoint, access)
    error = rule.error(f"{rule.says.format(model=model, at=at)}{status}{words}", details=details, hint=hint)
    if not failure.kinds.isdisjoint((NO_ENDPOINT, STILL_LOADING)):
        error.retryable = False  # it will not be there the next time; it was waited for
    return error


def _missed(failure: Failure, access: Access) -> Failure:
    """The failure, with what is missing where something is: the model, or on a server of the user's the endpoint."""
    gone = _NO_CHAT if access.provider in _OLLAMA else (_MISSING,)
    if (failure.status not in gone and "NotFoundError" not in failure.kinds) or _OF_ROUTE.search(failure.words):
        return failure
    if _OF_MODEL.search(failure.words):
        return replace(failure, kinds=failure.kinds | {"NoModel"})
    if access.api_base is None or is_at(access.api_base, facts(access.provider).hosts):
        return failure
    return replace(failure, kinds=failure.kinds | {NO_ENDPOINT})


def _hint(error: type[RunllmError], failure: Failure, endpoint: Endpoint, access: Access) -> str | None:
    """What to do about a failure, where more is known than its class says."""
    variables = " or ".join(access.variables)
    if NO_ENDPOINT in failure.kinds:
        return _other_address(endpoint, access)
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
    return f"Check `llm.api_base`: it is where `/chat/completions` is added{end}."


# --- what to do before it is an error -------------------------------------------------------------------


def is_too_long(failure: Failure) -> bool:
    """Whether the prompt did not fit the window."""
    return "ContextWindowExceededError" in failure.kinds or re.search(_TOO_LONG, failure.words) is not None


def is_loading(failure: Failure) -> bool:
    """Whether the server has yet to load the model, and will answer once it has."""
    return failure.status == _UNAVAILABLE and _LOADING.search(failure.words) is not None


def may_reject_form(failure: Failure) -> bool:
    """Whether the provider, or LiteLLM in its place, may have refused the `response_format` and not the request.

    Providers say so in so many words that only another request without it can tell, but where theirs are plainly of
    credit, the key or the model.
    """
    if failure.generated or is_too_long(failure):
        return False
    of_form = _OF_FORM.search(failure.words) is not None
    if failure.status in _REFUSALS:
        plain = (_NO_CREDIT, _FILTERED, _NO_KEY, _BAD_KEY, _NO_MODEL)
        return of_form or not any(re.search(words, failure.words) for words in plain)
    return of_form and (failure.status in _FAILURES or (failure.status is None and "BadRequestError" in failure.kinds))


def late(request: Request, provider: str) -> ProviderTimeoutError:
    """The error for a call that was not answered in time."""
    model = request.endpoint.model
    return ProviderTimeoutError(
        f"`{model}` did not answer within {request.timeout:g} s",
        details={"status": None, "provider": provider, "model": model, "timeout": request.timeout},
    )
