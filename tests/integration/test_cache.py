"""Answers from the cache: taken instead of a call where that is what was asked for, and only where they still fit."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.apps import leaf
from tests.integration.provider import Provider, Reply, answer, failure

import runllm
from runllm import Runtime
from runllm.engines import cache
from runllm.engines.cache import Answers, key_of
from runllm.errors import FileAccessError, RetryExhaustedError, RunllmError, UsageError
from runllm.results import Completion, Endpoint, Message, Request
from runllm.stats.store import Store
from runllm.testing import FakeClock, ScriptedEngine

GOOD = answer('{"out": "x"}')
WRONG = answer('{"wrong": 1}')
SECRET = "sk-" + "Q7" * 20
WORDS = "the private words of a user"


@dataclass
class World:
    """An app, its provider, and the cache between them.

    Attributes:
        folder: where the files are.
        provider: what is called.
        clock: what time it is.
        steps: what the last run told.
    """

    folder: Path
    provider: Provider
    clock: FakeClock = field(default_factory=FakeClock)
    steps: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    most: int = 1 << 20

    def __post_init__(self) -> None:
        self.answers = Answers(self.folder / "kept" / "answers.db", most=self.most)
        self.store = Store(self.folder / "stats.db")
        self.runtime = Runtime(answers=self.answers, store=self.store, wall=self.clock.now, sleep=self.clock.sleep)

    def write(self, text: str | None = None, *, name: str = "app", more: str = "", check: str = "") -> Path:
        llm = f'{{model: openai/m, api_base: "{self.provider.base}", num_retries: 0{more}}}'
        path = self.folder / f"{name}.rllm"
        path.write_text((text or leaf(name, llm=llm)) + check, encoding="utf-8")
        return path

    def run(self, text: str = WORDS, *, path: Path | None = None, **options: Any) -> runllm.RunResult:
        """Run it and say how it ended; its calls are those of `calls`."""
        self.steps.clear()
        self.before = len(self.provider.chats)
        app = runllm.load(path or self.write(), runtime=self.runtime, **{"cache": True, **options})
        return app.run({"text": text}, listener=lambda event: self.steps.append((event.step, event.message)))

    @property
    def calls(self) -> int:
        return len(self.provider.chats) - self.before

    def script(self, *replies: Reply) -> None:
        self.provider.script(*replies)

    def bytes(self) -> bytes:
        """All that stands in the files of the cache."""
        return b"".join(path.read_bytes() for path in self.answers.path.parent.iterdir())


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    with Provider(GOOD) as provider:
        found = World(tmp_path, provider)
        with found.runtime:
            yield found


def test_what_was_answered_once_is_not_asked_again(world: World) -> None:
    first = world.run()
    assert (world.calls, first.cached, world.answers.held().answers) == (1, False, 1)
    again = world.run()
    assert (world.calls, again.cached, again.output) == (0, True, first.output)
    (attempt,) = again.attempts
    assert attempt.completion is not None
    assert attempt.completion.cached
    assert (again.cost, again.usage.total_tokens, attempt.completion.latency) == (0.0, 0, 0.0)
    assert [step for step, _ in world.steps] == ["input", "render", "cached", "done"]
    assert "from the cache: it was given" in world.steps[2][1]
    assert world.steps[3][1] == "1 attempt, from the cache"


def test_nothing_is_kept_or_taken_unless_that_is_asked_for(world: World) -> None:
    for given in (None, False):
        world.run(cache=given)
        assert (world.calls, world.answers.path.exists()) == (1, False)
    world.run()
    assert not world.run(cache=None).cached
    assert world.calls == 1


def test_a_run_from_the_cache_is_not_in_the_statistics(world: World) -> None:
    for _ in range(3):
        world.run(stats=True)
    assert len(world.store.runs()) == 1


def test_async_runs_take_from_it_too(world: World) -> None:
    app = runllm.load(world.write(), runtime=world.runtime, cache=True)

    async def both() -> list[bool]:
        return [(await app.arun({"text": WORDS})).cached for _ in range(2)]

    assert asyncio.run(both()) == [False, True]
    assert len(world.provider.chats) == 1


HIT = """
import sys
import runllm
app = runllm.load(sys.argv[1], cache=True)
assert app.run({"text": sys.argv[2]}).cached
assert not {"litellm", "asyncio", "rich"} & sys.modules.keys(), sorted(sys.modules)
"""


def test_what_is_kept_is_given_without_a_server_and_without_what_calls_one(world: World) -> None:
    path, world.clock.time = world.write(), time.time()
    world.run(path=path)
    world.runtime.close()
    world.provider._server.server_close()
    own = {"RUNLLM_CACHE_FOLDER": str(world.answers.path.parent), "RUNLLM_STATS": "off"}
    done = subprocess.run(
        [sys.executable, "-c", HIT, str(path), WORDS], env={**os.environ, **own}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


# --- what is kept --------------------------------------------------------------------------------


def test_what_had_to_be_corrected_is_right_the_next_time(world: World) -> None:
    world.script(WRONG, GOOD)
    assert len(world.run().attempts) == 2
    again = world.run()
    assert (world.calls, again.cached, len(again.attempts), again.output) == (0, True, 1, {"out": "x"})


@pytest.mark.parametrize("replies", [[WRONG], [failure(500)], [answer("I cannot."), failure(429)]])
def test_a_failure_is_never_kept(world: World, replies: list[Reply]) -> None:
    world.script(*replies)
    for _ in range(2):
        with pytest.raises(RunllmError):
            world.run()
        assert world.calls > 0
    assert world.answers.held().answers == 0


def test_a_post_block_that_fails_leaves_the_answer_of_the_model_kept(world: World) -> None:
    path = world.write(
        check="```rllm-python post late inputs=output.out outputs=out\nout = str(1 / len(out[1:]))\n```\n"
    )
    for calls in (1, 0):
        with pytest.raises(RunllmError):
            world.run(path=path)
        assert world.calls == calls


def test_the_answer_of_a_fallback_does_not_stand_in_for_the_model(world: World) -> None:
    path = world.write(more=", fallbacks: [openai/other]")
    world.script(failure(401), GOOD)
    assert world.run(path=path).model == "openai/other"
    world.script(answer('{"out": "from the model itself"}'))
    assert world.run(path=path).output == {"out": "from the model itself"}
    assert world.run(path=path).cached


def test_no_word_of_what_was_asked_and_no_key_stands_in_the_file(world: World) -> None:
    world.run(f"{WORDS} {SECRET}")
    held = world.bytes()
    assert world.answers.held().answers == 1
    for word in (WORDS, SECRET, "private", "127.0.0.1", "app:"):
        assert word.encode() not in held


def test_an_answer_with_a_secret_in_it_is_not_kept(world: World) -> None:
    world.script(answer(f'{{"out": "{SECRET}"}}'))
    world.run()
    assert (world.answers.held().answers, SECRET.encode() in world.bytes()) == (0, False)


def test_two_inputs_that_differ_in_a_secret_alone_share_no_answer(world: World) -> None:
    world.run(f"{WORDS} {SECRET}")
    world.run(f"{WORDS} {SECRET[:-1]}X")
    assert world.calls == 1


@pytest.mark.parametrize("text", ["\ud800", "ä\u2028\x00", "𝄞" * 3])
def test_any_answer_comes_back_as_it_was(tmp_path: Path, text: str) -> None:
    answers, given = Answers(tmp_path / "a.db"), Completion(text=text, finish_reason="length", model="m", called=True)
    answers.keep(b"k" * 32, given, 0.0)
    found = answers.find(b"k" * 32, 9.0, 1.0)
    assert found is not None
    assert (found.text, found.finish_reason, found.model, found.called) == (text, "length", "m", True)


# --- for whom it is kept ---------------------------------------------------------------------------


def test_a_check_that_is_new_is_asked_and_so_is_the_model(world: World) -> None:
    world.run()
    world.script(answer('{"out": "y"}'))
    path = world.write(check="```rllm-python check late inputs=output.out\nassert out == 'y'\n```\n")
    found = world.run(path=path)
    assert (world.calls, found.output, found.cached) == (1, {"out": "y"}, False)
    assert ("cached", "it does not fit any more: the model is asked") in world.steps
    assert world.run(path=path).output == {"out": "y"}
    assert world.calls == 0


def test_another_contract_is_another_question(world: World) -> None:
    world.run()
    text = world.write().read_text(encoding="utf-8").replace("out: {type: string}", "out: {type: string, maxLength: 9}")
    world.run(path=world.write(text))
    assert world.calls == 1


@pytest.mark.parametrize("more", [", api_version: '2'", ", provider_params: {top_k: 1}"])
def test_how_a_model_is_reached_is_part_of_the_question(world: World, more: str) -> None:
    world.run()
    path = world.write(more=more)
    for calls in (1, 0):
        world.run(path=path)
        assert world.calls == calls


def test_another_address_is_another_model(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    path = world.write(leaf("app", llm="{model: openai/m, num_retries: 0}"))
    monkeypatch.setenv("OPENAI_BASE_URL", world.provider.base)
    world.run(path=path)
    assert world.run(path=path).cached
    with Provider(GOOD) as other:
        monkeypatch.setenv("OPENAI_BASE_URL", other.base)
        world.runtime.close()
        assert not world.run(path=path).cached
        assert len(other.chats) == 1


def test_other_weights_are_another_model(tmp_path: Path) -> None:
    from runllm.engines.local.engine import LocalEngine

    weights, endpoint = tmp_path / "m.gguf", Endpoint(model="local/m.gguf", folder=tmp_path)
    places: list[str] = []
    for size in (8, 9):
        weights.write_bytes(b"GGUF\x03\x00\x00\x00".ljust(size, b"\0"))
        places.append(LocalEngine().place(endpoint))
    asked = Request(endpoint=endpoint, messages=(Message(role="user", content="x"),))
    assert key_of(asked, places[0]) != key_of(asked, places[1])
    assert str(tmp_path) in places[0]


def test_an_answer_is_as_good_as_it_is_young(world: World) -> None:
    world.run()
    world.clock.time = 3600.0
    assert world.run(cache=3600).cached
    assert not world.run(cache=3599).cached
    world.clock.time += 29 * 86_400
    assert world.run().cached
    world.clock.time += 86_401
    assert not world.run().cached
    world.clock.time = 0.0  # a clock that was put back: the answer is of the future
    assert not world.run().cached


def test_what_a_script_answers_is_no_answer_of_a_model(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNLLM_CACHE_FOLDER", str(world.folder / "own"))
    engine = ScriptedEngine(['{"out": "1"}', '{"out": "2"}'])
    app = runllm.load(world.write(), runtime=Runtime(engine=engine), cache=True)
    assert [app(text=WORDS) for _ in range(2)] == [{"out": "1"}, {"out": "2"}]
    app = runllm.load(world.write(), runtime=Runtime(around=lambda _: ScriptedEngine(['{"out": "3"}'])), cache=True)
    assert app(text=WORDS) == {"out": "3"}
    assert not (world.folder / "own").exists()


# --- trees ------------------------------------------------------------------------------------------

TOP = """---
name: top
input: {text: text}
returns: {a: text, b: text}
uses:
  - {name: one, path: ./one.rllm, with: {text: "{{ input.text }}"}}
  - {name: two, path: ./two.rllm, with: {text: "{{ input.text }} 2"}}
