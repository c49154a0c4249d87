"""Everything that can be known of a program before it runs: templates against schemas, tokens against windows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from runllm import template, tokens
from runllm.diagnostics import Problem, Span, in_order
from runllm.parser import Parsed
from runllm.program import Program, vars_schema
from runllm.project.wire import uses_scope
from runllm.schema import Scope

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
    uses: Scope = uses_scope(program.uses, children) if program else {"uses": None}
    scope: Scope = {"input": parsed.input_schema, **uses, "vars": vars_schema(parsed.blocks)}
    found = [*parsed.problems, *_template_problems(parsed, scope)]
    if program is not None:
        found += [*_window_problems(program), *_unsent_problems(program)]
        if program.uses or program.output:
            from runllm.project.wire import wiring_problems  # a file without them pays nothing for it

            found += wiring_problems(program, children, scope)
        if program.blocks:
            from runllm.blocks.check import block_problems  # likewise

            found += block_problems(program, uses, trusted=trust_python)
    return in_order(found)


def _template_problems(parsed: Parsed, scope: Scope) -> Iterator[Problem]:
    recovery_scope = {
        **scope,
        "errors": _ERRORS_SCHEMA,
        "previous_output": {"type": "string"},
        "attempt": {"type": "integer"},
        "output_schema": {"type": "object"},
    }
    for name, section in parsed.sections.items():
        for finding in template.findings(section.text, recovery_scope if name == "RECOVERY" else scope):
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
        line, column = program.prompt.place(0)
        yield Problem(
            message="this prompt is never sent: `output` builds the result without a model",
            keyword="output",
            kind="MetadataValidationError",
            span=program.source.span(line, column, len(program.source.line(line))),
            hint="Take out the prompt, or `output`.",
            severity="warning",
        )


def _window_problems(program: Program) -> Iterator[Problem]:
    """A window that even the fixed text and the room for the answer overflow can never work."""
    if program.output is not None:
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
        severity="warning" if found.prompt + found.answer <= 2 * found.window else "error",
    )


def _key_span(program: Program, key: str) -> Span:
    """The line of a top-level key; the parser has found it to be there."""
    for number, line in enumerate(program.source.text.split("\n"), start=1):
        if line.startswith(f"{key}:"):
            return program.source.span(number, 1, len(key))
    return program.source.span(1)
