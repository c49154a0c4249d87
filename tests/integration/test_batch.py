"""Batches against a loopback provider: each row ends once, whatever happens meanwhile."""

from __future__ import annotations

import csv
import json
import os
import random
import resource
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
from tests.apps import at, leaf
from tests.chances import some
from tests.docs.sessions import on_a_terminal
from tests.integration.provider import Provider, Received, Reply, answer, failure
from tests.warm import INSTALLED, RUNLLM

import runllm
from runllm.results import Endpoint


class Echo:
    """Answers with the text that was asked, and counts what is in flight."""

    def __init__(self, delay=0.0, instead=lambda *_: None):
        self.delay, self.instead = delay, instead
        self.lock = threading.Lock()
        self.now = self.most = 0
        self.asked: dict[str, int] = {}

    def __call__(self, received: Received):
        said = next(turn["content"] for turn in received.body["messages"] if turn["role"] == "user")
        text = said.removeprefix("one: ").strip()
        with self.lock:
            self.asked[text] = self.asked.get(text, 0) + 1
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(self.delay)
        with self.lock:
            self.now -= 1
        other = self.instead(text, self.asked[text])
        return other if other is not None else answer(json.dumps({"out": f"<{text}>"})).body(received)


class EchoProvider(Provider):
    """A provider whose replies an `Echo` makes."""

    def __init__(self, echo: Echo):
        super().__init__(Reply(body=echo))
        self.echo = echo


@pytest.fixture
def served(tmp_path):
    """An app on a provider, and the command that runs it on rows of a file."""
    providers = []

    def serve(echo: Echo | None = None, rows: int = 20):
        provider = EchoProvider(echo or Echo())
        provider.__enter__()
        providers.append(provider)
        (tmp_path / "one.rllm").write_text(leaf("one", llm=at(provider.base)))
        write(tmp_path, rows)
        return provider

    yield serve
    for provider in providers:
        provider.__exit__(None, None, None)


def write(folder: Path, rows: int) -> None:
    lines = [f"{n},text {n}" for n in range(rows)]
    (folder / "in.csv").write_text("\n".join(["id,text", *lines]) + "\n")


def batch(folder: Path, *arguments: str, command: str = RUNLLM, expect: int | None = 0, **more):
    words = [command, "batch", "one.rllm", "in.csv", "-o", "out.csv", "--error-format", "json", *arguments]
    environment = {**os.environ, "RUNLLM_STATS": "off", "OPENAI_API_KEY": "k"}
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120, env=environment, **more)
    if expect is not None:
        assert done.returncode == expect, done.stderr
    return done


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def whole(folder: Path, rows: int) -> None:
    """The output holds each row once, in its order, with its own answer."""
    assert [(one["id"], one["out"]) for one in rows_of(folder / "out.csv")] == [
        (str(n), f"<text {n}>") for n in range(rows)
    ]


def error_of(done) -> dict:
    return json.loads(done.stderr[done.stderr.index("\n{") if not done.stderr.startswith("{") else 0 :])


def test_each_row_ends_once_in_the_order_of_the_rows(served, tmp_path):
    provider = served(rows=50)
    done = batch(tmp_path)
    whole(tmp_path, 50)
    assert len(provider.chats) == 50
    assert "50 rows done, 0 failed" in done.stderr
    batch(tmp_path)  # it is finished: nothing is asked again
    assert len(provider.chats) == 50


def test_calls_in_flight_never_pass_the_bound(served, tmp_path):
    provider = served(Echo(delay=0.02), rows=60)
    batch(tmp_path, "--concurrency", "5")
    assert 3 <= provider.echo.most <= 5


def test_the_bound_holds_over_children_and_retries(served, tmp_path):
    bad = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "{}"}, "finish_reason": "stop"}]}
    provider = served(Echo(delay=0.01, instead=lambda _, times: bad if times == 1 else None), rows=6)
    top = """---
name: top
input: {text: text}
output: {all: "{{ uses.parts }}"}
output_schema: {type: object, properties: {all: {type: array}}}
uses:
  - {name: parts, path: ./one.rllm, for_each: ["1", "2", "3"], with: {text: "{{ input.text }} {{ item }}"}}
---
"""
    (tmp_path / "top.rllm").write_text(top)
    words = [RUNLLM, "batch", "top.rllm", "in.csv", "-o", "out.jsonl", "--concurrency", "4"]
    environment = {**os.environ, "OPENAI_API_KEY": "k"}
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    assert provider.echo.most <= 4
    assert len(provider.chats) == 6 * 3 * 2
    first = json.loads((tmp_path / "out.jsonl").read_text().splitlines()[0])
    assert [one["out"] for one in first["all"]] == ["<text 0 1>", "<text 0 2>", "<text 0 3>"]


