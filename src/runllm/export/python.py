"""Types as a Python module: of `TypedDict`s, or of pydantic models."""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

from runllm.export.shapes import AnyOf, Declared, Field, ListOf, MapOf, Named, Names, OneOf, Plain, Shape, either
from runllm.export.texts import lines_of

_PLAIN = {
    "string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None", "any": "typing.Any",
    "never": "None",
}  # fmt: skip
_IN_MODELS = _PLAIN | {"integer": "Integer", "number": "int | float"}
USED = (
    "Path", "load", "run", "arun", "runllm", "typing", "typing_extensions", "pydantic", "annotations", "None", "True",
    "False", "Integer",
)  # fmt: skip
_BUILT_IN = {"str", "int", "float", "bool", "list", "dict", *USED}
_OF_MODELS = {
    "copy", "dict", "json", "construct", "schema", "schema_json", "validate", "register", "model", "from_orm",
    "parse_file", "parse_obj", "parse_raw", "update_forward_refs",
}  # fmt: skip


def spelt(shape: Shape, plain: Mapping[str, str] = _PLAIN) -> str:
    """A type as an annotation; `plain` has those that have no parts."""
    match shape:
        case Plain(kind=kind):
            return plain[kind]
        case OneOf(values=values):
            return f"typing.Literal[{', '.join(map(repr, values))}]"
        case ListOf(first=first, others=others):
            parts = dict.fromkeys(spelt(one, plain) for one in (*first, *([others] if others else [])))
            return "list[typing.Any]" if "typing.Any" in parts or not parts else f"list[{' | '.join(parts)}]"
        case MapOf(values=values):
            return f"dict[str, {spelt(values, plain)}]"
        case AnyOf(parts=parts):
            return " | ".join(dict.fromkeys(spelt(one, plain) for one in parts))
        case Named(name=name):
            return name


def declarations(declared: Sequence[Declared], *, pydantic: bool) -> str:
    """The types of a module."""
    taken = {one.name for one in declared} | _BUILT_IN
    pieces: list[str] = []
    for one in sorted(declared, key=_place_of_model if pydantic else lambda one: one.fields is None):
        if one.fields is None:
            pieces.append(_other_name(one, pydantic=pydantic))
        elif pydantic:
            pieces.append(_model(one, one.fields, taken))
        else:
            pieces.append(_typed_dict(one, one.fields, taken))
    return "\n\n\n".join(pieces)


def _place_of_model(one: Declared) -> int:
    """Where it stands, so that type checkers can follow it: other names come first, before all those that lead back."""
    if one.fields is not None:
        return 2
    return 0 if re.search(rf"\b{one.name}\b", spelt(one.shape)) else 1


def _other_name(one: Declared, *, pydantic: bool) -> str:
    """Read when it is used, so that it may lead to what comes later, and back to itself."""
    value = f'"{_in_quotes(spelt(one.shape, _IN_MODELS if pydantic else _PLAIN))}"'
    said = f'typing_extensions.TypeAliasType("{one.name}", {value})' if pydantic else value
    return "\n".join([*_comments(one.doc), f"{one.name}{'' if pydantic else ': typing.TypeAlias'} = {said}"])


def _in_quotes(annotation: str) -> str:
    return annotation.replace("\\", "\\\\").replace('"', '\\"')


def _typed_dict(one: Declared, fields: Sequence[Field], taken: set[str]) -> str:
    """A class; a call where a key is no name that a class could have; any mapping where one is empty."""
    if any(not field.key for field in fields):
        return "\n".join([*_comments(one.doc), f'{one.name}: typing.TypeAlias = "dict[str, typing.Any]"'])
    if all(field.key.isidentifier() and field.key.isascii() and not _is_odd(field.key, taken) for field in fields):
        body = [
            line for field in fields for line in (*_comments(field.doc, "    "), f"    {field.key}: {_given(field)}")
        ]
        doc = _docstring(one)
        return "\n".join([f"class {one.name}(typing.TypedDict):", *doc, *(body or ([] if doc else ["    pass"]))])
    pairs = [
        line
        for field in fields
        for line in (*_comments(field.doc, "        "), f'        {field.key!r}: "{_in_quotes(_given(field))}",')
    ]
    said = [f"{one.name} = typing.TypedDict(", f'    "{one.name}",', "    {", *pairs, "    },", ")"]
    return "\n".join([*_comments(one.doc), *_open_note(one), *said])


def _is_odd(key: str, taken: set[str]) -> bool:
    return keyword.iskeyword(key) or key.startswith("__") or key in taken


def _given(field: Field) -> str:
    return spelt(field.shape) if field.required else f"typing.NotRequired[{spelt(field.shape)}]"


