"""The `format`s of JSON Schema as anchored patterns, each narrower than its format so that it ends.

A string that matches the pattern satisfies the format, in its strictest reading: no day 31 in a
short month, no leap second, no fraction, no address that only a quotation makes valid.
"""

from __future__ import annotations

_DATE = "(19|20)[0-9]{2}-((0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)"
_TIME = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z"
_LABEL = "[a-z0-9]{1,16}(-[a-z0-9]{1,12})?"
_HOST = rf"{_LABEL}(\.{_LABEL}){{0,2}}\.[a-z]{{2,6}}"
_PATH = "(/[A-Za-z0-9_-]{1,24}){0,4}"
_MAIL = r"[a-z0-9]{1,16}([._-][a-z0-9]{1,16})?"
_BYTE = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_HEX = "[0-9a-f]"

PATTERNS: dict[str, str] = {
    "date": _DATE,
    "time": _TIME,
    "date-time": f"{_DATE}T{_TIME}",
    "duration": "P([1-9][0-9]?D|T[1-9][0-9]?[HMS]|[1-9][0-9]?[DMWY])",
    "email": f"{_MAIL}@{_HOST}",
    "idn-email": f"{_MAIL}@{_HOST}",
    "hostname": _HOST,
    "idn-hostname": _HOST,
    "ipv4": rf"{_BYTE}(\.{_BYTE}){{3}}",
    "ipv6": f"{_HEX}{{1,4}}(:{_HEX}{{1,4}}){{7}}",
    "uuid": f"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}",
    "uri": f"https?://{_HOST}{_PATH}",
    "iri": f"https?://{_HOST}{_PATH}",
    "uri-reference": f"https?://{_HOST}{_PATH}",
    "iri-reference": f"https?://{_HOST}{_PATH}",
    "uri-template": f"https?://{_HOST}{_PATH}",
    "json-pointer": _PATH,
    "relative-json-pointer": f"[0-9]{_PATH}",
    "regex": "[A-Za-z0-9_ -]{1,32}",
}
"""An anchored pattern, without its anchors, for each format that a validator checks."""
