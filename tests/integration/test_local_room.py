"""What the embedded model takes of the machine: memory as needed, all cores, and a clock that counts only the model."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import runllm
from runllm.engines.local import llama
from runllm.engines.local.engine import LocalEngine
from runllm.errors import ContextWindowExceededError
from runllm.results import Endpoint, Message, Request

pytestmark = [pytest.mark.model, pytest.mark.timeout(600)]

ENDPOINT = Endpoint(model="local/smollm2-135m")
DIGITS = "48151623421 " * 24
"""Each is a token of this model: more than an estimate by length says."""


def ask(prompt, window=None, **params):
    extra = {"n_ctx": window} if window else {}
    endpoint = Endpoint(model=ENDPOINT.model, provider_params=extra)
    return Request(endpoint=endpoint, messages=(Message(role="user", content=prompt),), params=params)


@pytest.fixture
def engine():
    made = LocalEngine()
    yield made
    made.close()


def the_model(engine):
    (model,) = engine._models.values()
    return model


def test_the_context_is_as_large_as_prompt_and_answer_need(engine):
    """It grows in steps, is kept, and never goes beyond the window; one model serves all windows."""
    contexts = []
    for prompt, window, tokens in (("Hi", None, 2), ("Hi", None, 1500), ("Ho", 512, 2), ("Hi", None, 2)):
        assert engine.complete(ask(prompt, window, max_tokens=tokens, stop=["e", "a", "o", "."])).text is not None
        contexts.append(the_model(engine)._context)
    assert contexts == [1024, 2048, 2048, 2048]


def test_a_small_window_stays_one_in_a_larger_context(engine):
    """What another call needed changes neither what is refused nor where an answer ends."""
    engine.complete(ask("Hi", max_tokens=1100, stop=["e", "a", "o", "."]))
    assert the_model(engine)._context == 2048
    with pytest.raises(ContextWindowExceededError, match=r"the window of .* 256$"):
        engine.complete(ask(DIGITS, 256, max_tokens=5))
    answer = engine.complete(ask("Tell a very long story.", 80, dry_multiplier=0))
    assert answer.finish_reason == "length"
    assert answer.usage.prompt_tokens + answer.usage.completion_tokens == 80


@pytest.mark.parametrize("warm", [False, True])
def test_a_prompt_longer_than_was_expected_gets_its_room(engine, monkeypatch, warm):
    """Also where llama.cpp has read it before, and where it does not even fit the context that was made."""
    monkeypatch.setattr(llama, "_SMALLEST_CONTEXT", 256)
    monkeypatch.setattr("runllm.tokens.estimate_messages", lambda _: 1)
    if warm:
        engine.complete(ask(DIGITS[:60], max_tokens=2))
        assert the_model(engine)._context == 256
        whole = engine.complete(ask(DIGITS[:60], max_tokens=200, stop=["1", "2", " "]))
        assert whole.usage.prompt_tokens + 200 > 256
        assert the_model(engine)._context == 512
    else:
        answer = engine.complete(ask(DIGITS, max_tokens=3))
        assert 256 < answer.usage.prompt_tokens < 500
        assert answer.usage.completion_tokens == 3
        assert the_model(engine)._context == 512


@pytest.mark.skipif(sys.platform != "linux", reason="the system counts it elsewhere")
def test_weights_are_not_read_again_when_the_context_grows(engine):
    """They are mapped: what is read of the file is its header, and one copy is in memory."""

    def read():
        return int(Path("/proc/self/io").read_text(encoding="ascii").split()[1])

    def allocated():
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.split("RssAnon:")[1].split()[0]) * 1024

    engine.complete(ask("Hi", max_tokens=2))
    before, held = read(), allocated()
    engine.complete(ask("Hi", max_tokens=1100, stop=["e", "a", "o", "."]))
    assert the_model(engine)._context == 2048
    assert read() - before < 10e6, "of 98 MB"
    assert allocated() - held < 95e6, "1,024 tokens are 24 MB; the weights would be 98 more"


def test_former_prompts_are_kept_within_a_bound(engine, monkeypatch):
    """The one before begins where it ended; a call that comes back to an older one finds it as well."""
    asked = []
    server = llama._library()[0].Server

    def noted(params):
        asked.append(params.cache_ram_mib)
        return server(params)

    monkeypatch.setattr(llama._library()[0], "Server", noted)
    counts = [engine.complete(ask(text, max_tokens=2)).usage for text in ("one two " * 20, "Ada is " * 20) * 2]
    assert counts[2].cached_tokens > counts[0].prompt_tokens * 0.9
    assert asked == [32]


def test_loading_is_no_latency_of_the_model(tmp_path, monkeypatch):
    """What `-v`, the statistics and `exectime` say of a call is the time that the model took for it."""
    slow = llama.LoadedModel._load

    def loading(model, needed, window):
        time.sleep(1)
        loads.append(needed)
        slow(model, needed, window)

    loads: list[int] = []
    monkeypatch.setattr(llama.LoadedModel, "_load", loading)
    file = tmp_path / "hi.rllm"
    file.write_text(
        "---\nname: hi\nllm: {model: local/smollm2-135m}\n"
        "input_schema: {type: object}\noutput_schema: {type: boolean}\n---\nHi\n",
        encoding="utf-8",
    )
    result = runllm.load(file).run({})
    assert len(loads) == 1
    assert result.latency > 1
    assert sum(one.completion.latency for one in result.attempts if one.completion) < result.latency - 1


SCRIPT = """
import json, os, sys
from runllm.engines.local.llama import _library
threads = _library()[1]
print(json.dumps([threads, os.environ.get("OMP_WAIT_POLICY")]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the waiting is not ours to choose")
@pytest.mark.parametrize(
    ("given", "policy", "threads"),
    [
        ({}, "PASSIVE", None),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE", None),
        ({"OMP_NUM_THREADS": "3,2"}, "PASSIVE", 3),
        ({"OMP_NUM_THREADS": "many"}, "PASSIVE", None),
    ],
)
def test_all_cores_are_used_and_wait_asleep_unless_the_user_says_otherwise(given, policy, threads):
    """OpenMP itself says what it was told; whoever is started from here is told nothing."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    env = {**clean, **given, "OMP_DISPLAY_ENV": "true"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=env, capture_output=True, timeout=60, check=True)
    assert f"OMP_WAIT_POLICY = '{policy}'" in done.stderr.decode()
    assert json.loads(done.stdout) == [threads or llama._cores(), given.get("OMP_WAIT_POLICY")]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the waiting is not ours to choose")
def test_half_the_cores_are_used_where_openmp_was_loaded_before():
    """Its waiting was chosen then, and threads that wait in a busy loop are many times slower on a busy machine."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    before = "import ctypes; ctypes.CDLL('libgomp.so.1')\n"
    done = subprocess.run(
        [sys.executable, "-c", before + SCRIPT], env=clean, capture_output=True, timeout=60, check=True
    )
    assert json.loads(done.stdout) == [max(1, llama._cores() // 2), None]
