"""Rows in a file of text: CSV, TSV, JSON Lines, a JSON list, or one text."""

from __future__ import annotations

import codecs
import csv
import io
import json
import os
import re
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import IO, Any, cast

from runllm.batch.sources import TEXT, Header, Reading, Row, Source, is_empty
from runllm.errors import FileAccessError, InputSchemaError, UsageError
from runllm.inputs import MAX_INPUT_BYTES
from runllm.literals import parse_json

_DELIMITERS = ",;\t|"
_LOOKED_AT = 20  # rows, to find the delimiter
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_SAYS_DELIMITER = re.compile(r'"?sep=([^"\r\n])"?[\r\n]*', re.IGNORECASE)  # Excel's own first line
_BEYOND_FLOAT = re.compile(r"[eE]\+?\d{3}|\d{300}")  # maybe: digits in a text look the same


class Lines(Source):
    """A file of text."""

    def __init__(self, file: IO[bytes], name: str, reading: Reading) -> None:
        self.name = name
        self._file = file
        file.seek(0)
        self.encoding = encoding_of(file.read(4), reading)

    @contextmanager
    def text(self) -> Generator[io.TextIOWrapper]:
        """The text from its start; no line end is changed.

        Raises:
            InputSchemaError: it is no text of its encoding.
        """
        self._file.seek(0)
        text = io.TextIOWrapper(self._file, encoding=self.encoding, newline="")
        try:
            yield text
        except UnicodeError:
            raise self.refusal(
                self._undecodable(),
                f"it is not {self.encoding} text",
                "Save it as UTF-8, or name its encoding, such as `--encoding cp1252` for an older Excel.",
            ) from None
        finally:
            text.detach()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _undecodable(self) -> int:
        """The first line that is no text of the encoding."""
        self._file.seek(0)
        decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(self.encoding)(), translate=True)
        line = 1
        for piece in self._file:  # which ends at a line end, or before
            try:
                line += decoder.decode(piece).count("\n")
            except UnicodeError:
                break
        return line


def encoding_of(begins: bytes, reading: Reading) -> str:
    """The encoding that is named, or the one that the first bytes of a file tell.

    Raises:
        UsageError: there is none of that name.
    """
    found = next((encoding for mark, encoding in _MARKS if begins.startswith(mark)), "utf-8")
    if reading.encoding is None:
        return found
    try:
        "".encode(reading.encoding)
        named = codecs.lookup(reading.encoding).name
    except LookupError:
        raise UsageError(f"`{reading.encoding}` is no encoding", hint="Such as `utf-8`, `utf-16`, `cp1252`.") from None
    return "utf-8-sig" if named == "utf-8" else reading.encoding


