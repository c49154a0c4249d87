"""The values that `with`, `for_each` and `output` give, made when they run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from runllm import templates
from runllm.contracts import Contract, read_text
from runllm.diagnostics import pointer
from runllm.errors import DependencyResolutionError, TemplateError
from runllm.program import Dependency, Source, ValueTemplate
from runllm.schemas import declared_properties, declared_types, resolve

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
    return value_of(dependency.arguments, names, contract, source)


def value_of(template: ValueTemplate, names: Names, contract: Contract, source: Source) -> Any:
    """The value of a template for a contract.

    One whole `{{ expression }}` keeps its type, a literal is itself, and any other text is read as the scalar that the
    contract declares there. An expression that gives null is left out where the contract has an optional property
    that cannot be null.

    Raises:
        TemplateError: a template cannot be rendered with these values.
    """
    return _Building(template, names, contract.schema, source).build("", template.value, contract.schema)


def items(dependency: Dependency, names: Names, source: Source) -> list[Any]:
    """The list that a dependency runs over; an absent one is empty.

    Raises:
        DependencyResolutionError: what `for_each` gives is no list.
        TemplateError: a template cannot be rendered with these values.
    """
    template = dependency.for_each
    assert template is not None  # noqa: S101 - only asked of a dependency that has it
    found = _Building(template, names, {}, source).build("", template.value, {})
    if found is None:
        return []
    if not isinstance(found, list):
        raise DependencyResolutionError(
            f"`for_each` of `{dependency.name}` gives no list", received=found, details={"dependency": dependency.name}
        )
    return cast("list[Any]", found)


class _Building:
    def __init__(self, template: ValueTemplate, names: Names, root: Mapping[str, Any], source: Source) -> None:
        self.template = template
        self.names = names
        self.root = root
        self.source = source

    def build(self, at: str, value: Any, schema: Any) -> Any:
        if isinstance(value, str):
            return self.text(at, value, schema)
        if isinstance(value, dict):
            return self.mapping(at, cast("dict[str, Any]", value), schema)
        if isinstance(value, list):
            item = resolve(self.root, schema).get("items", {})
            return [self.build(f"{at}/{n}", inner, item) for n, inner in enumerate(cast("list[Any]", value))]
        return value

    def mapping(self, at: str, value: dict[str, Any], schema: Any) -> dict[str, Any]:
        declared = declared_properties(self.root, schema)
        required = resolve(self.root, schema).get("required", ())
        built: dict[str, Any] = {}
        for name, inner in value.items():
            found = self.build(at + pointer([name]), inner, declared.get(name, {}))
            unfit = name in declared and not nullable(self.root, declared[name])
            if not (found is None and inner is not None and unfit and name not in required):
                built[name] = found
        return built

    def text(self, at: str, text: str, schema: Any) -> Any:
        form = templates.form(text)
        if form == "literal":
            return text
        try:
            if form == "expression":
                return templates.evaluate(text, self.names)
            return read_text(templates.render(text, self.names), {"type": read_as(self.root, schema)}, {})
        except TemplateError as error:
            failed = error
        raise templates.placed(failed, self.template.sections[at], self.source)


def read_as(root: Mapping[str, Any], schema: Any) -> list[str]:
    """The scalar types that a text with templates is read as; `string` where it stays a text."""
    types = declared_types(root, schema)
    scalars = types & {"integer", "number", "boolean", "null"}
    return ["string"] if not scalars or "string" in types else sorted(scalars)


def nullable(root: Mapping[str, Any], schema: Any) -> bool:
    """Whether null is a value of the schema, as far as its types say."""
    types = declared_types(root, schema)
    return not types or "null" in types
