"""Write `src/runllm/llm_params.schema.json`: the parameters that `llm_params` may hold.

The names come from the installed LiteLLM, read as source (importing it takes two seconds); types, ranges
and words come from the tables below. A parameter that LiteLLM takes and no table names is an error.

    python tools/gen_llm_params.py            # write the file
    python tools/gen_llm_params.py --check    # exit 1 when it is out of date
"""

from __future__ import annotations

import ast
import json
import sys
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

TARGET = Path(__file__).parent.parent / "src" / "runllm" / "llm_params.schema.json"


def _number(low: float, high: float, words: str) -> dict[str, Any]:
    return {"description": words, "type": "number", "minimum": low, "maximum": high}


def _count(words: str, **bounds: int) -> dict[str, Any]:
    return {"description": words, "type": "integer", "minimum": 1, **bounds}


def _text(words: str) -> dict[str, Any]:
    return {"description": words, "type": "string", "minLength": 1}


def _names(words: str) -> dict[str, Any]:
    return {"description": words, "type": "array", "items": {"type": "string", "minLength": 1}}


PARAMS: dict[str, dict[str, Any]] = {
    "temperature": _number(0, 2, "How random the answer is; 0 is the most repeatable."),
    "top_p": _number(0, 1, "Sample from the likeliest tokens that together have this probability."),
    "max_tokens": _count("The most tokens the answer may have."),
    "max_completion_tokens": _count("The most tokens of answer and reasoning together."),
    "stop": {
        "description": "One text, or up to 4, at which the answer ends.",
        "anyOf": [
            {"type": "string", "minLength": 1},
            {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1, "maxItems": 4},
        ],
    },
    "seed": {"description": "Ask for the same answer to the same request.", "type": "integer"},
    "presence_penalty": _number(-2, 2, "Above 0, discourages tokens that are in the text already."),
    "frequency_penalty": _number(-2, 2, "Above 0, discourages tokens the more often they are in the text."),
    "n": {"description": "How many answers; a run uses one.", "const": 1},
    "logit_bias": {
        "description": "A bias from -100 to 100 for each token number.",
        "type": "object",
        "additionalProperties": {"type": "number", "minimum": -100, "maximum": 100},
    },
    "logprobs": {"description": "Ask for the log probability of each token.", "type": "boolean"},
    "top_logprobs": {
        "description": "How many likely tokens to report at each place.",
        "type": "integer",
        "minimum": 0,
        "maximum": 20,
    },
    "reasoning_effort": {
        "description": "How long a reasoning model thinks.",
        "enum": ["none", "minimal", "low", "medium", "high", "xhigh", "max", "default"],
    },
    "thinking": {
        "description": "Anthropic's thinking: `{type: enabled, budget_tokens: 1024}`.",
        "type": "object",
        "properties": {
            "type": {"enum": ["enabled", "disabled", "adaptive"]},
            "budget_tokens": {"type": "integer", "minimum": 1},
        },
        "required": ["type"],
    },
    "verbosity": {"description": "How much the model writes.", "enum": ["low", "medium", "high"]},
    "response_format": {
        "description": "The form of the answer, instead of the one made from `output_schema`.",
        "type": "object",
        "properties": {
            "type": {"enum": ["text", "json_object", "json_schema"]},
            "json_schema": {"type": "object", "required": ["name"]},
        },
        "required": ["type"],
        "if": {"properties": {"type": {"const": "json_schema"}}},
        "then": {"required": ["json_schema"]},
    },
    "format": {"description": "Another spelling of `response_format: {type: json_object}`.", "const": "json"},
    "user": _text("A name for the end user, for the provider's abuse checks."),
    "safety_identifier": _text("A stable name for the end user, for the provider's safety checks."),
    "service_tier": _text("The provider's class of service, such as `flex` or `priority`."),
    "store": {"description": "Whether the provider may keep the answer.", "type": "boolean"},
    "prediction": {
        "description": "Text that the answer is expected to repeat, to get it sooner.",
        "type": "object",
    },
    "prompt_cache_key": _text("Requests with the same key share the provider's prompt cache."),
    "prompt_cache_retention": _text("How long the provider keeps the prompt cache, such as `24h`."),
    "web_search_options": {"description": "How a searching model searches.", "type": "object"},
    "context_management": {
        "description": "How the provider trims a long conversation.",
        "type": ["object", "array"],
    },
    "drop_params": {
        "description": "Leave out parameters that the model's provider does not take, instead of failing.",
        "type": "boolean",
    },
    "additional_drop_params": _names("Parameters to leave out of the request."),
    "allowed_openai_params": _names("Parameters to send even where LiteLLM thinks they are not taken."),
}

