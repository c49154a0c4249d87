"""No key, no text and no look-up goes anywhere but to a provider's own host, this machine, or where the user lets it.

Over every name that LiteLLM knows, not over a table of ours: a provider that nobody thought of is closed, too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.integration.every_provider import MODES, chosen
from tests.once import once

from runllm.engines.addresses import is_host
from runllm.engines.providers import PROVIDERS, facts, names, variable_named_like

# What OpenAI's client reads beside the key.
OPENAIS = {"OPENAI_ORGANIZATION", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS"}
PROJECT = Path(__file__).parents[2]
# What the user's session with a cloud is made of, which the cloud's own host gets.
SESSION = {
    "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK", "AWS_WEB_IDENTITY_TOKEN", "AZURE_AD_TOKEN",
    "BEDROCK_MANTLE_API_KEY",
}  # fmt: skip


def calls(mode: str, extent: str = "some") -> list[Mapping[str, Any]]:
    """What came of calling each provider in one way; see `every_provider`."""
    return [
        call for call in map(json.loads, once(f"providers-{extent}", partial(_called, extent))) if call["mode"] == mode
    ]


def _called(extent: str) -> list[str]:
    environment = {
        name: os.environ[name]
        for name in ("PATH", "HOME", "TMPDIR", "LANG", "SYSTEMROOT", "PYTHONPATH")
        if name in os.environ
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.every_provider", extent],
        capture_output=True, text=True, timeout=600, cwd=PROJECT, env=environment, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    found = [json.loads(line) for line in done.stdout.splitlines()]
    for mode in MODES:
        called = {call["provider"] for call in found if call["mode"] == mode}
        assert called == set(chosen(names(), extent)), done.stderr[-2000:]
    return done.stdout.splitlines()


pytestmark = pytest.mark.timeout(900)
extents = pytest.mark.parametrize("extent", ["some", pytest.param("all", marks=pytest.mark.soak)])


@extents
@pytest.mark.parametrize("mode", MODES)
def test_every_host_and_every_key_is_the_providers_own(mode, extent):
    """Looked up or called, in the model's call or beside it; LiteLLM without a key sends the one of OpenAI to 58 of them.

    An address on this machine that a file names gets the prompt and no key, or the call is refused.
    """
    for call in calls(mode, extent):
        _check_hosts(call)
        _check_keys(call)
        if mode == "loopback":
            _check_loopback(call)


def _check_hosts(call: Mapping[str, Any]) -> None:
    own = (*facts(call["provider"]).hosts, *facts(call["provider"]).signs_in)
    mine = [base.format(SNOWFLAKE_ACCOUNT_ID="mine") for base in facts(call["provider"]).bases if "://" in base]
    hosts = {*call["looked_up"], *(sent["host"] for sent in call["sent"] if "://" not in sent["host"])}
    strange = [host for host in hosts if not is_host(host, own) and not any(f"//{host}/" in base for base in mine)]
    assert strange == [], call


def _check_keys(call: Mapping[str, Any]) -> None:
    row = facts(call["provider"])
    own = {*row.keys, *row.tokens, variable_named_like(call["provider"])} | (SESSION if row.session else set())
    own |= OPENAIS if call["provider"] == "openai" else set()
    for sent in call["sent"]:
        assert set(sent["keys"]) <= own, call


def _check_loopback(call: Mapping[str, Any]) -> None:
    assert call["looked_up"] == [], call
    assert [sent for sent in call["sent"] if sent["keys"] or "://" not in sent["host"]] == [], call
    if call["provider"] not in PROVIDERS or not facts(call["provider"]).keeps_base:
        assert call["outcome"] != "answered", call
        assert call["sent"] == [], call


@pytest.mark.soak
def test_what_was_called_is_most_of_them():
    """Else the others prove nothing."""
    called = {call["provider"] for call in calls("proxy", "all") if call["sent"]}
    assert len(called) >= 100
    assert {"openai", "anthropic", "gemini", "bedrock", "mistral", "nano-gpt", "replicate", "sagemaker"} <= called
    assert len({call["provider"] for call in calls("loopback", "all") if call["sent"]}) >= 100


@pytest.mark.parametrize(
    ("model", "place"),
    [
        ("baseten/abcd1234", "https://model-abcd1234.api.baseten.co"),
        ("bedrock/agentcore/arn:aws:bedrock-agentcore:x.evil.example:1:runtime/r", "evil.example.amazonaws.com"),
        ("ai21/m", "https://api.openai.com"),
    ],
)
def test_a_host_that_is_made_of_a_models_name_is_told(model, place):
    """With what would allow it."""
    for mode in ("direct", "proxy"):
        (call,) = [call for call in calls(mode) if call["model"] == model]
        assert (call["outcome"], call["sent"], call["looked_up"]) == ("RLLM_027", [], [])
        assert place in call["said"]


@extents
def test_a_provider_without_a_key_is_refused_by_name(extent):
    """The variable that would hold it is named, also for a provider that nothing is known of."""
    for call in calls("direct", extent):
        if call["outcome"] == "RLLM_012":
            assert variable_named_like(call["provider"]) in call["said"]
