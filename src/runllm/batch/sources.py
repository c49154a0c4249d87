"""Where rows come from: CSV, TSV, JSON Lines, a JSON list, or text files; tables of other kinds are in `tables`.

A source is read twice, once to be checked and once to be run, and holds one row at a time. What is no seekable file,
such as a pipe, is spooled first; a file is held open, so that another one saved in its place meanwhile is not mixed
with it. What breaks the form of the file is refused with its line; whether a row fits an app is for others to say.
"""

from __future__ import annotations

import csv
import glob
import io
import json
import os
import re
import shutil
import stat
import sys
import tempfile
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field
from pathlib import Path
from typing import IO, Any, Literal, cast

from runllm.diagnostics import Problem, Span
from runllm.errors import FileAccessError, InputSchemaError, RunllmError, UsageError
from runllm.inputs import MAX_INPUT_BYTES, parse_json, read_file
from runllm.values import frozen

Form = Literal["csv", "tsv", "jsonl", "json", "parquet", "xlsx", "text"]
FORMS: dict[str, Form] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    **dict.fromkeys((".xlsx", ".xlsm", ".xls", ".ods"), "xlsx"),
}  # pyright: ignore[reportAssignmentType]
TEXT = "text"
"""The column that holds a text file; the one beside it is its `file`."""
_DELIMITERS = ",;\t|"
_ENCODINGS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_GLOB = re.compile(r"[*?\[]")


@frozen
class Row:
    """One row.

    Attributes:
        line: where it stands in its file, counted from 1; of a file of texts or a table, its number.
        cells: by column.
        other: whatever was found where a JSON object was expected; its row has no cells.
    """

    line: int
    cells: Mapping[str, Any] = field(default_factory=dict[str, Any])
    other: Any = None


@frozen
class Reading:
    """How to read what is given, where it does not say so itself; None to find out.

    Attributes:
        form: of the file.
        encoding: of its text; UTF-8, or what its first bytes say, by default.
        delimiter: between cells of a CSV.
        sheet: of a workbook; the first by default.
    """

    form: Form | None = None
    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None


class Source(ABC):
    """Rows, which can be read more than once.

    Attributes:
        name: what it is called in messages.
        columns: of every row; None where each row says its own.
        as_text: whether cells are texts, to be read as the type of the input that they feed.
        bulky: a column that is no part of what is kept by default.
    """

    name: str = ""
    columns: tuple[str, ...] | None = None
    as_text = False
    bulky: str | None = None

    @abstractmethod
    def rows(self) -> Iterator[Row]:
        """Each row, from the first on.

        Raises:
            InputSchemaError: a place that breaks the form of the file.
        """

    def close(self) -> None:  # noqa: B027 - not every source holds one
        """Let go of the file."""

    def refusal(self, line: int, message: str, hint: str = "") -> InputSchemaError:
        """The error for a place that breaks the form of the file."""
        problem = Problem(message=message, keyword="rows", span=Span(file=self.name, line=line, column=1), hint=hint)
        return InputSchemaError(f"{self.name}, line {line:,}: {message}", problems=[problem], hint=hint or None)


def opened(paths: Sequence[str], reading: Reading) -> Source:
    """The source that is named: a table, `-` for standard input, or a folder, a pattern or a list of text files.

    Raises:
        FileAccessError: it cannot be read.
        UsageError: nothing says of what form it is.
        InputSchemaError: its first line breaks its form.
    """
    if not paths:
        paths = ["-"]
    if len(paths) > 1 or os.path.isdir(paths[0]) or _is_pattern(paths[0]):  # noqa: PTH112 - a pattern is no path
        return Texts(_text_files(paths))
    path = paths[0]
    form = reading.form or FORMS.get(Path(path).suffix.lower())
    file = _binary(path)
    name = "standard input" if path == "-" else path
    if form is None:
        form = _guess(file) if path == "-" else None
    match form:
        case "csv" | "tsv":
            return Delimited(file, name, reading, "\t" if form == "tsv" else None)
        case "jsonl":
            return JsonLines(file, name, reading)
        case "json":
            return JsonList(file, name, reading)
        case "parquet" | "xlsx":
            from runllm.batch import tables  # an extra

            return tables.opened(form, file, name, reading)
        case "text":
            return Texts([path])
        case _:
            raise UsageError(
                f"nothing says what kind of rows {name} holds",
                hint="Name it with `--input-format csv`, `tsv`, `jsonl`, `json`, `parquet`, `xlsx` or `text`.",
            )


