"""Tests of apps: what a case expects, records and replays, what is reported, and what compares two sides."""

import json
import subprocess
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from junitparser import JUnitXml

import runllm
from runllm import moments
from runllm.cli import invoke
from runllm.engines.cassette import Cassette, Exchange
from runllm.errors import (
    AuthenticationError,
    ParseError,
    ProviderTimeoutError,
    ReplayMissError,
    RequestRefusedError,
    UsageError,
)
from runllm.evals import Suite, Tried, Wanted, beside, cases_of, figures
from runllm.evals.compare import Side, compare, compared
from runllm.evals.figures import flakiness, pass_hat
from runllm.evals.judge import told
from runllm.evals.revision import at_revision
from runllm.parser.conditions import differences, is_near, same
from runllm.program import Case
from runllm.rendering import Paint
from runllm.report.comparison import worth
from runllm.report.junit import as_junit
from runllm.report.tested import as_page
from runllm.report.tests import as_object, as_text, totals
from runllm.results import Request
from runllm.runtime import Runtime
from runllm.testing import ScriptedEngine

KEY = "sk-proj-0123456789abcdefghijklmnop"
HEAD = """---
name: mail
input: {{text: text, limit?: integer}}
returns: {{category: delivery | billing, total: number, words: "string[]"}}
llm: openai/gpt-4o-mini
max_retries: 0
tests:
{tests}---
Sort this mail: {{{{ input.text }}}}
"""
ANSWER = {"category": "billing", "total": 12.5, "words": ["late", "parcel"]}


def write(folder: Path, tests: str, name: str = "mail.rllm") -> Path:
    path = folder / name
    path.write_text(HEAD.format(tests=tests).replace("max_retries: 0\n", ""), encoding="utf-8")
    return path


def scripted(answer: Callable[[Request], Any]) -> Callable[..., Runtime]:
    return lambda **members: Runtime(engine=ScriptedEngine(answer), **members)


def ran(path: Path, answer: Any = None, **wanted: Any) -> list[Tried]:
    text = json.dumps(ANSWER) if answer is None else answer
    made = scripted(text if callable(text) else lambda _: text)
    with Suite(Wanted(paths=(str(path),), **{"mode": "live", **wanted}), {}, make=made) as suite:
        return [one for group in suite.groups() for one in suite.run(group)]


def case(what: str, given: str = "{text: x}") -> str:
    return f"  - input: {given}\n    {what}\n"


# --- what a case expects ---------------------------------------------------------------------------------

HOLDS = {
    "output: {category: billing, total: 12.5, words: [late, parcel]}": "",
    "output: {category: delivery, total: 12.5, words: [late, parcel]}": 'category: expected "delivery", got "billing"',
    "output: {category: billing, total: 12.5, words: [late]}": 'words[1]: expected nothing, got "parcel"',
    "partial: {total: 12.5}": "",
    "partial: {words: [early, parcel]}": 'words[0]: expected "early", got "late"',
    "contains: {words: parcel}": "",
    "contains: {words: [parcel, late], category: ill}": "",
    "contains: {'words[0]': ate}": "",
    "contains: {words: parcels}": 'words: does not contain "parcels": ["late", "parcel"]',
    "matches: {category: ^b.*g$}": "",
    "matches: {'words[1]': '^[0-9]+$'}": 'words[1]: does not match ^[0-9]+$: "parcel"',
    "matches: {'words[7]': x}": "words[7]: does not match x: nothing",
    "near: {total: {value: 12, within: 0.5}}": "",
    "near: {total: {value: 12, within: 0.4}}": "total: expected 12 ± 0.4, got 12.5",
    "near: {total: {value: 1234567.5, within: 1}}": "total: expected 1234567.5 ± 1, got 12.5",
    "one_of: {category: [billing]}": "",
    "one_of: {total: [1, 2]}": "total: expected one of 1, 2, got 12.5",
    "check: assert output['total'] > 10 and input['text'] == 'x'": "",
    "check: assert output['total'] > 20, 'too small'": "check: too small",
    "most: {tokens: 100000, attempts: 1, cost: 0, seconds: 60}": "",
    "most: {tokens: 1}": "and may take 1",
    "error: RLLM_004": "expected the error RLLM_004, and it gave",
    "tags: [a]": "",
}


