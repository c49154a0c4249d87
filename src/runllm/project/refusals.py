"""What a run would be refused of the models that a file names, told before one: unknown names, foreign addresses, keys.

Warnings: whoever runs the file may name another model, or allow what it asks for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from runllm import engines
from runllm.diagnostics import Problem
from runllm.errors import ModelNotFoundError, RunllmError
from runllm.models.known import KNOWN, PREFIX
from runllm.notices import tell
from runllm.program import ModelSettings, Program

if TYPE_CHECKING:
    from runllm.routing import Options


def refusals(program: Program) -> Iterator[Problem]:
    """A warning at each place of the `llm` mapping for which a run would end before its first call.

    Raises:
        ConfigError: something is wrong in the user's settings, which are read only where they could matter.
    """
    settings = program.model
    if settings is None or program.output is not None or _is_at_hand(settings):
        return
    from runllm.routing import Options

    if not _refused(program, settings, Options()):
        return
    from runllm.settings import load

    configuration = load(program.path.parent if program.path else None)
    tell(configuration.warnings)
    for place, error in _refused(program, settings, Options(configuration=configuration)).items():
        yield Problem(
            message=error.message,
            keyword=place.split("/")[1],
            kind=type(error).__name__,
            span=settings.spans[place],
            hint=error.recovery_hint,
            severity="warning",
        )


def _is_at_hand(settings: ModelSettings) -> bool:
    """Whether only local models of the catalogue are named: the usual case, which needs nothing of what follows."""
    names = settings.models.values()
    return all(name.startswith(PREFIX) and name.removeprefix(PREFIX) in KNOWN for name in names)


def _refused(program: Program, settings: ModelSettings, options: Options) -> dict[str, RunllmError]:
    """The first error at each place in the `llm` mapping, by JSON Pointer."""
    from runllm.engines.base import Setup
    from runllm.routing import endpoints

    found: dict[str, RunllmError] = {}
    for place, endpoint in zip(settings.models, endpoints(program, options), strict=True):
        try:
            for error in engines.make(engines.traits(endpoint.model), Setup()).refusals(endpoint):
                found.setdefault(error.details["place"], error)
        except ModelNotFoundError as error:
            if "pull" not in error.details:  # else it is only not here yet
                found[place] = error
    return found
