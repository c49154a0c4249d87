"""Composed apps over real HTTP and on the real local model."""

import asyncio
import json
import time
from pathlib import Path

import pytest
from tests.apps import at, leaf
from tests.integration.provider import Provider, Received, Reply, answer, failure

import runllm
from runllm.errors import BudgetExceededError, ProviderError, PythonBlockExecutionError, RetryExhaustedError
from runllm.runtime import Runtime
from runllm.stats.store import Store
from runllm.testing import FakeClock

EXAMPLES = Path(__file__).parents[2] / "examples"
TOP = """---
name: top
description: A test.
version: 1.0.0
author: me
max_context_window: 4096
input_schema: {type: object, properties: {text: {type: string}}, required: [text]}
output_schema: {type: object, properties: {a: {type: string}, b: {type: string}}, required: [a, b]}
uses:
  - {name: a, path: ./a.rllm, with: {text: "{{ input.text }}"}}
  - {name: b, path: ./b.rllm, with: {text: "{{ input.text }}"}}
output: {a: "{{ uses.a.out }}", b: "{{ uses.b.out }}"}
---
"""


@pytest.fixture
def provider():
    with Provider() as server:
        yield server


@pytest.fixture(scope="module")
def runtime():
    with Runtime(sleep=lambda _: None, jitter=lambda: 0.0) as made:
        yield made


@pytest.fixture(params=["sync", "async"])
def go(request: pytest.FixtureRequest, runtime: Runtime, provider: Provider, tmp_path: Path):
    """Run the composed app against a script of replies."""

    def run(*replies: Reply):
        provider.script(*replies)
        for name in ("a", "b"):
            (tmp_path / f"{name}.rllm").write_text(leaf(name, llm=at(provider.base)), encoding="utf-8")
        (tmp_path / "top.rllm").write_text(TOP, encoding="utf-8")
        app = runllm.load(tmp_path / "top.rllm", runtime=runtime)
        if request.param == "sync":
            return app.run({"text": "t"})
        return asyncio.run(app.arun({"text": "t"}))

    return run


def test_two_slow_apps_take_the_time_of_one(go) -> None:
    go(answer('{"out": "x"}'))  # the client library is loaded
    result = go(answer('{"out": "x"}', delay=1.0))
    assert result.output == {"a": "x", "b": "x"}
    assert 1.0 <= result.latency < 1.9
    assert result.usage.prompt_tokens == 22


def test_a_failure_does_not_wait_for_the_slow_one_and_keeps_the_bill(go) -> None:
    def body(received: Received) -> object:
        if "b: t" in json.dumps(received.body):
            time.sleep(0.3)
            return failure(401, "no").body(received)
        return answer('{"out": "x"}').body(received)

    started = time.monotonic()
    with pytest.raises(ProviderError, match=r"top > [ab]: ") as caught:
        go(Reply(body=body, status=401), answer('{"out": "x"}', delay=20))
    assert time.monotonic() - started < 10
    assert caught.value.result is not None
    assert len(caught.value.result.children) == 2


@pytest.mark.soak
def test_the_composed_example_runs_on_the_local_model() -> None:
    given = {"text": "The Suez Canal opened in 1869 after ten years of work led by Ferdinand de Lesseps.", "limit": 3}
    with Runtime() as runtime:
        app = runllm.load(EXAMPLES / "compose_summary_keywords.rllm", runtime=runtime)
        assert app.warnings == ()
        result = app.run(given)
    assert result.output is not None
    assert app.program.output_contract.problems(result.output) == ()
    assert set(result.output) == {"summary", "key_points", "keywords", "language"}
    assert [child.name for child in result.children] == ["summary", "found"]
    assert result.usage.completion_tokens > 20


@pytest.mark.soak
@pytest.mark.timeout(500)
def test_a_text_that_no_window_holds_is_mapped_and_reduced_on_the_local_model() -> None:
    """Five parts, each with the window of the whole app filled by far less than the text needs."""
    with Runtime() as runtime:
        app = runllm.load(EXAMPLES / "long_summary.rllm", runtime=runtime, max_retries=0)
        text = app.read_input(path=str(EXAMPLES / "long_summary.input.yaml"))["text"]
        assert len(text) > 4 * 8192
        result = app.run({"text": text})
    assert result.output is not None
    assert app.program.output_contract.problems(result.output) == ()
    parts = [child for child in result.children if child.name == "parts"]
    assert [child.index for child in parts] == list(range(len(parts)))
    assert len(parts) >= 6
    assert sum(child.result.usage.prompt_tokens for child in parts) > 8192


