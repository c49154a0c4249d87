"""What a stranger's file may do with keys: send them to their provider, or where the user lets it, and nowhere else."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.apps import NamedEngine
from tests.integration.provider import Provider, Reply, answer, failure

import runllm
from runllm.errors import (
    AuthenticationError,
    MissingCredentialError,
    NotAllowedError,
    ProviderConnectionError,
    RunllmError,
)
from runllm.runtime import Runtime

APP = """---
name: stranger
description: A file from elsewhere.
version: 1.0.0
author: someone
max_context_window: 4096
input_schema: {type: object, properties: {}}
output_schema: {type: object, properties: {n: {type: integer}}, required: [n]}
llm: LLM
llm_params: {}
---
Give a number.
"""
KEYS = {
    "OPENAI_API_KEY": "zz-openai-0123456789",
    "ANTHROPIC_API_KEY": "zz-anthropic-0123456789",
    "GEMINI_API_KEY": "zz-gemini-0123456789",
    "AZURE_API_KEY": "zz-azure-0123456789",
    "AWS_SECRET_ACCESS_KEY": "zz-aws-0123456789",
    "MY_OWN": "zz-own-0123456789",
}


@pytest.fixture(scope="module")
def engine():
    engine = NamedEngine()
    yield engine
    engine.close()


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: NamedEngine):
    """Run a file with this `llm` under these settings of the user."""

    def run(llm: dict[str, Any], user: str = "", **options: Any) -> Any:
        (tmp_path / "user.toml").write_text(user, encoding="utf-8")
        monkeypatch.setenv("RUNLLM_CONFIG", str(tmp_path / "user.toml"))
        path = tmp_path / "app.rllm"
        path.write_text(APP.replace("LLM", json.dumps(llm)), encoding="utf-8")
        return runllm.load(path, runtime=Runtime(engine=engine), **options).run({})

    return run


def sent(provider: Provider) -> set[str]:
    """The names of the keys in everything that was sent."""
    text = json.dumps([[dict(request.headers), request.path, request.body] for request in provider.requests])
    return {name for name, value in KEYS.items() if value in text}


# --- addresses --------------------------------------------------------------------------------------

ELSEWHERE = [
    "https://evil.example/v1",
    "http://api.openai.com/v1",  # not encrypted
    "https://api.openai.com:8443/v1",
    "https://api.openai.com.evil.example/v1",
    "https://notapi.openai.com.evil.example",
    "https://openai.com/v1",
    "http://127.0.0.1.evil.example/v1",
    "http://localhost.evil.example/v1",
    "http://10.0.0.5/v1",
    "http://169.254.169.254/latest",
    "http://[fe80::1]/v1",
    "http://0.0.0.0:80/v1",
    "http://localhost.:80/v1",  # it is looked up beyond this machine
]


@pytest.mark.parametrize("base", ELSEWHERE)
def test_a_file_cannot_send_calls_elsewhere(go, base, monkeypatch):
    """Nothing is sent: neither a key nor the input, nor a request into the user's own network."""
    monkeypatch.delenv("RUNLLM_LOOPBACK_ONLY")
    with pytest.raises(NotAllowedError) as caught:
        go({"model": "openai/m", "api_base": base})
    assert re.search(
        r"`--allow-base \S+` for this run, or `runllm config set allowed_bases ", caught.value.recovery_hint
    )
    assert caught.value.details["setting"] == "allowed_bases"


@pytest.mark.parametrize(
    "base",
    [
        "https://api.openai.com@evil.example/v1",
        "https://evil.example\\@api.openai.com/v1",
        "https://evil.example#@api.openai.com/v1",
        "https://api.openai.com%2eevil.example/v1",
        "https://api.openai.com\u3002evil.example/v1",
        "https:///evil.example",
        "//evil.example",
        "file:///etc/passwd",
        "http://127.0.0.1:8000/any/path?x=",
        "https://api.openai.com/v1?key=",
    ],
)
def test_an_address_that_could_be_read_in_two_ways_is_none(go, base):
    """It is refused when the file is checked."""
    with pytest.raises(RunllmError) as caught:
        go({"model": "openai/m", "api_base": base})
    assert caught.value.code == "RLLM_002"


