"""Which column feeds which input, and which columns the output has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from runllm.batch.sources import TEXT, Row, Source
from runllm.diagnostics import did_you_mean
from runllm.errors import UsageError
from runllm.schema import Contract, declared_properties, declared_types, is_object, resolve

FAILED = ("_key", "_error_code", "_error")
"""The columns of a row that failed: which it is, and why."""
WHOLE = "output"
"""The column of an output that is no object."""
MORE = "_more"
"""The column of what an output holds beside what its schema declares."""


class Feeding:
    """Makes inputs of rows."""

    def __init__(self, contract: Contract, source: Source, maps: Mapping[str, str]) -> None:
        """Decide which column feeds which input.

        Args:
            contract: the app's input.
            source: where the rows come from.
            maps: the column of an input, where it is not the one of its name.

        Raises:
            UsageError: an input or a column is not there, or a required input has no column.
        """
        self._contract = contract
        self._as_text = source.as_text
        self._columns = dict(maps)
        for name, column in maps.items():
            if name not in contract.properties:
                raise UsageError(f"the app takes no input `{name}`", hint=did_you_mean(name, list(contract.properties)))
            if source.columns is not None and column not in source.columns:
                raise UsageError(f"{source.name} has no column `{column}`", hint=_named(column, source.columns))
        if source.bulky is not None and source.bulky not in maps.values():
            self._columns |= _one_text(contract, source.bulky)
        for name in contract.properties:
            if name not in self._columns and (source.columns is None or name in source.columns):
                self._columns[name] = name
        missing = [name for name in contract.required if name not in self._columns]
        if missing:
            raise _unfed(missing, source)
        taken = {*self._columns.values(), source.bulky}
        open_to_all = contract.schema.get("additionalProperties", False) is not False or not contract.properties
        self._beside = tuple(one for one in source.columns or () if open_to_all and one not in taken)

    def given(self, row: Row) -> Any:
        """The input that a row means; what is no row stays as it is, for the contract to refuse.

        A cell of text is read as its input's type, and never names a file; an empty one is not given, unless its input
        is a text that has to be there.
        """
        if row.other is not None:
            return row.other
        cells = row.cells
        found = {name: cells[column] for name, column in self._columns.items() if column in cells}
        if self._as_text:
            given = {name: cell for name, cell in found.items() if cell or self._may_be_empty(name)}
            found = {name: self._contract.read_text(name, cell) for name, cell in given.items()}
        return {**found, **{name: cells[name] for name in self._beside}}

    def _may_be_empty(self, name: str) -> bool:
        types = declared_types(self._contract.schema, self._contract.properties[name])
        return name in self._contract.required and "string" in types


def _one_text(contract: Contract, column: str) -> dict[str, str]:
    """The input that a text file feeds: the one text, or the only one that is required."""
    declared = contract.properties.items()
    texts = [name for name, schema in declared if "string" in declared_types(contract.schema, schema)]
    required = [name for name in texts if name in contract.required]
    one = required if len(required) == 1 else texts
    return {one[0]: column} if len(one) == 1 else {}


def _named(column: str, columns: Sequence[str]) -> str:
    return did_you_mean(column, list(columns)) or f"It has: {', '.join(columns)}."


def _unfed(missing: Sequence[str], source: Source) -> UsageError:
    columns = source.columns or ()
    names = " and ".join(f"`{name}`" for name in missing)
    column = TEXT if source.bulky else next(iter(columns), "COLUMN")
    return UsageError(
        f"no column of {source.name} feeds {names}; it has {', '.join(f'`{one}`' for one in columns) or 'none'}",
        hint=f"Say which one does: `--map {missing[0]}={column}`.",
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
            UsageError: a kept column has the name of another.
        """
        self._prefix, self._flatten, self._key = prefix, flatten, key
        self._names = tuple(contract.properties) if is_object(contract.schema) and contract.properties else None
        self.kept = tuple(kept)
        own = _flat_names(contract, contract.schema, prefix) if flatten else self._own_names()
        more = (MORE,) if self._names and contract.schema.get("additionalProperties", True) is not False else ()
        self.columns = (*self.kept, *own, *more, *FAILED)
        twice = next((name for name in self.kept if name in {*own, *FAILED}), None)
        if twice is not None:
            raise UsageError(
                f"the column `{twice}` of the rows has the name of an output",
                hint="Name outputs otherwise with `--prefix out_`, or leave the column out of `--keep`.",
            )

    def _own_names(self) -> list[str]:
        return [self._prefix + name for name in ((WHOLE,) if self._names is None else self._names)]

    def of(self, row: Row, output: Any) -> dict[str, Any]:
        """The row of an output."""
        named: dict[str, Any] = output if self._names is not None else {WHOLE: output}
        found = {self._prefix + name: value for name, value in named.items()}
        return {**self._kept(row), **(_flat(found) if self._flatten else found)}

    def failed(self, row: Row, code: str, message: str) -> dict[str, Any]:
        """The row of a failure."""
        key: Any = row.cells.get(self._key, row.line) if self._key else row.line
        return {**self._kept(row), **dict(zip(FAILED, (key, code, message), strict=True))}

    def _kept(self, row: Row) -> dict[str, Any]:
        return {name: row.cells[name] for name in self.kept if name in row.cells}


def _flat(value: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, one in value.items():
        inner = cast("Mapping[str, Any]", one) if isinstance(one, dict) and one else None
        found |= {name: one} if inner is None else _flat({f"{name}.{key}": held for key, held in inner.items()})
    return found


def _flat_names(contract: Contract, schema: Mapping[str, Any], prefix: str) -> Iterable[str]:
    names: list[str] = []
    for name, sub in declared_properties(contract.schema, schema).items():
        inner = resolve(contract.schema, sub)
        below = declared_properties(contract.schema, inner) if "object" in declared_types(contract.schema, sub) else {}
        names += _flat_names(contract, inner, f"{prefix}{name}.") if below else [prefix + name]
    return names or [prefix + WHOLE]


_NUMBER = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]+)?")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def cell(value: Any, *, raw: bool) -> str:
    """A value as a cell of a table of texts.

    Args:
        value: of JSON; what is no single value is written as JSON.
        raw: whether a text that a spreadsheet would take for a formula stays as it is.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value if raw or not value.startswith(_FORMULA) or _NUMBER.fullmatch(value) else f"'{value}"
    return json.dumps(value, ensure_ascii=False)
