"""What a body that is good to HTTP says: a completion in the form that LiteLLM reads, or why it is none. Pure.

Both ways of calling read through here. Servers fail in answers with the status 200, proxies and networks that one signs
in to answer with pages, and what is a completion comes in forms that clients drop or choke on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from math import isfinite
from typing import Any, cast

from runllm.engines.bodies import LONGEST_REFUSAL, MOST_VALUES, UnreadableError, too_many
from runllm.engines.endings import ending
from runllm.engines.streams import is_piece, joined

_FAILED = 500
_NONE: dict[str, Any] = {}
_NEAR_JSON = rb"\s*(?:\xef\xbb\xbf)?\s*(?:[{\[]|(?:data|event|id|retry)?:|\Z)"  # broken, or line by line
# Where nothing stands beside these, it is no completion of anybody's.
_OF_A_FAILURE = (
    r"(?i)errors?|details?|messages?|msg|error_?(?:msg|code|message)|code|status(?:_?code)?|type|title|instance"
    r"|success|ok"
    r"|request_?id|trace_?id|object|timestamp|path|reason|time|base_resp|model|created(?:_at)?|id|done"
)
_SAYS_WHY = ("error", "errors", "detail", "message", "msg", "error_msg", "errorMessage")


class NotJsonError(UnreadableError):
    """The body is empty, breaks off or is broken: it would have been JSON."""


class NoCompletionError(UnreadableError):
    """The body is a page, a plain text, or JSON of something else: whatever is asked there, no model answers."""


class PausedError(UnreadableError):
    """The model stopped in the middle of its turn, to be asked to go on."""


class WindowFilledError(UnreadableError):
    """The answer was cut off where the window ended, which LiteLLM would tell as the limit on tokens."""


class FailedInsideError(UnreadableError):
    """A failure that is told in an answer that is good to HTTP.

    Attributes:
        status: of HTTP, as the body tells it; 500 where it tells none.
        body: the words are read from it.
    """

    def __init__(self, body: Any, status: int) -> None:
        super().__init__(json.dumps(body))
        self.body = body
        self.status = status


def checked(body: bytes) -> bytes:
    """The body as LiteLLM reads it.

    LiteLLM writes what it cannot read into its error, and looks for secrets in that, at seconds a megabyte.

    Raises:
        UnreadableError: it is no answer, or one that is not to be read.
    """
    whole, changed = _read(body, None)
    return json.dumps(whole).encode() if changed else body


def _read(body: bytes, hook: Any) -> tuple[Any, bool]:
    """What the body says, each object of it made by `hook`; and whether it says so in other words."""
    changed = False
    try:
        whole: Any = json.loads(body, object_hook=hook)
    except (ValueError, RecursionError):
        whole, changed = joined(body), True
        if whole is None:
            kind = NotJsonError if re.match(_NEAR_JSON, body) else NoCompletionError
            raise kind(_looks(body)) from None
    if len(body) > LONGEST_REFUSAL:
        _hold_values(whole)
    if isinstance(whole, list) and not _mappings(whole):
        raise NoCompletionError(_looks(body))
    reply: dict[str, Any] = cast("dict[str, Any]", whole) if isinstance(whole, dict) else _NONE
    if is_piece(reply):  # a stream of one
        whole = reply = joined(body) or reply
        changed = True
    failed = failure_inside(reply or next(iter(_mappings(whole)), _NONE))
    if failed is not None:
        raise failed
    return cast("Any", whole), _make_usual(reply) or changed


def completion(body: bytes, hook: Any = None) -> dict[str, Any]:
    """The body of a server that speaks as OpenAI does, each object of it made by `hook`.

    Raises:
        UnreadableError: it is none.
    """
    found, changed = _read(body, hook)
    if changed and hook is not None:  # what came instead was not made by it
        try:
            found = json.loads(json.dumps(found), object_hook=hook)
        except RecursionError:
            raise NotJsonError(_looks(body)) from None
    choices: Any = cast("dict[str, Any]", found).get("choices", 0) if isinstance(found, dict) else 0
    if choices is None or isinstance(choices, list):
        return cast("dict[str, Any]", found)
    raise NoCompletionError(f"JSON of something else, {_looks(body)}")


def _looks(body: bytes) -> str:
    """How a body looks that is no completion, in words."""
    text = body[:LONGEST_REFUSAL].decode("utf-8", "replace").strip()
    if text.lstrip("\ufeff").startswith("<"):
        return f"a web page: {page_text(text)}"
    return f"it begins with `{' '.join(text[:40].split())}`" if text else "it is empty"


def page_text(text: str) -> str:
    """What a web page says, shortly: its title, or its first heading, else its text."""
    found = re.search(r"<title[^>]*>([^<]{1,300})", text, re.IGNORECASE) or re.search(
        r"<h\d[^>]*>([^<]{1,300})", text, re.IGNORECASE
    )
    words = found[1] if found else re.sub(r"<(?:script|style)\b.*?(?:</|\Z)|<[^>]*>?", " ", text, flags=re.DOTALL)
    return " ".join(words.split())[:200]


# --- a failure that is told as a success -------------------------------------------------------------------


def failure_inside(reply: Mapping[str, Any]) -> FailedInsideError | None:
    """The failure that a good answer tells; None where it tells none."""
    choice = next(iter(_mappings(reply.get("choices"))), _NONE)
    message = next(iter(_mappings([choice.get("message")])), _NONE)
    if _is_told(told := choice.get("error") or reply.get("error")):
        return FailedInsideError({"error": told}, _status(told))
    if message.get("content") or message.get("tool_calls"):
        return None
    status = next(iter(_mappings([reply.get("base_resp")])), _NONE)  # MiniMax
    if status.get("status_code"):
        return FailedInsideError({"message": status.get("status_msg")}, _FAILED)
    alone = all(re.fullmatch(_OF_A_FAILURE, name) or not value for name, value in reply.items())
    says = any(isinstance(reply.get(name), str | list) and reply[name] for name in _SAYS_WHY)
    return FailedInsideError(dict(reply), _status(reply)) if alone and says and "choices" not in reply else None


def _is_told(error: Any) -> bool:
    """Whether an `error` says anything: some servers send an empty one with every answer."""
    return any(cast("dict[str, Any]", error).values()) if isinstance(error, dict) else bool(error)


def _status(told: Any) -> int:
    """The status that a failure tells; a server's own failure where it tells none."""
    fields: dict[str, Any] = cast("dict[str, Any]", told) if isinstance(told, dict) else {}
    found = (str(fields.get(name)) for name in ("code", "status", "status_code", "statusCode"))
    return next((int(one) for one in found if re.fullmatch(r"[345]\d\d", one)), _FAILED)