def _model(one: Declared, fields: Sequence[Field], taken: set[str]) -> str:
    others = '"allow"' if one.is_open else '"forbid"'
    lines = [
        f"class {one.name}(pydantic.BaseModel):",
        *_docstring(one),
        f"    model_config = pydantic.ConfigDict(extra={others}, populate_by_name=True, strict=True)",
    ]
    kept, names = {*_OF_MODELS, *taken, *keyword.kwlist}, Names(())
    for field in fields:
        name = _attribute(field.key, kept, names)
        facts = [f"alias={field.key!r}"] if name != field.key else []
        shape = field.shape if field.required else either([field.shape, Plain(kind="null")])
        facts = facts if field.required else ["default=None", *facts]
        given = f" = pydantic.Field({', '.join(facts)})" if facts else ""
        lines += [*_comments(field.doc, "    "), f"    {name}: {spelt(shape, _IN_MODELS)}{given}"]
    return "\n".join(lines)


def _attribute(key: str, kept: AbstractSet[str], names: Names) -> str:
    """An attribute for a key: itself where it can be, with `_` behind it where it cannot."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", key).strip("_")
    name = name if name and name[0].isalpha() and not name.startswith("model_") else f"field_{name}"
    return names.exactly(f"{name}_" if name in kept else name)


def _docstring(one: Declared) -> list[str]:
    lines = [line.replace("\\", "\\\\").replace('"', '\\"') for line in lines_of(one.doc)]
    lines += (
        ["", "Other keys may be there as well."]
        if one.is_open and lines
        else ["Other keys may be there as well."]
        if one.is_open
        else []
    )
    if not lines:
        return []
    if len(lines) == 1:
        return [f'    """{lines[0]}"""', ""]
    return [f'    """{lines[0]}', *(f"    {line}".rstrip() for line in lines[1:]), '    """', ""]


def _open_note(one: Declared) -> list[str]:
    return ["# Other keys may be there as well."] if one.is_open else []


def _comments(doc: str, indent: str = "") -> Iterator[str]:
    return (f"{indent}# {line}".rstrip() for line in lines_of(doc))


def module(
    app: str, description: str, path: str, given: str, found: str, declared: Sequence[Declared], *, pydantic: bool
) -> str:
    """A whole module.

    Args:
        app: the name of the app.
        description: what its file says of it.
        path: of its file, from the module's own folder, with `/`.
        given: the name of the input's type.
        found: the name of the output's.
        declared: all types.
        pydantic: whether they are models.
    """
    types = declarations(declared, pydantic=pydantic)
    body = _MODELS if pydantic else _DICTS
    code = body.format(given=given, found=found, path=json.dumps(path) if path.isascii() else repr(path))
    doc = lines_of(description)
    said = doc[0].replace("\\", "\\\\").replace('"', '\\"') if doc else app
    head = [
        f'"""{said}"""',
        "",
        f"# Made by `runllm types`: change {lines_of(path)[0]} instead.",
        "",
        "from __future__ import annotations",
        "",
        "import typing",
        "from pathlib import Path",
        "",
        *(["import pydantic"] if pydantic else []),
        *(["import typing_extensions"] if pydantic and any(one.fields is None for one in declared) else []),
        *([""] if pydantic else []),
        "import runllm",
        *(_INTEGER.splitlines() if pydantic and re.search(r"\bInteger\b", types) else []),
    ]
    return "\n".join(head) + f"\n\n\n{types}\n\n\n{code}"


_INTEGER = """

def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


# In JSON 3.0 is an integer as well.
Integer = typing.Annotated[int, pydantic.BeforeValidator(_whole)]
"""
_DICTS = '''\
def load(**options: typing.Any) -> runllm.App[{given}, {found}]:
    """Read and check the file; see `runllm.load` for what the options may be."""
    path = Path(__file__).parent / {path}
    return typing.cast("runllm.App[{given}, {found}]", runllm.load(path, **options))
'''
_MODELS = '''\
def load(**options: typing.Any) -> runllm.App[dict[str, typing.Any], typing.Any]:
    """Read and check the file; see `runllm.load` for what the options may be."""
    path = Path(__file__).parent / {path}
    return typing.cast("runllm.App[dict[str, typing.Any], typing.Any]", runllm.load(path, **options))


_input: pydantic.TypeAdapter[{given}] = pydantic.TypeAdapter({given})
_output: pydantic.TypeAdapter[{found}] = pydantic.TypeAdapter({found})


def run(app: runllm.App[dict[str, typing.Any], typing.Any], given: {given}) -> {found}:
    """What the app makes of an input."""
    inputs = _input.dump_python(given, mode="json", by_alias=True, exclude_unset=True)
    return _output.validate_python(app(inputs))


async def arun(app: runllm.App[dict[str, typing.Any], typing.Any], given: {given}) -> {found}:
    """As `run`, without blocking the event loop."""
    inputs = _input.dump_python(given, mode="json", by_alias=True, exclude_unset=True)
    return _output.validate_python(await app.acall(inputs))
'''