_TOOLS = ("an app answers with one JSON object and calls no tools", "Compose apps with `uses`.")
_STREAM = ("the runtime reads the whole answer", "Leave it out.")
_TEXT = ("an app answers in text", "Leave it out.")
_HEADERS = ("a file sets no headers", "What the provider takes in the body goes under `llm.provider_params`.")
_BODY = ("the runtime writes the body", "What only one provider knows goes under `llm.provider_params`.")
_TIMEOUT = ("the runtime keeps the time", "Set `llm.timeout`.")
_RETRIES = ("the runtime sends a failed call again", "Set `llm.num_retries`.")
_BASE = ("the address is not a model parameter", "Set `llm.api_base`.")
_MODEL = ("the model is not a model parameter", "Set `llm.model`.")
_LOGGING = ("the runtime records each run itself", "See `runllm stats`.")
_CACHE = ("the runtime does not use LiteLLM's cache", "Leave it out.")
_TESTING = ("an app never fakes its own answer", "In a test, use `runllm.testing`.")
_CLIENT = ("the runtime owns the client", "Leave it out.")
_NATIVE = ("only some providers know it", "Put it under `llm.provider_params`.")

OWNED: dict[str, tuple[str, str]] = {
    "model": _MODEL,
    "deployment_id": _MODEL,
    "model_list": _MODEL,
    "custom_llm_provider": ("the provider is part of the model's name", "Set `llm.model`."),
    "messages": ("the prompt is the body of the file", "Write it below the frontmatter."),
    "api_key": ("a key never stands in a file", "Name the key's environment variable in `llm.api_key_env`."),
    "api_base": _BASE,
    "base_url": _BASE,
    "api_version": ("the version is not a model parameter", "Set `llm.api_version`."),
    "organization": ("the account is not a model parameter", "Set `OPENAI_ORGANIZATION` in the environment."),
    "timeout": _TIMEOUT,
    "request_timeout": _TIMEOUT,
    "stream_timeout": _TIMEOUT,
    "num_retries": _RETRIES,
    "max_retries": _RETRIES,
    "fallbacks": ("the runtime falls back to other models itself", "Set `llm.fallbacks`."),
    "context_window_fallback_dict": (
        "the runtime falls back to other models itself",
        "Set `llm.fallbacks`.",
    ),
    "metadata": ("data of your own is not sent to the model", "Put it under the top-level key `metadata`."),
    "extra_headers": _HEADERS,
    "default_headers": _HEADERS,
    "headers": _HEADERS,
    "extra_body": _BODY,
    "stream": _STREAM,
    "stream_options": _STREAM,
    "tools": _TOOLS,
    "tool_choice": _TOOLS,
    "parallel_tool_calls": _TOOLS,
    "functions": _TOOLS,
    "function_call": _TOOLS,
    "include_server_side_tool_invocations": _TOOLS,
    "modalities": _TEXT,
    "audio": _TEXT,
    "enable_json_schema_validation": (
        "every answer is held against `output_schema`",
        "State the rules in `output_schema`.",
    ),
    "callbacks": _LOGGING,
    "success_callback": _LOGGING,
    "failure_callback": _LOGGING,
    "logger_fn": _LOGGING,
    "cache": _CACHE,
    "caching": _CACHE,
    "mock_response": _TESTING,
    "mock_delay": _TESTING,
    "mock_timeout": _TESTING,
    "mock_tool_calls": _TESTING,
    "shared_session": _CLIENT,
    "client": _CLIENT,
    **dict.fromkeys(
        ("top_k", "min_p", "top_a", "typical_p", "repeat_penalty", "repetition_penalty", "repeat_last_n",
         "num_ctx", "num_predict", "num_gpu", "num_thread", "keep_alive", "think", "mirostat", "mirostat_eta",
         "mirostat_tau", "tfs_z", "options", "chat_template_kwargs", "safety_settings", "safe_prompt",
         "prompt_truncate", "cache_prompt", "grammar", "guided_json", "guided_choice", "guided_regex",
         "transforms", "provider", "route", "models", "enable_thinking", "guardrailConfig"),
        _NATIVE,
    ),
}  # fmt: skip

