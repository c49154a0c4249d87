"""The conversation that a program and its values make: system text, few-shot turns, prompt, recovery."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from runllm import template
from runllm.errors import TemplateError
from runllm.executor.outline import in_words, outline
from runllm.executor.recovery import DEFAULT_TEMPLATE, ENDINGS
from runllm.program import Program, Section
from runllm.results import Message
from runllm.schema import ANNOTATIONS, Schema, asked_as, given_as, is_text, listed, resolve

SCHEMA_INSTRUCTION = """\
Answer with one JSON object and nothing else: no explanation, no code fence. It must satisfy this JSON Schema:
{schema}\
"""

TEXT_INSTRUCTION = "Answer with the text alone: nothing before or after it, no JSON, no code fence."

Names = Mapping[str, Any]


OUTLINE_INSTRUCTION = """\
Answer with one JSON object and nothing else. Its keys:
{outline}\
"""


def messages(program: Program, names: Names, told: str) -> tuple[Message, ...]:
    """The first request's messages.

    The system message carries the author's `SYSTEM` section and the schema instruction, so that what
    stays the same from run to run comes first and providers can cache it. Each example is a user turn
    (the prompt rendered with its input) and the assistant's answer to it.

    Args:
        program: what to ask.
        names: `input`, `uses`, `vars` and `run`.
        told: the `instruction`; empty for none.

    Raises:
        TemplateError: a template cannot be rendered with these values.
    """
    system = [_render(program, program.system, names)] if program.system else []
    if told:
        system.append(told)
    turns = [Message(role="system", content="\n\n".join(system))] if system else []
    for example in program.examples:
        shown = {**names, "input": program.input.with_defaults(example.input)}
        turns.append(Message(role="user", content=_render(program, program.prompt, shown)))
        turns.append(Message(role="assistant", content=_answered(example.output, program.output_contract.schema)))
    turns.append(Message(role="user", content=_render(program, program.prompt, names)))
    return tuple(turns)


def instruction(schema: Schema, *, constrained: bool) -> str:
    """What the model is told about the form of its answer: the schema, or an outline of it in words.

    Args:
        schema: of the output.
        constrained: whether the decoder enforces it, so that an outline in words is enough: a small model reads it
            better, and copies no JSON Schema into its answer.
    """
    if is_text(schema):
        return TEXT_INSTRUCTION + "".join(_rules_of_text(resolve(schema, schema), constrained=constrained))
    asked = asked_as(schema)
    if constrained and (lines := outline(asked)):  # none where no property has a name
        return OUTLINE_INSTRUCTION.format(outline=lines)
    compact = json.dumps(asked, ensure_ascii=False, separators=(",", ":"))
    return SCHEMA_INSTRUCTION.format(schema=compact)


def _answered(output: Any, schema: Schema) -> str:
    """An output as the model would write it."""
    return output if is_text(schema) else json.dumps(given_as(output, schema), ensure_ascii=False)


def _rules_of_text(node: Schema, *, constrained: bool) -> Iterator[str]:
    """What is said of a text beside that it is one: what it is, and what it must satisfy."""
    if node.get("description"):
        yield f" The text is: {node['description']}"
    if values := listed(node):
        yield f"\nIt is one of: {', '.join(map(str, values))}"
    elif constrained:
        yield f"\nIt is {said}." if (said := in_words(node, node)) != "text" else ""
    elif not (ANNOTATIONS | {"type"}).issuperset(node):
        rules = {key: item for key, item in node.items() if key not in ANNOTATIONS}
        yield "\nAs a JSON string it must satisfy this JSON Schema: "
        yield json.dumps(rules, ensure_ascii=False, separators=(",", ":"))


def recovery_message(program: Program, names: Names, facts: Names) -> str:
    """What the model is told after an answer that does not fit, from the author's template or ours.

    Args:
        program: whose `RECOVERY` section is used, if it has one.
        names: `input`, `uses`, `vars` and `run`.
        facts: `errors`, `previous_output`, `attempt` and `output_schema`.
    """
    section = program.recovery or Section(text=DEFAULT_TEMPLATE + ENDINGS[is_text(program.output_contract.schema)])
    return _render(program, section, {**names, **facts})


def _render(program: Program, section: Section, names: Names) -> str:
    """Render a section; a failure is reported with its place in the file."""
    try:
        return template.render(section.text, names)
    except TemplateError as error:
        failed = error
    raise template.placed(failed, section, program.source)