@pytest.mark.parametrize(
    ("value", "of", "within", "near"),
    [
        (20.0, 19.99, 0.01, True),
        (1.5, 1.4, 0.1, True),
        (-0.3, -0.1, 0.2, True),
        (1.51, 1.4, 0.1, False),
        (2**80 + 1, 2**80, 0.5, False),
        (True, 1, 0.5, False),
    ],
)
def test_a_number_is_as_near_as_it_is_written(value: float, of: float, within: float, near: bool) -> None:
    assert is_near(value, {"value": of, "within": within}) is near


@pytest.mark.parametrize("what", HOLDS)
def test_a_condition_holds_or_says_what_came(tmp_path: Path, what: str) -> None:
    (tried,) = ran(write(tmp_path, case(what)))
    assert tried.passed is (not HOLDS[what])
    assert HOLDS[what] in "\n".join(tried.misses)


ERRORS = {"RLLM_004": True, "InputSchemaError": True, "RunllmError": True, "RLLM_017": False, "RLLM_007": False}


@pytest.mark.parametrize("name", ERRORS)
def test_an_expected_error_is_met_by_itself_alone(tmp_path: Path, name: str) -> None:
    given = "{}" if ERRORS[name] else "{text: x}"
    (tried,) = ran(write(tmp_path, case(f"error: {name}", given)))
    assert tried.passed is ERRORS[name]


WRONG = {
    case("output: {category: deliver, total: 1, words: []}"): '"deliver" is not one of',
    case("partial: {categry: billing}"): "the output has no `categry`",
    case("contains: {total: x}"): "`contains` is for texts and lists",
    case("contains: {'words[0': x}"): "is no place in the output",
    case("matches: {category: '(['}"): "regex",
    case("near: {total: {value: 1}}"): "how far off it may be",
    case("near: {category: {value: 1, within: 1}}"): "`near` is for numbers",
    case("one_of: {category: [delivry]}"): '"delivry" is not one of',
    case("one_of: {category: {}}"): "`one_of` names several values",
    case("error: RLLM_4"): "there is no error `RLLM_4`",
    case("error: RLLM_004\n    output: {}"): "a run that fails has no output",
    case("tags: [a]", "{txt: x}"): "unexpected `txt`",
    case("most: {second: 3}"): "unknown key `second`",
    case("outputs: {}"): "unknown key `outputs`",
    case("check: assert output['totl']"): "totl",
    case("name: a") + case("name: a"): "a test is named `a` already",
}


@pytest.mark.parametrize("tests", WRONG)
def test_a_case_that_can_never_hold_is_told_before_a_run(tmp_path: Path, tests: str) -> None:
    path = write(tmp_path, tests)
    told_there = "\n".join(str(problem) for problem in runllm.validate(path).problems)
    (tmp_path / "b.tests.yaml").write_text(f"tests:\n{tests}", encoding="utf-8")
    program = runllm.validate(write(tmp_path, " []\n".removeprefix(" "), "c.rllm")).program
    assert program is None or program.tests == ()
    plain = tmp_path / "b.rllm"
    plain.write_text(HEAD.format(tests="").replace("tests:\n", "").replace("max_retries: 0\n", ""), encoding="utf-8")
    sound = runllm.validate(plain).program
    assert sound is not None
    told_beside = "\n".join(map(str, cases_of(sound)[1]))
    assert WRONG[tests] in told_there
    assert WRONG[tests] in told_beside
    assert "b.tests.yaml:" in told_beside


def test_validate_looks_at_the_tests_beside_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, case("tags: [a]"))
    (tmp_path / "mail.tests.yaml").write_text("- input: {txt: x}\n", encoding="utf-8")
    assert invoke(["validate", str(path)]) == 3
    assert "unexpected `txt`" in capsys.readouterr().out