# What steers the client and stands in none of the places read below.
STEERING = (
    "acompletion", "api_key", "api_base", "api_version", "audio", "aws_bedrock_client",
    "azure_ad_token", "azure_ad_token_provider", "azure_client_id", "azure_deployment",
    "azure_endpoint", "azure_tenant_id", "base_url", "callbacks", "client", "custom_llm_provider",
    "default_headers", "default_query", "extra_body", "extra_headers", "extra_query",
    "failure_callback", "fallbacks", "function_call", "functions", "gigachat_access_token",
    "gigachat_auth_url", "headers", "http_client", "input_callback", "messages", "metadata",
    "modalities", "model", "oci_fingerprint", "oci_key", "oci_key_file", "oci_region", "oci_signer",
    "oci_tenancy", "oci_user", "parallel_tool_calls", "project", "sagemaker_base_url",
    "service_callback", "service_key", "stream", "stream_options", "success_callback", "timeout",
    "token", "tool_choice", "tools", "vertex_ai_credentials", "vertex_ai_location", "vertex_ai_project",
    "watsonx_credentials", "watsonx_token", "zen_api_key", "mcp_servers", "vector_store_ids", "model_id",
    "data_sources", "dataSources", "container", "use_ssl", "secret_manager_settings", "provider_config",
    "request_kwargs", "router",
)  # fmt: skip


# --- what LiteLLM takes ---------------------------------------------------------------------------


def _package() -> Path:
    spec = find_spec("litellm")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("LiteLLM is not installed")
    return Path(spec.submodule_search_locations[0])


def _tree(name: str) -> ast.Module:
    path = _package() / name
    return ast.parse(path.read_text(encoding="utf-8") if path.exists() else "")


def _assigned(tree: ast.Module) -> dict[str, ast.expr]:
    """The values of the module's own names."""
    found: dict[str, ast.expr] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            found[node.target.id] = node.value
    return found


def _strings(node: ast.expr) -> Iterator[str]:
    """The strings that a literal list or tuple holds, or that are the keys of a literal dict."""
    items = node.keys if isinstance(node, ast.Dict) else getattr(node, "elts", ())
    for item in items:
        if isinstance(item, ast.Constant) and isinstance(item.value, str):
            yield item.value


def _function_names(tree: ast.Module, name: str) -> set[str]:
    """The parameters of a function, and the keyword arguments that it looks for in `kwargs`."""
    found: set[str] = set()
    for function in tree.body:
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and function.name == name:
            found |= {argument.arg for argument in (*function.args.args, *function.args.kwonlyargs)}
            found |= {key for node in ast.walk(function) if (key := _read_key(node))}
    return found


_STEERED_BY = ("kwargs", "litellm_params", "litellm_params_dict")
_READERS = ("llms", "litellm_core_utils", "completion_extras", "secret_managers")


def _read_names() -> set[str]:
    """What the code between a call and its request looks for among the names that are LiteLLM's own."""
    files = [path for folder in _READERS for path in (_package() / folder).rglob("*.py")]
    files += [_package() / name for name in ("main.py", "utils.py", "cost_calculator.py")]
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in files)
    return {key for tree in trees for node in ast.walk(tree) if (key := _read_key(node))}


def _read_key(node: ast.AST) -> str | None:
    """`x` of `kwargs.get("x")`, `kwargs.pop("x")` and `kwargs["x"]`."""
    match node:
        case ast.Call(func=ast.Attribute(value=owner, attr="get" | "pop"), args=[ast.Constant(value=key), *_]):
            pass
        case ast.Subscript(value=owner, slice=ast.Constant(value=key)):
            pass
        case _:
            return None
    name = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", None)
    return key if isinstance(key, str) and name in _STEERED_BY else None


