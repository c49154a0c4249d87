"""Take secrets out of anything that is shown, logged or stored.

Three ways to know a secret: the values of the environment variables that are named like one, the passwords inside
addresses in any variable, and the shapes that keys are written in. A known value is found in its encoded forms too,
broken over lines, and cut off at the end of a text. All are applied to every error, trace and record.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from math import isfinite
from typing import Any, cast

MASK = "[redacted]"

# Compiled when they are first used, and kept by `re`: every command imports this, and few show anything.
_NAMED_LIKE_ONE = r"""(?ix)
      (?: ^ | [_.-] ) (?: keys? | auth | authorization | credentials? | creds? | jwt | cookie | dsn ) [_-]? [0-9]* $
    | [a-z0-9] [_.-] (?: pass | pwd | pat ) [_-]? [0-9]* $
    | (?: token | secrets? | passw(?:or)?d | passphrase | apikey ) [_-]? [0-9]* $
    | (?: api | access | secret | private | signing | encryption ) [_-]? keys?
      (?! .* (?: file | path | id | env | name | url | arn ) $ )
    """
_SHORTEST_SECRET = 8
_LONGEST_NAME = 100  # of a longer one, which a model may have made, the end
_PLAIN = r"[^\\\"'/\x00-\x1f]*"
_CUT_OFF = 8  # characters of a secret that are taken for its beginning where a text ends
_ENDINGS = ("…", "...", " …")

# Each pattern keeps its first group, which says what was there, and masks the rest. It can match only where one of the
# words before it stands, in lower case: looking for those is many times faster.
_SHAPES = tuple(
    (words.split(), shape)
    for words, shape in (
        ("bearer", r"(?i)\b(bearer\s+)[A-Za-z0-9._~+/=-]{8,}"),
        ("basic", r"(?i)\b(basic\s+)[A-Za-z0-9+/]{12,}={0,2}"),
        ("api", r"(?i)\b((?:x-)?api[_-]?key[\"']?\s*[:=]\s*[\"']?)[^\s\"',&}]{6,}"),
        ("password= passwd= pwd= accountkey= accesskey=",
         r"(?i)\b((?:password|passwd|pwd|accountkey|sharedaccesskey|accesskey)=)[^\s\"'&;,]{6,}"),
        ("://", r"(?i)\b([a-z][a-z0-9+.-]{0,20}://)[^\s/@\"'<>:]{0,256}:[^\s/@\"'<>]{0,512}(?=@)"),
        ("key= token= sig= signature= password=",
         r"(?i)([?&](?:key|api[_-]?key|token|access_token|sig|signature|password)=)[^&\s\"']+"),
        ("sk pk rk gsk xai hf r8 tgp nvapi pplx fw csk",
         r"()\b(?:sk|pk|rk|gsk|xai|hf|r8|tgp|nvapi|pplx|fw|csk)[-_][A-Za-z0-9_-]{12,}"),
        ("aiza", r"()\bAIza[0-9A-Za-z_-]{30,}"),
        ("ya29.", r"()\bya29\.[0-9A-Za-z_-]{20,}"),
        ("akia asia", r"()\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
        ("gh", r"()\bgh[pousr]_[A-Za-z0-9]{20,}"),
        ("github_pat_ glpat- npm_ pypi- dop_v1_ xox",
         r"()\b(?:github_pat_|glpat-|npm_|pypi-|dop_v1_|xox[abeoprs]-)[A-Za-z0-9_-]{16,}"),
        ("eyj", r"()\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{5,}"),
        ("-----begin",
         r"(-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----)(?:[^-]|-(?!----)){1,20000}(?=-----END|$)"),
    )
)  # fmt: skip
_LOGIN = r"://[^\s/@\"'<>:]{0,256}:([^\s/@\"'<>]{1,256})@"

_ENTRIES = frozenset({"key", "keys"})  # in JSON, far more often the name of an entry than a secret
_NAMES = frozenset({"RUNLLM_ALLOWED_KEYS"})  # holds names of variables, which messages are about

_named: set[str] = set()


def name_secret(variable: str) -> None:
    """Say that an environment variable of any name holds a secret, as one does that a user named for a key."""
    _named.add(variable)


def looks_secret(text: str) -> bool:
    """Whether `text` is written in the shape of a key, token or credential."""
    lower = text.lower()
    return any(re.search(shape, text) for words, shape in _SHAPES if any(word in lower for word in words))


def is_secret_name(name: str) -> bool:
    """Whether a key or variable of this name holds a secret."""
    return _says_secret(name[-_LONGEST_NAME:])


@lru_cache(maxsize=2048)
def _says_secret(name: str) -> bool:
    return re.search(_NAMED_LIKE_ONE, name) is not None


def redact_text(text: str, environment: Mapping[str, str] | None = None) -> str:
    """`text` with every known secret masked.

    Args:
        text: anything that may be shown.
        environment: the variables whose secret values are known; the process's own by default.
    """
    return _masked(text, _secrets(environment))


def redact(value: Any, environment: Mapping[str, str] | None = None) -> Any:
    """A JSON value with every known secret masked, in keys and strings at any depth.

    What JSON does not have, such as infinity or a date, becomes text.
    """
    return _redacted(value, _secrets(environment))


def _redacted(value: Any, secrets: tuple[str, ...]) -> Any:
    if isinstance(value, str):
        return _masked(value, secrets)
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return {
            _masked(str(key), secrets): MASK
            if isinstance(item, str) and item and str(key) not in _ENTRIES and is_secret_name(str(key))
            else _redacted(item, secrets)
            for key, item in items
        }
    if isinstance(value, list | tuple):
        return [_redacted(item, secrets) for item in cast("list[Any]", value)]
    if value is None or isinstance(value, int) or (isinstance(value, float) and isfinite(value)):
        return value
    return _masked(str(value), secrets)


def _masked(text: str, secrets: tuple[str, ...]) -> str:
    if len(text) < _SHORTEST_SECRET:
        return text
    for secret in secrets:
        text = _without(secret, text)
    lower = text.lower()
    for words, shape in _SHAPES:
        if any(word in lower for word in words):
            text = re.sub(shape, rf"\g<1>{MASK}", text)
    return text


# --- known values -----------------------------------------------------------------------------------


def _secrets(environment: Mapping[str, str] | None) -> tuple[str, ...]:
    """The secret values of the environment, long ones first: one may be part of another."""
    found: set[str] = set()
    for name, value in (os.environ if environment is None else environment).items():
        if (is_secret_name(name) and name not in _NAMES) or name in _named:
            found.add(value)
            if "," in value:  # several keys in one variable
                found.update(part.strip() for part in value.split(","))
        if "://" in value:
            found.update(re.findall(_LOGIN, value))
    return tuple(sorted((one for one in found if len(one) >= _SHORTEST_SECRET), key=len, reverse=True))


def _without(secret: str, text: str) -> str:
    for form in _forms(secret):
        if form in text:
            text = text.replace(form, MASK)
        if form[:_CUT_OFF] in text:
            text = _without_beginning(form, text)
    if not (secret.isascii() and re.fullmatch(_PLAIN, secret)):
        text = _escaped(secret).sub(MASK, text)
    bare = "".join(secret.split())
    if len(bare) >= _SHORTEST_SECRET and bare[0] in text and bare in "".join(text.split()):  # broken over lines
        text = re.sub(r"\s*".join(map(re.escape, bare)), MASK, text)
    return text


@lru_cache(maxsize=64)
def _escaped(secret: str) -> re.Pattern[str]:
    """What finds a secret in a text in a text: quotes and the like are written with ever more backslashes."""
    return re.compile("".join(map(_however_written, secret)))


def _however_written(character: str) -> str:
    if character == "\\":
        return r"\\+"
    if character.isascii() and character.isprintable() and character not in "\"'/":
        return re.escape(character)
    code = ord(character)
    return rf"\\*(?:{re.escape(character)}|u{code:04x}|x{code:02x})"


def _without_beginning(secret: str, text: str) -> str:
    """Mask the beginning of a secret that is cut off, by the end of the text or by an ellipsis."""
    at = text.find(secret[:_CUT_OFF])
    while at >= 0:
        end = at + _CUT_OFF
        while end < len(text) and end - at < len(secret) and text[end] == secret[end - at]:
            end += 1
        if end == len(text) or text.startswith(_ENDINGS, end):
            text = text[:at] + MASK + text[end:]
        at = text.find(secret[:_CUT_OFF], at + 1)
    return text


@lru_cache(maxsize=256)
def _forms(secret: str) -> tuple[str, ...]:
    """A secret as it may stand in a text: as it is, in a URL, in JSON, in Python, in HTML, in base64, in hex."""
    import html  # these four for those who have a secret at all
    import json
    from base64 import b64encode
    from urllib.parse import quote, quote_plus, unquote

    raw = secret.encode("utf-8", "surrogateescape")
    escaped = [json.dumps(secret, ensure_ascii=ascii_)[1:-1] for ascii_ in (True, False)]
    written = [
        secret, unquote(secret), quote(raw, safe=""), quote(raw), quote_plus(raw),
        *escaped, *(json.dumps(text)[1:-1] for text in escaped), repr(secret)[1:-1], html.escape(secret), raw.hex(),
    ]  # fmt: skip
    for text in _in_base64(raw, b64encode):
        written += [text, text.replace("+", "-").replace("/", "_")]
    return tuple(sorted({one for one in written if len(one) >= _SHORTEST_SECRET}, key=len, reverse=True))


def _in_base64(raw: bytes, encode: Any) -> Iterator[str]:
    """What does not change of a secret in base64, whatever stands before and after it."""
    for before in range(3):
        text = encode(b"\0" * before + raw).decode().rstrip("=")
        clean = (before + len(raw)) % 3 == 0
        yield text[(0, 2, 3)[before] : len(text) if clean else -1]