TABLES = {
    "mail.tests.csv": "text,category,total,name\nWhere?,billing,12.5,one\n,,,\nWhat?,delivery,,two\n",
    "mail.tests.tsv": "text\toutput.category\nWhere?\tbilling\n",
    "mail.tests.jsonl": '{"text": "x", "category": "billing"}\n{"input": {"text": "y"}, "partial": {"total": 1}}\n',
}
PASSED = {"mail.tests.csv": [True, False], "mail.tests.tsv": [True], "mail.tests.jsonl": [True, False]}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_beside_a_file_is_a_list_of_cases(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, "  []\n".replace("  ", "  "))
    (tmp_path / name).write_text(TABLES[name], encoding="utf-8")
    assert [found.name for found in beside(path)] == [name]
    assert [tried.passed for tried in ran(path)] == PASSED[name]


def test_a_column_that_nothing_is_named_like_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, "  []\n")
    (tmp_path / "mail.tests.csv").write_text("text,catgory\na,billing\n", encoding="utf-8")
    program = runllm.validate(path).program
    assert program is not None
    (problem,) = cases_of(program)[1]
    assert ("`catgory`" in problem.message, problem.hint) == (True, "Did you mean `category`?")


def test_names_tags_only_and_skip_choose(tmp_path: Path) -> None:
    tests = (
        case("name: late\n    tags: [a, b]") + case("name: bill\n    tags: [b]") + case("name: odd\n    skip: later")
    )
    path = write(tmp_path, tests)
    assert [one.case.name for one in ran(path)] == ["late", "bill"]
    assert [one.case.name for one in ran(path, name="LATE")] == ["late"]
    assert [one.case.name for one in ran(path, tags=("b",))] == ["late", "bill"]
    assert [one.case.name for one in ran(write(tmp_path, tests + case("name: alone\n    only: true")))] == ["alone"]
    with pytest.raises(UsageError, match="no test has this name"):
        ran(path, name="nobody")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, JSON)
def test_two_values_differ_exactly_where_they_do(one: Any, other: Any) -> None:
    assert same(one, json.loads(json.dumps(one)))
    assert list(differences(one, one)) == []
    alike = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert same(one, other) or not alike
    assert same(one, other) is same(other, one)
    assert all(told(found) for found in differences(one, other))


def test_true_is_not_one_and_lines_are_compared_by_line() -> None:
    assert not same(True, 1)
    assert same(1, 1.0)
    (found,) = differences("a\nb\nc", "a\nB\nc")
    assert told(found).split("\n") == ["expected (-), got (+):", "   a", "  -b", "  +B", "   c"]


# --- repeats ----------------------------------------------------------------------------------------------


def test_a_flaky_model_gives_the_figures_that_were_worked_out_by_hand(tmp_path: Path) -> None:
    path = write(tmp_path, case("partial: {category: billing}"))
    numbers = count()
    other = json.dumps({**ANSWER, "category": "delivery"})
    tried = ran(path, lambda _: other if next(numbers) in (1, 3) else json.dumps(ANSWER), repeat=5)
    assert [one.passed for one in tried].count(True) == 3
    assert (pass_hat(3, 5, 1), pass_hat(3, 5, 2), pass_hat(3, 5, 3), pass_hat(3, 5, 4)) == (0.6, 0.3, 0.1, 0.0)
    assert flakiness(3, 5) == 0.4
    found = figures(tried)
    assert (found.cases, found.passed, found.first) == (1, 0, 1.0)


def test_the_first_answer_counts_alone_where_it_fits(tmp_path: Path) -> None:
    path = write(tmp_path, case("tags: [a]") + case("tags: [b]", "{text: y}"))
    seen = set[str]()

    def answer(request: Request) -> str:
        text = request.messages[-1].content
        wrong = text.endswith("y") and text not in seen
        seen.add(text)
        return "nothing" if wrong else json.dumps(ANSWER)

    assert figures(ran(path, answer)).first == 0.5


# --- record and replay --------------------------------------------------------------------------------------


def refused(_request: Request) -> str:
    raise AssertionError("no model is called in a replay")