def _fields(tree: ast.Module, *classes: str) -> set[str]:
    """The fields of these classes and of their bases in the module; of all classes if none is named."""
    constants = _assigned(tree)
    defined = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    found: set[str] = set()
    for name in classes or defined:
        if name not in defined:
            continue
        node = defined[name]
        bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
        found |= _fields(tree, *bases) if bases else set()
        for field in node.body:
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                composed = isinstance(field.annotation, ast.Name) and field.annotation.id in defined
                if not composed:
                    found.add(_wire_name(field, constants) or field.target.id)
    return found


def _wire_name(field: ast.AnnAssign, constants: dict[str, ast.expr]) -> str | None:
    """`x` of `field(..., metadata=wire("x"))`: the name under which the field is passed."""
    for node in ast.walk(field.value) if field.value else ():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "wire":
            named = node.args[0]
            named = constants.get(named.id, named) if isinstance(named, ast.Name) else named
            return str(named.value) if isinstance(named, ast.Constant) else None
    return None


def accepted() -> set[str]:
    """Every name that LiteLLM takes for a chat completion, by its own lists and its signature."""
    constants = _assigned(_tree("constants.py"))
    found = {
        name
        for listed in ("OPENAI_CHAT_COMPLETION_PARAMS", "DEFAULT_CHAT_COMPLETION_PARAM_VALUES")
        for name in _strings(constants[listed])
    }
    completion = next(
        node
        for node in _tree("main.py").body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == "completion"
    )
    return found | {argument.arg for argument in (*completion.args.args, *completion.args.kwonlyargs)}


@cache
def steering() -> set[str]:
    """Every name by which a caller steers LiteLLM itself, as far as its source says so."""
    types, owned, main = _tree("types/utils.py"), _tree("types/litellm_params.py"), _tree("main.py")
    names = set(_strings(_assigned(types)["all_litellm_params"]))
    names |= set(_strings(_assigned(owned).get("KWARG_ARTIFACTS", ast.Tuple())))
    names |= _fields(types, "StandardCallbackDynamicParams", "CustomPricingLiteLLMParams")
    names |= _fields(owned)
    names |= _fields(_tree("types/router.py"), "CredentialLiteLLMParams", "GenericLiteLLMParams")
    names |= _function_names(main, "completion") | _function_names(main, "acompletion") | _read_names()
    native = {name for name, owner in OWNED.items() if owner is _NATIVE}
    return (names | set(STEERING)) - set(PARAMS) - native


def schema() -> dict[str, Any]:
    """The whole definition, as JSON."""
    unknown = sorted(accepted() - set(PARAMS) - set(OWNED))
    if unknown:
        raise SystemExit(f"LiteLLM takes parameters that no table of {Path(__file__).name} names: {unknown}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": f"Written by tools/{Path(__file__).name} from LiteLLM {version('litellm')}; do not edit.",
        "title": "llm_params",
        "description": "Parameters of the chat completion, as LiteLLM names them.",
        "type": "object",
        "properties": PARAMS,
        "additionalProperties": False,
        "x-litellm": version("litellm"),
        "x-owned": {name: {"message": says, "use": use} for name, (says, use) in sorted(OWNED.items())},
        "x-forbidden-provider-params": sorted(steering()),
    }


def render() -> str:
    """The text of the file."""
    return json.dumps(schema(), indent=2) + "\n"


def main(arguments: list[str]) -> int:
    """Write the file, or check it."""
    text = render()
    if "--check" in arguments:
        current = TARGET.read_text(encoding="utf-8") if TARGET.exists() else ""
        if current != text:
            print(f"{TARGET.name} is out of date: run {Path(__file__).name}")
            return 1
        return 0
    TARGET.write_text(text, encoding="utf-8")
    print(f"wrote {TARGET.name}: {len(PARAMS)} parameters, LiteLLM {version('litellm')}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
