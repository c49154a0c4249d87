"""Models that run in this process, by llama.cpp: no server, no key, no network.

An answer to a schema is decoded from a closed, bounded form of it (`bounding`), so that it is valid
and ends by itself. A model is loaded once, on its first call, and shared by the process's threads;
calls take turns, since a second one at the same time would only slow down the first. Where many wait anyway, `slots` of
them are decoded together: each step reads the weights once for all.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from runllm import tokens
from runllm.diagnostics import did_you_mean
from runllm.engines.base import FREE, Engine, Price, Setup
from runllm.engines.local.llama import MOST_THREADS, TOO_LONG, Call, LoadedModel, unsigned
from runllm.engines.local.planning import (
    DEFAULT_ANSWER,
    STEADY,
    constraint,
    fits,
    is_free_text,
    plan,
    room,
    whole_sentences,
)
from runllm.errors import (
    ContextWindowExceededError,
    EngineUnavailableError,
    LLMParamValidationError,
    ModelNotFoundError,
    ProviderError,
    ProviderTimeoutError,
    RequestRefusedError,
    RunllmError,
)
from runllm.installation import REQUIREMENTS, adding
from runllm.models.folder import Store, models_folder
from runllm.models.gguf import has_chat_template, starts_as_gguf, trained_window
from runllm.models.known import HUB, KNOWN, PREFIX, PackagedModel, installed, source_of, unknown
from runllm.results import Completion, Endpoint, Request, Usage
from runllm.schema import is_text

DEFAULT_WINDOW = 8192
"""The window where the file names none, and the widest unasked: memory grows with what of it is used."""

_LOAD_OPTIONS = {
    "n_ctx": "n_ctx", "num_ctx": "n_ctx",
    "n_threads": "threads", "num_thread": "threads", "threads": "threads",
    "n_gpu_layers": "n_gpu_layers", "num_gpu": "n_gpu_layers", "gpu_layers": "n_gpu_layers",
    "n_batch": "n_batch", "num_batch": "n_batch",
}  # fmt: skip
_RANGES = {  # llama.cpp ends the process over a window or a batch of one token
    "n_ctx": (2, 2**31 - 1),
    "n_batch": (2, 2**31 - 1),
    "threads": (1, MOST_THREADS),
    "n_gpu_layers": (-(2**31), 2**31 - 1),
}
_USUAL_PROMPT = 512  # tokens
_OWNED = {"grammar", "json_schema", "response_format", "stream", "stream_options", "messages", "model", "prompt"}
_SENT = {"temperature", "top_p", "seed", "stop", "presence_penalty", "frequency_penalty", "logit_bias"}


class LocalEngine(Engine):
    """Runs `local/...` models in this process: see `runllm.engines.base.Engine`."""

    def __init__(self, setup: Setup | None = None) -> None:
        """Load nothing yet."""
        setup = setup or Setup()
        self._pull, self._slots, self._doing = setup.pull, setup.slots, setup.doing
        self._models: dict[tuple[Path, tuple[tuple[str, int], ...]], LoadedModel] = {}
        self._running: list[threading.Event] = []  # each ends a call
        self._lock = threading.Lock()
        self._pid: int | None = None

    def ready(self, endpoint: Endpoint) -> None:
        """Raise unless the engine is installed and the model's file is here, or may be fetched; loads neither."""
        if importlib.util.find_spec("xllamacpp") is None:
            raise EngineUnavailableError(
                "the engine for local models, `xllamacpp`, is not installed",
                hint=adding(REQUIREMENTS["local"], "local"),
            )
        self._fetch(endpoint)
        _load_options(endpoint)

    def warm(self, request: Request) -> None:
        """Load the weights, with room for an answer to a usual prompt."""
        model, window = self._model(request.endpoint)
        longest = request.params.get("max_tokens")
        if request.schema is not None and not is_free_text(request.schema):
            longest = constraint(plan(request, window), longest, again=False)["max_tokens"]
        longest = min(longest or DEFAULT_ANSWER, window)
        call = Call(deadline=math.inf, window=window, longest=longest, prompt_tokens=_USUAL_PROMPT)
        try:
            model.load(call)
        except Exception as failure:
            call.failure = failure
            _raise_for(call, request)

    def sent(self, request: Request) -> Request:
        """The request itself, once it is known that an answer can fit."""
        if request.schema is not None and not is_free_text(request.schema):
            plan(request, self.window(request.endpoint) or DEFAULT_WINDOW)
        return request

    def refusals(self, endpoint: Endpoint) -> Iterator[RunllmError]:
        """None, where its file is here."""
        locate(endpoint)
        return iter(())

    def doubts(self, endpoint: Endpoint) -> Iterator[str]:
        """That a file which is none of the catalogue's says nothing of how a conversation is written."""
        if endpoint.model.removeprefix(PREFIX) not in KNOWN and not has_chat_template(locate(endpoint)):
            yield (
                f"`{endpoint.model}` has no chat template: it is a base model, which goes on with a text rather than "
                "answer; take its `instruct` or `chat` version"
            )

    def _fetch(self, endpoint: Endpoint) -> None:
        try:
            locate(endpoint)
        except ModelNotFoundError as error:
            name = error.details.get("pull")
            if self._pull is None or name is None:
                raise
            self._pull(name)
            locate(endpoint)

    def place(self, endpoint: Endpoint) -> str:
        """The file of the weights, and what shows that it is another one than before."""
        found = (path := locate(endpoint)).stat()
        return f"{path.resolve()} {found.st_size} {found.st_mtime_ns}"

    def window(self, endpoint: Endpoint) -> int | None:
        """The window that the model is, or would be, loaded with, in tokens; read from the file's header."""
        wanted = _load_options(endpoint).get("n_ctx", DEFAULT_WINDOW)
        return min(wanted, trained_window(locate(endpoint)) or wanted)

    def price(self, endpoint: Endpoint) -> Price | None:  # noqa: ARG002 - the same for all
        """Nothing: the machine is the user's own."""
        return FREE

    def complete(self, request: Request) -> Completion:
        """Generate one answer and wait for it; with a schema, an answer that satisfies it."""
        return self._complete(request, threading.Event())

    async def acomplete(self, request: Request) -> Completion:
        """As `complete`, in a thread; cancelling the task ends the generation."""
        import asyncio  # 25 ms that a caller without an event loop need not pay

        cancelled = threading.Event()
        try:
            return await asyncio.to_thread(self._complete, request, cancelled)
        finally:
            cancelled.set()

    def close(self) -> None:
        """End what is being generated and unload every model."""
        with self._lock:
            models, self._models = list(self._models.values()), {}
            for cancelled in self._running:
                cancelled.set()
        if self._pid in (None, os.getpid()):  # in a forked child there is nothing that could be unloaded
            for model in models:
                model.close()

    # --- one call ------------------------------------------------------------------------------

    def _complete(self, request: Request, cancelled: threading.Event) -> Completion:
        self.ready(request.endpoint)
        model, window = self._model(request.endpoint)
        body = _body(request)
        body["messages"], broken = unsigned(request.messages, locate(request.endpoint).resolve())
        with self._lock:
            self._running.append(cancelled)
        try:
            with model.turn(cancelled):
                found = self._answer(request, body, model, window, cancelled)
        finally:
            with self._lock:
                self._running.remove(cancelled)
        if not broken:
            return found
        said = f"signs of the model in the text were broken up by a space: {', '.join(broken)}"
        return replace(found, notes=(*found.notes, said))

    def _answer(
        self, request: Request, body: dict[str, Any], model: LoadedModel, window: int, cancelled: threading.Event
    ) -> Completion:
        started = time.monotonic()
        usage, text, reason, seconds = Usage(), "", "", 0.0
        prompt = tokens.estimate_messages([message.content for message in request.messages])
        notes: tuple[str, ...] = ()
        schema = request.schema
        free = schema is not None and is_free_text(schema)
        body |= {"max_tokens": min(body.get("max_tokens") or DEFAULT_ANSWER, room(request, window))} if free else {}
        for again in (False, True):
            form = None if schema is None or free else plan(request, window, distinct=again)
            held = constraint(form, body.get("max_tokens"), again=again) if form else {}
            longest = min((body | held).get("max_tokens") or window, window)
            call = Call(
                deadline=started + request.timeout, cancelled=cancelled,
                window=window, longest=longest, prompt_tokens=prompt,
            )  # fmt: skip
            model.generate(body | held, call)
            _raise_for(call, request)
            prompt, seconds = call.prompt_tokens, seconds + call.seconds
            usage, text, reason = usage + call.usage, "".join(call.pieces), call.finish_reason
            if form is None or fits(schema, text):
                break
            notes = ("decoded a second time: the first answer did not satisfy the schema",)
        if schema is not None:
            text = text.replace("\ufffd", "")
            text = json.loads(text) if form and is_text(schema) and fits(schema, text) else text
        if free and reason == "length" and (whole := whole_sentences(text)):
            text, reason, notes = whole, "stop", ("ended at a sentence, since its tokens were used up",)
        return Completion(
            text=text,
            finish_reason=reason or "stop",
            usage=usage,
            model=request.endpoint.model,
            cost=FREE.cost(usage),
            latency=seconds,
            notes=notes,
        )

    def _model(self, endpoint: Endpoint) -> tuple[LoadedModel, int]:
        path = locate(endpoint).resolve()
        window = self.window(endpoint) or DEFAULT_WINDOW
        options = {name: value for name, value in _load_options(endpoint).items() if name != "n_ctx"}
        with self._lock:
            if self._pid is None:
                self._pid = os.getpid()
            elif self._pid != os.getpid():
                raise EngineUnavailableError(
                    "a local model was loaded before this process was forked, and cannot run in the child",
                    hint="Start worker processes with the `spawn` method, or make the first call after the fork.",
                )
            key = (path, tuple(sorted(options.items())))
            if key not in self._models:
                self._models[key] = LoadedModel(path, options, self._slots, self._doing)
            return self._models[key], window


