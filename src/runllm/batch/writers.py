"""Rows to a file: JSON Lines, CSV, TSV or Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TextIO

from runllm.batch.columns import cell
from runllm.diagnostics import clip, told
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
_FEWEST, _MOST = -(1 << 63), (1 << 63) - 1
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
            f"nothing says how {told(str(target))} is to be written",
            hint="End its name in `.csv`, which every spreadsheet opens, `.tsv`, `.jsonl` or `.parquet`, "
            "or name one of them with `--format`.",
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
                _Ends(file, "\r\n" if layout.mark else "\n"),
                delimiter="\t" if layout.form == "tsv" else layout.delimiter,
            )
            out.writerow([cell(name, raw=layout.raw) for name in layout.columns])
            names, raw = layout.columns, layout.raw
            out.writerows(
                [cell(found, raw=raw) if (found := row.get(name)) is not None else "" for name in names] for row in rows
            )


class _Ends:
    """Ends each row in its own way: told of a shorter line end, the library leaves a CR in a cell unquoted."""

    def __init__(self, file: TextIO, end: str) -> None:
        self._file, self._end = file, end

    def write(self, row: str) -> None:
        """Write a row, which ends with CR and LF."""
        self._file.write(row[:-2] + self._end)


def _write_parquet(rows: Iterable[Mapping[str, Any]], file: TextIO, layout: Layout) -> None:
    from runllm.batch.tables import library

    arrow, parquet = library("pyarrow"), library("pyarrow.parquet")
    types = {name: layout.types.get(name, "string") for name in layout.columns}
    schema: Any = arrow.schema([(name, getattr(arrow, _ARROW[kind])()) for name, kind in types.items()])
    with parquet.ParquetWriter(file.buffer, schema) as out:
        coming = iter(rows)
        while some := list(islice(coming, _AT_A_TIME)):
            cells = [[row.get(name) for name in layout.columns] for row in some]
            table = {
                name: [_typed(one, name, types[name]) for one in column]
                for name, column in zip(types, zip(*cells, strict=True), strict=True)
            }
            out.write_table(arrow.table(table, schema=schema))


def _typed(value: Any, column: str, kind: str) -> Any:
    if value is None or kind == "boolean":
        return value
    if kind == "string":
        return cell(value, raw=True)
    try:
        found = float(value) if kind == "number" else int(value)
        if isinstance(found, float) or _FEWEST <= found <= _MOST:
            return found
    except OverflowError:
        pass
    raise UsageError(
        f"the column `{column}` holds {clip(str(value), 40)}, and a number of Parquet ends at 64 bits",
        hint="Nothing is lost: run the same command with an output that ends in `.jsonl` or `.csv`.",
    )