def _is_pattern(path: str) -> bool:
    return _GLOB.search(path) is not None and not os.path.lexists(path)


def _text_files(paths: Sequence[str]) -> list[str]:
    found: list[str] = []
    for path in paths:
        if os.path.isdir(path):  # noqa: PTH112 - as it was typed
            inside = sorted(one for one in os.listdir(path) if not one.startswith("."))  # noqa: PTH208 - as above
            files = [os.path.join(path, one) for one in inside]  # noqa: PTH118 - as above
            found += [one for one in files if os.path.isfile(one)]  # noqa: PTH113 - as above
        elif _is_pattern(path):
            found += sorted(one for one in glob.glob(path, recursive=True) if os.path.isfile(one))  # noqa: PTH113, PTH207
        else:
            found.append(path)
    if not found:
        raise FileAccessError(f"there is no file in {' '.join(paths)}", details={"path": paths[0]})
    table = next((path for path in found if len(paths) > 1 and FORMS.get(Path(path).suffix.lower()) in _TABLES), None)
    if table is not None:
        raise UsageError(
            f"{table} is a table, and one batch reads one table", hint="Give each table a batch of its own."
        )
    return found


_TABLES = ("csv", "tsv", "xlsx", "parquet", "jsonl")


def _binary(path: str) -> IO[bytes]:
    """A file to read from its start as often as needed."""
    try:
        file = sys.stdin.buffer if path == "-" else open(path, "rb")  # noqa: SIM115, PTH123 - the source closes it
        if path != "-" and stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return file
        spool = tempfile.TemporaryFile()  # noqa: SIM115 - as above
        with file if path != "-" else _left_open(file):
            shutil.copyfileobj(file, spool)
    except OSError as error:
        said = error.strerror or str(error)
        raise FileAccessError(f"`{path}` cannot be read: {said}", details={"path": path}) from None
    return spool


@contextmanager
def _left_open(file: IO[bytes]) -> Generator[IO[bytes]]:
    yield file


def _guess(file: IO[bytes]) -> Form:
    """The form of what came through a pipe: JSON says so itself, else it is CSV."""
    file.seek(0)
    begins = file.read(1 << 16).lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    return {b"{": "jsonl", b"[": "json"}.get(begins, "csv")  # pyright: ignore[reportReturnType]


class Lines(Source):
    """A file of text."""

    def __init__(self, file: IO[bytes], name: str, reading: Reading) -> None:
        self.name = name
        self._file = file
        file.seek(0)
        begins = file.read(4)
        found = next((encoding for mark, encoding in _ENCODINGS if begins.startswith(mark)), "utf-8")
        self.encoding = reading.encoding or found
        try:
            "".encode(self.encoding)
        except LookupError:
            raise UsageError(f"`{self.encoding}` is no encoding", hint="Such as `utf-8`, `utf-16`, `cp1252`.") from None

    @contextmanager
    def text(self) -> Generator[io.TextIOWrapper]:
        """The text from its start; no line end is changed."""
        self._file.seek(0)
        text = io.TextIOWrapper(self._file, encoding=self.encoding, newline="")
        try:
            yield text
        except UnicodeDecodeError:
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
        """The first line that is no text of the encoding; 1 where lines cannot be told without decoding."""
        self._file.seek(0)
        for number, line in enumerate(self._file, 1):
            try:
                line.decode(self.encoding)
            except UnicodeDecodeError:
                return number
        return 1