def test_what_was_recorded_is_replayed_without_a_model(tmp_path: Path) -> None:
    path = write(tmp_path, case("partial: {category: billing}") + case("error: RequestRefusedError", "{text: busy}"))

    def answer(request: Request) -> Any:
        busy = request.messages[-1].content.endswith("busy")
        return RequestRefusedError("not this", details={"status": 400}) if busy else json.dumps(ANSWER)

    recorded = ran(path, answer, mode="record")
    assert [one.passed for one in recorded] == [True, True]
    replayed = ran(path, refused, mode="replay")
    assert [one.passed for one in replayed] == [True, True]
    assert [one.result and one.result.output for one in replayed] == [
        one.result and one.result.output for one in recorded
    ]


def test_a_changed_prompt_is_a_miss_that_shows_the_difference(tmp_path: Path) -> None:
    path = write(tmp_path, case("partial: {category: billing}"))
    ran(path, mode="record")
    path.write_text(path.read_text().replace("Sort this mail", "Sort the mail"), encoding="utf-8")
    (tried,) = ran(path, refused, mode="replay")
    assert tried.result is not None
    assert isinstance(tried.result.error, ReplayMissError)
    assert "-Sort this mail: x" in tried.misses[0]
    assert "+Sort the mail: x" in tried.misses[0]


def test_repeats_beyond_what_was_recorded_are_a_miss(tmp_path: Path) -> None:
    path = write(tmp_path, case("tags: [a]"))
    ran(path, mode="record", repeat=2)
    assert [one.passed for one in ran(path, refused, mode="replay", repeat=3)] == [True, True, False]
    ran(path, mode="record")
    assert [one.passed for one in ran(path, refused, mode="replay", repeat=2)] == [True, False]


def test_a_part_that_is_recorded_again_leaves_the_answers_of_the_rest(tmp_path: Path) -> None:
    path = write(tmp_path, case("name: one") + case("name: two"))
    ran(path, mode="record")
    ran(path, mode="record", name="one")
    assert [one.passed for one in ran(path, refused, mode="replay")] == [True, True]


def test_more_answers_than_are_asked_for_are_told_to_bound_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, case("most: {attempts: 2}") + case("most: {attempts: 3}"))
    with Suite(Wanted(paths=(str(path),), mode="live"), {}, make=scripted(lambda _: json.dumps(ANSWER))) as suite:
        list(suite.run(suite.groups()[0]))
    assert suite.notes == [f"{path}: `attempts` of `case 2` can never fail, since 3 answers are asked for at most"]


def test_what_nothing_asks_for_is_named_and_pruned(tmp_path: Path) -> None:
    path = write(tmp_path, case("tags: [a]") + case("tags: [b]", "{text: y}"))
    ran(path, mode="record")
    write(tmp_path, case("tags: [a]"))
    make = scripted(refused)
    for prune, left in ((False, 2), (True, 1)):
        with Suite(Wanted(paths=(str(path),), mode="replay", prune=prune), {}, make=make) as suite:
            list(suite.run(suite.groups()[0]))
        assert any("mail: y" in note or "taken out" in note for note in suite.notes)
        assert (path.with_suffix(".cassette.yaml").read_text().count("- model")) == left


def test_a_replay_has_the_moment_of_the_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, case("tags: [a]"))
    path.write_text(path.read_text().replace("Sort", "On {{ run.date }} sort"), encoding="utf-8")
    monkeypatch.setenv(moments.VARIABLE, "2001-02-03T04:05:06+00:00")
    ran(path, mode="record")
    monkeypatch.setenv(moments.VARIABLE, "2011-02-03T04:05:06+00:00")
    assert [one.passed for one in ran(path, refused, mode="replay")] == [True]


def test_no_secret_is_in_a_cassette_and_the_request_is_found_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAIL_API_KEY", "planted-value-1234")
    path = write(tmp_path, case("tags: [a]", f"{{text: 'my key is {KEY} and planted-value-1234'}}"))
    text = json.dumps({**ANSWER, "words": [KEY, "planted-value-1234"]})
    ran(path, text, mode="record")
    kept = path.with_suffix(".cassette.yaml").read_bytes()
    assert KEY.encode() not in kept
    assert b"planted-value-1234" not in kept
    with Suite(Wanted(paths=(str(path),), mode="record"), {}, make=scripted(lambda _: text)) as suite:
        list(suite.run(suite.groups()[0]))
    assert any("in 1 answer what looked like a secret is masked" in note for note in suite.notes)
    assert [one.passed for one in ran(path, refused, mode="replay")] == [True]


