"""Batches in shards: what several workers make is what one process makes, whoever is killed meanwhile.

Most of it is tried with workers that are threads of this process. What is Daft's is tried with Daft, most of that in
`make soak`, since each of its workers takes seconds to begin.
"""

from __future__ import annotations

import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.apps import at, leaf
from tests.chances import some
from tests.integration.provider import Provider, failure
from tests.integration.test_batch import Echo, error_of, rows_of, served, whole, write  # noqa: F401 - a fixture
from tests.warm import INSTALLED, RUNLLM

import runllm
from runllm.batch import Batch, Wanted, sharded
from runllm.batch.frames import Daft
from runllm.batch.journal import Journal
from runllm.batch.shard import Shard, folder_of, take_over
from runllm.batch.worker import Task, Worker
from runllm.errors import EngineUnavailableError

SHARDS = ("--shards-on", "daft")
with_daft = pytest.mark.skipif(find_spec("daft") is None, reason="Daft is not installed")


class Threads:
    """Runs workers in threads of this process; `losing` says in how many rounds a worker is lost."""

    def __init__(self, machines: int = 2, losing: int = 0):
        self.machines, self.is_here, self.losing = machines, False, losing
        self.tasks: list[Task] = []

    def table(self, *_):
        return None

    def run(self, task: Task) -> None:
        self.tasks.append(task)
        pool = ThreadPoolExecutor(len(task.shares))
        told = pickle.dumps(task)
        going = [pool.submit(Worker(pickle.loads(told)).run, n) for n in range(len(task.shares))]  # noqa: S301 - as Daft does
        if len(self.tasks) <= self.losing:
            time.sleep(0.2)
            raise ConnectionError("a worker is gone")  # the others go on until they are told to stop
        for one in going:
            one.result()