def _raise_for(call: Call, request: Request) -> None:
    """Raise what went wrong with a call, if anything did."""
    name = request.endpoint.model
    if call.failure is not None:
        if isinstance(call.failure, ImportError):
            raise EngineUnavailableError(f"the engine for local models cannot be loaded: {call.failure}") from None
        if isinstance(call.failure, ModelNotFoundError | KeyboardInterrupt):
            raise call.failure
        raise ProviderError(f"`{name}` failed: {call.failure}") from None
    if call.error is not None:
        message = str(call.error.get("message", ""))
        if call.error.get("type") == TOO_LONG:
            raise ContextWindowExceededError(
                f"the prompt has {call.prompt_tokens} tokens, the window of `{name}` {call.window}",
                details={"prompt_tokens": call.prompt_tokens, "window": call.window},
            )
        raise RequestRefusedError(f"`{name}` refused the request: {message}")
    if call.cancelled.is_set():
        raise ProviderError(f"the call to `{name}` was cancelled")
    if not call.done.is_set() or (not call.finish_reason and time.monotonic() > call.deadline):
        late = ProviderTimeoutError(f"`{name}` did not answer within {request.timeout:g} seconds")
        late.retryable = False  # no connection was lost: this machine would take as long again
        raise late


# --- what is asked -----------------------------------------------------------------------------