def test_every_template_and_block_of_a_tree_sees_the_same_moment(provider: Provider, tmp_path: Path) -> None:
    """The clock goes on while they run; the moment is that at which the run began."""
    clock = FakeClock("2026-11-30T23:59:59+01:00")
    (tmp_path / "a.rllm").write_text(
        leaf("a", llm=at(provider.base))
        + "at {{ run.time }}\n<<<SYSTEM>>>\nIt is {{ run.date }}.\n<<<RECOVERY>>>\nIt is still {{ run.date }}.\n",
        encoding="utf-8",
    )
    uses = '  - {name: a, path: ./a.rllm, for_each: ["{{ run.date }}"], with: {text: "{{ item }}{{ run.timezone }}"}}\n'
    given = "output: {a: '{{ uses.a[0].out }}', b: '{{ vars.day }} {{ vars.same }} {{ run.time }}'}\n"
    blocks = (
        "```rllm-python pre inputs=run.date outputs=day\nday = date\n```\n"
        '```rllm-python pre outputs=same\nsame = context["run"]["date"] == context["vars"]["day"]\n```\n'
    )
    head, rest = TOP.partition("uses:\n")[0], "---\n" + blocks
    (tmp_path / "top.rllm").write_text(head + "uses:\n" + uses + given + rest, encoding="utf-8")
    provider.script(answer('{"no": 1}'), answer('{"out": "x"}'))
    with Runtime(moment=later(clock)) as runtime:
        app = runllm.load(tmp_path / "top.rllm", runtime=runtime)
        result = app.run({"text": "t"})
        preview = app.preview({"text": "t"})
    assert result.output == {"a": "x", "b": "2026-11-30 true 23:59:59"}
    said = [message["content"] for message in provider.chats[-1].body["messages"]]
    assert said[0].startswith("It is 2026-11-30.")
    assert said[1] == "a: 2026-11-30+01:00\nat 23:59:59"
    assert said[-1].startswith("It is still 2026-11-30.")
    sent = preview.children["a[0]"].request
    assert sent is not None
    assert sent.messages[0].content.startswith("It is 2026-12-01.")
    assert sent.messages[-1].content == "a: 2026-12-01+01:00\nat 23:59:59"


def later(clock: FakeClock):
    """What day and time it is, a day later each time it is asked."""

    def moment():
        found = clock.moment()
        clock.sleep(86_400)
        return found

    return moment


EARLY = (
    TOP.partition("uses:\n")[0]
    + """uses:
  - {name: a, path: ./a.rllm, for_each: "{{ vars.words }}", with: {text: "{{ item }} of {{ vars.count }}"}}
output: {a: "{{ uses.a[0].out }}.", b: "{{ vars.last }}"}
---
```rllm-python pre late outputs=last
assert len(context["uses"]["a"]) == context["vars"]["count"]
last = context["uses"]["a"][-1]["out"]
```
```rllm-python pre split inputs=input.text outputs=words
words = text.split()
```
```rllm-python pre count inputs=vars.words outputs=count
count = len(words)
```
"""
)


@pytest.fixture
def early(provider: Provider, runtime: Runtime, tmp_path: Path) -> runllm.App:
    """An app of which two blocks run before the app that it uses, and one after."""
    (tmp_path / "a.rllm").write_text(leaf("a", llm=at(provider.base)), encoding="utf-8")
    (tmp_path / "top.rllm").write_text(EARLY, encoding="utf-8")
    provider.script(Reply(body=lambda received: answer(json.dumps({"out": asked(received)})).body(received)))
    return runllm.load(tmp_path / "top.rllm", runtime=runtime)


def asked(received: Received) -> str:
    """The prompt that came in."""
    return received.body["messages"][-1]["content"]


def test_blocks_that_an_app_is_fed_from_run_before_it_and_the_others_after(early: runllm.App) -> None:
    assert early.warnings == ()
    steps: list[str] = []
    result = early.run({"text": "x y"}, listener=lambda event: steps.append(event.message))
    assert result.output == {"a": "a: x of 2.", "b": "a: y of 2"}
    told = [step.split("`")[1] for step in steps if "block" in step]
    assert told == ["split", "count", "late"]
    assert steps.index("pre block `count`") < steps.index("a 1.0.0: the input fits") < steps.index("pre block `late`")


