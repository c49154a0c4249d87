"""Hold what flows into a dependency, or into a built output, against the schema that it must fit.

Covered is fine. No value in common is an error. Anything between is a warning with a value that would not fit, where
one is found; the value is checked again when it runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any, Literal, cast

from runllm import template
from runllm.diagnostics import Problem, Span, clip, did_you_mean, pointer, steps
from runllm.errors import TemplateError
from runllm.program import Dependency, Program, Section, ValueTemplate
from runllm.project.build import Place
from runllm.project.early import early
from runllm.project.flow import Flow, expression, flow, types_given
from runllm.schema import (
    Fit,
    Found,
    Schema,
    Scope,
    Undeclared,
    Unwritten,
    Value,
    declared_properties,
    described,
    enter,
    fit,
    is_object,
    read_text,
    resolve,
    side_by_side,
    standalone,
    step_from,
    together,
)


def uses_scope(uses: Sequence[Dependency], children: Mapping[str, Program | None]) -> Scope:
    """What `uses.NAME` holds for each dependency: its output, or under `for_each` the list of its outputs, maybe null.

    Args:
        uses: the dependencies of a file.
        children: the program of each; None or left out where it has none, because it is wrong.
    """
    return {f"uses.{dependency.name}": _given(dependency, children.get(dependency.name)) for dependency in uses}


def _given(dependency: Dependency, child: Program | None) -> Schema | None:
    if child is None:
        return None
    output = child.output_contract.schema
    if dependency.for_each is None:
        return output
    (item,), definitions = side_by_side([output])
    kept = {"anyOf": [item, {"type": "null"}]} if dependency.on_error == "keep" else item
    return {"type": "array", "items": kept, **definitions}


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
        said = f"`{chain[0]}` is made of its own output"
        if len(set(chain)) > 1:
            said = "these dependencies wait for each other: " + " → ".join(f"`{name}`" for name in chain)
        span = next(dependency.span for dependency in program.uses if dependency.name == chain[-1])
        hint = "A dependency's `with` may only mention those that can run before it."
        yield Problem(message=said, keyword="cycle", kind="DependencyResolutionError", span=span, hint=hint)


def _mentioned(dependency: Dependency) -> Iterator[str]:
    for section in dependency.sections().values():
        try:
            found = template.references(section.text)
        except TemplateError:
            continue  # reported where templates are checked
        for reference in found:
            if reference.path[0] == "uses" and len(reference.path) > 1:
                yield str(reference.path[1])


_LONGEST_VALUE = 60
_LONGEST_PATH = 200
_AT_RUN_TIME = "It is checked when it runs; `validate --strict` refuses it."
_NOT_HERE = {
    "there is no `item`": "`item` is what `for_each` runs over, and there is none here.",
    "there is no `index`": "`index` is the number of an item of `for_each`, and there is none here.",
}
_WITHOUT_BRACES = re.compile(r"\{?\s*((?:input|vars|uses|item|run)(?:\.[^\W\d]\w*|\[\d+\]|\[\"[^\"]+\"\])+)\s*\}?")
_LIST = Place.of({"type": "array"}, filled=False)


def wiring_problems(program: Program, children: Mapping[str, Program | None], scope: Scope) -> Iterator[Problem]:
    """Everything that is wrong with how a program is composed.

    Args:
        program: the file.
        children: the program of each dependency; None where it could not be loaded, which is reported elsewhere.
        scope: what the templates of the prompt may read (`input`, `uses`, `vars`).
    """
    yield from cycle_problems(program, needs(program))
    before: Scope = {name: schema for name, schema in scope.items() if name != "vars"}
    first = early(program)
    yield from first.problems
    if first.vars is not None:
        before["vars"] = first.vars
    for dependency in program.uses:
        child, own = children.get(dependency.name), before
        if dependency.for_each is not None:
            over = _Wires(program, dependency.for_each, own, f"`for_each` of `{dependency.name}`", dependency.span)
            item = yield from over.items()
            own = {**before, "item": item, "index": {"type": "integer", "minimum": 1}}
        wires = _Wires(program, dependency.arguments, own, f"`{dependency.name}`", dependency.span)
        place = Place.of(child.input.schema, filled=True) if child else None
        yield from wires.fill(place, of=f"`{dependency.path}`")
    if program.output is not None:
        span = program.output.spans[""]
        wires = _Wires(program, program.output, scope, "the output", span, kind="MetadataValidationError")
        yield from wires.fill(Place.of(program.output_contract.schema, filled=False), of="the contract")


@dataclass(frozen=True, slots=True)
class _Wires:
    """One value template, what its templates may read, and how its problems are called."""

    program: Program
    template: ValueTemplate
    scope: Scope
    owner: str
    span: Span
    kind: str = "DependencyResolutionError"

    # --- what it is held against -------------------------------------------------------------

    def fill(self, place: Place | None, *, of: str) -> Iterator[Problem]:
        """The problems of a value that must fit a whole contract; its templates alone where there is none."""
        yield from self.braced(self.filled(place, of))

    def filled(self, place: Place | None, of: str) -> Iterator[Problem]:
        broken = yield from self.template_problems()
        if place is None or broken:
            return
        value = self.template.value
        if not isinstance(value, dict) or not is_object(place.root):
            yield from self.value("", value, place)
            return
        found = list(self.mapping("", cast("dict[str, Any]", value), place, of))
        yield from found
        if not found and not (place.is_simple() and place.is_settled()):
            yield from self.whole(place, of)

    def items(self) -> Generator[Problem, None, Schema | None]:
        """The problems of a value that must be a list; returns the schema of its items, None where it is broken."""
        broken = yield from self.template_problems()
        if broken or self.unknowable(""):
            return None
        given = flow(self.template.value, self.scope, _LIST)
        yield from self.braced(self.held("", given, _LIST, or_none=True))
        written = given.schema.get("const")
        if isinstance(written, list) and written:
            return {"enum": cast("list[Any]", written)}
        lists = Value({"allOf": [given.schema, {"type": "array"}]})
        item = step_from(given.schema, lists, Unwritten.ELEMENT).schema
        return standalone(given.schema, item)

    def template_problems(self) -> Generator[Problem, None, bool]:
        """What is wrong with the templates themselves; returns whether anything is."""
        broken = False
        for section in self.template.sections.values():
            for problem in self.section_problems(section):
                broken = broken or problem.severity == "error"
                yield problem
        return broken

    def section_problems(self, section: Section) -> Iterator[Problem]:
        if template.form(section.text) == "literal":
            return
        for finding in template.checked(section.text, self.scope):
            line, column = section.place(finding.offset)
            span = self.program.source.span(line, column, finding.length)
            hint = next((hint for start, hint in _NOT_HERE.items() if finding.message.startswith(start)), finding.hint)
            found = Problem(message=finding.message, keyword="template", kind="TemplateError", span=span, hint=hint)
            yield replace(found, severity=finding.severity)

    def braced(self, found: Iterator[Problem]) -> Iterator[Problem]:
        """Those problems, and each text that is nothing but a path that can be read here, without its braces."""
        paths: dict[Span, str] = {}
        for at, section in self.template.sections.items():
            written = _WITHOUT_BRACES.fullmatch(section.text.strip()) if len(section.text) < _LONGEST_PATH else None
            if written and self.is_path(written[1]):
                paths[self.template.spans[at]] = f'Did you mean "{{{{ {written[1]} }}}}"?'
        for problem in found:
            yield replace(problem, hint=paths.pop(problem.span, problem.hint)) if problem.span else problem
        for span, hint in paths.items():
            said = "this is taken for a text as it stands: what is read stands between braces"
            yield self.problem(said, span, "template", hint, severity="warning")

    def is_path(self, text: str) -> bool:
        """Whether a text is a path to what is declared."""
        if template.findings(f"{{{{ {text} }}}}", self.scope):
            return False
        path = template.references(f"{{{{ {text} }}}}")[0].path
        key = next((key for key in (f"{path[0]}.{path[1]}", str(path[0])) if key in self.scope), "")
        schema = self.scope.get(key) or {}
        is_declared = "." in key or path[1] in declared_properties(schema, schema) or path[0] == "item"
        return bool(key) and is_declared

    # --- a value against a schema --------------------------------------------------------------

    def mapping(self, at: str, value: Mapping[str, Any], place: Place, of: str) -> Iterator[Problem]:
        """A mapping as it is written, key by key."""
        owner = self.called(at)
        for name, inner in value.items():
            here = at + pointer([name])
            entered = enter(place.root, place.schema, name)
            if isinstance(entered, Found):
                yield from self.value(here, inner, place.inside(name), or_none=place.leaves_out(name))
            else:
                known = entered.names if isinstance(entered, Undeclared) else ()
                span = self.template.keys[here]
                yield self.problem(
                    f"{owner} takes no `{name}`", span, "additionalProperties", did_you_mean(name, known)
                )
        filled = place.filled({})
        for name in _required(place.root, place.schema):
            if name not in value and name not in filled:
                span = (self.template.keys.get(at) or self.template.spans[at]) if at else self.span
                hint = "" if at else self.source_of(name)
                yield self.problem(f"{owner} needs `{name}`, which {of} requires", span, "required", hint)

    def value(self, at: str, value: Any, place: Place, *, or_none: bool = False) -> Iterator[Problem]:
        """A value as it is written: part by part, then as a whole where its schema says more than theirs."""
        node = resolve(place.root, place.schema)
        if isinstance(value, dict) and place.is_simple() and node.get("properties"):
            yield from self.mapping(at, cast("dict[str, Any]", value), place, "its schema")
            return
        if isinstance(value, list) and place.takes("array"):
            parts = enumerate(cast("list[Any]", value))
            found = [p for n, item in parts for p in self.value(f"{at}/{n}", item, place.inside(n))]
            yield from found
            if found:
                return
        given = flow(value, self.scope, place)
        if given.read:  # a text that must be read as a number, say
            takes = f"{self.called(at)} must be {described(place.target)}"
            said = f"{takes}; whether this text can be read so is known only when it runs"
            yield self.problem(said, self.template.spans[at], "wiring", _AT_RUN_TIME, severity="warning")
        else:
            yield from self.held(at, given, place, or_none=or_none and isinstance(value, str))

    def held(self, at: str, given: Flow, place: Place, *, or_none: bool = False) -> Iterator[Problem]:
        """What flows to a place against what must hold there; `or_none` where null is left out."""
        target = place.target
        found = fit(given.schema, _or_null(target) if or_none else target)
        if not place.is_settled() and types_given(given.schema) & {"object", "array"}:
            found = Fit(verdict="maybe")
        if found.verdict == "fits":
            return
        takes = f"{self.called(at)} must be {described(target)}"
        what, span = self.what(at), self.template.spans[at]
        if found.verdict == "maybe" and self.unknowable(at):
            return
        if found.verdict == "maybe":
            message = f"{takes}; {_doubt(what, given, found)}"
            yield self.problem(message, span, "wiring", _AT_RUN_TIME, severity="warning")
        elif "const" in given.schema:
            message = f"{takes}, not {_json(given.schema['const'])}{_reason(found)}"
            yield self.problem(message, span, "wiring", _spelling(given.schema["const"], target))
        else:
            such = f", such as {_json(found.example)}{_reason(found)}" if _reason(found) else ""
            yield self.problem(f"{takes}; {what} is {described(given.schema)}{such}", span, "wiring")

    def unknowable(self, at: str) -> bool:
        """Whether nothing can be said of a part: it is made of an app that is broken, or of `vars`.

        What `vars` hold no schema says; what is made of them is always held against its own when it runs.
        """
        inside = [section for path, section in self.template.sections.items() if f"{path}/".startswith(f"{at}/")]
        roots = [reference.path[:2] for section in inside for reference in template.references(section.text)]
        return any(
            root[0] == "vars"
            or self.scope.get(".".join(map(str, root)), {}) is None
            or self.scope.get(str(root[0]), {}) is None
            for root in roots
        )

    def whole(self, place: Place, of: str) -> Iterator[Problem]:
        """A mapping whose parts all fit, against what its schema says of them together."""
        found = fit(flow(self.template.value, self.scope, place).schema, place.target)
        if found.verdict == "maybe" and self.unknowable(""):
            return
        reason = f": {found.reason}" if found.reason else ""
        if found.verdict == "never":
            yield self.problem(f"{self.owner} does not fit {of} as a whole{reason}", self.span, "wiring")
        elif found.verdict == "maybe":
            message = f"{self.owner} may not fit {of} as a whole{reason}"
            yield self.problem(message, self.span, "wiring", _AT_RUN_TIME, severity="warning")

    # --- words ---------------------------------------------------------------------------------

    def called(self, at: str) -> str:
        """A part of the value, as a message names it."""
        path = "".join(f"[{step}]" if step.isdecimal() else f".{step}" for step in steps(at)).removeprefix(".")
        return f"`{path}` of {self.owner}" if path else self.owner

    def what(self, at: str) -> str:
        """What stands there, as an author would call it."""
        section = self.template.sections.get(at)
        form = template.form(section.text) if section else "literal"
        if section is None or form == "literal":
            return "this value"
        return "this text" if form == "text" else f"`{expression(section.text)}`"

    def source_of(self, name: str) -> str:
        """A hint at a path of the same name that could be passed on."""
        for root, schema in self.scope.items():
            if schema and name in declared_properties(schema, schema):
                return f'Write `{name}: "{{{{ {root}.{name} }}}}"`.'
        return ""

    def problem(
        self, message: str, span: Span, keyword: str, hint: str = "", severity: Literal["error", "warning"] = "error"
    ) -> Problem:
        """A problem of the kind that this wiring has."""
        return Problem(message=message, keyword=keyword, kind=self.kind, span=span, hint=hint, severity=severity)


def _doubt(what: str, given: Flow, found: Fit) -> str:
    if found.reason:
        return f"{what} may be {_json(found.example)}{_reason(found)}"
    if not given.known:
        return f"what {what} gives is known only when it runs"
    return f"{what} is {described(given.schema)}, which may not fit"


def _reason(found: Fit) -> str:
    """Why an example does not fit, where that is not plain to see: for its parts, not for its type."""
    composed = type(found.example) in (list, dict)
    of_type = " is not of type " in found.reason and not found.reason.startswith("/")
    return f": {found.reason}" if composed and not of_type else ""


def _spelling(literal: Any, target: Schema) -> str:
    """A hint for a literal that would fit with quotes, or without."""
    if isinstance(literal, str):
        read = read_text(literal, target, target)
        unquoted = not isinstance(read, str) and fit({"const": read}, target).verdict == "fits"
        return f"Write it without quotes: {literal}." if unquoted else ""
    quoted = not isinstance(literal, list | dict) and fit({"const": _json(literal)}, target).verdict == "fits"
    return f'Quote it: "{_json(literal)}".' if quoted else ""


def _json(value: Any) -> str:
    return clip(json.dumps(value, ensure_ascii=False, default=str), _LONGEST_VALUE)


def _required(root: Schema, schema: Any) -> list[str]:
    """The properties that every value of an object schema has: its own, and those of each `allOf`."""
    return list(dict.fromkeys(name for node in together(root, schema) for name in node.get("required", ())))


def _or_null(schema: Schema) -> Schema:
    kept = {key: schema[key] for key in ("$defs",) if key in schema}
    return {"anyOf": [{key: item for key, item in schema.items() if key != "$defs"}, {"type": "null"}], **kept}