def _load_options(endpoint: Endpoint) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, value in endpoint.provider_params.items():
        option = _LOAD_OPTIONS.get(name)
        if option is None:
            continue
        least, most = _RANGES[option]
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise LLMParamValidationError(
                f"`provider_params.{name}` must be a whole number from {least:,} to {most:,}, not {value!r}"
            )
        found[option] = value
    return found


def _body(request: Request) -> dict[str, Any]:
    """The request in the words of llama.cpp's chat completion, but for the answer's form."""
    params = {name: value for name, value in request.params.items() if value is not None}
    if params.get("n", 1) != 1:
        raise LLMParamValidationError("a local model gives one answer: `n` must be 1")
    extra = request.endpoint.provider_params
    for name in extra.keys() & _OWNED:
        raise LLMParamValidationError(
            f"`provider_params.{name}` is set by runllm itself", hint=did_you_mean(name, sorted(_SENT))
        )
    body: dict[str, Any] = {
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,  # without it a long prompt cannot be cancelled
        **STEADY,
        **{name: value for name, value in params.items() if name in _SENT},
        **{name: value for name, value in extra.items() if name not in _LOAD_OPTIONS},
    }
    most = tokens.longest_answer(params)
    if most is not None:
        body["max_tokens"] = most
    longest: Any = body.get("max_tokens", 1)
    if not isinstance(longest, int) or isinstance(longest, bool) or longest < 1:
        raise LLMParamValidationError(f"`max_tokens` must be a positive whole number, not {longest!r}")
    if request.schema is not None and not is_free_text(request.schema):
        body.pop("stop", None)  # it would cut the object in two
    elif isinstance(params.get("response_format"), Mapping):
        body["response_format"] = params["response_format"]
    return body


# --- where its weights are -----------------------------------------------------------------------


def locate(endpoint: Endpoint) -> Path:
    """The weights of a `local/...` model: an existing GGUF file.

    Raises:
        ModelNotFoundError: no such name, no such file, or not a GGUF file. For a model that can be pulled and has
            not been, `details["pull"]` is the name to give to `runllm.models.pulling.pull`.
    """
    name = endpoint.model.removeprefix(PREFIX)
    if name in KNOWN or name.startswith(HUB):
        return _checked(_here(name), endpoint.model)
    if not name.lower().endswith(".gguf"):
        raise unknown(name)
    try:
        file = Path(name).expanduser()
    except RuntimeError:  # `~somebody`, who has no home here
        file = Path(name)
    path = (endpoint.folder or Path()) / file
    if endpoint.within is not None:  # looked at again: since the file was checked, a link may have been put there
        path = path.resolve()
        if not path.is_relative_to(endpoint.within):
            raise ModelNotFoundError(f"`{endpoint.model}` leaves the project: it leads to {path}")
    return _checked(path, endpoint.model)


def _here(name: str) -> Path:
    """The file of a model that can be pulled: in an installed package, or in the folder of pulled models."""
    source = source_of(name)
    packaged = installed(source) if isinstance(source, PackagedModel) else None
    if packaged is not None and packaged.is_file():
        return packaged
    pulled = Store(models_folder()).find(name, source)
    if pulled is not None:
        return pulled.path
    raise ModelNotFoundError(
        f"`{PREFIX}{name}` has not been downloaded",
        hint=f"Run `runllm pull {name}`, or add `--auto-pull` to let a run do it.",
        details={"pull": name},
    )


def _checked(path: Path, name: str) -> Path:
    try:
        sound = starts_as_gguf(path)
    except (OSError, ValueError) as error:  # a name may hold what no path can
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ModelNotFoundError(f"the file of `{name}` cannot be read: {path}: {reason}") from None
    if not sound:
        raise ModelNotFoundError(
            f"the file of `{name}` is not a GGUF model: {path}",
            hint="Only the GGUF format runs here; a file that starts otherwise may be a broken download.",
        )
    return path
