"""Values of numpy and pandas as inputs."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import runllm
from runllm.scalars import is_missing, plain
from runllm.testing import ScriptedEngine

APP = """\
---
name: told
description: Say what was given.
version: 1.0.0
author: me
input_schema:
  type: object
  properties:
    whole: {type: integer}
    part: {type: number}
    yes: {type: boolean}
    text: {type: string}
    day: {type: [string, "null"]}
    list: {type: array, items: {type: [number, string]}}
output_schema: {type: object, properties: {x: {type: string}}, required: [x]}
llm: {model: openai/m}
---
{{ input | tojson }}
"""


def given(**inputs: Any) -> Any:
    """What the model is shown of these inputs."""
    engine = ScriptedEngine(['{"x": ""}'])
    with runllm.Runtime(engine=engine) as runtime:
        runllm.load_text(APP, runtime=runtime)(inputs)
    return json.loads(engine.requests[0].messages[-1].content)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("whole", np.int64(3), 3), ("whole", np.uint8(3), 3), ("whole", pd.Series([3])[0], 3), ("whole", np.array(3), 3),
        ("part", np.float32(1.5), 1.5), ("part", np.float64(1.5), 1.5), ("part", np.int32(2), 2),
        ("yes", np.bool_(True), True), ("text", np.str_("a"), "a"), ("list", np.array([1, 2]), [1, 2]),
        ("list", [np.int64(1), (np.float64(2.5))], [1, 2.5]), ("list", (1, 2), [1, 2]), ("list", pd.Series([1, 2]), [1, 2]),
        ("list", pl.Series([1, 2]), [1, 2]), ("list", pd.to_datetime(["2026-12-01"]), ["2026-12-01T00:00:00"]),
        ("list", np.array(["2026-12-01"], dtype="datetime64[ns]"), ["2026-12-01T00:00:00"]),
        ("day", dt.date(2026, 12, 1), "2026-12-01"), ("day", dt.time(9, 30), "09:30:00"),
        ("day", dt.datetime(2026, 12, 1, 9, 30, tzinfo=dt.UTC), "2026-12-01T09:30:00+00:00"),
        ("day", pd.Timestamp("2026-12-01 09:30", tz="UTC"), "2026-12-01T09:30:00+00:00"),
        ("day", np.datetime64("2026-12-01"), "2026-12-01"), ("day", np.datetime64("2026-12-01T09:30:00", "ns"), "2026-12-01T09:30:00"),
        ("day", None, None),
    ],
)  # fmt: skip
def test_a_value_is_taken_for_the_plain_one_that_it_holds(name: str, value: Any, expected: Any) -> None:
    assert given(**{name: value}) == {name: expected}


@pytest.mark.parametrize(
    "missing", [float("nan"), np.nan, np.float32("nan"), pd.NA, pd.NaT, np.datetime64("NaT"), np.timedelta64("NaT")]
)
def test_an_input_that_is_missing_is_not_given(missing: Any) -> None:
    assert given(day=missing, text="x") == {"text": "x"}


@pytest.mark.parametrize(
    "value",
    [
        [float("nan")], [pd.NA], [pd.NaT], np.array([np.nan]), {"a": float("nan")}, float("inf"), np.inf, np.timedelta64(1, "D"),
        1j, np.complex64(1), b"x", np.bytes_(b"x"), {1}, object(), pd.DataFrame({"a": [1]}), "3",
    ],
)  # fmt: skip
def test_what_json_does_not_have_is_refused_and_never_guessed(value: Any) -> None:
    with pytest.raises(runllm.InputSchemaError):
        given(whole=value)


def test_a_list_in_itself_and_one_that_is_very_deep_are_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]
    for value in (endless, deep):
        with pytest.raises(runllm.InputSchemaError):
            given(list=value)


def test_a_value_whose_library_fails_is_refused_like_any_other() -> None:
    class Broken:
        dtype = "?"

        def tolist(self) -> object:
            raise RuntimeError("no")

    with pytest.raises(runllm.InputSchemaError):
        given(whole=Broken())


def test_a_frame_with_every_kind_of_missing_cell_and_with_lists_can_be_mapped() -> None:
    frame = pd.DataFrame(
        {
            "whole": pd.array([1, pd.NA], dtype="Int64"),
            "part": [1.5, float("nan")],
            "day": [pd.NaT, pd.Timestamp("2026-12-01")],
            "list": [np.array([1, 2]), None],
        }
    )
    engine = ScriptedEngine(lambda _: '{"x": ""}')
    with runllm.Runtime(engine=engine) as runtime:
        found = list(runllm.load_text(APP, runtime=runtime).map(frame, on_error="keep"))
    assert [one.error for one in found] == [None, None]
    said = [json.loads(request.messages[-1].content) for request in engine.requests]
    assert sorted(said, key=len) == [{"day": "2026-12-01T00:00:00"}, {"whole": 1, "part": 1.5, "list": [1, 2]}]


def test_what_is_plain_already_is_the_same() -> None:
    inputs = {"a": [1, {"b": None, "c": ["x", True, 1.5]}], "d": "e"}
    assert plain(inputs) == inputs
    assert plain([1]) == [1]
    assert not any(map(is_missing, (None, "", 0, [], {}, np.array([np.nan]))))


def test_none_of_these_libraries_is_imported() -> None:
    code = "import sys, runllm.scalars as s; s.plain({'a': [1]}); print({'numpy', 'pandas'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    assert found.stdout.strip() == "set()"
