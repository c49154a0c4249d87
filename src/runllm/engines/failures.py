"""Tell what a provider's failure means: LiteLLM's exception in, one of our errors out.

LiteLLM's classes mislead (a refused connection is an `InternalServerError`), so a failure is judged by the
HTTP status that the server really sent, by the classes of everything that caused it, and by its words. Our
error holds none of the library's objects: they hold requests with keys in them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

from runllm.diagnostics import clip
from runllm.engines.access import PLACEHOLDER_KEY, Access, allowing
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
from runllm.redaction import MASK, redact_text
from runllm.results import Endpoint, Request
from runllm.values import frozen

_DEEPEST_CAUSE = 12
LONGEST_WORDS = 300
_LONGEST_READ = 4096  # of them that are searched for secrets: far more than is shown, and quickly done
_LONGEST_SAID = 1 << 16  # characters of an exception: more than is read of any error
_LONGEST_PREFIX = 200

_PREFIX = re.compile(
    r"^(?:Timeout Error: |400, message[:=]\s*[\"']*"  # a status that is the HTTP library's own
    r"|(?:litellm\.)?\w*(?:Error|Exception|Timeout|Exceeded)\w*(?:: | - )"
    r"|\w+(?:Exception|Error) \w+Error - )"
)
_TAILS = (
    re.compile(r"Traceback \(most recent call last\):.*", re.DOTALL),
    re.compile(r"\.? Handle with `litellm\.\w+`\.?"),
    re.compile(r"\.? File an issue if litellm error - \S+"),
    re.compile(r"Received Model Group=.*", re.DOTALL),
    re.compile(r"<RawResponseMessage\(.*", re.DOTALL),
    re.compile(r"[\"'], url='[^']*'$"),
    re.compile(r" ssl:<ssl\.SSLContext object at 0x[0-9a-f]+>"),
)
_LEFT = re.compile(r"disconnected|closed connection")  # the others of their kind are about what is no HTTP


@frozen
class Failure:
    """What is known about a failed call, as plain values.

    Attributes:
        status: the HTTP status that came back; None when there was no HTTP answer or a good one.
        kinds: class names of the exception, its bases, and what caused it.
        words: what the provider said, without secrets, at most `LONGEST_WORDS` characters.
        retry_after: seconds the provider asks to wait.
        generated: the answer that the provider refused in the model's place, since it is no JSON of the form asked for.
    """

    status: int | None = None
    kinds: frozenset[str] = frozenset()
    words: str = ""
    retry_after: float | None = None
    generated: str = ""

    @property
    def is_too_long(self) -> bool:
        """Whether the prompt did not fit the window."""
        return "ContextWindowExceededError" in self.kinds or re.search(_TOO_LONG, self.words) is not None


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


_NO_COMPLETION = "`{model}` answered with something that is not a completion"
_TOO_LONG = (
    r"(?i)maximum context length|context (?:length|window|size) (?:is |was )?exceed|prompt is too long"
    r"|exceed\w* (?:the |its )?(?:available |maximum )?(?:context|number of tokens)"
)
# A limit on requests a minute is told in the same words by some, and then says when to come back.
_NO_CREDIT = (
    r"(?i)^(?!.*(?:retry|try again) (?:in|after) \d).*(?:insufficient[_ ]quota|exceeded your current quota"
    r"|credit balance is too low|insufficient (?:credit|balance|fund)|payment required)"
)
_NO_KEY = r"(?i)api_?key\b.{0,40}\b(?:must be set|is missing|not set)|missing .{0,20}api key"
_BAD_KEY = r"(?i)(?:invalid|incorrect|expired) api[ _-]?key|api[ _-]?key (?:not valid|is invalid|expired)"
_NO_MODEL = r"(?i)\bmodel\b.{0,80}(?:does not exist|not found|is not available)|unknown model|LLM Provider NOT provided"
_UNREACHED = (
    "ConnectError ReadError WriteError CloseError RemoteProtocolError LocalProtocolError ProxyError InvalidURL"
    " UnsupportedProtocol ClientConnectorError ClientOSError ServerDisconnectedError ClientPayloadError ConnectionError"
    " ConnectionRefusedError ConnectionResetError gaierror SSLError EndpointConnectionError"
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
    _Rule(ProviderError, _NO_COMPLETION, kinds="NotJsonError UnknownEncodingError DecodingError", answered=False),
    _Rule(ProviderError, "`{model}` answered with something that is not HTTP", answered=False,
          kinds="BadStatusLine BadHttpMessage LineTooLong InvalidHeader ClientResponseError"),
    _Rule(RequestRefusedError, "`{model}` refused the call: there is no credit left", (402,), words=_NO_CREDIT,
          hint="Add credit at the provider, or name another model with `--model` or `llm.fallbacks`."),
    _Rule(RequestRefusedError, "`{model}` paused before its answer was whole", kinds="PausedError", answered=False,
          hint="A turn is paused for tools that run at the provider: leave them out of `provider_params`."),
    _Rule(RateLimitError, "`{model}` refused the call: too many, or the quota is used up", (429,),
          kinds="RateLimitError"),
    _Rule(MissingCredentialError, "`{model}` needs a key and none is set", words=_NO_KEY, answered=False,
          kinds="NoCredentialsError CredentialRetrievalError DefaultCredentialsError"),
    _Rule(AuthenticationError, "`{model}` refused the key", (401, 403), words=_BAD_KEY,
          kinds="AuthenticationError PermissionDeniedError"),
    _Rule(ModelNotFoundError, "there is no `{model}`{at}", (404,), words=_NO_MODEL,
          kinds="NotFoundError LiteLLMUnknownProvider"),
    _Rule(ProviderTimeoutError, "`{model}` did not answer in time", (408, 504),
          kinds="Timeout APITimeoutError ReadTimeout WriteTimeout ConnectTimeout PoolTimeout"),
    _Rule(ProviderConnectionError, "the server of `{model}`{at} redirects, which is not followed",
          kinds="RedirectRefusedError"),
    _Rule(ProviderError, "the answer of `{model}` is too large to be read", kinds="AnswerTooLargeError"),
    _Rule(ProviderConnectionError, "the server of `{model}`{at} cannot be reached, or closed the connection",
          kinds=_UNREACHED, answered=False),
    _Rule(RequestRefusedError, "`{model}` refused the request",
          (400, 402, 405, 406, 410, 411, 413, 414, 415, 422, 431, 451),
          kinds="UnsupportedParamsError ContentPolicyViolationError RejectedRequestError"),
    _Rule(ProviderError, _NO_COMPLETION, kinds=_MISREAD, answered=False,
          words=r"(?i)invalid response from LLM endpoint|unable to get json response"),
    _Rule(RequestRefusedError, "`{model}` cannot take the request", answered=False,
          kinds="BadRequestError UnprocessableEntityError"),
)  # fmt: skip
_OTHERWISE = _Rule(ProviderError, "`{model}` failed")


def error_for(failure: Failure, *, endpoint: Endpoint, access: Access) -> RunllmError:
    """Our error for a failed call, with the provider's own words."""
    model, provider = endpoint.model, access.provider
    details: dict[str, Any] = {"status": failure.status, "provider": provider, "model": model}
    if failure.retry_after is not None:
        details["retry_after"] = failure.retry_after
    rule = next((rule for rule in _RULES if rule.holds(failure)), _OTHERWISE)
    status = f" (HTTP {failure.status})" if failure.status else ""
    at = f" at {redact_text(access.api_base)}" if access.api_base else ""
    words = f": {failure.words}" if failure.words else ""
    withheld = rule.error is AuthenticationError and access.api_key == PLACEHOLDER_KEY and endpoint.api_base
    hint = f"No key was sent, for only the file names the address. {allowing(withheld)}" if withheld else rule.hint
    return rule.error(f"{rule.says.format(model=model, at=at)}{status}{words}", details=details, hint=hint)


