"""JSON as the standard writes it, with nothing lost and nothing assumed.

The standard library takes `NaN`, keeps the last of two equal keys, and turns `1e999` into infinity:
here all three are errors. Integers stay exact.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable
from typing import Any, cast

from runllm.values import frozen

MAX_DEPTH = 200

# An escape of JSON where a command or a path was meant: `\frac`, `\begin`, `\theta`, `C:\temp\new`. A tab or a line end
# before a word is what it says, so of those only what no text holds: a command that is no word without its letter, one
# between the signs of a formula, one folder after another.
_ODD = r"(?<!\\)(?:\\\\)*"
_COMMAND = (
    r"\\(?:[bf](?=[A-Za-z])"
    r"|t(?:heta|imes|riangle\w*|ext(?:bf|it|tt|rm|sc|sf|sl|up|md|width|color)|ilde|frac|herefore|iny|oday|binom"
    r"|ableofcontents)(?![a-z])|t(?:ext|an|anh|au|o)(?=[{\\_^$])|t(?:itle|ag|hanks)(?=\{)|tanh?(?=\()"
    r"|n(?:abla|eq|earrow|warrow|ot|otin|ew(?:line|page|command|environment|theorem)|onumber|oindent|olimits"
    r"|ormal(?:size|font)|subseteq|ode_modules)(?![a-z])|n(?:e|i|u)(?=[{\\_^$])"
    r"|r(?=[A-Za-z]))"  # a line ends in `\r\n`, or in `\n`
)
_IN_FORMULA = (
    r"t(?:o|op|an|anh|au|ag|ext\w*|riangle\w*)"
    r"|n(?:e|g|i|u|eg|exists|[lg]eq?|[lg]eqslant|[lg]tr|less|mid|parallel|sim|cong|prec|succ|su[bp]seteq)"
)
_FORMULA = (  # from `$x` to `y$`, by the rule of Pandoc, and a text that is a command and nothing else
    rf"(?<![\w$])\${{1,2}}(?=\S)(?:[^$\"\\]|\\.){{0,200}}?(?<!\\)(?:\\\\)*\\(?:{_IN_FORMULA})(?![a-z])"
    rf"(?:[^$\"\\]|\\.){{0,200}}?(?<!\s)(?<!\\[tnr])\$(?!\w)"
    rf"|(?<=\")\\(?:{_IN_FORMULA}|newline)(?=\")"
)
_DRIVE = r"(?<![A-Za-z])[A-Za-z]:(?=[^\"\s]*(?:\\[tr]|\.\w{2,4}\b))(?:\\[tnrbf][\w.-]+){2,}"
_ONE_STEP = r"(?<![A-Za-z])[C-PR-Z]:\\[trbf](?=[a-z])"  # `Q:\tis it` and `D:\nthen` are no drives
_FOLDER = r"(?:t(?:ests?|emp|mp|ools?|argets?|ypes?|emplates?|asks?|hemes?)|n(?:odes?|ew|otes?|ative|pm|ginx|et|uget))"
_FOLDERS = rf"(?<![\w.-])[\w.-]+(?:\\{_FOLDER}(?![a-z])){{2,}}|(?<=\")\.{{1,2}}\\{_FOLDER}(?![a-z])"
_DOUBTFUL = f"{_ODD}(?:{_COMMAND}|{_DRIVE}|{_ONE_STEP})|{_FORMULA}|{_FOLDERS}"


@frozen
class Extraction:
    """A value read from an answer.

    Attributes:
        value: the value; it fits the schema.
        repairs: the name of each repair and coercion used, without repetition, from the outside in;
            a coercion with its place: `number-from-string at /items/*/price`. Empty for plain JSON.
    """

    value: Any
    repairs: tuple[str, ...]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        first: dict[str, Any] = {}
        for key, value in pairs:
            if key in first and not same(first[key], value):
                raise ValueError(f"the key {key!r} is given twice with different values")
            first.setdefault(key, value)
    return found


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def finite(text: str) -> float:
    """The number that `text` denotes; a ValueError where it is too large for a float."""
    value = float(text)
    if math.isinf(value):
        raise ValueError("the number is too large")
    return value


def _decoder(number: Callable[[str], float]) -> json.JSONDecoder:
    return json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_float=number)


_ANY = _decoder(finite)


def whole(text: str) -> tuple[Any, bool]:
    """The value that the whole of `text` is, and whether a whole float such as `3.0` may be in it.

    Raises:
        ValueError: `text` is not one JSON value, or nests deeper than `MAX_DEPTH`.
    """
    whole_floats = False

    def number(digits: str) -> float:
        nonlocal whole_floats
        value = finite(digits)
        whole_floats = whole_floats or value.is_integer()
        return value

    try:
        value = _decoder(number).decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if text.count("[") + text.count("{") > MAX_DEPTH and _too_deep(value):
        raise ValueError("nested too deeply")
    if is_doubtful(text):
        raise ValueError("backslashes that can be read in two ways")
    return value, whole_floats


def is_doubtful(text: str) -> bool:
    """Whether an escape in this JSON was hardly meant as one: the backslash of a command, or of a path."""
    return "\\" in text and re.search(_DOUBTFUL, text) is not None


def starting_at(text: str, at: int) -> tuple[Any, int]:
    """The value that starts at offset `at`, and the offset behind it.

    Raises:
        ValueError: there is no such value, or it nests deeper than `MAX_DEPTH`.
    """
    try:
        value, end = _ANY.raw_decode(text, at)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if end - at > 2 * MAX_DEPTH and _too_deep(value):
        raise ValueError("nested too deeply")
    if is_doubtful(text[at:end]):
        raise ValueError("backslashes that can be read in two ways")
    return value, end


def _too_deep(value: Any) -> bool:
    level: list[Any] = [[value]]
    for _ in range(MAX_DEPTH + 1):
        level = [item for holder in level for item in inside(holder) if type(item) is dict or type(item) is list]
        if not level:
            return False
    return True


def inside(holder: Any) -> Iterable[Any]:
    """The values of an object or array."""
    return cast("dict[str, Any]", holder).values() if isinstance(holder, dict) else holder


def canonical(value: Any) -> str:
    """A text that two JSON values share exactly when they are the same: `1`, `1.0` and `true` are three."""
    return json.dumps(value, sort_keys=True)


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same, types included and the order of keys aside."""
    return canonical(one) == canonical(other)


def is_unicode(text: str, value: Any) -> bool:
    """Whether `value`, read from `text`, can be written as UTF-8: it holds no half of a surrogate pair."""
    escaped = "\\" in text and ("\\ud" in text or "\\uD" in text)
    if text.isascii() and not escaped:
        return True
    try:
        (json.dumps(value, ensure_ascii=False) if escaped else text).encode()
    except UnicodeEncodeError:
        return False
    return True
