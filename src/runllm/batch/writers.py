"""Rows to a file: JSON Lines, CSV, TSV or Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TextIO

from runllm.batch.columns import MORE, cell
from runllm.errors import UsageError
from runllm.schema import Contract, declared_types
from runllm.values import frozen

Form = Literal["jsonl", "csv", "tsv", "parquet"]
FORMS: Mapping[str, Form] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".parquet": "parquet",
}
_AT_A_TIME = 1_000  # rows of a Parquet file
_ARROW = {"string": "string", "integer": "int64", "number": "float64", "boolean": "bool_"}


@frozen
class Layout:
    """How rows are written.

    Attributes:
        form: of the file.
        columns: of a table, in order.
        delimiter: between the cells of a CSV.
        mark: whether a CSV begins with the mark that tells a spreadsheet of UTF-8.
        raw: whether texts that a spreadsheet would take for formulas stay as they are.
        types: of the columns of a Parquet file that are no texts, by the names of JSON Schema.
    """

    form: Form
    columns: Sequence[str]
    delimiter: str = ","
    mark: bool = False
    raw: bool = False
    types: Mapping[str, str]


def form_of(target: str | None, form: Form | None) -> Form:
    """The form of an output: as it is named, else as the ending of its file says, else JSON Lines on standard output.

    Raises:
        UsageError: nothing says it.
    """
    if form is not None:
        return form
    found: Form | None = "jsonl" if target is None else FORMS.get(Path(target).suffix.lower())
    if found is None:
        raise UsageError(
            f"nothing says how {target} is to be written",
            hint="End its name in `.csv`, `.tsv`, `.jsonl` or `.parquet`.",
        )
    return found


def types_of(contract: Contract, prefix: str) -> dict[str, str]:
    """The columns of an output that hold one type, which is none of texts."""
    found: dict[str, str] = {}
    for name, schema in contract.properties.items():
        types = declared_types(contract.schema, schema) - {"null"}
        if types in ({"integer"}, {"boolean"}, {"number"}, {"number", "integer"}):
            found[prefix + name] = "number" if "number" in types else next(iter(types))
    return found


def write(rows: Iterable[Mapping[str, Any]], file: TextIO, layout: Layout) -> None:
    """Write rows; one in memory at a time, or a thousand of Parquet.

    Args:
        rows: by column.
        file: what is written to; of bytes below, for Parquet.
        layout: how.
    """
    match layout.form:
        case "jsonl":
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        case "parquet":
            _write_parquet(rows, file, layout)
        case _:
            file.write("\ufeff" if layout.mark else "")
            out = csv.writer(
                file,
                delimiter="\t" if layout.form == "tsv" else layout.delimiter,
                lineterminator="\r\n" if layout.mark else "\n",
            )
            out.writerow([cell(name, raw=layout.raw) for name in layout.columns])
            for row in rows:
                out.writerow([cell(one, raw=layout.raw) for one in _in_columns(row, layout.columns)])


def _in_columns(row: Mapping[str, Any], columns: Sequence[str]) -> list[Any]:
    """The cells of a row; what has no column stands in the one for that."""
    if MORE in columns:
        more = {name: value for name, value in row.items() if name not in columns}
        row = {**row, MORE: more} if more else row
    return [row.get(name) for name in columns]


def _write_parquet(rows: Iterable[Mapping[str, Any]], file: TextIO, layout: Layout) -> None:
    from runllm.batch.tables import library

    arrow, parquet = library("pyarrow"), library("pyarrow.parquet")
    types = {name: layout.types.get(name, "string") for name in layout.columns}
    schema: Any = arrow.schema([(name, getattr(arrow, _ARROW[kind])()) for name, kind in types.items()])
    with parquet.ParquetWriter(file.buffer, schema) as out:
        coming = iter(rows)
        while some := list(islice(coming, _AT_A_TIME)):
            cells = [_in_columns(row, layout.columns) for row in some]
            table = [
                [_typed(one, types[name]) for one in column]
                for name, column in zip(types, zip(*cells, strict=True), strict=True)
            ]
            out.write_table(arrow.table(dict(zip(types, table, strict=True)), schema=schema))


def _typed(value: Any, kind: str) -> Any:
    if value is None or kind == "boolean":
        return value
    if kind == "number":
        return float(value)
    if kind == "integer":
        return int(value)
    return cell(value, raw=True)