def test_ci_replays_what_has_a_cassette(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, case("tags: [a]"))
    ran(path, mode="record")
    for value, mode in (("true", "replay"), ("0", "live"), ("", "live")):
        monkeypatch.setenv("CI", value)
        with Suite(Wanted(paths=(str(path),)), {}, make=scripted(refused)) as suite:
            assert suite.groups()[0].mode == mode


@given(st.lists(st.text(max_size=20), min_size=1, max_size=3), JSON)
def test_a_cassette_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], value: Any
) -> None:
    path = tmp_path_factory.mktemp("cassette") / "a.cassette.yaml"
    asked = {
        "model": "m",
        "params": {"stop": texts},
        "schema": {"const": value},
        "messages": [{"role": "user", "content": text} for text in texts],
    }
    answers: list[dict[str, Any]] = [{"text": text, "model": "m"} for text in texts]
    Cassette(moments.now(), [Exchange(asked=asked, answers=answers)]).write(path)
    (found,) = Cassette.read(path)._exchanges.values()
    assert (found.asked, found.answers) == (asked, answers)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "cassette: 2",
        "cassette: 1\nmoment: soon\nexchanges: []",
        "a: [",
        "cassette: 1",
        *(
            "cassette: 1\nmoment: '2026-12-01T00:00:00+00:00'\nexchanges:\n- {model: m, params: {}, "
            f"messages: [{{role: user, content: x}}], answers: [{{text: a, {less}}}]}}\n"
            for less in ("cost: -1", "latency: -1", "usage: {prompt_tokens: -1}")
        ),
    ],
)
def test_what_is_no_cassette_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.cassette.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ParseError, match="is no cassette"):
        Cassette.read(path)


def test_what_fails_for_now_takes_no_answers_place_and_prunes_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, case("partial: {category: billing}"))
    ran(path, mode="record")
    kept = path.with_suffix(".cassette.yaml").read_text()
    late = ran(path, lambda _: ProviderTimeoutError("too late"), mode="record", prune=True)
    assert [one.passed for one in late] == [False]
    assert path.with_suffix(".cassette.yaml").read_text() == kept


def test_a_replay_needs_no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, case("partial: {category: billing}"))
    path.write_text(path.read_text().replace("openai/gpt-4o-mini", "local/qwen3-0.6b"), encoding="utf-8")
    monkeypatch.setenv("RUNLLM_MODELS", str(tmp_path / "none"))
    ran(path, mode="record")
    with Suite(Wanted(paths=(str(path),), mode="replay"), {}) as suite:
        (tried,) = suite.run(suite.groups()[0])
    assert tried.passed


NO_CHECK = [
    "output['total'] == 99",
    "pass",
    "assert (output['total'] == 99, 'wrong')",
    "# later",
    "assert True",
    "assert 'total'",
    "assert len(input['text']) < 9, 'too long'",
]


@pytest.mark.parametrize("code", NO_CHECK)
def test_a_check_that_can_never_fail_is_told(tmp_path: Path, code: str) -> None:
    path = write(tmp_path, case(f"check: {json.dumps(code)}"))
    assert "can never fail" in str(runllm.validate(path).problems)


def test_a_table_says_tags_and_skip_as_people_do(tmp_path: Path) -> None:
    path = write(tmp_path, "  []\n")
    (tmp_path / "mail.tests.csv").write_text(
        'text,tags,skip\na,"x, y",false\nb,x;y,no\nc,x y,later\n', encoding="utf-8"
    )
    program = runllm.validate(path).program
    assert program is not None
    assert [(one.tags, one.skip) for one in cases_of(program)[0]] == [(("x", "y"), "")] * 2 + [(("x", "y"), "later")]


@pytest.mark.parametrize("name", ["mail.rllm", "mail.tests.yaml", "mail.cassette.yaml"])
def test_no_report_is_written_over_an_app_or_its_tests(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, case("error: RLLM_004", "{}"))
    before = path.read_text()
    for option in ("-o", "--junit"):
        assert invoke(["test", str(path), option, str(tmp_path / name)]) == 2
    for option, place in (("-o", str(tmp_path / "both")), ("--format=table", "-")):
        assert invoke(["test", str(path), "--junit", place, *option.split(), *([place] if option == "-o" else [])]) == 2
    assert invoke(["test", str(path), "--replay", "--record"]) == 2
    assert path.read_text() == before


