"""The values that `with`, `for_each` and `output` give, made when they run.

One whole `{{ expression }}` keeps its type, a literal is itself, and any other text is read as the scalar that the
contract wants there, see `Place`. An expression that gives null is left out of an object that need not have it and
cannot have it as null.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

from runllm import template
from runllm.diagnostics import pointer
from runllm.errors import DependencyResolutionError, TemplateError
from runllm.program import Dependency, Source, ValueTemplate
from runllm.project.flow import Place
from runllm.schema import Contract, read_text

Names = Mapping[str, Any]


def arguments(dependency: Dependency, names: Names, contract: Contract, source: Source) -> dict[str, Any]:
    """The input of one run of a dependency.

    Args:
        dependency: whose `with` is read.
        names: `input`, `uses` and, under `for_each`, `item` and `index`.
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
        raise DependencyResolutionError(
            f"`for_each` of `{dependency.name}` gives no list", received=found, details={"dependency": dependency.name}
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
