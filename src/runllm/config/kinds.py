"""What a setting may hold: each kind says it in words, checks a value, and reads one from text.

Every start imports this. So patterns are compiled when they are used (`re` keeps them), and what is a value of this
package alone is a named tuple, which takes an eighth of the time that a dataclass takes to be made.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

from runllm.engines import file_named
from runllm.ownership import ANY

_INTEGER = r"[+-]?[0-9]{1,18}"
_NUMBER = r"[+-]?[0-9]{1,18}(?:\.[0-9]{1,18})?(?:[eE][+-]?[0-9]{1,3})?"
_SWITCH: Mapping[str, bool] = {
    **dict.fromkeys(("true", "on", "yes", "1"), True),
    **dict.fromkeys(("false", "off", "no", "0"), False),
}
_URL = r"(?i:https?)://[^\s/?#@]+(?:/[^\s?#]*)?"
_LONGEST = 1000
_LONGEST_SHOWN = 60
_MOST_SECONDS = 1_000_000


class Whereabouts(NamedTuple):
    """Where a value was written, which says what a relative path and `~` mean in it.

    Attributes:
        folder: the folder of its file; None for a value that no file holds: relative to the current folder.
        home: the user's home; None where there is none.
    """

    folder: Path | None = None
    home: Path | None = None


class Kind(NamedTuple):
    """A kind of value.

    Attributes:
        wants: what it must be, in words that follow "must be".
        check: gives the value as it is kept, or None where it is not of this kind.
        read: gives what a text on the command line or in the environment means; what it cannot read stays text.
    """

    wants: str
    check: Callable[[Any, Whereabouts], Any]
    read: Callable[[str], Any] = str


def shown(value: Any) -> str:
    """A value as TOML writes it, cut short, for a message or a table."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list | tuple):
        return _clip("[" + ", ".join(shown(item) for item in cast("list[Any]", value)) + "]")
    return _clip(f'"{value}"' if isinstance(value, str | Path) else str(value))


def _clip(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


def whole(least: int, most: int) -> Kind:
    """A whole number within bounds."""

    def check(value: Any, _: Whereabouts) -> int | None:
        return value if type(value) is int and least <= value <= most else None

    return Kind(wants=f"a whole number from {least} to {most}", check=check, read=_number)


def _number(text: str) -> Any:
    if re.fullmatch(_INTEGER, text):
        return int(text)
    return float(text) if re.fullmatch(_NUMBER, text) else text


def _switched(text: str) -> Any:
    return _SWITCH.get(text.lower(), text)


def _switch(value: Any, _: Whereabouts) -> bool | None:
    return value if isinstance(value, bool) else None


def seconds(most: int) -> Kind:
    """A length of time."""

    def check(value: Any, _: Whereabouts) -> float | None:
        return float(value) if type(value) in (int, float) and 0 < value <= most else None

    return Kind(wants=f"a number of seconds above 0, at most {most:,}", check=check, read=_number)


def _text(value: Any) -> str | None:
    """A text that can stand on one line of a terminal or in a request."""
    good = isinstance(value, str) and 0 < len(value) <= _LONGEST and value.isprintable() and value == value.strip()
    return value if good else None


def _model(value: Any, where: Whereabouts) -> str | None:
    """A model's name; a relative `local/PATH.gguf` in a file starts at the folder of that file."""
    name = _text(value)
    if name is None:
        return None
    path = file_named(name)
    if " " in name and path is None:
        return None
    if path is None or path.startswith("~") or where.folder is None:
        return name
    return f"local/{where.folder / path}"


def _path(value: Any, where: Whereabouts) -> Path | None:
    text = _text(value)
    if text is None:
        return None
    if text == "~" or text.startswith("~/"):
        return where.home / text[2:] if where.home else None
    return (where.folder or Path()) / text


def _url(value: Any, _: Whereabouts) -> str | None:
    text = _text(value)
    return text if text and re.fullmatch(_URL, text) else None


def _all(check: Callable[[Any, Whereabouts], Any]) -> Callable[[Any, Whereabouts], Any]:
    """The check of a list whose items pass this one."""

    def check_all(value: Any, where: Whereabouts) -> tuple[str, ...] | None:
        if not isinstance(value, list | tuple):
            return None
        found = [check(item, where) for item in cast("list[Any]", value)]
        return None if None in found else tuple(found)

    return check_all


def _listed(text: str) -> Any:
    """A list, as TOML writes it or separated by commas."""
    if text.lstrip().startswith("["):
        import tomllib  # 6 ms that only this notation pays

        try:
            return tomllib.loads(f"value = {text}")["value"]
        except (ValueError, RecursionError):
            return text
    return [part.strip() for part in text.split(",") if part.strip()]


def _folder(value: Any, where: Whereabouts) -> str | None:
    """A folder that is the same wherever one stands, or `*` for all of them."""
    text = _text(value)
    whole = text and (text in (ANY, "~") or text.startswith("~/") or Path(text).is_absolute())
    path = _path(text, where) if whole else None
    return text if text == ANY else path and str(path)


def _matching(pattern: str) -> Callable[[Any, Whereabouts], str | None]:
    def check(value: Any, _: Whereabouts) -> str | None:
        return value if isinstance(value, str) and re.fullmatch(pattern, value) else None

    return check


SWITCH = Kind(wants="`true` or `false`", check=_switch, read=_switched)
SECONDS = seconds(_MOST_SECONDS)
MODEL = Kind(wants="the name of a model or an alias, in quotes in a file", check=_model)
PATH = Kind(wants="a path, in quotes in a file", check=_path)
URL = Kind(wants="an address that begins with `http://` or `https://`", check=_url)
URLS = Kind(wants="a list of addresses that begin with `http://` or `https://`", check=_all(_url), read=_listed)
FOLDERS = Kind(
    wants='a list of folders, each absolute or begun with `~/`, or `"*"` for all', check=_all(_folder), read=_listed
)
VARIABLE = Kind(
    wants="the name of an environment variable, such as `MY_API_KEY`", check=_matching("[A-Za-z_][A-Za-z0-9_]{0,199}")
)
VARIABLES = Kind(wants="a list of names of environment variables", check=_all(VARIABLE.check), read=_listed)
ALIAS = Kind(wants="letters, digits, `.`, `-` and `_`", check=_matching(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}"))
PATTERN = Kind(wants="a model, or `PROVIDER/*`", check=_matching(r"[^\s*]{1,300}(?<!/)|[^\s*]{1,300}/\*"))
