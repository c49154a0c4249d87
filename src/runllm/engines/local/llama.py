"""One model in llama.cpp: loaded on its first generation, cancelled and unloaded without a crash."""

from __future__ import annotations

import importlib
import os
import re
import secrets
import sys
import threading
import time
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, cast

from runllm.errors import ModelNotFoundError
from runllm.models.gguf import cache_bytes, control_tokens
from runllm.quantities import some
from runllm.results import Message, Usage
from runllm.watching import Doing, untold

TOO_LONG = "exceed_context_size_error"
MOST_THREADS = 512  # llama.cpp takes no more

_PATIENCE = 0.05
_SMALLEST_CONTEXT = 1024  # tokens; doubled until a call fits, so that few calls of a process need another
_SPARE = 8  # tokens of the context that stay empty: llama.cpp ends an answer a little before its end
_PROMPTS_KEPT = 32  # MiB of former prompts that another call may begin with; llama.cpp itself would keep 8 GiB


@dataclass(slots=True, kw_only=True)
class Call:
    """One generation on its way: what came so far, and how to stop it.

    Attributes:
        deadline: of the monotonic clock, in seconds.
        window: tokens that prompt and answer may take together.
        longest: tokens that the answer may have.
        prompt_tokens: an estimate, until the model has read the prompt.
        seconds: spent with the model; neither loading it nor waiting for a turn counts.
        again: the prompt is not of the size that was expected, so the call is made once more.
    """

    deadline: float
    window: int
    longest: int
    prompt_tokens: int
    seconds: float = 0.0
    again: bool = False
    cancelled: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)
    pieces: list[str] = field(default_factory=list[str])
    finish_reason: str = ""
    usage: Usage = field(default_factory=Usage)
    error: Mapping[str, Any] | None = None
    failure: BaseException | None = None
    _counted: bool = False
    _context: int = 0

    @property
    def needs(self) -> int:
        """Tokens of context that prompt and answer take."""
        return min(self.prompt_tokens + self.longest + _SPARE, self.window)

    def begin(self, context: int) -> int:
        """Make ready to receive from a model with so much context; the answer's tokens to ask for."""
        self._context, self.again, self.error = context, False, None
        return min(self.longest, self.window - self.prompt_tokens) if self._counted else self.longest

    def receive(self, event: Any) -> bool:
        """Take one event from llama.cpp; True ends the generation. It must not raise: that is swallowed."""
        try:
            self._take(cast("Mapping[str, Any]", event))
        except Exception as failure:  # kept, for the caller to raise
            self.failure = failure
            return True
        return self.again or self.error is not None or self.over()

    def over(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self.cancelled.is_set() or time.monotonic() > self.deadline

    def _take(self, event: Mapping[str, Any]) -> None:
        if "error" in event:
            self.error = event["error"]
            if "n_prompt_tokens" in event["error"]:
                self._count(event["error"]["n_prompt_tokens"])
            return
        if "prompt_progress" in event:  # the first comes before anything of the prompt is read
            self._count(event["prompt_progress"]["total"])
        for choice in event.get("choices", ()):
            self.pieces.append(choice["delta"].get("content") or "")
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
        if event.get("usage"):
            self.usage = _usage(event["usage"])

    def _count(self, prompt_tokens: int) -> None:
        """Learn how long the prompt is, and whether the call has to be made otherwise."""
        if self._counted:
            return
        self._counted, self.prompt_tokens = True, prompt_tokens
        if prompt_tokens >= self.window:
            self.error = {"type": TOO_LONG}
        else:  # where the context is larger than this call's own window, nothing else would end the answer at it
            self.again = self.needs > self._context or self.longest > self.window - prompt_tokens


class LoadedModel:
    """A loaded model, with as much context as its calls have needed so far, for so many generations at a time."""

    def __init__(self, path: Path, options: Mapping[str, int], slots: int = 1, doing: Doing = untold) -> None:
        self._path = path
        self._options = options
        self._most = slots
        self._doing = doing
        self._line: deque[object] = deque()  # of calls, the first `_most` of which may generate
        self._moved = threading.Condition()
        self._busy = 0  # generations under way
        self._waiting = 0  # those that need more context, before which no other begins
        self._server: Any = None
        self._slots, self._context = 1, 0  # of the server: generations at a time, tokens of each

    @contextmanager
    def turn(self, cancelled: threading.Event) -> Generator[None]:
        """Wait in line, first come first served, until few enough calls are before this one or it is cancelled.

        Waiting takes nothing from the time that a call may take: with many at once, the last would never begin.
        """
        place = object()
        with self._moved:
            self._line.append(place)
        try:
            with self._moved:
                while place not in islice(self._line, self._most) and not cancelled.is_set():
                    self._moved.wait(_PATIENCE)  # in short steps, so that Ctrl-C gets through everywhere
            yield
        finally:
            with self._moved:
                self._line.remove(place)
                self._moved.notify_all()

    def load(self, call: Call) -> None:
        """Load the model with room for such a call, unless that is there; nothing is generated."""
        with self._slot(call):
            pass

    def generate(self, body: dict[str, Any], call: Call) -> None:
        """Run one generation in a thread of its own and wait for it, at most to the deadline.

        The thread is no daemon and is never killed: leaving the interpreter while llama.cpp computes
        is a crash. It ends by itself soon after `call` is over.
        """
        worker = threading.Thread(target=self._work, args=(body, call), name="runllm-local")
        try:
            with self._doing("") as far:
                far("reading the prompt")
                worker.start()
                while not call.done.wait(_PATIENCE):  # in short steps, so that Ctrl-C gets through everywhere
                    if call.over():
                        break
                    if tokens := sum(map(bool, call.pieces)):
                        far(f"{some(tokens, 'token')} so far")
        except BaseException:
            call.cancelled.set()
            if worker.is_alive():
                worker.join(timeout=5)
            raise
        if call.done.is_set():
            worker.join()

    def _work(self, body: dict[str, Any], call: Call) -> None:
        try:
            self._decode(body, call)
        except BaseException as failure:  # crosses to the waiting thread
            call.failure = failure
        finally:
            call.done.set()

    def _decode(self, body: dict[str, Any], call: Call) -> None:
        """Generate; where the prompt turns out to be longer than was expected, once more with room for it."""
        while True:
            with self._slot(call) as there:
                if not there:
                    return
                begun = time.monotonic()
                try:
                    self._server.handle_chat_completions(body | {"max_tokens": call.begin(self._context)}, call.receive)
                finally:
                    call.seconds += time.monotonic() - begun
            if not call.again or call.over():
                return

    @contextmanager
    def _slot(self, call: Call) -> Generator[bool]:
        """A slot with room for a call; False where nobody waits for the call any more."""
        waits = there = False
        try:
            while not there and not call.over():
                with self._moved:
                    enough = self._context >= call.needs
                    if not enough and not waits:
                        waits = True
                        self._waiting += 1
                    there = enough and self._busy < self._slots and (waits or not self._waiting)
                    alone = not enough and not self._busy
                    if there or alone:
                        self._busy += 1 if there else self._slots
                    else:
                        self._moved.wait(_PATIENCE)
                if alone:
                    self._load_alone(call)
            if waits:
                self._leave(waiting=1)
                waits = False
            yield there
        finally:
            self._leave(busy=int(there), waiting=int(waits))

    def _leave(self, busy: int = 0, waiting: int = 0) -> None:
        with self._moved:
            self._busy -= busy
            self._waiting -= waiting
            self._moved.notify_all()

    def _load_alone(self, call: Call) -> None:
        """Load the model with room for a call, while it holds all slots."""
        held = self._slots
        try:
            with self._doing(f"loading {self._path.name}"):
                self._load(call.needs, call.window)
        finally:
            self._leave(busy=held)

    def _load(self, needed: int, window: int) -> None:
        """Load the model with room for so many tokens.

        llama.cpp makes a context only together with its model, so the one before is unloaded. What that costs is
        half a second of a processor, for the vocabulary: the weights are mapped, and stay in the system's memory.
        """
        self._server, self._context = None, 0
        context = _SMALLEST_CONTEXT
        while context < needed:
            context *= 2
        context = min(context, window)
        slots = max(1, min(self._most, _free_memory() // 2 // (context * cache_bytes(self._path))))
        xllamacpp, threads = _library()
        params = xllamacpp.CommonParams()
        params.model.path = str(self._path)
        params.verbosity = -1  # the default prints hundreds of lines
        params.n_parallel = slots
        params.warmup = False
        # Fitting a model to graphics cards reads its vocabulary once more, half of what loading takes.
        cpu = xllamacpp.ggml_backend_dev_type.GGML_BACKEND_DEVICE_TYPE_CPU
        params.fit_params = any(device["type"] != cpu for device in xllamacpp.get_device_info())
        # It listens on a port of this machine as well, where other users could ask it and see what it was asked.
        params.api_keys = [secrets.token_hex(16)]
        params.n_ctx = context * slots  # which llama.cpp divides among them
        params.cache_ram_mib = _PROMPTS_KEPT
        params.n_batch = self._options.get("n_batch", 256)  # a prompt can be cancelled between batches
        if "n_gpu_layers" in self._options:
            params.n_gpu_layers = self._options["n_gpu_layers"]
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = self._options.get("threads") or threads
        params.endpoint_metrics = True
        try:
            self._server = xllamacpp.Server(params)
            self._server.handle_metrics()  # answered once its loop runs; closed before that, it would wait for ever
        except RuntimeError:  # it never says why
            raise ModelNotFoundError(
                f"llama.cpp cannot load {self._path}",
                hint="The file may be cut off, too new for this llama.cpp, or too large for the memory.",
            ) from None
        self._slots, self._context = slots, context

    def close(self) -> None:
        """Unload, once what is being generated has ended."""
        with self._moved:
            while self._busy:
                self._moved.wait(_PATIENCE)
            self._server, self._slots, self._context = None, 1, 0


# --- the library -------------------------------------------------------------------------------------------


@cache
def _library() -> tuple[Any, int]:
    """llama.cpp, and the threads that it takes unless a file says how many.

    Its threads wait for each other hundreds of times a token. Waiting by OpenMP's usual way, in a busy loop, a thread
    too many makes an answer five times slower; told to sleep instead, all cores can be taken. OpenMP asks only when it
    is loaded. Where it is not ours to tell (loaded by another library before, another system), half of them are taken.
    """
    theirs = "OMP_WAIT_POLICY" in os.environ
    passive = theirs or (sys.platform == "linux" and not _openmp_is_here())
    if passive and not theirs:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    try:
        # 20 ms and a native library: only for a call that runs here
        library = importlib.import_module("xllamacpp")
    finally:
        if passive and not theirs:
            os.environ.pop("OMP_WAIT_POLICY", None)  # whoever is started from here has it as the user has
    wanted = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if wanted.isdecimal() and int(wanted):
        return library, min(int(wanted), MOST_THREADS)
    return library, _cores() if passive else max(1, _cores() // 2)


def _free_memory() -> int:
    """Bytes that can be had without swapping; a lot where nobody can say."""
    try:
        found = re.search(rb"MemAvailable:\s*(\d+) kB", Path("/proc/meminfo").read_bytes())
    except OSError:
        found = None
    return int(found[1]) << 10 if found else 4 << 30


def _openmp_is_here() -> bool:
    """Whether a library of this process has loaded OpenMP already, or nobody can say."""
    try:
        return b"libgomp" in Path("/proc/self/maps").read_bytes()
    except OSError:
        return True


def _cores() -> int:
    """The cores that this process may use; two processors of one core count once, since they share what computes."""
    try:
        mine = os.sched_getaffinity(0)
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1
    topology = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    try:
        return len({Path(topology.format(one)).read_text() for one in mine})
    except OSError:
        return len(mine)


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
