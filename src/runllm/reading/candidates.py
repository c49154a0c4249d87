"""Where in a model's text the JSON is: in fences, else at the top level of the prose.

A value is looked for where a bracket stands outside every other value, never inside one: the inner
object of a cut-off outer one is not an answer. The scan goes once from left to right, so that its
time grows with the length of the text.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from runllm.reading import strict
from runllm.reading.marks import CLOSING, ENDING, OPENING, SPOKEN
from runllm.reading.tolerant import QUOTED, QUOTES, BrokenError, Reader
from runllm.values import frozen

MAX_VALUES = 2_000
_MAX_STRAY = 3

_BRACKET = re.compile(r"[\[{]")
_FENCE = re.compile(r"^(?:[^\n`\[{]*`{3,}|[ \t>]*~{3,})[ \t]*([\w+.#-]*)[ \t]*\r?$", re.MULTILINE)
_FENCE_END = re.compile(r"\s*(?:`{3,}|~{3,})")
_BLANK_LINE = re.compile(r"\n[ \t\r]*\n")
# What may follow a bracket of JSON; every other bracket is prose, set aside without trying to read it.
_PLAUSIBLE = re.compile(
    rf"\{{\s*(?:[{QUOTES}}}/#\ufeff\u200b]|(?:[^\W\d]|\$)[\w$]*+\s*+[:/#\ufeff\u200b\u2060]|\Z)"
    rf"|\[\s*(?:[{QUOTES}\[{{\]/#+.\-0-9\ufeff\u200b]|(?:[Tt]rue|[Ff]alse|null|None)\b|\Z)"
)
# Set aside at one look: {x}, [see below], and [0, 1), which closes in its way.
_ASIDE = re.compile(
    rf"(?!{_PLAUSIBLE.pattern})[\[{{][^\[\]{{}}\"'`\u201c\u2018]*+[\]}}]|\[\s*[\w.+\-∞]{{1,20}}\s*,\s*[\w.+\-∞]{{1,20}}\s*\)"
)

_STRUCTURE = re.compile(rf"[\"\[\]{{}}]|(?<=[\[{{,:])\s*+[{QUOTES}]")
_MEMBER_BEFORE = re.compile(r"[\"”]\s*:\s*\Z")
_MEMBER_AFTER = re.compile(r"\s*[,}\]]")
_TAG = re.compile(r"<(/?)[A-Za-z][\w.-]*>")
_BARE = re.compile(rf"\s*(?:(?:`{{3,}}|~{{3,}})\w*\s*|(?!{OPENING.pattern})<\w+>\s*|json\s*)?", re.IGNORECASE)
_MARGIN = 80


@frozen
class Candidate:
    """A bracketed value in a text: read, or broken.

    Attributes:
        start, end: the offsets of the value.
        value: what was read.
        syntax: repairs made in reading it.
        fence: offset of the fence line it stands behind; -1 outside a fence.
        fault: why it could not be read.
    """

    start: int
    end: int
    value: Any = None
    syntax: tuple[str, ...] = ()
    fence: int = -1
    fault: BrokenError | None = None


@dataclass(slots=True, kw_only=True)
class Scan:
    """What a text holds.

    Attributes:
        start: offset at which the answer begins, behind any reasoning.
        found: the top-level values in order.
        cut: set where the text ends inside a value.
        crowded: there are more values than are looked at.
        stray: offsets of the brackets that never close: those of prose, each of which hides the rest of its
            paragraph, and last the one of the value that is cut off.

    Of the broken ones, only those are kept in which JSON was meant: a quoted key and its colon were read.
    """

    start: int
    found: list[Candidate] = field(default_factory=list["Candidate"])
    cut: BrokenError | None = None
    crowded: bool = False
    stray: list[int] = field(default_factory=list[int])

    def pool(self) -> list[Candidate]:
        """The values that may be the answer: those in fences, where there are any."""
        return [f for f in self.found if f.fence >= 0] or self.found

    def tears(self, text: str, at: int) -> bool:
        """Whether an offset is inside a cut-off value that is the whole answer, not a scrap in some reasoning."""
        if self.cut is None or self.stray[-1] > at:
            return False
        return _BARE.fullmatch(text, self.start, self.stray[-1]) is not None

    def covers(self, at: int) -> bool:
        """Whether an offset is inside a value that was read."""
        before = bisect_right(self.found, at, key=lambda found: found.start) - 1
        return before >= 0 and self.found[before].end > at and self.found[before].fault is None


def scan(text: str) -> Scan:
    """Find the values in `text`, behind the last end of reasoning that is not inside one of them."""
    first = 1 if text.startswith("\ufeff") else 0
    begin = len(text) - len(text[first:].lstrip())
    if spoken := SPOKEN.match(text, begin):
        return _Scanner(text, spoken.end()).run()
    ends = list(CLOSING.finditer(text))
    if not ends:
        if OPENING.match(text, begin):
            fault = BrokenError("the reasoning opened here never ends, and no answer follows", at=begin, cut=True)
            return Scan(start=begin, cut=fault)
        return _Scanner(text, first).run()
    # Reasoning is loose text, and may leave brackets open: so values are looked for behind it as well.
    whole = _Scanner(text, first).run()
    behind = _Scanner(text, ends[0].end()).run()
    for end in reversed(ends):
        at = end.start()
        for one in (behind, whole):
            if one.tears(text, at):
                return one
        if not whole.covers(at) and not behind.covers(at):
            return behind if end.end() == behind.start else _Scanner(text, end.end()).run()
    return whole


class _Scanner:
    """Goes over a text once, from one bracket or fence line to the next."""

    def __init__(self, text: str, start: int) -> None:
        self._text = text
        self._at = start
        self._fences = list(_FENCE.finditer(text))
        self._ahead = 0  # index of the next fence line
        self._fence = -1  # offset of the fence line we are behind
        self._tried = 0
        self._result = Scan(start=start)

    def run(self) -> Scan:
        while True:
            line = self._next_fence()
            bracket = _BRACKET.search(self._text, self._at, line.start() if line else len(self._text))
            if bracket and (aside := _ASIDE.match(self._text, bracket.start())):
                self._at = aside.end()
            elif bracket:
                if not self._take(bracket.start(), line):
                    return self._result
            elif line:
                self._cross(line)
            else:
                return self._result

    def _next_fence(self) -> re.Match[str] | None:
        while self._ahead < len(self._fences) and self._fences[self._ahead].start() < self._at:
            self._ahead += 1
        return self._fences[self._ahead] if self._ahead < len(self._fences) else None

    def _take(self, start: int, line: re.Match[str] | None) -> bool:
        """Read what begins with the bracket at `start`; whether to go on behind it."""
        plausible = _PLAUSIBLE.match(self._text, start)
        self._tried += plausible is not None
        if self._tried > MAX_VALUES:
            self._result.crowded = True
            return False
        found = value_at(self._text, start, self._fence) if plausible else _prose_at(self._text, start)
        fault = found.fault
        if fault and found.end < 0:  # it never closes
            self._result.stray.append(start)
            if fault.cut or fault.begun or len(self._result.stray) > _MAX_STRAY:
                self._result.cut = fault
                return False
            self._at = _resume(self._text, fault.at, line)
            return True
        self._at = found.end
        if not fault or fault.named:
            self._result.found.append(_member(self._text, found) if self._fence < 0 else found)
        if self._fence >= 0 and (closing := _FENCE_END.match(self._text, self._at)):
            self._fence, self._at = -1, closing.end()
        return True

    def _cross(self, line: re.Match[str]) -> None:
        """Go over a fence line, and over what is behind it where that is no place for an answer."""
        last = self._ahead + 1 == len(self._fences)
        following = len(self._text) if last else self._fences[self._ahead + 1].start()
        language = line[1].lower()
        self._at = line.end()
        if not language and (self._fence >= 0 or last):
            self._fence = -1  # the end of a fence, or a leftover one
            return
        self._fence = line.start()
        content = self._text[line.end() : following]
        if content.lstrip().startswith(("{", "[")):
            return
        try:
            value, _ = strict.whole(content)
        except ValueError:
            if language and not language.startswith("json"):
                self._at = following  # code in another language
        else:
            self._result.found.append(Candidate(start=line.end(), end=following, value=value, fence=line.start()))
            self._at = following


def value_at(text: str, at: int, fence: int = -1) -> Candidate:
    """The value that starts at an offset, read as JSON, else by the wider grammar."""
    try:
        value, end = strict.starting_at(text, at)
        return Candidate(start=at, end=end, value=value, fence=fence)
    except ValueError:
        pass
    reader = Reader(text)
    try:
        value, end = reader.read(at)
    except BrokenError as fault:
        return Candidate(start=at, end=-1 if fault.cut else _closing(text, fault), fault=fault, fence=fence)
    return Candidate(start=at, end=end, value=value, syntax=tuple(reader.repairs), fence=fence)


def _prose_at(text: str, at: int) -> Candidate:
    fault = BrokenError("brackets are opened here and never closed", at=at + 1)
    return Candidate(start=at, end=_closing(text, fault), fault=fault)


def _closing(text: str, fault: BrokenError) -> int:
    """The offset behind a broken value, counted from where reading stopped; -1 if it never closes."""
    at, depth = fault.at, fault.depth
    while found := _STRUCTURE.search(text, at):
        char, at = found.group()[-1], found.end()
        if char in "[{":
            depth += 1
        elif char in "]}":
            depth -= 1
            if depth == 0:
                return at
        else:
            string = QUOTED[char].match(text, at - 1)
            if not string:
                return -1
            at = string.end()
    return -1


def _resume(text: str, at: int, line: re.Match[str] | None) -> int:
    """Where prose goes on behind a bracket that is only punctuation: the next paragraph or fence."""
    blank = _BLANK_LINE.search(text, at)
    ends = [blank.start() if blank else len(text), line.start() if line else len(text)]
    return max(at, min(ends))


def _member(text: str, found: Candidate) -> Candidate:
    """`found`, marked as broken if it is the value of a key whose object has lost its beginning."""
    before = text[max(0, found.start - _MARGIN) : found.start]
    if not (_MEMBER_BEFORE.search(before) and _MEMBER_AFTER.match(text, found.end)):
        return found
    fault = BrokenError(
        "this value belongs to a key, and the beginning of its object is missing",
        at=found.start, depth=1, cut=False, named=True, begun=True,
    )  # fmt: skip
    return Candidate(start=found.start, end=found.end, fault=fault)


# --- what stood around a value -------------------------------------------------------------------


def envelope(text: str, start: int, found: Candidate) -> Iterator[str]:
    """The names of what was taken off around a value, from the outside in."""
    if text.startswith("\ufeff"):
        yield "bom"
    if CLOSING.search(text, 0, start) or (start and SPOKEN.match(text.lstrip("\ufeff"))):
        yield "thinking"
    before, after = text[start : found.start], ENDING.sub("", text[found.end :])
    if found.fence >= 0:
        before = text[start : max(start, found.fence)] + "\n" + _FENCE.sub("", text[found.fence : found.start])
        after = _FENCE_END.sub("", after, count=1)
    around = (before.strip(" \t\r\n"), after.strip(" \t\r\n"))
    if found.fence >= 0:
        yield "fence"
    elif "```" in around[0] or "```" in around[1]:
        yield "fence"
        around = tuple(re.sub(r"`{3,}\w*", "", part).strip() for part in around)
    if not any(part.strip() for part in around):
        if any(around):
            yield "unicode-space"
    elif around[0].lower() == "json" and not around[1]:
        yield "json-prefix"
    elif all(not part or _TAG.fullmatch(part) for part in around):
        yield "tag"
    else:
        yield "prose"
