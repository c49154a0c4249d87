"""Values that say what is wrong and where, and the nearest name to a mistyped one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from runllm.values import frozen

Severity = Literal["error", "warning"]


@frozen
class Span:
    """A stretch of one line in a source file.

    Attributes:
        file: the path as the caller wrote it, or `<text>` for a source without a file.
        line: counted from 1.
        column: counted from 1, in Unicode code points.
        length: how many code points the caret underlines; at least 1.
        text: the whole line, without its line break.
    """

    file: str
    line: int
    column: int
    length: int = 1
    text: str = ""


@frozen
class Problem:
    """One thing that is wrong: in a file, in a value, or in a model's answer.

    Attributes:
        message: what is wrong, as one sentence that names the value.
        pointer: JSON Pointer (RFC 6901) of the value at fault; empty for the root.
        keyword: the rule that was broken: a JSON Schema keyword, or a name such as `yaml`.
        span: where it stands in a file, if it came from one.
        hint: what to do about it.
        kind: name of the error class this is reported as; empty where the caller decides.
        severity: a `warning` never stops a run.
    """

    message: str
    pointer: str = ""
    keyword: str = ""
    span: Span | None = None
    hint: str = ""
    kind: str = ""
    severity: Severity = "error"

    def __str__(self) -> str:
        where = f"{self.span.file}:{self.span.line}:{self.span.column}: " if self.span else ""
        at = f"{self.pointer}: " if self.pointer and not self.span else ""
        return f"{where}{at}{self.message}"


def errors_in(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """The problems that stop a run, in their order."""
    return tuple(problem for problem in problems if problem.severity == "error")


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Problems in the order of their file."""
    return tuple(sorted(problems, key=lambda p: (p.span.line, p.span.column) if p.span else (0, 0)))


def pointer(path: Iterable[str | int]) -> str:
    """The JSON Pointer (RFC 6901) for a path of keys and indexes."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def steps(path: str) -> list[str]:
    """The keys and indexes of a JSON Pointer, as texts."""
    return [step.replace("~1", "/").replace("~0", "~") for step in path.split("/")[1:]]


def clip(text: str, most: int) -> str:
    """At most so many characters of a text, the last one `…` where it was cut."""
    return text if len(text) <= most else text[: most - 1] + "…"


LONGEST_NAME = 200


def told(name: str) -> str:
    """A name that came with a value, as a message tells it: a key may be as long as a text, and hold what quotes it."""
    mark = '"' if "`" in name else "`"
    return f"{mark}{clip(name, LONGEST_NAME)}{mark}"


def told_at(path: Iterable[str | int]) -> str:
    """As `pointer`, of a value that somebody gave: each key of it is as short as one is told."""
    return pointer(clip(step, LONGEST_NAME) if isinstance(step, str) else step for step in path)


_MOST_COMPARED = 1000
_LONGEST_COMPARED = 100


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name that `name` was most likely meant to be, or None when none is near.

    Among more than 1000 names, and for one of more than 100 characters, only the same in other letters is looked for.
    """
    from difflib import get_close_matches  # only needed once something is wrong

    folded = {candidate.lower().replace("-", "_"): candidate for candidate in known}
    same = folded.get(name.lower().replace("-", "_"))
    if same is not None or len(folded) > _MOST_COMPARED or len(name) > _LONGEST_COMPARED:
        return same
    found = get_close_matches(name.lower(), list(folded), n=1, cutoff=cutoff)
    return folded[found[0]] if found else None


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """A hint that names the nearest known name, or lists the known ones when they are few."""
    near = nearest(name, known)
    if near is not None:
        return f"Did you mean {told(near)}?"
    if 0 < len(known) <= 12:  # noqa: PLR2004 - a longer list is no help in one line
        return "Known names: " + ", ".join(map(told, sorted(known))) + "."
    return ""