@pytest.mark.parametrize("seed", some(range(50), 2))
def test_killed_at_any_moment_and_started_again_each_row_stands_once(served, tmp_path, seed):
    chance, rows, at_once = random.Random(seed), 60, 8  # noqa: S311 - no secret
    provider = served(Echo(delay=0.02), rows=rows)
    words = [INSTALLED, "batch", "one.rllm", "in.csv", "-o", "out.csv", "--concurrency", str(at_once)]
    environment = {**os.environ, "OPENAI_API_KEY": "k"}
    kills = 2
    for _ in range(kills):
        going = subprocess.Popen(words, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
        before = len(provider.chats)
        wanted = chance.randrange(rows // 3)
        while going.poll() is None and len(provider.chats) - before < wanted:
            time.sleep(0.002)
        time.sleep(chance.random() * 0.05)
        going.kill()
        going.wait()
    batch(tmp_path)
    whole(tmp_path, rows)
    assert sum(provider.echo.asked.values()) <= rows + kills * at_once


@pytest.mark.parametrize("engine", ["direct", pytest.param("litellm", marks=pytest.mark.soak)])
def test_ctrl_c_once_finishes_what_is_in_flight_and_the_same_command_goes_on(served, tmp_path, engine):
    """Rows in threads, and as tasks of an event loop."""
    provider = served(Echo(delay=0.1), rows=40)
    words = [RUNLLM, "batch", "one.rllm", "in.csv", "-o", "out.csv", "--concurrency", "4"]
    words += ["--engine", "litellm"] if engine == "litellm" else []
    environment = {**os.environ, "OPENAI_API_KEY": "k"}
    going = subprocess.Popen(words, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    while len(provider.chats) < 6:
        time.sleep(0.01)
    going.send_signal(signal.SIGINT)
    _, said = going.communicate(timeout=60)
    assert going.returncode == 130
    assert "finishing what is in flight" in said
    asked = len(provider.chats)
    assert asked < 20
    assert len(rows_of(tmp_path / "out.csv")) == asked  # none of them was lost
    batch(tmp_path)
    whole(tmp_path, 40)
    assert len(provider.chats) == 40


def test_ctrl_c_twice_stops_at_once(served, tmp_path):
    provider = served(Echo(delay=20), rows=4)
    words = [RUNLLM, "batch", "one.rllm", "in.csv", "-o", "out.csv"]
    environment = {**os.environ, "OPENAI_API_KEY": "k"}
    going = subprocess.Popen(words, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    while not provider.chats:
        time.sleep(0.01)
    going.send_signal(signal.SIGINT)
    assert going.stderr
    with going.stderr:
        assert "once more" in going.stderr.readline()
        going.send_signal(signal.SIGINT)
        assert going.wait(10) == 130


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: (folder / "one.rllm").write_text((folder / "one.rllm").read_text() + "Be brief.\n"), "the app"),
        (lambda folder: (folder / "in.csv").write_text("id,text\n0,other\n1,text 1\n2,text 2\n"), "the rows"),
        (lambda folder: (folder / "in.csv").write_text("id,text\n0,text 0\n"), "the rows"),
    ],
)
def test_what_changes_an_answer_is_refused_with_what_changed(served, tmp_path, change, said):
    served(rows=3)
    batch(tmp_path)
    before = (tmp_path / "out.csv").read_bytes()
    change(tmp_path)
    refused = batch(tmp_path, expect=2)
    assert said in error_of(refused)["message"]
    assert (tmp_path / "out.csv").read_bytes() == before
    batch(tmp_path, "--overwrite")
    assert (tmp_path / "out.csv").read_bytes() != before or said == "the app"


def test_another_model_is_refused_and_other_limits_are_not(served, tmp_path):
    served(rows=3)
    batch(tmp_path, "--limit", "2")
    refused = batch(
        tmp_path, "--limit", "2", "--model", "openai/other", "--allow-base", "http://127.0.0.1:9/v1", expect=2
    )
    assert "the model" in error_of(refused)["message"]
    batch(tmp_path, "--concurrency", "1", "--rpm", "600", "--max-retries", "5", "--format", "jsonl")
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 3


def test_rows_that_come_after_the_others_are_run_and_the_others_are_not(served, tmp_path):
    provider = served(rows=5)
    batch(tmp_path)
    write(tmp_path, 8)
    batch(tmp_path)
    whole(tmp_path, 8)
    assert len(provider.chats) == 8


def test_an_output_without_a_journal_is_refused(served, tmp_path):
    provider = served(rows=2)
    (tmp_path / "out.csv").write_text("precious\n")
    refused = batch(tmp_path, expect=2)
    assert "--overwrite" in error_of(refused)["recovery_hint"]
    assert (tmp_path / "out.csv").read_text() == "precious\n"
    assert not provider.chats
    assert not (tmp_path / "out.csv.journal").exists()


def test_a_second_process_on_the_same_output_is_refused(served, tmp_path):
    provider = served(Echo(delay=20), rows=4)
    words = [RUNLLM, "batch", "one.rllm", "in.csv", "-o", "out.csv", "--concurrency", "2"]
    environment = {**os.environ, "OPENAI_API_KEY": "k"}
    with subprocess.Popen(words, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL) as going:
        while not provider.chats:
            time.sleep(0.01)
        refused = batch(tmp_path, expect=3)
        assert "another process" in error_of(refused)["message"]
        going.kill()
    provider.echo.delay = 0
    batch(tmp_path)
    whole(tmp_path, 4)


def test_rows_that_failed_carry_why_and_are_run_again_when_asked(served, tmp_path):
    broken = {"error": {"message": "no", "type": "x"}}
    provider = served(
        Echo(instead=lambda text, times: broken if text in ("text 2", "text 4") and times < 4 else None), rows=6
    )
    done = batch(tmp_path, expect=11)
    found = rows_of(tmp_path / "out.csv")
    assert [one["_key"] for one in found if one["_error_code"]] == ["4", "6"]
    assert all(one["_error"] for one in found if one["_error_code"])
    assert "4 rows done, 2 failed" in done.stderr
    asked = len(provider.chats)
    batch(tmp_path, expect=11)  # by itself it does not
    assert len(provider.chats) == asked
    provider.echo.instead = lambda *_: None
    batch(tmp_path, "--retry-failed")
    whole(tmp_path, 6)
    assert len(provider.chats) == asked + 2


def test_more_failures_than_may_be_stop_it_and_a_higher_bound_goes_on(served, tmp_path):
    served(Echo(instead=lambda *_: {"error": {"message": "no", "type": "x"}}), rows=40)
    done = batch(tmp_path, "--max-failures", "5", "--concurrency", "2", expect=10)
    assert error_of(done)["error_code"] == "RLLM_028"
    assert 5 < len(rows_of(tmp_path / "out.csv")) < 12
    done = batch(tmp_path, "--max-failures", "25%", "--concurrency", "2", expect=10)
    assert 10 < len(rows_of(tmp_path / "out.csv")) < 16


def test_a_bound_on_calls_stops_it_and_a_higher_one_goes_on(served, tmp_path):
    provider = served(rows=10)
    batch(tmp_path, "--max-calls", "4", expect=10)
    assert len(rows_of(tmp_path / "out.csv")) == 4
    batch(tmp_path, "--max-calls", "4", expect=10)
    assert len(provider.chats) == 4
    batch(tmp_path, "--max-calls", "10")
    whole(tmp_path, 10)


def test_a_torn_last_line_is_cut_off_and_a_damaged_one_is_refused(served, tmp_path):
    provider = served(rows=5)
    batch(tmp_path)
    journal = tmp_path / "out.csv.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-1]) + lines[-1][:20])
    batch(tmp_path)
    whole(tmp_path, 5)
    assert len(provider.chats) == 6
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(lines[0] + lines[1].replace(b"text", b"test") + b"".join(lines[2:]))
    refused = batch(tmp_path, expect=3)
    assert "line 2" in error_of(refused)["message"]


def test_a_full_disk_is_told_and_loses_nothing_that_has_ended(served, tmp_path):
    served(rows=200)

    def little_room():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, resource.RLIM_INFINITY))

    done = batch(tmp_path, command=INSTALLED, expect=3, preexec_fn=little_room)
    assert "cannot be written" in error_of(done)["message"]
    ended = rows_of(tmp_path / "out.csv")
    assert 0 < len(ended) < 200
    assert all(one["out"] == f"<{one['text']}>" for one in ended)
    batch(tmp_path)
    whole(tmp_path, 200)


