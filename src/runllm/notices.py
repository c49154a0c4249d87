"""What a user is shown of a problem: the line where it stands, and of what stops nothing, one warning in a process."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from runllm.diagnostics import Problem, Span
from runllm.terminal import harmless
from runllm.values import frozen

_LONGEST_SOURCE = 2000
LONGEST = 160
"""Characters of a line that are shown, see `excerpt`."""
_MARGIN = 10_000  # a line may be the whole file: so far on each side a secret is looked for, of which a part is shown


@frozen
class Excerpt:
    """A line, or what stands around the place in a long one.

    Attributes:
        text: what is shown, `…` where it was cut.
        start: where the place begins in it, counted from 0.
        length: how many of its characters the place takes; at least 1.
    """

    text: str
    start: int
    length: int


def excerpt(span: Span, most: int = LONGEST) -> Excerpt:
    """The line of a span; of a long one `most` characters, a third of them before the place."""
    column = span.column - 1
    left = max(0, column - _MARGIN)
    line = span.text[left : column + _MARGIN]
    shown, start = _harmless(line), len(_harmless(line[: column - left]))
    stretch = max(1, len(_harmless(line[column - left : column - left + span.length])))
    if len(shown) > most:
        first = max(0, min(start - most // 3, len(shown) - most))
        before, after = "…" if first or left else "", "…" if first + most < len(shown) else ""
        shown, start = f"{before}{shown[first : first + most]}{after}", start - first + len(before)
    return Excerpt(text=shown, start=min(start, len(shown)), length=max(1, min(stretch, len(shown) - start)))


def problem_as_json(problem: Problem) -> dict[str, Any]:
    """A problem as a JSON object, without its empty parts."""
    found: dict[str, Any] = {
        "message": problem.message,
        "path": problem.pointer,
        "keyword": problem.keyword,
        "hint": problem.hint,
        "error_type": problem.kind,
        "severity": problem.severity,
    }
    if span := problem.span:
        found |= {"file": span.file, "line": span.line, "column": span.column, "source": _source(span)}
    return {key: value for key, value in found.items() if value != "" or key == "path"}


def _source(span: Span) -> str:
    """The line of a place; of a very long one what stands around it."""
    return span.text if len(span.text) <= _LONGEST_SOURCE else excerpt(span, _LONGEST_SOURCE).text


def _harmless(text: str) -> str:
    from runllm.redaction import redact_text  # whoever only names the warning pays for no patterns

    return harmless(redact_text(text))


class SettingsWarning(UserWarning):
    """A file that does not count as settings, or what a project's file makes of the user's own.

    Attributes:
        problem: what there is to say, and what to do; secrets in it are not masked, as they are in the text. None where
            the warning came from another process, which sends the text alone.
    """

    def __init__(self, said: str, problem: Problem | None = None) -> None:
        super().__init__(said)
        self.problem = problem


def tell(problems: Iterable[Problem]) -> None:
    """Warn of each of these, unless this process was told already."""
    for problem in problems:
        _tell(problem)


@cache
def _tell(problem: Problem) -> None:
    import warnings

    from runllm.redaction import redact_text

    said = redact_text(f"{problem.message}. {problem.hint}".rstrip())
    warnings.warn(SettingsWarning(said, problem), stacklevel=_of_the_caller())


def _of_the_caller() -> int:
    """How far above whoever asks this the code stands that is not ours."""
    from inspect import currentframe  # few are warned

    frame, level, ours = currentframe(), 0, __file__.rpartition("notices")[0]
    while frame is not None and frame.f_code.co_filename.startswith(ours):
        frame, level = frame.f_back, level + 1
    return level
