"""The store on a real disk: what is kept, the figures made of it, and everything that can go wrong."""

import csv
import io
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runllm.errors import StatsError
from runllm.stats.database import STEPS, migrate
from runllm.stats.rows import AttemptRow, RunRow
from runllm.stats.store import TOGETHER, Store

DAY = 86_400.0
POSIX = pytest.mark.skipif(os.name != "posix", reason="needs fork and file modes")


def attempt(number: int = 1, **facts: Any) -> AttemptRow:
    given: dict[str, Any] = {
        "number": number,
        "model": "openai/m",
        "latency": 2.0,
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "cost": 0.001,
        "finish_reason": "stop",
        "valid": True,
    }
    return AttemptRow(**given | facts)


WRONG = attempt(valid=False, violations=("required /summary", "type /score"))


def run(*attempts: AttemptRow, **facts: Any) -> RunRow:
    """A run in which the last attempt fitted, unless `facts` say otherwise."""
    given: dict[str, Any] = {
        "app": "summary",
        "version": "1.0.0",
        "digest": "d1",
        "path": "/apps/summary.rllm",
        "model": "openai/m",
        "engine": "litellm",
        "started": 1_700_000_000.0,
        "latency": 3.0,
        "input_valid": True,
        "valid_on": len(attempts) or None,
        "attempts": attempts,
    }
    return RunRow(**given | facts)


REFUSED = run(model="", engine="", input_valid=False, error_code="RLLM_004", latency=0.001)
DOWN = run(
    attempt(valid=False, completion_tokens=0, prompt_tokens=0, cost=None, finish_reason="", error_code="RLLM_015"),
    valid_on=None,
    error_code="RLLM_015",
)
EXHAUSTED = run(WRONG, attempt(2, valid=False, violations=("type /score",)), valid_on=None, error_code="RLLM_007")
INTERRUPTED = run(valid_on=None, error_code="RLLM_024")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "stats.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with Store(path) as opened:
        yield opened


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    """What another program would read."""
    db = sqlite3.connect(path)
    try:
        return db.execute(query).fetchall()
    finally:
        db.close()


# --- what is kept ------------------------------------------------------------------------------


def test_a_run_comes_back_as_it_was_recorded(store: Store) -> None:
    record = run(
        WRONG,
        attempt(2, cached_tokens=80, reasoning_tokens=7, completion_tokens=90, cost=None, repairs=("fence", "comma")),
        estimated_prompt_tokens=97,
    )
    number = store.record(record)
    [found] = store.runs()
    assert found.id == number
    for name in ("app", "version", "digest", "path", "model", "engine", "started", "latency", "input_valid"):
        assert getattr(found, name) == getattr(record, name)
    assert (found.valid_on, found.error_code, found.estimated_prompt_tokens, found.parent_id) == (2, None, 97, None)
    assert (found.asked, found.retries, found.answered, found.unpriced, found.cost) == (2, 1, 2, 1, 0.001)
    assert (found.prompt_tokens, found.completion_tokens, found.longest_answer) == (200, 140, 90)
    assert (found.cached_tokens, found.reasoning_tokens, found.call_latency) == (80, 7, 4.0)
    assert found.repairs == ("fence", "comma")


def test_no_text_is_stored_unless_it_is_given_and_then_without_secrets(store: Store, path: Path) -> None:
    store.record(run(attempt()))
    store.record(run(attempt(request_text="the key is sk-abcdefghijklmnop1234", answer_text="fine")))
    kept = rows(path, "SELECT request_text, answer_text FROM attempts ORDER BY run_id")
    assert kept == [(None, None), ("the key is [redacted]", "fine")]


@POSIX
def test_what_is_made_is_for_its_owner_alone(store: Store, path: Path) -> None:
    store.record(run(attempt()))
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {"stats.db": 0o600, "stats.db-wal": 0o600, "stats.db-shm": 0o600}


def test_a_path_with_bytes_that_are_no_text_is_kept_and_found_again(store: Store) -> None:
    odd = os.fsdecode(b"/apps/\xff.rllm")
    store.record(run(attempt(), path=odd))
    assert len(store.runs(app=odd)) == 1


