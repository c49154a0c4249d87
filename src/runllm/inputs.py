"""Text from a shell or a file to an input: JSON and YAML keep their types, plain text is read as declared.

The rules, in one place:

- A `.json` file is JSON, `.yaml` and `.yml` are YAML, any other file is one text.
- `--input` and standard input are the whole input if they are one JSON object with a key that the app declares, or
  nearly so, or the beginning of one, or one YAML mapping of declared keys alone that says nothing beside it. Anything
  else is one text.
- One text feeds the one text that is still required (or the only text there is), without the line end of its last line.
- A plain word of YAML that is read for a text is that text: `007` and `true`.
- A text after `--` feeds the one text in the same way, whatever it looks like.
- `--arg key value` is read as the type declared for `key`, strictly; whatever the value, it names no file.
- `key=value` is read the same way, but `key=@file` takes the text of a file, and `key=@@x` is the text `@x`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import islice
from pathlib import Path
from shlex import quote
from typing import Any, Literal, cast

from runllm import literals
from runllm.diagnostics import Problem, Span, clip, did_you_mean, nearest, told
from runllm.documents import DocumentError, Mark, Node, read, says_more
from runllm.errors import FileAccessError, InputSchemaError, UsageError
from runllm.files import read_bytes, read_standard_input
from runllm.results import Event
from runllm.schema import Contract, declared_types

Form = Literal["json", "yaml", "text", "guess"]
Listener = Callable[[Event], None]

MAX_INPUT_BYTES = 64 << 20
_SUFFIXES: dict[str, Form] = {".json": "json", ".yaml": "yaml", ".yml": "yaml"}
_TABLES = frozenset({".csv", ".tsv"})
_SPREADSHEETS = frozenset({".xlsx", ".xlsm", ".xls", ".ods"})
_MOST_COMPARED = 100  # keys of an object, each with every name
_MOST_NAMED = 5
_MOST_SHOWN = 60  # characters
# A document of other names is no mistyped input: `title` is near `times` by 0.6, `txet` near `text` by 0.75.
_CLOSE = 0.75
_FIRST_KEY = re.compile(r'\s*\{\s*("(?:[^"\\]|\\.)*+")\s*:')


def form_of(path: str) -> Form:
    """How a file of this name is read."""
    return "guess" if path == "-" else _SUFFIXES.get(Path(path).suffix.lower(), "text")


def _unheard(event: Event) -> None:
    del event


def given_input(
    contract: Contract,
    *,
    text: str | None = None,
    path: str | None = None,
    arguments: Sequence[str] = (),
    literal: Sequence[tuple[str, str]] = (),
    bare: str | None = None,
    listener: Listener = _unheard,
) -> dict[str, Any]:
    """The input that a command line means: what `arguments` and `literal` give wins over `text` or `path`.

    A blank standard input is none. `listener` is told how the rest was read, and what to be warned of.

    Raises:
        InputSchemaError: `text` or the file is not what its form says, is no single input, or was taken for the
            mapping of all and does not fit.
        UsageError, FileAccessError: as `from_arguments` and `read_file`; or standard input is named twice.
    """
    if [path, *(argument.partition("=@")[2] for argument in arguments)].count("-") > 1:
        raise UsageError("standard input is named twice, and can be read once", hint="Name a file for the other.")
    named = from_arguments(arguments, contract, literal, listener)
    if bare is not None and _text_input(contract, ()) in named:  # it can be no other text: an argument like the others
        named = from_arguments((*arguments, bare), contract, literal, listener)
    elif bare is not None:
        named |= from_text(bare, contract, form="text", name="the text", fed=named, listener=listener)
    name, form = "the input", "guess"
    if path is not None:
        name, form = "standard input" if path == "-" else path, form_of(path)
        awaited = [one for one in contract.required if one not in named]
        text = read_file(path, listener, " and ".join(f"`{one}`" for one in awaited) or "the input")
    if text is None or (path == "-" and not text.strip()):
        return named
    try:
        found = from_text(text, contract, form=form, name=name, fed=named, listener=listener)
    except InputSchemaError as error:
        error.recovery_hint = f"{error.recovery_hint} {_as_one(contract, path)}"
        raise
    return {**found, **named}


def _as_one(contract: Contract, path: str | None) -> str:
    """A hint: how the same text is given to one input, whatever it looks like."""
    names = _texts(contract) or list(contract.properties) or ["NAME"]
    ways = (f"--arg {name} TEXT" if path is None else quote(f"{name}=@{path}") for name in names[:_MOST_NAMED])
    return f"If all of it is one input: {' or '.join(f'`{way}`' for way in ways)}."


def accepted(contract: Contract, given: Any) -> Any:
    """The input with its defaults filled in.

    Raises:
        InputSchemaError: it does not fit its contract.
    """
    value = contract.with_defaults(given)
    problems = contract.problems(value)
    if problems:
        first = problems[0]
        where = f"`{first.pointer}`: " if first.pointer else ""
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise InputSchemaError(
            f"the input does not fit: {where}{first.message}{more}",
            problems=problems,
            expected_schema=contract.schema,
            received=given,
            hint=first.hint or None,
        )
    return value


def read_file(path: str, listener: Listener = _unheard, awaited: str = "the input") -> str:
    """The text of a file, `-` for standard input, which is to give what is `awaited`.

    Raises:
        FileAccessError: it is missing, not readable, too large, or no text.
    """

    def late() -> None:
        said = f"standard input is to give {awaited} and has not ended: end what writes to it, or press Ctrl-D"
        listener(Event(step="warning", message=said, elapsed=0))

    data = read_standard_input(MAX_INPUT_BYTES, late) if path == "-" else read_bytes(path, MAX_INPUT_BYTES)
    name = "standard input" if path == "-" else f"`{path}`"
    suffix = Path(path).suffix.lower()
    if len(data) > MAX_INPUT_BYTES:
        said = f"{name} is larger than {MAX_INPUT_BYTES >> 20} MiB"
        raise FileAccessError(said, details={"path": path}, hint="Give it in parts, one run for each.")
    if suffix in _SPREADSHEETS:
        hint = "`runllm batch` runs a file on each of its rows. Saved as CSV, all of it can be given as one text."
        raise FileAccessError(f"{name} is a spreadsheet, which is no text", details={"path": path}, hint=hint)
    if suffix in _TABLES:
        said = f"{name} is a table, and all of it is read as one text; `runllm batch` runs a file on each of its rows"
        listener(Event(step="warning", message=said, elapsed=0))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        said = f"{name} is not UTF-8 text (byte {error.start:,})"
        hint = "Save it as UTF-8; what is no text has to be turned into text first."
        raise FileAccessError(said, details={"path": path}, hint=hint) from None


def from_text(
    text: str,
    contract: Contract,
    *,
    form: Form,
    name: str,
    fed: Mapping[str, Any] | None = None,
    listener: Listener = _unheard,
) -> dict[str, Any]:
    """The input that a text means.

    Args:
        text: what was given.
        contract: the app's input contract; one text is fitted to it.
        form: how to read the text.
        name: what to call it in errors.
        fed: inputs that come from elsewhere.
        listener: told how it is read.

    Raises:
        InputSchemaError: the text is not what its form says, is one text where several could be meant, or was taken
            for the mapping of all inputs, and with those fed does not fit.
    """
    fed, guessed, root = fed or {}, form == "guess", None
    if form == "guess":
        form, root = _guess(text, contract, fed)
    if form == "text":
        one = _text_input(contract, fed) or _text_input(contract, ())
        if one is None:
            raise _several(contract, name, text)
        listener(Event(step="input", message=f"{name} is read as one text, `{one}`", elapsed=0))
        return {one: text.removesuffix("\r\n") if text.endswith("\r\n") else text.removesuffix("\n")}
    if form == "json":
        value, lost = _read_json(text, name), literals.of_json(text)
    else:
        root = root or _read_yaml(_lines(text), name)
        literals.as_texts(contract.schema, contract.schema, root)
        value, lost = root.value, list(literals.of_document(root))
    found = _mapping(value, name, contract)
    _warn_of(lost, name, listener)
    listener(Event(step="input", message=f"{name} is read as a {form.upper()} mapping of inputs", elapsed=0))
    if guessed and found:
        accepted(contract, {**found, **fed})
    return found


def _lines(text: str) -> str:
    """A text whose lines end as those of YAML do."""
    return text.replace("\r\n", "\n")


def _warn_of(lost: Sequence[tuple[Mark, str, str]], name: str, listener: Listener) -> None:
    """Tell of numbers that lose digits, each at its place in what is called `name`."""
    for mark, literal, kept in lost[:_MOST_NAMED]:
        where = f"{name}, line {mark.line + 1}, column {mark.column + 1}"
        listener(Event(step="warning", message=f"{where}: {literals.said(literal, kept)}", elapsed=0))


def _guess(text: str, contract: Contract, fed: Collection[str]) -> tuple[Form, Node | None]:
    """What a text is meant as, and the document that it is, where it has been read."""
    begins = text.lstrip()
    keys = _json_keys(text) if begins.startswith("{") else None
    if keys is not None and (
        not keys or _names_one(keys, contract) or (_open(contract) and not _text_input(contract, fed))
    ):
        return "json", None
    names = "|".join(re.escape(name) for name in contract.properties)
    if not re.match(rf"(?:\{{\s*)?[\"']?(?:{names})[\"']?\s*:", begins):  # most texts need not be read as YAML
        return "text", None
    try:
        root, problems = read(_lines(text))
    except DocumentError:
        return "text", None
    if root.keys and root.keys.keys() <= contract.properties.keys() and not problems and not says_more(_lines(text)):
        return "yaml", root
    return "text", None


def _json_keys(text: str) -> list[str] | None:
    """The keys of a JSON object, whatever else is wrong with it; None where the text as a whole is none.

    Of one that breaks off where the text ends, the first.
    """
    try:
        found: Any = json.loads(text, parse_int=str)  # which takes any number of digits
    except (json.JSONDecodeError, RecursionError) as error:
        at_end = isinstance(error, RecursionError) or error.pos >= len(text.rstrip()) or "Unterminated" in error.msg
        first = _FIRST_KEY.match(text) if at_end else None
        return [json.loads(first[1])] if first else None
    return list(cast("dict[str, Any]", found)) if isinstance(found, dict) else None


def _names_one(keys: Sequence[str], contract: Contract) -> bool:
    """Whether a declared name is among the keys, maybe mistyped."""
    names = contract.properties
    return any(key in names for key in keys) or any(nearest(key, names, _CLOSE) for key in islice(keys, _MOST_COMPARED))


def _texts(contract: Contract) -> list[str]:
    declared = contract.properties.items()
    return [name for name, schema in declared if "string" in declared_types(contract.schema, schema)]


def _text_input(contract: Contract, fed: Collection[str]) -> str | None:
    """The input that one text feeds beside those that are fed; None where that is not plain."""
    texts = [name for name in _texts(contract) if name not in fed]
    required = [name for name in contract.required if name not in fed]
    left = required or texts
    return left[0] if len(left) == 1 and left[0] in texts else None


def _several(contract: Contract, name: str, text: str) -> InputSchemaError:
    names = ", ".join(f"`{one}`" for one in contract.properties) or "nothing by name"
    return InputSchemaError(
        f"{name} does not say which input it is: the app takes {names}",
        expected_schema=contract.schema,
        received=text[:1000],
        hint="Give each with `--arg NAME VALUE`, or JSON or YAML with these keys.",
    )


def _read_json(text: str, name: str) -> Any:
    try:
        return literals.parse_json(text)
    except json.JSONDecodeError as error:
        raise _unreadable(text, name, "JSON", error.msg, error.lineno, error.colno) from None
    except (ValueError, RecursionError) as error:
        reason = "it nests too deeply" if isinstance(error, RecursionError) else str(error)
        raise InputSchemaError(f"{name} is not valid JSON: {reason}", received=text[:1000]) from None


def _read_yaml(text: str, name: str) -> Node:
    try:
        root, problems = read(text)
    except DocumentError as error:
        problems, root = [error], None
    if problems or root is None:
        first = problems[0]
        raise _unreadable(text, name, "YAML", first.message, first.mark.line + 1, first.mark.column + 1, first.hint)
    return root


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
    arguments: Sequence[str],
    contract: Contract,
    literal: Sequence[tuple[str, str]] = (),
    listener: Listener = _unheard,
) -> dict[str, Any]:
    """The input that `key=value` and `key=@file` arguments mean, and pairs of a key and its literal text.

    Raises:
        UsageError: an argument has no `=`, a key is given twice, or is one that the app does not take.
        FileAccessError: a named file cannot be read.
    """
    found: dict[str, Any] = {}
    if len(arguments) > 1 and not any("=" in one for one in arguments) and _text_input(contract, ()):
        said = " ".join(arguments)
        hint = f"Put the text in quotes, after `--`: `-- {quote(clip(said, _MOST_SHOWN))}`."
        raise UsageError(f"{told(said)} is not understood: these are several words, and no input", hint=hint)
    for key, text in literal:
        _check_key(key, f"--arg {key}", found, contract)
        found[key] = _value(contract, key, text, listener)
    for argument in arguments:
        key, equals, text = argument.partition("=")
        _check_key(key if equals else "", argument, found, contract)
        found[key] = _value(contract, key, _meant(key, text, listener), listener)
    return found


def _value(contract: Contract, key: str, text: str, listener: Listener) -> Any:
    """The value that a text is for an input."""
    value = contract.read_text(key, text)
    if not isinstance(value, str):
        _warn_of(literals.of_json(text), f"`{key}`", listener)
    return value


def _check_key(key: str, argument: str, found: Mapping[str, Any], contract: Contract) -> None:
    if not key:
        names = ", ".join(contract.properties)
        said = f"{told(argument.strip())} is not understood"
        raise UsageError(
            f"{said}: an input is written `--arg NAME VALUE`, `key=value` or `key=@file`",
            hint=literals.as_argument(argument.strip(), contract.properties, _text_input(contract, ()))
            or (f"The app takes: {names}." if names else "The app names no input."),
        )
    if key in found:
        raise UsageError(f"{told(key)} is given twice")
    if key not in contract.properties and not _open(contract):
        hint = literals.as_argument(key, contract.properties, None) or did_you_mean(key, list(contract.properties))
        raise UsageError(f"the app takes no input {told(key)}", hint=hint)


def _meant(key: str, text: str, listener: Listener) -> str:
    """The text that stands after `key=`, or that of the file it names."""
    if text.startswith("@@") or not text.startswith("@"):
        return text.removeprefix("@")
    try:
        found = read_file(text[1:], listener, f"`{key}`")
    except FileAccessError as error:
        literally = f"If no file is meant but a text that begins with `@`: `--arg {key} VALUE`, or `{key}=@@...`."
        hint = f"{error.recovery_hint} {literally}"
        raise FileAccessError(error.message, details=error.details, hint=hint) from None
    name = "standard input" if text == "@-" else text[1:]
    listener(Event(step="input", message=f"`{key}` is given the text of {name}", elapsed=0))
    return found


def _open(contract: Contract) -> bool:
    """Whether the author says that other properties are welcome."""
    extra = contract.schema.get("additionalProperties", False)
    return extra is not False or "patternProperties" in contract.schema or not contract.properties
