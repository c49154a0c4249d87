"""Tables of other kinds: Parquet, and the workbooks of spreadsheets. Both need libraries that are an extra."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from importlib import import_module
from typing import IO, Any

from runllm.batch.sources import Reading, Row, Source
from runllm.errors import EngineUnavailableError, InputSchemaError, UsageError
from runllm.installation import REQUIREMENTS, adding

_AT_A_TIME = 1_000  # rows of a Parquet file


def library(name: str) -> Any:
    """A library of an extra.

    Raises:
        EngineUnavailableError: it is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError:
        extra = "parquet" if name.startswith("pyarrow") else "xlsx"
        raise EngineUnavailableError(
            f"reading and writing such tables needs `{name.partition('.')[0]}`, which is not installed",
            hint=adding(REQUIREMENTS[extra], extra),
        ) from None


def opened(form: str, file: IO[bytes], name: str, reading: Reading) -> Source:
    """A Parquet file or a workbook as a source.

    Raises:
        EngineUnavailableError: its library is not installed.
        InputSchemaError: it is not what its name says.
    """
    return Parquet(file, name) if form == "parquet" else Sheet(file, name, reading.sheet)


class Parquet(Source):
    """A Parquet file, some rows of it at a time; dates and times become their ISO 8601 text."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        parquet = library("pyarrow.parquet")
        self.name = name
        self._file = file
        try:
            self._table: Any = parquet.ParquetFile(file)
        except Exception as error:  # its errors are many, and all say that it is no such file
            raise InputSchemaError(f"{name} is no Parquet file: {error}") from None
        self.columns = tuple(self._table.schema_arrow.names)

    def rows(self) -> Iterator[Row]:
        """Each row, by its number."""
        number = 0
        for some in self._table.iter_batches(batch_size=_AT_A_TIME):
            for cells in some.to_pylist():
                number += 1
                yield Row(line=number, cells={name: _plain(cell) for name, cell in cells.items()})

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Sheet(Source):
    """A sheet of a workbook, as the texts that its cells show."""

    as_text = True

    def __init__(self, file: IO[bytes], name: str, sheet: str | None) -> None:
        calamine = library("python_calamine")
        self.name = name
        self._file = file
        try:
            book = calamine.CalamineWorkbook.from_filelike(file)
        except Exception as error:
            raise InputSchemaError(f"{name} is no workbook: {error}") from None
        sheets = list(book.sheet_names)
        if sheet is not None and sheet not in sheets:
            raise UsageError(f"{name} has no sheet `{sheet}`", hint=f"It has: {', '.join(sheets)}.")
        self._sheet: Any = book.get_sheet_by_name(sheet or sheets[0])
        first: list[Any] = next(iter(self._sheet.iter_rows()), list[Any]())
        self._names = [_shown(cell).strip() for cell in first]
        self.columns = tuple(filter(None, self._names))
        twice = next((one for one in self.columns if self.columns.count(one) > 1), None)
        if twice is not None:
            raise self.refusal(1, f"two columns are called `{twice}`", "Give each column a name of its own.")

    def rows(self) -> Iterator[Row]:
        """Each row that is not empty, by its number in the sheet."""
        for number, found in enumerate(self._sheet.iter_rows(), 1):
            cells = [_shown(cell) for cell in found]
            if number > 1 and any(cells):
                named = zip(self._names, cells, strict=False)
                yield Row(line=number, cells={name: cell for name, cell in named if name})

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _plain(value: Any) -> Any:
    """A value of Parquet as JSON has it."""
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, list):
        return [_plain(one) for one in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)


def _shown(cell: Any) -> str:
    """A cell of a workbook as a text: a whole number without a point, a date in ISO 8601."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1 << 53 else repr(cell)
    if isinstance(cell, dt.datetime) and cell.time() == dt.time():
        return cell.date().isoformat()
    if isinstance(cell, dt.datetime | dt.date | dt.time):
        return cell.isoformat()
    return str(cell)
