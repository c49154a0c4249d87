"""What a run will take, from a store that a test has filled."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.apps import leaf

import runllm
from runllm.engines.base import Price, flat
from runllm.errors import InputSchemaError, RunllmError, TemplateError
from runllm.predict import Basis, Forecast
from runllm.results import Endpoint
from runllm.runtime import Runtime
from runllm.stats.rows import AttemptRow, RunRow
from runllm.stats.store import Store
from runllm.testing import ScriptedEngine

TOP = """---
name: top
description: A test.
version: 1.0.0
author: me
max_context_window: 4096
input_schema: {type: object, properties: {text: {type: string}, list: {type: array, items: {type: string}}}}
output_schema: {type: object}
uses:
USES
output: {out: "{{ uses.a }}"}
---
"""
A = '  - {name: a, path: ./a.rllm, with: {text: "{{ input.text }}"}}'
B = '  - {name: b, path: ./b.rllm, with: {text: "{{ input.text }}"}}'
B_AFTER_A = '  - {name: b, path: ./b.rllm, with: {text: "{{ uses.a.out }}"}}'
EACH = '  - {name: a, path: ./a.rllm, for_each: "{{ input.list }}", with: {text: "{{ item }}"}}'


class Priced(ScriptedEngine):
    """Every token costs a cent, every answered one two."""

    def price(self, endpoint: Endpoint) -> Price | None:
        return None if endpoint.model == "openai/unpriced" else flat(0.01, 0.02)


@pytest.fixture
def project(tmp_path: Path):
    """Write a project and predict it, with a store to fill before."""
    store = Store(tmp_path / "stats.db")
    engine = Priced([])

    def predict(uses: str = "", given=None, model: str = "openai/m", body: str = "", **options) -> Forecast:
        for name in ("a", "b"):
            (tmp_path / f"{name}.rllm").write_text(
                leaf(name, llm=f"{{model: {model}, num_retries: 0, timeout: 10}}", params="{max_tokens: 100}"),
                encoding="utf-8",
            )
        (tmp_path / "top.rllm").write_text(TOP.replace("USES", uses) + body, encoding="utf-8")
        path = tmp_path / ("top.rllm" if uses else "a.rllm")
        app = runllm.load(path, runtime=Runtime(engine=engine, store=store), **options)
        found = app.forecast(given)
        assert engine.requests == []
        return found

    predict.store = store
    predict.folder = tmp_path
    return predict


def recorded(
    project,
    app: str,
    seconds: list[float],
    *,
    model: str = "openai/m",
    attempts: int = 1,
    tokens: int = 50,
    count: int = 0,
) -> None:
    """Runs of an app whose calls took so long, each with this many attempts; `count` children of the name `a`."""
    for latency in seconds:
        calls = tuple(
            AttemptRow(
                number=n + 1,
                model=model,
                latency=latency,
                prompt_tokens=200,
                completion_tokens=tokens,
                valid=n + 1 == attempts,
            )
            for n in range(attempts)
        )
        head = {"version": "1", "digest": "", "engine": "litellm", "started": time.time(), "input_valid": True}
        child = RunRow(app="x", path="/x", model="", latency=0, **head)
        project.store.record(
            RunRow(
                app=app, path=str(project.folder / f"{app}.rllm"), model=model, latency=latency * attempts,
                estimated_prompt_tokens=100, valid_on=attempts, attempts=calls,
                children=tuple(replace(child, child_name="a", child_index=n) for n in range(count)), **head,
            )
        )  # fmt: skip


def test_without_a_record_only_the_declared_limits_are_told(project) -> None:
    found = project(given={"text": "t"})
    assert found.latency is None
    assert found.basis is Basis.LIMITS
    assert found.most_latency == 3 * 10  # three attempts of ten seconds
    assert found.most_cost == pytest.approx(3 * (3996 * 0.01 + 100 * 0.02))
    assert "no run of `a`" in found.notes[0]


def test_the_record_of_the_app_tells_time_and_cost(project) -> None:
    recorded(project, "a", [2.0] * 18 + [4.0] * 2)
    found = project(given={"text": "t"})
    assert found.basis is Basis.HISTORY
    assert found.latency.p50 == pytest.approx(2.0, rel=0.1)
    assert 2.0 <= found.latency.p90 <= 4.1
    (part,) = found.parts
    assert (part.runs, part.times, part.completion_tokens.p50) == (20, 1, 50)
    assert found.cost.p50 == pytest.approx(part.prompt_tokens * 0.01 + 50 * 0.02, rel=0.05)
    assert found.notes == ()


def test_the_estimate_is_corrected_by_what_the_model_counted(project) -> None:
    """The recorded runs were thought to take 100 tokens, and took 200."""
    before = project(given={"text": "some words"}).parts[0].prompt_tokens
    recorded(project, "a", [1.0] * 6)
    assert project(given={"text": "some words"}).parts[0].prompt_tokens == 2 * before


def test_another_app_tells_the_speed_of_the_model(project) -> None:
    recorded(project, "other", [3.0] * 10)
    found = project(given={"text": "t"})
    assert found.basis is Basis.MODEL
    assert found.latency.p50 >= 3  # with all 100 tokens that are allowed, since nobody knows the length
    assert found.parts[0].completion_tokens is None


def test_another_model_tells_nothing(project) -> None:
    recorded(project, "a", [3.0] * 10, model="openai/other")
    assert project(given={"text": "t"}).latency is None


def test_a_price_that_is_missing_leaves_the_cost_open(project) -> None:
    recorded(project, "a", [1.0] * 6, model="openai/unpriced")
    found = project(given={"text": "t"}, model="openai/unpriced")
    assert found.latency is not None
    assert found.cost is None
    assert found.most_cost is None


def test_retries_count_with_their_odds(project) -> None:
    recorded(project, "a", [1.0] * 6)
    recorded(project, "a", [1.0] * 2, attempts=3)
    found = project(given={"text": "t"})
    assert found.calls.p50 == 1
    assert found.calls.p90 == 3
    assert found.latency.p90 > 2.5 * found.latency.p50


def test_side_by_side_takes_the_longest_and_one_after_the_other_the_sum(project) -> None:
    for app, seconds in (("a", 2.0), ("b", 5.0)):
        recorded(project, app, [seconds] * 8)
    assert project(A + "\n" + B, {"text": "t"}).latency.p50 == pytest.approx(5.0, rel=0.05)
    assert project(A + "\n" + B_AFTER_A, {"text": "t"}).latency.p50 == pytest.approx(7.0, rel=0.05)


def test_calls_to_a_local_model_take_turns(project) -> None:
    for app, seconds in (("a", 2.0), ("b", 5.0)):
        recorded(project, app, [seconds] * 8, model="local/smollm2-135m")
    found = project(A + "\n" + B, {"text": "t"}, model="local/smollm2-135m")
    assert found.latency.p50 == pytest.approx(7.0, rel=0.05)


def test_each_item_of_a_list_is_counted_in_as_many_as_run_at_a_time(project) -> None:
    recorded(project, "a", [2.0] * 8)
    given = {"list": [f"item {n}" for n in range(6)]}
    assert project(EACH, given).latency.p50 == pytest.approx(2.0, rel=0.05)
    found = project(EACH, given, concurrency=2)
    assert found.latency.p50 == pytest.approx(6.0, rel=0.05)
    assert found.parts[0].times == 6
    assert found.calls.p50 == 6


def test_equal_items_run_once(project) -> None:
    recorded(project, "a", [2.0] * 8)
    assert project(EACH, {"list": ["same"] * 5}).calls.p50 == 1


def test_the_length_of_a_list_that_is_not_known_is_that_of_earlier_runs(project) -> None:
    recorded(project, "a", [2.0] * 8)
    recorded(project, "top", [0.0] * 3, count=4)
    assert project(EACH, None).parts[0].times == 4


def test_without_earlier_runs_such_a_list_counts_as_one_and_says_so(project) -> None:
    found = project(EACH, None)
    assert found.parts[0].times == 1
    assert any("counted as one" in note for note in found.notes)


def test_a_list_that_an_app_without_a_model_gives_is_known_before(project) -> None:
    (project.folder / "split.rllm").write_text(
        TOP.replace("uses:\nUSES\n", "").replace("output_schema: {type: object}",
        "output_schema: {type: object, properties: {out: {type: array, items: {type: string}}}, required: [out]}")
        .replace('"{{ uses.a }}"', '["a", "b", "{{ input.text }}"]').replace("name: top", "name: split"),
        encoding="utf-8",
    )  # fmt: skip
    uses = '  - {name: s, path: ./split.rllm, with: {text: "{{ input.text }}"}}\n' + EACH.replace(
        "input.list", "uses.s.out"
    )
    recorded(project, "a", [2.0] * 8)
    assert project(uses, {"text": "c"}).parts[0].times == 3


def test_a_list_that_an_early_block_makes_is_known_before(project) -> None:
    recorded(project, "a", [2.0] * 8)
    each = EACH.replace("input.list", "vars.words")
    body = "```rllm-python pre inputs=input.text outputs=words\nwords = text.split()\n```\n"
    assert project(each, {"text": "b c d c"}, body=body).parts[0].times == 3
    assert project(each, None, body=body).parts[0].times == 1


@pytest.mark.parametrize(("given", "times"), [("{{ item }}", 2), ("{{ 6 // (item | length) }}!", 2)])
def test_items_that_surely_fail_are_not_counted_where_the_others_go_on(project, given: str, times: int) -> None:
    """One is refused by the app, one cannot be made."""
    recorded(project, "a", [2.0] * 8)
    narrow = leaf("narrow", params="{max_tokens: 100}")
    narrow = narrow.replace("{text: {type: string}}", "{text: {type: string, minLength: 1}}")
    (project.folder / "narrow.rllm").write_text(narrow, encoding="utf-8")
    each = EACH.replace("{{ item }}", given).replace("./a.rllm", "./narrow.rllm")
    skipping = each.replace("with:", "on_error: skip, with:")
    assert project(skipping, {"list": ["b", "", "dd"]}).parts[0].times == times
    with pytest.raises(RunllmError):
        project(each, {"list": ["b", "", "dd"]})


@pytest.mark.parametrize(("on_error", "times"), [("skip", 2), ("keep", 3)])
def test_what_an_app_without_a_model_gives_of_the_items_that_do_not_fail_is_known_before(
    project, on_error: str, times: int
) -> None:
    (project.folder / "divides.rllm").write_text(
        TOP.replace("uses:\nUSES\n", "").replace("{{ uses.a }}", "{{ 6 // (input.text | length) }}"), encoding="utf-8"
    )
    uses = (
        EACH.replace("name: a", "name: s").replace("./a.rllm", f"./divides.rllm, on_error: {on_error}") + "\n"
        + EACH.replace("input.list", "uses.s").replace("{{ item }}", "{{ item }}!")
    )  # fmt: skip
    recorded(project, "a", [2.0] * 8)
    assert project(uses, {"list": ["b", "", "dd"]}).parts[0].times == times


def test_the_moment_of_the_run_is_known_before(project) -> None:
    recorded(project, "a", [2.0] * 8)
    each = EACH.replace('"{{ input.list }}"', '["{{ run.date }}", "{{ run.timezone }}", "{{ run.date }}"]')
    assert project(each, {"text": "c"}).parts[0].times == 2


def test_an_input_that_does_not_fit_is_refused(project) -> None:
    with pytest.raises(InputSchemaError):
        project(given={"txt": 1})


def test_what_a_run_would_fail_for_is_said_as_a_run_says_it(project) -> None:
    """With the names that lead to the app, and the place in its file."""
    long = A.replace("{{ input.text }}", "{{ input.text }}{{ input.text }}")
    (project.folder / "narrow.rllm").write_text(
        leaf("narrow").replace("{text: {type: string}}", "{text: {type: string, maxLength: 9}}"), encoding="utf-8"
    )
    with pytest.raises(InputSchemaError, match=r"^top > a: the input does not fit: `/text`"):
        project(long.replace("a.rllm", "narrow.rllm"), {"text": "too long"})
    (project.folder / "divides.rllm").write_text(leaf("divides") + "{{ 1 / (input.text | length) }}", encoding="utf-8")
    with pytest.raises(TemplateError, match=r"divides\.rllm:13: ") as caught:
        project(A.replace("a.rllm", "divides.rllm"), {"text": ""})
    assert caught.value.trail == ("top", "a")


def test_the_same_prediction_is_made_every_time(project) -> None:
    recorded(project, "a", [1.0, 2.0, 3.0, 2.5, 1.5, 9.0])
    assert project(given={"text": "t"}) == project(given={"text": "t"})


def test_many_files_that_use_the_next_one_twice_are_priced_without_being_unfolded(project) -> None:
    """2^31 runs, with inputs that are known and with ones that are not."""
    recorded(project, "a", [2.0] * 8)
    uses = """  - {name: l, path: ./NEXT.rllm, with: {text: "{{ input.text }}l"}}
  - {name: r, path: ./NEXT.rllm, with: {text: "{{ input.text }}r"}}"""
    for n in range(31):
        text = TOP.replace("name: top", f"name: n{n}").replace(
            "USES", uses.replace("NEXT", f"n{n + 1}" if n < 30 else "a")
        )
        (project.folder / f"n{n}.rllm").write_text(text.replace("{{ uses.a }}", "{{ uses.l }}"), encoding="utf-8")
    top = A.replace("./a.rllm", "./n0.rllm")
    for given in (None, {"text": "t"}):
        found = project(top, given)
        assert found.calls.p50 == 2**31
        assert found.parts[-1].times + sum(part.times for part in found.parts[:-1]) == 2**31


def test_a_long_list_is_looked_at_in_part_and_counted_whole(project) -> None:
    recorded(project, "a", [2.0] * 8)
    found = project(EACH, {"list": [f"item {n % 3000}" for n in range(6000)]})
    assert found.calls.p50 == 3000
    assert found.most_latency == 3000 * 3 * 10


def test_a_bound_counts_what_is_sent_again(project) -> None:
    found = project(given={"text": "t"})
    assert found.most_calls == 3
    assert project(EACH, {"list": ["x", "y"]}).most_calls == 2 * 3
    assert project(EACH).most_calls == 1_000, "of a list that is not known, only the budget bounds the calls"


def test_a_bound_is_told_only_where_the_number_of_runs_is_known(project) -> None:
    assert project(EACH, {"list": ["x", "y"]}).most_latency == 2 * 3 * 10
    assert project(EACH, None).most_latency is None
