"""What somebody says of an app as the text of its file: a purpose, what goes in, what comes out. Pure."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Collection, Sequence
from typing import Any

from runllm import documents
from runllm.diagnostics import Problem, errors_in, told
from runllm.errors import UsageError
from runllm.making.gallery import MODEL, calling, slug
from runllm.parser.short import expand
from runllm.project import load_text
from runllm.schema import sample_of
from runllm.values import frozen

PURPOSE = "Answer a message in one friendly sentence."
INPUT = "message: text 1..4000, The message to answer."
OUTPUT = "answer: text 1..300, The answer."
EXAMPLES = ("subject: text 3..60, The subject line.", "topic: order | payment | other", "pages?: integer 1..500")
"""How an input or output is written: a name, a type, and after a comma what it is."""
SYSTEM = "You do what you are asked, with nothing but what you are given. You invent nothing."
MOST = 20
"""Inputs, and outputs, of an app that is made so."""
_LONGEST = 500
_LONGEST_WISH = 1000  # as `writer.rllm` has it
_NOT_IN_A_PURPOSE = ("{{", "{%", "{#", "```", "<<<")
_FILE = """\
---
name: {name}
description: {purpose}

# What goes in: a name, a type, and after a comma what it is. A `?` behind a name marks what may be left out.
input:
{inputs}

# What comes out: every answer fits it.
returns:
{outputs}

# Show the model what you mean: pairs of an input and its output. Small models need it most.
# examples:
#   - input: {{ {taken} }}
#     output: {{ {given} }}

{model}---
{prompt}

