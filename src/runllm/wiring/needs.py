"""Which dependencies must run before which: those whose output the others mention."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from runllm import templates
from runllm.diagnostics import Problem
from runllm.errors import TemplateError
from runllm.program import Dependency, Program, Section


def needs(program: Program) -> dict[str, frozenset[str]]:
    """For each dependency, the others that its `with` and `for_each` mention."""
    known = {dependency.name for dependency in program.uses}
    return {dependency.name: frozenset(_mentioned(dependency)) & known for dependency in program.uses}


def cycle_problems(program: Program, found: Mapping[str, frozenset[str]]) -> Iterator[Problem]:
    """The dependencies that wait for each other, as one problem."""
    try:
        TopologicalSorter(found).prepare()
    except CycleError as error:
        chain: list[str] = error.args[1]
        by_name = {dependency.name: dependency for dependency in program.uses}
        alone = len(set(chain)) == 1
        message = (
            f"`{chain[0]}` is made of its own output"
            if alone
            else "these dependencies wait for each other: " + " → ".join(f"`{name}`" for name in chain)
        )
        yield Problem(
            message=message,
            keyword="cycle",
            kind="DependencyResolutionError",
            span=by_name[chain[-1]].span,
            hint="A dependency's `with` may only mention those that can run before it.",
        )


def _mentioned(dependency: Dependency) -> Iterator[str]:
    for section in sections(dependency).values():
        try:
            found = templates.references(section.text)
        except TemplateError:
            continue  # reported where templates are checked
        for reference in found:
            if reference.path[0] == "uses" and len(reference.path) > 1:
                yield str(reference.path[1])


def sections(dependency: Dependency) -> dict[str, Section]:
    """Every text of the entry that may be a template, by its pointer in the entry."""
    found = {f"/with{at}": section for at, section in dependency.arguments.sections.items()}
    if dependency.for_each is not None:
        found |= {f"/for_each{at}": section for at, section in dependency.for_each.sections.items()}
    return found