output: {a: "{{ uses.one.out }}", b: "{{ uses.two.out }}"}
---
"""


def test_of_a_tree_the_apps_that_were_asked_before_are_not(world: World) -> None:
    path = world.write(TOP, name="top")
    world.write(name="one")
    world.write(name="two")
    world.run(path=path, stats=True)
    assert world.calls == 2
    assert world.run(path=path, stats=True, max_calls=1).cached
    assert (world.calls, len(world.store.runs())) == (0, 1)
    world.write(name="two", check="Shortly.\n")
    part = world.run(path=path, stats=True, max_calls=1)
    assert (world.calls, part.cached, [child.result.cached for child in part.children]) == (1, False, [True, False])
    run, _ = world.store.runs()
    assert [(child.child_name, child.shared, child.asked) for child in world.store.children(run.id)] == [
        ("one", True, 0), ("two", False, 1),
    ]  # fmt: skip


# --- the file ---------------------------------------------------------------------------------------


def test_only_its_owner_reads_the_file(world: World) -> None:
    old = os.umask(0)
    try:
        world.run()
    finally:
        os.umask(old)
    folder = world.answers.path.parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    world.runtime.close()
    world.answers.path.chmod(0o644)
    assert world.run().cached
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def keys(count: int) -> list[bytes]:
    return [number.to_bytes(32) for number in range(count)]


def test_what_was_not_used_for_the_longest_goes_first(tmp_path: Path) -> None:
    answers = Answers(tmp_path / "a.db", most=40_000)
    for number, key in enumerate(keys(100)):
        answers.keep(key, Completion(text="x" * 600, model="m"), 10_000.0 * number)
        assert answers.find(keys(1)[0], 1e9, 10_000.0 * number) is not None  # the first is used all the time
        assert answers.held().size <= 40_000
    there = [number for number, key in enumerate(keys(100)) if answers.find(key, 1e9, 1e6)]
    assert there == [0, *range(101 - len(there), 100)]
    assert 36 <= len(there) <= 48
    held = answers.held()
    with sqlite3.connect(answers.path) as db:
        (size,) = db.execute("SELECT sum(length(answer) + 200) FROM answers").fetchone()
    assert (held.answers, held.size) == (len(there), size)
    answers.keep(b"s" * 32, Completion(text="x" * 30_000, model="m"), 1.5e6)  # as large as most of it
    assert answers.held().size <= 40_000
    held = answers.held()
    answers.keep(b"l" * 32, Completion(text="x" * 40_000, model="m"), 2e6)  # larger than all of it
    assert answers.held() == held


def test_the_file_on_the_disk_stays_within_its_bound(tmp_path: Path) -> None:
    answers = Answers(tmp_path / "a.db", most=1 << 18)
    for number in range(1_000):
        answers.keep(number.to_bytes(32), Completion(text=f"{number}" * 200, model="m"), float(number))
    answers.close()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 2 * (1 << 18)


def not_sqlite(path: Path) -> None:
    path.write_bytes(b"no database at all, but longer than a header of one" * 99)


def cut_off(path: Path) -> None:
    Answers(path).keep(b"k" * 32, Completion(text="x" * 9000, model="m"), 0.0)
    Answers(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 9000)


def of_tomorrow(path: Path) -> None:
    Answers(path).keep(b"k" * 32, Completion(text="x", model="m"), 0.0)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")


def of_others(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE theirs (a)")


def a_folder(path: Path) -> None:
    path.mkdir()


def not_ours_alone(path: Path) -> None:
    path.touch()
    path.chmod(0o666)


@pytest.mark.parametrize("spoil", [not_sqlite, cut_off, of_tomorrow, of_others, a_folder, not_ours_alone])
def test_a_file_that_cannot_be_used_costs_a_call_and_a_warning(world: World, spoil: Callable[[Path], None]) -> None:
    path = world.answers.path
    path.parent.mkdir()
    spoil(path)
    found = world.run()
    assert (found.output, world.calls, found.cached) == ({"out": "x"}, 1, False)
    (warning,) = found.warnings
    assert str(path) in warning
    assert world.answers.trouble == warning
    assert world.run().warnings == found.warnings
    fresh = Answers(path)
    if spoil in (not_sqlite, cut_off, of_tomorrow):
        fresh.clear()
        assert fresh.held().answers == 0
        fresh.keep(b"k" * 32, Completion(text="x", model="m"), 0.0)
        assert fresh.held().answers == 1
    else:
        with pytest.raises(FileAccessError):
            fresh.clear()
        assert path.exists()


def test_a_folder_that_cannot_be_made_costs_a_call_and_a_warning(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    (world.folder / "file").touch()
    monkeypatch.setenv("RUNLLM_CACHE_FOLDER", str(world.folder / "file" / "below"))
    world.runtime = Runtime()
    found = world.run()
    assert (found.output, world.calls, len(found.warnings)) == ({"out": "x"}, 1, 1)


def test_a_full_disk_costs_a_call_and_a_warning(world: World) -> None:
    world.run()
    kept = sqlite3.connect(world.answers.path, isolation_level=None)
    connection = world.answers._connection
    assert connection is not None
    connection.execute("PRAGMA max_page_count = 1")
    world.script(answer(f'{{"out": "{"y" * 99_000}"}}'))
    found = world.run("something else")
    assert (len(found.output["out"]), world.calls) == (99_000, 1)
    assert "the disk is full" in found.warnings[0]
    assert kept.execute("SELECT count(*) FROM answers").fetchone() == (1,)
    kept.close()


def test_a_file_that_another_process_holds_is_waited_for_no_longer_than_a_call(world: World) -> None:
    world.answers._timeout = 0.05
    world.run()
    world.runtime.close()
    other = sqlite3.connect(world.answers.path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert world.run().cached  # who reads waits for nobody
    found = world.run("something else")
    assert (world.calls, len(found.warnings)) == (1, 1)
    assert "another process keeps it locked" in found.warnings[0]
    other.execute("COMMIT")
    assert not world.run("something else").warnings
    assert world.run("something else").cached
    other.close()


MANY = """
import sys
from pathlib import Path
from runllm.engines.cache import Answers
from runllm.results import Completion
answers, start = Answers(Path(sys.argv[1]), timeout=30.0), int(sys.argv[2])
for number in range(150):
    key = (start * 75 + number).to_bytes(32)
    answers.keep(key, Completion(text="x", model="m"), 1.0)
    assert answers.find(key, 9.0, 2.0) is not None
