# ruff: noqa: S608 - the names in the SQL are our own; what a user gives is a parameter
"""The rows of the store as lines of text, for other tools."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Literal

from runllm.stats.rows import COLUMNS, known_cost
from runllm.stats.selection import Selection

Form = Literal["jsonl", "csv"]

_PAGE = 1000  # rows read at a time: the store is free in between


def lines(
    using: Callable[[], AbstractContextManager[sqlite3.Connection]], form: Form, selection: Selection
) -> Iterator[str]:
    """Every row of `runs` that matches, by id, as text in pieces: each ends in a line break.

    Args:
        using: gives the connection for a while.
        form: `jsonl`, where each run holds a list of its attempts, or `csv`, which leaves the attempts out.
        selection: its app, model and time; children are rows like any other.
    """
    pages = _pages(using, selection, attempts=form == "jsonl")
    if form == "jsonl":
        return (json.dumps(row, ensure_ascii=False) + "\n" for page in pages for row in page)
    return _csv(pages)


def _pages(
    using: Callable[[], AbstractContextManager[sqlite3.Connection]], selection: Selection, *, attempts: bool
) -> Iterator[list[dict[str, Any]]]:
    last = 0
    query = f"SELECT * FROM runs WHERE id > :last AND {selection.matching} ORDER BY id LIMIT {_PAGE}"
    while True:
        with using() as db:
            page = [_readable(row) for row in db.execute(query, selection.parameters | {"last": last})]
            if attempts:
                _add_attempts(db, page)
        if not page:
            return
        yield page
        last = page[-1]["id"]


def _add_attempts(db: sqlite3.Connection, page: list[dict[str, Any]]) -> None:
    runs = {row["id"]: row for row in page}
    for row in page:
        row["attempts"] = []
    for attempt in map(_readable, _attempts(db, page)):
        run = runs.get(attempt.pop("run_id"))
        if run is not None:
            run["attempts"].append(attempt)


def _attempts(db: sqlite3.Connection, page: list[dict[str, Any]]) -> Iterator[sqlite3.Row]:
    if page:
        query = "SELECT * FROM attempts WHERE run_id BETWEEN ? AND ? ORDER BY run_id, number"
        yield from db.execute(query, (page[0]["id"], page[-1]["id"]))


def _readable(row: sqlite3.Row) -> dict[str, Any]:
    """A row as JSON: lists as lists, flags as flags; a text that was not logged is left out."""
    found: dict[str, Any] = {}
    names = row.keys()
    for name in names:
        value = row[name]
        if name in ("violations", "repairs"):
            found[name] = json.loads(value)
        elif name in ("shared", "input_valid", "valid"):
            found[name] = bool(value)
        elif not name.endswith("_text") or value is not None:
            found[name] = value
    if "unpriced" in names:
        found["cost"] = known_cost(*(row[name] for name in ("cost", "asked", "answered", "unpriced")))
    return found


def _csv(pages: Iterator[list[dict[str, Any]]]) -> Iterator[str]:
    """A header and a row for each run, a page at a time; a list becomes its names with spaces between."""
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=COLUMNS, lineterminator="\n")
    writer.writeheader()
    yield out.getvalue()
    for page in pages:
        out.seek(0)
        out.truncate()
        writer.writerows(row | {"repairs": " ".join(row["repairs"])} for row in page)
        yield out.getvalue()
