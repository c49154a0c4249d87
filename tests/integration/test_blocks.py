"""Python blocks in a whole run: the real sandbox, a scripted model."""

import asyncio
import json
from pathlib import Path

import pytest

import runllm
from runllm.api import App
from runllm.errors import PythonBlockExecutionError, RetryExhaustedError
from runllm.parser import parse
from runllm.program import Plan
from runllm.project.check import analyse
from runllm.routing import Options
from runllm.runtime import Runtime
from runllm.testing import ScriptedEngine

HEAD = """---
name: blocks
description: Blocks.
version: 1.0.0
author: me
max_context_window: 4096
input_schema:
  type: object
  properties:
    text: {type: string}
    most: {type: integer, default: 3}
    note: {type: string}
  required: [text]
  additionalProperties: false
output_schema:
  type: object
  properties:
    title: {type: string, maxLength: 40}
    slug: {type: string, pattern: "^[a-z-]+$"}
  required: [title]
  additionalProperties: false
llm: {model: openai/m}
llm_params: {temperature: 0}
---
"""


def load(body: str, answers: list[str] | None = None, *, head: str = HEAD, **options) -> tuple[App, ScriptedEngine]:
    parsed = parse(head + body, name="blocks.rllm")
    assert parsed.program is not None, parsed.problems
    engine = ScriptedEngine(answers or ['{"title": "One Two"}'] * 3)
    return App(Plan(program=parsed.program), options=Options(**options), runtime=Runtime(engine=engine)), engine


def fence(header: str, code: str) -> str:
    return f"```rllm-python {header}\n{code}\n```\n"


@pytest.fixture(params=["sync", "async"])
def go(request: pytest.FixtureRequest):
    """Run an app with one of the two drivers, and close its runtime."""

    def run(app: App, given: dict, **options):
        with app.runtime:
            if request.param == "sync":
                return app.run(given, **options)
            return asyncio.run(app.arun(given, **options))

    return run


def test_all_three_phases(go) -> None:
    body = (
        "Say {{ vars.loud }} {{ vars.count }}\n"
        + fence("pre inputs=input.text outputs=loud,count", "loud = text.upper()\ncount = len(text.split())")
        + fence("check inputs=output.title,input.most", "assert len(title.split()) <= most, f'at most {most} words'")
        + fence("post inputs=output.title outputs=slug", "slug = title.lower().replace(' ', '-')")
    )
    app, engine = load(body, ['{"title": "one two three four"}', '{"title": "One Two"}'])
    result = go(app, {"text": "hello you"})
    assert engine.requests[0].messages[-1].content == "Say HELLO YOU 2"
    assert "at most 3 words" in engine.requests[1].messages[-1].content
    assert result.output == {"title": "One Two", "slug": "one-two"}
    assert [p.keyword for p in result.attempts[0].problems] == ["check"]


def test_without_declarations_a_block_sees_context_and_sets_result(go) -> None:
    body = (
        "{{ vars.n }}\n"
        + fence("pre", "result['n'] = len(context['input']['text']) + context['input']['most']")
        + fence("post", "result = {'slug': context['output']['title'].lower().replace(' ', '-'), 'title': 'New'}")
    )
    app, engine = load(body)
    assert go(app, {"text": "ab"}).output == {"title": "New", "slug": "one-two"}
    assert engine.requests[0].messages[-1].content == "5"


@pytest.mark.parametrize(
    ("head", "names"),
    [(HEAD, "input, uses, vars, run"), (HEAD.replace("---\n", '---\nrllm: "0.1"\n', 1), "input, uses, vars")],
)
def test_a_block_of_a_file_of_format_0_1_sees_what_it_saw(go, head: str, names: str) -> None:
    app, engine = load("{{ vars.names }}\n" + fence("pre outputs=names", "names = ', '.join(context)"), head=head)
    go(app, {"text": "t"})
    assert engine.requests[0].messages[-1].content == names


def test_only_declared_inputs_are_visible(go) -> None:
    app, _ = load("x\n" + fence("pre inputs=input.text outputs=n", "n = most"))
    with pytest.raises(PythonBlockExecutionError, match="most"):
        go(app, {"text": "a"})


def test_an_absent_input_is_none(go) -> None:
    app, engine = load(
        "{{ vars.n }}\n" + fence("pre inputs=input.note outputs=n", "n = 'none' if note is None else note")
    )
    go(app, {"text": "a"})
    assert engine.requests[0].messages[-1].content == "none"