def test_a_storm_of_429_is_waited_out(tmp_path):
    chance = random.Random(1)  # noqa: S311 - no secret
    busy = failure(429, headers={"retry-after": "0.05"})
    echo = Echo(delay=0.005)
    with Provider() as provider:
        replies = Reply(body=echo)
        take = provider._take
        provider._take = lambda received: busy if take(received) and chance.random() < 0.5 else replies
        provider.__dict__["_server"].RequestHandlerClass = provider._handler()
        (tmp_path / "one.rllm").write_text(leaf("one", llm=at(provider.base)))
        write(tmp_path, 40)
        batch(tmp_path)
    whole(tmp_path, 40)


def test_a_server_that_is_gone_for_a_while_is_waited_for(served, tmp_path):
    """Refused connections in the middle: rows wait, and none fails."""
    provider = served(Echo(delay=0.02), rows=60)
    port = int(provider.root.rpartition(":")[2])
    words = [RUNLLM, "batch", "one.rllm", "in.csv", "-o", "out.csv", "--concurrency", "4"]
    environment = {**os.environ, "OPENAI_API_KEY": "k"}
    going = subprocess.Popen(words, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    while len(provider.chats) < 20:
        time.sleep(0.005)
    provider._server.shutdown()
    provider._server.server_close()
    time.sleep(2)
    again = EchoProvider(Echo(delay=0.02))
    again._server.server_close()
    again._server.socket = socket.create_server(("127.0.0.1", port), reuse_port=False)
    with again:
        _, said = going.communicate(timeout=100)
    assert going.returncode == 0, said
    whole(tmp_path, 60)


def test_a_server_that_was_never_there_ends_it_soon_and_no_row_is_lost(tmp_path):
    (tmp_path / "one.rllm").write_text(leaf("one", llm=at("http://127.0.0.1:9/v1")))
    write(tmp_path, 50)
    done = batch(tmp_path, expect=7)
    assert error_of(done)["error_code"] == "RLLM_015"
    assert len(rows_of(tmp_path / "out.csv")) == 0


def test_a_refused_key_ends_it_and_no_row_fails_for_it(tmp_path):
    with Provider(failure(401, "no such key")) as provider:
        (tmp_path / "one.rllm").write_text(leaf("one", llm=at(provider.base)))
        write(tmp_path, 50)
        done = batch(tmp_path, expect=7)
        assert error_of(done)["error_code"] == "RLLM_016"
        assert len(provider.chats) <= 33
    assert rows_of(tmp_path / "out.csv") == []


def test_standard_output_is_streamed_in_order(served, tmp_path):
    served(Echo(delay=0.01), rows=30)
    words = [RUNLLM, "batch", "one.rllm", "--keep", "id"]
    environment = {**os.environ, "OPENAI_API_KEY": "k"}
    given = (tmp_path / "in.csv").read_text()
    done = subprocess.run(words, cwd=tmp_path, input=given, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"id": str(n), "out": f"<text {n}>"} for n in range(30)
    ]


