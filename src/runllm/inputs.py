"""Text from a shell or a file to an input: JSON and YAML keep their types, plain text is read as declared.

The rules, in one place:

- A `.json` file is JSON, `.yaml` and `.yml` are YAML, any other file is plain text.
- `--input` and standard input are JSON if they begin with `{`, YAML if they are a mapping of keys that the
  app declares, and plain text otherwise.
- Plain text feeds the one required string property (or the only string property there is).
- `--arg key value` is read as the type declared for `key`, strictly; whatever the value, it names no file.
- `key=value` is read the same way, but `key=@file` takes the text of a file, and `key=@@x` is the text `@x`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

from runllm.diagnostics import Problem, Span, did_you_mean
from runllm.documents import DocumentError, read
from runllm.errors import FileAccessError, InputSchemaError, UsageError
from runllm.files import read_bytes, read_standard_input
from runllm.schema import Contract, declared_types

Form = Literal["json", "yaml", "text", "guess"]

MAX_INPUT_BYTES = 64 << 20
_SUFFIXES: dict[str, Form] = {".json": "json", ".yaml": "yaml", ".yml": "yaml"}


def form_of(path: str) -> Form:
    """How a file of this name is read."""
    return "guess" if path == "-" else _SUFFIXES.get(Path(path).suffix.lower(), "text")


def given_input(
    contract: Contract,
    *,
    text: str | None = None,
    path: str | None = None,
    arguments: Sequence[str] = (),
    literal: Sequence[tuple[str, str]] = (),
) -> dict[str, Any]:
    """The input that a command line means: what `arguments` and `literal` give wins over `text` or `path`."""
    found: dict[str, Any] = {}
    if text is not None:
        found = from_text(text, contract, form="guess", name="the input")
    elif path is not None:
        name = "standard input" if path == "-" else path
        found = from_text(read_file(path), contract, form=form_of(path), name=name)
    return {**found, **from_arguments(arguments, contract, literal)}


def read_file(path: str) -> str:
    """The text of a file, `-` for standard input.

    Raises:
        FileAccessError: it is missing, not readable, too large, or not UTF-8.
    """
    data = read_standard_input(MAX_INPUT_BYTES) if path == "-" else read_bytes(path, MAX_INPUT_BYTES)
    name = "standard input" if path == "-" else f"`{path}`"
    if len(data) > MAX_INPUT_BYTES:
        said = f"{name} is larger than {MAX_INPUT_BYTES >> 20} MiB"
        raise FileAccessError(said, details={"path": path}, hint="Give it in parts, one run for each.")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        said = f"{name} is not UTF-8 text (byte {error.start:,})"
        hint = "Save it as UTF-8; what is no text has to be turned into text first."
        raise FileAccessError(said, details={"path": path}, hint=hint) from None


def from_text(text: str, contract: Contract, *, form: Form, name: str) -> dict[str, Any]:
    """The input that a text means.

    Args:
        text: what was given.
        contract: the app's input contract; plain text is fitted to it.
        form: how to read the text.
        name: what to call it in errors.

    Raises:
        InputSchemaError: the text is not what its form says, or is plain text and the app takes
            more than one text.
    """
    if form == "guess":
        form, ready = _guess(text, contract)
        if ready is not None:
            return ready
    if form == "text":
        return {_text_property(contract, text): text.removesuffix("\n")}
    return _mapping(_read_json(text, name) if form == "json" else _read_yaml(text, name), name, contract)


def _guess(text: str, contract: Contract) -> tuple[Form, dict[str, Any] | None]:
    if text.lstrip().startswith("{"):
        return "json", None
    try:
        root, problems = read(text)
    except DocumentError:
        return "text", None
    if root.keys and set(root.keys) <= set(contract.properties) and not problems:
        return "yaml", root.mapping
    return "text", None


def _text_property(contract: Contract, text: str) -> str:
    """The property that plain text feeds."""
    properties = contract.properties
    strings = [name for name, schema in properties.items() if "string" in declared_types(contract.schema, schema)]
    required = [name for name in strings if name in contract.required]
    others = [name for name in contract.required if name not in required]
    if len(required) == 1 and not others:
        return required[0]
    if len(strings) == 1 and not others:
        return strings[0]
    names = ", ".join(f"`{name}`" for name in properties) or "nothing"
    raise InputSchemaError(
        f"plain text does not say which input it is: the app takes {names}",
        expected_schema=contract.schema,
        received=text[:1000],
        hint="Give each with `--arg NAME VALUE`, or JSON or YAML with these keys.",
    )


def _read_json(text: str, name: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise _unreadable(text, name, "JSON", error.msg, error.lineno, error.colno) from None
    except (ValueError, RecursionError) as error:
        reason = "it nests too deeply" if isinstance(error, RecursionError) else str(error)
        raise InputSchemaError(f"{name} is not valid JSON: {reason}", received=text[:1000]) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key `{next(key for key in keys if keys.count(key) > 1)}` stands twice")
    return found


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"`{word}` is not a JSON value")


def _read_yaml(text: str, name: str) -> Any:
    try:
        root, problems = read(text)
    except DocumentError as error:
        problems, root = [error], None
    if problems or root is None:
        first = problems[0]
        raise _unreadable(text, name, "YAML", first.message, first.mark.line + 1, first.mark.column + 1, first.hint)
    return root.value


def _unreadable(
    text: str, name: str, form: str, reason: str, line: int, column: int, hint: str = ""
) -> InputSchemaError:
    lines = text.split("\n")
    shown = lines[line - 1] if line <= len(lines) else ""
    span = Span(file=name, line=line, column=column, text=shown)
    problem = Problem(message=reason, keyword=form.lower(), span=span, hint=hint)
    return InputSchemaError(
        f"{name} is not valid {form}: line {line}, column {column}: {reason}",
        problems=[problem],
        hint=hint or f"Correct the {form} at the marked place.",
    )


def _mapping(value: Any, name: str, contract: Contract) -> dict[str, Any]:
    if isinstance(value, dict):
        return cast("dict[str, Any]", value)
    if value is None:
        return {}
    raise InputSchemaError(
        f"{name} must hold a mapping of input names to values",
        expected_schema=contract.schema,
        received=value,
    )


def from_arguments(
    arguments: Sequence[str], contract: Contract, literal: Sequence[tuple[str, str]] = ()
) -> dict[str, Any]:
    """The input that `key=value` and `key=@file` arguments mean, and pairs of a key and its literal text.

    Raises:
        UsageError: an argument has no `=`, a key is given twice, or is one that the app does not take.
        FileAccessError: a named file cannot be read.
    """
    found: dict[str, Any] = {}
    for key, text in literal:
        _check_key(key, f"--arg {key}", found, contract)
        found[key] = contract.read_text(key, text)
    for argument in arguments:
        key, equals, text = argument.partition("=")
        _check_key(key if equals else "", argument, found, contract)
        found[key] = contract.read_text(key, _meant(key, text))
    return found


def _check_key(key: str, argument: str, found: Mapping[str, Any], contract: Contract) -> None:
    if not key:
        names = ", ".join(contract.properties)
        said = f"`{argument.strip()}` is not understood"
        raise UsageError(
            f"{said}: an input is written `--arg NAME VALUE`, `key=value` or `key=@file`",
            hint=f"The app takes: {names}." if names else "The app names no input.",
        )
    if key in found:
        raise UsageError(f"`{key}` is given twice")
    if key not in contract.properties and not _open(contract):
        raise UsageError(f"the app takes no input `{key}`", hint=did_you_mean(key, list(contract.properties)))


def _meant(key: str, text: str) -> str:
    """The text that stands after `key=`, or that of the file it names."""
    if text.startswith("@@") or not text.startswith("@"):
        return text.removeprefix("@")
    try:
        return read_file(text[1:])
    except FileAccessError as error:
        literally = f"If no file is meant but a text that begins with `@`: `--arg {key} VALUE`, or `{key}=@@...`."
        hint = f"{error.recovery_hint} {literally}"
        raise FileAccessError(error.message, details=error.details, hint=hint) from None


def _open(contract: Contract) -> bool:
    """Whether the author says that other properties are welcome."""
    extra = contract.schema.get("additionalProperties", False)
    return extra is not False or "patternProperties" in contract.schema or not contract.properties
