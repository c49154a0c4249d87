"""Tell what a provider's failure means: LiteLLM's exception in, one of our errors out.

LiteLLM's classes mislead (a refused connection is an `InternalServerError`), so a failure is judged by the
HTTP status that the server really sent, by the classes of everything that caused it, and by its words. Our
error holds none of the library's objects: they hold requests with keys in them.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from runllm.engines.access import PLACEHOLDER_KEY, Access, allowing
from runllm.engines.wording import said
from runllm.errors import (
    AuthenticationError,
    ContextWindowExceededError,
    EngineUnavailableError,
    MissingCredentialError,
    ModelNotFoundError,
    OllamaModelMissingError,
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
    RequestRefusedError,
    RunllmError,
)
from runllm.redaction import redact_text
from runllm.results import Endpoint
from runllm.values import frozen

_DEEPEST_CAUSE = 12


@frozen
class Failure:
    """What is known about a failed call, as plain values.

    Attributes:
        status: the HTTP status that came back; None when there was no HTTP answer or a good one.
        kinds: class names of the exception, its bases, and what caused it.
        words: what the provider said, without secrets, at most `LONGEST_WORDS` characters.
        retry_after: seconds the provider asks to wait.
    """

    status: int | None = None
    kinds: frozenset[str] = frozenset()
    words: str = ""
    retry_after: float | None = None


@frozen
class _Rule:
    """A failure is of this class when its status, a kind or its words say so."""

    error: type[RunllmError]
    says: str
    statuses: frozenset[int] = frozenset()
    kinds: frozenset[str] = frozenset()
    words: re.Pattern[str] | None = None
    answered: bool | None = None

    def holds(self, failure: Failure) -> bool:
        if self.answered is not None and self.answered != (failure.status is not None):
            return False
        return (
            failure.status in self.statuses
            or not self.kinds.isdisjoint(failure.kinds)
            or (self.words is not None and self.words.search(failure.words) is not None)
        )


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# The first rule that holds decides.
_RULES = (
    _Rule(
        error=ContextWindowExceededError,
        says="the prompt does not fit the context window of `{model}`",
        kinds=_names("ContextWindowExceededError"),
        words=re.compile(
            r"(?i)maximum context length|context (?:length|window|size) (?:is |was )?exceed|prompt is too long"
            r"|exceed\w* (?:the |its )?(?:available |maximum )?(?:context|number of tokens)"
        ),
    ),
    _Rule(
        error=EngineUnavailableError,
        says="`{model}` needs a Python package that is not installed",
        kinds=_names("ModuleNotFoundError ImportError"),
        answered=False,
    ),
    _Rule(
        error=ProviderError,
        says="`{model}` answered with something that is not a completion",
        kinds=_names("NotJsonError UnknownEncodingError DecodingError"),
        answered=False,
    ),
    _Rule(
        error=ProviderError,
        says="`{model}` answered with something that is not HTTP",
        kinds=_names("BadStatusLine BadHttpMessage LineTooLong InvalidHeader ClientResponseError"),
        answered=False,
    ),
    _Rule(
        error=RateLimitError,
        says="`{model}` refused the call: too many, or the quota is used up",
        statuses=frozenset({429}),
        kinds=_names("RateLimitError"),
    ),
    _Rule(
        error=MissingCredentialError,
        says="`{model}` needs a key and none is set",
        kinds=_names("NoCredentialsError CredentialRetrievalError DefaultCredentialsError"),
        words=re.compile(r"(?i)api_?key\b.{0,40}\b(?:must be set|is missing|not set)|missing .{0,20}api key"),
        answered=False,
    ),
    _Rule(
        error=AuthenticationError,
        says="`{model}` refused the key",
        statuses=frozenset({401, 403}),
        kinds=_names("AuthenticationError PermissionDeniedError"),
        words=re.compile(
            r"(?i)(?:invalid|incorrect|expired) api[ _-]?key|api[ _-]?key (?:not valid|is invalid|expired)"
        ),
    ),
    _Rule(
        error=ModelNotFoundError,
        says="there is no `{model}`{at}",
        statuses=frozenset({404}),
        kinds=_names("NotFoundError LiteLLMUnknownProvider"),
        words=re.compile(
            r"(?i)\bmodel\b.{0,80}(?:does not exist|not found|is not available)|unknown model"
            r"|LLM Provider NOT provided"
        ),
    ),
    _Rule(
        error=ProviderTimeoutError,
        says="`{model}` did not answer in time",
        statuses=frozenset({408, 504}),
        kinds=_names("Timeout APITimeoutError ReadTimeout WriteTimeout ConnectTimeout PoolTimeout"),
    ),
    _Rule(
        error=ProviderConnectionError,
        says="the server of `{model}`{at} redirects, which is not followed",
        kinds=_names("RedirectRefusedError"),
    ),
    _Rule(
        error=ProviderError,
        says="the answer of `{model}` is too large to be read",
        kinds=_names("AnswerTooLargeError"),
    ),
    _Rule(
        error=ProviderConnectionError,
        says="the server of `{model}`{at} cannot be reached, or closed the connection",
        kinds=_names("ConnectError ReadError WriteError CloseError RemoteProtocolError LocalProtocolError ProxyError"
                     " InvalidURL UnsupportedProtocol ClientConnectorError ClientOSError ServerDisconnectedError"
                     " ClientPayloadError ConnectionError ConnectionRefusedError ConnectionResetError gaierror SSLError"
                     " EndpointConnectionError"),
        answered=False,
    ),
    _Rule(
        error=RequestRefusedError,
        says="`{model}` refused the request",
        statuses=frozenset({400, 402, 405, 406, 410, 411, 413, 414, 415, 422, 431, 451}),
        kinds=_names("UnsupportedParamsError ContentPolicyViolationError RejectedRequestError"),
    ),
    _Rule(
        error=ProviderError,
        says="`{model}` answered with something that is not a completion",
        kinds=_names("JSONDecodeError KeyError IndexError TypeError AttributeError ValueError ValidationError"
                     " APIResponseValidationError"),
        words=re.compile(r"(?i)invalid response from LLM endpoint|unable to get json response"),
        answered=False,
    ),
    _Rule(
        error=RequestRefusedError,
        says="`{model}` cannot take the request",
        kinds=_names("BadRequestError UnprocessableEntityError"),
        answered=False,
    ),
)  # fmt: skip
_OTHERWISE = _Rule(error=ProviderError, says="`{model}` failed")


def error_for(failure: Failure, *, endpoint: Endpoint, access: Access) -> RunllmError:
    """Our error for a failed call, with the provider's own words."""
    model, provider = endpoint.model, access.provider
    details: dict[str, Any] = {"status": failure.status, "provider": provider, "model": model}
    if failure.retry_after is not None:
        details["retry_after"] = failure.retry_after
    if provider.startswith("ollama") and failure.status == 404 and "model" in failure.words:  # noqa: PLR2004
        return _missing_at_ollama(access, details)
    rule = next((rule for rule in _RULES if rule.holds(failure)), _OTHERWISE)
    status = f" (HTTP {failure.status})" if failure.status else ""
    at = f" at {redact_text(access.api_base)}" if access.api_base else ""
    words = f": {failure.words}" if failure.words else ""
    withheld = rule.error is AuthenticationError and access.api_key == PLACEHOLDER_KEY and endpoint.api_base
    hint = f"No key was sent, for only the file names the address. {allowing(withheld)}" if withheld else None
    return rule.error(f"{rule.says.format(model=model, at=at)}{status}{words}", details=details, hint=hint)


def _missing_at_ollama(access: Access, details: dict[str, Any]) -> OllamaModelMissingError:
    from runllm.engines.ollama_server import name_of, pull_command, root  # only for this error

    name, base = name_of(access.model), root(access)
    command = pull_command(name, base, os.environ)
    return OllamaModelMissingError(
        f"the Ollama server at {redact_text(base)} does not have `{name}`",
        details={**details, "command": command},
        hint=f"Run `{command}`, then run again.",
    )


# --- reading an exception ---------------------------------------------------------------------------


def observe(error: BaseException, secrets: Iterable[str] = ()) -> Failure:
    """The facts of an exception, and none of its objects.

    Args:
        error: what LiteLLM raised.
        secrets: values that must not stand in the words, beside those that are known to look secret.
    """
    chain = list(_causes(error))
    kinds = {base.__name__ for base in type(error).__mro__} | {type(cause).__name__ for cause in chain}
    return Failure(
        status=_status(chain),
        kinds=frozenset(kinds - {"OpenAIError", "APIError", "APIConnectionError", "Exception", "object"}),
        words=said([str(cause) for cause in chain], secrets),
        retry_after=_retry_after(chain),
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
