"""Tables of other kinds: Parquet, and the workbooks of spreadsheets. Both need libraries that are an extra."""

from __future__ import annotations

import datetime as dt
from base64 import b64encode
from collections.abc import Iterator
from importlib import import_module
from math import isfinite, isnan
from typing import IO, Any

from runllm.batch.sources import Header, Reading, Row, Source, is_empty, unlike
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

    counted = "row"

    def __init__(self, file: IO[bytes], name: str) -> None:
        parquet = library("pyarrow.parquet")
        self.name = name
        self._file = file
        try:
            self._table: Any = parquet.ParquetFile(file)
        except Exception as error:  # its errors are many, and all say that it is no such file
            raise InputSchemaError(f"{name} is no Parquet file: {error}") from None
        self.columns = tuple(self._table.schema_arrow.names)
        unlike(self, 0, self.columns)

    def rows(self) -> Iterator[Row]:
        """Each row, by its number."""
        for number, cells in enumerate(self._cells(), 1):
            yield Row(line=number, cells={name: as_json(cell) for name, cell in cells.items()})

    def _cells(self) -> Iterator[dict[str, Any]]:
        number = 0
        coming = self._table.iter_batches(batch_size=_AT_A_TIME)
        while True:
            try:
                some = next(coming, None)
                found: list[dict[str, Any]] = [] if some is None else some.to_pylist()
            except Exception as error:  # as above
                raise self.refusal(number + 1, f"it cannot be read from here on: {error}") from None
            if some is None:
                return
            number += len(found)
            yield from found

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Sheet(Source):
    """A sheet of a workbook, as the texts that its cells show."""

    as_text = True
    marked = True
    counted = "row"

    def __init__(self, file: IO[bytes], name: str, sheet: str | None) -> None:
        calamine = library("python_calamine")
        self.name = name
        self._file = file
        file.seek(0)
        try:
            book = calamine.CalamineWorkbook.from_filelike(file)
            sheets = [one.name for one in book.sheets_metadata if one.typ == calamine.SheetTypeEnum.WorkSheet]
            self._sheet: Any = book.get_sheet_by_name(sheet or sheets[0]) if sheet in (None, *sheets) else None
        except Exception as error:
            raise InputSchemaError(f"{name} is no workbook: {error}") from None
        if self._sheet is None:
            raise UsageError(f"{name} has no sheet `{sheet}`", hint=f"It has: {', '.join(sheets)}.")
        first = next(self._cells(), None)
        if first is None:
            raise InputSchemaError(f"{name} has nothing in its sheet `{self._sheet.name}`", hint="`--sheet` names one.")
        self._header = Header(self, *first)
        self.columns = self._header.columns

    def rows(self) -> Iterator[Row]:
        """Each row that is not empty, by its number in the sheet."""
        cells = self._cells()
        next(cells)
        for number, found in cells:
            yield Row(line=number, cells=self._header.named(number, found))

    def _cells(self) -> Iterator[tuple[int, list[str]]]:
        for number, found in enumerate(self._sheet.iter_rows(), 1):
            cells = [_shown(cell) for cell in found]
            if not is_empty(cells):
                yield number, cells

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def as_json(value: Any) -> Any:
    """A value of Parquet as JSON has it: what is missing as null, bytes as their text or else in base 64."""
    if isinstance(value, float) and not isfinite(value):
        return None if isnan(value) else str(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return None if value != value else value.isoformat()  # noqa: PLR0124 - no time, as pandas has it
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return b64encode(value).decode()
    if isinstance(value, list | tuple):
        return [as_json(one) for one in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        return {str(name): as_json(one) for name, one in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return str(value)


def _shown(cell: Any) -> str:
    """A cell of a workbook as a text: a number with the 15 digits that a spreadsheet shows, a date in ISO 8601."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1 << 53 else f"{cell:.15g}"
    if isinstance(cell, dt.datetime) and cell.time() == dt.time():
        return cell.date().isoformat()
    if isinstance(cell, dt.datetime | dt.date | dt.time):
        return cell.isoformat()
    return str(cell)
