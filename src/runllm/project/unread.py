"""Input properties that nothing in a file reads, and what stands in a prompt as the placeholder of another language."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, cast

from runllm import template
from runllm.diagnostics import Problem
from runllm.errors import TemplateError
from runllm.parser import Parsed
from runllm.program import Program, Section
from runllm.schema import Schema, mapping_in

_NAME = r"\s?(?:inputs?\.)?([^\W\d][\w-]{0,63})\s?"
_PLACEHOLDER = (
    rf"[$#]?\{{{{1,3}}{_NAME}\}}{{1,3}}|<{{1,3}}{_NAME}>{{1,3}}"
    rf"|\[{{1,2}}{_NAME}\]{{1,2}}|%{_NAME}%|%\({_NAME}\)s|\${_NAME}"
)
_INPUT = r"inputs?\.([^\W\d][\w-]{0,63})"
_MEANT = re.compile(
    rf"[$#]\{{{_NAME}\}}|<%[=-]?{_NAME}-?%>|\{{ \{{{_NAME}\}} \}}|\{{\s?{_INPUT}\s?\}}"
    rf"|[$@]{_INPUT}|<{_INPUT}>|\[\[?{_INPUT}\]\]?|%{_INPUT}%"
)
"""Placeholders of other languages that hardly mean themselves, with the name of an input in them."""
_BLANK = re.compile(
    r"\{ %-? ?(?:if|for|set|else|elif|end\w+)\b[^{}\n]{0,200}\}"
    r"|<%-? ?(?:if|for|end)\b[^<>\n]{0,80}\binput\.[^<>\n]{0,80}>"
)


def misplaced(parsed: Parsed, told: Collection[str]) -> Iterator[Problem]:
    """A warning at each placeholder of another language for an input that is not told of already."""
    names = {_folded(name): name for name in parsed.inputs if name not in told}
    for section in parsed.sections.values():
        text = template.prose(section.text)
        found = [
            (match, _written(names.get(_folded(next(filter(None, match.groups()))), "")))
            for match in _MEANT.finditer(text)
        ]
        found += [(match, "{% ... %}") for match in _BLANK.finditer(text)]
        for match, right in found:
            if right:
                line, column = section.place(match.start())
                yield Problem(
                    message="this stands in the prompt as it is: it is no tag of a template",
                    keyword="unread",
                    kind="TemplateError",
                    span=parsed.source.span(line, column, len(match[0])),
                    hint=f"Write `{right}`, or between `{{% raw %}}` and `{{% endraw %}}` what is meant as it is.",
                    severity="warning",
                )


def _written(name: str) -> str:
    """How a template reads an input; empty for no name."""
    return "" if not name else f"{{{{ input.{name} }}}}" if name.isidentifier() else f'{{{{ input["{name}"] }}}}'


def unread_problems(program: Program, parsed: Parsed) -> Iterator[Problem]:
    """A warning at each declared property of the input that no template, block or app of the file is given."""
    schema = parsed.input_schema or {}
    declared = {name: sub for name, sub in mapping_in(schema, "properties").items() if name in parsed.inputs}
    read = _read(program, parsed) if declared else None
    if read is None:
        yield from misplaced(parsed, ())
        return
    unread = [name for name, sub in declared.items() if name not in read and not _speaks_for_itself(sub)]
    placeholders = _placeholders(parsed.sections) if unread else {}
    for name in unread:
        right = _written(name)
        written, line = placeholders.get(_folded(name), ("", 0))
        yield Problem(
            message=f"nothing reads the input `{name}`",
            keyword="unread",
            kind="MetadataValidationError",
            span=parsed.inputs[name],
            hint=f"On line {line} the prompt says `{written}`: write `{right}`."
            if written
            else f"Write `{right}` where it belongs in the prompt, or take it out.",
            severity="warning",
        )
    yield from misplaced(parsed, unread)


def _speaks_for_itself(schema: Any) -> bool:
    """Whether a property has a meaning although nobody reads it: it has one value only, or is kept for old callers."""
    return isinstance(schema, dict) and ("const" in schema or cast("Schema", schema).get("deprecated") is True)


def _read(program: Program, parsed: Parsed) -> set[str] | None:
    """The properties of the input that are read anywhere; None where it may be any of them."""
    sections = [*parsed.sections.values(), *(program.output.sections.values() if program.output else ())]
    sections += [section for dependency in program.uses for section in dependency.sections().values()]
    found: set[str] = set()
    try:
        paths = [reference.path for section in sections for reference in template.references(section.text)]
    except TemplateError:
        return None  # a template that cannot be read may read anything
    for block in program.blocks:
        if block.inputs is None:
            return None
        paths += block.bound.values()
    for root, *steps in paths:
        if root == "input" and not steps:
            return None
        if root == "input":
            found.add(str(steps[0]))
    return found


def _placeholders(sections: Mapping[str, Section]) -> dict[str, tuple[str, int]]:
    """What looks like a placeholder in the prompt, by the name in it: as it is written, and its line."""
    found: dict[str, tuple[str, int]] = {}
    for section in sections.values():
        for match in re.finditer(_PLACEHOLDER, section.text):
            name = next(filter(None, match.groups()))
            if _folded(name) not in found:
                found[_folded(name)] = (match[0].strip(), section.place(match.start())[0])
    return found


def _folded(name: str) -> str:
    return name.lower().replace("-", "_")
