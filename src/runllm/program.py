"""What a `.rllm` file says, as values: the checked program that everything else works on."""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from runllm.diagnostics import Problem, Severity, Span
from runllm.schema import Contract
from runllm.values import frozen

if TYPE_CHECKING:
    from runllm.errors import RunllmError

NO_VERSION = "0.0.0"
"""The version of an app whose file names none."""

Phase = Literal["pre", "check", "post"]
_STEP = r'\["([^"]*)"\]|([^.\[]+)'
OnError = Literal["stop", "skip", "keep"]


@lru_cache(maxsize=4)
def _lines(text: str) -> list[str]:
    """The lines of a text, split once for all its problems."""
    return text.split("\n")


@lru_cache(maxsize=4)
def _line_starts(text: str) -> list[int]:
    """Where each line of a text starts; likewise."""
    return [0, *(at + 1 for at, char in enumerate(text) if char == "\n")]


@frozen
class Source:
    """The text of a file, every line break a single line feed, and the name to report it under."""

    name: str
    text: str

    def line(self, number: int) -> str:
        """The line of this number, counted from 1; empty outside the text."""
        lines = _lines(self.text)
        return lines[number - 1] if 0 < number <= len(lines) else ""

    def span(self, line: int, column: int = 1, length: int = 1) -> Span:
        """A stretch of this text; line and column count from 1."""
        return Span(file=self.name, line=line, column=column, length=length, text=self.line(line))

    def problem(
        self, line: int, said: str, keyword: str, hint: str = "", kind: str = "ParseError", severity: Severity = "error"
    ) -> Problem:
        """What is wrong with a whole line of this text."""
        span = self.span(line, 1, len(self.line(line)) or 1)
        return Problem(message=said, keyword=keyword, kind=kind, span=span, hint=hint, severity=severity)


@frozen
class Section:
    """A template in the file, with the place of each of its lines.

    Attributes:
        text: the template.
        places: for each line of `text`, the file's line and column (from 1) of its first character.
        verbatim: whether these lines stand in the file as they are; if not, no place inside a line is known.
    """

    text: str
    places: tuple[tuple[int, int], ...] = ((1, 1),)
    verbatim: bool = True

    def place(self, offset: int) -> tuple[int, int]:
        """The file's line and column of a code point of `text`."""
        starts = _line_starts(self.text)
        line = bisect_right(starts, offset)
        return self.place_of(line, offset - starts[line - 1] + 1)

    def place_of(self, line: int, column: int) -> tuple[int, int]:
        """The file's line and column of a line and column of `text`, all counted from 1."""
        first_line, first_column = self.places[min(line, len(self.places)) - 1]
        return first_line, first_column + (column - 1 if self.verbatim else 0)


@frozen
class ValueTemplate:
    """A YAML value whose strings may be templates: what `with`, `for_each` and `output` say.

    Attributes:
        value: the value as it is written.
        sections: each text in it, by JSON Pointer, with the place of its lines.
        spans: the place of every value in it, by JSON Pointer; its own under the empty one.
        keys: the place of the key of each value in a mapping, by the same pointer.
    """

    value: Any
    sections: Mapping[str, Section]
    spans: Mapping[str, Span]
    keys: Mapping[str, Span]


@frozen
class Block:
    """A fenced Python block.

    Attributes:
        phase: when it runs.
        name: given by the author, else `<phase> block <n>`.
        inputs: paths bound to locals, as they are written, None when undeclared.
        outputs: locals read back, None when undeclared.
        timeout: seconds it may run, None for the most the caller allows.
        memory: MiB it may use, None for the most the caller allows.
        code: the lines between the fences.
        line: the file's line of the first line of `code`.
    """

    phase: Phase
    name: str
    inputs: tuple[str, ...] | None
    outputs: tuple[str, ...] | None
    timeout: float | None = None
    memory: int | None = None
    code: str
    line: int

    @property
    def bound(self) -> dict[str, tuple[str, ...]]:
        """The locals that its inputs are bound to, each with the steps of its path."""
        return {local_of(path): steps_of(path) for path in self.inputs or ()}


