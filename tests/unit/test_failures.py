"""What a failure of LiteLLM means, where a server on this machine cannot bring it about."""

from __future__ import annotations

import json
import time
from email.utils import formatdate

import pytest

from runllm.engines.access import Access
from runllm.engines.failures import LONGEST_WORDS, Failure, observe
from runllm.engines.meanings import error_for
from runllm.errors import (
    AuthenticationError,
    EngineUnavailableError,
    MissingCredentialError,
    ModelNotFoundError,
    ProviderError,
    RequestRefusedError,
)
from runllm.results import Endpoint


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"status": 400, "words": "API key not valid. Please pass a valid API key."}, AuthenticationError),
        ({"status": 400, "words": "The model `x` does not exist"}, ModelNotFoundError),
        ({"kinds": {"UnsupportedParamsError", "BadRequestError"}}, RequestRefusedError),
        ({"kinds": {"APIConnectionError", "ModuleNotFoundError"}}, EngineUnavailableError),
        ({"kinds": {"NoCredentialsError"}}, MissingCredentialError),
        ({"kinds": {"BadRequestError", "JSONDecodeError"}, "words": "Expecting value"}, ProviderError),
        ({"status": 409}, ProviderError),
        ({}, ProviderError),
    ],
)
def test_rules(facts, expected):
    """The status that came back counts first, then what caused it, then the words."""
    given = Failure(**facts | {"kinds": frozenset(facts.get("kinds", ()))})
    access = Access(provider="openai", api_base=None, api_key=None)
    assert type(error_for(given, endpoint=Endpoint(model="openai/m"), access=access)) is expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("litellm.RateLimitError: RateLimitError: OpenAIException - slow down", "slow down"),
        ("litellm.Timeout: Timeout Error: OpenAIException - too slow", "too slow"),
        ("litellm.BadRequestError: GeminiException BadRequestError - " + json.dumps({"error": {"message": "no"}}), "no"),
        ('litellm.InternalServerError: AnthropicException - {"error": "x"}. Handle with `litellm.InternalServerError`.', "x"),
        ("litellm.APIConnectionError: broken\nTraceback (most recent call last):\n  File /home/me/x.py", "broken"),
        ("plain words {not json}", "plain words {not json}"),
        ('{"error": {"message": "bad &quot;x&quot; &amp; &#39;y&#39; &#27;[1m"}}', "bad \"x\" & 'y' [1m"),
        ("x" * 900, "x" * (LONGEST_WORDS - 1) + "…"),
    ],
)  # fmt: skip
def test_the_words_are_the_providers(text, words):
    """Without what LiteLLM writes around them, and short."""
    assert observe(RuntimeError(text)).words == words


def test_a_secret_is_masked_before_the_words_are_cut():
    """Else its first half would be left at the end."""
    assert "a&b" not in observe(RuntimeError("key plain-a&amp;b-key refused"), ["plain-a&b-key"]).words
    secret = "zq-" + "plain" * 20
    words = observe(RuntimeError("x" * (LONGEST_WORDS - 20) + secret), [secret]).words
    assert "zq-" not in words


@pytest.mark.parametrize(
    ("stated", "low", "high"),
    [("7", 7, 7), ("0.5", 0.5, 0.5), ("-3", 0, 0), ("in a minute", 50, 61)],
)
def test_retry_after_in_seconds(stated, low, high):
    """As a number, or until a date."""
    error = RuntimeError("later")
    minute = formatdate(time.time() + 60, usegmt=True)
    error.litellm_response_headers = {"retry-after": stated.replace("in a minute", minute)}
    found = observe(error).retry_after
    assert found is not None
    assert low <= found <= high


@pytest.mark.parametrize(
    "stated", ["soon", "inf", "nan", f"Mon, 01 Jan {'9' * 20} 00:00:00 GMT", f"Mon, 01 Jan 2024 00:00:00 +{'9' * 20}"]
)
def test_a_retry_after_that_says_nothing(stated):
    """Is as good as none."""
    error = RuntimeError("later")
    error.litellm_response_headers = {"retry-after": stated}
    assert observe(error).retry_after is None
