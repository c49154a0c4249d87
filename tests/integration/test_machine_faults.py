"""What a process does when its clock jumps, its files run out, and a thousand runs are under way in it at once."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import runllm
from runllm.errors import InterruptedRunError, ProviderError, RateLimitError
from runllm.stats.store import Store
from runllm.testing import ScriptedEngine

PROVIDER = Path(__file__).with_name("provider.py")
HEAD = """---
name: {name}
description: d
version: 1.0.0
author: a
max_context_window: 4096
input_schema: {{type: object, properties: {{k: {{type: integer}}}}, required: [k], additionalProperties: false}}
output_schema: {{type: object, properties: {{n: {{type: integer}}}}, required: [n], additionalProperties: false}}
"""
CHILD = (
    HEAD
    + """llm: {{model: openai/m, api_base: "{base}", timeout: 100}}
llm_params: {{temperature: 0}}
---
Count to {{{{ input.k }}}}.
"""
)
TOP = (
    HEAD
    + """uses:
  - name: one
    path: ./child.rllm
    with: {{k: "{{{{ input.k }}}}"}}
output: {{n: "{{{{ uses.one.n }}}}"}}
---

```rllm-python check right inputs=output.n
assert n == 1
```
"""
)


def write(folder: Path, base: str = "http://127.0.0.1:1") -> Path:
    for name, text in {"child": CHILD, "top": TOP}.items():
        (folder / f"{name}.rllm").write_text(text.format(name=name, base=base), encoding="utf-8")
    return folder / "top.rllm"


def rows(path: Path, what: str = "app, error_code, latency, started") -> list[tuple]:
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return db.execute(f"SELECT {what} FROM runs ORDER BY id").fetchall()  # noqa: S608 - the test's own words


# --- the clock -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump", [-1e6, 1e6, -1.7e9], ids=["back", "forth", "to 1970"])
def test_a_clock_that_jumps_changes_no_duration_and_no_retry(tmp_path: Path, jump: float) -> None:
    """Durations come from the clock that never goes back; only the time a run began is that of the wall."""
    wall = itertools.chain([1.76e9], itertools.repeat(1.76e9 + jump))
    slow = RateLimitError("slow down", details={"retry_after": 2.0})
    pauses: list[float] = []
    store = Store(tmp_path / "stats.db")
    with runllm.Runtime(
        engine=ScriptedEngine([slow, '{"n": "wrong"}', '{"n": 1}']),
        store=store,
        wall=lambda: next(wall),
        sleep=pauses.append,
    ) as runtime:
        start = time.monotonic()
        app = runllm.load(write(tmp_path).with_name("child.rllm"), runtime=runtime, stats=True)
        result = app.run({"k": 1})
        took = time.monotonic() - start
    assert result.output == {"n": 1}
    assert pauses == [2.0]
    ((_, error, latency, started),) = rows(tmp_path / "stats.db")
    assert (error, started) == (None, 1.76e9)
    assert 0 <= latency <= took
    assert Store(tmp_path / "stats.db").summary().total.runs == 1


# --- a thousand runs ---------------------------------------------------------------------------------------------


@pytest.fixture
def base() -> Iterator[str]:
    """A provider in a process of its own."""
    with subprocess.Popen(
        [sys.executable, str(PROVIDER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts open files in /proc")
@pytest.mark.timeout(300)
def test_a_thousand_runs_at_once_are_all_right_and_recorded(tmp_path: Path, base: str) -> None:
    """Composed, with a block; 600 in one event loop, 300 in threads, 100 cancelled in the middle."""
    path, database = write(tmp_path, base), tmp_path / "stats.db"
    with runllm.Runtime() as first:  # so that what a library opens once for all is not counted
        runllm.load(path, runtime=first, stats=False).run({"k": 0})
    threads, files = threading.active_count(), open_files()
    most = 0
    with runllm.Runtime(store=Store(database)) as runtime:
        app = runllm.load(path, runtime=runtime, stats=True)
        app.run({"k": 0})

        async def in_a_loop() -> list[object]:
            nonlocal most
            kept = [asyncio.create_task(app.arun({"k": k})) for k in range(1, 601)]
            dropped = [asyncio.create_task(app.arun({"k": k})) for k in range(1001, 1101)]
            await asyncio.sleep(0.5)
            for task in dropped:
                task.cancel()
            gone = await asyncio.gather(*dropped, return_exceptions=True)
            most = max(most, threading.active_count())
            assert all(
                isinstance(one, asyncio.CancelledError | runllm.RunllmError) or one.output == {"n": 1} for one in gone
            )
            return [result.output for result in await asyncio.gather(*kept)]

        with ThreadPoolExecutor(16) as pool:
            others = [pool.submit(app, k=k) for k in range(601, 901)]
            assert asyncio.run(in_a_loop()) == [{"n": 1}] * 600
            assert [other.result() for other in others] == [{"n": 1}] * 300
    found = rows(database, "app, error_code, parent_id")
    tops = [row for row in found if row[0] == "top"]
    assert len(tops) == 1001  # those that were cancelled too
    assert sum(error is None for _, error, _ in tops) >= 901
    assert {error for _, error, _ in tops} <= {None, InterruptedRunError.code}
    assert sum(row[0] == "child" and row[1] is None for row in found) >= 901
    assert most < threads + 120
    for _ in range(100):
        if threading.active_count() <= threads and open_files() <= files + 2:
            break
        time.sleep(0.05)
    assert threading.active_count() <= threads
    assert open_files() <= files + 2


@pytest.mark.parametrize("count", [50])
def test_calls_that_all_fail_at_once_are_all_recorded(tmp_path: Path, count: int) -> None:
    path, database = write(tmp_path), tmp_path / "stats.db"
    failures = [ProviderError("down", details={"retry_after": 1e9})] * count
    with runllm.Runtime(engine=ScriptedEngine(failures), store=Store(database)) as runtime:
        app = runllm.load(path, runtime=runtime, stats=True)

        async def all_of_them() -> list[object]:
            return await asyncio.gather(*[app.arun({"k": k}) for k in range(count)], return_exceptions=True)

        assert all(isinstance(one, ProviderError) for one in asyncio.run(all_of_them()))
    assert [row[1] for row in rows(database) if row[0] == "top"] == [ProviderError.code] * count
