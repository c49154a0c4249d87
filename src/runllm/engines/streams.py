"""A stream that nobody asked for, as the one answer that it is: some gateways stream whatever `stream` says. Pure.

Read are the events of OpenAI's chat (and of the older endpoint), Anthropic's, and the lines of Ollama.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, cast

_LINE = re.compile(rb"\r\n|\n|\r")
_BESIDE = re.compile(rb"(?:event|id|retry)?:")  # what no JSON stands in; a comment begins with the colon
_DONE = b"[DONE]"
_BEGINS = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*(?:\{|(?:data|event|id|retry)?:)")
_GROWS = frozenset({"content", "text", "refusal", "arguments", "reasoning", "reasoning_content", "thinking", "response",
                    "partial_json"})  # fmt: skip
_CUT = "incomplete"  # the reason of an answer whose stream ends before it does


def joined(body: bytes) -> dict[str, Any] | None:
    """The answer that a stream gives in pieces, as it would have come whole; None for what is no stream.

    Of a stream that breaks off, the reason of its end says so.
    """
    if not _BEGINS.match(body):
        return None
    lines = [line.strip(b" \t").removeprefix(b"\xef\xbb\xbf") for line in _LINE.split(body)]
    data = [line.removeprefix(b"data:").strip() for line in lines if not _BESIDE.match(line)]
    try:
        events = _values(b"\n".join(one for one in data if one != _DONE).decode("utf-8", "replace"))
        return _answer(events, ended=_DONE in data) if events else None
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):  # of other kinds than they should be
        return None


def is_piece(reply: Mapping[str, Any]) -> bool:
    """Whether this is one piece of a stream, and not an answer."""
    choices: Any = reply.get("choices")
    choice = cast("list[Any]", choices)[0] if isinstance(choices, list) and choices else None
    return reply.get("done") is False or (isinstance(choice, dict) and "delta" in choice and "message" not in choice)


def _values(text: str) -> list[dict[str, Any]]:
    """The objects that stand one after the other in a text.

    Raises:
        ValueError, RecursionError, TypeError: something else stands there.
    """
    decode, at, found = json.JSONDecoder().raw_decode, 0, list[dict[str, Any]]()
    blank = re.compile(r"\s*")
    while (at := cast("re.Match[str]", blank.match(text, at)).end()) < len(text):
        value, at = decode(text, at)
        if not isinstance(value, dict):
            raise TypeError("an event is an object")
        found.append(cast("dict[str, Any]", value))
    return found


def _answer(events: list[dict[str, Any]], *, ended: bool) -> dict[str, Any]:
    if failed := next((event for event in events if event.get("error")), None):
        return {"error": failed["error"]}
    if any(event.get("type") == "message_start" for event in events):
        return _of_claude(events)
    whole = cast("dict[str, Any]", _merged(events, ""))
    choices: Any = whole.get("choices")
    for choice in cast("list[Any]", choices) if isinstance(choices, list) else ():
        if isinstance(choice, dict):
            parts = cast("dict[str, Any]", choice)
            if isinstance(delta := parts.pop("delta", None), dict):
                parts.setdefault("message", delta)
                if not (ended or parts.get("finish_reason")):
                    parts["finish_reason"] = _CUT
    if whole.get("done") is False:  # Ollama's
        whole["done_reason"] = _CUT
    return whole


def _merged(given: Iterable[Any], name: str) -> Any:
    """One value of those that the pieces have under a name: texts grow, of all else the last counts."""
    values = [value for value in given if value not in (None, "")]
    if not values:
        return None
    if all(isinstance(value, str) for value in values) and name in _GROWS:
        return "".join(values)
    if all(isinstance(value, dict) for value in values):
        by_name: defaultdict[str, list[Any]] = defaultdict(list)
        for value in values:
            for key, inner in value.items():
                by_name[key].append(inner)
        return {key: _merged(inner, key) for key, inner in by_name.items()}
    if any(isinstance(value, list) for value in values):
        return _listed(values, name)
    return values[-1]


def _listed(values: list[Any], name: str) -> list[Any]:
    """The items of several lists, those of one `index` as one; a text beside parts of a content is one of them."""
    items: list[Any] = []
    for value in values:
        items.extend(cast("list[Any]", value) if isinstance(value, list) else [{"type": "text", "text": value}])
    if name not in ("choices", "tool_calls"):
        return items
    by_index: defaultdict[str, list[Any]] = defaultdict(list)
    for item in items:
        by_index[str(cast("Mapping[str, Any]", item).get("index", 0) if isinstance(item, dict) else 0)].append(item)
    return [_merged(parts, "") for parts in by_index.values()]


def _of_claude(events: list[dict[str, Any]]) -> dict[str, Any]:
    """A message of Anthropic's: how it begins, its blocks, and how it ends."""
    start = next(event for event in events if event.get("type") == "message_start")
    blocks: defaultdict[Any, list[Any]] = defaultdict(list)
    for event in events:
        if event.get("type") in ("content_block_start", "content_block_delta"):
            blocks[str(event.get("index"))].append(event.get("content_block") or event.get("delta"))
    ends = [event for event in events if event.get("type") == "message_delta"]
    usage = [event.get("usage") for event in (cast("dict[str, Any]", start["message"]), *ends)]
    found = _merged([start["message"], {"stop_reason": _CUT}, *(event.get("delta") for event in ends)], "")
    return {**found, "content": [_block(parts) for parts in blocks.values()], "usage": _merged(usage, "")}


def _block(parts: list[Any]) -> dict[str, Any]:
    """A block of a message: its kind is that of its beginning."""
    found: dict[str, Any] = {**_merged(parts, ""), "type": parts[0]["type"]}
    written = found.pop("partial_json", "")
    return {**found, "input": json.loads(written)} if written else found
