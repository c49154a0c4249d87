"""Which `pre` blocks run before the apps that are used: those that make the `vars` which a `with` or `for_each` reads.

Such a block reads nothing, or says by `inputs=` what it reads, and that is nothing of `uses`; so does each block whose
`vars` it reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from runllm import template
from runllm.diagnostics import Problem, Span, did_you_mean
from runllm.errors import TemplateError
from runllm.parser.definition import TO_FORMAT_02
from runllm.program import Block, Dependency, Program
from runllm.schema import Schema, object_of
from runllm.values import frozen

_Obstacle: TypeAlias = "tuple[str, tuple[str, ...], str]"
"""What stands against running a block before the apps: in words, the way to it, and a hint."""
_KIND = "DependencyResolutionError"
_LATE = "A block runs before the apps where it says by `inputs=` what it reads, and that is nothing of `uses`."


@frozen
class Early:
    """What a program runs before its apps.

    Attributes:
        blocks: for each dependency, the names of the blocks that its input is made of.
        vars: its schema there: what these blocks give, and what is told to be missing; None where nobody reads it.
        problems: each path that is read and cannot be there yet, with the way to what stands against it.
    """

    blocks: Mapping[str, frozenset[str]]
    vars: Schema | None
    problems: tuple[Problem, ...]


def early(program: Program) -> Early:
    """What a program runs before the apps that it uses."""
    searches = [_Search(program, dependency) for dependency in program.uses]
    problems = tuple(problem for search in searches for problem in search.problems())
    blocks = {search.dependency.name: frozenset(search.met) for search in searches}
    met = frozenset[str]().union(*blocks.values())
    asked = [path for search in searches for path in search.asked]
    names = [name for path in asked for name in path[1:2]]
    names += [name for block in program.blocks if block.name in met for name in block.outputs or ()]
    return Early(blocks=blocks, vars=object_of({name: {} for name in names}) if asked else None, problems=problems)


class _Search:
    """The way from one dependency to all that its `vars` are made of.

    Attributes:
        asked: the paths under `vars` that its `with` and `for_each` read.
        met: the names of the blocks on the way.
    """

    def __init__(self, program: Program, dependency: Dependency) -> None:
        self.source = program.source
        self.is_old = program.is_old
        self.dependency = dependency
        self.blocks = [block for block in program.blocks if block.phase == "pre"]
        self.asked: list[list[str]] = []
        self.met: set[str] = set()

    def problems(self) -> Iterator[Problem]:
        """What stands against the paths that are read, each told where it is read."""
        for path, span in self.reads():
            self.asked.append(path)
            if self.is_old:
                said = "`vars` under `with` and `for_each` is of format 0.2"
                yield Problem(message=said, keyword="version", kind=_KIND, span=span, hint=TO_FORMAT_02)
                continue
            for said, way, hint in self.path(path, self.blocks, (f"dependency {self.dependency.name}",)):
                message = f"{said}: {' → '.join(way)}"
                yield Problem(message=message, keyword="vars", kind=_KIND, span=span, hint=hint)

    def reads(self) -> Iterator[tuple[list[str], Span]]:
        """The paths under `vars` that the entry reads, as far as they are written, each with its place."""
        for section in self.dependency.sections().values():
            try:
                found = template.references(section.text)
            except TemplateError:
                continue  # reported where templates are checked
            for reference in found:
                if reference.path[0] == "vars":
                    line, column = section.place(reference.offset)
                    yield list(map(str, reference.path)), self.source.span(line, column, reference.length)

    def path(self, path: Sequence[str], before: Sequence[Block], way: tuple[str, ...]) -> Iterator[_Obstacle]:
        """What stands against a path under `vars`, which one of the blocks `before` is to make."""
        if len(path) == 1:
            yield "`vars` is whole only after the apps have run", (*way, "vars"), "Name what is read: `vars.NAME`."
            return
        name, way = path[1], (*way, f"vars.{path[1]}")
        makers = _makers(name, before)
        if not makers and len(way) == 2:  # noqa: PLR2004 - it is the entry itself that reads it
            known = [name for block in before for name in block.outputs or ()]
            yield f"no `pre` block makes `vars.{name}`", way, did_you_mean(name, known)
        for block in makers or _makers(name, self.blocks):  # the latter leads to a circle, or is told at its fence
            here = (*way, f'block "{block.name}"')
            if here[-1] in way:
                yield f"`vars.{name}` is made of itself", here, "Let one of these blocks read something else."
            elif block.name not in self.met:
                self.met.add(block.name)
                yield from self.block(block, here)

    def block(self, block: Block, way: tuple[str, ...]) -> Iterator[_Obstacle]:
        """What stands against running a block before the apps."""
        late = f"`{way[1]}` is there only after the apps have run"
        if block.inputs is None and re.search(r"\bcontext\b", block.code):
            yield late, way, f"Say what `{block.name}` reads, such as `inputs=input.text`: then it can run before them."
        for root, *rest in block.bound.values():
            if root == "uses":
                own = rest[:1] == [self.dependency.name]
                said = f"`{self.dependency.name}` is made of its own output" if own else late
                yield said, (*way, ".".join(["uses", *rest[:1]])), _LATE
            elif root == "vars":
                yield from self.path([root, *rest], self.blocks[: self.blocks.index(block)], way)


def _makers(name: str, blocks: Sequence[Block]) -> list[Block]:
    """The blocks that give a name: those that declare it, else those that do not say what they give."""
    declared = [block for block in blocks if name in (block.outputs or ())]
    return declared or [block for block in blocks if block.inputs is None and block.outputs is None]