def test_every_check_is_asked_and_exhaustion_names_them(go) -> None:
    checks = fence("check", "assert False, 'first'") + fence("check", "assert False, 'second'")
    app, _ = load("x\n" + checks)
    with pytest.raises(RetryExhaustedError) as caught:
        go(app, {"text": "a"}, max_retries=0)
    assert [p.message for p in caught.value.problems] == ["first", "second"]


def test_an_assert_without_a_message_explains_itself(go) -> None:
    app, engine = load(
        "x\n" + fence("check inputs=output.title", "assert len(title) == 3"), ['{"title": "abcd"}', '{"title": "abc"}']
    )
    go(app, {"text": "a"})
    assert "4 == 3" in engine.requests[1].messages[-1].content


@pytest.mark.parametrize(
    ("header", "code", "words", "limit"),
    [
        ("pre p1 inputs=input.text outputs=n", "n = 1\nn = n / 0", "division by zero", None),
        ("pre p1 inputs=input.text outputs=n", "x = 0\nwhile True:\n    x += 1", "", "time"),
        ("pre p1 inputs=input.text outputs=n", "x = 1\nn = 'x' * 10**9", "", "memory"),
        ("pre p1 inputs=input.text outputs=n", "n = 1\ndef f(): return f()\nf()", "", "recursion"),
        ("pre p1 inputs=input.text outputs=n", "x = 1\nn = {1, 2}", "", None),
        ("pre p1 inputs=input.text outputs=n", "x = 1", "`n`", None),
        ("check p1 inputs=output.title", "x = {}\nx['no']", "KeyError", None),
        ("post p1 inputs=output.title outputs=title", "x = 1\nassert False, 'no way'", "no way", None),
    ],
)
def test_a_block_that_fails_names_itself_its_line_and_the_limit(
    go, header: str, code: str, words: str, limit: str | None
) -> None:
    app, _ = load("x\n" + fence(header, code))
    with pytest.raises(PythonBlockExecutionError) as caught:
        go(app, {"text": "planted"})
    payload = caught.value.payload()
    assert words in payload["message"]
    assert (payload["details"]["block"], payload["details"]["limit"]) == ("p1", limit)
    fence_line = len(HEAD.split("\n")) + 1
    assert fence_line <= payload["details"]["line"] <= fence_line + len(code.split("\n"))
    assert "/ 0" not in code or payload["details"]["line"] == fence_line + 2


def test_what_a_block_saw_is_shown_without_secrets(go) -> None:
    app, _ = load("x\n" + fence("pre inputs=input.text outputs=n", "n = 1 / 0"))
    with pytest.raises(PythonBlockExecutionError) as caught:
        go(app, {"text": "the word and sk-abcdefghijklmnopqrstuv"})
    shown = json.dumps(caught.value.payload())
    assert "the word and" in shown
    assert "sk-abcdefghijklmnopqrstuv" not in shown


def test_a_broken_check_keeps_the_attempts(go) -> None:
    app, _ = load("x\n" + fence("check", "1 / 0"))
    with pytest.raises(PythonBlockExecutionError) as caught:
        go(app, {"text": "a"})
    assert [a.completion.text for a in caught.value.result.attempts] == ['{"title": "One Two"}']


def test_a_post_block_cannot_break_the_contract(go) -> None:
    app, _ = load("x\n" + fence("post inputs=output.title outputs=slug", "slug = 'NOT A SLUG'"))
    with pytest.raises(PythonBlockExecutionError) as caught:
        go(app, {"text": "a"})
    assert caught.value.problems[0].pointer == "/slug"
    assert len(caught.value.result.attempts) == 1


def test_a_fence_lowers_the_limits_and_only_the_caller_raises_them(go) -> None:
    slow = "n = 0\nfor i in range(30_000_000): n += i"
    app, _ = load("x\n" + fence("pre inputs=input.text outputs=n timeout=0.05", slow))
    with pytest.raises(PythonBlockExecutionError):
        go(app, {"text": "a"})
    app, _ = load("x\n" + fence("pre inputs=input.text outputs=n timeout=500", slow))
    with pytest.raises(PythonBlockExecutionError):
        go(app, {"text": "a"})
    app, _ = load("x\n" + fence("pre inputs=input.text outputs=n memory=4", "n = len('x' * 20_000_000)"))
    with pytest.raises(PythonBlockExecutionError):
        go(app, {"text": "a"})
    app, _ = load("x\n" + fence("pre inputs=input.text outputs=n", "n = len('x' * 100_000_000)"), block_memory=256)
    assert go(app, {"text": "a"}).output


def test_prints_are_in_the_trace_and_nowhere_else(go, capfd: pytest.CaptureFixture) -> None:
    told: list[str] = []
    app, _ = load("x\n" + fence("pre inputs=input.text outputs=n", "print('seen', text)\nn = 1"))
    go(app, {"text": "a"}, listener=lambda event: told.append(f"{event.step} {event.message}"))
    assert "print seen a" in told
    assert capfd.readouterr() == ("", "")