def test_a_report_says_what_the_batch_came_to(served, tmp_path):
    served(rows=4)
    batch(tmp_path, "--report", "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "Rows done" in page
    assert "http" not in page.replace("http-equiv", "")


def test_rows_that_do_not_fit_are_told_before_and_cost_nothing(served, tmp_path):
    provider = served()
    (tmp_path / "one.rllm").write_text(
        (tmp_path / "one.rllm").read_text().replace("text: {type: string}", "text: {type: string, maxLength: 4}")
    )
    (tmp_path / "in.csv").write_text("text\ngood\nmuch too long\nfine\n")
    done = batch(tmp_path, "--dry-run", expect=11)
    assert "in.csv, line 3" in done.stderr
    assert json.loads(done.stdout)["unfit"] == 1
    assert not provider.chats
    assert not (tmp_path / "out.csv").exists()
    assert not (tmp_path / "out.csv.journal").exists()
    batch(tmp_path, expect=11)
    assert [one["_error_code"] for one in rows_of(tmp_path / "out.csv")] == ["", "RLLM_004", ""]
    assert len(provider.chats) == 2


@pytest.mark.soak
def test_a_local_model_writes_several_answers_at_a_time_and_each_fits():
    rows = [{"message": f"Hello number {n}, my lamp is broken. Please send a new one. Ann"} for n in range(2)]
    longer = {"message": "The lamp is broken. " * 140}
    with runllm.Runtime(slots=2) as runtime:
        app = runllm.load(Path(__file__).parents[2] / "examples" / "subject.rllm", runtime=runtime)
        found = list(app.map([rows[0], longer, rows[1]]))  # which needs more context, while others are under way
        model = next(iter(runtime.engine(Endpoint(model="local/smollm2-135m"))._models.values()))
        assert model._slots == 2
        assert model._context > 1024
    assert all(3 <= len(one.output["subject"]) <= 60 for one in found)
    assert len(found) == 3


def test_a_terminal_is_shown_how_far_it_is_and_a_pipe_is_not(served, tmp_path):
    served(Echo(delay=0.3), rows=24)
    environment = {**os.environ, "OPENAI_API_KEY": "k", "TERM": "xterm"}
    words = [RUNLLM, "batch", "one.rllm", "in.csv", "-o", "out.csv", "--concurrency", "4"]
    shown = on_a_terminal(words, tmp_path, environment)
    assert " of 24 · " in shown
    assert "in flight" in shown
    assert "rows/s" in shown
    whole(tmp_path, 24)
    assert "in flight" not in batch(tmp_path, "--overwrite").stderr


@pytest.mark.parametrize("target", ["nowhere/out.csv", "in.csv/out.csv", ".", "/proc/out.csv"])
def test_an_output_that_cannot_be_is_refused_before_a_call(served, tmp_path, target):
    provider = served(rows=3)
    words = [RUNLLM, "batch", "one.rllm", "in.csv", "-o", target, "--format", "csv", "--error-format", "json"]
    environment = {**os.environ, "OPENAI_API_KEY": "k"}
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, env=environment)
    assert json.loads(done.stderr)["error_code"] == "RLLM_023"
    assert not provider.chats


