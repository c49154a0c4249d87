"""Runs of apps that use others, with an engine that answers from the request: sync and async."""

import asyncio
import json
from pathlib import Path

import pytest

import runllm
from runllm.engines.base import Engine
from runllm.errors import (
    AuthenticationError,
    BudgetExceededError,
    DependencyResolutionError,
    EngineUnavailableError,
    InputSchemaError,
    InterruptedRunError,
    MissingCredentialError,
    ModelNotFoundError,
    NotAllowedError,
    OutputSchemaError,
    ProviderConnectionError,
    ProviderError,
    RetryExhaustedError,
    RunllmError,
    TemplateError,
)
from runllm.results import Completion, Endpoint, Event, Request, Usage
from runllm.runtime import Runtime
from runllm.testing import ScriptedEngine

HEAD = """---
name: {name}
description: A test.
version: 1.0.0
author: me
max_context_window: 4096
input_schema: {input}
output_schema: {output}
"""
TEXT = "{type: object, properties: {text: {type: string}}, required: [text], additionalProperties: false}"
LLM = "llm: {model: openai/m}\nllm_params: {temperature: 0}\n"


def leaf(name: str, key: str = "out", kind: str = "string", given: str = TEXT, more: str = "") -> str:
    """An app that asks the model for one property."""
    output = (
        f"{{type: object, properties: {{{key}: {{type: {kind}}}}}, required: [{key}], additionalProperties: false}}"
    )
    prompt = f"{name}: {{{{ input.text }}}}" if "text" in given else f"{name}: {{{{ input }}}}"
    return HEAD.format(name=name, input=given, output=output) + LLM + more + f"---\n{prompt}\n"


def parent(uses: str, output: str = "", schema: str = "{type: object}", prompt: str = "", name: str = "top") -> str:
    """An app that uses others, and builds its output or asks for it."""
    more = f"output: {output}\n" if output else LLM
    return HEAD.format(name=name, input=TEXT, output=schema) + f"uses:\n{uses}" + more + f"---\n{prompt}\n"


def use(name: str, file: str, more: str = 'with: {text: "{{ input.text }}"}') -> str:
    return f"  - name: {name}\n    path: ./{file}.rllm\n    {more}\n"


class Answers(Engine):
    """An engine whose answers take time, and can be stopped; each app's prompt begins with its name."""

    def __init__(self, answers: dict[str, object], delays: dict[str, float] | None = None) -> None:
        self.answers = answers
        self.delays = delays or {}
        self.asked: list[str] = []
        self.ended: list[str] = []
        self.under_way = 0
        self.most = 0

    def ready(self, endpoint: Endpoint) -> None:
        if endpoint.model == "openai/no-key":
            raise MissingCredentialError("no key")

    def window(self, endpoint: Endpoint) -> int | None:
        del endpoint

    def price(self, endpoint: Endpoint) -> None:
        del endpoint

    def complete(self, request: Request) -> Completion:
        return asyncio.run(self.acomplete(request))

    async def acomplete(self, request: Request) -> Completion:
        prompt = next(message.content for message in request.messages if message.role == "user")
        name = prompt.partition(":")[0]
        self.asked.append(name)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await asyncio.sleep(self.delays.get(name, 0))
        finally:
            self.under_way -= 1
        self.ended.append(name)
        answer = self.answers[name]
        answer = answer(request) if callable(answer) else answer
        if isinstance(answer, Exception):
            raise answer
        usage = Usage(prompt_tokens=10, completion_tokens=5)
        return Completion(text=json.dumps(answer), usage=usage, model=request.endpoint.model, cost=0.5)

    def close(self) -> None:
        pass


@pytest.fixture(params=["sync", "async", "in a loop"])
def go(request: pytest.FixtureRequest, tmp_path: Path):
    """Write a project, run its `top.rllm`, and return the result or the error."""

    def run(files: dict[str, str], engine, given=None, listener=None, **options):
        for name, text in files.items():
            (tmp_path / f"{name}.rllm").write_text(text, encoding="utf-8")
        app = runllm.load(tmp_path / "top.rllm", runtime=Runtime(engine=engine), **options)
        given = {"text": "t"} if given is None else given
        if request.param == "sync":
            return app.run(given, listener=listener)
        if request.param == "async":
            return asyncio.run(app.arun(given, listener=listener))

        async def within() -> object:
            return app.run(given, listener=listener)

        return asyncio.run(within())

    return run


