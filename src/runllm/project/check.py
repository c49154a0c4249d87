"""Everything that can be known of a program before it runs: templates against schemas, tokens against windows.

Last what a run would be refused of the models that a file names: unknown names, foreign addresses, keys. Those are
warnings: whoever runs the file may name another model, or allow what it asks for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runllm import engines, moments, template, tokens
from runllm.diagnostics import Problem, Span, errors_in, in_order
from runllm.errors import ModelNotFoundError, RunllmError
from runllm.models.known import KNOWN, bare
from runllm.notices import tell
from runllm.parser import Parsed
from runllm.parser.definition import FORMATS, TO_FORMAT_02
from runllm.program import NO_VERSION, ModelSettings, Program, Source
from runllm.project.unread import unread_problems
from runllm.results import Endpoint, Request
from runllm.schema import Schema, Scope, object_of

if TYPE_CHECKING:
    from runllm.program import Case
    from runllm.routing import Options

_ERRORS_SCHEMA: dict[str, Any] = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"path": {"type": "string"}, "message": {"type": "string"}},
        "additionalProperties": False,
    },
}


def analyse(
    parsed: Parsed, children: Mapping[str, Program | None] | None = None, *, trust_python: bool = False
) -> tuple[Problem, ...]:
    """All problems of a file, those of its form and those of its meaning, in its order.

    Templates are checked even where the form is wrong elsewhere, so that nothing is found only later.

    Args:
        parsed: the file.
        children: the program of each of its dependencies; None for one that could not be loaded.
        trust_python: whether its Python blocks will run without the sandbox.
    """
    program, children = parsed.program, children or {}
    uses: Scope = {"uses": object_of({}) if program else None}
    if program and program.uses:
        from runllm.project.wire import uses_scope  # a file that stands alone pays nothing for it

        uses = uses_scope(program.uses, children)
    is_old = parsed.format == FORMATS[0]
    moment: Scope = {} if is_old else {"run": moments.SCHEMA}
    made: Schema | None = object_of({})
    if parsed.blocks:
        from runllm.blocks.made import vars_schema  # likewise

        made = vars_schema(parsed.blocks)
    scope: Scope = {"input": parsed.input_schema, **uses, "vars": made, **moment}
    found = [*parsed.problems, *_template_problems(parsed, scope)]
    if program is not None:
        found += [*_window_problems(program), *_unsent_problems(program)]
        found += _bounds_of_others(program, children)
        if program.uses or program.output:
            from runllm.project.wire import wiring_problems  # likewise

            found += wiring_problems(program, children, scope)
        if program.blocks:
            from runllm.blocks.check import block_problems  # likewise

            found += block_problems(program, scope, trusted=trust_python)
        found += case_problems(program, program.source, program.tests, trusted=trust_python)
        if not errors_in(found):  # else the place that was to read a property may be told already
            found += unread_problems(program, parsed)
    return in_order(map(_told_as_newer, found) if is_old else found)


def case_problems(program: Program, source: Source, tests: Sequence[Case], *, trusted: bool = False) -> list[Problem]:
    """What is wrong with the Python of a program's tests, which stand in `source`."""
    blocks = tuple(case.check for case in tests if case.check is not None)
    if not blocks:
        return []
    from runllm.blocks.check import block_problems  # likewise

    scope: Scope = {"input": program.input.schema}
    found = block_problems(replace(program, source=source, blocks=blocks), scope, trusted=trusted)
    return [_in_yaml(problem, tests, source) for problem in found]


def _in_yaml(problem: Problem, tests: Sequence[Case], source: Source) -> Problem:
    """A problem of a check at its place in YAML: behind its indentation or quote, or at the case if it is not there."""
    span = problem.span
    case = next((one for one in tests if f"block `{one.name}`" in problem.message), None)
    if span is None or case is None or case.check is None:
        return problem
    lines = case.check.code.split("\n")
    number = span.line - case.check.line
    line = lines[number] if 0 <= number < len(lines) else ""
    behind = source.line(span.line).find(line) if line.strip() else -1
    return replace(problem, span=replace(span, column=span.column + behind) if behind >= 0 else case.span)


def _told_as_newer(problem: Problem) -> Problem:
    """A problem of a file of format 0.1: of a name that only 0.2 has it says so."""
    is_newer = problem.message.startswith("there is no `run` here")
    return replace(problem, hint=f"`run` is of format 0.2. {TO_FORMAT_02}") if is_newer else problem


def _template_problems(parsed: Parsed, scope: Scope) -> Iterator[Problem]:
    recovery_scope = {
        **scope,
        "errors": _ERRORS_SCHEMA,
        "previous_output": {"type": "string"},
        "attempt": {"type": "integer"},
        "output_schema": {"type": "object"},
    }
    for name, section in parsed.sections.items():
        here = recovery_scope if name == "RECOVERY" else scope
        for finding in template.checked(section.text, here):
            line, column = section.place(finding.offset)
            yield Problem(
                message=finding.message,
                keyword="template",
                kind="TemplateError",
                span=parsed.source.span(line, column, finding.length),
                hint=finding.hint,
                severity=finding.severity,
            )