@pytest.fixture
def batch(tmp_path, monkeypatch):
    """Runs a batch in shards whose workers are threads; what it raised, and what it told."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-the-key-of-nobody")
    monkeypatch.chdir(tmp_path)

    def run(daft: Threads | None = None, *, wanted=None, out="out.csv", **options):
        daft = daft or Threads()
        monkeypatch.setattr(sharded, "Daft", lambda _: daft)
        app = runllm.load(tmp_path / "one.rllm", stats=False, **options)
        wanted = Wanted(paths=["in.csv"], target=out, **(wanted or {}))
        told: list[str] = []
        with sharded.Sharded(app, wanted, None, {}, told.append) as one:
            try:
                one.run(one.check(), sys.stdout)
            except runllm.RunllmError as error:
                return error, told, one
        return None, told, one

    return run


def test_each_row_ends_once_and_the_calls_of_all_workers_keep_one_bound(served, batch, tmp_path):  # noqa: F811
    provider = served(Echo(delay=0.01), rows=60)
    daft = Threads(machines=3)
    error, _, one = batch(daft, concurrency=8)
    assert error is None
    whole(tmp_path, 60)
    assert len(provider.chats) == 60
    assert 3 <= provider.echo.most <= 8
    assert [share.options.concurrency for share in daft.tasks[0].shares] == [3, 3, 2]
    assert (one.counts.done, one.counts.good) == (60, 60)
    assert not folder_of("out.csv").exists()


def test_no_key_travels_and_the_app_does(served, batch, tmp_path):  # noqa: F811
    served(rows=4)
    daft = Threads()
    batch(daft)
    travels = pickle.dumps(daft.tasks[0])
    assert b"the-key-of-nobody" not in travels
    assert pickle.loads(travels).plan.program.source.text == (tmp_path / "one.rllm").read_text()  # noqa: S301 - ours


def test_without_shards_it_goes_on_where_shards_stopped_and_the_other_way_round(served, batch, tmp_path):  # noqa: F811
    provider = served(rows=30)
    assert batch(max_calls=11)[0].code == "RLLM_028"
    assert len(provider.chats) == 11
    app = runllm.load(tmp_path / "one.rllm", max_calls=20, stats=False)
    with Batch(app, Wanted(paths=["in.csv"], target="out.csv")) as one, pytest.raises(runllm.BudgetExceededError):
        one.run(one.check(), sys.stdout)
    assert len(provider.chats) == 20
    assert batch()[0] is None
    whole(tmp_path, 30)
    assert len(provider.chats) == 30


@pytest.mark.parametrize("most", [1, 3, 7])
def test_calls_are_bounded_for_all_workers_together(served, batch, tmp_path, most):  # noqa: F811
    provider = served(rows=20)
    error, _, _ = batch(Threads(machines=3), max_calls=most)
    assert error.code == "RLLM_028"
    assert error.details["most"] == most
    assert len(provider.chats) == len(rows_of(tmp_path / "out.csv")) == most


def test_money_is_bounded_for_all_workers_together_but_for_calls_in_flight(served, batch, tmp_path):  # noqa: F811
    provider = served(Echo(delay=0.005), rows=80)
    (tmp_path / "one.rllm").write_text(leaf("one", llm=at(provider.base).replace("openai/m", "openai/gpt-4o-mini")))
    one_call = 0.0
    for row in runllm.load(tmp_path / "one.rllm", stats=False).map([{"text": "text 1"}]):
        one_call = row.result.cost
    assert one_call
    before = len(provider.chats)
    daft = Threads()
    error, _, one = batch(daft, max_cost=30.5 * one_call, concurrency=4)
    assert error.details["bound"] == "cost"
    assert daft.tasks[0].shares[0].options.max_cost == pytest.approx(30.5 * one_call / 2)
    assert error.details["most"] == pytest.approx(30.5 * one_call)
    assert 20 * one_call < one.counts.cost  # what is too little for a call of each worker is left over
    assert len(provider.chats) - before <= 30 + 4


def test_calls_and_tokens_a_minute_are_split(served, batch):  # noqa: F811
    served(rows=8)
    daft = Threads()
    began = time.monotonic()
    assert batch(daft, wanted={"rpm": 240.0, "tpm": 1e6})[0] is None
    assert time.monotonic() - began > (8 - 2) * 60 / 240 - 0.1
    assert [(share.rpm, share.tpm) for share in daft.tasks[0].shares] == [(120.0, 5e5)] * 2


def test_rows_that_fail_are_rows_and_more_than_may_stop_it(served, batch, tmp_path):  # noqa: F811
    broken = {"error": {"message": "no", "type": "x"}}
    provider = served(Echo(instead=lambda text, _: broken if text == "text 3" else None), rows=20)
    app = tmp_path / "one.rllm"
    app.write_text(app.read_text().replace("{text: {type: string}}", "{text: {type: string, minLength: 1}}"))
    with (tmp_path / "in.csv").open("a") as file:
        file.write("20,\n")  # it does not fit
    assert batch(wanted={"max_failures": 2})[0] is None
    failed = [(one["_key"], one["_error_code"]) for one in rows_of(tmp_path / "out.csv") if one["_error_code"]]
    assert failed == [("5", "RLLM_011"), ("22", "RLLM_004")]
    provider.echo.instead = lambda *_: broken
    error, _, one = batch(out="other.csv", wanted={"max_failures": 4}, concurrency=4)
    assert error.code == "RLLM_028"
    assert "5 of 21 rows" in error.message or one.counts.failed > 5
    assert 4 < one.counts.failed <= 4 + 2 + 4
    provider.echo.instead = lambda *_: None
    assert batch(wanted={"retry_failed": True})[0] is None
    assert [one["_key"] for one in rows_of(tmp_path / "out.csv") if one["_error_code"]] == ["22"]
    assert len(rows_of(tmp_path / "out.csv")) == 21


def test_what_ends_every_row_ends_all_workers_and_no_row_fails_for_it(batch, tmp_path):
    with Provider(failure(401, "no such key")) as provider:
        (tmp_path / "one.rllm").write_text(leaf("one", llm=at(provider.base)))
        write(tmp_path, 60)
        error, _, one = batch(concurrency=4)
        assert error.code == "RLLM_016"
        assert len(provider.chats) <= 4
    assert rows_of(tmp_path / "out.csv") == []
    assert one.counts.failed == 0
    assert not folder_of("out.csv").exists()


def test_time_is_bounded_for_all(served, batch, tmp_path):  # noqa: F811
    served(Echo(delay=0.1), rows=200)
    error, _, _ = batch(max_time=1.0, concurrency=4)
    assert error.details["bound"] == "seconds"
    assert 0 < len(rows_of(tmp_path / "out.csv")) < 100


def test_a_lost_worker_is_told_and_its_shard_goes_on_from_its_journal(served, batch, tmp_path):  # noqa: F811
    provider = served(Echo(delay=0.02), rows=200)
    error, told, _ = batch(Threads(losing=2), concurrency=4)
    assert error is None
    whole(tmp_path, 200)
    assert told == ["a worker was lost (a worker is gone): what it had in flight is paid again"] * len(told)
    assert told
    assert len(provider.chats) <= 200 + 4 * len(told)


def test_workers_that_are_lost_before_a_row_has_ended_end_it(served, batch, monkeypatch):  # noqa: F811
    served(rows=10)
    monkeypatch.setattr(Worker, "run", lambda *_: None)
    error, _, _ = batch(Threads(losing=9))
    assert error.code == "RLLM_021"
    assert "a worker is gone" in error.message


def test_what_a_killed_batch_left_is_taken_over_once_it_is_free(tmp_path):
    """By whoever goes on, and when a worker that was left alone has ended its calls."""
    target = str(tmp_path / "out.csv")
    folder_of(target).mkdir()
    shard = Shard(f"{folder_of(target)}/a-0")
    shard.write([(7, 9, {"text": "x"}), (3, 5, {"text": "y"})])
    whole_one = Journal(f"{target}.journal")
    whole_one.begin({"rows": 9})
    work = Journal(f"{shard.output}.journal")
    work.begin({"rows": 2})
    from runllm.batch.journal import Ended

    work.add(Ended(index=1, line=2, output={"out": "y"}, calls=1))
    work.spend(Ended(index=0, line=1, calls=2))
    threading.Timer(0.5, work.close).start()
    began = time.monotonic()
    take_over(target, whole_one)
    assert time.monotonic() - began > 0.4
    assert [(ended.index, ended.line, ended.calls, counted) for ended, counted in whole_one.all()] == [
        (3, 5, 1, True),
        (-1, 0, 2, False),
    ]
    assert not folder_of(target).exists()
    whole_one.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("in.csv", "-o", "out.csv", "--ray", "127.0.0.1:1"), "--shards-on daft"),
        (("in.csv", *SHARDS), "needs a file to write"),
        pytest.param(("none/*.csv", "-o", "out.csv", *SHARDS), "none/*.csv cannot be read", marks=with_daft),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_called(served, tmp_path, arguments, said):  # noqa: F811
    provider = served(rows=3)
    words = [RUNLLM, "batch", "one.rllm", *arguments, "--error-format", "json"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.returncode in (2, 3, 8), done.stderr
    assert said in error_of(done)["message"]
    assert not provider.chats


def test_without_daft_it_is_said_how_to_install_it_and_it_is_never_asked_to_call_home(monkeypatch):
    monkeypatch.setitem(sys.modules, "daft", None)
    for name, value in {"DO_NOT_TRACK": "0", "DAFT_ANALYTICS_ENABLED": "1", "DAFT_PROGRESS_BAR": "1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(EngineUnavailableError, match="`daft`, which is not installed") as caught:
        Daft(None)
    assert "scale" in caught.value.recovery_hint or "daft" in caught.value.recovery_hint
    assert os.environ["DO_NOT_TRACK"] == "1"  # before anything of it is imported


# --- with Daft itself -----------------------------------------------------------------------------------------


def started(folder: Path, *arguments: str, rows: str = "in.csv", out: str = "out.csv") -> subprocess.Popen[str]:
    """The command, really started: a fork has none of Daft's threads."""
    words = [INSTALLED, "batch", "one.rllm", rows, "-o", out, "--error-format", "json", *SHARDS, *arguments]
    environment = {**os.environ, "RUNLLM_STATS": "off", "OPENAI_API_KEY": "k"}
    pipe = subprocess.PIPE
    return subprocess.Popen(words, cwd=folder, env=environment, stderr=pipe, stdout=pipe, text=True)


