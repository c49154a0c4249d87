"""A request as arguments, a reply as a completion: what needs no server to be seen."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

from runllm.engines.access import Access
from runllm.engines.chat import arguments
from runllm.engines.forms import Forms, is_strict
from runllm.engines.memory import Memory
from runllm.results import Endpoint, Message, Request

ACCESS = Access(provider="openai", api_base=None, api_key=None)
FORM = {"response_format": {"type": "json_schema", "json_schema": {"name": "output", "schema": {}}}}
N = {"n": {"type": "integer"}}


def closed(properties, **more):
    return {
        "type": "object", "properties": properties, "required": list(properties), "additionalProperties": False, **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (closed(N), True),
        (closed({"a": {"type": "array", "items": closed(N)}, "b": {"anyOf": [{"type": "null"}, closed(N)]}}), True),
        (closed({"a": {"$ref": "#/$defs/x"}}, **{"$defs": {"x": {"enum": ["a", "b"]}}}), True),
        ({"type": "object", "properties": N, "additionalProperties": False}, False),
        ({"type": "object", "properties": N, "required": ["n"]}, False),
        (closed({"a": {"type": "object", "properties": N, "required": ["n"]}}), False),
        (closed({"a": {"type": "string", "maxLength": 5}}), False),
        (closed({"a": {}}), False),
        (closed({"a": True}), False),
        (closed({"a": {"type": "array"}}), False),
        (closed({"a": {"type": ["object", "null"]}}), False),
    ],
)
def test_strict_only_where_openai_takes_it(schema, strict):
    """A schema that breaks one of its rules is sent as a wish."""
    assert is_strict(schema) is strict


def test_providers_that_take_no_schema():
    """Get what they do take."""
    forms = Forms(Memory(None))
    for provider, expected in (("deepseek", {"response_format": {"type": "json_object"}}), ("cohere_chat", {})):
        asked = Request(endpoint=Endpoint(model=f"{provider}/m"), messages=(), schema=closed(N))
        assert forms.of(asked) == expected


def test_a_refused_form_is_not_asked_for_again():
    """For this schema at this endpoint alone."""
    forms, asked = Forms(Memory(None)), Request(endpoint=Endpoint(model="openai/m"), messages=(), schema=closed(N))
    assert forms.of(asked)["response_format"]["json_schema"]["strict"]
    forms.refused(asked)
    assert forms.of(asked) == {}
    assert forms.of(replace(asked, schema=closed({}))) != {}
    assert forms.of(replace(asked, endpoint=Endpoint(model="openai/other"))) != {}


def test_nothing_the_caller_holds_is_shared():
    """LiteLLM writes into what it is given."""
    params = {"logit_bias": {"1": 2}}
    native = {"options": {"a": [1]}}
    asked = Request(
        endpoint=Endpoint(model="m", provider_params=native),
        messages=(Message(role="user", content="x"),),
        params=params,
    )
    before = copy.deepcopy((params, native, FORM))
    made = arguments(asked, ACCESS, FORM)
    made["logit_bias"]["1"] = made["options"]["a"] = made["response_format"]["json_schema"]["name"] = None
    assert (params, native, FORM) == before


def test_retries_are_switched_off_where_they_can_be_named():
    """LiteLLM refuses the parameter for one provider, and sends nothing again by itself there."""
    asked = Request(endpoint=Endpoint(model="m"), messages=())
    assert arguments(asked, ACCESS, FORM)["max_retries"] == 0
    assert "max_retries" not in arguments(asked, Access(provider="gradient_ai", api_base=None, api_key=None), FORM)


def test_the_runtime_has_the_last_word():
    """What steers the call cannot be set by a file, even past the checks."""
    sly = {
        "model": "other",
        "messages": [],
        "api_base": "http://evil",
        "max_retries": 9,
        "stream": True,
        "timeout": 1e9,
    }
    made = arguments(Request(endpoint=Endpoint(model="m", provider_params=sly), messages=(), timeout=5.0), ACCESS, FORM)
    assert {name: made[name] for name in sly} == {
        "model": "m", "messages": [], "api_base": None, "max_retries": 0, "stream": False, "timeout": 5.0,
    }  # fmt: skip
