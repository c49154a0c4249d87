"""Projects that would spend without end: each ends soon, in little memory, in the error of the budget."""

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import runllm
from runllm.errors import BudgetExceededError
from runllm.executor import ahead
from runllm.results import Request
from runllm.routing import Options
from runllm.runtime import Runtime
from runllm.testing import ScriptedEngine

HEAD = """---
name: {name}
description: A test.
version: 1.0.0
author: me
max_context_window: 100000
input_schema: {{type: object, properties: {{text: {{type: string}}}}, required: [text], additionalProperties: false}}
output_schema: {{type: object, properties: {{out: {{type: string}}}}, required: [out], additionalProperties: false}}
"""
LLM = "llm: {model: openai/m}\nllm_params: {temperature: 0}\n"
ANSWER = '{"out": "x"}'


def write(folder: Path, name: str, uses: str = "", more: str = LLM, body: str = "{{ input.text }}") -> Path:
    path = folder / f"{name}.rllm"
    text = HEAD.format(name=name) + (f"uses:\n{uses}" if uses else "") + more + f"---\n{body}\n"
    path.write_text(text, encoding="utf-8")
    return path


def use(name: str, file: str, text: str, for_each: str = "") -> str:
    each = f"    for_each: {for_each}\n" if for_each else ""
    return f"  - name: {name}\n    path: ./{file}.rllm\n{each}    with: {{text: {json.dumps(text)}}}\n"


def levels(folder: Path, count: int, padding: int = 0, output: bool = False) -> Path:
    """Files of which each uses the next twice, on different inputs."""
    (folder / "pyproject.toml").write_text("")
    filler = "x" * padding
    built = "output: {out: y}\n"
    write(folder, f"n{count - 1}", more=built if output else LLM, body="" if output else "{{ input.text }}" + filler)
    for level in range(count - 1):
        both = use("a", f"n{level + 1}", "{{ input.text }}a") + use("b", f"n{level + 1}", "{{ input.text }}b")
        # the files are long for their descriptions
        write(folder, f"n{level}", both, more=f"output: {{out: y}}\n# {filler}\n", body="")
    return folder / "n0.rllm"


def millions(folder: Path) -> Path:
    """Two lists of 3,000 in constants, one in the other."""
    write(folder, "leaf")
    write(
        folder,
        "middle",
        use("leaves", "leaf", "{{ input.text }} {{ item }}", '"{{ range(3000) }}"'),
        more="output: {out: y}\n",
        body="",
    )
    return write(folder, "top", use("middles", "middle", "n{{ item }}", '"{{ range(3000) }}"'))


def exceeded(path: Path, engine: ScriptedEngine, **options: object) -> BudgetExceededError:
    app = runllm.load(path, runtime=Runtime(engine=engine), **options)
    with pytest.raises(BudgetExceededError) as caught:
        app.run({"text": "t"})
    return caught.value


def test_nine_million_calls_are_refused_before_the_first(tmp_path: Path) -> None:
    engine = ScriptedEngine(lambda _: ANSWER)
    began = time.monotonic()
    error = exceeded(millions(tmp_path), engine)
    assert engine.requests == []
    assert error.details["bound"] in ("calls", "runs")
    assert time.monotonic() - began < 30


def test_the_most_calls_are_counted_without_unfolding(tmp_path: Path) -> None:
    app = runllm.load(millions(tmp_path), runtime=Runtime(engine=ScriptedEngine([])))
    calls = ahead.most_calls(app.plan, {"text": "t"}, Options(max_calls=10**9, max_retries=0))
    assert calls == 3 * (3000 * 3000 + 1)  # each may be sent three times
    assert ahead.most_calls(app.plan, {"text": "t"}, Options()) == 1000


@pytest.mark.parametrize("output", [False, True])
@pytest.mark.parametrize("way", ["run", "preview"])
@pytest.mark.parametrize("padding", [200, pytest.param(14_000, marks=pytest.mark.soak)])
def test_two_to_the_thirty_first_runs_end_soon(tmp_path: Path, way: str, output: bool, padding: int) -> None:
    engine = ScriptedEngine(lambda _: ANSWER)
    app = runllm.load(levels(tmp_path, 32, padding=padding, output=output), runtime=Runtime(engine=engine))
    began = time.monotonic()
    with pytest.raises(BudgetExceededError):
        getattr(app, way)({"text": "t"})
    assert time.monotonic() - began < 60
    assert len(engine.requests) <= 1000


