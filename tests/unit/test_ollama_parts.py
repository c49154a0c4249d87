"""The pure parts of the Ollama engine: names, windows, what a count of tokens gives away, downloads added up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from runllm.engines.ollama import alternative, refused
from runllm.engines.ollama_request import Facts, body, choose, judge, larger
from runllm.engines.ollama_server import Server, full, read_facts
from runllm.errors import (
    ContextWindowExceededError,
    FileAccessError,
    LLMParamValidationError,
    ModelNotFoundError,
    ProviderConnectionError,
    RequestRefusedError,
)
from runllm.models.pulling import Progress
from runllm.results import Completion, Endpoint, Message, Request, Usage


def asking(text: str = "hi", provider_params: dict | None = None, **params: Any) -> Request:
    endpoint = Endpoint(model="ollama/m", provider_params=provider_params or {})
    return Request(endpoint=endpoint, messages=(Message(role="user", content=text),), params=params)


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("llama3.2", "llama3.2:latest"),
        ("Llama3.2:1B", "llama3.2:1b"),
        ("hf.co/a/B-GGUF", "hf.co/a/b-gguf:latest"),
        ("localhost:5000/a/b", "localhost:5000/a/b:latest"),
    ],
)
def test_a_name_without_a_tag_means_latest(name, expected):
    """As Ollama compares them: a port is no tag, and case does not matter."""
    assert full(name) == expected


@pytest.mark.parametrize(
    ("base", "host", "expected"),
    [
        ("http://localhost:11434", None, "ollama pull m"),
        ("http://127.0.0.1:11434", "0.0.0.0", "ollama pull m"),  # noqa: S104 - read, not bound
        ("http://gpu:11434", "gpu", "ollama pull m"),
        ("http://gpu:11434", None, "OLLAMA_HOST=http://gpu:11434 ollama pull m"),
        ("http://localhost:11434", "gpu", "OLLAMA_HOST=http://localhost:11434 ollama pull m"),
    ],
)
def test_the_command_asks_the_server_that_was_asked(base, host, expected):
    """What the user's own `ollama` would ask by itself is not named."""
    environment = {"OLLAMA_HOST": host} if host else {}
    assert Server(Endpoint(model="ollama/m", api_base=base, allowed_bases=(base,)), environment).command == expected


def test_the_first_recommended_model_that_is_installed():
    """The failed one is never suggested, nor what is no model of Ollama."""
    recommended = ["openai/gpt-4o", "ollama/a", "ollama_chat/b:1b", "ollama/c"]
    assert alternative(recommended, ["c:latest", "b:1b"], "openai/gpt-4o") == "ollama_chat/b:1b"
    assert alternative(recommended, ["c:latest", "b:1b"], "ollama/b:1b") == "ollama/c"
    assert alternative(recommended, ["gpt-4o:latest"], "ollama/a") is None


# --- facts and windows ----------------------------------------------------------------------------


def test_facts_are_read_from_what_the_server_shows():
    """The window stands under the architecture's own name; unknown shapes give no facts rather than an error."""
    shown = {
        "model_info": {"general.architecture": "qwen3", "qwen3.context_length": 40960, "clip.context_length": 77},
        "parameters": "stop  x\nnum_ctx                        16384",
        "capabilities": ["completion", "thinking"],
    }
    running = {"models": [{"name": "other:latest", "context_length": 1}, {"name": "m:latest", "context_length": 4096}]}
    found = read_facts(shown, running, "m", "http://localhost:11434")
    assert found == Facts(window=40960, preset=16384, loaded=4096, thinks=True)
    assert read_facts({"details": {}}, {}, "m", "http://my-ollama.company:1") == Facts()
    assert read_facts({"details": {}}, {}, "m", "https://ollama.com").remote
    assert read_facts({"parameters": "num_ctx " + "9" * 5000}, {}, "m", "http://localhost:11434") == Facts()


@pytest.mark.parametrize(
    ("request_", "facts", "held", "expected"),
    [
        (asking(), None, None, 3072),
        (asking(max_tokens=50), Facts(), None, 2048),
        (asking(provider_params={"num_predict": 3500}), Facts(), None, 4096),
        (asking(max_tokens=5000), Facts(window=5100), None, 5100),
        (asking(max_tokens=5000), Facts(window=65536), 4096, 6144),
        (asking(max_tokens=5000), Facts(window=5500), 4096, 5500),
        (asking(), Facts(preset=2048), None, 3072),
        (asking(provider_params={"num_ctx": 1000}), Facts(window=65536), 9000, 1000),
        (asking(), Facts(remote=True, window=9000), None, None),
    ],
)
def test_the_window_to_ask_for(request_, facts, held, expected):
    """Prompt and answer, in steps of 1,024, from 2,048 to what the model can; half as much again when it grows."""
    assert choose(request_, facts, held) == expected


