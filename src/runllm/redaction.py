"""Take secrets out of anything that is shown, logged or stored.

Two ways to know a secret: the values of the environment variables that are named like one, and the
shapes that keys are written in. Both are applied to every error, trace and record.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, cast

MASK = "[redacted]"

_SECRET_NAME = re.compile(
    r"(?:^|[_-])(?:api[_-]?)?(?:key|token|secret|password|passwd|credentials?)$|^authorization$|^x-api-key$|^apikey$",
    re.IGNORECASE,
)
_SHORTEST_SECRET = 8

# Each pattern keeps its first group, which says what was there, and masks the rest.
_SHAPES = (
    re.compile(r"(?i)\b(bearer\s+)[A-Za-z0-9._~+/=-]{8,}"),
    re.compile(r"(?i)\b(basic\s+)[A-Za-z0-9+/]{12,}={0,2}"),
    re.compile(r"(?i)\b((?:x-)?api[_-]?key[\"']?\s*[:=]\s*[\"']?)[^\s\"',&}]{6,}"),
    re.compile(r"\b([a-z][a-z0-9+.-]{0,20}://)[^\s/@\"'<>]{1,256}:[^\s/@\"'<>]{0,256}(?=@)", re.IGNORECASE),
    re.compile(r"(?i)([?&](?:key|api[_-]?key|token|access_token|sig|signature|password)=)[^&\s\"']+"),
    re.compile(r"()\b(?:sk|pk|rk|gsk|xai|hf|r8|tgp|nvapi|pplx|fw|csk)[-_][A-Za-z0-9_-]{12,}"),
    re.compile(r"()\bAIza[0-9A-Za-z_-]{30,}"),
    re.compile(r"()\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    re.compile(r"()\bgh[pousr]_[A-Za-z0-9]{20,}"),
    re.compile(r"()\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{5,}"),
)


def looks_secret(text: str) -> bool:
    """Whether `text` is written in the shape of a key, token or credential."""
    return any(shape.search(text) for shape in _SHAPES)


def is_secret_name(name: str) -> bool:
    """Whether a key or variable of this name holds a secret."""
    return _SECRET_NAME.search(name) is not None


def redact_text(text: str, environment: Mapping[str, str] | None = None) -> str:
    """`text` with every known secret masked.

    Args:
        text: anything that may be shown.
        environment: the variables whose secret values are known; the process's own by default.
    """
    for name, value in (os.environ if environment is None else environment).items():
        if len(value) >= _SHORTEST_SECRET and is_secret_name(name) and value in text:
            text = text.replace(value, MASK)
    for shape in _SHAPES:
        text = shape.sub(rf"\g<1>{MASK}", text)
    return text


def redact(value: Any, environment: Mapping[str, str] | None = None) -> Any:
    """A JSON value with every known secret masked, in keys and strings at any depth."""
    if isinstance(value, str):
        return redact_text(value, environment)
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return {
            redact_text(str(key), environment): MASK
            if isinstance(item, str) and item and is_secret_name(str(key))
            else redact(item, environment)
            for key, item in items
        }
    if isinstance(value, list | tuple):
        return [redact(item, environment) for item in cast("list[Any]", value)]
    return value