def steps_of(path: str) -> tuple[str, ...]:
    """The names in a path as a fence has it, `input.text` or `input["first-name"]`."""
    return tuple(key or name for key, name in re.findall(_STEP, path))


def local_of(path: str) -> str:
    """The local that a path is bound to: its last name, each sign that no name has as `_`."""
    name = re.sub(r"[^\w]", "_", steps_of(path)[-1])
    return f"_{name}" if name[:1].isdecimal() else name


@frozen
class Dependency:
    """An app that this one uses.

    Attributes:
        name: what templates call it.
        path: its file, relative to this one.
        arguments: its input (`with`).
        for_each: the list it is run over, once for each item; None where it is run once.
        on_error: what an item that fails does: it ends the run, is left out of the list, or is null in it.
        span: of its `name`.
        path_span: of its `path`.
    """

    name: str
    path: str
    arguments: ValueTemplate
    for_each: ValueTemplate | None = None
    on_error: OnError = "stop"
    span: Span
    path_span: Span

    def outlives(self, error: RunllmError) -> bool:
        """Whether the other items of the list go on when one fails with this error."""
        return self.on_error != "stop" and not error.stops_all

    def without(self, failed: Collection[int], outputs: Sequence[Any]) -> list[Any]:
        """The outputs of a list, of which those at `failed` are none."""
        found = [None if index in failed else output for index, output in enumerate(outputs)]
        return found if self.on_error == "keep" else [o for index, o in enumerate(found) if index not in failed]

    def sections(self) -> dict[str, Section]:
        """Every text of the entry that may be a template, by its pointer in the entry."""
        found = {f"/with{at}": section for at, section in self.arguments.sections.items()}
        if self.for_each is not None:
            found |= {f"/for_each{at}": section for at, section in self.for_each.sections.items()}
        return found


@frozen
class Example:
    """A pair of input and output, sent as earlier turns of the conversation."""

    input: dict[str, Any]
    output: Any


@frozen
class Case:
    """One test.

    Attributes:
        name: what it is called; unique in its file.
        input: as `run` is given it.
        expect: what must hold, under the keys of `CONDITIONS`, as it is written; with none the run must succeed.
        tags: words by which it is chosen.
        only: whether it is run alone, with others that say so.
        skip: why it is not run; empty where it is.
        check: the Python of `check`, as a block that sees `input` and `output`.
        span: where it stands.
    """

    name: str
    input: Mapping[str, Any]
    expect: Mapping[str, Any] = field(default_factory=dict[str, Any])
    tags: tuple[str, ...] = ()
    only: bool = False
    skip: str = ""
    check: Block | None = None
    span: Span | None = field(default=None, repr=False, compare=False)

    def at_places(self, condition: str) -> dict[str, Any]:
        """What a condition of `BY_PLACE` says of each place in the output; the empty one is the whole."""
        said = self.expect.get(condition)
        if said is None:
            return {}
        whole = not isinstance(said, dict) or (condition == "near" and "value" in said)
        return {"": said} if whole else dict(cast("dict[str, Any]", said))


@frozen
class ModelSettings:
    """The `llm` mapping: which model, and how to reach it.

    Attributes:
        model: `provider/model`, or `local/...`.
        timeout: seconds for one call, None for the default.
        num_retries: how often a failed transport is tried again, None for the default.
        fallbacks: models tried in order when the provider fails.
        provider_params: sent as they are.
        schema_instruction: whether the prompt carries the schema.
        spans: the place of every value in the mapping, by JSON Pointer.
    """

    model: str
    api_base: str | None = None
    api_version: str | None = None
    api_key_env: str | None = None
    timeout: float | None = None
    num_retries: int | None = None
    fallbacks: tuple[str, ...] = ()
    provider_params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    schema_instruction: bool = True
    spans: Mapping[str, Span] = field(default_factory=dict[str, Span], repr=False, compare=False)

    @property
    def models(self) -> dict[str, str]:
        """The model and its fallbacks in their order, each by the JSON Pointer of its place in the mapping."""
        return {"/model": self.model, **{f"/fallbacks/{n}": model for n, model in enumerate(self.fallbacks)}}