class Delimited(Lines):
    """Cells between delimiters, as spreadsheets write them; the first line names the columns."""

    as_text = True

    def __init__(self, file: IO[bytes], name: str, reading: Reading, delimiter: str | None) -> None:
        super().__init__(file, name, reading)
        csv.field_size_limit(MAX_INPUT_BYTES)
        self.delimiter = reading.delimiter or delimiter or self._found()
        if len(self.delimiter) != 1:
            raise UsageError(
                "`--delimiter` is one character", hint="A tab is written `$'\\t'`, or `--input-format tsv`."
            )
        with self.text() as text:
            names = next((cells for _, cells in self._cells(text)), None)
        if not names:
            raise InputSchemaError(f"{name} is empty", hint="Its first line names the columns.")
        self._names = [one.strip() for one in names]
        while self._names and not self._names[-1]:
            self._names.pop()
        twice = [one for one, times in Counter(filter(None, self._names)).items() if times > 1]
        if twice:
            raise self.refusal(1, f"two columns are called `{twice[0]}`", "Give each column a name of its own.")
        self.columns = tuple(filter(None, self._names))

    def rows(self) -> Iterator[Row]:
        """Each row that is not empty."""
        with self.text() as text:
            cells = self._cells(text)
            next(cells)
            for line, found in cells:
                if any(found):
                    yield Row(line=line, cells=self._named(line, found))

    def _cells(self, text: io.TextIOWrapper) -> Iterator[tuple[int, list[str]]]:
        """Each line with anything in it, and where it begins."""
        reader, line = csv.reader(text, delimiter=self.delimiter, strict=True), 1
        while True:
            try:
                found = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                hint = "A cell that holds quotes is quoted, with each quote in it doubled."
                raise self.refusal(line, f"it is no CSV: {error}", hint) from None
            if found:
                yield line, found
            line = reader.line_num + 1

    def _named(self, line: int, cells: list[str]) -> dict[str, str]:
        missing, beyond = len(self._names) - len(cells), cells[len(self._names) :]
        if missing > 0 or any(beyond):
            said = f"it has {len(cells)} cells, and there are {len(self._names)} columns"
            raise self.refusal(line, said, "A cell that holds the delimiter or a line end is quoted.")
        for name, cell in zip(self._names, cells, strict=False):
            if cell and not name:
                raise self.refusal(line, "a cell stands in a column without a name", "Name the column in line 1.")
        return {name: cell for name, cell in zip(self._names, cells, strict=False) if name}

    def _found(self) -> str:
        """The delimiter that the first line has most often outside quotes; a comma where it has none."""
        with self.text() as text:
            first = re.sub(r'"[^"]*"', "", text.readline())
        return max(_DELIMITERS, key=first.count)


class JsonLines(Lines):
    """A JSON object a line."""

    def rows(self) -> Iterator[Row]:
        """Each line that is not blank."""
        with self.text() as text:
            for line, one in enumerate(text, 1):
                if one.strip():
                    yield _row(line, self.read(line, one))

    def read(self, line: int, text: str) -> Any:
        """A JSON value."""
        try:
            return parse_json(text)
        except json.JSONDecodeError as error:
            raise self.refusal(line + error.lineno - 1, f"it is no JSON: {error.msg}") from None
        except (ValueError, RecursionError) as error:
            reason = "it nests too deeply" if isinstance(error, RecursionError) else str(error)
            raise self.refusal(line, f"it is no JSON: {reason}") from None


class JsonList(JsonLines):
    """A JSON list of objects, held as a whole."""

    def __init__(self, file: IO[bytes], name: str, reading: Reading) -> None:
        super().__init__(file, name, reading)
        file.seek(0, os.SEEK_END)
        if file.tell() > MAX_INPUT_BYTES:
            raise FileAccessError(f"{name} is a JSON list larger than 64 MiB", hint="Save it as JSON Lines.")
        with self.text() as text:
            found = self.read(1, text.read())
        if not isinstance(found, list):
            raise self.refusal(1, "it is no list of rows", "A batch reads a JSON list, or a JSON object a line.")
        self._list: list[Any] = found  # pyright: ignore[reportUnknownVariableType]

    def rows(self) -> Iterator[Row]:
        """Each element, by its number."""
        for number, cells in enumerate(self._list, 1):
            yield _row(number, cells)


def _row(line: int, found: Any) -> Row:
    return (
        Row(line=line, cells=cast("dict[str, Any]", found)) if isinstance(found, dict) else Row(line=line, other=found)
    )


class Texts(Source):
    """Text files, each a row: its `file`, and its `text`."""

    as_text = True
    columns = ("file", TEXT)
    bulky = TEXT

    def __init__(self, paths: Sequence[str]) -> None:
        self.name = os.path.commonpath([os.path.dirname(path) or "." for path in paths]) or "."  # noqa: PTH120
        self._paths = paths

    def rows(self) -> Iterator[Row]:
        """Each file, by its number."""
        for number, path in enumerate(self._paths, 1):
            yield Row(line=number, cells={"file": path, TEXT: _text(path)})


def _text(path: str) -> str:
    try:
        return read_file(path)
    except RunllmError as error:
        raise InputSchemaError(error.message, hint=error.recovery_hint) from None