def late(request: Request, provider: str) -> ProviderTimeoutError:
    """The error for a call that was not answered in time."""
    model = request.endpoint.model
    return ProviderTimeoutError(
        f"`{model}` did not answer within {request.timeout:g} s",
        details={"status": None, "provider": provider, "model": model, "timeout": request.timeout},
    )


# --- reading an exception ---------------------------------------------------------------------------


def observe(error: BaseException, secrets: Iterable[str] = ()) -> Failure:
    """The facts of an exception, and none of its objects.

    Args:
        error: what LiteLLM raised.
        secrets: values that must not stand in the words, beside those that are known to look secret.
    """
    chain = list(_causes(error))
    told = next((found for cause in chain if (found := _told(cause))), dict[str, Any]())
    words = json.dumps({"error": told}) if told.get("metadata") else str(error)
    kinds = {base.__name__ for base in type(error).__mro__} | {type(cause).__name__ for cause in chain}
    if type(error).__name__ == "RemoteProtocolError" and not _LEFT.search(str(error)):
        kinds = {"BadHttpMessage"}
    return Failure(
        status=_status(chain),
        kinds=frozenset(kinds - {"OpenAIError", "APIError", "APIConnectionError", "Exception", "object"}),
        words=said([words, *map(str, chain[1:])], secrets),
        retry_after=_retry_after(chain),
        generated=_generated(told),
    )