def test_a_folder_that_goes_away_meanwhile_is_told_and_the_rows_are_not(served, tmp_path):
    provider = served(Echo(delay=0.05), rows=40)
    (tmp_path / "there").mkdir()
    words = [RUNLLM, "batch", "one.rllm", "in.csv", "-o", "there/out.csv", "--concurrency", "4"]
    environment = {**os.environ, "OPENAI_API_KEY": "k"}
    going = subprocess.Popen(words, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    while len(provider.chats) < 6:
        time.sleep(0.01)
    (tmp_path / "there").rename(tmp_path / "elsewhere")
    _, said = going.communicate(timeout=60)
    assert going.returncode == 3
    assert "Traceback" not in said
    assert "RLLM_023" in said
    assert (tmp_path / "elsewhere" / "out.csv.journal").stat().st_size > 1_000


def test_a_server_that_drips_loses_its_rows_by_name_and_the_run_ends(served, tmp_path):
    provider = served(rows=3)
    provider.script(answer('{"out": "x"}', drip=0.5))
    done = batch(tmp_path, "--timeout", "1", expect=11)
    assert [one["_error_code"] for one in rows_of(tmp_path / "out.csv")] == ["RLLM_014"] * 3
    assert "RLLM_014 x 3" in done.stderr


def test_a_row_that_ends_in_a_bug_is_a_row_that_failed(served, tmp_path, monkeypatch):
    """What nobody foresaw in one row is no end of the thousands beside it."""
    served(rows=3)
    from runllm.batch import Batch, Wanted
    from runllm.batch.columns import Feeding

    given = Feeding.given
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    app = runllm.load(tmp_path / "one.rllm")
    with Batch(app, Wanted(paths=[str(tmp_path / "in.csv")], target=str(tmp_path / "out.csv"))) as going:
        checked = going.check()
        monkeypatch.setattr(Feeding, "given", lambda self, row: 1 / 0 if row.line == 3 else given(self, row))
        going.run(checked, None)  # pyright: ignore[reportArgumentType]
    assert [one["_error_code"] for one in rows_of(tmp_path / "out.csv")] == ["", "RLLM_099", ""]


@pytest.mark.parametrize(("rows", "said"), [(1, "Every row had ended by then"), (9, "goes on where it stopped")])
def test_who_stops_a_batch_is_told_what_is_left_of_it(served, tmp_path, monkeypatch, rows, said):
    """Stopped when its first row has its answer; one of one row has ended then."""
    served(rows=rows)
    from runllm.batch import Batch, Wanted
    from runllm.errors import InterruptedRunError

    judged = Batch._judged
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    app = runllm.load(tmp_path / "one.rllm", concurrency=1)
    with Batch(app, Wanted(paths=[str(tmp_path / "in.csv")], target=str(tmp_path / "out.csv"))) as going:
        checked = going.check()
        monkeypatch.setattr(Batch, "_judged", lambda self, *words: self.stop() or judged(self, *words))
        with pytest.raises(InterruptedRunError) as caught:
            going.run(checked, None)  # pyright: ignore[reportArgumentType]
    assert said in caught.value.recovery_hint


def test_an_output_that_another_process_writes_is_not_begun_anew(served, tmp_path):
    provider = served(Echo(delay=20), rows=4)
    words = [RUNLLM, "batch", "one.rllm", "in.csv", "-o", "out.csv", "--concurrency", "2"]
    environment = {**os.environ, "OPENAI_API_KEY": "k"}
    with subprocess.Popen(words, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL) as going:
        while not provider.chats:
            time.sleep(0.01)
        before = (tmp_path / "out.csv.journal").read_bytes()
        assert "another process" in error_of(batch(tmp_path, "--overwrite", expect=3))["message"]
        assert (tmp_path / "out.csv.journal").read_bytes() == before
        going.kill()


@pytest.mark.parametrize("target", ["in.csv", "./in.csv", "link.csv", "hard.csv"])
def test_rows_are_never_written_over(served, tmp_path, target):
    provider = served(rows=3)
    (tmp_path / "link.csv").symlink_to("in.csv")
    (tmp_path / "hard.csv").hardlink_to(tmp_path / "in.csv")
    before = (tmp_path / "in.csv").read_bytes()
    words = [RUNLLM, "batch", "one.rllm", "in.csv", "-o", target, "--overwrite", "--error-format", "json"]
    environment = {**os.environ, "OPENAI_API_KEY": "k"}
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 2, done.stderr
    assert "overwrite" not in json.loads(done.stderr)["recovery_hint"]
    assert (tmp_path / "in.csv").read_bytes() == before
    assert not provider.chats


def test_what_was_paid_for_rows_that_are_run_again_counts(served, tmp_path):
    bad = {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "{}"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12},
    }
    provider = served(Echo(instead=lambda *_: bad), rows=4)
    assert "144 tokens" in batch(tmp_path, expect=11).stderr  # three answers a row
    assert "288 tokens" in batch(tmp_path, "--retry-failed", expect=11).stderr
    asked = len(provider.chats)
    batch(tmp_path, "--retry-failed", "--max-calls", str(asked), expect=10)
    assert len(provider.chats) == asked