def test_values_keep_their_types_on_their_way(go) -> None:
    engine = Answers({"count": {"out": 3}, "list": {"out": ["a", "b"]}, "next": {"out": True}})
    given = "{type: object, properties: {n: {type: integer}, names: {type: array, items: {type: string}}, half: {type: number}}}"
    files = {
        "count": leaf("count", kind="integer"),
        "list": leaf("list", kind="array, items: {type: string}"),
        "next": leaf("next", kind="boolean", given=given),
        "top": parent(
            use("count", "count")
            + use("list", "list")
            + use(
                "next",
                "next",
                'with: {n: "{{ uses.count.out }}", names: "{{ uses.list.out }}", half: "{{ uses.count.out }}.5"}',
            ),
            output='{n: "{{ uses.count.out }}", names: "{{ uses.list.out }}", flag: "{{ uses.next.out }}", fixed: [1, "{{ uses.count.out }}"], said: "{{ uses.count.out }} of {{ uses.list.out }}"}',
        ),
    }
    result = go(files, engine)
    assert result.output == {"n": 3, "names": ["a", "b"], "flag": True, "fixed": [1, 3], "said": '3 of ["a", "b"]'}
    assert engine.asked[-1] == "next"
    assert result.children[2].result.output == {"out": True}


def test_independent_apps_run_side_by_side_and_dependent_ones_in_order(go) -> None:
    engine = Answers({name: {"out": name} for name in ("a", "b", "c", "top")}, delays={"a": 0.2, "b": 0.05, "c": 0.05})
    files = {name: leaf(name) for name in ("a", "b", "c")}
    files["top"] = parent(
        use("a", "a") + use("b", "b") + use("c", "c", 'with: {text: "{{ uses.b.out }}"}'),
        prompt="top: {{ uses.a.out }}{{ uses.c.out }}",
    )
    result = go(files, engine)
    assert engine.ended == ["b", "c", "a", "top"]  # c does not wait for a, which it does not need
    assert result.usage == Usage(prompt_tokens=40, completion_tokens=20)
    assert result.cost == 2.0
    assert [child.name for child in result.children] == ["a", "b", "c"]


def test_no_more_calls_are_under_way_than_are_allowed(go) -> None:
    engine = Answers({"part": {"out": "x"}}, delays={"part": 0.01})
    files = {
        "part": leaf("part"),
        "top": parent(
            use("parts", "part", 'for_each: [a, b, c, d, e, f, g]\n    with: {text: "{{ item }}"}'),
            output='{n: "{{ uses.parts | length }}"}',
        ),
    }
    events: list[Event] = []
    assert go(files, engine, concurrency=3, listener=events.append).output == {"n": 7}
    assert engine.most == 3
    assert {event.trail for event in events if event.trail} == {(f"parts[{n}]",) for n in range(7)}
    steps = [event.step for event in events if event.trail and event.step in ("input", "done")]
    assert steps[:4] == ["input", "input", "input", "done"]  # the others are not even begun


def test_a_list_is_mapped_in_order_with_item_and_index(go) -> None:
    engine = Answers({"part": lambda request: {"out": request.messages[-1].content}})
    engine.delays = {"part": 0.0}
    files = {
        "part": leaf("part"),
        "words": leaf("words", kind="array, items: {type: string}"),
        "top": parent(
            use("words", "words")
            + use("parts", "part", 'for_each: "{{ uses.words.out }}"\n    with: {text: "{{ index }} {{ item }}"}'),
            output='{all: "{{ uses.parts }}"}',
        ),
    }
    engine.answers["words"] = {"out": ["x", "y", "z"]}
    result = go(files, engine)
    assert [part["out"] for part in result.output["all"]] == ["part: 1 x", "part: 2 y", "part: 3 z"]
    assert [(child.name, child.index) for child in result.children] == [
        ("words", None), ("parts", 0), ("parts", 1), ("parts", 2),
    ]  # fmt: skip


@pytest.mark.parametrize("given", [{"names": []}, {}])
def test_an_empty_or_absent_list_runs_nothing(go, given: object) -> None:
    names = "{type: object, properties: {names: {type: array, items: {type: string}}}}"
    over = use("parts", "part", 'for_each: "{{ input.names }}"\n    with: {text: "{{ item }}"}')
    files = {"part": leaf("part"), "top": parent(over, output='{all: "{{ uses.parts }}"}').replace(TEXT, names)}
    engine = Answers({})
    assert go(files, engine, given).output == {"all": []}
    assert engine.asked == []


def test_an_empty_list_of_another_app_runs_nothing(go) -> None:
    engine = Answers({"words": {"out": []}})
    files = {
        "part": leaf("part"),
        "words": leaf("words", kind="array, items: {type: string}"),
        "top": parent(
            use("words", "words")
            + use("parts", "part", 'for_each: "{{ uses.words.out }}"\n    with: {text: "{{ item }}"}'),
            output='{all: "{{ uses.parts }}"}',
        ),
    }
    assert go(files, engine).output == {"all": []}
    assert engine.asked == ["words"]