"""


def test_processes_begin_and_fill_one_file_together(tmp_path: Path) -> None:
    path = tmp_path / "kept" / "answers.db"
    words = [[sys.executable, "-c", MANY, str(path), str(start)] for start in range(4)]
    begun = [subprocess.Popen(one, stderr=subprocess.PIPE, text=True) for one in words]
    assert [process.communicate()[1] for process in begun] == [""] * 4
    assert Answers(path).held().answers == 75 * 5


def test_a_process_that_made_the_tables_meanwhile_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, looks = cache._check, list[bool]()

    def slow(db: sqlite3.Connection, path: Path) -> bool:
        looks.append(look(db, path))
        found = looks[-1]
        if len(looks) == 2:  # just before they would be made
            Answers(path).keep(keys(1)[0], Completion(text="x", model="m"), 1.0)
        return found

    monkeypatch.setattr(cache, "_check", slow)
    assert Answers(tmp_path / "a.db").find(keys(1)[0], 9.0, 2.0) is not None
    assert looks[:2] == [False, False]


def test_it_survives_a_fork(tmp_path: Path) -> None:
    answers = Answers(tmp_path / "a.db")
    answers.keep(keys(1)[0], Completion(text="x", model="m"), 1.0)
    answers._lock.acquire()  # as another thread may have, which the child has not
    child = os.fork()
    if child:
        answers._lock.release()
    else:
        try:
            signal.alarm(20)
            answers.keep(b"c" * 32, Completion(text="y", model="m"), 1.0)
            answers.close()
            os._exit(0 if answers.find(keys(1)[0], 9.0, 2.0) else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    answers.keep(b"d" * 32, Completion(text="z", model="m"), 1.0)
    assert answers.held().answers == 3
    assert answers.clear() == 3


# --- who decides -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "project", "variable", "given", "cached"),
    [
        ("", "", "", None, False),
        ("true", "", "", None, True),
        ('"7d"', "", "", None, True),
        ("true", "", "", False, False),
        ("true", "false", "", None, False),
        ("true", "false", "", True, True),
        ("", "false", "", True, True),
        ("", "", "on", None, True),
        ("", "", "1h30m", None, True),
        ("false", "", "on", True, True),
        ("false", "", "", None, False),
        ("false", "", "", True, "cache = false"),
        ("false", "", "", 60.0, "cache = false"),
        ("true", "", "off", True, "RUNLLM_CACHE"),
        ("", "true", "", None, "a project's file may only switch `cache` off"),
        ("", '"7d"', "", None, "a project's file may only switch `cache` off"),
        ('"7 days"', "", "", None, "length of time"),
        ('"0d"', "", "", None, "length of time"),
        ("7", "", "", None, "length of time"),
    ],
)
def test_the_user_decides(
    world: World, monkeypatch: pytest.MonkeyPatch, user: str, project: str, variable: str, given: Any, cached: Any
) -> None:
    config = world.folder / "own" / "config.toml"
    config.parent.mkdir()
    config.write_text(f"cache = {user}\n" if user else "")
    if project:
        (world.folder / "runllm.toml").write_text(f"cache = {project}\n")
    monkeypatch.setenv("RUNLLM_CONFIG", str(config))
    monkeypatch.setenv("RUNLLM_CACHE", variable)
    if isinstance(cached, str):
        with pytest.raises(RunllmError) as caught:
            world.run(cache=given)
        said = str(config) if cached == "cache = false" else cached
        assert said in caught.value.message
        assert not world.provider.chats
        return
    world.run(cache=given)
    assert world.run(cache=given).cached is cached


def test_it_is_refused_for_a_single_run_as_well(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNLLM_CACHE", "off")
    app = runllm.load(world.write(), runtime=world.runtime)
    with pytest.raises(UsageError, match="RUNLLM_CACHE"):
        app.run({"text": WORDS}, cache=True)
    with pytest.raises(UsageError, match="RUNLLM_CACHE"):
        next(app.map([{"text": WORDS}], cache=60))


@pytest.mark.parametrize("value", ["7d", -1, float("nan")])
def test_what_can_mean_nothing_is_refused(world: World, value: Any) -> None:
    with pytest.raises(UsageError, match="cache"):
        world.run(cache=value)


def test_a_model_that_never_fits_is_asked_as_often_as_without_it(world: World) -> None:
    world.script(WRONG)
    with pytest.raises(RetryExhaustedError) as caught:
        world.run()
    assert (world.calls, len(caught.value.result.attempts)) == (3, 3)
