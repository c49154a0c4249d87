"""The values that `with`, `for_each` and `output` give, made when they run.

One whole `{{ expression }}` keeps its type, a literal is itself, and any other text is read as the scalar that the
contract wants there, see `Place`. An expression that gives null is left out of an object that need not have it and
cannot have it as null.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from runllm import template
from runllm.diagnostics import Problem, pointer
from runllm.errors import DependencyResolutionError, TemplateError
from runllm.program import Dependency, Source, ValueTemplate
from runllm.schema import (
    ANNOTATIONS,
    Contract,
    Schema,
    Value,
    described,
    filling,
    mapping_in,
    reachable,
    read_text,
    resolve,
    standalone,
    step_from,
    types_of,
)

Names = Mapping[str, Any]
_SCALARS = {"integer", "number", "boolean", "null"}
_PLAIN_OBJECT = {"type", "properties", "required", "additionalProperties", "$ref", "$defs", "definitions"}
_PLAIN = _PLAIN_OBJECT | {"items", "minItems", "maxItems"}


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a contract.

    Attributes:
        root: the contract.
        schema: what must hold for a value here.
        filling: the schemas whose defaults are filled in here; none in a contract where nothing is.
        plain: whether nothing else must hold: the contract says no more of the values around this place.
    """

    root: Schema
    schema: Any
    filling: tuple[Any, ...] = ()
    plain: bool = True

    @classmethod
    def of(cls, contract: Schema, *, filled: bool) -> Place:
        """The place of a whole value; `filled` where defaults are filled in before it is held against the contract."""
        return cls(contract, contract, (contract,) if filled else ())

    @property
    def target(self) -> Schema:
        """What must hold here, as a schema of its own."""
        return standalone(self.root, self.schema)

    def inside(self, step: str | int) -> Place:
        """The place at a key or an index of a value that is here."""
        kind = "array" if isinstance(step, int) else "object"
        inner = step_from(self.root, Value({"allOf": [self.schema, {"type": kind}]}), step).schema
        plain = self.plain and _is_plain(resolve(self.root, self.schema))
        filled = tuple(filling(self.root, self.filling, step))
        return Place(self.root, {} if inner is True else inner, filled, plain)

    def takes(self, kind: str) -> bool:
        """Whether a value of this JSON type may fit here."""
        return kind in types_of(self.root, self.schema)

    def reads_text_as(self) -> list[str]:
        """The scalar types that a text with templates is read as here; `string` where it stays a text."""
        types = types_of(self.root, self.schema)
        return ["string"] if "string" in types or not types & _SCALARS else sorted(types & _SCALARS)

    def leaves_out(self, name: str) -> bool:
        """Whether an object here is made without `name` where that is null: it need not be there and cannot be null."""
        inner = step_from(self.root, Value(self.schema), name)
        cannot_be_null = "null" not in types_of(self.root, inner.schema)
        return cannot_be_null and (inner.absent or name in self.filled({}))

    def filled(self, value: Any) -> Any:
        """A value here after defaults are filled in, at every depth."""
        return Contract(standalone(self.root, {"allOf": list(self.filling)})).with_defaults(value)

    def is_simple(self) -> bool:
        """Whether an object here must satisfy no more than its properties must, one by one."""
        node = resolve(self.root, self.schema)
        return node.keys() <= _PLAIN_OBJECT | ANNOTATIONS and node.get("type") in ("object", None)

    def is_settled(self) -> bool:
        """Whether defaults that are filled in here and below never change whether a value fits."""
        nodes = list(reachable(self.root, *self.filling))
        if not any("default" in node for node in nodes):
            return True
        return self.plain and all(_is_plain(node) and _is_harmless(self.root, node) for node in nodes)


def _is_harmless(root: Schema, node: Schema) -> bool:
    """Whether the defaults of an object's properties fit, and are of such as need not be there."""
    found = {name: sub for name, sub in mapping_in(node, "properties").items() if "default" in resolve(root, sub)}
    return found.keys().isdisjoint(node.get("required", ())) and all(
        Contract(standalone(root, sub)).accepts(resolve(root, sub)["default"]) for sub in found.values()
    )


def _is_plain(node: Schema) -> bool:
    return node.keys() <= _PLAIN | ANNOTATIONS


def arguments(dependency: Dependency, names: Names, contract: Contract, source: Source) -> dict[str, Any]:
    """The input of one run of a dependency.

    Args:
        dependency: whose `with` is read.
        names: `input`, `uses`, `run` and, under `for_each`, `item` and `index`.
        contract: of the dependency's input.
        source: the file that uses it, for the place of a failure.

    Raises:
        TemplateError: a template cannot be rendered with these values.
    """
    place = Place.of(contract.schema, filled=True)
    return _Building(dependency.arguments, names, source).build("", dependency.arguments.value, lambda: place)


def value_of(template: ValueTemplate, names: Names, contract: Contract, source: Source) -> Any:
    """The value of an `output` for its contract, in which no defaults are filled in.

    Raises:
        TemplateError: a template cannot be rendered with these values.
    """
    return _Building(template, names, source).build("", template.value, lambda: Place.of(contract.schema, filled=False))


def items(dependency: Dependency, names: Names, source: Source) -> list[Any]:
    """The list that a dependency runs over; an absent one is empty.

    Raises:
        DependencyResolutionError: what `for_each` gives is no list.
        TemplateError: a template cannot be rendered with these values.
    """
    template = dependency.for_each
    assert template is not None  # noqa: S101 - only asked of a dependency that has it
    found = _Building(template, names, source).build("", template.value, lambda: Place.of({}, filled=False))
    if found is None:
        return []
    if not isinstance(found, list):
        said = f"`for_each` of `{dependency.name}` must give a list, and gives {described({'const': found})}"
        span = template.spans.get("", dependency.span)
        problem = Problem(message=said, keyword="for_each", kind="DependencyResolutionError", span=span)
        raise DependencyResolutionError(
            str(problem),
            problems=[problem],
            received=found,
            details={"dependency": dependency.name},
            hint="Give it a list, or correct what makes it.",
        )
    return cast("list[Any]", found)


class _Building:
    def __init__(self, template: ValueTemplate, names: Names, source: Source) -> None:
        self.template = template
        self.names = names
        self.source = source

    def build(self, at: str, value: Any, where: Callable[[], Place]) -> Any:
        """The value of a part; `where` finds its place, which few parts ask for."""
        if isinstance(value, str):
            return self.text(at, value, where)
        if isinstance(value, dict):
            return self.mapping(at, cast("dict[str, Any]", value), where())
        if isinstance(value, list):
            place = where()
            parts = enumerate(cast("list[Any]", value))
            return [self.build(f"{at}/{n}", inner, partial(place.inside, n)) for n, inner in parts]
        return value

    def mapping(self, at: str, value: dict[str, Any], place: Place) -> dict[str, Any]:
        built: dict[str, Any] = {}
        for name, inner in value.items():
            found = self.build(at + pointer([name]), inner, partial(place.inside, name))
            if not (found is None and isinstance(inner, str) and place.leaves_out(name)):
                built[name] = found
        return built

    def text(self, at: str, text: str, where: Callable[[], Place]) -> Any:
        form = template.form(text)
        if form == "literal":
            return text
        try:
            if form == "expression":
                return template.evaluate(text, self.names)
            return read_text(template.render(text, self.names), {"type": where().reads_text_as()}, {})
        except TemplateError as error:
            failed = error
        raise template.placed(failed, self.template.sections[at], self.source)