def test_a_block_that_reads_nothing_runs_early_too(provider: Provider, runtime: Runtime, tmp_path: Path) -> None:
    (tmp_path / "a.rllm").write_text(leaf("a", llm=at(provider.base)), encoding="utf-8")
    plain = EARLY.replace("split inputs=input.text outputs=words", "split").replace("text.split()", "['u']")
    (tmp_path / "top.rllm").write_text(plain.replace("words = ['u']", "result['words'] = ['u']"), encoding="utf-8")
    provider.script(Reply(body=lambda received: answer(json.dumps({"out": asked(received)})).body(received)))
    app = runllm.load(tmp_path / "top.rllm", runtime=runtime)
    assert app.run({"text": "x y"}).output == {"a": "a: u of 1.", "b": "a: u of 1"}


def test_a_preview_runs_them_to_show_what_the_app_would_be_sent(early: runllm.App, provider: Provider) -> None:
    found = early.preview({"text": "x y"})
    sent = {label: child.request.messages[-1].content for label, child in found.children.items() if child.request}
    assert sent == {"a[0]": "a: x of 2", "a[1]": "a: y of 2"}
    assert provider.chats == []


def test_an_early_block_that_fails_ends_the_run_before_anything_is_paid_for(
    early: runllm.App, provider: Provider, tmp_path: Path
) -> None:
    (tmp_path / "top.rllm").write_text(EARLY.replace("len(words)", "len(words) / 0"), encoding="utf-8")
    with pytest.raises(PythonBlockExecutionError, match="pre block `count`"):
        runllm.load(tmp_path / "top.rllm", runtime=early.runtime).run({"text": "x y"})
    assert provider.chats == []


def test_a_budget_that_a_list_of_an_early_block_exceeds_ends_the_run_where_it_is_reached(early: runllm.App) -> None:
    with pytest.raises(BudgetExceededError):
        early.run({"text": "x y z"}, max_calls=2)


SKIP = (
    TOP.partition("uses:\n")[0]
    + """uses:
  - {name: a, path: ./a.rllm, for_each: "{{ vars.words }}", on_error: skip, with: {text: "{{ item }}"}}
output: {a: "{{ uses.a | map(attribute='out') | join(' ') }}", b: "{{ uses.a | length }}!"}
---
```rllm-python pre inputs=input.text outputs=words
words = text.split()
```
"""
)


def test_items_of_which_the_provider_makes_nothing_are_left_out_and_paid_for(
    provider: Provider, tmp_path: Path
) -> None:
    """One is never answered rightly, and one fails in a block."""
    block = "```rllm-python check inputs=output.out\nassert 1 // len(out) < 9\n```\n"
    (tmp_path / "a.rllm").write_text(leaf("a", llm=at(provider.base)) + block, encoding="utf-8")
    (tmp_path / "top.rllm").write_text(SKIP, encoding="utf-8")

    def reply(received: Received) -> Reply:
        word = received.body["messages"][1]["content"].removeprefix("a: ")
        answers = {"wrong": answer('{"no": 1}'), "empty": answer('{"out": ""}')}
        return answers.get(word, answer(json.dumps({"out": word})))

    provider.script(Reply(body=lambda received: reply(received).body(received)))
    with Runtime(sleep=lambda _: None, jitter=lambda: 0.0, store=Store(tmp_path / "stats.db")) as runtime:
        app = runllm.load(tmp_path / "top.rllm", runtime=runtime, stats=True)
        result = app.run({"text": "x wrong y empty"})
        (row,) = runtime.store.runs()
    assert result.output == {"a": "x y", "b": "2!"}
    assert [(one.index, type(one.error)) for one in result.skipped] == [
        (1, RetryExhaustedError), (3, PythonBlockExecutionError),
    ]  # fmt: skip
    assert result.usage.prompt_tokens == 11 * (1 + 3 + 1 + 1)
    assert result.warnings[0].startswith("2 of 4 items of `a` failed and were left out: no valid answer in 3 attempts")
    assert (row.skipped, row.error_code) == (2, None)
