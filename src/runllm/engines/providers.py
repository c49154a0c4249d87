"""What is known about providers without importing LiteLLM: names, keys and addresses.

The rule for what a file may ask for: it may send a call to its provider's own hosts, to this machine, or to an
address that the user set or allowed, and name the provider's own variables or those that the user allowed. The
provider's key goes along only to the provider's own hosts, or where the user wants it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import field
from functools import cache
from typing import Any

from runllm.diagnostics import nearest
from runllm.engines import table
from runllm.engines.addresses import is_at, is_loopback, ollama_address, origin
from runllm.errors import MissingCredentialError, ModelNotFoundError, NotAllowedError, ProviderConnectionError
from runllm.exchange import Endpoint
from runllm.redaction import name_secret
from runllm.values import frozen

LOOPBACK_ONLY = "RUNLLM_LOOPBACK_ONLY"
PLACEHOLDER_KEY = "no-key"  # clients insist on one, and would else take the provider's from the environment


@frozen
class Provider:
    """What a provider needs.

    Attributes:
        keys: variables that may hold its key, one is enough; empty when it needs none or has its own ways.
        hosts: where its key may be sent, with what is below; none where its customers have names of their own there.
        bases: variables that may hold its address.
        local: its address when none is given, for a server on this machine.
        addressed: whether it has no address of its own.
    """

    keys: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    local: str | None = None
    addressed: bool = False


@frozen
class Access:
    """How LiteLLM is to reach a model.

    Attributes:
        provider: the provider's name.
        model: the model's name as LiteLLM is given it.
        api_base: the address; None for the provider's own.
        api_key: the key to send; None to let LiteLLM find the provider's own.
    """

    provider: str
    model: str
    api_base: str | None
    api_key: str | None = field(repr=False)


def _hosted(host: str, *keys: str, bases: tuple[str, ...] = ()) -> Provider:
    return Provider(keys=keys, hosts=(host,), bases=bases)


_OLLAMA = Provider(hosts=("ollama.com",), bases=("OLLAMA_API_BASE",), local="http://localhost:11434")

PROVIDERS: Mapping[str, Provider] = {
    "ai21": _hosted("api.ai21.com", "AI21_API_KEY"),
    "anthropic": _hosted("api.anthropic.com", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN",
                         bases=("ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL")),
    "azure": Provider(keys=("AZURE_API_KEY", "AZURE_OPENAI_API_KEY", "AZURE_AD_TOKEN", "AZURE_CLIENT_SECRET"),
                      bases=("AZURE_API_BASE",), addressed=True),
    "azure_ai": Provider(keys=("AZURE_AI_API_KEY",), bases=("AZURE_AI_API_BASE",), addressed=True),
    "baseten": _hosted("inference.baseten.co", "BASETEN_API_KEY"),
    "bedrock": Provider(),
    "cerebras": _hosted("api.cerebras.ai", "CEREBRAS_API_KEY", bases=("CEREBRAS_API_BASE",)),
    "codestral": _hosted("codestral.mistral.ai", "CODESTRAL_API_KEY"),
    "cohere": _hosted("api.cohere.com", "COHERE_API_KEY", "CO_API_KEY"),
    "cohere_chat": _hosted("api.cohere.com", "COHERE_API_KEY", "CO_API_KEY"),
    "dashscope": Provider(keys=("DASHSCOPE_API_KEY",), bases=("DASHSCOPE_API_BASE",),
                          hosts=("dashscope.aliyuncs.com", "dashscope-intl.aliyuncs.com")),
    "databricks": Provider(keys=("DATABRICKS_API_KEY", "DATABRICKS_CLIENT_SECRET"), bases=("DATABRICKS_API_BASE",)),
    "deepinfra": _hosted("api.deepinfra.com", "DEEPINFRA_API_KEY"),
    "deepseek": _hosted("api.deepseek.com", "DEEPSEEK_API_KEY", bases=("DEEPSEEK_API_BASE",)),
    "docker_model_runner": Provider(bases=("DOCKER_MODEL_RUNNER_API_BASE",),
                                    local="http://localhost:22088/engines/llama.cpp"),
    "fireworks_ai": _hosted("api.fireworks.ai", "FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY",
                            "FIREWORKSAI_API_KEY", "FIREWORKS_AI_TOKEN", bases=("FIREWORKS_API_BASE",)),
    "gemini": _hosted("generativelanguage.googleapis.com", "GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "github": _hosted("models.inference.ai.azure.com", "GITHUB_API_KEY"),
    "groq": _hosted("api.groq.com", "GROQ_API_KEY", bases=("GROQ_API_BASE",)),
    "hosted_vllm": Provider(bases=("HOSTED_VLLM_API_BASE",), addressed=True),
    "huggingface": _hosted("router.huggingface.co", "HF_TOKEN", "HUGGINGFACE_API_KEY"),
    "hyperbolic": _hosted("api.hyperbolic.xyz", "HYPERBOLIC_API_KEY"),
    "litellm_proxy": Provider(bases=("LITELLM_PROXY_API_BASE",), addressed=True),
    "llamafile": Provider(bases=("LLAMAFILE_API_BASE",), local="http://127.0.0.1:8080/v1"),
    "lm_studio": Provider(bases=("LM_STUDIO_API_BASE",), local="http://localhost:1234/v1"),
    "meta_llama": _hosted("api.llama.com", "LLAMA_API_KEY"),
    "minimax": _hosted("api.minimax.io", "MINIMAX_API_KEY"),
    "mistral": _hosted("api.mistral.ai", "MISTRAL_API_KEY", bases=("MISTRAL_API_BASE",)),
    "moonshot": _hosted("api.moonshot.ai", "MOONSHOT_API_KEY", bases=("MOONSHOT_API_BASE",)),
    "nebius": _hosted("api.tokenfactory.nebius.com", "NEBIUS_API_KEY"),
    "novita": _hosted("api.novita.ai", "NOVITA_API_KEY"),
    "nvidia_nim": _hosted("integrate.api.nvidia.com", "NVIDIA_NIM_API_KEY", bases=("NVIDIA_NIM_API_BASE",)),
    "ollama": _OLLAMA,
    "ollama_chat": _OLLAMA,
    "openai": _hosted("api.openai.com", "OPENAI_API_KEY", bases=("OPENAI_BASE_URL", "OPENAI_API_BASE")),
    "openrouter": _hosted("openrouter.ai", "OPENROUTER_API_KEY", "OR_API_KEY", bases=("OPENROUTER_API_BASE",)),
    "perplexity": _hosted("api.perplexity.ai", "PERPLEXITYAI_API_KEY", "PERPLEXITY_API_KEY"),
    "replicate": _hosted("api.replicate.com", "REPLICATE_API_KEY", "REPLICATE_API_TOKEN"),
    "sagemaker": Provider(),
    "sambanova": _hosted("api.sambanova.ai", "SAMBANOVA_API_KEY", bases=("SAMBANOVA_API_BASE",)),
    "together_ai": _hosted("api.together.xyz", "TOGETHERAI_API_KEY", "TOGETHER_API_KEY", "TOGETHER_AI_API_KEY",
                           "TOGETHER_AI_TOKEN", bases=("TOGETHER_AI_API_BASE",)),
    "vercel_ai_gateway": _hosted("ai-gateway.vercel.sh", "VERCEL_AI_GATEWAY_API_KEY", "VERCEL_OIDC_TOKEN"),
    "vertex_ai": Provider(),
    "watsonx": Provider(keys=("WATSONX_API_KEY", "WATSONX_APIKEY", "WATSONX_TOKEN", "WATSONX_ZENAPIKEY"),
                        hosts=("ml.cloud.ibm.com",)),
    "xai": _hosted("api.x.ai", "XAI_API_KEY", bases=("XAI_API_BASE",)),
    "xinference": Provider(bases=("XINFERENCE_API_BASE",), local="http://127.0.0.1:9997/v1"),
    "zai": _hosted("api.z.ai", "ZAI_API_KEY"),
}  # fmt: skip

_SIGNS_IN = "signs in by hand in a browser, which a run cannot do"
_REPLACES = "would replace the prompt or the model behind the runtime's back"
_UNUSABLE: Mapping[str, str] = {
    "github_copilot": _SIGNS_IN, "chatgpt": _SIGNS_IN, "langfuse": _REPLACES, "humanloop": _REPLACES,
    "dotprompt": _REPLACES, "auto_router": _REPLACES, "litellm_agent": _REPLACES,
}  # fmt: skip


def reach(endpoint: Endpoint, environment: Mapping[str, str]) -> Access:
    """How to reach the endpoint's model.

    Args:
        endpoint: the model, what the file and the user say about its address and key, and what the user allows.
        environment: the process's variables.

    Raises:
        ModelNotFoundError: no provider of that name is known.
        NotAllowedError: the file names an address or a variable that the user has not allowed.
        MissingCredentialError: no key is set.
        ProviderConnectionError: there is no address, or `RUNLLM_LOOPBACK_ONLY=1` forbids it.
    """
    name = provider_of(endpoint.model)
    provider = PROVIDERS.get(name, Provider())
    base = _address(endpoint, name, provider, environment)
    if environment.get(LOOPBACK_ONLY) == "1" and not (base and is_loopback(base)):
        where = base or f"the address of `{name}`"
        raise ProviderConnectionError(
            f"{LOOPBACK_ONLY} is set, and {where} is not on this machine",
            details={"provider": name, "model": endpoint.model},
            hint=f"Unset {LOOPBACK_ONLY}, or give an address on 127.0.0.1.",
        )
    for refusal in refusals(endpoint, environment):
        raise refusal
    model = f"ollama_chat/{endpoint.model[7:]}" if name == "ollama" else endpoint.model
    return Access(provider=name, model=model, api_base=base, api_key=_key(endpoint, name, provider, base, environment))


def refusals(endpoint: Endpoint, environment: Mapping[str, str]) -> Iterator[NotAllowedError]:
    """What the file asks for and the user has not allowed; `details["setting"]` is what would allow it.

    Raises:
        ModelNotFoundError: no provider of that name is known.
    """
    name = provider_of(endpoint.model)
    provider = PROVIDERS.get(name, Provider())
    base, variable = endpoint.api_base, endpoint.api_key_env
    details = {"provider": name, "model": endpoint.model}
    own = _is_own(base, provider, environment) if base else True
    if base and not (own or endpoint.base_allowed or is_loopback(base)):
        yield NotAllowedError(
            f"the file sends the calls of `{endpoint.model}` to {base}, which you have not allowed",
            details=details | {"api_base": base, "setting": "allowed_bases"},
            hint=f"If you trust that server with your input and a key: `--allow-base {origin(base)}` for this run,"
            f" or `runllm config set allowed_bases {origin(base)}`.",
        )
    if variable and not endpoint.key_allowed and variable not in _own_variables(name, provider):
        yield NotAllowedError(
            f"the file wants the value of {variable} sent as the key of `{endpoint.model}`; it may only name the"
            f" provider's own variables",
            details=details | {"variable": variable, "setting": "allowed_keys"},
            hint=f"If {variable} holds a key for that server: `runllm config set allowed_keys {variable}`.",
        )


def _address(endpoint: Endpoint, name: str, provider: Provider, environment: Mapping[str, str]) -> str | None:
    base = endpoint.api_base or next(iter(_set_by_user(provider, environment)), None)
    if base is None and provider.addressed:
        raise ProviderConnectionError(
            f"`{endpoint.model}` has no address",
            details={"provider": name, "model": endpoint.model},
            hint=f"Set `llm.api_base`, or the environment variable {provider.bases[0]}.",
        )
    return base or provider.local


def _set_by_user(provider: Provider, environment: Mapping[str, str]) -> list[str]:
    """The provider's addresses in the user's environment, the strongest first."""
    found = [environment[variable] for variable in provider.bases if environment.get(variable)]
    if provider is _OLLAMA and environment.get("OLLAMA_HOST"):
        found.append(ollama_address(environment["OLLAMA_HOST"]))
    return found


def _own_variables(name: str, provider: Provider) -> tuple[str, ...]:
    """The variables that a file may name for this provider: those known, and the one that is named like it."""
    stem = name.removesuffix("_chat").upper().replace("-", "_")
    return (*provider.keys, f"{stem}_API_KEY")


def _key(
    endpoint: Endpoint, name: str, provider: Provider, base: str | None, environment: Mapping[str, str]
) -> str | None:
    wanted = (endpoint.api_key_env,) if endpoint.api_key_env else provider.keys
    if endpoint.api_key_env and environment.get(endpoint.api_key_env):
        name_secret(endpoint.api_key_env)
        return environment[endpoint.api_key_env]
    if not endpoint.api_key_env:
        if endpoint.api_base and not (endpoint.key_allowed or _is_own(endpoint.api_base, provider, environment)):
            return PLACEHOLDER_KEY
        if not wanted or any(environment.get(variable) for variable in wanted):
            return None
        if base and is_loopback(base):
            return PLACEHOLDER_KEY
    names = " or ".join(wanted)
    raise MissingCredentialError(
        f"`{endpoint.model}` needs a key, and {names} is not set",
        details={"provider": name, "model": endpoint.model, "variables": list(wanted)},
        hint=f"Set the environment variable {names}, or choose a local model with `--model local/smollm2-135m`.",
    )


def _is_own(base: str, provider: Provider, environment: Mapping[str, str]) -> bool:
    """Whether this is the provider's own address, or the one that the user's environment gives for it."""
    return base in _set_by_user(provider, environment) or is_at(base, provider.hosts)


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
    known = prefix in PROVIDERS or (prefix and prefix in _all_providers())
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
    near = nearest(prefix, sorted({*PROVIDERS, *_all_providers()})) if slash else nearest(model, table.all_models())
    if near is None:
        return "Write `provider/model`; for a server of your own, `openai/MODEL` with `llm.api_base`."
    return f"Did you mean `{near}{slash}{rest}`?"


@cache
def _all_providers() -> frozenset[str]:
    """The provider names of the installed LiteLLM, from its source."""
    text = table.source("types/utils.py").partition("class LlmProviders(")[2].partition("\nclass ")[0]
    named = re.findall(r'^    [A-Z0-9_]+ = "([^"]+)"', text, re.MULTILINE)
    listed: dict[str, Any] = json.loads(table.source("llms/openai_like/providers.json") or "{}")
    return frozenset([*named, *listed])
