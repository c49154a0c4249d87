"""What is known of a failed call: LiteLLM's exception, or an HTTP answer, in; plain values out.

LiteLLM's classes mislead (a refused connection is an `InternalServerError`), so what is kept is the HTTP status that
the server really sent, the classes of everything that caused it, and its words; none of the library's objects, which
hold requests with keys in them. What it means is told in `meanings`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from runllm.diagnostics import clip
from runllm.engines.replies import FailedInsideError, page_text
from runllm.redaction import MASK, redact_text
from runllm.values import frozen

_DEEPEST_CAUSE = 12
LONGEST_WORDS = 200
_LONGEST_READ = 4096  # of them that are searched for secrets: far more than is shown, and quickly done
_LONGEST_SAID = 1 << 16  # characters of an exception: more than is read of any error
_LONGEST_PREFIX = 200

_PREFIX = (
    r"^(?:Timeout Error: |400, message[:=]\s*[\"']*"  # a status that is the HTTP library's own
    r"|(?:litellm\.)?\w*(?:Error|Exception|Timeout|Exceeded)\w*(?:: | - )"
    r"|\w+(?:Exception|Error) \w+Error - )"
)
_ONLY_STATUS = r"Error code: \d{3}$"
_TAILS = (
    r"(?s)Traceback \(most recent call last\):.*",
    r"\.? Handle with `litellm\.\w+`\.?",
    r"\.? File an issue if litellm error - \S+",
    r"(?s)\s*(?:To drop \w+|If you want to use these params|Set (?:`?litellm\.)?drop_params).*",
    r"(?s)Received Model Group=.*",
    r"(?s)<RawResponseMessage\(.*",
    r"[\"'], url='[^']*'$",
    r" ssl:<ssl\.SSLContext object at 0x[0-9a-f]+>",
)
_WAITS = ("retry-after-ms", "retry-after")
_SPAN = r"(?i)(\d{1,9}(?:\.\d{1,9})?) ?(ms|h|m|s)"
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_WAIT = (
    r'(?i)(?:\b(?:try again|retry|wait)(?: in| after| for)? |"retryDelay": ?")((?:\d{1,9}(?:\.\d{1,9})? ?'
    r"(?:milliseconds?|ms|hours?|hrs?|h|minutes?|mins?|m|seconds?|secs?|s) ?)+)"
)
_REDIRECTIONS = frozenset({301, 302, 303, 307, 308})
_LEFT = r"disconnected|closed connection"  # the others of their kind are about what is no HTTP


@frozen
class Failure:
    """What is known about a failed call, as plain values.

    Attributes:
        status: the HTTP status that came back; None when there was no HTTP answer or a good one.
        kinds: class names of the exception, its bases, and what caused it.
        words: what the provider said, without secrets, at most `LONGEST_WORDS` characters.
        retry_after: seconds the provider asks to wait.
        generated: the answer that the provider refused in the model's place, since it is no JSON of the form asked for.
        param: the parameter that the provider says is at fault.
        code: by which the provider names the kind of error, in words: `model not found`.
    """

    status: int | None = None
    kinds: frozenset[str] = frozenset()
    words: str = ""
    retry_after: float | None = None
    generated: str = ""
    param: str = ""
    code: str = ""

    @property
    def heard(self) -> str:
        """All that says what is wrong: some providers say it in the code alone."""
        return f"{self.words} ({self.code})" if self.code else self.words


# --- reading an exception ---------------------------------------------------------------------------


def observe(error: BaseException, secrets: Iterable[str] = ()) -> Failure:
    """The facts of an exception, and none of its objects.

    Args:
        error: what LiteLLM raised.
        secrets: values that must not stand in the words, beside those that are known to look secret.
    """
    chain = list(_causes(error))
    if inside := next((cause for cause in chain if isinstance(cause, FailedInsideError)), None):
        return refused(inside.status, {}, str(inside), secrets)
    told = next((found for cause in chain if (found := _told(cause))), dict[str, Any]())
    words = json.dumps({"error": told}) if told.get("metadata") else str(error)
    if re.search(_ONLY_STATUS, words):  # a client that passes over a body in a form that it does not know
        body = next((body for cause in chain if (body := getattr(cause, "body", None))), None)
        words = _message(body) or words
    kinds = {base.__name__ for base in type(error).__mro__} | {type(cause).__name__ for cause in chain}
    if type(error).__name__ == "RemoteProtocolError" and not re.search(_LEFT, str(error)):
        kinds = {"BadHttpMessage"}
    return Failure(
        status=_status(chain),
        kinds=frozenset(kinds - {"OpenAIError", "APIError", "APIConnectionError", "Exception", "object"}),
        words=said([words, *map(str, chain[1:])], secrets),
        retry_after=_retry_after(chain, str(error)),
        generated=_generated(told),
        param=_param(told),
        code=_code(told),
    )


def refused(status: int, headers: Mapping[str, str], body: str, secrets: Iterable[str] = ()) -> Failure:
    """The facts of an HTTP answer that is none: an error, or a redirection, which is not followed.

    Args:
        status: of HTTP.
        headers: their names in lower case.
        body: its beginning.
        secrets: as for `observe`.
    """
    if status in _REDIRECTIONS and (target := headers.get("location")):
        return Failure(kinds=frozenset({"RedirectRefusedError"}), words=f"to {_place(target)}")
    error = _error_in(body)
    return Failure(
        status=status,
        kinds=frozenset(re.findall(r"ContextWindowExceededError|signin_url", body[:_LONGEST_SAID])),
        words=said([body], secrets),
        retry_after=_stated(headers, body),
        generated=_generated(error),
        param=_param(error),
        code=_code(error),
    )


def _place(target: str) -> str:
    """An address as it is told, without path and query: there may be secrets in them."""
    found = re.match(r"(?:https?:)?//(?:[^/?#@]*@)?([^/?#]*)", target)
    return f"{target.partition('//')[0]}//{found[1]}" if found else "another path"


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


def _stated(headers: Mapping[str, str], body: str) -> float | None:
    """Seconds that a provider asks to wait: in a header, else in its words."""
    if (found := headers.get("retry-after-ms")) and (seconds := _seconds(found)) is not None:
        return seconds / 1000
    if found := headers.get("retry-after"):
        return _seconds(found)
    wait = re.search(_WAIT, body[:_LONGEST_SAID])
    if wait is None:
        return None
    return sum(float(number) * _UNITS[unit.lower()] for number, unit in re.findall(_SPAN, wait[1]))


def _retry_after(chain: list[BaseException], words: str) -> float | None:
    """What `_stated` finds; LiteLLM keeps the headers apart from the response."""
    for cause in chain:
        for headers in (getattr(cause, "litellm_response_headers", None), _headers(cause)):
            if headers is not None:
                found = _stated({name: str(headers.get(name) or "") for name in _WAITS}, "")
                if found is not None:
                    return found
    return _stated({}, words)


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
    words = _without(secrets, readable(words[:_LONGEST_READ]))
    return clip(words, LONGEST_WORDS)


def readable(words: str) -> str:
    """Words with the characters that HTML spells otherwise: some servers write `&quot;` in an error or a refusal."""
    if "&" not in words:
        return words
    from html import unescape  # few errors hold any

    return " ".join(unescape(words).split())


def _bare(text: str) -> str:
    """A message without what LiteLLM writes around it."""
    text = text[:_LONGEST_SAID]
    if text.lstrip("\ufeff \t\r\n").startswith("<"):
        return page_text(text)
    for tail in _TAILS:
        text = re.sub(tail, "", text)
    prefix = re.compile(_PREFIX)
    while (match := prefix.match(text, 0, _LONGEST_PREFIX)) is not None:
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
    return cast("dict[str, Any]", read) if isinstance(read, dict) else _error_in(str(cause))


def _error_in(text: str) -> dict[str, Any]:
    """The `error` of the first JSON object of a text, or all of it; empty where there is none."""
    text = text[:_LONGEST_SAID]
    start = text.find("{")
    try:
        body: Any = json.JSONDecoder().raw_decode(text, start)[0] if start >= 0 else None
    except (ValueError, RecursionError):
        return {}
    whole = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
    read = whole.get("error")
    return cast("dict[str, Any]", read) if isinstance(read, dict) else whole


def _code(error: Mapping[str, Any]) -> str:
    """The code and the type of an error in words: `model_not_found` and `DeploymentNotFound` are written as such."""
    found = (error.get(name) for name in ("code", "type", "status", "reason", "error_code"))
    named = dict.fromkeys(one[:_LONGEST_PREFIX] for one in found if isinstance(one, str))
    return "; ".join(re.sub(r"[_-]|(?<=[a-z])(?=[A-Z])", " ", one) for one in named)


def _generated(error: Mapping[str, Any]) -> str:
    """What the model wrote, in an error that says that it is no JSON of the form asked for, as Groq's does."""
    found = error.get("failed_generation")
    return found if isinstance(found, str) else ""


