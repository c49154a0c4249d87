"""Which column feeds which input, and which columns the output has."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from shlex import quote
from typing import Any, cast

from runllm.batch.sources import NO_OTHER, TEXT, Row, Source
from runllm.diagnostics import did_you_mean, nearest, told
from runllm.errors import UsageError
from runllm.schema import Contract, declared_properties, declared_types, is_object, resolve

FAILED = ("_key", "_error_code", "_error")
"""The columns of a row that failed: which it is, and why."""
WHOLE = "output"
"""The column of an output that is no object."""
MORE = "_more"
"""The column of what an output holds beside what its schema declares."""


class Feeding:
    """Makes inputs of rows.

    Attributes:
        columns: the column that feeds each input; of rows that say their own columns, the one that may.
    """

    def __init__(self, contract: Contract, source: Source, maps: Mapping[str, str]) -> None:
        """Decide which column feeds which input: the one of its name, if need be in other letters.

        Args:
            contract: the app's input.
            source: where the rows come from.
            maps: the column of an input, where it is not the one of its name.

        Raises:
            UsageError: an input or a column is not there, or a required input has no column.
        """
        self.columns = dict(maps)
        for name, column in maps.items():
            if name not in contract.properties:
                hint = did_you_mean(name, list(contract.properties))
                raise UsageError(f"the app takes no input {told(name)}", hint=hint)
            if source.columns is not None and column not in source.columns:
                raise UsageError(f"{source.name} has no column {told(column)}", hint=_named(column, source.columns))
        if source.bulky is not None and source.bulky not in maps.values():
            self.columns |= _one_text(contract, source.bulky)
        for name in contract.properties:
            column = name if source.columns is None else column_of(name, source.columns)
            if name not in self.columns and column is not None:
                self.columns[name] = column
        missing = [name for name in contract.required if name not in self.columns]
        if missing:
            raise _unfed(missing, source)
        self._cells = Cells(contract, source)
        self._taken = {*self.columns.values(), *self.columns, source.bulky}
        self._open = takes_more(contract) or not contract.properties

    def given(self, row: Row) -> Any:
        """The input that a row means; what is no row stays as it is, for the contract to refuse."""
        if row.other is not NO_OTHER:
            return row.other
        cells = row.cells
        found = {name: cells[column] for name, column in self.columns.items() if column in cells}
        beside = {name: cell for name, cell in cells.items() if name not in self._taken} if self._open else {}
        return {**beside, **self._cells.read(found)}


class Cells:
    """Reads cells as the values that a contract has under their names."""

    def __init__(self, contract: Contract, source: Source) -> None:
        self._contract = contract
        self._as_text, self._is_table = source.as_text, source.columns is not None
        self._types = {name: declared_types(contract.schema, one) for name, one in contract.properties.items()}

    def read(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """What cells mean, by the names that they feed.

        A cell of text is read as the type of its name, and never names a file; an empty one is not given, unless it is
        a text that has to be there. Of other tables a missing cell is not given, unless it may be null. What JSON says
        is a value already, and stays as it is.
        """
        if not self._is_table:
            return dict(found)
        return {name: self._read(name, cell) for name, cell in found.items() if self._is_given(name, cell)}

    def _read(self, name: str, cell: Any) -> Any:
        is_text = not isinstance(cell, str) or "string" in self._types.get(name, ())
        return cell if is_text else self._contract.read_text(name, cell)

    def _is_given(self, name: str, cell: Any) -> bool:
        types = self._types.get(name, set[str]())
        if cell is None:
            return "null" in types
        if not isinstance(cell, str) or "string" not in types:
            return not isinstance(cell, str) or cell.strip() != ""
        return cell != "" or not self._as_text or name in self._contract.required


def takes_more(contract: Contract) -> bool:
    """Whether an input takes what it does not name."""
    return contract.schema.get("additionalProperties", False) is not False


def column_of(name: str, columns: Sequence[str]) -> str | None:
    """The column of this name; else the only one that differs in case alone, or in blanks for underscores."""
    if name in columns:
        return name
    alike = [one for one in columns if _folded(one) == _folded(name)]
    return alike[0] if len(alike) == 1 else None


def _folded(name: str) -> str:
    return name.casefold().replace(" ", "_").replace("-", "_")


def _one_text(contract: Contract, column: str) -> dict[str, str]:
    """The input that a text file feeds: the one text, or the only one that is required."""
    declared = contract.properties.items()
    texts = [name for name, schema in declared if "string" in declared_types(contract.schema, schema)]
    required = [name for name in texts if name in contract.required]
    one = required if len(required) == 1 else texts
    return {one[0]: column} if len(one) == 1 else {}


def _named(column: str, columns: Sequence[str]) -> str:
    return did_you_mean(column, list(columns)) or f"It has: {', '.join(map(told, columns))}."


def _unfed(missing: Sequence[str], source: Source) -> UsageError:
    columns = source.columns or ()
    names = " and ".join(f"`{name}`" for name in missing)
    column = TEXT if source.bulky else nearest(missing[0], columns) or next(iter(columns), "COLUMN")
    header = " The first line names the columns." if source.as_text and not source.bulky else ""
    return UsageError(
        f"no column of {source.name} feeds {names}; it has {', '.join(map(told, columns)) or 'none'}",
        hint=f"Say which one does: `--map {quote(f'{missing[0]}={column}')}`.{header}",
    )


class Shape:
    """What a row of the output holds: kept columns, the output of the app, and what is said of a failure."""

    def __init__(
        self,
        contract: Contract,
        kept: Sequence[str],
        *,
        prefix: str = "",
        flatten: bool = False,
        key: str | None = None,
    ) -> None:
        """Decide on the columns.

        Args:
            contract: of the app's output.
            kept: the columns of the rows that are kept.
            prefix: before the name of each output.
            flatten: whether objects in an output become columns of their own, with names such as `address.city`.
            key: the column that says which row a row is; its number by default.

        Raises:
            UsageError: two columns would have one name.
        """
        self._prefix, self._flatten, self._key = prefix, flatten, key
        self._is_named = is_object(contract.schema) and bool(contract.properties)
        self.kept = tuple(dict.fromkeys(kept))
        names = [prefix + name for name in (contract.properties if self._is_named else (WHOLE,))]
        own = tuple(_flat_names(contract, contract.schema, prefix) if flatten and self._is_named else names)
        is_open = self._is_named and (flatten or contract.schema.get("additionalProperties", True) is not False)
        self._own = frozenset(own)
        self.columns = (*self.kept, *own, *((MORE,) if is_open else ()), *FAILED)
        twice = next((name for name, times in Counter(self.columns).items() if times > 1), None)
        if twice is not None:
            raise self._twice(twice)

    def _twice(self, name: str) -> UsageError:
        if name not in self.kept:
            said = f"two columns of the output are called {told(name)}"
            return UsageError(said, hint="Leave out `--flatten`." if self._flatten else "Take another `--prefix`.")
        kept = ",".join(one for one in self.kept if one != name) or "none"
        ways = f"keep the others alone with `--keep {quote(kept)}`"
        if name in self._own:
            ways = f"name outputs otherwise with `--prefix out_`, or {ways}"
        return UsageError(
            f"the column {told(name)} of the rows has the name of an output", hint=f"{ways[0].upper()}{ways[1:]}."
        )

    def of(self, row: Row, output: Any) -> dict[str, Any]:
        """The row of an output; what its schema does not declare stands together in one column."""
        named: dict[str, Any] = output if self._is_named else {WHOLE: output}
        found = {self._prefix + name: value for name, value in named.items()}
        if self._flatten and self._is_named:
            found = _flat(found, self._own)
        more = {name: value for name, value in found.items() if name not in self._own}
        if more:
            found = {**{name: value for name, value in found.items() if name in self._own}, MORE: more}
        return {**self._kept(row), **found}

    def failed(self, row: Row, code: str, message: str) -> dict[str, Any]:
        """The row of a failure."""
        key: Any = row.cells.get(self._key, row.line) if self._key else row.line
        return {**self._kept(row), **dict(zip(FAILED, (key, code, message), strict=True))}

    def _kept(self, row: Row) -> dict[str, Any]:
        return {name: row.cells[name] for name in self.kept if name in row.cells}


def _flat(value: Mapping[str, Any], own: Collection[str]) -> dict[str, Any]:
    """Objects in objects as values of their own, but for those that have a column; what is empty has none."""
    found: dict[str, Any] = {}
    for name, one in value.items():
        if name in own:
            found[name] = one
        elif isinstance(one, dict):
            inner = cast("Mapping[str, Any]", one)
            found |= _flat({f"{name}.{key}": held for key, held in inner.items()}, own)
        elif one is not None:
            found[name] = one
    return found


def _flat_names(contract: Contract, schema: Mapping[str, Any], prefix: str) -> list[str]:
    names: list[str] = []
    for name, sub in declared_properties(contract.schema, schema).items():
        inner = resolve(contract.schema, sub)
        below = declared_properties(contract.schema, inner) if "object" in declared_types(contract.schema, sub) else {}
        names += _flat_names(contract, inner, f"{prefix}{name}.") if below else [prefix + name]
    return names


_WRITTEN = json.JSONEncoder(ensure_ascii=False).encode
_NUMBER = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]+)?")
_FORMULA = re.compile(r"[\s\0\u200b\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
"""What a spreadsheet may take for a formula: with blanks before it, or in the wide letters of East Asia, as well."""


def cell(value: Any, *, raw: bool) -> str:
    """A value as a cell of a table of texts.

    Args:
        value: of JSON; what is no single value is written as JSON.
        raw: whether a text that a spreadsheet would take for a formula stays as it is.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value if raw or not _FORMULA.match(value) or _NUMBER.fullmatch(value) else f"'{value}"
    return _WRITTEN(value)
