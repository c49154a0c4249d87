"""What is known about providers without importing LiteLLM: their names, variables, hosts and ways.

Most of it was measured (`tools/gen_providers.py`): LiteLLM was called and watched.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

from runllm.diagnostics import nearest
from runllm.engines import table
from runllm.errors import ModelNotFoundError
from runllm.values import frozen

OLLAMA_ADDRESS = "http://localhost:11434"


_SIGNS_IN = "signs in by hand in a browser, which a run cannot do"
_NO_CHAT = "completes a text and does not chat; name the model as `openai/...` or `azure/...`"
_UNSEEN = "uses a client that cannot be guarded; name the server as `openai/...`"
_REPLACES = "would replace the prompt or the model behind the runtime's back"
_UNUSABLE: Mapping[str, str] = {
    "github_copilot": _SIGNS_IN, "chatgpt": _SIGNS_IN, "langfuse": _REPLACES, "humanloop": _REPLACES,
    "aiohttp_openai": _UNSEEN, "text-completion-openai": _NO_CHAT, "text-completion-inception": _NO_CHAT,
    "azure_text": _NO_CHAT, "dotprompt": _REPLACES, "auto_router": _REPLACES, "litellm_agent": _REPLACES,
}  # fmt: skip


@frozen
class Provider:
    """What a provider needs.

    Attributes:
        keys: variables that may hold its key, one is enough.
        hosts: where its calls go, as `is_place` reads it; none where its customers have names of their own there.
        bases: variables that may hold its address, or addresses made of one: `https://{ACCOUNT}.example.com`.
        local: its address when none is given, for a server on this machine.
        addressed: whether it has no address of its own.
        keeps_base: whether LiteLLM's code for it calls the address that it is given, and no other.
        keyless: whether it may need no key, as a server of the user's own.
        tokens: variables that LiteLLM reads itself when there is no key, to sign in otherwise.
        session: whether it signs in as the user is signed in on this machine.
        signs_in: where it does either.
        params: what it takes beyond `llm_params`.
    """

    keys: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    local: str | None = None
    addressed: bool = False
    keeps_base: bool = False
    keyless: bool = False
    tokens: tuple[str, ...] = ()
    session: bool = False
    signs_in: tuple[str, ...] = ()
    params: tuple[str, ...] = ()


_AWS = {
    "session": True,
    "signs_in": ("sts.amazonaws.com", "sts.{region}.amazonaws.com", "oidc.{region}.amazonaws.com",
                 "portal.sso.{region}.amazonaws.com", "http://169.254.169.254", "http://169.254.170.2",
                 "http://169.254.170.23"),
}  # fmt: skip
_GOOGLE = {
    "session": True,
    "hosts": ("aiplatform.googleapis.com", "{region}-aiplatform.googleapis.com", "aiplatform.eu.rep.googleapis.com",
              "aiplatform.us.rep.googleapis.com", "aiplatform.{region}.rep.googleapis.com"),
    "signs_in": ("oauth2.googleapis.com", "sts.googleapis.com", "iamcredentials.googleapis.com",
                 "http://metadata.google.internal", "http://169.254.169.254"),
}  # fmt: skip
_AZURE = {
    "keys": ("AZURE_API_KEY", "AZURE_OPENAI_API_KEY"),
    "tokens": ("AZURE_AD_TOKEN", "AZURE_OPENAI_AD_TOKEN", "AZURE_CLIENT_SECRET"),
    "bases": ("AZURE_API_BASE",), "addressed": True, "signs_in": ("login.microsoftonline.com",),
}  # fmt: skip
_OLLAMA = {
    "local": "http://localhost:11434",
    "keys": ("OLLAMA_API_KEY",),
    "hosts": ("ollama.com",),
    "keyless": True,
    "keeps_base": True,
}
_SAGEMAKER = {**_AWS, "hosts": ("runtime.sagemaker.{region}.amazonaws.com",)}
_WATSONX = {
    "keys": ("WATSONX_API_KEY", "WATSONX_APIKEY"), "tokens": ("WATSONX_TOKEN", "WATSONX_ZENAPIKEY"),
    "bases": ("WATSONX_API_BASE", "WATSONX_URL"), "hosts": ("{region}.ml.cloud.ibm.com",), "addressed": True,
    "signs_in": ("iam.cloud.ibm.com",),
}  # fmt: skip

# What calling a provider does not show, or shows otherwise than it is meant; it counts before what was measured.
_KNOWN: Mapping[str, Mapping[str, Any]] = {
    "anthropic": {"keys": ("ANTHROPIC_API_KEY",), "tokens": ("ANTHROPIC_AUTH_TOKEN",)},
    "azure": _AZURE,
    "azure_ai": {"keys": ("AZURE_AI_API_KEY",), "addressed": True},
    "bedrock": {
        **_AWS,
        "hosts": ("bedrock-runtime.{region}.amazonaws.com", "bedrock-runtime-fips.{region}.amazonaws.com",
                  "bedrock-agent-runtime.{region}.amazonaws.com", "bedrock-agentcore.{region}.amazonaws.com",
                  "bedrock-mantle.{region}.api.aws"),
    },
    "bedrock_mantle": {**_AWS, "hosts": ("bedrock-mantle.{region}.api.aws",)},
    "dashscope": {"hosts": ("dashscope.aliyuncs.com", "dashscope-intl.aliyuncs.com")},
    "databricks": {"keys": ("DATABRICKS_API_KEY",), "tokens": ("DATABRICKS_CLIENT_SECRET",), "session": True,
                   "bases": ("DATABRICKS_API_BASE",), "addressed": True},
    "docker_model_runner": {"local": "http://localhost:22088/engines/llama.cpp"},
    "gigachat": {"keys": ("GIGACHAT_API_KEY",), "tokens": ("GIGACHAT_ACCESS_TOKEN", "GIGACHAT_CREDENTIALS"),
                 "signs_in": ("ngw.devices.sberbank.ru:9443",)},
    "heroku": {"keys": ("HEROKU_API_KEY",), "addressed": True},
    "hosted_vllm": {"addressed": True, "keyless": True},
    "huggingface": {"keys": ("HF_TOKEN", "HUGGINGFACE_API_KEY"),
                    "hosts": ("router.huggingface.co", "huggingface.co/api/models")},
    "litellm_proxy": {"bases": ("LITELLM_PROXY_API_BASE",)},
    "llamafile": {"local": "http://127.0.0.1:8080/v1"},
    "lm_studio": {"local": "http://localhost:1234/v1", "keyless": True},
    "mistral": {"keys": ("MISTRAL_API_KEY",), "bases": ("MISTRAL_API_BASE",)},
    "nebius": {"hosts": ("api.studio.nebius.ai", "api.tokenfactory.nebius.com")},
    "oci": {"session": True, "hosts": ("inference.generativeai.{region}.oci.oraclecloud.com",),
            "signs_in": ("auth.{region}.oraclecloud.com",)},
    "ollama": _OLLAMA,
    "ollama_chat": _OLLAMA,
    "openai": {"hosts": ("api.openai.com", "eu.api.openai.com", "us.api.openai.com")},
    "sagemaker": _SAGEMAKER,
    "sagemaker_chat": _SAGEMAKER,
    "sagemaker_nova": _SAGEMAKER,
    "sap": {"session": True},
    "snowflake": {"hosts": (), "bases": ("SNOWFLAKE_API_BASE", "https://{SNOWFLAKE_ACCOUNT_ID}.snowflakecomputing.com/api/v2"),
                  "addressed": True},
    "together_ai": {"hosts": ("api.together.ai", "api.together.xyz")},
    "vertex_ai": _GOOGLE,
    "vertex_ai_beta": _GOOGLE,
    "watsonx": _WATSONX,
    "watsonx_text": _WATSONX,
    "xinference": {"local": "http://127.0.0.1:9997/v1", "bases": ("XINFERENCE_API_BASE",), "keyless": True},
}  # fmt: skip


def _rows() -> dict[str, Provider]:
    """Every provider that something is known of: as it was measured (`tools/gen_providers.py`), and as stands above."""
    measured: dict[str, Any] = json.loads(Path(__file__).with_name("providers.json").read_text(encoding="utf-8"))
    names = sorted({*measured, *_KNOWN} - {"$comment", *_UNUSABLE})
    return {name: _row({**measured.get(name, {}), **_KNOWN.get(name, {})}, name) for name in names}


def _row(facts: Mapping[str, Any], name: str) -> Provider:
    """A provider; one that has neither a host nor a key of its own runs on a server of the user's."""
    found: dict[str, Any] = {
        key: tuple(cast("list[str]", value)) if isinstance(value, list) else value for key, value in facts.items()
    }
    served = "local" in found or not any(found.get(fact) for fact in ("hosts", "keys", "session"))
    defaults: dict[str, Any] = {"keys": () if found.get("session") else (variable_named_like(name),), "keyless": served}
    filled: dict[str, Any] = {**defaults, "addressed": served and "local" not in found, **found}
    return Provider(**filled)


