"""Cases in a table: each row is an input, and says what the output must be.

A column feeds the input of its name, or says what the output of its name must be: `input.NAME` and `output.NAME` where
both have it, `output` alone of the whole. Cells mean what they mean to a batch: those of a table of texts are read as
the type of their name, and say nothing where they are empty; what JSON Lines say is a value already, null included.

`name`, `tags`, `error` and `skip` may stand beside them, and so may what `runllm batch` writes of a row that failed,
which is then to fail again. A row of JSON Lines may be a whole case instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, cast

from runllm.batch.columns import FAILED, MORE, WHOLE, Cells, Feeding, column_of, takes_more
from runllm.batch.opening import opened
from runllm.batch.sources import NO_OTHER, Reading, Row
from runllm.batch.sources import Source as Table
from runllm.diagnostics import Problem, did_you_mean
from runllm.program import Program, Source
from runllm.schema import read_text
from runllm.values import frozen

_KIND = "MetadataValidationError"
_KEY, _CODE, _MESSAGE = FAILED
_OWN = {"name": "name", "tags": "tags", "error": "error", "skip": "skip", _CODE: "error"}
"""The key of a case that a column is."""
_SAYS_NOTHING = (_KEY, _MESSAGE)
_NO = ("false", "no", "0")

Said = tuple[int, dict[str, Any]]
"""The line of a row, and the case that it says, as it would stand under `tests`."""


def tests_of(path: Path, program: Program) -> tuple[list[Said], list[Problem]]:
    """The cases in a table of tests, and what is wrong with its columns.

    Raises:
        RunllmError: it cannot be read.
    """
    place = Source(name=str(path), text="")
    found, problems, unknown = list[Said](), list[Problem](), dict[str, int]()
    with closing(opened([str(path)], Reading())) as table:
        rows = _Rows(program, table, {}, own=True)
        for row in table.rows():
            if row.other is not NO_OTHER:
                problems.append(place.problem(row.line, "a row is a JSON object", "tests", kind=_KIND))
                continue
            said, others = rows.said(row)
            found.append((row.line, said))
            unknown |= dict.fromkeys((name for name in others if name not in unknown), row.line)
    known = [*program.input.properties, *program.output_contract.properties, WHOLE, *_OWN]
    for name, line in unknown.items():
        said, hint = f"no input and no output is named `{name}`", did_you_mean(name, known)
        if name in known:
            said, hint = f"`{name}` stands in two columns: here and in a longer name for the same", "Keep one of them."
        problems.append(place.problem(line, said, "tests", hint, _KIND))
    return found, problems


def rows_of(path: str, program: Program, maps: Mapping[str, str]) -> Iterator[Said]:
    """The rows of any table as cases, named by their places: inputs, and the outputs for which there is a column.

    Args:
        path: the table.
        program: whose inputs and outputs they are.
        maps: the column of an input, where it is not the one of its name.

    Raises:
        RunllmError: it cannot be read, or an input that must be given has no column.
    """
    with closing(opened([path], Reading())) as table:
        own = {
            name: column for name in program.input.properties if (column := f"input.{name}") in (table.columns or ())
        }
        rows = _Rows(program, table, Feeding(program.input, table, {**own, **maps}).columns, own=False)
        for row in table.rows():
            if row.other is not NO_OTHER:
                raise table.refusal(row.line, "a row is a JSON object")
            yield row.line, {**rows.said(row)[0], "name": table.place(row.line)}


@frozen
class _Meaning:
    """What columns are: of an input, of an output, of the case itself, by its name; or nothing that is known."""

    given: Mapping[str, str]
    expected: Mapping[str, str]
    own: Mapping[str, str]
    others: tuple[str, ...]


class _Rows:
    """Makes cases of the rows of a table."""

    def __init__(self, program: Program, table: Table, maps: Mapping[str, str], *, own: bool) -> None:
        self._program, self._maps, self._own = program, maps, _OWN if own else {}
        self._given, self._expected = Cells(program.input, table), Cells(program.output_contract, table)
        self._is_table = table.columns is not None
        self._of_all = None if table.columns is None else self._meaning(table.columns, column_of)

    def said(self, row: Row) -> tuple[dict[str, Any], tuple[str, ...]]:
        """A row as a case, and the columns of it that are nothing."""
        if self._own and isinstance(row.cells.get("input"), dict) and "input" not in self._program.input.properties:
            return dict(row.cells), ()
        columns = [name for name, cell in row.cells.items() if not self._says_nothing(cell)]
        of = self._of_all or self._meaning(columns, lambda name, there: name if name in there else None)
        given = {name: row.cells[column] for name, column in of.given.items() if column in row.cells}
        said: dict[str, Any] = {"input": self._given.read(given)}
        if takes_more(self._program.input):
            said["input"] = {**{name: row.cells[name] for name in of.others if name in columns}, **said["input"]}
        expected = {name: row.cells[column] for name, column in of.expected.items() if column in columns}
        partial = self._expected.read({name: cell for name, cell in expected.items() if name != WHOLE or self._named()})
        if WHOLE in expected and not self._named():
            said["output"] = self._whole(expected[WHOLE])
        if MORE in columns and self._own:
            partial |= self._more(row.cells[MORE])
        if partial:
            said["partial"] = partial
        for column, key in of.own.items():
            if column in columns:
                _say_own(said, key, row.cells[column])
        return said, () if takes_more(self._program.input) else tuple(name for name in of.others if name in columns)

    def _says_nothing(self, cell: Any) -> bool:
        """Whether a cell is empty; null is what JSON expects."""
        return self._is_table and (cell is None or cell == "")

    def _named(self) -> bool:
        """Whether an output is named as the column of a whole one is."""
        return WHOLE in self._program.output_contract.properties

    def _whole(self, cell: Any) -> Any:
        schema = self._program.output_contract.schema
        return read_text(cell, schema, schema) if self._is_table and isinstance(cell, str) else cell

    def _more(self, cell: Any) -> dict[str, Any]:
        """What a batch writes in one column beside the outputs that are declared."""
        found = read_text(cell, {"type": "object"}, {}) if isinstance(cell, str) else cell
        return cast("dict[str, Any]", found) if isinstance(found, dict) else {}

    def _meaning(self, columns: Sequence[str], find: Callable[[str, Sequence[str]], str | None]) -> _Meaning:
        left = list(columns)

        def taken(names: Sequence[str]) -> str | None:
            column = next((found for name in names if (found := find(name, left))), None)
            if column is not None:
                left.remove(column)
            return column

        given = {name: column for name, column in self._maps.items() if column in left}
        left = [column for column in left if column not in given.values()]
        for name in self._program.input.properties:
            if name not in given and (column := taken([f"input.{name}", name])):
                given[name] = column
        outputs = dict.fromkeys([*self._program.output_contract.properties, WHOLE])
        expected = {name: column for name in outputs if (column := taken([f"output.{name}", name]))}
        own = {column: key for name, key in self._own.items() if (column := taken([name]))}
        silent = (*_SAYS_NOTHING, MORE) if self._own else ()
        return _Meaning(given=given, expected=expected, own=own, others=tuple(one for one in left if one not in silent))


def _say_own(said: dict[str, Any], key: str, cell: Any) -> None:
    """What a column says of the case itself: tags as people separate them, and no reason to skip that says no."""
    if cell is None or cell == "":
        return
    if key == "tags" and isinstance(cell, str):
        said["tags"] = [tag for tag in re.split(r"[,;\s]+", cell) if tag]
    elif key != "skip" or str(cell).strip().lower() not in _NO:
        said[key] = cell
