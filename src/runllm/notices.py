"""What a user must hear of that stops nothing, told once in a process by Python's own warnings."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runllm.diagnostics import Problem


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
    warnings.warn(SettingsWarning(said, problem), stacklevel=4)
