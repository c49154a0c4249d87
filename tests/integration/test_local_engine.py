"""The embedded model behind the engine's protocol: real weights, real decoding."""

import asyncio
import json
import multiprocessing
import os
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from tests.chances import some

import runllm
from runllm.engines.base import Setup
from runllm.engines.local.engine import LocalEngine, locate
from runllm.errors import (
    ContextWindowExceededError,
    EngineUnavailableError,
    LLMParamValidationError,
    ProviderTimeoutError,
)
from runllm.executor.prompt import instruction
from runllm.results import Endpoint, Message, Request
from runllm.schema import Contract

pytestmark = [pytest.mark.model, pytest.mark.timeout(600)]

CASES = yaml.safe_load((Path(__file__).parents[1] / "spec" / "schemas.yaml").read_text(encoding="utf-8"))
ENDPOINT = Endpoint(model="local/smollm2-135m")
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0, "maximum": 120}},
    "required": ["name", "age"],
}


@pytest.fixture(scope="module")
def engine():
    made = LocalEngine()
    yield made
    made.close()


def ask(prompt, schema=None, endpoint=ENDPOINT, timeout=300.0, **params):
    messages = [Message(role="user", content=prompt)]
    if schema is not None:
        messages.insert(0, Message(role="system", content=instruction(schema, constrained=True)))
    return Request(endpoint=endpoint, messages=tuple(messages), params=params, schema=schema, timeout=timeout)


@pytest.mark.parametrize("case", some(CASES, 10), ids=lambda case: case["name"])
def test_every_schema_is_satisfied_at_the_first_attempt(engine, case):
    answer = engine.complete(ask(case["prompt"], case["schema"], max_tokens=case.get("tokens", 250)))
    assert answer.finish_reason == "stop"
    assert Contract(case["schema"]).problems(json.loads(answer.text)) == ()


def test_nobody_else_on_the_machine_can_ask_the_model(engine):
    """The library listens on a port of its own, which cannot be switched off."""
    engine.complete(ask("Say hi.", max_tokens=5))
    (model,) = engine._models.values()
    for path in ("/v1/models", "/slots", "/props", "/v1/chat/completions", "/completion"):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(model._server.listening_address + path, timeout=60)  # noqa: S310 - this machine


def test_a_summary_is_prose_and_no_loop(engine):
    """Sentences that come to an end, no run of words said twice, no key point empty or repeated."""
    text = (
        "The city council of Marlow voted on Tuesday to close the old stone bridge to cars from next spring. "
        "Engineers found cracks in two of its five arches in June. Repairs will cost 2.4 million pounds and take "
        "eighteen months. Cyclists and pedestrians may still cross. Shop owners fear that they will lose customers."
    )
    points = {"type": "array", "items": {"type": "string"}, "minItems": 3, "maxItems": 3}
    schema = {
        "type": "object",
        "properties": {"summary": {"type": "string"}, "points": points},
        "required": ["summary", "points"],
    }
    answer = json.loads(engine.complete(ask(f"Summarise and list three key points.\n\n{text}", schema)).text)
    words = answer["summary"].split()
    runs = [tuple(words[i : i + 10]) for i in range(len(words) - 9)]
    assert len(words) >= 10
    assert answer["summary"].rstrip()[-1] in ".!?"
    assert len(runs) == len(set(runs))
    assert len({answer["summary"], *answer["points"]} - {""}) == 4


def test_a_completion_says_what_it_took(engine):
    answer = engine.complete(ask("Say hello.", max_tokens=5))
    assert answer.finish_reason == "length"
    assert answer.usage.completion_tokens == 5
    assert answer.usage.prompt_tokens > 5
    assert (answer.cost, answer.model) == (0.0, ENDPOINT.model)
    assert answer.latency > 0


def test_the_same_request_gives_the_same_answer_and_a_seed_another(engine):
    sampled = {"max_tokens": 12, "temperature": 1.5}
    same = [engine.complete(ask("Name an animal.", seed=7, **sampled)).text for _ in range(2)]
    other = {engine.complete(ask("Name an animal.", seed=seed, **sampled)).text for seed in range(4)}
    assert same[0] == same[1]
    assert len(other) > 1


def test_stop_ends_free_text_and_never_cuts_an_object(engine):
    assert "4" not in engine.complete(ask("Count: 1, 2, 3,", stop=["4"], max_tokens=30)).text
    answer = engine.complete(ask("Ada is 36.", PERSON, stop=[","], max_tokens=100))
    assert Contract(PERSON).accepts(json.loads(answer.text))


