"""Composed apps and predictions on the command line."""

import json
from pathlib import Path

import pytest
from tests.apps import at, leaf
from tests.e2e.test_cli import command
from tests.integration.provider import Provider, Reply, answer

import runllm
from runllm.cli.exectime import report
from runllm.predict import Basis, Forecast, Part, Range

TOP = """---
name: top
description: A test.
version: 1.0.0
author: me
max_context_window: 4096
input_schema:
  type: object
  properties:
    text: {type: string}
  required: [text]
output_schema: {type: object, properties: {said: {type: string}}, required: [said]}
uses:
  - name: first
    path: ./a.rllm
    with: {text: "{{ input.text }}"}
  - name: second
    path: ./b.rllm
    with:
      text: "{{ uses.first.out }}"
output:
  said: "{{ uses.second.out }}"
---
"""


@pytest.fixture
def provider():
    with Provider() as server:
        yield server


@pytest.fixture
def top(tmp_path: Path, provider: Provider) -> Path:
    for name in ("a", "b"):
        (tmp_path / f"{name}.rllm").write_text(leaf(name, llm=at(provider.base)), encoding="utf-8")
    path = tmp_path / "top.rllm"
    path.write_text(TOP, encoding="utf-8")
    return path


def echo() -> Reply:
    """An answer that holds the prompt."""

    def body(received: object) -> object:
        said = received.body["messages"][-1]["content"]
        return answer(json.dumps({"out": said})).body(received)

    return Reply(body=body)


def test_a_composed_app_prints_its_output_alone(top: Path, provider: Provider) -> None:
    provider.script(echo())
    done = command("run", str(top), "text=hi")
    assert json.loads(done.stdout) == {"said": "b: a: hi"}
    assert done.stderr == ""
    assert len(provider.chats) == 2


def test_a_trace_names_the_app_of_each_step(top: Path, provider: Provider) -> None:
    provider.script(echo())
    trace = command("run", str(top), "text=hi", "-v").stderr
    assert "first: openai/m" in trace
    assert trace.strip().endswith("2 apps used, 22 + 14 tokens, price unknown")


def test_a_failure_says_in_which_app_and_exits_with_its_status(top: Path, provider: Provider) -> None:
    provider.script(answer('{"out": "x"}'), answer("no JSON"))
    done = command("run", str(top), "text=hi")
    error = json.loads(done.stderr)
    assert (done.returncode, error["error_code"]) == (5, "RLLM_007")
    assert error["message"].startswith("top > second: no valid answer in 3 attempts")
    assert error["details"]["trail"] == ["top", "second"]


def test_a_wrong_wiring_is_marked_and_costs_nothing(top: Path, provider: Provider) -> None:
    top.write_text(TOP.replace("uses.first.out", "uses.first.outt").replace('"{{ input.text }}"', "[1]"))
    done = command("validate", str(top))
    assert done.returncode == 3
    assert "`uses.first` has no property `outt`" in done.stdout
    assert "Did you mean `out`?" in done.stdout
    assert "`text` of `first` must be a string, not [1]" in done.stdout
    assert done.stdout.count("^") > 4
    assert command("run", str(top), "text=hi").returncode == 3
    assert provider.requests == []


def test_strict_refuses_what_may_go_wrong(top: Path) -> None:
    bounded = leaf("b", llm=at("http://127.0.0.1:9")).replace(
        "{text: {type: string}}", "{text: {type: string, minLength: 1}}"
    )
    (top.parent / "b.rllm").write_text(bounded, encoding="utf-8")
    loose, strict = command("validate", str(top)), command("validate", str(top), "--strict")
    assert (loose.returncode, strict.returncode) == (0, 3)
    assert "`uses.first.out` is" in loose.stdout
    assert "may not fit" in loose.stdout


def test_the_wiring_is_drawn(top: Path) -> None:
    text = command("inspect", str(top)).stdout
    assert "├─ first = a 1.0.0 (./a.rllm)" in text
    assert "text ← uses.first.out" in text
    assert "said ← uses.second.out" in text
    found = json.loads(command("inspect", str(top), "--format", "json").stdout)
    assert found["uses"][1]["needs"] == ["first"]
    assert found["uses"][1]["app"]["input_schema"]["required"] == ["text"]
    chart = command("inspect", str(top), "--format", "mermaid").stdout
    assert chart.startswith("flowchart LR")
    assert 'app_first -->|"out → text"| app_second' in chart


def test_a_dry_run_shows_what_is_known_and_what_waits(top: Path, provider: Provider) -> None:
    found = json.loads(command("run", str(top), "text=hi", "--dry-run").stdout)
    assert list(found) == ["model", "uses"]
    assert found["model"] is None  # `top` itself calls none
    assert found["uses"]["first"]["messages"][-1]["content"] == "a: hi"
    assert found["uses"]["second"] == {"waits_for": ["first"]}
    assert provider.requests == []


def test_another_model_for_the_whole_tree(top: Path, provider: Provider) -> None:
    provider.script(echo())
    done = command("run", str(top), "text=hi", "--model", "openai/other")
    assert "calls no model itself" in done.stderr
    assert {request.body["model"] for request in provider.chats} == {"m"}
    command("run", str(top), "text=hi", "--model", "openai/other", "--whole-tree", OPENAI_API_KEY="x")
    assert {request.body["model"] for request in provider.chats[2:]} == {"other"}


