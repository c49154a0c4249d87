"""What rows are, and what gives them: see `opening` for which source reads what.

A source is read twice, once to be checked and once to be run, and holds one row at a time. What breaks the form of
its file is refused with its place; whether a row fits an app is for others to say.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any, Literal

from runllm.diagnostics import Problem, Span, clip
from runllm.errors import InputSchemaError
from runllm.values import frozen, often

Form = Literal["csv", "tsv", "jsonl", "json", "parquet", "xlsx", "text"]
TEXT = "text"
"""The column that holds a text file; the one beside it is its `file`."""
NO_OTHER: Any = object()
_LINE_END = re.compile(r"\s*[\r\n]\s*")
_MOST_SHOWN = 40  # characters of a cell


@often
class Row:
    """One row.

    Attributes:
        line: where it stands in its file, counted from 1; of a file of texts or a table, its number.
        cells: by column.
        other: whatever was found where a JSON object was expected, null included; its row has no cells.
    """

    line: int
    cells: Mapping[str, Any] = field(default_factory=dict[str, Any])
    other: Any = NO_OTHER


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
        marked: whether a table made of it is to begin with the mark that tells a spreadsheet of UTF-8.
        counted: what `Row.line` counts.
    """

    name: str = ""
    columns: tuple[str, ...] | None = None
    as_text = False
    bulky: str | None = None
    marked = False
    counted = "line"

    @abstractmethod
    def rows(self) -> Iterator[Row]:
        """Each row, from the first on.

        Raises:
            InputSchemaError: a place that breaks the form of the file.
        """

    def close(self) -> None:  # noqa: B027 - not every source holds one
        """Let go of the file."""

    def place(self, line: int) -> str:
        """Where a row stands, for a message."""
        return f"{self.name}, {self.counted} {line:,}"

    def refusal(self, line: int, message: str, hint: str = "") -> InputSchemaError:
        """The error for a place that breaks the form of the file."""
        problem = Problem(message=message, keyword="rows", span=Span(file=self.name, line=line, column=1), hint=hint)
        return InputSchemaError(f"{self.place(line)}: {message}", problems=[problem], hint=hint or None)


class Header:
    """The names of the columns, as the first row that is not empty gives them.

    Attributes:
        columns: those with a name.
    """

    def __init__(self, source: Source, line: int, cells: Sequence[str]) -> None:
        """Take the names; blanks around them, and line ends in them, are no part of them.

        Raises:
            InputSchemaError: two columns have one name.
        """
        self._source, self._line = source, line
        self._names = [_LINE_END.sub(" ", one.strip()) for one in cells]
        while self._names and not self._names[-1]:
            self._names.pop()
        self.columns = tuple(filter(None, self._names))
        unlike(source, line, self.columns)

    def named(self, line: int, cells: Sequence[str]) -> dict[str, str]:
        """The cells of a row by their columns.

        Raises:
            InputSchemaError: there are fewer cells than columns, or one that is not empty has no name.
        """
        names = self._names
        missing = len(names) - len(cells)
        if missing > 0 or any(cells[len(names) :]):
            raise self._source.refusal(
                line,
                f"it has {len(cells)} cells, and line {self._line} has {len(names)}",
                "A cell that holds the delimiter or a line end is quoted. "
                + ("A cell that is empty still has its delimiter." if missing > 0 else ""),
            )
        found = dict(zip(names, cells, strict=False))
        if found.pop("", None) is not None:
            for number, (name, cell) in enumerate(zip(names, cells, strict=False), 1):
                if cell and not name:
                    said = f"its cell {number} (`{clip(cell, _MOST_SHOWN)}`) stands in a column without a name"
                    raise self._source.refusal(line, said, f"Name that column in line {self._line}, or take it out.")
        return found


def unlike(source: Source, line: int, columns: Sequence[str]) -> None:
    """Hold the names of columns apart.

    Raises:
        InputSchemaError: two are the same.
    """
    twice = next((one for one, times in Counter(columns).items() if times > 1), None)
    if twice is not None:
        raise source.refusal(line, f"two columns are called `{twice}`", "Give each column a name of its own.")


def is_empty(cells: Sequence[str]) -> bool:
    """Whether there is nothing in any cell of a row but blanks."""
    return not any(map(str.strip, cells))