@pytest.fixture
def warned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What checking a file with this `llm` warns of, under these settings of the user."""

    def check(llm: dict[str, Any], user: str = "") -> list[tuple[str, str]]:
        (tmp_path / "user.toml").write_text(user, encoding="utf-8")
        monkeypatch.setenv("RUNLLM_CONFIG", str(tmp_path / "user.toml"))
        path = tmp_path / "app.rllm"
        path.write_text(APP.replace("LLM", json.dumps(llm)), encoding="utf-8")
        report = runllm.validate(path)
        assert report.ok
        assert all(problem.span and problem.hint for problem in report.problems)
        return [(problem.kind, problem.span.text[problem.span.column - 1 :]) for problem in report.problems]

    return check


STRANGE = {"model": "openai/m", "api_base": "https://evil.example/v1", "api_key_env": "MY_OWN"}


def test_checking_a_file_shows_what_it_would_be_refused(warned):
    """All of it at once, each at its own place."""
    found = warned({**STRANGE, "fallbacks": ["openai/n", "opnai/m"]})
    assert [kind for kind, _ in found] == ["NotAllowedError", "NotAllowedError", "ModelNotFoundError"]
    assert [text[1:].partition('"')[0] for _, text in found] == ["https://evil.example/v1", "MY_OWN", "opnai/m"]


@pytest.mark.parametrize(
    "user",
    [
        'allowed_bases = ["https://evil.example"]\nallowed_keys = ["MY_OWN"]',
        '[models."openai/*"]\napi_base = "https://mine.example"\napi_key_env = "MY_OWN"',
    ],
    ids=["allowed", "set by the user"],
)
def test_what_the_user_allows_is_no_warning(warned, user):
    assert warned(STRANGE, user) == []


def test_an_alias_of_the_users_is_a_model(warned):
    assert [kind for kind, _ in warned({"model": "fast"})] == ["ModelNotFoundError"]
    assert warned({"model": "fast"}, '[aliases]\nfast = "openai/m"') == []


@pytest.mark.parametrize(
    "model", ["openai/m", "gpt-4o-mini", "azure/d", "local/smollm2-135m", "local/hf:org/repo:a.gguf"]
)
def test_a_model_that_can_be_had_is_no_warning(warned, model, monkeypatch, tmp_path):
    """Whether or not its key is set, or it has been pulled."""
    for name in KEYS:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RUNLLM_MODELS", str(tmp_path / "none"))
    assert warned({"model": model}) == []


@pytest.mark.parametrize("model", ["local/smolm2-135m", "local/nowhere.gguf", "local/hf:repo", "gpt-4o-mni", "./x"])
def test_a_model_that_nobody_knows_is_a_warning(warned, model):
    assert [kind for kind, _ in warned({"model": model})] == ["ModelNotFoundError"]


def test_the_apps_that_a_file_uses_are_looked_at_too(tmp_path):
    child = APP.replace("LLM", json.dumps(STRANGE))
    (tmp_path / "child.rllm").write_text(child, encoding="utf-8")
    top = APP.replace("llm: LLM", "uses: [{name: one, path: ./child.rllm}]\noutput: {n: '{{ uses.one.n }}'}")
    (tmp_path / "top.rllm").write_text(top.replace("Give a number.\n", ""), encoding="utf-8")
    report = runllm.validate(tmp_path / "top.rllm")
    assert report.ok
    assert [str(problem).partition(" of ")[0].rpartition("top.rllm:")[2] for problem in report.problems] == [
        "9:26: `one`: in ./child.rllm:9:40: the file sends the calls",
        "9:26: `one`: in ./child.rllm:9:82: the file wants the value",
    ]


@pytest.mark.parametrize("model", ["azure/d", "databricks/d", "azure_ai/d"])
@pytest.mark.parametrize("host", ["x.openai.azure.com", "x.cloud.databricks.com", "x.services.ai.azure.com"])
def test_a_host_that_anyone_can_rent_is_not_the_providers_own(go, model, host, monkeypatch):
    """Below these domains customers have names of their own."""
    monkeypatch.delenv("RUNLLM_LOOPBACK_ONLY")
    with pytest.raises(NotAllowedError):
        go({"model": model, "api_base": f"https://{host}/v1", "api_version": "1"})


@pytest.mark.parametrize(
    "model",
    [
        "huggingface/https://evil.example/x",
        "openai/../../x",
        "baseten/x.evil.example//a",
        "replicate/a?b=c",
        "ollama/a#b",
    ],
)
def test_a_models_name_cannot_be_an_address(go, model, monkeypatch):
    """Some providers make their address out of it."""
    monkeypatch.delenv("RUNLLM_LOOPBACK_ONLY")
    with pytest.raises(RunllmError, match="is not the name of a model"):
        go({"model": model})


@pytest.mark.parametrize(
    "allow",
    [
        {"user": 'allowed_bases = ["{root}"]'},
        {"user": 'allowed_bases = ["https://other.example", "{root}/v1"]'},
        {"allowed_bases": ["{root}/v1/"]},
        {"environment": "{root}"},
    ],
    ids=["settings", "path", "caller", "environment"],
)
def test_an_address_that_the_user_allows_gets_the_providers_key(go, allow, monkeypatch):
    """By setting, by environment, or for one run; the key of the provider alone."""
    with Provider() as provider:
        given = {
            name: value.replace("{root}", provider.root)
            if isinstance(value, str)
            else [item.replace("{root}", provider.root) for item in value]
            for name, value in allow.items()
        }
        if "environment" in given:
            monkeypatch.setenv("RUNLLM_ALLOWED_BASES", given.pop("environment"))
        go({"model": "openai/m", "api_base": provider.base}, **given)
    assert sent(provider) == {"OPENAI_API_KEY"}


def test_an_allowed_path_does_not_allow_what_only_begins_like_it(go):
    """`/v1` allows `/v1/x`, and neither `/v1x` nor what leads out of it."""
    with Provider() as provider:
        go({"model": "openai/m", "api_base": provider.base}, allowed_bases=[f"{provider.root}/v"])
        with pytest.raises(RunllmError):
            go({"model": "openai/m", "api_base": f"{provider.root}/v/../v1"}, allowed_bases=[f"{provider.root}/v"])
        assert sent(provider) == set()
        go({"model": "openai/m", "api_base": provider.base}, allowed_bases=[f"{provider.root}/v1"])
    assert sent(provider) == {"OPENAI_API_KEY"}


def test_a_project_cannot_allow_addresses_or_variables(go, tmp_path):
    """Its settings come with its files."""
    for setting in ('allowed_bases = ["https://evil.example"]', 'allowed_keys = ["MY_OWN"]'):
        (tmp_path / "runllm.toml").write_text(setting, encoding="utf-8")
        with pytest.raises(RunllmError) as caught:
            go({"model": "openai/m"})
        assert caught.value.code == "RLLM_026"


@pytest.mark.parametrize("path", ["/v1", "/any/path", ""])
def test_a_server_on_this_machine_gets_a_key_only_where_the_user_allows_the_address(go, path):
    """A file names a port and a path, and may not reach any service of this machine with a key, named or not."""
    with Provider() as provider:
        base = f"{provider.root}{path}"
        go({"model": "openai/m", "api_base": base})
        go({"model": "openai/m", "api_base": base, "api_key_env": "OPENAI_API_KEY"})
        assert sent(provider) == set()
        go({"model": "openai/m", "api_base": base, "api_key_env": "OPENAI_API_KEY"}, allowed_bases=[base])
    assert sent(provider) == {"OPENAI_API_KEY"}


@pytest.mark.parametrize("model", ["databricks/m", "bedrock/anthropic.claude-v2", "bedrock_mantle/m"])
def test_a_session_is_not_signed_in_with_at_an_address_of_the_files(go, model, monkeypatch):
    """LiteLLM would send an id and a secret that it finds in the environment, whatever key it is given."""
    for name in ("DATABRICKS_CLIENT_ID", "DATABRICKS_CLIENT_SECRET", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "planted-0123456789")
    with Provider() as provider:
        with pytest.raises(NotAllowedError, match="as you are signed in"):
            go({"model": model, "api_base": provider.base})
        assert provider.requests == []


@pytest.mark.parametrize(
    "base", ["http://u:p@127.0.0.1:1/v1", "http://127.0.0.1:1/v1?x=1", "http://m\u00fcnchen.example", "127.0.0.1:1"]
)
def test_an_address_of_the_users_that_cannot_be_called_is_told(go, base, monkeypatch):
    """By the name of its variable: it may hold a password."""
    monkeypatch.setenv("OPENAI_BASE_URL", base)
    with pytest.raises(RunllmError, match="OPENAI_BASE_URL holds no address that can be called") as caught:
        go({"model": "openai/m"})
    assert base not in json.dumps(caught.value.payload())


def test_calls_to_this_machine_go_past_a_proxy(tmp_path):
    """Behind one, another machine would be meant, and would get prompt and key."""
    with Provider() as proxy, Provider() as provider:
        path = tmp_path / "app.rllm"
        path.write_text(
            APP.replace("LLM", json.dumps({"model": "openai/m", "api_base": provider.base})), encoding="utf-8"
        )
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        environment |= {
            "HTTP_PROXY": proxy.root,
            "HTTPS_PROXY": proxy.root,
            "RUNLLM_STATS": "off",
            "RUNLLM_CONFIG": os.devnull,
        }
        done = subprocess.run(
            [sys.executable, "-m", "runllm", "run", str(path)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert (done.returncode, proxy.requests) == (0, []), done.stderr
    assert len(provider.chats) == 1


def test_a_key_that_was_not_sent_is_told_when_the_server_wants_one(go):
    """Else its user looks for a mistake in the key."""
    with Provider(failure(401, "who are you")) as provider, pytest.raises(AuthenticationError) as caught:
        go({"model": "openai/m", "api_base": provider.base, "api_key_env": "OPENAI_API_KEY"})
    assert f"--allow-base {provider.root}" in caught.value.recovery_hint


def test_an_address_that_an_app_of_the_app_names_is_found_before_anything_is_sent(tmp_path, engine, monkeypatch):
    """What a file uses is a stranger's as well."""
    monkeypatch.delenv("RUNLLM_LOOPBACK_ONLY")
    with Provider() as provider:
        child = APP.replace("LLM", '{"model": "openai/m", "api_base": "https://evil.example/v1"}')
        (tmp_path / "child.rllm").write_text(child, encoding="utf-8")
        mine = APP.replace("LLM", json.dumps({"model": "openai/m", "api_base": provider.base}))
        mine = mine.replace("llm_params: {}", "llm_params: {}\nuses: [{name: child, path: ./child.rllm, with: {}}]")
        (tmp_path / "app.rllm").write_text(mine.replace("number.", "number: {{ uses.child.n }}."), encoding="utf-8")
        with pytest.raises(NotAllowedError) as caught:
            runllm.load(tmp_path / "app.rllm", runtime=Runtime(engine=engine)).run({})
    assert provider.requests == []
    assert caught.value.trail == ("stranger", "child")


