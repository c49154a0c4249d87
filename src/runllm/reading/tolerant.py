r"""A grammar a little wider than JSON: the slips of models that can be read in one way only.

What it takes and standard JSON does not, each under the name it is reported by:

    comment            // …, # … and /* … */ between tokens
    trailing-comma     [1, 2,]
    missing-comma      in an object, when a line break and a quoted "key": follow
    unquoted-key       {name: 1}
    quote-style        single, backtick or typographic quotes around a string
    triple-quote       three double or single quotes around a string
    raw-control        a line break, tab or other control character inside a string
    unknown-escape     "\d" keeps its backslash
    needless-escape    "it\'s" loses it
    python-literal     True, False, None
    number-form        +3, .5, 5.
    unicode-space      a no-break space, byte order mark or the like between tokens

Everything else is `BrokenError`: the reader never inserts, closes, or chooses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NoReturn

from runllm.reading.strict import MAX_DEPTH, finite, is_doubtful, same

_SPACE = re.compile(r"(?:[\s\ufeff\u200b\u2060]++|//[^\r\n]*+|#[^\r\n]*+|/\*(?s:.*?)\*/)*+")
_NUMBER = re.compile(
    r"[+-]?+(?:(?:0|[1-9][0-9]*+)(?:\.[0-9]*+)?+|\.[0-9]++)(?:[eE][+-]?+[0-9]++)?+(?=[\s,\]}\ufeff\u200b\u2060]|/\*|\Z)"
)
_PLAIN_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE].*)?")
_LITERAL = re.compile(r"(?:true|false|null|True|False|None)(?![\w$])")
_LITERALS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_NAME = re.compile(r"(?!(?:true|false|null|True|False|None|NaN|Infinity)(?![\w$]))(?:[^\W\d]|\$)[\w$]*+")
_NEXT_KEY = re.compile(r'"(?:[^"\\\r\n]++|\\.)*+"\s*+:')
_WORD = re.compile(r"[^\s,:{}\[\]\"'`]{1,40}|.", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f]")

_CLOSING = {
    '"': '"',
    "'": "'",
    "`": "`",
    "\u201c": "\u201d",
    "\u201d": "\u201d",
    "\u2018": "\u2019",
    "\u2019": "\u2019",
}
QUOTES = "".join(_CLOSING)
QUOTED = {
    opening: re.compile(rf"{opening}((?:[^{closing}\\]++|\\.)*+){closing}", re.DOTALL)
    for opening, closing in _CLOSING.items()
}
_TRIPLE = {
    quote: re.compile(rf"{quote * 3}((?:[^{quote}\\]++|\\.|{quote}(?!{quote * 2}))*+){quote * 3}", re.DOTALL)
    for quote in "\"'"
}
_ESCAPE = re.compile(
    r"\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|(.))", re.DOTALL
)
_ESCAPED = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_DOUBTFUL = re.compile(r"\\(?:([bfnrt])(?=[A-Za-z])|.)", re.DOTALL)
_LONGEST_NAME = 60

_MORE: Any = object()


@dataclass(eq=False, repr=False)
class BrokenError(Exception):
    """A value that cannot be read.

    Attributes:
        message: what is wrong, in plain words.
        at: offset of it.
        depth: how many objects and arrays were open.
        cut: the text ended first.
        named: a quoted key and its colon had been read, so that JSON was meant.
        begun: some key and its colon, or an inner object or array, had been read.
    """

    message: str
    at: int
    depth: int = 1
    cut: bool = False
    named: bool = False
    begun: bool = False


class Reader:
    """Reads one object or array; use once.

    Attributes:
        repairs: the names of what was not standard JSON, in the order met.
    """

    def __init__(self, text: str) -> None:
        self.repairs: dict[str, None] = {}
        self._text = text
        self._at = 0
        self._open: list[dict[str, Any] | list[Any]] = []
        self._keys: list[str] = []
        self._named = False
        self._begun = False

    def read(self, at: int) -> tuple[Any, int]:
        """The value that starts at offset `at`, and the offset behind it.

        Raises:
            BrokenError: it cannot be read in one way only.
        """
        self._at = at
        while True:
            value = self._begin()
            while value is not _MORE:
                if not self._open:
                    return value, self._at
                value = self._put(value)

    # One value is read by `_begin`, and handed to the innermost open container by `_put`. Each gives
    # a finished value, or _MORE when another one has to be read first. No recursion: depth is a list.

    def _begin(self) -> Any:
        char = self._char()
        if char not in ("{", "["):
            return self._scalar()
        if len(self._open) == MAX_DEPTH:
            self._fail(f"nested deeper than {MAX_DEPTH} levels")
        self._at += 1
        self._open.append({} if char == "{" else [])
        self._keys.append("")
        self._space()
        return self._close() if self._char() == self._closer() else self._next()

    def _put(self, value: Any) -> Any:
        container, key = self._open[-1], self._keys[-1]
        if isinstance(container, list):
            container.append(value)
        elif key not in container:
            container[key] = value
        elif not same(container[key], value):
            self._fail(f"the key `{key[:_LONGEST_NAME]}` is given twice with different values")
        space, char = self._space(), self._char()
        if char == ",":
            self._at += 1
            self._space()
            if self._char() == self._closer():
                self.repairs["trailing-comma"] = None
                return self._close()
            return self._next()
        if char == self._closer():
            return self._close()
        if isinstance(container, dict) and "\n" in space and _NEXT_KEY.match(self._text, self._at):
            self.repairs["missing-comma"] = None
            return self._next()
        return self._unexpected(f"a comma or `{self._closer()}`")

    def _next(self) -> Any:
        if isinstance(self._open[-1], dict):
            quoted = self._char() in _CLOSING
            self._keys[-1] = self._string() if quoted else self._name()
            self._space()
            if self._char() != ":":
                self._unexpected("a colon after the key")
            self._at += 1
            self._begun = True
            self._named = self._named or quoted
            self._space()
        return _MORE

    def _closer(self) -> str:
        return "}" if isinstance(self._open[-1], dict) else "]"

    def _close(self) -> Any:
        self._at += 1
        self._keys.pop()
        self._begun = True
        return self._open.pop()

    def _char(self) -> str:
        return self._text[self._at : self._at + 1]

    def _space(self) -> str:
        """Skip white space and comments."""
        found = _SPACE.match(self._text, self._at)
        space = found.group() if found else ""
        self._at += len(space)
        if space.strip(" \t\r\n"):
            self.repairs["comment" if "/" in space or "#" in space else "unicode-space"] = None
        if self._text.startswith("/*", self._at):
            self._fail("a comment is opened here and never closed", cut=True)
        return space

    # --- scalars -------------------------------------------------------------------------------

    def _scalar(self) -> Any:
        if self._char() in _CLOSING:
            return self._string()
        if found := _LITERAL.match(self._text, self._at):
            self._at = found.end()
            if found.group()[0] in "TFN":
                self.repairs["python-literal"] = None
            return _LITERALS[found.group()]
        if found := _NUMBER.match(self._text, self._at):
            return self._number(found.group())
        return self._unexpected("a value")

    def _number(self, text: str) -> int | float:
        try:
            value = finite(text) if set(text) & set(".eE") else int(text)
        except ValueError:  # more digits than Python reads, or beyond the largest float
            self._fail("the number is too large")
        if not _PLAIN_NUMBER.fullmatch(text):
            self.repairs["number-form"] = None
        self._at += len(text)
        return value

    def _name(self) -> str:
        found = _NAME.match(self._text, self._at)
        if not found:
            self._unexpected("a key in quotes")
        self._at = found.end()
        self.repairs["unquoted-key"] = None
        return found.group()

    def _string(self) -> str:
        quote = self._char()
        triple = quote in _TRIPLE and self._text.startswith(quote * 3, self._at)
        found = (_TRIPLE if triple else QUOTED)[quote].match(self._text, self._at)
        if not found:
            self._fail("a string is opened here and never closed", cut=True)
        body = found.group(1)
        if quote != '"' or triple:
            self.repairs["triple-quote" if triple else "quote-style"] = None
        if _CONTROL.search(body):
            self.repairs["raw-control"] = None
        if "\\" in body:
            body = self._unescape(body)
        self._at = found.end()
        return body

    def _unescape(self, body: str) -> str:
        kept: set[str] = set()

        def plain(found: re.Match[str]) -> str:
            high, low, unit, char = found.groups()
            if high:
                return chr(0x10000 + ((int(high, 16) & 0x3FF) << 10) + (int(low, 16) & 0x3FF))
            if unit:
                return chr(int(unit, 16))
            if char in _ESCAPED:
                return _ESCAPED[char]
            kept.add("needless-escape" if char in _CLOSING else "unknown-escape")
            return char if char in _CLOSING else found.group()

        text = _ESCAPE.sub(plain, body)
        # Whoever wrote C:\Users\new meant no line break; whoever wrote one\ntwo \d+ did.
        if is_doubtful(f'"{body}"') or ("unknown-escape" in kept and any(_DOUBTFUL.findall(body))):
            self._fail("the backslashes in this string can be read in two ways: write each as `\\\\`")
        self.repairs |= dict.fromkeys(sorted(kept))
        return text

    # --- what cannot be read -------------------------------------------------------------------

    def _unexpected(self, wanted: str) -> NoReturn:
        found = _WORD.match(self._text, self._at)
        if not found:
            self._fail(f"the text ends where {wanted} was expected", cut=True)
        word = found.group()
        if word.lstrip("+-") in ("NaN", "Infinity"):
            self._fail(f"`{word}` is not a JSON number")
        if word.startswith(("...", "…")):
            self._fail("an ellipsis stands where a value was expected: write every value")
        extra = ' (inside a string a quote is written `\\"`)' if wanted.startswith("a comma") else ""
        self._fail(f"`{word}` stands where {wanted} was expected{extra}")

    def _fail(self, message: str, *, cut: bool = False) -> NoReturn:
        raise BrokenError(message, at=self._at, depth=len(self._open), cut=cut, named=self._named, begun=self._begun)