def variable_named_like(provider: str) -> str:
    """The variable that is named like a provider: for one that nothing is known of, its key is there or nowhere."""
    return f"{re.sub(r'[^A-Z0-9]', '_', provider.removesuffix('_chat').upper())}_API_KEY"


PROVIDERS: Mapping[str, Provider] = _rows()


# Parameters of a provider's own, from its documentation, which LiteLLM's configuration of it does not list.
_OWN_PARAMS: Mapping[str, str] = {
    "anthropic": "top_k cache_control",
    "bedrock": "top_k topK guardrailConfig performanceConfig requestMetadata additionalModelRequestFields",
    "cerebras": "reasoning_format",
    "cohere": "k p documents citation_options safety_mode",
    "cohere_chat": "k p documents citation_options safety_mode",
    "dashscope": "top_k enable_search search_options thinking_budget repetition_penalty incremental_output",
    "gemini": "top_k safety_settings thinkingConfig cached_content response_json_schema media_resolution",
    "groq": "reasoning_format include_reasoning",
    "mistral": "safe_prompt random_seed prompt_mode",
    "openai": "reasoning text truncation include",
    "openrouter": "provider models route transforms plugins reasoning include_reasoning usage prediction",
    "perplexity": "search_domain_filter search_recency_filter search_mode return_images return_related_questions "
                  "search_after_date_filter search_before_date_filter",
    "vercel_ai_gateway": "providerOptions",
    "vertex_ai": "top_k safety_settings thinkingConfig cached_content response_json_schema media_resolution",
    "xai": "search_parameters",
    "zai": "do_sample request_id",
}  # fmt: skip
_SAMPLING = (  # what servers of open models take, whoever runs them
    "top_k min_p top_a typical_p repeat_penalty repetition_penalty min_tokens length_penalty no_repeat_ngram_size "
    "enable_thinking chat_template_kwargs ignore_eos"
)
_OLLAMAS = (
    "num_ctx num_predict num_gpu num_thread keep_alive think mirostat mirostat_eta mirostat_tau tfs_z repeat_last_n"
)