def diamond() -> dict[str, str]:
    """`top` uses `left` and `right`, and both use `base` on the same input."""
    side = use("base", "base") + use("own", "{own}", 'with: {text: "{{ uses.base.out }}"}')
    return {
        "base": leaf("base"),
        "l": leaf("l"),
        "r": leaf("r"),
        "left": parent(side.replace("{own}", "l"), output='{out: "{{ uses.own.out }}"}', name="left"),
        "right": parent(side.replace("{own}", "r"), output='{out: "{{ uses.own.out }}"}', name="right"),
        "top": parent(use("left", "left") + use("right", "right"), output='{l: "{{ uses.left.out }}", r: "{{ uses.right.out }}"}'),
    }  # fmt: skip


OPEN = "{type: object, properties: {out: {type: string}}, required: [out]}"


def test_a_diamond_runs_its_shared_app_once_and_counts_it_once(go) -> None:
    engine = Answers({"base": {"out": "b"}, "l": {"out": "L"}, "r": {"out": "R"}}, delays={"base": 0.05})
    files = {
        name: text.replace("{type: object}", OPEN) if name in ("left", "right") else text
        for name, text in diamond().items()
    }
    result = go(files, engine)
    assert result.output == {"l": "L", "r": "R"}
    assert sorted(engine.asked) == ["base", "l", "r"]
    assert result.usage.prompt_tokens == 30
    bases = [child for side in result.children for child in side.result.children if child.name == "base"]
    assert sorted(child.shared for child in bases) == [False, True]


def test_the_same_app_on_another_input_is_another_run(go) -> None:
    engine = Answers({"base": lambda request: {"out": request.messages[-1].content}})
    files = {
        "base": leaf("base"),
        "top": parent(
            use("a", "base", "with: {text: one}") + use("b", "base", "with: {text: two}"),
            output='{a: "{{ uses.a.out }}", b: "{{ uses.b.out }}"}',
        ),
    }
    assert go(files, engine).output == {"a": "base: one", "b": "base: two"}


def test_an_input_that_is_the_default_is_the_same_input(go) -> None:
    engine = Answers({"base": {"out": "x"}})
    takes = "{type: object, properties: {text: {type: string}, n: {type: integer, default: 3}}, required: [text]}"
    files = {
        "base": leaf("base", given=takes),
        "top": parent(
            use("a", "base") + use("b", "base", 'with: {text: "{{ input.text }}", n: 3}'),
            output='{a: "{{ uses.a.out }}", b: "{{ uses.b.out }}"}',
        ),
    }
    assert go(files, engine).output == {"a": "x", "b": "x"}
    assert engine.asked == ["base"]


def test_a_fallback_that_an_app_cannot_use_is_a_warning_of_the_run(go) -> None:
    engine = Answers({"a": {"out": "x"}})
    files = {
        "a": leaf("a").replace("{model: openai/m}", "{model: openai/m, fallbacks: [openai/no-key]}"),
        "top": parent(use("a", "a"), output='{x: "{{ uses.a.out }}"}'),
    }
    assert go(files, engine).warnings == ("the fallback openai/no-key cannot be used: no key",)


# --- failures ------------------------------------------------------------------------------------


def test_a_failure_names_its_way_stops_the_others_and_loses_no_token(go) -> None:
    wrong = Answers({"bad": {"oops": 1}, "quick": {"out": "q"}, "slow": {"out": "s"}}, {"slow": 5.0, "bad": 0.05})
    files = {
        "bad": leaf("bad"),
        "quick": leaf("quick"),
        "slow": leaf("slow"),
        "middle": parent(use("deep", "bad"), output='{out: "{{ uses.deep.out }}"}', schema=OPEN, name="middle"),
        "top": parent(use("q", "quick") + use("s", "slow") + use("m", "middle"), output='{x: "{{ uses.m.out }}"}'),
    }
    with pytest.raises(RetryExhaustedError) as caught:
        go(files, wrong)
    error = caught.value
    assert str(error).startswith("top > m > deep: no valid answer in 3 attempts")
    assert error.payload()["details"]["trail"] == ["top", "m", "deep"]
    assert error.payload()["message"] == str(error)
    result = error.result
    assert result is not None
    assert result.latency < 3
    assert result.usage.prompt_tokens == 40  # three of `bad`, one of `quick`
    by_name = {child.name: child.result for child in result.children}
    assert by_name["q"].output == {"out": "q"}
    assert isinstance(by_name["s"].error, InterruptedRunError)
    assert by_name["m"].children[0].result.error.trail == ()
    assert wrong.under_way == 0  # the slow call was cancelled, not left behind


