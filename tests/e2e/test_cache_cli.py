"""`--cache` of run, batch and test, and `runllm cache`: what they say, and how often the model is called."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.apps import at, leaf
from tests.integration.provider import Provider, answer
from tests.warm import RUNLLM

Do = Callable[..., subprocess.CompletedProcess[str]]
TESTS = (
    "tests:\n  - {name: one, input: {text: a}, output: {out: x}}\n  - {name: two, input: {text: b}, output: {out: x}}\n"
)


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Provider]:
    with Provider(answer('{"out": "x"}')) as found:
        text = leaf("app", llm=at(found.base)).replace("llm_params: {}\n", f"llm_params: {{}}\n{TESTS}")
        (tmp_path / "app.rllm").write_text(text, encoding="utf-8")
        (tmp_path / "rows.csv").write_text("text\na\nb\na\n", encoding="utf-8")
        yield found


@pytest.fixture
def do(tmp_path: Path, provider: Provider) -> Do:
    own = {"RUNLLM_STATS": "off", "OPENAI_API_KEY": "k", "NO_COLOR": "1", "CI": ""}
    environment = {**os.environ, **own, "RUNLLM_CACHE_FOLDER": str(tmp_path / "kept")}

    def run(*words: str, expect: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
        del provider.requests[:]
        done = subprocess.run(
            [RUNLLM, *words],
            cwd=tmp_path,
            env={**environment, **more},
            capture_output=True,
            encoding="utf-8",
            timeout=60,
        )
        assert done.returncode == expect, done.stderr
        return done

    return run


def test_a_run_says_that_it_called_nobody(do: Do, provider: Provider) -> None:
    first = do("run", "app.rllm", "text=a", "--cache")
    assert len(provider.chats) == 1
    again = do("run", "app.rllm", "text=a", "--cache-for", "7d", "-v")
    assert (again.stdout, provider.chats) == (first.stdout, [])
    assert "cached   from the cache: it was given" in again.stderr
    assert "1 attempt, from the cache" in again.stderr
    do("run", "app.rllm", "text=a", "--no-cache", RUNLLM_CACHE="on")
    assert len(provider.chats) == 1


def test_a_batch_says_how_many_rows_it_did_not_pay_for(do: Do, provider: Provider) -> None:
    words = ("batch", "app.rllm", "rows.csv", "-o", "out.csv", "--cache", "--concurrency", "1")
    first = do(*words)
    assert len(provider.chats) == 2
    assert "3 rows done, 0 failed, 1 from the cache\n" in first.stderr
    assert "100.0% by the first answer, 36 tokens" in first.stderr
    again = do(*words, "--overwrite")
    assert provider.chats == []
    assert "3 rows done, 0 failed, 3 from the cache\n" in again.stderr
    assert "tokens" not in again.stderr


def test_a_batch_that_cannot_use_it_says_so_once(do: Do, provider: Provider, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("a file")
    done = do("batch", "app.rllm", "rows.csv", "-o", "out.csv", "--cache")
    assert (len(provider.chats), done.stderr.count("warning: the cache in")) == (3, 1)
    assert do("test", "--cache").stderr.count("note: the cache in") == 1
    assert "warning: the cache in" in do("run", "app.rllm", "text=a", "--cache").stderr


def test_tests_take_from_it_but_for_repeats_and_recordings(do: Do, provider: Provider) -> None:
    do("test", "--cache")
    assert len(provider.chats) == 2
    again = do("test", "--cache")
    assert provider.chats == []
    assert "note: 2 of 2 runs came from the cache" in again.stderr
    both = do("compare", "app.rllm", "-m", "openai/m", "-m", "openai/n", "--cache")
    assert len(provider.chats) == 2
    assert "note: 2 of 4 runs came from the cache" in both.stderr
    assert "no answer is taken from the cache: each repeat is a call" in do("test", "--cache", "--repeat", "3").stderr
    assert len(provider.chats) == 6
    do("test", "--cache", "--record")
    assert len(provider.chats) == 2
    assert "no answer is taken from the cache" in do("test", "--cache", "--replay").stderr
    assert provider.chats == []


def test_what_is_kept_is_shown_and_forgotten(do: Do, tmp_path: Path) -> None:
    file = tmp_path / "kept" / "answers.db"
    none = {"path": str(file), "answers": 0, "bytes": 0, "oldest": None}
    assert json.loads(do("cache", "info", "--format", "json").stdout) == none
    assert do("cache", "clear").stdout == f"removed 0 answers: {file}\n"
    assert not file.exists()
    do("run", "app.rllm", "text=a", "--cache")
    found = json.loads(do("cache", "info", "--format", "json").stdout)
    assert (found["path"], found["answers"], 0 < found["bytes"] < 1000) == (str(file), 1, True)
    shown = do("cache", "info").stdout
    for said in (str(file), "answers", " B", " ago"):
        assert said in shown
    kept = b"".join(one.read_bytes() for one in file.parent.iterdir())
    assert b'\\"out\\"' in kept
    assert do("cache", "clear").stdout == f"removed 1 answer: {file}\n"
    assert b'\\"out\\"' not in b"".join(one.read_bytes() for one in file.parent.iterdir())
    file.write_text("no database")
    broken = do("cache", "info", "--error-format", "json", expect=3)
    assert "runllm cache clear" in json.loads(broken.stderr)["recovery_hint"]
    assert json.loads(do("cache", "clear", "--format", "json").stdout) == {"path": str(file), "removed": None}
    assert not file.exists()


def test_who_wants_nothing_kept_is_obeyed(do: Do, provider: Provider, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    do("config", "set", "cache", "false", RUNLLM_CONFIG=str(config))
    for words in (("run", "app.rllm", "text=a"), ("batch", "app.rllm", "rows.csv"), ("test",)):
        done = do(*words, "--cache", "--error-format", "json", expect=2, RUNLLM_CONFIG=str(config))
        assert f"{config}:1" in json.loads(done.stderr.splitlines()[-1])["message"]
        assert provider.chats == []
    assert not (tmp_path / "kept").exists()
    do("config", "set", "cache", "7d", RUNLLM_CONFIG=str(config))
    assert do("config", "get", "cache", RUNLLM_CONFIG=str(config)).stdout == "7d\n"
    for calls in (1, 0):
        do("run", "app.rllm", "text=a", RUNLLM_CONFIG=str(config))
        assert len(provider.chats) == calls