def test_failures_that_are_run_again_are_none_yet_and_too_many_are_told_before_a_call(served, tmp_path):
    provider = served(Echo(instead=lambda *_: {"error": {"message": "no", "type": "x"}}), rows=10)
    batch(tmp_path, expect=11)
    asked = len(provider.chats)
    batch(tmp_path, "--max-failures", "3", expect=10)
    assert len(provider.chats) == asked
    provider.echo.instead = lambda *_: None
    batch(tmp_path, "--max-failures", "3", "--retry-failed")
    whole(tmp_path, 10)


def test_a_price_that_nobody_knows_is_told_once_and_no_row_fails_for_it(served, tmp_path):
    provider = served(rows=10)
    done = batch(tmp_path, "--max-cost", "1", expect=10)
    assert "--allow-unpriced" in error_of(done)["recovery_hint"]
    assert not provider.chats
    batch(tmp_path, "--max-cost", "1", "--allow-unpriced")
    whole(tmp_path, 10)


def test_no_credit_left_ends_it_and_no_row_fails_for_it(tmp_path):
    with Provider(failure(429, "You exceeded your current quota", kind="insufficient_quota")) as provider:
        (tmp_path / "one.rllm").write_text(leaf("one", llm=at(provider.base)))
        write(tmp_path, 50)
        batch(tmp_path, expect=7)
        assert len(provider.chats) <= 33
    assert rows_of(tmp_path / "out.csv") == []


def test_fewer_rows_than_before_are_refused_with_their_numbers(served, tmp_path):
    served(rows=6)
    batch(tmp_path)
    done = batch(tmp_path, "--limit", "3", expect=2)
    assert "there were 6, and now 3" in error_of(done)["message"]
    assert "done" not in done.stderr.partition("{")[0]