def test_what_a_stopped_app_has_spent_is_kept(go) -> None:
    """The middle app's first child has answered, its second is stopped in the middle of its call."""
    engine = Answers(
        {"fast": {"out": "f"}, "slow": {"out": "s"}, "bad": ProviderError("down")}, {"slow": 5.0, "bad": 0.1}
    )
    files = {
        "fast": leaf("fast"),
        "slow": leaf("slow"),
        "bad": leaf("bad").replace("{model: openai/m}", "{model: openai/m, num_retries: 0}"),
        "middle": parent(
            use("fast", "fast") + use("slow", "slow", 'with: {text: "{{ uses.fast.out }}"}'),
            output='{out: "{{ uses.slow.out }}"}', schema=OPEN, name="middle",
        ),
        "top": parent(use("m", "middle") + use("b", "bad"), output='{x: "{{ uses.m.out }}"}'),
    }  # fmt: skip
    with pytest.raises(ProviderError) as caught:
        go(files, engine)
    assert str(caught.value).startswith("top > b: down")
    result = caught.value.result
    assert result is not None
    assert result.usage.prompt_tokens == 10
    middle = result.children[0].result
    assert [child.name for child in middle.children] == ["fast", "slow"]
    assert len(middle.children[1].result.attempts) == 1  # the call that was cut short is on record


@pytest.mark.parametrize("deep", [False, True])
def test_the_reason_is_what_failed_first_not_what_was_stopped_for_it(go, deep: bool) -> None:
    """`p` fails while it shares a slow app with `q`: stopping that app must not look like a failure of `q`."""
    engine = Answers({"slow": {"out": "s"}, "bad": ProviderError("down")}, {"slow": 5.0, "bad": 0.02})
    files = {
        "slow": leaf("slow"),
        "bad": leaf("bad").replace("{model: openai/m}", "{model: openai/m, num_retries: 0}"),
        "p": parent(use("s", "slow") + use("b", "bad"), output='{out: "{{ uses.b.out }}"}', schema=OPEN, name="p"),
        "q": parent(use("s", "slow"), output='{out: "{{ uses.s.out }}"}', schema=OPEN, name="q"),
        "r": parent(use("p", "p"), output='{out: "{{ uses.p.out }}"}', schema=OPEN, name="r"),
        "top": parent(use("q", "q") + use("x", "r" if deep else "p"), output='{x: "{{ uses.q.out }}"}'),
    }
    with pytest.raises(ProviderError) as caught:
        go(files, engine)
    assert caught.value.trail == (("top", "x", "p", "b") if deep else ("top", "x", "b"))
    assert engine.under_way == 0


def test_a_value_that_does_not_fit_is_refused_before_the_child_pays(go) -> None:
    bounded = "{type: object, properties: {text: {type: string, maxLength: 3}}, required: [text]}"
    engine = Answers({"a": {"out": "too long"}})
    files = {
        "a": leaf("a"),
        "b": leaf("b", given=bounded),
        "top": parent(
            use("a", "a") + use("b", "b", 'with: {text: "{{ uses.a.out }}"}'), output='{x: "{{ uses.b.out }}"}'
        ),
    }
    with pytest.raises(InputSchemaError, match="top > b: the input does not fit: `/text`") as caught:
        go(files, engine)
    assert engine.asked == ["a"]
    assert caught.value.result.usage.prompt_tokens == 10


def test_a_missing_key_of_any_app_is_found_before_anything_is_paid_for(go) -> None:
    engine = Answers({"a": {"out": "x"}})
    files = {
        "a": leaf("a"),
        "b": leaf("b").replace("openai/m", "openai/no-key"),
        "top": parent(
            use("a", "a") + use("b", "b", 'with: {text: "{{ uses.a.out }}"}'), output='{x: "{{ uses.b.out }}"}'
        ),
    }
    with pytest.raises(MissingCredentialError, match="top > b"):
        go(files, engine)
    assert engine.asked == []


def test_what_cannot_be_called_is_named_by_the_way_to_it(go) -> None:
    engine = Answers({"a": {"out": "x"}})
    files = {
        "a": leaf("a").replace("openai/m", "openai/no-key"),
        "middle": parent(use("deep", "a"), output='{out: "{{ uses.deep.out }}"}', schema=OPEN, name="middle"),
        "top": parent(use("m", "middle"), output='{x: "{{ uses.m.out }}"}'),
    }
    with pytest.raises(MissingCredentialError) as caught:
        go(files, engine)
    assert caught.value.trail == ("top", "m", "deep")


def test_a_preview_says_which_app_refuses_its_input(tmp_path: Path) -> None:
    bounded = "{type: object, properties: {text: {type: string, maxLength: 3}}, required: [text]}"
    files = {
        "a": leaf("a", given=bounded),
        "top": parent(
            use("a", "a", 'for_each: [abc, "{{ input.text }}"]\n    with: {text: "{{ item }}"}'),
            output='{x: "{{ uses.a }}"}',
        ),
    }
    for name, text in files.items():
        (tmp_path / f"{name}.rllm").write_text(text, encoding="utf-8")
    app = runllm.load(tmp_path / "top.rllm", runtime=Runtime(engine=ScriptedEngine([])))
    assert list(app.preview({"text": "abc"}).children) == ["a[0]", "a[1]"]
    with pytest.raises(InputSchemaError) as caught:
        app.preview({"text": "abcd"})
    assert caught.value.trail == ("top", "a[1]")