def test_a_store_that_is_not_used_makes_no_file(path: Path) -> None:
    Store(path).close()
    assert not path.parent.exists()


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, ["r3", "r2", "r1"]),
        ({"limit": 2}, ["r3", "r2"]),
        ({"since": 20.0}, ["r3", "r2"]),
        ({"app": "a"}, ["r2", "r1"]),
        ({"app": "r3-digest"}, ["r3"]),
        ({"app": "/r1"}, ["r1"]),
        ({"model": "n"}, ["child", "r2"]),
        ({"app": "part"}, ["child"]),
        ({"app": "a", "model": "n"}, ["r2"]),
        ({"app": "nothing"}, []),
    ],
)
def test_runs_are_chosen_by_app_model_and_time(store: Store, asked: dict[str, Any], expected: list[str]) -> None:
    """Children are listed only where their app or model is asked for."""
    for name, app, model, started in (("r1", "a", "m", 10.0), ("r2", "a", "n", 20.0), ("r3", "b", "m", 30.0)):
        child = run(app="part", model="n", started=31.0, version="child")
        children = (replace(child, child_name="p"), replace(child, child_name="q", shared=True))
        store.record(
            run(
                app=app,
                model=model,
                started=started,
                version=name,
                digest=f"{name}-digest",
                path=f"/{name}",
                children=children if name == "r3" else (),
            )
        )
    assert [found.version for found in store.runs(**asked)] == expected


# --- figures -----------------------------------------------------------------------------------


def test_the_figures_of_good_bad_and_failed_runs(store: Store) -> None:
    """Failures of every kind count; compliance is of the runs in which a model answered."""
    for record in (
        run(attempt(completion_tokens=80), latency=1.0),
        run(attempt(), latency=2.0),
        run(WRONG, attempt(2), latency=3.0),
        REFUSED,
        DOWN,
        EXHAUSTED,
        INTERRUPTED,
    ):
        store.record(record)
    total = store.summary().total
    assert (total.runs, total.succeeded, total.failed) == (7, 3, 4)
    assert dict(total.errors) == {"RLLM_004": 1, "RLLM_007": 1, "RLLM_015": 1, "RLLM_024": 1}
    assert total.input_compliance == pytest.approx(100 * 6 / 7)
    assert (total.judged, total.first_compliance, total.final_compliance) == (4, 50.0, 75.0)
    assert total.latency_average == pytest.approx((1 + 2 + 3 + 3 + 3) / 5)  # neither refused nor interrupted early
    assert (total.latency_p50, total.latency_p95) == (3.0, 3.0)
    assert (total.asked, total.answered, total.retries) == (7, 6, 2)
    assert (total.prompt_average, total.completion_average) == (100, pytest.approx(330 / 6))
    assert (total.completion_max, total.prompt_tokens, total.completion_tokens) == (80, 600, 330)
    assert total.ms_per_1k_tokens == pytest.approx(12.0 / 930 * 1e6)
    assert (total.cost, total.unpriced) == (pytest.approx(0.006), 0)
    assert total.violations == (("type /score", 3), ("required /summary", 2))


def test_items_of_lists_that_were_skipped_are_counted_with_those_of_the_apps_that_are_used(store: Store) -> None:
    store.record(run(skipped=2, children=(run(child_name="a", skipped=1),)))
    assert store.summary().total.skipped == 3
    assert store.runs()[0].skipped == 2


def test_an_empty_store_has_figures_too(store: Store) -> None:
    found = store.summary()
    assert (found.total.runs, found.total.latency_p50, found.total.cost, found.total.violation) == (0, None, None, None)
    assert (found.models, found.apps, found.timeline, found.since) == ({}, {}, (), None)


def test_a_price_that_is_not_known_is_said_and_not_guessed(store: Store) -> None:
    store.record(run(attempt(cost=None)))
    assert (store.summary().total.cost, store.summary().total.unpriced) == (None, 1)
    store.record(run(attempt()))
    assert (store.summary().total.cost, store.summary().total.unpriced) == (0.001, 1)