# --- variables --------------------------------------------------------------------------------------


@pytest.mark.parametrize("variable", ["MY_OWN", "ANTHROPIC_API_KEY", "AWS_SECRET_ACCESS_KEY", "PATH", "HOME"])
def test_a_file_cannot_name_just_any_variable(go, variable):
    """Not even for a server on this machine."""
    with Provider() as provider, pytest.raises(NotAllowedError) as caught:
        go({"model": "openai/m", "api_base": provider.base, "api_key_env": variable})
    assert provider.requests == []
    assert f"runllm config set allowed_keys {variable}" in caught.value.recovery_hint
    assert KEYS.get(variable, "zz-") not in json.dumps(caught.value.payload())


@pytest.mark.parametrize("user", ['allowed_keys = ["MY_OWN"]', '[models."openai/*"]\napi_key_env = "MY_OWN"'])
def test_a_variable_that_the_user_allows_is_sent(go, user):
    """To a server that may get a key."""
    with Provider() as provider:
        llm = {"model": "openai/m", "api_base": provider.base, "api_key_env": "MY_OWN"}
        go(llm, user=user)
        assert sent(provider) == set()
        go(llm, user=user, allowed_bases=[provider.root])
    assert sent(provider) == {"MY_OWN"}


def test_the_users_own_key_does_not_go_to_the_files_address(go, monkeypatch):
    """A key that the user set for a model is for where the user reaches it."""
    monkeypatch.delenv("RUNLLM_LOOPBACK_ONLY")
    with pytest.raises(NotAllowedError):
        go(
            {"model": "openai/m", "api_base": "https://evil.example/v1"},
            user='[models."openai/*"]\napi_key_env = "MY_OWN"',
        )


