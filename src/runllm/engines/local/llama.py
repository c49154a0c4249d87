"""One model in llama.cpp: loaded on its first generation, cancelled and unloaded without a crash."""

from __future__ import annotations

import importlib
import os
import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from runllm.errors import ModelNotFoundError
from runllm.models.gguf import control_tokens
from runllm.results import Message, Usage

_PATIENCE = 0.05


@dataclass(slots=True, kw_only=True)
class Call:
    """One generation on its way: what came so far, and how to stop it."""

    deadline: float
    cancelled: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)
    pieces: list[str] = field(default_factory=list[str])
    finish_reason: str = ""
    usage: Usage = field(default_factory=Usage)
    error: Mapping[str, Any] | None = None
    failure: BaseException | None = None

    def receive(self, event: Any) -> bool:
        """Take one event from llama.cpp; True ends the generation. It must not raise: that is swallowed."""
        try:
            self._take(cast("Mapping[str, Any]", event))
        except Exception as failure:  # kept, for the caller to raise
            self.failure = failure
            return True
        return self.over()

    def over(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self.cancelled.is_set() or time.monotonic() > self.deadline

    def _take(self, event: Mapping[str, Any]) -> None:
        if "error" in event:
            self.error = event["error"]
            return
        for choice in event.get("choices", ()):
            self.pieces.append(choice["delta"].get("content") or "")
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
        if event.get("usage"):
            self.usage = _usage(event["usage"])


class LoadedModel:
    """A loaded model; its generations take turns."""

    def __init__(self, path: Path, options: Mapping[str, int]) -> None:
        self._path = path
        self._options = options
        self._turn = threading.Lock()
        self._line: deque[object] = deque()  # of calls, the one whose turn it is first
        self._moved = threading.Condition()
        self._server: Any = None

    @contextmanager
    def turn(self, cancelled: threading.Event) -> Generator[None]:
        """Wait in line, first come first served, until no other call is before this one or it is cancelled.

        Waiting takes nothing from the time that a call may take: with many at once, the last would never begin.
        """
        place = object()
        with self._moved:
            self._line.append(place)
        try:
            with self._moved:
                while self._line[0] is not place and not cancelled.is_set():
                    self._moved.wait(_PATIENCE)  # in short steps, so that Ctrl-C gets through everywhere
            yield
        finally:
            with self._moved:
                self._line.remove(place)
                self._moved.notify_all()

    def generate(self, body: dict[str, Any], call: Call) -> None:
        """Run one generation in a thread of its own and wait for it, at most to the deadline.

        The thread is no daemon and is never killed: leaving the interpreter while llama.cpp computes
        is a crash. It ends by itself soon after `call` is over.
        """
        worker = threading.Thread(target=self._work, args=(body, call), name="runllm-local")
        worker.start()
        try:
            while not call.done.wait(_PATIENCE):  # in short steps, so that Ctrl-C gets through everywhere
                if call.over():
                    break
        except BaseException:
            call.cancelled.set()
            worker.join(timeout=5)
            raise
        if call.done.is_set():
            worker.join()

    def _work(self, body: dict[str, Any], call: Call) -> None:
        try:
            while not self._turn.acquire(timeout=_PATIENCE):
                if call.over():
                    return
            try:
                if not call.over():
                    self._loaded().handle_chat_completions(body, call.receive)
            finally:
                self._turn.release()
        except BaseException as failure:  # crosses to the waiting thread
            call.failure = failure
        finally:
            call.done.set()

    def _loaded(self) -> Any:
        if self._server is None:
            # 20 ms and a native library: only for a call that runs here
            xllamacpp: Any = importlib.import_module("xllamacpp")
            params = xllamacpp.CommonParams()
            params.model.path = str(self._path)
            params.verbosity = -1  # the default prints hundreds of lines
            params.n_parallel = 1
            params.warmup = False
            # It listens on a port of this machine as well, where other users could ask it and see what it was asked.
            params.api_keys = [secrets.token_hex(16)]
            params.n_ctx = self._options["n_ctx"]
            params.n_batch = self._options.get("n_batch", 256)  # a prompt can be cancelled between batches
            if "n_gpu_layers" in self._options:
                params.n_gpu_layers = self._options["n_gpu_layers"]
            threads = self._options.get("threads") or _usual_threads()
            params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
            try:
                self._server = xllamacpp.Server(params)
            except RuntimeError:  # it never says why
                raise ModelNotFoundError(
                    f"llama.cpp cannot load {self._path}",
                    hint="The file may be cut off, too new for this llama.cpp, or too large for the memory.",
                ) from None
        return self._server

    def close(self) -> None:
        """Unload, once the running generation has ended."""
        with self._turn:
            self._server = None


def _usual_threads() -> int:
    """Half the processors: more threads than free cores wait for each other, many times slower."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        count = os.cpu_count() or 1
    return max(1, count // 2)


def _usage(facts: Mapping[str, Any]) -> Usage:
    details: Mapping[str, Any] = facts.get("prompt_tokens_details") or {}
    return Usage(
        prompt_tokens=int(facts.get("prompt_tokens", 0)),
        completion_tokens=int(facts.get("completion_tokens", 0)),
        cached_tokens=int(details.get("cached_tokens", 0)),
    )


# --- the signs that divide a conversation ------------------------------------------------------------------

# llama.cpp writes the whole conversation as one text and reads the model's control tokens in it, wherever they come
# from: `<|im_start|>system` in an input would open a turn of the system's. So a sign in a message is broken up.
_BEGINNINGS = ("<", "[")  # of every control token that is in use; looking for them saves reading the vocabulary


@lru_cache(maxsize=8)
def _signs_of(path: Path) -> re.Pattern[str] | None:
    """What finds a control token of the model in a text; None where the model has none."""
    words = sorted(control_tokens(path), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, words))) if words else None


def unsigned(messages: Sequence[Message], path: Path) -> tuple[list[dict[str, str]], list[str]]:
    """The messages as llama.cpp takes them, and the signs in them that were broken up.

    Args:
        messages: the conversation.
        path: the file of the model.
    """
    broken: set[str] = set()
    suspect = any(beginning in message.content for message in messages for beginning in _BEGINNINGS)
    signs = _signs_of(path) if suspect else None

    def apart(found: re.Match[str]) -> str:
        broken.add(found[0])
        return f"{found[0][0]} {found[0][1:]}"

    plain = [
        {"role": message.role, "content": signs.sub(apart, message.content) if signs else message.content}
        for message in messages
    ]
    return plain, sorted(broken)