@pytest.mark.parametrize("text", ["word " * 9000, "Ada " * 1000])
def test_a_prompt_that_does_not_fit_the_window_is_refused(engine, text):
    small = Endpoint(model=ENDPOINT.model, provider_params={"num_ctx": 512})
    assert engine.window(small) == 512
    with pytest.raises(ContextWindowExceededError, match="tokens"):
        engine.complete(ask(text, endpoint=small))


def test_max_tokens_too_small_for_any_object_names_the_size_needed(engine):
    schema = {"type": "object", "properties": {"t": {"type": "string", "minLength": 200}}, "required": ["t"]}
    with pytest.raises(ContextWindowExceededError, match="max_tokens") as caught:
        engine.complete(ask("Hi", schema, max_tokens=50))
    needed = caught.value.details["needed_tokens"]
    answer = engine.complete(ask("Hi", schema, max_tokens=needed))
    assert Contract(schema).accepts(json.loads(answer.text))


@pytest.mark.parametrize("prompt", ["Write a very long story.", "word " * 4000])
def test_the_deadline_ends_the_call_also_while_the_prompt_is_read(engine, prompt):
    started = time.monotonic()
    with pytest.raises(ProviderTimeoutError):
        engine.complete(ask(prompt, timeout=0.5))
    assert time.monotonic() - started < 10
    started = time.monotonic()
    assert engine.complete(ask("Hi", max_tokens=2)).usage.completion_tokens == 2
    assert time.monotonic() - started < 45, "the generation that nobody waits for goes on"