def test_a_provider_outside_the_table_has_the_variable_named_like_it(go):
    """So a file for any of LiteLLM's providers can be written."""
    with Provider() as provider:
        llm = {"model": "empower/m", "api_base": provider.base, "api_key_env": "EMPOWER_API_KEY"}
        with pytest.raises(MissingCredentialError):
            go(llm, allowed_bases=[provider.root])


def test_a_fallback_elsewhere_is_left_out(go):
    """What a file may not ask for first, it may not ask for later."""
    with Provider(answer('{"n": 1}')) as provider:
        user = f'[models."openai/a"]\napi_base = "{provider.base}"\n'
        result = go(
            {"model": "openai/a", "api_key_env": "OPENAI_API_KEY", "api_base": "https://evil.example/v1",
             "fallbacks": ["openai/b"]},
            user=user,
        )  # fmt: skip
    assert any("openai/b cannot be used" in warning for warning in result.warnings)
    assert sent(provider) == {"OPENAI_API_KEY"}


STEERS = [
    "api_key", "base_url", "extra_headers", "watsonx_url", "sagemaker_base_url", "apikey",
    "account_id", "tenant_id", "predibase_tenant_id", "workspace_id", "project_id", "organization", "org_id", "gdc_project",
    "username", "user_agent", "media_source_s3_uri", "use_psc_endpoint_format", "is_vertex_request", "_hidden_params",
    "litellm_logging_obj", "logger_fn", "callbacks", "success_callback", "langfuse_host", "user_api_key_auth",
    "mongodb_connection_string", "custom_llm_provider", "model_id", "mcp_servers", "vector_store_ids", "fallbacks",
    "mock_response", "aws_region_name", "vertex_credentials", "ssl_verify", "prompt_id", "gcs_bucket_name", "original_function",
]  # fmt: skip