def test_the_same_input_is_one_run_however_often_it_is_used(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("")
    write(tmp_path, "n20")
    for level in range(20):
        both = use("a", f"n{level + 1}", "{{ input.text }}") + use("b", f"n{level + 1}", "{{ input.text }}")
        write(tmp_path, f"n{level}", both, more="output: {out: y}\n", body="")
    engine = ScriptedEngine(lambda _: ANSWER)
    app = runllm.load(tmp_path / "n0.rllm", runtime=Runtime(engine=engine))
    assert app(text="t") == {"out": "y"}
    assert len(engine.requests) == 1
    app.preview({"text": "t"})


def test_a_leaf_that_is_tried_again_and_again_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "runllm.toml").write_text("max_retries = 20\n")
    engine = ScriptedEngine(lambda _: "no JSON")
    error = exceeded(write(tmp_path, "top"), engine, max_calls=7)
    assert len(engine.requests) == 7
    assert error.result is not None
    assert len(error.result.attempts) == 7  # what was answered is in the result


def test_a_file_lowers_the_bounds_of_its_run_and_raises_none(tmp_path: Path) -> None:
    engine = ScriptedEngine(lambda _: "no JSON")
    low = write(tmp_path, "low", more=LLM + "max_calls: 2\n")
    assert exceeded(low, engine).details["most"] == 2
    assert exceeded(low, engine, max_calls=9).details["most"] == 2
    high = write(tmp_path, "high", more=LLM + "max_calls: 2000\n")
    assert exceeded(high, engine, max_calls=1).details["most"] == 1
    cheap = runllm.load(write(tmp_path, "cheap", more=LLM + "max_cost: 0.01\n")).plan
    assert [ahead.bounds(cheap, {}, Options(max_cost=most)).cost for most in (None, 1.0, 0.001)] == [0.01, 0.01, 0.001]


def test_what_was_answered_until_then_is_in_the_result(tmp_path: Path) -> None:
    write(tmp_path, "leaf")
    write(tmp_path, "list", more="output: {out: y}\n", body="")
    more = "output: {out: y}\n"
    uses = use("one", "leaf", "one") + use("two", "leaf", "{{ uses.one.out }} two")
    engine = ScriptedEngine(lambda _: ANSWER)
    app = runllm.load(write(tmp_path, "top", uses, more=more, body=""), runtime=Runtime(engine=engine), concurrency=1)
    app._options = Options(max_calls=1, budget=None)
    with pytest.raises(BudgetExceededError) as caught:
        asyncio.run(app.arun({"text": "t"}))
    assert len(engine.requests) <= 1
    assert caught.value.exit_status == 10