def ended(going: subprocess.Popen[str], expect: int = 0) -> str:
    _, err = going.communicate(timeout=250)
    assert going.returncode == expect, err
    assert "Traceback" not in err
    return err


def workers_of(parent: int) -> list[int]:
    """The processes of a batch that run shards."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text().rpartition(")")[2].split()
                said = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if int(stat[1]) == parent and b"daft" in said:
                found.append(int(folder.name))
    return found


@with_daft
@pytest.mark.parametrize("seed", some(range(20), 1))
def test_a_worker_killed_at_any_moment_costs_what_it_had_in_flight(served, tmp_path, seed):  # noqa: F811
    chance, rows, at_once = random.Random(seed), 100, 5  # noqa: S311 - no secret
    provider = served(Echo(delay=0.05), rows=rows)
    going = started(tmp_path, "--concurrency", str(at_once))
    wanted = chance.randrange(rows // 2)
    while len(provider.chats) < wanted or not workers_of(going.pid):
        time.sleep(0.005)
    time.sleep(chance.random() * 0.1)
    os.kill(chance.choice(workers_of(going.pid)), signal.SIGKILL)
    assert "a worker was lost" in ended(going)
    whole(tmp_path, rows)
    assert sum(provider.echo.asked.values()) <= rows + at_once
    assert 2 <= provider.echo.most <= at_once
    asked = len(provider.chats)
    words = [RUNLLM, "batch", "one.rllm", "in.csv", "-o", "out.csv"]  # it is finished, with or without shards
    assert subprocess.run(words, cwd=tmp_path, capture_output=True, timeout=100).returncode == 0
    assert len(provider.chats) == asked


@with_daft
@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
def test_a_batch_killed_at_any_moment_goes_on_and_each_row_stands_once(served, tmp_path, seed):  # noqa: F811
    chance, rows, at_once = random.Random(100 + seed), 120, 8  # noqa: S311 - no secret
    provider = served(Echo(delay=0.05), rows=rows)
    going = started(tmp_path, "--concurrency", str(at_once))
    wanted = chance.randrange(rows // 2)
    while going.poll() is None and len(provider.chats) < wanted:
        time.sleep(0.005)
    going.kill()
    going.communicate()
    ended(started(tmp_path, "--concurrency", str(at_once)))
    whole(tmp_path, rows)
    assert sum(provider.echo.asked.values()) <= rows + at_once
    assert provider.echo.most <= at_once


@with_daft
@pytest.mark.soak
def test_a_worker_killed_before_it_began_is_replaced(served, tmp_path):  # noqa: F811
    """Daft waits for it for ever."""
    provider = served(rows=40)
    going = started(tmp_path)
    while not (found := workers_of(going.pid)):
        time.sleep(0.002)
    os.kill(found[0], signal.SIGKILL)
    assert "a worker was lost" in ended(going)
    whole(tmp_path, 40)
    assert len(provider.chats) == 40


@with_daft
@pytest.mark.soak
def test_ctrl_c_once_finishes_what_is_in_flight_and_twice_stops_at_once(served, tmp_path):  # noqa: F811
    provider = served(Echo(delay=0.3), rows=60)
    going = started(tmp_path, "--concurrency", "4")
    while len(provider.chats) < 8:
        time.sleep(0.01)
    for one in [*workers_of(going.pid), going.pid]:  # as a terminal does
        os.kill(one, signal.SIGINT)
    ended(going, 130)
    assert len(rows_of(tmp_path / "out.csv")) == len(provider.chats) < 40
    provider.echo.delay = 20
    going = started(tmp_path, "--concurrency", "4")
    asked = len(provider.chats)
    while len(provider.chats) < asked + 4:
        time.sleep(0.01)
    going.send_signal(signal.SIGINT)
    time.sleep(0.5)
    going.send_signal(signal.SIGINT)
    began = time.monotonic()
    ended(going, 130)
    assert time.monotonic() - began < 10


@with_daft
@pytest.mark.soak
def test_a_refused_key_is_told_as_without_shards(tmp_path):
    with Provider(failure(401, "no such key")) as provider:
        (tmp_path / "one.rllm").write_text(leaf("one", llm=at(provider.base)))
        write(tmp_path, 60)
        err = ended(started(tmp_path, "--concurrency", "4"), 7)
    assert error_of(subprocess.CompletedProcess([], 7, "", err))["error_code"] == "RLLM_016"
    assert rows_of(tmp_path / "out.csv") == []


@with_daft
@pytest.mark.soak
@pytest.mark.parametrize("form", ["parquet", "jsonl", "csv"])
def test_several_tables_are_read_by_daft_as_one_is_without_it(served, tmp_path, form):  # noqa: F811
    import polars as pl

    served(rows=1)
    empty = "2025-01-02" if form == "jsonl" else None  # there, null and missing are the same to Daft
    texts = {"id": list(range(30)), "text": [f"text {n}" for n in range(30)], "at": ["2024-05-06", empty] * 15}
    table = pl.DataFrame(texts).with_columns(pl.col("at").str.to_date())
    write_to = {
        "parquet": pl.DataFrame.write_parquet,
        "jsonl": pl.DataFrame.write_ndjson,
        "csv": pl.DataFrame.write_csv,
    }
    (tmp_path / "some").mkdir()
    for name, part in (("one", table), ("some/a", table[:9]), ("some/b", table[9:])):
        write_to[form](part, tmp_path / f"{name}.{form}")
    ended(started(tmp_path, rows=f"some/*.{form}", out="several.jsonl"))
    words = [RUNLLM, "batch", "one.rllm", f"one.{form}", "-o", "alone.jsonl"]
    assert subprocess.run(words, cwd=tmp_path, capture_output=True, timeout=100).returncode == 0
    assert (tmp_path / "several.jsonl").read_text() == (tmp_path / "alone.jsonl").read_text()


def test_shards_take_from_the_cache_and_keep_in_it(served, batch, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("RUNLLM_CACHE_FOLDER", str(tmp_path / "kept"))
    provider = served(rows=12)
    assert batch(cache=True)[0] is None
    assert len(provider.chats) == 12
    error, _, one = batch(cache=True, out="again.csv")
    assert error is None
    assert len(provider.chats) == 12
    assert one.summary(1.0).cached == 12
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "again.csv").read_bytes()