def test_runs_repeat_clock_and_randomness_included(go) -> None:
    code = "import random, datetime\nn = f'{random.random()} {datetime.datetime.now()}'"
    seen = set()
    for _ in range(2):
        app, engine = load("{{ vars.n }}\n" + fence("pre inputs=input.text outputs=n", code))
        go(app, {"text": "a"})
        seen.add(engine.requests[0].messages[-1].content)
    assert len(seen) == 1


def test_trusted_blocks_run_in_real_python(go) -> None:
    body = "{{ vars.v }} {{ input }}\n" + fence(
        "pre inputs=input.text outputs=v", "import statistics, os\nv = statistics.mean([1, 2, 3])"
    )
    assert analyse(parse(HEAD + body), trust_python=True) == ()
    assert analyse(parse(HEAD + body)) != ()
    app, engine = load(body, trust_python=True)
    go(app, {"text": "a"})
    assert engine.requests[0].messages[-1].content == '2 {"text": "a", "most": 3}'


def test_what_the_sandbox_runs_otherwise_is_a_warning_at_its_place_and_nothing_in_real_python() -> None:
    text = (
        HEAD
        + "{{ vars.v }} {{ input }}\n"
        + fence("pre inputs=input.text outputs=v", 'import re\nv = re.sub("x*", "-", text)')
    )
    (problem,) = analyse(parse(text))
    assert (problem.severity, problem.span and (problem.span.line, problem.span.column)) == ("warning", (28, 12))
    assert "may match nothing" in problem.message
    assert "`+` for `*`" in problem.hint
    assert analyse(parse(text), trust_python=True) == ()


@pytest.mark.parametrize(
    ("body", "at", "words"),
    [
        ("{{ vars.lod }}\n" + fence("pre inputs=input.text outputs=loud", "loud = text"), "25:9", "`lod`"),
        ("{{ vars.any }}\n", "25:9", "`any`"),
        ("x\n" + fence("pre inputs=input.txt outputs=n", "n = 1"), "26:27", "`txt`"),
        ("x\n" + fence("pre inputs=output.title outputs=n", "n = 1"), "26:", "output"),
        ("x\n" + fence("pre inputs=input.text outputs=n", "n = text.uper()"), "27:", "uper"),
        ("x\n" + fence("pre inputs=input.text outputs=n", "x = 1"), "27:", "`n`"),
        ("x\n" + fence("check inputs=output.title", "assert title > 3"), "27:", "str"),
        ("x\n" + fence("check", "assert context['output']['titel']"), "27:", "titel"),
        ("x\n" + fence("check outputs=a", "a = 1"), "26:", "gives nothing"),
        ("x\n" + fence("post outputs=tilte", "tilte = 'a'"), "26:", "`tilte`"),
        ("x\n" + fence("post inputs=output.title outputs=title", "title = 3"), "27:", "title"),
        ("x\n" + fence("pre inputs=input.text outputs=n", "def f():\n    yield 1\nn = 1"), "28:", "yield"),
        ("x\n" + fence("pre inputs=input.text,vars.text outputs=n", "n = 1"), "26:1", "`text`"),
        ("x\n" + fence("pre a\n", "") + fence("pre a", ""), "30:1", "named `a` already"),
        ("x\n" + fence("pre inputs=input.text outputs=n timeout=-1", "n = 1"), "26:1", "seconds"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_block_is_found_before_it_runs(body: str, at: str, words: str) -> None:
    problems = analyse(parse(HEAD + body, name="blocks.rllm"))
    found = [(f"{p.span.line}:{p.span.column}", p.message) for p in problems]
    assert any(place.startswith(at) and words in message for place, message in found), found


def test_the_example_uses_all_three_phases_and_is_right() -> None:
    path = Path(__file__).parents[2] / "examples" / "headline.rllm"
    report = runllm.validate(path)
    assert report.problems == ()
    assert {block.phase for block in report.program.blocks} == {"pre", "check", "post"}
    answers = [
        json.dumps({"headline": "A headline that goes on and on past all that its column has room for, alas"}),
        json.dumps({"headline": "Town Closes Its Bridge."}),
    ]
    with Runtime(engine=ScriptedEngine(answers)) as runtime:
        result = runllm.load(path, runtime=runtime).run(
            {"article": "The town  closes\nits bridge.\n\nBuses go elsewhere.", "max_words": 8}
        )
    assert result.output == {"headline": "Town Closes Its Bridge", "slug": "town-closes-its-bridge"}