def _param(error: Mapping[str, Any]) -> str:
    """The parameter that an error names as its cause."""
    found = error.get("param")
    return found[:_LONGEST_PREFIX] if isinstance(found, str) else ""


_SAYING = ("error", "message", "detail", "msg", "errors", "details", "error_msg", "error_message", "errormessage",
           "error_description", "description", "reason", "fault", "faultstring", "title", "choices", "code",
           "type")  # fmt: skip
_MOST_SAID = 3  # of several errors


def _message(body: Any) -> str:
    """The message inside an error body, in the shapes that providers use."""
    if isinstance(body, str):
        return _message_in_json(body) or body
    if isinstance(body, list):
        each = [_message(one) for one in cast("list[Any]", body)[:_MOST_SAID]]
        return "; ".join(dict.fromkeys(filter(None, each)))
    if not isinstance(body, Mapping):
        return ""
    fields = {str(name).lower(): value for name, value in cast("Mapping[Any, Any]", body).items()}
    if isinstance(fields.get("loc"), list) and "msg" in fields:
        return f"{'.'.join(str(step) for step in fields['loc'])}: {fields['msg']}"
    for name in _SAYING:
        if name in fields and (said := _message(fields[name])):
            return said + _reason(fields.get("metadata"))
    listed = ((name, _message(value)) for name, value in list(fields.items())[:_MOST_SAID] if isinstance(value, list))
    return "; ".join(
        f"{name}: {said}" for name, said in listed if said
    )  # as Django tells what is wrong with each field


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