def takes(provider: str) -> frozenset[str]:
    """The parameters beyond `llm_params` that a provider is known to take."""
    own = _OLLAMAS if provider in ("ollama", "ollama_chat") else _OWN_PARAMS.get(provider, "")
    return frozenset([*facts(provider).params, *own.split(), *_SAMPLING.split()])


def facts(name: str) -> Provider:
    """What is known of a provider; where nothing is, its calls go nowhere but to what the user allows."""
    return PROVIDERS.get(name) or Provider(keys=(variable_named_like(name),))


# --- names ------------------------------------------------------------------------------------------


_NAME = re.compile(r"[\w.:@/+~=,-]{1,500}")
_ADDRESSES_GO = "Write `provider/model`; an address goes into `llm.api_base`."


def provider_of(model: str) -> str:
    """The provider of a model: its prefix, or for a bare name what LiteLLM's price table says.

    Raises:
        ModelNotFoundError: no provider is known, or it is one that cannot be used; or the name holds what could be
            read as an address: some providers make theirs out of it.
    """
    if _NAME.fullmatch(model) is None or "//" in model or ".." in model:
        raise ModelNotFoundError(f"`{model}` is not the name of a model", hint=_ADDRESSES_GO)
    prefix = model.partition("/")[0] if "/" in model else ""
    known = prefix in PROVIDERS or prefix in _UNUSABLE or (prefix and prefix in names())
    entry = None if known else table.entry(model)
    name = prefix if known else table.family(entry) if entry else ""
    if name in _UNUSABLE:
        raise ModelNotFoundError(f"`{model}` cannot be used: `{name}` {_UNUSABLE[name]}")
    if not name:
        raise ModelNotFoundError(f"`{model}` names no provider that is known", hint=_suggestion(model))
    if entry and entry.get("mode", "chat") not in ("chat", "completion", "responses"):
        raise ModelNotFoundError(f"`{model}` is not a chat model but for `{entry['mode']}`")
    return name


def _suggestion(model: str) -> str:
    prefix, slash, rest = model.partition("/")
    near = nearest(prefix, sorted({*PROVIDERS, *names()})) if slash else nearest(model, table.all_models())
    if near is None:
        return "Write `provider/model`; for a server of your own, `openai/MODEL` with `llm.api_base`."
    return f"Did you mean `{near}{slash}{rest}`?"


@cache
def names() -> frozenset[str]:
    """The provider names of the installed LiteLLM, from its source."""
    text = table.source("types/utils.py").partition("class LlmProviders(")[2].partition("\nclass ")[0]
    named = re.findall(r'^    [A-Z0-9_]+ = "([^"]+)"', text, re.MULTILINE)
    listed: dict[str, Any] = json.loads(table.source("llms/openai_like/providers.json") or "{}")
    return frozenset([*named, *listed])