def failed(reply: Any, secrets: Iterable[str] = ()) -> Failure:
    """The facts of an HTTP answer that is none: an error, or a redirection, which is not followed.

    Args:
        reply: httpx's response, read to its end.
        secrets: as for `observe`.
    """
    if reply.has_redirect_location:
        target = reply.next_request.url if reply.next_request else reply.url
        return Failure(
            kinds=frozenset({"RedirectRefusedError"}), words=f"to {target.scheme}://{target.netloc.decode()}"
        )
    stated = reply.headers.get("retry-after")
    return Failure(
        status=reply.status_code,
        words=said([reply.text], secrets),
        retry_after=_seconds(stated) if stated else None,
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception and what it came from, nearest first."""
    current: BaseException | None = error
    for _ in range(_DEEPEST_CAUSE):
        if current is None:
            return
        yield current
        current = current.__cause__ or current.__context__


def _status(chain: list[BaseException]) -> int | None:
    """The status of the answer that failed; LiteLLM itself makes one up where there was none."""
    for cause in chain[1:]:
        status = getattr(getattr(cause, "response", None), "status_code", None)
        if type(cause).__name__ in ("HTTPStatusError", "APIStatusError") and isinstance(status, int):
            return status
    return None


def _retry_after(chain: list[BaseException]) -> float | None:
    """`Retry-After` in seconds, which LiteLLM keeps apart from the response."""
    for cause in chain:
        for headers in (getattr(cause, "litellm_response_headers", None), _headers(cause)):
            if headers is not None and (stated := headers.get("retry-after")):
                return _seconds(str(stated))
    return None


def _headers(cause: BaseException) -> Mapping[str, str] | None:
    headers: Any = getattr(getattr(cause, "response", None), "headers", None)
    return cast("Mapping[str, str]", headers) if hasattr(headers, "get") else None


def _seconds(stated: str) -> float | None:
    """A number of seconds, or the time until an HTTP date."""
    try:
        seconds = float(stated)
    except ValueError:
        import time
        from email.utils import parsedate_to_datetime  # only for the rare provider that sends a date

        try:
            seconds = parsedate_to_datetime(stated).timestamp() - time.time()
        except (ValueError, OverflowError, OSError):  # the server's date may lie beyond all that is counted
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


# --- what was said ------------------------------------------------------------------------------------


def said(messages: Sequence[str], secrets: Iterable[str] = ()) -> str:
    """What the provider said, or what the system said of the connection, at most `LONGEST_WORDS` characters.

    Args:
        messages: of an exception and what it came from, nearest first.
        secrets: values that must not stand in it, beside those that are known to look secret.
    """
    words = _bare(messages[0])
    if words in ("", "Connection error."):
        words = next((text for message in reversed(messages) if (text := _bare(message))), words)
    words = _without(secrets, words[:_LONGEST_READ])
    return clip(words, LONGEST_WORDS)


def _bare(text: str) -> str:
    """A message without what LiteLLM writes around it."""
    text = text[:_LONGEST_SAID]
    for tail in _TAILS:
        text = tail.sub("", text)
    while (match := _PREFIX.match(text, 0, _LONGEST_PREFIX)) is not None:
        text = text[match.end() :]
    start = text.find("{")
    if start >= 0:
        try:
            told = _message(json.JSONDecoder().raw_decode(text, start)[0])
        except (ValueError, RecursionError):
            told = ""
        text = told or text
    return " ".join(text.split())


def _told(cause: BaseException) -> dict[str, Any]:
    """The `error` of the body that came, where an exception still holds it: read by its client, or in its words."""
    read: Any = getattr(cause, "body", None)
    text = str(cause)[:_LONGEST_SAID]
    if not isinstance(read, dict) and (start := text.find("{")) >= 0:
        try:
            body: Any = json.JSONDecoder().raw_decode(text, start)[0]
        except (ValueError, RecursionError):
            return {}
        read = cast("dict[str, Any]", body).get("error") if isinstance(body, dict) else None
    return cast("dict[str, Any]", read) if isinstance(read, dict) else {}


def _generated(error: Mapping[str, Any]) -> str:
    """What the model wrote, in an error that says that it is no JSON of the form asked for, as Groq's does."""
    found = error.get("failed_generation")
    return found if isinstance(found, str) else ""


def _message(body: Any) -> str:
    """The message inside an error body, in the shapes that providers use."""
    if isinstance(body, str):
        return _message_in_json(body) or body
    if isinstance(body, Mapping):
        fields = cast("Mapping[str, Any]", body)
        if isinstance(fields.get("loc"), list) and "msg" in fields:
            return f"{'.'.join(str(step) for step in fields['loc'])}: {fields['msg']}"
        for name in ("error", "message", "detail", "msg"):
            if name in fields and (told := _message(fields[name])):
                return told + _reason(fields.get("metadata"))
    if isinstance(body, list) and body:
        return _message(cast("list[Any]", body)[0])
    return ""


def _reason(metadata: Any) -> str:
    """What the provider behind a gateway said, as OpenRouter passes it on."""
    raw: Any = cast("Mapping[str, Any]", metadata).get("raw") if isinstance(metadata, Mapping) else None
    told = _message(raw) if raw else ""
    return f": {told}" if told else ""


def _message_in_json(text: str) -> str:
    """The message of a body that is JSON written as a text, as newer Ollama servers send it."""
    if not text.startswith("{"):
        return ""
    try:
        return _message(json.loads(text))
    except (ValueError, RecursionError):
        return ""


def _without(secrets: Iterable[str], words: str) -> str:
    for secret in secrets:
        words = words.replace(secret, MASK)
    return redact_text(words)
