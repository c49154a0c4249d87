"""What comes out of the store: values without a database behind them."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import fields
from typing import Any

from runllm.values import frozen


@frozen
class StoredRun:
    """A row of the store: a run without its attempts, whose numbers are summed up here.

    The fields are the columns of the table `runs`, in their order; those that a `RunRecord` has mean the same.

    Attributes:
        id: counted up as runs are recorded.
        parent_id: the run that used this one, None for a run of its own.
        child_name: what the parent calls it; empty for a run of its own.
        child_index: position in a `for_each`, counted from 0.
        shared: whether the result of an earlier child was used again.
        asked: how many attempts there were.
        answered: how many of them brought an answer.
        longest_answer: completion tokens of the longest answer.
        call_latency: seconds spent in the calls that were answered.
        cost: US dollars of the calls whose price is known; None where calls were made and none has one.
        unpriced: how many answered calls have no known price, and are missing in `cost`.
        repairs: the repairs that reading the last answer took.
    """

    id: int
    parent_id: int | None
    child_name: str
    child_index: int | None
    shared: bool
    app: str
    version: str
    digest: str
    path: str
    model: str
    engine: str
    started: float
    latency: float
    estimated_prompt_tokens: int | None
    input_valid: bool
    valid_on: int | None
    error_code: str | None
    asked: int
    answered: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    longest_answer: int
    call_latency: float
    cost: float | None
    unpriced: int
    repairs: tuple[str, ...]

    @property
    def retries(self) -> int:
        """How many attempts followed the first."""
        return max(0, self.asked - 1)


@frozen
class Sample:
    """One answered call, for predicting the next.

    Attributes:
        prompt_tokens: what was sent.
        completion_tokens: what came back.
        latency: seconds.
    """

    prompt_tokens: int
    completion_tokens: int
    latency: float


COLUMNS = tuple(field.name for field in fields(StoredRun))


def known_cost(cost: float, asked: int, answered: int, unpriced: int) -> float | None:
    """A sum of the store; None where something was asked, and no answer has a known price."""
    return None if asked and unpriced >= answered else cost


def stored(row: sqlite3.Row) -> StoredRun:
    """A row of the table `runs`, with at least the columns of this version."""
    found: dict[str, Any] = {name: row[name] for name in COLUMNS}
    found["cost"] = known_cost(*(row[name] for name in ("cost", "asked", "answered", "unpriced")))
    found |= {name: bool(found[name]) for name in ("shared", "input_valid")}
    found["repairs"] = tuple(json.loads(found["repairs"]))
    return StoredRun(**found)