def test_a_list_that_is_none_when_it_runs_is_an_error_of_the_parent(go) -> None:
    engine = Answers({"a": {"out": "x"}})
    files = {
        "a": HEAD.format(name="a", input=TEXT, output="{type: object, properties: {out: {}}}") + LLM + "---\na: x\n",
        "b": leaf("b"),
        "top": parent(
            use("a", "a") + use("b", "b", 'for_each: "{{ uses.a.out }}"\n    with: {text: x}'),
            output='{x: "{{ uses.b }}"}',
        ),
    }
    with pytest.raises(DependencyResolutionError, match="`for_each` of `b` must give a list"):
        go(files, engine)


def test_an_output_that_does_not_fit_when_it_is_built_is_an_error_with_its_place(go) -> None:
    engine = Answers({"a": {"out": "x"}})
    files = {
        "a": leaf("a"),
        "top": parent(
            use("a", "a"),
            output='{x: "{{ uses.a.out }}"}',
            schema="{type: object, properties: {x: {type: string, minLength: 2}}, required: [x]}",
        ),
    }
    with pytest.raises(OutputSchemaError, match="the output that is built does not fit: `/x`") as caught:
        go(files, engine)
    assert caught.value.received == {"x": "x"}
    assert caught.value.result.usage.prompt_tokens == 10


# --- what a caller may override ------------------------------------------------------------------


def models(engine: ScriptedEngine) -> list[str]:
    return sorted(request.endpoint.model for request in engine.requests)


def asking() -> dict[str, str]:
    return {"a": leaf("a"), "top": parent(use("a", "a"), prompt="top: {{ uses.a.out }}")}


@pytest.mark.parametrize(("whole", "called"), [(False, ["openai/m", "openai/x"]), (True, ["openai/x", "openai/x"])])
def test_another_model_holds_for_the_whole_tree_only_when_asked(go, whole: bool, called: list[str]) -> None:
    engine = ScriptedEngine(lambda _: '{"out": "x"}')
    go(asking(), engine, model="openai/x", whole_tree=whole)
    assert models(engine) == called


@pytest.mark.parametrize(("whole", "attempts"), [(False, 3), (True, 1)])
def test_retries_hold_for_the_whole_tree_only_when_asked(go, whole: bool, attempts: int) -> None:
    engine = ScriptedEngine(lambda _: "no JSON")
    with pytest.raises(RetryExhaustedError):
        go(asking(), engine, max_retries=0, whole_tree=whole)
    assert len(engine.requests) == attempts


def test_a_model_that_nobody_uses_is_said(go) -> None:
    engine = ScriptedEngine(lambda _: '{"out": "x"}')
    files = {"a": leaf("a"), "top": parent(use("a", "a"), output='{x: "{{ uses.a.out }}"}')}
    result = go(files, engine, model="openai/x")
    assert models(engine) == ["openai/m"]
    assert "calls no model itself" in result.warnings[0]


def test_a_trace_says_in_which_app_a_step_happens(go) -> None:
    events: list[Event] = []
    engine = ScriptedEngine(lambda _: '{"out": "x"}')
    go(asking(), engine, listener=events.append)
    assert {event.trail for event in events} == {(), ("a",)}
    assert [event.trail for event in events if event.step == "done"] == [("a",), ()]


def test_an_optional_value_that_is_absent_is_left_out(go) -> None:
    optional = "{type: object, properties: {text: {type: string}, n: {type: integer}}, required: [text]}"
    engine = Answers({"a": lambda request: {"out": request.messages[-1].content}})
    child = leaf("a", given=optional).replace("{{ input.text }}", "{{ input.text }}{{ input.n }}")
    files = {
        "a": child,
        "top": parent(use("a", "a", 'with: {text: "{{ input.text }}", n: "{{ input.n }}"}'), output='{x: "{{ uses.a.out }}"}')
        .replace(TEXT, optional),
    }  # fmt: skip
    assert go(files, engine).output == {"x": "a: t"}
    assert go(files, engine, {"text": "t", "n": 7}).output == {"x": "a: t7"}


ANY_OR_NULL = "{anyOf: [{type: object, properties: {n: {type: integer}}}, {type: 'null'}]}"