def test_absurd_token_counts_of_a_provider_do_not_break_the_figures(store: Store) -> None:
    for _ in range(2):
        store.record(run(attempt(prompt_tokens=2**62)))
    assert store.summary().total.prompt_tokens == 2**63


def composed() -> RunRow:
    """A parent without a model of its own, two children that call one, and a third that uses the first again."""
    part = run(attempt(), app="part", path="/part", digest="p", model="openai/m")
    other = run(WRONG, attempt(2, model="local/x"), app="other", path="/other", digest="o", model="local/x")
    children = (
        replace(part, child_name="a"),
        replace(other, child_name="b", child_index=0),
        replace(part, child_name="c", shared=True),
    )
    return run(app="whole", path="/whole", digest="w", model="", engine="", valid_on=0, children=children, latency=9.0)


def test_a_tree_is_one_run_that_spent_what_its_children_spent_once(store: Store) -> None:
    parent = store.record(composed())
    found = store.summary()
    assert (found.total.runs, found.total.judged, found.total.latency_p50) == (1, 0, 9.0)
    assert (found.total.prompt_tokens, found.total.cost, found.total.retries) == (300, pytest.approx(0.003), 1)
    assert list(found.apps) == ["whole"]
    assert {name: (f.runs, f.prompt_tokens, f.first_compliance) for name, f in found.models.items()} == {
        "openai/m": (1, 100, 100.0),
        "local/x": (1, 200, 0.0),
    }
    assert [(child.child_name, child.child_index, child.shared, child.asked) for child in store.children(parent)] == [
        ("a", None, False, 1),
        ("b", 0, False, 2),
        ("c", None, True, 0),
    ]


@pytest.mark.parametrize(
    ("asked", "runs", "prompt_tokens"),
    [
        ({}, 2, 400),
        ({"app": "part"}, 2, 200),
        ({"app": "/whole"}, 1, 300),
        ({"app": "o"}, 1, 200),
        ({"model": "openai/m"}, 2, 200),
        ({"model": "local/x"}, 1, 200),
        ({"app": "whole", "model": "local/x"}, 0, 0),
        ({"since": 1_800_000_000.0}, 0, 0),
    ],
)
def test_an_apps_and_a_models_runs_count_as_children_too(
    store: Store, asked: dict[str, Any], runs: int, prompt_tokens: int
) -> None:
    store.record(composed())
    store.record(run(attempt(), app="part", path="/part", digest="p"))
    total = store.summary(**asked).total
    assert (total.runs, total.prompt_tokens) == (runs, prompt_tokens)


def test_an_app_inside_one_of_the_same_name_is_not_counted_twice(store: Store) -> None:
    inner = run(attempt())
    store.record(run(attempt(), path="/outer", digest="x", children=(replace(inner, child_name="i"),)))
    total = store.summary(app="summary").total
    assert (total.runs, total.prompt_tokens) == (2, 200)