def test_cancelling_a_task_ends_its_generation(engine):
    async def scenario():
        task = asyncio.create_task(engine.acomplete(ask("Write a very long story.", max_tokens=4000)))
        await asyncio.sleep(0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await engine.acomplete(ask("Hi", max_tokens=2))

    assert asyncio.run(asyncio.wait_for(scenario(), 60)).usage.completion_tokens == 2


def test_threads_share_one_model_and_each_get_their_answer(engine):
    answers = {}

    def work(name):
        answers[name] = engine.complete(ask(f"{name} is 36.", PERSON, max_tokens=60)).text

    threads = [threading.Thread(target=work, args=(name,)) for name in ("Ada", "Ben", "Cleo")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(Contract(PERSON).accepts(json.loads(text)) for text in answers.values())
    assert len(answers) == 3


@pytest.mark.parametrize(
    ("params", "extra"),
    [
        ({"n": 2}, {}), ({}, {"grammar": "x"}), ({}, {"n_ctx": "big"}),
        ({}, {"n_batch": 1}), ({}, {"num_ctx": 1}), ({}, {"num_ctx": 10**12}), ({}, {"threads": 5000}),
        ({}, {"max_tokens": "many"}), ({}, {"max_tokens": 0}),
    ],
)  # fmt: skip
def test_what_a_local_model_cannot_do_is_refused(engine, params, extra):
    """Some of it would end the process."""
    endpoint = Endpoint(model=ENDPOINT.model, provider_params=extra)
    with pytest.raises(LLMParamValidationError):
        engine.complete(ask("Hi", PERSON, endpoint=endpoint, **params))


def test_a_window_is_never_larger_than_what_the_model_was_made_for(engine):
    """llama.cpp takes the room for it, and gives the model no more than it knows."""
    wide = Endpoint(model=ENDPOINT.model, provider_params={"num_ctx": 10**9})
    assert engine.window(wide) == engine.window(ENDPOINT) == 8192
    assert engine.complete(ask("Hi", endpoint=wide, max_tokens=2)).usage.completion_tokens == 2


def _child(engine, queue):
    try:
        engine.complete(ask("Hi", max_tokens=2))
    except EngineUnavailableError as error:
        queue.put(error.message)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # forking with threads is what is under test
def test_a_forked_child_is_told_instead_of_hanging(engine):
    engine.complete(ask("Hi", max_tokens=1))
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_child, args=(engine, queue))
    child.start()
    try:
        assert "forked" in queue.get(timeout=30)
    finally:
        child.join(10)
        child.kill()


SCRIPT = """
import sys, threading, _thread
import runllm
from runllm.engines.base import Setup
from runllm.engines.local.engine import LocalEngine, locate
from runllm.results import Endpoint, Message, Request
engine = LocalEngine()
endpoint = Endpoint(model="local/smollm2-135m")
engine.ready(endpoint); engine.window(endpoint)
assert not {"xllamacpp", "asyncio"} & set(sys.modules)
request = Request(endpoint=endpoint, messages=(Message(role="user", content="Tell a long story."),))
if sys.argv[1] == "interrupt":
    threading.Timer(2.0, _thread.interrupt_main).start()
    try:
        engine.complete(request)
    except KeyboardInterrupt:
        sys.exit(7)
engine.complete(Request(endpoint=endpoint, messages=request.messages, params={"max_tokens": 3}))
"""


@pytest.mark.parametrize(("how", "status"), [("interrupt", 7), ("finish", 0)])
def test_a_process_ends_cleanly_and_prints_nothing(how, status):
    """Ctrl-C during a generation, and leaving without `close`, end without a crash or a word."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (status, b"", b"")


def test_waiting_for_a_turn_takes_nothing_from_the_time_of_a_call(engine):
    """With many calls at once the last would otherwise never begin; those that wait are served in their order."""

    engine.complete(ask("Say yes.", max_tokens=1))
    enough = engine.complete(ask("Tell a long story.", max_tokens=100)).latency / 2

    async def both():
        long = asyncio.create_task(engine.acomplete(ask("Tell a long story.", max_tokens=200)))
        await asyncio.sleep(0.05)
        yes = ask("Say yes.", max_tokens=3, timeout=enough)
        short = [asyncio.create_task(engine.acomplete(yes)) for _ in range(3)]
        started = time.monotonic()
        await long
        waited = time.monotonic() - started
        return waited, await asyncio.gather(*short)

    waited, answers = asyncio.run(both())
    assert all(answer.latency < enough for answer in answers)
    assert all(answer.latency < waited for answer in answers)


def test_strings_that_reach_their_bound_end_there(engine):
    """Without penalties the model rambles to every bound: the decoder once gave up at one, and constrained no more."""
    schema = {
        "type": "object",
        "properties": {
            "summary": {"type": "string", "minLength": 1},
            "points": {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 3, "maxItems": 3},
        },
        "required": ["summary", "points"],
        "additionalProperties": False,
    }
    loose = Endpoint(model="local/smollm2-135m", provider_params={"dry_multiplier": 0, "repeat_penalty": 1.0})
    for prompt in ("Describe a lighthouse at length.", "List three facts on tea."):
        answer = engine.complete(ask(prompt, schema, loose, max_tokens=300))
        assert Contract(schema).problems(json.loads(answer.text)) == ()
        assert answer.notes == ()


def test_an_answer_that_breaks_the_schema_is_decoded_again_by_characters(engine, monkeypatch):
    """Whatever goes wrong in the decoder, the second way needs none of what the first one needs."""
    from runllm.engines.local import engine as local

    verdicts = iter([False, True])
    monkeypatch.setattr(local, "fits", lambda *_: next(verdicts))
    answer = engine.complete(ask("Who is Ada?", PERSON, max_tokens=100))
    assert Contract(PERSON).problems(json.loads(answer.text)) == ()
    assert "second time" in answer.notes[0]
    assert answer.usage.completion_tokens > 10


def test_a_file_without_a_chat_template_is_told(tmp_path):
    """The very weights, with the header's key under another name."""
    weights = bytearray(locate(ENDPOINT).read_bytes())
    at = weights.find(b"tokenizer.chat_template")
    weights[at : at + 23] = b"tokenizer.chat_tempxxxx"
    base = tmp_path / "base.gguf"
    base.write_bytes(weights)
    path = tmp_path / "app.rllm"
    path.write_text(
        f"---\nname: app\ninput: {{t: text}}\nreturns: text\nllm: local/{base}\nllm_params: {{max_tokens: 60}}\n---\n"
        "Say {{ input.t }}\n",
        encoding="utf-8",
    )
    (problem,) = runllm.validate(path).problems
    assert (problem.severity, "no chat template" in problem.message) == ("warning", True)
    (warning,) = runllm.load(path).run({"t": "hi"}).warnings
    assert "no chat template" in warning
    weights[at : at + 23] = b"tokenizer.chat_template"
    base.write_bytes(weights)
    assert runllm.validate(path).problems == ()


def test_what_takes_a_while_is_told_as_it_begins_and_ends():
    told = []

    @contextmanager
    def doing(what):
        told.append(("begun", what))
        yield lambda far: told.append(("far", far))
        told.append(("ended", what))

    made = LocalEngine(Setup(doing=doing))
    made.complete(ask("Count to ten.", max_tokens=12))
    made.close()
    weights = "loading SmolLM2-135M-Instruct.Q4_1.gguf"
    assert told[:2] == [("begun", ""), ("far", "reading the prompt")]
    assert [one for one in told if one[1] == weights] == [("begun", weights), ("ended", weights)]
    assert any(re.fullmatch(r"\d+ tokens? so far", said) for way, said in told if way == "far")
    assert told[-1] == ("ended", "")
