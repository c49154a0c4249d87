"""What a GGUF file says about itself, read from its header alone; nothing is imported or loaded."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

MAGIC = b"GGUF"
_VERSIONS = (2, 3)  # version 1 had other widths
_SIZES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_MOST_ENTRIES = 100_000
_MOST_ITEMS = 10_000_000
_LONGEST_TEXT = 1 << 24
_VOCABULARY = ("tokenizer.ggml.tokens", "tokenizer.ggml.token_type")
_CONTROL = 3
_LAYERS, _WIDTH = 32, 4096  # of a model whose header does not say: those of 7 billion parameters
_SIGN = re.compile(r"<[|\uff5c][^\s<>]{1,60}[|\uff5c]>|</?s>|<(?:end_of_turn|start_of_turn|eos|bos|EOT|_EOT)>")


def starts_as_gguf(path: Path) -> bool:
    """Whether a file begins with the mark of a GGUF file.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def flaw(path: Path) -> str | None:
    """What is wrong with the header of a file, read to its end; None for a sound one.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            return "it does not begin as a GGUF file"
        try:
            for _ in _entries(file):
                pass
        except (struct.error, ValueError, KeyError) as error:
            return f"its header cannot be read ({error})" if isinstance(error, ValueError) else "its header is broken"
        return None if file.read(1) else "it ends with its header"


def trained_window(path: Path) -> int | None:
    """The context length, in tokens, that a GGUF file says it was trained with; None where it does not say.

    Reads the header only, and of that only as far as the answer.
    """
    found = _first(path, lambda key: key.endswith(".context_length"))
    return found if isinstance(found, int) and found > 0 else None


def cache_bytes(path: Path) -> int:
    """The bytes that llama.cpp keeps for each token of a context: a key and a value of 16 bits for each layer."""
    names = ("block_count", "embedding_length", "attention.head_count", "attention.head_count_kv")
    found: dict[str, int] = {}
    with suppress(OSError, struct.error, ValueError, KeyError), path.open("rb") as file:
        file.seek(len(MAGIC))
        for key, value in _entries(file):
            name = key.partition(".")[2]
            if name in names and isinstance(value, int):
                found[name] = value
            if key.startswith("tokenizer."):
                break
    layers, width, heads, kept = (found.get(name, 0) for name in names)
    share = kept / heads if kept and heads else 1
    return int(2 * 2 * (layers or _LAYERS) * (width or _WIDTH) * share)


def control_tokens(path: Path) -> frozenset[str]:
    """The words that a GGUF file's tokenizer takes for its own signs, such as `<|im_start|>`; none where it says none.

    Reads the header only. A vocabulary of 50,000 words takes about 30 ms.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                return frozenset()
            entries = _entries(file, lists=_VOCABULARY)
            found = {key: cast("list[Any]", value) for key, value in entries if isinstance(value, list)}
    except (OSError, struct.error, ValueError, KeyError):
        return frozenset()  # the engine refuses such a file
    listed, kinds = (found.get(name) or [] for name in _VOCABULARY)
    words = [word for word in listed if isinstance(word, str)]  # of numbers, none: all items are of one kind
    marked = (word for word, kind in zip(words, kinds, strict=False) if kind == _CONTROL)
    # The engine takes words of this form for signs even where the file does not mark them.
    likely = (word for word in words if _SIGN.fullmatch(word))
    return frozenset(word for word in (*marked, *likely) if word.strip())


def has_chat_template(path: Path) -> bool:
    """Whether a GGUF file says how a conversation is written for its model; True for one whose header cannot be read.

    Reads the header only, most of which is the vocabulary: about 30 ms for 50,000 words.
    """
    return flaw(path) is not None or _first(path, lambda key: key == "tokenizer.chat_template") is not None


def licence(path: Path) -> str | None:
    """The licence that a GGUF file names, None where it does not say."""
    found = _first(path, lambda key: key == "general.license")
    return found if isinstance(found, str) else None


def _first(path: Path, wanted: Callable[[str], bool]) -> Any:
    """The value of the first key that is wanted; None where there is none.

    A header of another version is no error here: the engine may know how to load the file.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                return None
            return next((value for key, value in _entries(file) if wanted(key)), None)
    except (OSError, struct.error, ValueError, KeyError):
        return None


def _entries(file: BinaryIO, lists: Sequence[str] = ()) -> Iterator[tuple[str, Any]]:
    """Each key of the header with its value, None for a list but for these; the file stands after the magic."""
    version = _number(file, "I")
    if version not in _VERSIONS:
        raise ValueError(f"version {version} is not known")
    _number(file, "Q")  # how many tensors
    count = _number(file, "Q")
    if count > _MOST_ENTRIES:
        raise ValueError(f"{count} entries are too many")
    for _ in range(count):
        key = _text(file)
        yield key, _value(file, _number(file, "I"), wanted=key in lists)


def _value(file: BinaryIO, kind: int, *, wanted: bool) -> Any:
    if kind == _STRING:
        return _text(file)
    if kind != _ARRAY:
        return _number(file, _SIZES[kind])
    inner, count = _number(file, "I"), _number(file, "Q")
    if count > _MOST_ITEMS or inner == _ARRAY:
        raise ValueError("a list is too long or too deep")
    if inner == _STRING:
        return _texts(file, count, wanted=wanted)
    if wanted:
        code = f"<{count}{_SIZES[inner]}"
        return list(struct.unpack(code, file.read(struct.calcsize(code))))
    _skip(file, count * struct.calcsize("<" + _SIZES[inner]))
    return None


def _texts(file: BinaryIO, count: int, *, wanted: bool) -> list[str] | None:
    found: list[str] = []
    for _ in range(count):
        text = _text(file)
        if wanted:
            found.append(text)
    return found if wanted else None


def _text(file: BinaryIO) -> str:
    length = _number(file, "Q")
    data = file.read(min(length, _LONGEST_TEXT))
    if len(data) != length:
        raise ValueError("it ends within a text")
    return data.decode(errors="replace")


def _skip(file: BinaryIO, length: int) -> None:
    if length:
        file.seek(length - 1, 1)
        if not file.read(1):
            raise ValueError("it ends within a list")


def _number(file: BinaryIO, code: str) -> Any:
    return struct.unpack("<" + code, file.read(struct.calcsize("<" + code)))[0]
