"""Names, keys, addresses, windows and prices, read without LiteLLM."""

from __future__ import annotations

import pytest

from runllm.engines.access import PLACEHOLDER_KEY, reach
from runllm.engines.addresses import is_covered, is_loopback, ollama_address, origin
from runllm.engines.providers import price, provider_of, window
from runllm.errors import MissingCredentialError, ModelNotFoundError, ProviderConnectionError
from runllm.results import Endpoint, Usage


@pytest.mark.parametrize(
    ("model", "provider", "tokens", "costs"),
    [
        ("openai/gpt-4o", "openai", 128_000, (2.5e-6, 1e-5)),
        ("gpt-4o", "openai", 128_000, (2.5e-6, 1e-5)),
        ("claude-sonnet-4-5", "anthropic", 200_000, (3e-6, 1.5e-5)),
        ("anthropic/claude-sonnet-4-5", "anthropic", 200_000, (3e-6, 1.5e-5)),
        ("gemini/gemini-2.5-pro", "gemini", 1_048_576, (1.25e-6, 1e-5)),
        ("openai/unheard-of", "openai", None, None),
        ("groq/gpt-4o", "groq", None, None),
        ("publicai/unheard-of", "publicai", None, None),
    ],
)
def test_what_is_known_of_a_model(model, provider, tokens, costs):
    """With or without its provider's name; another provider's model of the same name is another model."""
    endpoint = Endpoint(model=model)
    found = price(endpoint)
    one = Usage(prompt_tokens=1, completion_tokens=1)
    assert (provider_of(model), window(endpoint)) == (provider, tokens)
    assert (found and found.parts(one)) == costs


@pytest.mark.parametrize(
    ("model", "hint"),
    [
        ("opnai/gpt-4o", "`openai/gpt-4o`"),
        ("gpt-4oo", "`gpt-4o`"),
        ("my-own", "`openai/MODEL`"),
        ("whisper-1", ""),
        ("github_copilot/gpt-4o", ""),
        ("langfuse/prompt", ""),
    ],
)
def test_a_name_that_cannot_be_run(model, hint):
    """An unknown one gets a suggestion; what is no chat model, or asks for a browser, is refused."""
    with pytest.raises(ModelNotFoundError) as caught:
        provider_of(model)
    assert model in caught.value.message
    assert hint in caught.value.recovery_hint


KEY = {"OPENAI_API_KEY": "sk-own"}


@pytest.mark.parametrize(
    ("endpoint", "environment", "base", "key"),
    [
        ({"model": "openai/m"}, KEY, None, "sk-own"),
        ({"model": "openai/m", "api_base": "https://api.openai.com/v1"}, KEY, "https://api.openai.com/v1", "sk-own"),
        ({"model": "openai/m", "api_base": "https://eu.api.openai.com/v1"}, KEY, "https://eu.api.openai.com/v1", "sk-own"),
        ({"model": "openai/m", "api_base": "https://gate.example", "allowed_bases": ("https://gate.example",)}, KEY, "https://gate.example", PLACEHOLDER_KEY),
        ({"model": "openai/m", "api_base": "https://gate.example", "allowed_bases": ("https://gate.example",), "key_allowed": True}, KEY, "https://gate.example", "sk-own"),
        ({"model": "openai/m", "api_base": "http://[::1]:1"}, {}, "http://[::1]:1", PLACEHOLDER_KEY),
        ({"model": "openai/m"}, KEY | {"OPENAI_BASE_URL": "https://gate.example"}, "https://gate.example", "sk-own"),
        ({"model": "openai/m"}, {"OPENAI_BASE_URL": "http://localhost:1"}, "http://localhost:1", PLACEHOLDER_KEY),
        ({"model": "openai/m", "api_base": "https://gate.example", "api_key_env": "GATE", "allowed_bases": ("https://gate.example",), "key_allowed": True}, {"GATE": "g"}, "https://gate.example", "g"),
        ({"model": "ollama/m"}, {}, "http://localhost:11434", PLACEHOLDER_KEY),
        ({"model": "ollama/m"}, {"OLLAMA_HOST": "0.0.0.0"}, "http://127.0.0.1:11434", PLACEHOLDER_KEY),  # noqa: S104 - read, not bound
        ({"model": "novita/m", "api_base": "http://127.0.0.1:1"}, {}, "http://127.0.0.1:1", PLACEHOLDER_KEY),
        ({"model": "ollama/m", "api_base": "http://gpu:1"}, {"OLLAMA_HOST": "gpu:1"}, "http://gpu:1", PLACEHOLDER_KEY),
        ({"model": "bedrock/m"}, {}, None, None),
    ],
)  # fmt: skip
def test_keys_and_addresses(endpoint, environment, base, key):
    """The provider's key never goes to an address that a file chose."""
    access = reach(Endpoint(**endpoint), environment)
    assert (access.api_base, access.api_key) == (base, key)
    assert "sk-own" not in repr(access)