def test_a_prediction_rests_on_what_was_recorded(top: Path, provider: Provider, tmp_path: Path) -> None:
    recording = {"RUNLLM_STATS": "on", "RUNLLM_STATS_DB": str(tmp_path / "stats.db")}
    before = json.loads(command("exectime", str(top), "text=hi", "--format", "json", **recording).stdout)
    assert (before["latency"], before["basis"]) == (None, "limits")
    provider.script(echo())
    for n in range(5):
        command("run", str(top), f"text=hi {n}", **recording)
    found = json.loads(command("exectime", str(top), "text=hi", "--format", "json", **recording).stdout)
    assert found["basis"] == "history"
    assert [(part["name"], part["runs"]) for part in found["parts"]] == [("first", 5), ("second", 5)]
    assert found["calls"]["p50"] == 2
    assert 0 < found["latency"]["p50"] <= found["latency"]["p90"]
    text = command("exectime", str(top), **recording).stdout
    assert "nine in ten under" in text
    assert len(provider.chats) == 10


def test_what_is_written_over_several_lines_is_drawn_in_one(top: Path) -> None:
    text = TOP.replace('"{{ input.text }}"', '"{{ input.text\\n | upper }}"').replace(
        "text: {type: string}", 'text: {type: string, description: "One.\\n\\nTwo.\\n"}', 1
    )
    top.write_text(text, encoding="utf-8")
    lines = command("inspect", str(top)).stdout.splitlines()
    assert "  text  string  One. Two." in lines
    assert "  │     text ← input.text | upper" in lines


def test_a_price_below_a_cent_is_no_power_of_ten_and_one_run_is_one_run(top: Path) -> None:
    pair = Range(p50=1.2e-5, p90=0.5)
    part = Part(
        name="top", model="openai/m", times=1, runs=1, basis=Basis.MODEL, prompt_tokens=1, completion_tokens=pair
    )
    found = Forecast(
        latency=pair,
        cost=pair,
        most_latency=1,
        most_cost=2,
        most_calls=9,
        calls=pair,
        basis=Basis.MODEL,
        parts=(part,),
        notes=(),
    )
    text = report(runllm.load(top), found)
    assert "cost   $0.000012, nine in ten under $0.50; at most $2.00" in text
    assert ", 1 run, " in text


def test_an_empty_input_is_an_input_to_predict_for(top: Path, tmp_path: Path) -> None:
    recording = {"RUNLLM_STATS": "on", "RUNLLM_STATS_DB": str(tmp_path / "stats.db")}
    top.write_text(TOP.replace("text: {type: string}", "text: {type: string, minLength: 1}", 1), encoding="utf-8")
    assert command("exectime", str(top), "-i", "", **recording).returncode == 4


LISTED = (
    TOP.partition("uses:\n")[0]
    + """uses:
  - {name: parts, path: ./a.rllm, for_each: "{{ vars.words }}", on_error: skip, with: {text: "{{ 6 // (item | length - 1) }} {{ run.date }}"}}
output:
  said: "{{ uses.parts | map(attribute='out') | join('; ') }}"
---
```rllm-python pre inputs=input.text outputs=words
words = text.split()
```
"""
)
NOW = {"RUNLLM_NOW": "2026-11-30T10:49:28+01:00"}


def test_items_that_fail_are_told_on_stderr_and_traced(top: Path, provider: Provider) -> None:
    top.write_text(LISTED, encoding="utf-8")
    provider.script(echo())
    done = command("run", str(top), "text=ab c abc", **NOW)
    assert json.loads(done.stdout) == {"said": "a: 6 2026-11-30; a: 3 2026-11-30"}
    assert done.stderr.startswith("warning: 1 of 3 items of `parts` failed and was left out: ")
    assert done.stderr.count("\n") == 1
    trace = command("run", str(top), "text=ab c abc", "-v", **NOW).stderr
    assert " skipped  parts[1]: " in trace


def test_a_dry_run_shows_what_an_early_block_feeds_and_what_is_skipped(top: Path, provider: Provider) -> None:
    top.write_text(LISTED, encoding="utf-8")
    found = json.loads(command("run", str(top), "text=ab c abc", "--dry-run", **NOW).stdout)
    sent = {label: child["messages"][-1]["content"] for label, child in found["uses"].items()}
    assert sent == {"parts[0]": "a: 6 2026-11-30", "parts[2]": "a: 3 2026-11-30"}
    assert list(found["skipped"]) == ["parts[1]"]
    assert provider.requests == []


def test_a_moment_that_is_none_is_named_and_nothing_runs(top: Path, provider: Provider) -> None:
    for arguments in (("run", str(top), "text=hi"), ("run", str(top), "text=hi", "--dry-run")):
        done = command(*arguments, RUNLLM_NOW="yesterday")
        error = json.loads(done.stderr)
        assert (done.returncode, error["error_code"]) == (3, "RLLM_026")
        assert "`RUNLLM_NOW` is not a moment in ISO 8601: 'yesterday'" in error["message"]
    assert provider.requests == []