def test_a_side_that_was_never_asked_is_an_error_and_no_worse_answer(tmp_path: Path) -> None:
    path = write(tmp_path, case("tags: [a]"))
    wanted = Wanted(paths=(str(path),), models=("openai/gpt-4o-mini", "openai/gpt-4o"), mode="live")
    refused_key = scripted(
        lambda request: AuthenticationError("no key") if request.endpoint.model.endswith("4o") else "x"
    )
    with Suite(wanted, {}, make=refused_key) as suite, pytest.raises(AuthenticationError):
        compare(suite, [str(path)], ["mail.rllm"])


# --- reports ----------------------------------------------------------------------------------------------


def test_reports_say_the_same_in_every_form(tmp_path: Path) -> None:
    hostile = 'name: "bill <b>&\\x1b[31m"'
    path = write(tmp_path, case(hostile + "\n    partial: {category: delivery}") + case("name: odd\n    skip: later"))
    with Suite(Wanted(paths=(str(path),), mode="live"), {}, make=scripted(lambda _: json.dumps(ANSWER))) as suite:
        found = [(group, list(suite.run(group))) for group in suite.groups()]
    assert (totals(found).cases, totals(found).failed) == (1, 1)
    text = as_text(found, Paint(colour=False))
    assert 'category: expected "delivery", got "billing"' in text
    assert "\x1b" not in text + as_page(found, 0.0)
    assert "<b>&" not in as_page(found, 0.0)
    assert as_object(found)["files"][0]["cases"][0]["pass_hat"] == {"1": 0.0}
    report = tmp_path / "out.xml"
    report.write_text(as_junit(found), encoding="utf-8")
    (suite_read,) = JUnitXml.fromfile(str(report))
    assert (suite_read.tests, suite_read.failures, suite_read.skipped) == (2, 1, 1)
    assert [one.name for one in suite_read] == ["bill <b>&\ufffd[31m", "odd"]


def test_a_file_that_is_not_right_fails_and_the_others_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, case("partial: {categry: billing}"), "a.rllm")
    write(tmp_path, case("tags: [a]", "{}") + case("error: RLLM_004", "{}"), "b.rllm")
    write(tmp_path, case("error: RLLM_004", "{}"), "c.rllm")
    (tmp_path / ".hidden").mkdir()
    write(tmp_path / ".hidden", case("error: RLLM_004", "{}"), "d.rllm")
    monkeypatch.chdir(tmp_path)
    assert invoke(["test", "--format", "json", "-o", "out.json"]) == 3
    found = json.loads((tmp_path / "out.json").read_text())
    broken = [any(problem["severity"] == "error" for problem in one["problems"]) for one in found["files"]]
    assert [Path(one["file"]).name for one in found["files"]] == ["a.rllm", "b.rllm", "c.rllm"]
    assert (broken, [len(one["cases"]) for one in found["files"]]) == ([True, True, False], [0, 0, 1])


# --- comparisons ------------------------------------------------------------------------------------------


def sides(first: list[bool], second: list[bool], *, repeats: bool = False) -> tuple[Side, Side]:
    def side(passed: list[bool]) -> Side:
        result = runllm.RunResult(output={})
        case_of = Case
        return Side(
            label="s",
            tried=tuple(
                Tried(
                    case=case_of(name=str(0 if repeats else n), input={}),
                    model="",
                    misses=() if good else ("x",),
                    result=result,
                )
                for n, good in enumerate(passed)
            ),
        )

    return side(first), side(second)


@pytest.mark.parametrize(
    ("worse", "better", "chance"),
    [(0, 1, 1.0), (0, 5, 0.0625), (0, 6, 0.03125), (1, 8, 0.0390625), (3, 3, 1.0), (0, 0, 1.0)],
)
def test_chance_is_what_the_exact_test_says(worse: int, better: int, chance: float) -> None:
    first = [True] * worse + [False] * better + [True] * 4
    second = [False] * worse + [True] * better + [True] * 4
    assert compared(*sides(first, second)).chance == pytest.approx(chance)


