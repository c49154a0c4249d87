"""Many files of text, each a row."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from runllm.batch.lines import encoding_of
from runllm.batch.sources import TEXT, Reading, Row, Source
from runllm.errors import FileAccessError, UsageError
from runllm.files import read_bytes
from runllm.inputs import MAX_INPUT_BYTES

_TABLES = frozenset({".csv", ".tsv", ".xlsx", ".xlsm", ".xls", ".ods", ".parquet", ".jsonl", ".ndjson"})
_GLOB = re.compile(r"[*?\[]")


def are_many(paths: Sequence[str]) -> bool:
    """Whether these are several files, a folder or a pattern."""
    return len(paths) > 1 or os.path.isdir(paths[0]) or is_pattern(paths[0])  # noqa: PTH112 - a pattern is no path


class Texts(Source):
    """Text files, each a row: its `file`, and its `text`."""

    as_text = True
    columns = ("file", TEXT)
    bulky = TEXT
    counted = "file"

    def __init__(self, paths: Sequence[str], reading: Reading) -> None:
        """Find the files, in the order of their names where those are not given.

        Raises:
            FileAccessError: there is none.
            UsageError: one of several is a table, or they are to be read as one.
        """
        if reading.form not in (None, "text"):
            raise UsageError(
                f"`--input-format {reading.form}` is for one file, and these are several",
                hint="Give each table a batch of its own; several files are a text each.",
            )
        self.name = " ".join(paths) if len(paths) == 1 else f"the {len(paths):,} files"
        self._paths, self._reading = _text_files(paths), reading

    def place(self, line: int) -> str:
        """The path of a file."""
        return self._paths[line - 1]

    def rows(self) -> Iterator[Row]:
        """Each file, by its number."""
        for number, path in enumerate(self._paths, 1):
            yield Row(line=number, cells={"file": path, TEXT: self._text(number, path)})

    def _text(self, number: int, path: str) -> str:
        data = read_bytes(path, MAX_INPUT_BYTES)
        if len(data) > MAX_INPUT_BYTES:
            raise self.refusal(number, f"it is larger than {MAX_INPUT_BYTES >> 20} MiB")
        encoding = encoding_of(data[:4], self._reading)
        try:
            return data.decode(encoding)
        except UnicodeError:
            hint = "Name the texts alone, such as `'letters/*.txt'`, or their encoding, such as `--encoding cp1252`."
            raise self.refusal(number, f"it is not {encoding} text", hint) from None


def is_pattern(path: str) -> bool:
    """Whether this names files by what they have in common."""
    return _GLOB.search(path) is not None and not os.path.lexists(path)


def _text_files(paths: Sequence[str]) -> list[str]:
    found: list[str] = []
    for path in paths:
        if os.path.isdir(path):  # noqa: PTH112 - as it was typed
            inside = sorted(one for one in os.listdir(path) if not one.startswith("."))  # noqa: PTH208 - as above
            files = [os.path.join(path, one) for one in inside]  # noqa: PTH118 - as above
            found += [one for one in files if os.path.isfile(one)]  # noqa: PTH113 - as above
        elif is_pattern(path):
            found += sorted(one for one in glob.glob(path, recursive=True) if os.path.isfile(one))  # noqa: PTH113, PTH207
        else:
            found.append(path)
    if not found:
        raise FileAccessError(f"there is no file in {' '.join(paths)}", details={"path": paths[0]})
    table = next((path for path in found if Path(path).suffix.lower() in _TABLES), None)
    if table is not None:
        raise UsageError(
            f"{table} is a table, and one batch reads one table",
            hint="Give each table a batch of its own.",
        )
    return found