# --- a completion as OpenAI writes it -----------------------------------------------------------------------


def _hold_values(whole: Any) -> None:
    """Refuse a body with too many values."""
    rest: list[Any] = [whole]
    count = 0
    while rest:
        value: Any = rest.pop()
        count += 1
        if count > MOST_VALUES:
            raise too_many()
        if isinstance(value, dict):
            rest.extend(cast("dict[str, Any]", value).values())
        elif isinstance(value, list):
            rest.extend(cast("list[Any]", value))


def _make_usual(reply: dict[str, Any]) -> bool:
    """Make a completion one as OpenAI writes it, its content one text, its tokens whole numbers; whether it was not."""
    stopped: Any = reply.get("stop_reason") or reply.get("stopReason")
    if stopped == "pause_turn":
        raise PausedError("its turn is paused")
    if isinstance(stopped, str) and ending(stopped) == "window":
        raise WindowFilledError(f"it ended with `{stopped}`")
    changed = False
    for choice in _mappings(reply.get("choices")):
        if "message" not in choice and isinstance(choice.get("text"), str):  # as the older endpoint answers
            choice["message"] = {"role": "assistant", "content": choice["text"]}
            changed = True
        for message in _mappings([choice.get("message")]):
            changed = _plain(message) or changed
    if "choices" in reply and "usage" in reply:
        counted = _counted(reply["usage"])
        if repr(counted) != repr(reply["usage"]):
            reply["usage"], changed = counted, True
    return changed


def _plain(message: dict[str, Any]) -> bool:
    """Make a message's content one text, and what is no list of calls none; whether that changed anything."""
    content: Any = message.get("content")
    if isinstance(content, list):
        parts = cast("list[Any]", content)
        message["content"] = _text_of(parts)
        if any(_is_thought(part) for part in _mappings(parts)):
            message.setdefault("reasoning_content", "(in parts)")
        refusals = [part["refusal"] for part in _mappings(parts) if isinstance(part.get("refusal"), str)]
        message.setdefault("refusal", "\n".join(refusals) or None)
    elif isinstance(content, dict) and {"type", "text"} <= cast("dict[str, Any]", content).keys() and _is_part(content):
        message["content"] = _text_of([content])
    elif content is not None and not isinstance(content, str):  # JSON that was read already
        message["content"] = json.dumps(content)
    else:
        return False
    return True


def _counted(usage: Any) -> dict[str, Any] | None:
    """What was counted, in whole numbers; what is no count is left out."""
    if not isinstance(usage, dict):
        return None
    found: dict[str, Any] = {}
    for name, value in cast("dict[str, Any]", usage).items():
        if not name.endswith("tokens"):
            kept = _counted(value) if name.endswith("_details") else value
            if kept is not None:
                found[name] = kept
        elif isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value):
            found[name] = int(value)
    return found


def _mappings(found: Any) -> list[dict[str, Any]]:
    """Those of a list that are mappings; none of what is no list."""
    return [one for one in cast("list[Any]", found) if isinstance(one, dict)] if isinstance(found, list) else []


_PART = r"(?i)(?:output_)?text|refusal|image|tool|redacted|reasoning|thinking|thought"


def _text_of(parts: list[Any]) -> str:
    """The text of a content that comes in parts, without what was thought; a list that was the answer as JSON."""
    if parts and not any(isinstance(part, str) or _is_part(part) for part in parts):
        return json.dumps(parts)
    texts = [part for part in parts if isinstance(part, str)]
    said = [part.get("text") for part in _mappings(parts) if not _is_thought(part)]
    return "".join(text for text in (*texts, *said) if isinstance(text, str))


def _is_part(part: Any) -> bool:
    """Whether this is a part of a content, and not JSON that was read already."""
    if not isinstance(part, dict):
        return False
    fields = cast("dict[str, Any]", part)
    return re.match(_PART, str(fields.get("type"))) is not None or fields.keys() <= {"text", "thought"}


def _is_thought(part: dict[str, Any]) -> bool:
    return part.get("thought") is True or re.match(r"(?i)reasoning|thinking|thought", str(part.get("type"))) is not None