@pytest.mark.parametrize(
    ("takes", "fed", "given", "got"),
    [
        ("properties: {n: {type: integer}}", '{n: "{{ input.n }}"}', {}, {}),
        ("properties: {n: {type: integer}}", '{n: "{{ input.n }}0"}', {"n": 1}, {"n": 10}),
        ("properties: {n: {type: integer, default: 3}}, required: [n]", '{n: "{{ input.n }}"}', {}, {"n": 3}),
        ("properties: {n: {type: [integer, 'null']}}", '{n: "{{ input.n }}"}', {}, {"n": None}),
        ("properties: {n: {}}", '{n: "{{ input.n }}"}', {}, {"n": None}),
        ("additionalProperties: {type: integer}", '{n: "{{ input.n }}", m: "{{ input.n }}"}', {}, {}),
        ("additionalProperties: {type: integer}", '{n: "{{ input.m }}0"}', {"m": 1}, {"n": 10}),
        ("properties: {n: {anyOf: [{type: integer}, {minLength: 1}]}}", '{n: "{{ input.m }}0"}', {"m": 1}, {"n": "10"}),
        ("properties: {v: {type: array, items: {type: number}}}", '{v: ["{{ input.m }}.5"]}', {"m": 1}, {"v": [1.5]}),
        ("properties: {v: {type: array, prefixItems: [{type: string}], items: {type: integer}}}",
         '{v: ["{{ input.m }}0", "{{ input.m }}0"]}', {"m": 1}, {"v": ["10", 10]}),
        (f"properties: {{v: {ANY_OR_NULL}}}", '{v: {n: "{{ input.m }}0"}}', {"m": 1}, {"v": {"n": 10}}),
        (f"properties: {{v: {ANY_OR_NULL}}}", '{v: {n: "{{ input.m }}"}}', {}, {"v": {}}),
    ],
)  # fmt: skip
def test_what_flows_in_is_what_the_app_takes(tmp_path: Path, takes: str, fed: str, given: object, got: object) -> None:
    engine = ScriptedEngine(['{"out": "x"}'])
    numbers = "{type: object, properties: {n: {type: integer}, m: {type: integer}}}"
    files = {
        "a": leaf("a", given=f"{{type: object, {takes}}}"),
        "top": parent(use("a", "a", f"with: {fed}"), output='{x: "{{ uses.a.out }}"}').replace(TEXT, numbers),
    }
    for name, text in files.items():
        (tmp_path / f"{name}.rllm").write_text(text, encoding="utf-8")
    runllm.load(tmp_path / "top.rllm", runtime=Runtime(engine=engine)).run(given)
    assert json.loads(engine.requests[0].messages[-1].content.removeprefix("a: ")) == got


def test_cancelling_an_async_run_ends_its_calls(tmp_path: Path) -> None:
    engine = Answers({"a": {"out": "x"}}, {"a": 30.0})
    for name, text in asking().items():
        (tmp_path / f"{name}.rllm").write_text(text)
    app = runllm.load(tmp_path / "top.rllm", runtime=Runtime(engine=engine))

    async def cancel() -> None:
        task = asyncio.create_task(app.arun({"text": "t"}))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.05)

    asyncio.run(cancel())
    assert engine.asked == ["a"]
    assert engine.under_way == 0


# --- lists that go on without an item ---------------------------------------------------------------


def each(
    on_error: str, items: str = "[a, b, bad, c, bad]", given: str = "{{ item }}", output: str = "{{ uses.parts }}"
):
    """A project whose app runs over a list, and fails for `bad` in all its attempts."""
    how = f'for_each: {items}\n    on_error: {on_error}\n    with: {{text: "{given}"}}'
    return {"part": leaf("part"), "top": parent(use("parts", "part", how), output=f'{{all: "{output}"}}')}


def spoken(request: Request) -> object:
    """What `part` answers: the word that it is asked for, and nothing that fits for one that is bad."""
    word = request.messages[1].content.removeprefix("part: ")
    return {"no": 1} if word == "bad" else {"out": word}


@pytest.mark.parametrize(
    ("on_error", "kept", "said"),
    [("skip", ["a", "b", "c"], "were left out"), ("keep", ["a", "b", None, "c", None], "are null")],
)
def test_a_list_goes_on_without_the_items_that_fail(go, on_error: str, kept: list, said: str) -> None:
    events: list[Event] = []
    result = go(each(on_error), Answers({"part": spoken}), listener=events.append)
    assert [one and one["out"] for one in result.output["all"]] == kept
    assert [(one.name, one.index, type(one.error)) for one in result.skipped] == [
        ("parts", index, RetryExhaustedError) for index in (2, 4)
    ]
    assert [(child.index, child.result.error is None) for child in result.children] == [
        (0, True), (1, True), (2, False), (3, True), (4, False),
    ]  # fmt: skip
    assert result.usage.prompt_tokens == 60  # three that were answered, and three attempts of the one that is shared
    assert result.cost == 3.0
    (warning,) = result.warnings
    assert warning.startswith(f"2 of 5 items of `parts` failed and {said}: no valid answer in 3 attempts")
    told = [event.message.partition(":")[0] for event in events if event.step == "skipped"]
    assert sorted(told) == ["parts[2]", "parts[4]"]