@pytest.mark.parametrize("name", STEERS)
def test_what_only_a_provider_knows_is_no_way_out(go, name):
    """Names that say where a call goes, as whom, or who is told are refused, also for a server on this machine."""
    with Provider() as provider:
        with pytest.raises(RunllmError, match="steers the client itself"):
            go({"model": "openai/m", "api_base": provider.base, "provider_params": {name: "x"}})
        assert provider.requests == []


@pytest.mark.parametrize("name", ["anything", "top_kk", "frobnicate", "n_probs"])
def test_a_provider_gets_only_the_parameters_that_it_is_known_to_take(go, warned, name, monkeypatch):
    """A server on this machine, or one that the user allows, gets any."""
    monkeypatch.delenv("RUNLLM_LOOPBACK_ONLY")
    with pytest.raises(NotAllowedError, match=f"`{name}` is not a parameter that `openai` is known to take"):
        go({"model": "openai/m", "provider_params": {name: 1}})
    assert [kind for kind, _ in warned({"model": "openai/m", "provider_params": {name: 1}})] == ["NotAllowedError"]
    with Provider() as provider:
        go({"model": "openai/m", "api_base": provider.base, "provider_params": {name: 1}})
        go(
            {"model": "openai/m", "api_base": provider.base, "provider_params": {name: 1}},
            allowed_bases=[provider.root],
        )
        monkeypatch.setenv("OPENAI_BASE_URL", provider.base)
        go({"model": "openai/m", "provider_params": {name: 1}})
    assert [chat.body[name] for chat in provider.chats] == [1, 1, 1]


@pytest.mark.parametrize(
    ("model", "params"),
    [
        ("openai/m", {"top_k": 1}),
        ("openrouter/m", {"provider": {"order": ["a"]}, "transforms": []}),
        ("mistral/m", {"safe_prompt": True}),
        ("groq/m", {"reasoning_format": "hidden"}),
        ("gemini/gemini-2.5-pro", {"safety_settings": []}),
        ("ollama/m", {"num_ctx": 4096}),
    ],
)
def test_a_parameter_that_a_provider_takes_is_no_warning(warned, model, params):
    assert warned({"model": model, "provider_params": params}) == []


# --- redirects --------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Items? .* on TypedDict")  # LiteLLM's own, when it imports what speaks to Gemini
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("model", "key"),
    [
        ("openai/m", "OPENAI_API_KEY"),
        ("anthropic/claude-sonnet-4-5", "ANTHROPIC_API_KEY"),
        ("gemini/gemini-2.5-pro", "GEMINI_API_KEY"),
        ("azure/d", "AZURE_API_KEY"),
        ("ollama/m", None),
        ("hosted_vllm/m", None),
    ],
)
def test_no_redirect_is_followed(go, model, key, status):
    """LiteLLM would take `x-api-key` along, and the prompt with it."""
    with Provider() as elsewhere, Provider() as provider:
        there = elsewhere.base.replace("127.0.0.1", "localhost") + "/chat/completions?secret=1"
        provider.script(Reply(status=status, body="", headers={"Location": there}))
        base = provider.root if model.startswith(("anthropic", "ollama")) else provider.base
        llm = {"model": model, "api_base": base, "api_version": "2024-02-01", "num_retries": 0}
        with pytest.raises(ProviderConnectionError, match="redirect") as caught:
            go({**llm, "api_key_env": key} if key else llm, allowed_bases=[provider.root])
    assert sent(provider) == ({key} if key else set())
    assert elsewhere.requests == []
    assert "secret=1" not in str(caught.value)