@pytest.mark.parametrize(
    ("first", "second", "better", "said"),
    [
        ([False] * 10, [True] * 10, (0, 1), "within chance: of 1 case"),
        ([True, False], [False, True], (0, 0), "Both pass each case as often."),
        ([True], [True], (0, 0), "Both pass the same."),
    ],
)
def test_repeats_of_one_case_are_no_more_cases(
    first: list[bool], second: list[bool], better: tuple[int, int], said: str
) -> None:
    found = compared(*sides(first, second, repeats=True))
    assert (found.better, found.chance, said in worth(found)) == (better, 1.0, True)


def git(folder: Path, *arguments: str) -> None:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-C", str(folder), *arguments]
    subprocess.run(command, check=True, capture_output=True)


def test_a_file_is_compared_with_itself_as_it_was_with_what_it_used_then(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    parent = tmp_path / "app.rllm"
    parent.write_text(
        "---\nname: app\ninput: {text: text}\nreturns: {said: text}\nuses:\n  - {name: part, path: parts/part.rllm, "
        "with: {text: '{{ input.text }}'}}\noutput: {said: '{{ uses.part }}'}\ntests:\n  - input: {text: x}\n"
        "    output: {said: new}\n---\n",
        encoding="utf-8",
    )
    part = "---\nname: part\ninput: {text: text}\nreturns: text\nllm: openai/gpt-4o-mini\n---\n%s {{ input.text }}\n"
    (tmp_path / "parts" / "part.rllm").write_text(part % "Old", encoding="utf-8")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "x")
    (tmp_path / "parts" / "part.rllm").write_text(part % "New", encoding="utf-8")
    make = scripted(lambda request: "new" if "New" in request.messages[-1].content else "old")
    with at_revision(f"{parent}@HEAD") as then:
        assert (Path(then).parent / "parts" / "part.rllm").read_text().endswith("Old {{ input.text }}\n")
        with Suite(Wanted(paths=(then, str(parent)), mode="live"), {}, make=make) as suite:
            found = compare(suite, [then, str(parent)], ["then", "now"])
    assert (len(found.only_first), len(found.only_second), len(found.changed)) == (0, 1, 1)
    with pytest.raises(UsageError, match="no revision"), at_revision(f"{parent}@nope"):
        pass
    with pytest.raises(UsageError, match="no revision"), at_revision(f"{parent}@--help"):
        pass


def test_a_program_that_a_repository_names_is_not_run(tmp_path: Path) -> None:
    write(tmp_path, case("tags: [a]"))
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "x")
    ran_it = tmp_path / "ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {ran_it}\ncat\n", encoding="utf-8")
    program.chmod(0o755)
    (tmp_path / ".gitattributes").write_text("*.rllm filter=f diff=f\n", encoding="utf-8")
    for name in ("core.fsmonitor", "filter.f.smudge", "filter.f.clean", "diff.f.textconv"):
        git(tmp_path, "config", name, str(program))
    ran_it.unlink(missing_ok=True)
    with at_revision(f"{tmp_path / 'mail.rllm'}@HEAD") as then:
        assert "name: mail" in Path(then).read_text()
    assert not ran_it.exists()


def test_two_models_are_compared_on_the_rows_of_a_table(tmp_path: Path) -> None:
    path = write(tmp_path, "  []\n")
    (tmp_path / "rows.csv").write_text("text,id\na,1\nb,2\n", encoding="utf-8")
    make = scripted(
        lambda request: json.dumps({**ANSWER, "total": 1 if request.endpoint.model.endswith("mini") else 2})
    )
    wanted = Wanted(paths=(str(path),), models=("openai/gpt-4o-mini", "openai/gpt-4o"), mode="live")
    with Suite(wanted, {}, make=make) as suite:
        found = compare(suite, [str(path)], ["mail.rllm"], str(tmp_path / "rows.csv"))
    assert [one.case.name for one, _ in found.changed] == [f"{tmp_path / 'rows.csv'}, line {n}" for n in (2, 3)]
    assert found.chance == 1.0