def test_the_missing_variable_is_named():
    """All that would do are named, or the one that the file names."""
    with pytest.raises(MissingCredentialError, match="GEMINI_API_KEY or GOOGLE_API_KEY") as caught:
        reach(Endpoint(model="gemini/m"), {})
    assert caught.value.details["variables"] == ["GEMINI_API_KEY", "GOOGLE_API_KEY", "PALM_API_KEY"]
    with pytest.raises(MissingCredentialError, match="MINE is not set"):
        reach(Endpoint(model="ollama/m", api_key_env="MINE", key_allowed=True), KEY)


def test_a_provider_without_an_address():
    """A server of one's own has to be found somewhere."""
    with pytest.raises(ProviderConnectionError, match="no address") as caught:
        reach(Endpoint(model="hosted_vllm/m"), {})
    assert "HOSTED_VLLM_API_BASE" in caught.value.recovery_hint


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("gpu", "http://gpu:11434"),
        ("gpu:80", "http://gpu:80"),
        (":9", "http://127.0.0.1:9"),
        ("0.0.0.0:9", "http://127.0.0.1:9"),
        ("http://gpu", "http://gpu:80"),
        ("https://gpu/", "https://gpu:443"),
        ("[::1]:9", "http://[::1]:9"),
        ("[::1]", "http://[::1]:11434"),
        ("::1", "http://[::1]:11434"),
        ("::", "http://[::1]:11434"),
        ("gpu:", "http://gpu:11434"),
        ("http://gpu/ollama/", "http://gpu:80/ollama"),
        ("gpu:8080/ollama", "http://gpu:8080/ollama"),
        ("http://me:pw@gpu:9", "http://me:pw@gpu:9"),
    ],
)
def test_ollama_host_in_all_its_forms(host, address):
    """As Ollama's own client reads it."""
    assert ollama_address(host) == address


@pytest.mark.parametrize(
    ("base", "here"),
    [
        ("http://127.0.0.1:1/v1", True),
        ("http://127.9.9.9", True),
        ("https://localhost", True),
        ("http://[::1]:8080", True),
        ("http://127.0.0.1.example.com", False),
        ("http://localhost.example.com", False),
        ("http://localhost@example.com", False),
        ("https://api.openai.com", False),
        ("http://[", False),
        ("", False),
    ],
)
def test_what_is_this_machine(base, here):
    """By the host itself, not by how the address begins."""
    assert is_loopback(base) is here


@pytest.mark.parametrize(
    ("base", "allowed", "covered"),
    [
        ("https://a.example/v1", "https://a.example", True),
        ("https://A.Example.:443/v1", "https://a.example/", True),
        ("https://a.example/v1/chat", "https://a.example/v1", True),
        ("https://a.example/v10", "https://a.example/v1", False),
        ("https://a.example/v1/../x", "https://a.example/v1", False),
        ("https://a.example/v1/%2e%2E/x", "https://a.example/v1", False),
        ("https://a.example/v1/%2e%2e%2fx", "https://a.example/v1", False),
        ("https://a.example/v1%2F..", "https://a.example/v1", False),
        ("https://a.example/v1/..;/x", "https://a.example/v1", False),
        ("https://a.example/v1/a..b", "https://a.example/v1", True),
        ("http://a.example/v1", "https://a.example", False),
        ("https://a.example:8443", "https://a.example", False),
        ("https://b.a.example", "https://a.example", False),
        ("https://me@a.example", "https://a.example", False),
        ("https://a.example", "a.example", False),
    ],
)
def test_what_an_allowed_address_covers(base, allowed, covered):
    """Its own server and what is below its path."""
    assert is_covered(base, [allowed]) is covered
    assert not is_covered(base, [])


def test_the_server_of_an_address():
    """It is what a hint tells to allow."""
    assert origin("https://A.example:1/v1?x=1") == "https://A.example:1"
