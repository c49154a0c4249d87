"""Which source reads what is named.

What is no seekable file, such as a pipe, is spooled first; a file is held open, so that another one saved in its place
meanwhile is not mixed with it.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from runllm.batch.lines import Delimited, JsonLines, JsonList, OneText
from runllm.batch.sources import Form, Reading, Source
from runllm.batch.texts import Texts, are_many
from runllm.errors import FileAccessError, UsageError
from runllm.meant import missing

FORMS: Mapping[str, Form] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
    ".xls": "xlsx",
    ".ods": "xlsx",
}
_MAGIC: tuple[tuple[bytes, Form], ...] = (
    (b"PK\x03\x04", "xlsx"),
    (b"\xd0\xcf\x11\xe0", "xlsx"),
    (b"PAR1", "parquet"),
)
_JSON: Mapping[bytes, Form] = {b"{": "jsonl", b"[": "json"}


def opened(paths: Sequence[str], reading: Reading) -> Source:
    """The source that is named: a table, `-` for standard input, or a folder, a pattern or a list of text files.

    Raises:
        FileAccessError: it cannot be read.
        UsageError: nothing says of what form it is.
        InputSchemaError: its first line breaks its form.
    """
    if reading.delimiter is not None and (len(reading.delimiter) != 1 or reading.delimiter in '"\r\n'):
        raise UsageError(
            "`--delimiter` is one character, and no quote", hint="A tab: `$'\\t'`, or `--input-format tsv`."
        )
    if not paths and sys.stdin is not None and sys.stdin.isatty():
        raise UsageError("no rows are given", hint="Name a table, such as `rows.csv`; `-` is what you type.")
    paths = paths or ["-"]
    if are_many(paths):
        return Texts(paths, reading)
    path = paths[0]
    file = _binary(path)
    try:
        return _opened(file, path, reading)
    except BaseException:
        file.close()
        raise


def _opened(file: IO[bytes], path: str, reading: Reading) -> Source:
    name = "standard input" if path == "-" else path
    form = reading.form or _form(file, path)
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
            return OneText(file, name, reading)
        case _:
            raise UsageError(
                f"nothing says what kind of rows {name} holds",
                hint="Say `--input-format text` if it is one text, `tsv` for Excel's Text (Tab delimited), "
                "else `csv`, `jsonl`, `json`, `parquet` or `xlsx`.",
            )


def _form(file: IO[bytes], path: str) -> Form | None:
    """The form of a file: as it begins where that is plain, else as its name says; of a pipe, JSON or else CSV."""
    file.seek(0)
    begins = file.read(1 << 16)
    magic: Form | None = next((form for mark, form in _MAGIC if begins.startswith(mark)), None)
    if magic is not None:
        return magic
    guessed = _JSON.get(begins.lstrip(b"\xef\xbb\xbf \t\r\n")[:1])
    said = FORMS.get(Path(path).suffix.lower())
    if path == "-" or path.startswith("/dev/"):
        return guessed or "csv"
    return guessed if said == "json" and guessed is not None else said  # not few files of JSON Lines are named so


def _binary(path: str) -> IO[bytes]:
    """A file to read from its start as often as needed."""
    try:
        file = sys.stdin.buffer if path == "-" else open(path, "rb")  # noqa: SIM115, PTH123 - the source closes it
        if path != "-" and stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return file
        spool = tempfile.TemporaryFile()  # noqa: SIM115 - as above
        with file if path != "-" else _left_open(file):
            shutil.copyfileobj(file, spool)
    except FileNotFoundError:
        error = missing(path)
        if "://" in path:
            error.recovery_hint = "`--shards-on daft` reads rows at addresses; or fetch the file, and name it here."
        raise error from None
    except OSError as error:
        said = error.strerror or str(error)
        raise FileAccessError(f"`{path}` cannot be read: {said}", details={"path": path}) from None
    return spool


@contextmanager
def _left_open(file: IO[bytes]) -> Generator[IO[bytes]]:
    yield file