class Delimited(Lines):
    """Cells between delimiters, as spreadsheets write them; the first line names the columns."""

    as_text = True

    def __init__(self, file: IO[bytes], name: str, reading: Reading, delimiter: str | None) -> None:
        super().__init__(file, name, reading)
        csv.field_size_limit(MAX_INPUT_BYTES)
        self.marked = self.encoding != "utf-8"  # a spreadsheet wrote it
        with self.text() as text:
            says = _SAYS_DELIMITER.fullmatch(text.readline(8))
        self._first = 2 if says else 1
        found = reading.delimiter if reading.delimiter is not None else says[1] if says else delimiter
        self.delimiter = found if found is not None else self._found()
        with self.text() as text:
            first = next(self._cells(text), None)
        if first is None:
            raise InputSchemaError(f"{name} is empty", hint="Its first line names the columns.")
        self._header = Header(self, *first)
        self.columns = self._header.columns

    def rows(self) -> Iterator[Row]:
        """Each row that is not empty."""
        with self.text() as text:
            cells = self._cells(text)
            next(cells)
            for line, found in cells:
                yield Row(line=line, cells=self._header.named(line, found))

    def _cells(self, text: io.TextIOWrapper) -> Iterator[tuple[int, list[str]]]:
        """The cells of each row that is not empty, the header's first, and the line in which they begin."""
        reader, line = csv.reader(self._lines(text), delimiter=self.delimiter, strict=True), self._first
        while True:
            try:
                found = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                hint = "A cell that holds quotes is quoted, with each quote in it doubled."
                raise self.refusal(line, f"it is no CSV: {error}", hint) from None
            if not is_empty(found):
                yield line, found
            line = reader.line_num + self._first

    def _lines(self, text: Iterable[str]) -> Iterator[str]:
        for number, line in enumerate(text, 1):
            if "\0" in line:
                hint = "Save it as `CSV UTF-8`. If it is UTF-16 without a mark: `--encoding utf-16-le`."
                raise self.refusal(number, "it holds a NUL character, which no text does", hint)
            if number >= self._first:
                yield line

    def _found(self) -> str:
        """The delimiter that gives most of the first rows as many cells as the header; a comma where none does."""
        best, found = (0.0, 1), ","
        for delimiter in _DELIMITERS:
            with self.text() as text:
                cells = (one for one in csv.reader(self._lines(text), delimiter=delimiter) if not is_empty(one))
                try:
                    widths = [len(one) for one in islice(cells, _LOOKED_AT)]
                except csv.Error:
                    continue
            if widths and widths[0] > 1 and (fits := (widths.count(widths[0]) / len(widths), widths[0])) > best:
                best, found = fits, delimiter
        return found


class JsonLines(Lines):
    """A JSON object a line."""

    hint = "Each line is one whole JSON object. A JSON list is read with `--input-format json`."

    def rows(self) -> Iterator[Row]:
        """Each line that is not blank."""
        with self.text() as text:
            for line, one in enumerate(text, 1):
                if one.strip():
                    yield _row(line, self.read(one, line))

    def read(self, text: str, line: int | None = None) -> Any:
        """A JSON value, which is all of a file or stands in this line.

        Raises:
            InputSchemaError: it is none, or holds a number that no program reads as one.
        """
        try:
            found = parse_json(text)
            if _BEYOND_FLOAT.search(text):
                json.dumps(found, allow_nan=False)
        except json.JSONDecodeError as error:
            raise self.refusal(line or error.lineno, f"it is no JSON: {error.msg}", self.hint) from None
        except (ValueError, RecursionError) as error:
            reason = "it nests too deeply" if isinstance(error, RecursionError) else str(error)
            raise self.refusal(line or 1, f"it is no JSON: {reason}") from None
        return found


class JsonList(JsonLines):
    """A JSON list of objects, held as a whole."""

    hint = "All of it is one JSON list. A JSON object a line is read with `--input-format jsonl`."

    def __init__(self, file: IO[bytes], name: str, reading: Reading) -> None:
        super().__init__(file, name, reading)
        file.seek(0, os.SEEK_END)
        if file.tell() > MAX_INPUT_BYTES:
            raise FileAccessError(f"{name} is a JSON list larger than 64 MiB", hint="Save it as JSON Lines.")
        with self.text() as text:
            found = self.read(text.read())
        if not isinstance(found, list):
            raise self.refusal(1, "it is no list of rows", self.hint)
        self._list: list[Any] = found  # pyright: ignore[reportUnknownVariableType]
        self.counted = "row"

    def rows(self) -> Iterator[Row]:
        """Each element, by its number."""
        for number, cells in enumerate(self._list, 1):
            yield _row(number, cells)


def _row(line: int, found: Any) -> Row:
    if isinstance(found, dict):
        return Row(line=line, cells=cast("dict[str, Any]", found))
    return Row(line=line, other=found)


class OneText(Lines):
    """A file that is one text, and so one row."""

    as_text = True
    columns = ("file", TEXT)
    bulky = TEXT
    counted = "row"

    def rows(self) -> Iterator[Row]:
        """The one row."""
        with self.text() as text:
            yield Row(line=1, cells={"file": self.name, TEXT: text.read()})
