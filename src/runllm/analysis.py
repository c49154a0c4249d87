"""Everything that can be known of a program before it runs: templates against schemas, tokens against windows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runllm import budget, templates
from runllm.diagnostics import Problem
from runllm.parser import Parsed
from runllm.program import Program, vars_schema
from runllm.schemas import Scope

_ERRORS_SCHEMA: dict[str, Any] = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"path": {"type": "string"}, "message": {"type": "string"}},
        "additionalProperties": False,
    },
}


def analyse(parsed: Parsed, *, trust_python: bool = False) -> tuple[Problem, ...]:
    """All problems of a file, those of its form and those of its meaning, in its order.

    Templates are checked even where the form is wrong elsewhere, so that nothing is found only later.

    Args:
        parsed: the file.
        trust_python: whether its Python blocks will run without the sandbox.
    """
    found = [*parsed.problems, *_template_problems(parsed)]
    if parsed.program is not None:
        found += [*_window_problems(parsed.program), *_unsupported(parsed.program)]
        if parsed.program.blocks:
            from runllm.blocks.analysis import block_problems  # a file without blocks pays nothing for them

            found += block_problems(parsed.program, trusted=trust_python)
    return tuple(sorted(found, key=lambda p: (p.span.line, p.span.column) if p.span else (0, 0)))


def _template_problems(parsed: Parsed) -> Iterator[Problem]:
    scope: Scope = {"input": parsed.input_schema, "uses": None, "vars": vars_schema(parsed.blocks)}
    recovery_scope = {
        **scope,
        "errors": _ERRORS_SCHEMA,
        "previous_output": {"type": "string"},
        "attempt": {"type": "integer"},
        "output_schema": {"type": "object"},
    }
    for name, section in parsed.sections.items():
        for finding in templates.findings(section.text, recovery_scope if name == "RECOVERY" else scope):
            line, column = section.place(finding.offset)
            yield Problem(
                message=finding.message,
                keyword="template",
                kind="TemplateError",
                span=parsed.source.span(line, column, finding.length),
                hint=finding.hint,
                severity=finding.severity,
            )


def _window_problems(program: Program) -> Iterator[Problem]:
    """A window that even the fixed text and the room for the answer overflow can never work."""
    fixed = [section.text for section in (program.system, program.prompt) if section]
    room = program.params.get("max_completion_tokens", program.params.get("max_tokens"))
    found = budget.check(["\n".join(fixed)], max_tokens=room, window=program.max_context_window)
    if room is not None and room >= program.max_context_window:
        window = f"`max_context_window` ({program.max_context_window:,})"
        message = f"`max_tokens` ({room:,}) leaves no room for a prompt in {window}"
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
        hint="Raise `max_context_window`, lower `max_tokens`, or shorten the prompt.",
        severity="warning" if found.prompt + found.answer <= 2 * found.window else "error",
    )


def _key_span(program: Program, key: str) -> Any:
    """The line of a top-level key; the parser has found it to be there."""
    for number, line in enumerate(program.source.text.split("\n"), start=1):
        if line.startswith(f"{key}:"):
            return program.source.span(number, 1, len(key))
    return program.source.span(1)


def _unsupported(program: Program) -> Iterator[Problem]:
    """What the format has and this version cannot run yet: refused before anything is paid for."""
    for dependency in program.uses[:1]:
        yield _not_yet("`uses`", dependency.span)
    if program.output is not None:
        yield _not_yet("`output`", _key_span(program, "output"))


def _not_yet(what: str, span: Any) -> Problem:
    return Problem(
        message=f"{what}: this version of runllm reads them but cannot run them",
        keyword="version",
        kind="IncompatibleVersionError",
        span=span,
        hint="Upgrade runllm.",
    )