@pytest.mark.parametrize(
    ("count", "held"), [(300, 16_000_000), pytest.param(9000, ahead.DEFAULT_HELD, marks=pytest.mark.soak)]
)
def test_items_of_a_megabyte_are_made_one_by_one(
    tmp_path: Path, count: int, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of so many items of a megabyte, a few are held at a time, until the bound on what is held ends the run."""
    write(tmp_path, "leaf", more="output: {out: y}\n", body="")
    each = use("leaves", "leaf", "{{ item }}{{ 'x' * 1000000 }}", f'"{{{{ range({count}) }}}}"')
    path = write(tmp_path, "top", each, more="output: {out: y}\n", body="")
    app = runllm.load(path, runtime=Runtime(engine=ScriptedEngine([])))
    monkeypatch.setattr(ahead, "DEFAULT_HELD", held)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BudgetExceededError):
        app.run({"text": "t"})
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # KiB


def test_the_users_own_list_is_not_bounded_by_the_default(tmp_path: Path) -> None:
    write(tmp_path, "leaf")
    path = write(
        tmp_path, "top", use("leaves", "leaf", "{{ item }}", '"{{ input.texts }}"'), more="output: {out: y}\n", body=""
    )
    path.write_text(
        path.read_text().replace(
            "properties: {text: {type: string}}, required: [text], additionalProperties: false}\noutput",
            "properties: {texts: {type: array, items: {type: string}}}, required: [texts], additionalProperties: false}\noutput",
            1,
        )
    )
    engine = ScriptedEngine(lambda _: ANSWER)
    app = runllm.load(path, runtime=Runtime(engine=engine))
    app.run({"texts": [f"t{n}" for n in range(1200)]})
    assert len(engine.requests) == 1200


def test_a_price_that_is_not_known_is_refused_where_money_is_bounded(tmp_path: Path) -> None:
    class Unpriced(ScriptedEngine):
        def price(self, endpoint: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
            del endpoint

    path = write(tmp_path, "top")
    engine = Unpriced(lambda _: ANSWER)
    assert "price of openai/m is not known" in exceeded(path, engine, max_cost=1.0).message
    assert engine.requests == []
    app = runllm.load(path, runtime=Runtime(engine=engine), max_cost=1.0, allow_unpriced=True)
    assert app(text="t") == {"out": "x"}


def test_runs_of_one_runtime_share_the_calls_in_flight(tmp_path: Path) -> None:
    """Threads and event loops together have as many calls in flight as each asks for."""
    lock, under_way, most = threading.Lock(), 0, 0

    class Slow(ScriptedEngine):
        def complete(self, request: Request) -> runllm.Completion:
            self.enter(1)
            time.sleep(0.005)
            self.enter(-1)
            return super().complete(request)

        async def acomplete(self, request: Request) -> runllm.Completion:
            self.enter(1)
            await asyncio.sleep(0.005)
            self.enter(-1)
            return super().complete(request)

        def enter(self, step: int) -> None:
            nonlocal under_way, most
            with lock:
                under_way += step
                most = max(most, under_way)

    engine = Slow(lambda _: ANSWER)
    app = runllm.load(write(tmp_path, "top"), runtime=Runtime(engine=engine), concurrency=8)

    def many() -> None:
        async def gathered() -> None:
            await asyncio.gather(*(app.arun({"text": str(n)}) for n in range(20)))

        asyncio.run(gathered())

    threads = [threading.Thread(target=lambda: app.run({"text": "t"})) for _ in range(20)]
    threads += [threading.Thread(target=many) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(engine.requests) == 60
    assert most == 8


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("after", [1.5, pytest.param(6, marks=pytest.mark.soak)])
def test_a_signal_is_noticed_at_any_moment(tmp_path: Path, after: float) -> None:
    """While the project is looked at ahead, and while its runs begin: neither waits for what is under way."""
    path = levels(tmp_path, 32, output=True)
    command = [sys.executable, "-m", "runllm", "run", str(path), "text=t", "--no-stats", "--max-calls", "1000000000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            time.sleep(after)
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 143
            assert process.stderr is not None
            assert len(process.stderr.read().splitlines()) == 1
        finally:
            process.kill()


def test_an_endpoint_is_made_ready_once_for_all_runs_of_a_runtime(tmp_path: Path) -> None:
    class Asked(ScriptedEngine):
        asked = 0

        def ready(self, endpoint: object) -> None:
            del endpoint
            Asked.asked += 1
            if Asked.asked == 1:
                raise runllm.MissingCredentialError("not yet")

    app = runllm.load(write(tmp_path, "top"), runtime=Runtime(engine=Asked(lambda _: ANSWER)))
    with pytest.raises(runllm.MissingCredentialError):
        app(text="t")
    for _ in range(3):
        assert app(text="t") == {"out": "x"}
    assert Asked.asked == 2  # what has failed is asked again


HANGING = """
import sys, time
import runllm
from runllm.testing import ScriptedEngine

class Hanging(ScriptedEngine):
    def ready(self, endpoint):
        print("asked", flush=True)
        time.sleep(100)

runllm.load(sys.argv[1], runtime=runllm.Runtime(engine=Hanging([]))).run({"text": "t"})
"""


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_what_hangs_in_a_thread_is_not_waited_for(tmp_path: Path) -> None:
    write(tmp_path, "leaf")
    path = write(tmp_path, "top", use("one", "leaf", "{{ input.text }}"), more="output: {out: y}\n", body="")
    command = [sys.executable, "-c", HANGING, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"asked\n"
            process.send_signal(signal.SIGINT)
            process.wait(30)
        finally:
            process.kill()


def test_an_input_that_is_no_json_is_refused_by_its_contract(tmp_path: Path) -> None:
    write(tmp_path, "leaf", more="output: {out: y}\n", body="")
    path = write(tmp_path, "top", use("all", "leaf", "{{ item }}", '"{{ range(2) }}"'), "output: {out: y}\n", "")
    app = runllm.load(path, runtime=Runtime(engine=ScriptedEngine([])))
    with pytest.raises(runllm.InputSchemaError):
        app.run({"text": [object(), {1, 2}]})