def test_the_series_have_a_point_for_each_stretch_in_which_something_ran(store: Store) -> None:
    for day in (0, 0, 1, 40):
        store.record(run(attempt(), started=1_700_000_000 // DAY * DAY + day * DAY + 5, latency=1.0 + day))
    found = store.summary()
    assert found.width == DAY
    assert [(point.runs, point.latency_p50, point.cost) for point in found.timeline] == [
        (2, 1.0, 0.002),
        (1, 2.0, 0.001),
        (1, 41.0, 0.001),
    ]
    assert found.timeline[0].start == found.timeline[1].start - DAY
    assert sum(point.runs for point in store.summary(buckets=1).timeline) == 4
    assert len(store.summary(buckets=1).timeline) <= 2


def test_samples_are_the_newest_answered_calls_of_a_model(store: Store) -> None:
    for tokens in (10, 20, 30):
        store.record(run(attempt(completion_tokens=tokens), attempt(2, model="other")))
        store.record(DOWN)
    assert [sample.completion_tokens for sample in store.samples("openai/m", limit=2)] == [30, 20]
    assert store.samples("openai/m", app="another") == ()


# --- removing and exporting --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "gone", "left"),
    [({"before": 2.0}, 2, [3, 2]), ({"keep": 1}, 3, [3]), ({"keep": 0}, 4, []), ({"before": 1.0, "keep": 2}, 2, [3, 2]), ({}, 0, [3, 2, 1, 0])],
)  # fmt: skip
def test_old_runs_are_removed_with_all_that_belongs_to_them(
    store: Store, path: Path, asked: dict[str, Any], gone: int, left: list[int]
) -> None:
    for started in range(4):
        child = run(attempt(), started=100.0, child_name="c")
        store.record(run(attempt(), started=float(started), children=(child,)))
    assert store.prune(**asked) == gone
    assert [found.started for found in store.runs()] == left
    assert rows(path, "SELECT count(*) FROM runs") == rows(path, "SELECT count(*) FROM attempts") == [(2 * len(left),)]


def test_a_removed_text_is_not_left_in_the_file(store: Store, path: Path) -> None:
    store.record(run(attempt(answer_text="a very private word"), started=1.0))
    store.record(run(attempt(), started=2.0))
    store.prune(before=2.0)
    assert not any(b"very private" in file.read_bytes() for file in path.parent.iterdir())


def test_the_export_holds_every_row(store: Store) -> None:
    store.record(composed())
    store.record(EXHAUSTED)
    lines = [json.loads(line) for line in "".join(store.export("jsonl")).splitlines()]
    assert [(line["app"], line["parent_id"], len(line["attempts"])) for line in lines] == [
        ("whole", None, 0),
        ("part", 1, 1),
        ("other", 1, 2),
        ("part", 1, 0),
        ("summary", None, 2),
    ]
    assert lines[4]["attempts"][0]["violations"] == ["required /summary", "type /score"]
    assert (lines[4]["input_valid"], lines[4]["attempts"][1]["valid"]) == (True, False)
    assert "answer_text" not in lines[4]["attempts"][0]
    table = list(csv.DictReader(io.StringIO("".join(store.export("csv", app="part")))))
    assert [(row["app"], row["prompt_tokens"], row["shared"]) for row in table] == [
        ("part", "100", "False"),
        ("part", "0", "True"),
    ]
    assert next(iter(store.export("csv", app="nothing"))).startswith("id,parent_id,")


def test_an_export_reads_on_while_runs_are_recorded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages end where the store may change; no row is lost or doubled there."""
    monkeypatch.setattr("runllm.stats.store._PAGE", 2)
    for _ in range(5):
        store.record(run(attempt()))
    lines = store.export("jsonl")
    first = next(lines)
    store.record(run(attempt()))
    assert [json.loads(line)["id"] for line in [first, *lines]] == [1, 2, 3, 4, 5, 6]


# --- many at once ------------------------------------------------------------------------------

RECORDER = """
import sys
from runllm.stats.rows import AttemptRow, RunRow
from runllm.stats.store import TOGETHER, Store
path, number, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
attempt = AttemptRow(number=1, model="m", valid=True, completion_tokens=5)
print("ready", flush=True)
sys.stdin.readline()
store = Store(path, timeout=60)
for turn in range(count):
    store.record(RunRow(
        app=number, version=str(turn), digest="", path="", model="m", engine="", started=0.0, latency=0.0,
        input_valid=True, attempts=(attempt,)))
    print(turn, flush=True)
store.close()
"""


def recorder(path: Path, number: int, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RECORDER, str(path), str(number), str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("many", [8, pytest.param(32, marks=pytest.mark.soak)])
def test_many_processes_lose_nothing(path: Path, many: int) -> None:
    """They make the file, its tables and 50 runs each, all at the same time."""
    started = [recorder(path, number, 50) for number in range(many)]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    errors = [process.communicate(timeout=100)[1] for process in started]
    assert errors == [""] * many
    assert rows(path, "SELECT count(*), count(DISTINCT app || ' ' || version) FROM runs") == [(50 * many, 50 * many)]
    assert rows(path, "SELECT count(*) FROM attempts") == [(50 * many,)]


def test_a_store_that_another_makes_between_two_questions_is_no_strangers(path: Path) -> None:
    """Whose file it is takes several questions, which are asked of one state of it."""

    def make(question: str) -> None:
        if "sqlite_master" in question:
            with suppress(StatsError), Store(path, timeout=0) as other:
                other.record(run(attempt()))

    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.set_trace_callback(make)
        migrate(db, path)
    assert Store(path).summary().total.runs in (0, 1)


@POSIX
@pytest.mark.parametrize("turns", [(0, 2, 40), pytest.param(range(12), marks=pytest.mark.soak)])
def test_a_killed_process_leaves_a_store_with_all_that_it_had_recorded(path: Path, turns: Sequence[int]) -> None:
    """Killed after ever longer times, from before the file exists to the middle of many runs."""
    acknowledged = 0
    for turn in turns:
        process = recorder(path, turn, 100_000)
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("go\n")
        process.stdin.flush()
        time.sleep(0.002 * turn)
        process.send_signal(signal.SIGKILL)
        acknowledged += process.communicate()[0].count("\n")
        with Store(path) as store:
            assert store.summary().total.runs >= acknowledged
        assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    assert acknowledged > 0


def test_threads_share_a_store(store: Store) -> None:
    def work() -> None:
        for _ in range(25):
            store.record(run(attempt()))
            store.runs(limit=1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.summary().total.runs == 200


def test_runs_that_end_side_by_side_are_written_together_and_none_is_lost(store: Store, path: Path) -> None:
    """Whole: with the attempts and the children of each; by the next use of the store at the latest."""
    store.record(run(attempt()))
    pair = run(attempt(), attempt(2), children=(run(attempt(), child_name="a"), run(child_name="b", shared=True)))

    def work() -> None:
        for _ in range(50):
            store.record_soon(pair)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.summary().total.runs == 201
    assert rows(path, "SELECT count(*), count(DISTINCT parent_id), max(id) FROM runs") == [(601, 200, 601)]
    assert rows(path, "SELECT count(*), count(DISTINCT run_id) FROM attempts") == [(601, 401)]
    assert [one.child_name for one in store.children(2)] == ["a", "b"]


def test_what_waits_is_written_in_time_though_nobody_uses_the_store(store: Store, path: Path) -> None:
    store.record(run(attempt()))
    store.record_soon(run(attempt()))
    assert rows(path, "SELECT count(*) FROM runs") == [(1,)]
    deadline = time.monotonic() + 20 * TOGETHER
    while rows(path, "SELECT count(*) FROM runs") != [(2,)] and time.monotonic() < deadline:
        time.sleep(TOGETHER / 10)
    assert rows(path, "SELECT count(*) FROM runs") == [(2,)]


@pytest.mark.parametrize("ending", ["", "raise SystemExit(3)", "1 / 0"])
def test_what_waits_is_written_when_the_process_ends(path: Path, ending: str) -> None:
    """Though nobody closes the store."""
    row = "RunRow(app='a', version='1', digest='d', path='/p', model='m', engine='e', started=1.0)"
    code = f"from runllm.stats.rows import RunRow\nfrom runllm.stats.store import Store\ns = Store({str(path)!r})\n"
    code += f"for _ in range(3): s.record_soon({row})\n{ending}"
    subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert rows(path, "SELECT count(*) FROM runs") == [(3,)]


def test_what_could_not_be_written_in_time_is_told_with_the_next_run(path: Path) -> None:
    with Store(path, timeout=0.1) as store:
        store.record(run(attempt()))
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        store.record_soon(run(attempt()))
        deadline = time.monotonic() + 20 * TOGETHER
        while store._lost is None and time.monotonic() < deadline:
            time.sleep(TOGETHER / 10)
        other.close()
        with pytest.raises(StatsError, match="another process keeps it locked"):
            store.record_soon(run(attempt(), app="next"))
        assert sorted(one.app for one in store.runs()) == ["next", "summary"]


def test_what_cannot_be_written_at_the_end_is_warned_of(path: Path) -> None:
    path.parent.mkdir()
    path.mkdir()
    store = Store(path)
    store.record_soon(run(attempt()))
    with pytest.warns(RuntimeWarning, match="runs are missing in the statistics: .*cannot be"):
        store.close()


@POSIX
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_what_waits_is_not_written_by_a_fork_as_well(store: Store) -> None:
    store.record_soon(run(attempt()))
    assert forked(lambda: (store.record(run(attempt())), store.close())) == 0
    assert store.summary().total.runs == 2


def forked(action: Callable[[], object]) -> int:
    """Exit status of a forked child that does this."""
    child = os.fork()
    if child == 0:
        status = 1
        signal.alarm(30)  # rather dead than waiting for ever
        try:
            action()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@POSIX
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_store_that_is_open_survives_a_fork(store: Store) -> None:
    """Even one that a thread of the parent is using at that moment."""
    store.record(run(attempt()))
    with store._lock:
        assert forked(lambda: (store.record(run(attempt())), store.close())) == 0
    store.record(run(attempt()))
    assert store.summary().total.runs == 3


# --- ages and failures -------------------------------------------------------------------------


def tables(path: Path) -> list[tuple[Any, ...]]:
    return rows(path, "SELECT type, name, sql FROM sqlite_master ORDER BY type, name")


@pytest.mark.parametrize("age", range(1, len(STEPS)))
def test_a_store_of_every_earlier_version_becomes_the_newest_and_keeps_its_rows(tmp_path: Path, age: int) -> None:
    old, fresh = tmp_path / "old.db", tmp_path / "fresh.db"
    db = sqlite3.connect(old, isolation_level=None)
    migrate(db, old, STEPS[:age])
    db.row_factory = sqlite3.Row
    columns = [row["name"] for row in db.execute("PRAGMA table_info(runs)")]
    db.execute(f"INSERT INTO runs ({', '.join(columns)}) VALUES ({', '.join(['1'] * len(columns))})")  # noqa: S608 - the columns are ours
    db.execute("UPDATE runs SET parent_id = NULL, repairs = '[]', shared = 0, error_code = NULL")
    db.close()
    with Store(old) as store, Store(fresh) as other:
        store.record(run(attempt()))
        other.record(run(attempt()))
        assert store.summary().total.runs == 2
    assert tables(old) == tables(fresh)
    assert rows(old, "PRAGMA user_version") == rows(fresh, "PRAGMA user_version") == [(len(STEPS),)]


def test_a_step_that_fails_leaves_nothing_half_done(tmp_path: Path) -> None:
    def half(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE half (id)")
        db.execute("CREATE TABLE half (id)")

    path = tmp_path / "stats.db"
    db = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(sqlite3.OperationalError):
        migrate(db, path, (*STEPS, half))
    db.close()
    assert rows(path, "PRAGMA user_version") == [(len(STEPS),)]
    assert not [name for _, name, _ in tables(path) if name == "half"]


def test_the_view_reads_like_a_report(store: Store, path: Path) -> None:
    store.record(EXHAUSTED)
    assert rows(path, "SELECT started_utc, app, outcome, retries, prompt_tokens, dollars FROM readable") == [
        ("2023-11-14 22:13:20", "summary", "RLLM_007", 1, 200, 0.002)
    ]


def newer(path: Path) -> None:
    with Store(path) as store:
        store.record(run(attempt()))
    rows(path, f"PRAGMA user_version = {len(STEPS) + 1}")


def foreign(path: Path) -> None:
    path.parent.mkdir()
    rows(path, "CREATE TABLE notes (id)")


def garbage(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database, but a text " * 400)


def damaged(path: Path) -> None:
    with Store(path) as store:
        for _ in range(200):
            store.record(run(attempt()))
    content = bytearray(path.read_bytes())
    content[4096 : len(content)] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)


def a_folder(path: Path) -> None:
    path.mkdir(parents=True)


def below_a_file(path: Path) -> None:
    path.parent.write_text("in the way")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (newer, "was made by a newer runllm"),
        (foreign, "is the database of another program"),
        (garbage, "it is not a database"),
        (damaged, "it is damaged"),
        (a_folder, "it cannot be opened"),
        (below_a_file, "cannot be used: "),
    ],
)
def test_a_store_that_cannot_be_used_is_one_error_with_a_hint(
    path: Path, make: Callable[[Path], None], says: str
) -> None:
    """And nothing is changed in a file that is not ours, or not ours to change."""
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    with Store(path) as store:
        for use in (lambda: store.record(run(attempt())), store.summary, store.runs, lambda: store.prune(keep=0), lambda: list(store.export("csv", app="x"))):  # fmt: skip
            with pytest.raises(StatsError, match=says) as caught:
                use()
            assert caught.value.recovery_hint
            assert str(path) in caught.value.message
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_it_recovers_once_the_file_is_moved_away(path: Path) -> None:
    garbage(path)
    store = Store(path)
    with pytest.raises(StatsError):
        store.record(run(attempt()))
    path.rename(path.with_suffix(".broken"))
    assert store.record(run(attempt())) == 1
    store.close()


def test_the_first_run_waits_while_another_program_holds_the_new_file(store: Store, path: Path) -> None:
    """Where SQLite itself would not: it refuses the switch to a log at once."""
    path.parent.mkdir()
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.2, other.close)
    release.start()
    assert store.record(run(attempt())) == 1
    release.join()


def test_an_interrupted_record_leaves_nothing(store: Store) -> None:
    def interrupted() -> Iterator[RunRow]:
        yield run(attempt(), child_name="a")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.record(run(attempt(), children=interrupted()))
    assert store.record(run(attempt())) == 1


def test_a_lock_that_is_never_given_up_ends_in_an_error(store: Store, path: Path) -> None:
    store.record(run(attempt()))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with Store(path, timeout=0.1) as waiting, pytest.raises(StatsError, match="another process keeps it locked"):
        waiting.record(run(attempt()))
    other.close()
    store.record(run(attempt()))
    assert store.summary().total.runs == 2


def test_a_full_disk_loses_the_run_and_not_the_store(store: Store) -> None:
    store.record(run(attempt()))
    assert store._connection is not None
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StatsError, match="the disk is full"):
        store.record(run(attempt(answer_text="x" * 100_000)))
    store.record(run(attempt()))
    assert store.summary().total.runs == 2


@pytest.mark.parametrize("facts", [{"latency": float("nan")}, {"valid_on": 2**70}])
def test_a_number_that_no_database_holds_is_an_error_of_the_same_class(store: Store, facts: dict[str, Any]) -> None:
    with pytest.raises(StatsError):
        store.record(run(attempt(), **facts))
    assert store.runs() == []


@contextmanager
def folder_of_nobody() -> Iterator[Path]:
    """A folder that other users can reach, which those of pytest are not."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


@POSIX
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("writable_folder", [True, False])
def test_a_store_without_the_right_to_write_is_an_error(writable_folder: bool) -> None:
    """In a child process without the rights of root, which may write everywhere."""
    with folder_of_nobody() as folder:
        path = folder / "stats.db"
        with Store(path) as store:
            store.record(run(attempt()))
        path.chmod(0o444)
        folder.chmod(0o777 if writable_folder else 0o555)

        def refused() -> None:
            if os.getuid() == 0:
                os.setuid(65_534)
            with pytest.raises(StatsError, match=r"read-only|cannot be opened"):
                Store(path).record(run(attempt()))
            with pytest.raises(StatsError, match=r"denied|read-only|cannot be opened"):
                Store(folder / "deeper" / "stats.db" if not writable_folder else path).record(run(attempt()))

        assert forked(refused) == 0
        folder.chmod(0o755)


def test_a_program_that_records_nothing_does_not_load_the_database() -> None:
    code = "import sys, runllm, runllm.api, runllm.stats.rows; print('sqlite3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