@pytest.mark.parametrize("value", ["big", 0, True, 1.5])
def test_a_num_ctx_that_is_no_number_is_refused(value):
    """It would else be the server's to misread."""
    with pytest.raises(LLMParamValidationError):
        choose(asking(provider_params={"num_ctx": value}), None, None)


def test_a_larger_window_is_tried_only_where_it_is_ours_to_choose():
    """Twice as much, at most what the model can; not against the file, and not where nothing is known."""
    assert larger(2048, asking(), Facts(window=3000)) == 3000
    assert larger(2048, asking(), Facts()) == 4096
    assert larger(3000, asking(), Facts(window=3000)) is None
    assert larger(2048, asking(provider_params={"num_ctx": 2048}), Facts()) is None
    assert larger(2048, asking(), None) is None


@pytest.mark.parametrize(
    ("params", "options", "beside"),
    [
        ({"max_tokens": 5, "stop": ["x"], "user": "me"}, {"num_predict": 5, "stop": ["x"]}, {}),
        (
            {"max_completion_tokens": 5, "temperature": 0, "seed": 1},
            {"num_predict": 5, "temperature": 0, "seed": 1},
            {},
        ),
        ({"frequency_penalty": 0.5, "n": 1}, {"frequency_penalty": 0.5}, {}),
        ({"reasoning_effort": "high"}, {}, {"think": True}),
        ({"reasoning_effort": "none"}, {}, {"think": False}),
        ({"response_format": {"type": "json_object"}}, {}, {"format": "json"}),
        ({"response_format": {"type": "text"}}, {}, {"format": None}),
        ({"format": "json"}, {}, {"format": "json"}),
        ({"logprobs": True, "drop_params": True}, {}, {}),
    ],
)
def test_parameters_are_said_in_ollamas_words(params, options, beside):
    """What the author chose as a form goes before the schema; what only Ollama knows goes along."""
    asked = asking(provider_params={"top_k": 3, "keep_alive": "5m"}, **params)
    found = body(replace(asked, schema={"type": "object"}), 2048)
    assert found["options"] == {**options, "top_k": 3, "num_ctx": 2048}
    assert (found["truncate"], found["shift"], found["keep_alive"]) == (False, False, "5m")
    assert {name: found.get(name) for name in beside} == beside
    assert "format" in beside or found["format"] == {"type": "object"}


@pytest.mark.parametrize("params", [{"n": 2}, {"logit_bias": {"1": 2}}])
def test_what_ollama_does_not_know_is_refused_unsent(params):
    with pytest.raises(RequestRefusedError, match=next(iter(params))):
        body(asking(**params), None)


PROMPT = "The house stands on the hill, and the river runs below it. " * 200


@pytest.mark.parametrize(
    ("text", "counted", "answered", "reason", "window", "verdict"),
    [
        ("hi", 2000, 40, "stop", 2048, "kept"),
        ("hi", 2000, 49, "length", 2048, "kept"),
        ("hi", 2048, 5, "stop", 2048, "lost"),
        ("hi", 2048, 5, "length", 2048, "lost"),
        ("hi", 2040, 500, "stop", 2048, "lost"),
        ("hi", 9000, 500, "stop", None, "kept"),
        (PROMPT, 2600, 5, "stop", 4096, "kept"),
        (PROMPT, 500, 5, "stop", 4096, "noted"),
        (" " * 10000, 130, 5, "stop", 4096, "kept"),
        ("ก" * 4000, 1000, 5, "stop", 4096, "kept"),
    ],
)
def test_what_the_counted_tokens_give_away(text, counted, answered, reason, window, verdict):
    """A full window means a lost prompt; far too few tokens are noted; dense text and a full answer are no evidence."""
    usage = Usage(prompt_tokens=counted, completion_tokens=answered)
    completion = Completion(text="{}", finish_reason=reason, usage=usage)
    if verdict == "lost":
        with pytest.raises(ContextWindowExceededError, match="lost a part"):
            judge(completion, asking(text), window)
    else:
        assert bool(judge(completion, asking(text), window).notes) is (verdict == "noted")


# --- downloads ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("pull model manifest: file does not exist", ModelNotFoundError),
        ("write /x-partial: no space left on device", FileAccessError),
        ("write C:\\x: There is not enough space on the disk.", FileAccessError),
        ('pull model manifest: Get "https://r/v2": dial tcp: lookup r: no such host', ProviderConnectionError),
        ("max retries exceeded: unexpected EOF", ProviderConnectionError),
        ("digest mismatch, file must be downloaded again", RequestRefusedError),
    ],
)
def test_the_servers_words_are_understood(words, expected):
    """The same words that the real server uses, from its issue tracker."""
    server = Server(Endpoint(model="ollama/m", api_base="http://127.0.0.1:1"), {})
    error = refused(server, words, Progress(name="m", stage=""))
    assert type(error) is expected
    assert words in error.message
