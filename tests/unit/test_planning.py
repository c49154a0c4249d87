"""How much an answer that is decoded may take: what the app says, what its contract needs, what the window leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import runllm
from runllm.engines.local.planning import plan
from runllm.errors import ContextWindowExceededError
from runllm.results import Endpoint, Message, Request

WINDOW = 8192


def asked(least: int, prompt: str = "Hi", window: int | None = None, **params: Any) -> Request:
    schema = {"type": "object", "properties": {"t": {"type": "string", "minLength": least}}, "required": ["t"]}
    message = Message(role="user", content=prompt)
    return Request(endpoint=Endpoint(model="local/m"), messages=(message,), params=params, schema=schema, window=window)


@pytest.mark.parametrize("least", [10, 1010, 1500, 8000])
def test_a_long_answer_that_the_contract_asks_for_is_given_its_room(least):
    assert least < plan(asked(least), WINDOW).tokens < WINDOW


@pytest.mark.parametrize(
    ("request_", "said", "way_out"),
    [
        (asked(1500, max_tokens=300), "`max_tokens` is 300", "Set `max_tokens` to 1,5"),
        (asked(1500, max_completion_tokens=300), "`max_tokens` is 300", "Set `max_tokens` to 1,5"),
        (asked(9000), "the prompt leaves 8,168 of the window", "Widen the window"),
        (asked(9000, max_tokens=9500), "the prompt leaves 8,168 of the window", "Widen the window"),
        (asked(1500, "word " * 4000), "the prompt leaves 1,502 of the window", "shorten the input"),
        (asked(1500, window=1024), "of the window", "Widen the window"),
    ],
)
def test_the_reason_for_no_room_is_the_true_one(request_, said, way_out):
    with pytest.raises(ContextWindowExceededError) as caught:
        plan(request_, WINDOW)
    assert said in caught.value.message
    assert way_out in caught.value.recovery_hint
    assert caught.value.details["needed_tokens"] > 1500


FILE = """---
name: long
input_schema: {{type: object, properties: {{text: {{type: string}}}}, required: [text]}}
output_schema: {schema}
llm: {model}
{more}
---
Say {{{{ input.text }}}}
"""
TEXT = (
    "{{type: object, properties: {{t: {{type: string, minLength: {}}}}}, required: [t], additionalProperties: false}}"
)
LIST = "{{type: array, minItems: {}, items: {{type: string, minLength: 40}}}}"


@pytest.mark.model
@pytest.mark.parametrize(
    ("schema", "more", "said"),
    [
        (TEXT.format(1500), "", ""),
        (TEXT.format(9000), "", "the prompt leaves 8,176 of the window"),
        (TEXT.format(1500), "llm_params: {max_tokens: 300}", "`max_tokens` is 300"),
        (TEXT.format(1500), "max_context_window: 1200", "of the window"),
        (LIST.format(400), "", "the prompt leaves 8,176 of the window"),
        (LIST.format(3), "", ""),
        (LIST.format(3), "llm_params: {max_tokens: 100}", "`max_tokens` is 100"),
    ],
)
def test_validate_and_dry_run_say_what_the_run_would_say(tmp_path: Path, schema, more, said):
    path = tmp_path / "long.rllm"
    path.write_text(FILE.format(schema=schema, more=more, model="local/smollm2-135m"), encoding="utf-8")
    found = [problem for problem in runllm.validate(path).problems if problem.kind == "ContextWindowExceededError"]
    assert [said in problem.message and problem.severity == "warning" for problem in found] == ([True] if said else [])
    app = runllm.load(path)
    if said:
        with pytest.raises(ContextWindowExceededError, match="the smallest answer"):
            app.preview({"text": "x"})
        with pytest.raises(ContextWindowExceededError, match="the smallest answer"):
            app.run({"text": "x"})
    else:
        assert app.preview({"text": "x"}).refusal() is None


def test_only_a_model_that_is_made_to_decode_is_looked_at(tmp_path: Path):
    path = tmp_path / "long.rllm"
    path.write_text(FILE.format(schema=TEXT.format(90000), more="", model="openai/gpt-4o-mini"), encoding="utf-8")
    assert runllm.validate(path).problems == ()