@frozen
class Program:
    """A file whose form is right. `runllm.project` checks what its parts mean together.

    Attributes:
        source: the text, for spans.
        path: the file, None when it was read from text.
        project: the folder that no file of weights which it names may leave; None where it names none.
        max_context_window: tokens that prompt and answer may take together; None for all that the model has.
        model: None when `output` builds the result without a model, or the user's own is meant.
        params: chat-completion parameters, compatible spellings already translated.
        param_spans: where each of them is named in the file.
        prompt: the user message.
        output: templates that build the output, None when the model gives it.
        format: the version of the format that the file names; None where it names none.
        max_calls: the most calls of a run and of all that it uses.
        max_cost: the most US dollars of the same.
    """

    source: Source
    path: Path | None
    name: str
    description: str
    version: str
    author: str
    max_context_window: int | None
    input: Contract
    output_contract: Contract
    model: ModelSettings | None
    params: Mapping[str, Any]
    prompt: Section
    system: Section | None = None
    recovery: Section | None = None
    examples: tuple[Example, ...] = ()
    tests: tuple[Case, ...] = ()
    blocks: tuple[Block, ...] = ()
    uses: tuple[Dependency, ...] = ()
    output: ValueTemplate | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    tags: tuple[str, ...] = ()
    recommended_models: tuple[str, ...] = ()
    format: str | None = None
    max_calls: int | None = None
    max_cost: float | None = None
    project: Path | None = None
    param_spans: Mapping[str, Span] = field(default_factory=dict[str, Span], repr=False, compare=False)

    @property
    def is_old(self) -> bool:
        """Whether it says that it is of format 0.1, and so means nothing of what is newer."""
        return self.format == "0.1"

    @property
    def location(self) -> str:
        """The absolute path of the file, the same however it was written; empty when it was read from text."""
        try:
            return os.path.abspath(self.path) if self.path else ""  # noqa: PTH100 - `Path.absolute` keeps `..`
        except FileNotFoundError:  # the folder that this process is in was removed
            return str(self.path)

    @property
    def digest(self) -> str:
        """SHA-256 of the text, in hex: the same for two files that mean the same byte for byte."""
        import hashlib  # 5 ms that checking a file need not pay

        return hashlib.sha256(self.source.text.encode()).hexdigest()


@frozen
class Plan:
    """A node of the graph of programs; two names for the same file lead to the same node.

    Attributes:
        program: what runs here.
        children: the plans it uses, by the name of the dependency.
        needs: for each dependency, the others whose output its input is made of.
        early: for each dependency, the names of the `pre` blocks that its input is made of.
    """

    program: Program
    children: Mapping[str, Plan] = field(default_factory=dict[str, "Plan"], repr=False)
    needs: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    early: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])

    __eq__, __hash__ = object.__eq__, object.__hash__  # it is one node, whatever it holds

    def order(self) -> tuple[str, ...]:
        """The dependencies, each after those that it needs."""
        from graphlib import TopologicalSorter  # checking a file needs none of it

        return tuple(TopologicalSorter(self.needs).static_order())

    def is_free(self) -> bool:
        """Whether a run of it calls no model."""
        return all(plan.program.output is not None for plan in self.walk())

    def walk(self) -> Iterator[Plan]:
        """Every plan of the graph once, what is used before what uses it."""
        return (plan for _, plan in self.ways())

    def ways(self) -> Iterator[tuple[tuple[str, ...], Plan]]:
        """As `walk`, each with the names of the dependencies that lead to it, by one way."""
        seen: set[Plan] = set()

        def below(plan: Plan, way: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Plan]]:
            if plan in seen:
                return
            seen.add(plan)
            for name, child in plan.children.items():
                yield from below(child, (*way, name))
            yield way, plan

        return below(self, ())