<<<SYSTEM>>>
{system}
"""


@frozen
class Property:
    """An input or output: its name, with a `?` where it may be absent, and its type in words."""

    name: str
    type: str


_USUAL = Property(name="text", type="text")


@frozen
class Answers:
    """What an app is to be.

    Attributes:
        purpose: what it does, in one sentence.
        inputs: what goes in, at least one.
        outputs: what comes out, at least one.
        system: how the model is to behave, a template.
        prompt: what it is asked, a template; made of the purpose and the inputs where it is empty.
    """

    purpose: str
    inputs: tuple[Property, ...]
    outputs: tuple[Property, ...]
    system: str = SYSTEM
    prompt: str = ""


def purpose_of(text: str) -> str:
    """A purpose as it is written into a file: one line that ends as a sentence.

    Raises:
        UsageError: it cannot stand there; says what to write.
    """
    said = " ".join(text.split())
    if not said or len(said) > _LONGEST or not said.isprintable():
        raise UsageError(f"a purpose is one sentence of at most {_LONGEST} characters", hint=f"Such as: {PURPOSE}")
    stray = next((sign for sign in _NOT_IN_A_PURPOSE if sign in said), None)
    if stray:
        raise UsageError(f"{told(stray)} cannot stand in a purpose", hint=f"Say it in words, such as: {PURPOSE}")
    said = said if re.search(r"\W$", said) else f"{said}."
    _try(Answers(purpose=said, inputs=(_USUAL,), outputs=(_USUAL,)))
    return said


def wish_of(text: str) -> str:
    """What a model that writes an app is told of it.

    Raises:
        UsageError: it is nothing, or too long.
    """
    if not text.strip() or len(text) > _LONGEST_WISH:
        said = f"what the app is for is a sentence or two, of at most {_LONGEST_WISH:,} characters"
        raise UsageError(said, hint=f"Such as: {PURPOSE}")
    return text


def property_of(line: str, taken: Collection[str] = ()) -> Property:
    """An input or output in the short form of contracts: `subject: text 3..60, The subject line`.

    Args:
        line: what somebody wrote.
        taken: the names that are given already.

    Raises:
        UsageError: it is none; says what to write.
    """
    name, colon, kind = (part.strip() for part in line.partition(":"))
    if not colon and name.isidentifier() and len(name) < _LONGEST:
        raise UsageError(f"`{name}` has no type", hint=f"Write `{name}: text`, where it is words.")
    if not (name and colon and kind) or not line.isprintable() or len(line) > _LONGEST:
        said = f"an input or output is one line of at most {_LONGEST} characters: a name, a colon, a type"
        raise UsageError(said, hint=f"For example: {EXAMPLES[0]}")
    meant = _meant(kind)
    if meant == kind and kind[0] in "[{":
        hint = "Check its brackets; a list with a description is written `text[], The lines`."
        raise UsageError(f"`{kind}` is not a type", hint=hint)
    for fault in expand(documents.read(json.dumps({name: meant}, ensure_ascii=False))[0], one_type=False).faults:
        raise UsageError(fault.message, hint=fault.hint)
    if name.removesuffix("?") in {one.removesuffix("?") for one in taken}:
        raise UsageError(f"`{name.removesuffix('?')}` is there already", hint="Give it another name.")
    found = Property(name=name, type=kind)
    _try(Answers(purpose=PURPOSE, inputs=(found,), outputs=(found,)))
    return found


def properties_of(lines: Sequence[str]) -> tuple[Property, ...]:
    """All inputs, or all outputs.

    Raises:
        UsageError: one of them is none, there are too many, or none at all.
    """
    if not 0 < len(lines) <= MOST:
        raise UsageError(f"there must be 1 to {MOST} of them, not {len(lines)}", hint=f"For example: {EXAMPLES[0]}")
    found: list[Property] = []
    for line in lines:
        found.append(property_of(line, [one.name for one in found]))
    return tuple(found)


def usual(purpose: str | None, inputs: tuple[Property, ...], outputs: tuple[Property, ...]) -> Answers:
    """What is given, with what is usual for the rest."""
    return Answers(
        purpose=purpose or PURPOSE,
        inputs=inputs or properties_of([INPUT]),
        outputs=outputs or properties_of([OUTPUT]),
    )


def made(stem: str, answers: Answers, *, model: str) -> str:
    """The text of the app.

    Args:
        stem: the name of its file, without the suffix; the app is named after it.
        answers: what it is to be.
        model: what it calls.
    """
    return _FILE.format(
        name=slug(stem),
        purpose=_scalar("description", answers.purpose),
        inputs="\n".join(map(_line, answers.inputs)),
        outputs="\n".join(map(_line, answers.outputs)),
        taken=_shown(answers.inputs),
        given=_shown(answers.outputs),
        model=calling(model),
        prompt=answers.prompt.strip() or _prompt(answers),
        system=answers.system.strip(),
    )


def typed(text: str) -> str:
    """An input for the app of a text, as it is typed behind the name of its file."""
    plan = load_text(text, name="app.rllm").plan
    sample = sample_of(plan.program.input) if plan else {}
    return " ".join(
        f"{name}={shlex.quote(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))}"
        for name, value in sample.items()
    )


def problems_of(text: str, name: str) -> tuple[Problem, ...]:
    """What `runllm validate` would say of it in a file of this name."""
    return load_text(text, name=name).problems


def _try(answers: Answers) -> None:
    """Refuse what no file may hold, such as a key that somebody pasted."""
    for problem in errors_in(problems_of(made("app", answers, model=MODEL), "app.rllm")):
        raise UsageError(problem.message, hint=problem.hint or None)


def _line(one: Property) -> str:
    line, meant = f"{one.name}: {one.type}", _meant(one.type)
    plain = _reads_as(line, {one.name: meant})
    return f"  {line if plain else f'{_quoted(one.name)}: {_quoted(meant)}'}"


def _meant(kind: str) -> Any:
    """A type as YAML has it: a list or a map in brackets, such as `[text 1..]`, and else the words themselves."""
    if not kind.startswith(("[", "{")):
        return kind
    try:
        node, doubts = documents.read(kind)
    except documents.DocumentError:
        return kind
    return kind if doubts else node.value


def _shown(properties: tuple[Property, ...]) -> str:
    return ", ".join(f"{one.name.removesuffix('?')}: ..." for one in properties)


def _scalar(key: str, text: str) -> str:
    return text if _reads_as(f"{key}: {text}", {key: text}) else _quoted(text)


def _reads_as(line: str, value: dict[str, Any]) -> bool:
    """Whether a line is YAML for this and nothing else."""
    try:
        node, doubts = documents.read(line)
    except documents.DocumentError:
        return False
    return node.value == value and not doubts


def _quoted(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _prompt(answers: Answers) -> str:
    names = [one.name.removesuffix("?") for one in answers.inputs]
    return "\n\n".join([answers.purpose, *(f"{_label(name)}:\n{{{{ input.{name} }}}}" for name in names)])


def _label(name: str) -> str:
    return name.replace("_", " ").strip().capitalize() or name