@pytest.mark.parametrize("on_error", ["skip", "keep"])
def test_a_server_that_answers_none_of_the_items_ends_the_run(go, on_error: str) -> None:
    def down(request: Request) -> object:
        word = request.messages[1].content.removeprefix("part: ")
        if word.startswith("bad"):
            raise ProviderConnectionError("the server is down")
        return {"out": word}

    with pytest.raises(ProviderConnectionError, match=r"parts\[0\]: the server is down"):
        go(each(on_error, items="[bad, bad2]"), Answers({"part": down}))
    result = go(each(on_error, items="[bad, good]"), Answers({"part": down}))
    assert [one.index for one in result.skipped] == [0]


@pytest.mark.parametrize("on_error", ["stop", "skip", "keep"])
def test_an_input_that_cannot_be_made_is_a_failure_of_its_item(go, on_error: str) -> None:
    files = each(on_error, items="[1, 0, 2]", given="{{ 6 // item }}!")
    engine = Answers({"part": spoken})
    if on_error == "stop":
        with pytest.raises(TemplateError, match=r"top\.rllm:\d+: "):
            go(files, engine)
        return
    result = go(files, engine)
    assert [one and one["out"] for one in result.output["all"]] == ["6!", *([None] if on_error == "keep" else []), "3!"]
    assert [(one.index, type(one.error)) for one in result.skipped] == [(1, TemplateError)]
    assert [child.index for child in result.children] == [0, 2]


def test_a_list_of_which_every_item_fails_is_empty_and_what_waits_for_it_runs(go) -> None:
    files = each("skip", items="[0, 0]", given="{{ 6 // item }}!")
    after = use("after", "part", 'with: {text: "{{ uses.parts | length }}."}')
    files["top"] = files["top"].replace("output: ", after + "output: ")
    result = go(files, Answers({"part": spoken}))
    assert result.output == {"all": []}
    assert result.warnings == (f"2 of 2 items of `parts` failed and were left out: {result.skipped[0].error.message}",)
    assert [child.result.output for child in result.children] == [{"out": "0."}]


def test_what_follows_gets_the_list_without_them(go) -> None:
    how = 'for_each: "{{ uses.parts }}"\n    with: {text: "{{ item.out }}{{ index }}"}'
    files = each("skip", output="{{ uses.again }}")
    files["top"] = files["top"].replace("output: ", use("again", "part", how) + "output: ")
    result = go(files, Answers({"part": spoken}))
    assert [one["out"] for one in result.output["all"]] == ["a1", "b2", "c3"]


def test_an_input_that_is_refused_is_a_failure_of_its_item(go) -> None:
    files = each("skip", items="[a, abcd, b]")
    files["part"] = leaf("part", given=TEXT.replace("{type: string}", "{type: string, maxLength: 3}"))
    result = go(files, Answers({"part": spoken}))
    assert [one["out"] for one in result.output["all"]] == ["a", "b"]
    assert isinstance(result.skipped[0].error, InputSchemaError)
    assert result.warnings[0].startswith("1 of 3 items of `parts` failed and was left out: the input does not fit")


@pytest.mark.parametrize(
    "error",
    [
        MissingCredentialError("no key"), AuthenticationError("a wrong key"), EngineUnavailableError("no engine"),
        ModelNotFoundError("no model"), NotAllowedError("no address"), BudgetExceededError("too much"),
    ],
)  # fmt: skip
def test_what_would_stop_every_item_stops_the_run(go, error: RunllmError) -> None:
    engine = Answers({"part": lambda request: error if "bad" in request.messages[1].content else {"out": "x"}})
    files = each("skip")
    files["part"] = files["part"].replace("{model: openai/m}", "{model: openai/m, num_retries: 0}")
    with pytest.raises(type(error)) as caught:
        go(files, engine)
    assert caught.value.trail[:2] in {("top", "parts[2]"), ("top", "parts[4]")}
    assert caught.value.result.skipped == ()


def test_a_budget_that_is_used_up_stops_the_run_however_deep(go) -> None:
    files = each("skip", items="[a, b, c]")
    files["deep"] = files.pop("part").replace("name: part", "name: deep")
    files["part"] = parent(use("d", "deep"), output='{out: "{{ uses.d.out }}"}', schema=OPEN, name="part")
    with pytest.raises(BudgetExceededError):
        go(files, Answers({"part": lambda _: {"no": 1}}), max_calls=7)


def test_a_provider_that_is_down_for_one_item_is_that_items_failure(go) -> None:
    files = each("skip", items="[a, bad]")
    files["part"] = files["part"].replace("{model: openai/m}", "{model: openai/m, num_retries: 0}")
    engine = Answers({"part": lambda r: ProviderError("down") if "bad" in r.messages[1].content else {"out": "x"}})
    assert go(files, engine).output == {"all": [{"out": "x"}]}