def _unsent_problems(program: Program) -> Iterator[Problem]:
    """A prompt beside an `output`: nobody would ever read it."""
    if program.output is not None and program.prompt.text.strip():
        line, _ = program.prompt.place(0)
        said = "this prompt is never sent: `output` builds the result without a model"
        hint = "Take out the prompt, or `output`."
        yield program.source.problem(line, said, "output", hint, "MetadataValidationError", "warning")


def _bounds_of_others(program: Program, children: Mapping[str, Program | None]) -> Iterator[Problem]:
    """A used file's own bounds, which hold where that file is run, and mean nothing here."""
    for use in program.uses:
        child = children.get(use.name)
        for key in ("max_calls", "max_cost"):
            bound = getattr(child, key, None)
            if bound is not None and getattr(program, key) is None:
                yield Problem(
                    message=f"`{key}` of `{use.path}` bounds a run of that file, and nothing in a run of this one",
                    keyword=key,
                    kind="MetadataValidationError",
                    span=use.path_span,
                    hint=f"Write `{key}: {bound}` in this file, or what all of it may take.",
                    severity="warning",
                )


def _window_problems(program: Program) -> Iterator[Problem]:
    """A window that even the fixed text and the room for the answer overflow can never work."""
    if program.output is not None or program.max_context_window is None:
        return
    fixed = [section.text for section in (program.system, program.prompt) if section]
    limit = "max_tokens" if program.params.get("max_completion_tokens") is None else "max_completion_tokens"
    room = tokens.longest_answer(program.params)
    if tokens.surely_fits(fixed, max_tokens=room, window=program.max_context_window):
        return
    found = tokens.check(["\n".join(fixed)], max_tokens=room, window=program.max_context_window)
    if room is not None and room >= program.max_context_window:
        window = f"`max_context_window` ({program.max_context_window:,})"
        message = f"`{limit}` ({room:,}) leaves no room for a prompt in {window}"
    elif not found.fits:
        message = (
            f"the prompt's own text takes about {found.prompt:,} tokens and the answer {found.answer:,}: "
            f"more than `max_context_window` ({program.max_context_window:,})"
        )
    else:
        return
    yield Problem(
        message=message,
        keyword="window",
        kind="ContextWindowExceededError",
        span=_key_span(program, "max_context_window"),
        hint=f"Raise `max_context_window`, lower `{limit}`, or shorten the prompt.",
        severity="warning" if found.prompt + found.answer <= 2 * program.max_context_window else "error",
    )


def _key_span(program: Program, key: str) -> Span:
    """The line of a top-level key; the parser has found it to be there."""
    for number, line in enumerate(program.source.text.split("\n"), start=1):
        if line.startswith(f"{key}:"):
            return program.source.span(number, 1, len(key))
    return program.source.span(1)


def unpublished(program: Program) -> Iterator[Problem]:
    """What others must know of an app that they find, and the file does not say."""
    asked = {
        "description": ("say what the app does, for a person", program.description),
        "version": ("say which one it is, as `1.0.0`", program.version != NO_VERSION),
        "author": ("say who wrote it", program.author),
    }
    for key, (hint, said) in asked.items():
        if not said:
            yield Problem(
                message=f"`{key}` is missing, which an app that is published has",
                keyword="required",
                kind="MetadataValidationError",
                span=_key_span(program, "name"),
                hint=f"Add `{key}`: {hint}.",
            )


# --- what a run would be refused ---------------------------------------------------------------------


def refusals(program: Program) -> Iterator[Problem]:
    """A warning at each place of the `llm` mapping for which a run would end before its first call.

    Raises:
        ConfigError: something is wrong in the user's settings, which are read only where they could matter.
    """
    settings = program.model
    if settings is None or program.output is not None:
        return
    yield from _misfits(program, settings)
    if _is_at_hand(settings):
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


def _misfits(program: Program, settings: ModelSettings) -> Iterator[Problem]:
    """The parameters that the file's own model does not take; for others that are run instead, they are left out."""
    traits = engines.traits(settings.model)
    if not program.params or (traits.local and program.params.keys().isdisjoint(traits.unable)):
        return
    from runllm.engines.base import Setup

    endpoint = Endpoint(model=settings.model, provider_params=settings.provider_params)
    request = Request(endpoint=endpoint, messages=(), params=program.params)
    for misfit in engines.make(traits, Setup()).fit(request).misfits:
        yield misfit.problem(program.param_spans.get(misfit.name), "warning")


def _is_at_hand(settings: ModelSettings) -> bool:
    """Whether only local models of the catalogue are named: the usual case, which needs nothing of what follows."""
    names = settings.models.values()
    return all(engines.traits(name).local and bare(name) in KNOWN for name in names)


def _refused(program: Program, settings: ModelSettings, options: Options) -> dict[str, RunllmError]:
    """The first error at each place in the `llm` mapping, by JSON Pointer."""
    from runllm.engines.base import Setup
    from runllm.routing import endpoints

    found: dict[str, RunllmError] = {}
    for place, endpoint in zip(settings.models, endpoints(program, options), strict=True):
        try:
            for error in engines.make(engines.traits(endpoint.model, endpoint.engine), Setup()).refusals(endpoint):
                found.setdefault(error.details["place"], error)
        except ModelNotFoundError as error:
            if "pull" not in error.details:  # else it is only not here yet
                found[place] = error
    return found