def test_without_a_word_the_first_failure_ends_the_run(go) -> None:
    files = each("skip")
    files["top"] = files["top"].replace("    on_error: skip\n", "")
    with pytest.raises(RetryExhaustedError) as caught:
        go(files, Answers({"part": spoken}))
    assert caught.value.result.skipped == ()


def test_cancelling_a_list_that_goes_on_skips_nothing(tmp_path: Path) -> None:
    engine = Answers({"part": spoken}, {"part": 30.0})
    for name, text in each("skip").items():
        (tmp_path / f"{name}.rllm").write_text(text, encoding="utf-8")
    events: list[Event] = []
    app = runllm.load(tmp_path / "top.rllm", runtime=Runtime(engine=engine), listener=events.append)

    async def cancel() -> None:
        task = asyncio.create_task(app.arun({"text": "t"}))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert "skipped" not in {event.step for event in events}
    assert engine.under_way == 0


def test_a_preview_names_the_items_that_fail_already(tmp_path: Path) -> None:
    files = each("skip", items="[a, abcd, b]")
    files["part"] = leaf("part", given=TEXT.replace("{type: string}", "{type: string, maxLength: 3}"))
    for name, text in files.items():
        (tmp_path / f"{name}.rllm").write_text(text, encoding="utf-8")
    found = runllm.load(tmp_path / "top.rllm", runtime=Runtime(engine=ScriptedEngine([]))).preview({"text": "t"})
    assert list(found.children) == ["parts[0]", "parts[2]"]
    assert [(one.name, one.index, type(one.error)) for one in found.skipped] == [("parts", 1, InputSchemaError)]


def sharing(on_error: str) -> dict[str, str]:
    """A project whose app runs over a list, and uses one that fails for `bad` and one that is the same for all."""
    part = parent(
        use("own", "own") + use("common", "common", "with: {text: same}"),
        output='{out: "{{ uses.own.out }} {{ uses.common.out }}"}', schema=OPEN, name="part",
    )  # fmt: skip
    files = each(on_error, items="[bad, good]")
    return {"top": files["top"], "part": part, "own": leaf("own"), "common": leaf("common")}


def test_what_a_failed_item_shares_with_others_goes_on_for_them(go) -> None:
    own = lambda r: {"no": 1} if r.messages[1].content == "own: bad" else {"out": "mine"}  # noqa: E731
    engine = Answers({"own": own, "common": {"out": "ours"}}, {"common": 0.3})
    result = go(sharing("skip"), engine)
    assert result.output == {"all": [{"out": "mine ours"}]}
    assert engine.asked.count("common") == 1
    assert result.usage.prompt_tokens == 10 * (
        3 + 1 + 1
    )  # the attempts of the one that fails, the other's, the common one
    assert [one.index for one in result.skipped] == [0]


def test_what_was_stopped_with_a_failed_item_begins_anew_for_a_later_one(go) -> None:
    own = lambda r: {"no": 1} if r.messages[1].content == "own: bad" else {"out": "mine"}  # noqa: E731
    engine = Answers({"own": own, "common": {"out": "ours"}}, {"common": 0.3})
    files = sharing("skip")
    after = use("after", "part", 'with: {text: "{{ uses.parts | length }}."}')
    files["top"] = files["top"].replace("[bad, good]", "[bad]").replace("output: ", after + "output: ")
    result = go(files, engine)
    assert result.output == {"all": []}
    assert result.children[1].result.output == {"out": "mine ours"}
    assert engine.asked.count("common") == 2


def test_what_is_shared_is_stopped_with_the_whole_run(go) -> None:
    own = lambda r: {"no": 1} if r.messages[1].content == "own: bad" else {"out": "mine"}  # noqa: E731
    engine = Answers({"own": own, "common": {"out": "ours"}}, {"common": 30.0})
    with pytest.raises(RetryExhaustedError) as caught:
        go(sharing("stop"), engine)
    assert caught.value.result.latency < 5
    assert engine.under_way == 0


def test_what_is_shared_by_items_that_all_fail_is_stopped_with_the_last(go) -> None:
    own = lambda r: {"no": 1} if r.messages[1].content.startswith("own: bad") else {"out": "mine"}  # noqa: E731
    engine = Answers({"own": own, "common": {"out": "ours"}}, {"common": 30.0})
    files = sharing("skip")
    files["top"] = files["top"].replace("[bad, good]", "[bad 1, bad 2, bad 3, bad 1]")
    result = go(files, engine)
    assert result.output == {"all": []}
    assert [one.index for one in result.skipped] == [0, 1, 2, 3]
    assert result.latency < 5
    assert engine.under_way == 0
    calls = [call for child in result.children for call in child.result.children if call.name == "common"]
    assert [type(call.result.error) for call in calls].count(InterruptedRunError) >= 1
