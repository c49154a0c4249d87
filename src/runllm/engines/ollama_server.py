"""An Ollama server: asked what it has, told to download a model, and to answer.

What is asked before a call never makes a working server unusable: an answer that is not understood (a proxy that knows
the chat alone, a server that wants a key) leaves the judgement to the call itself.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from runllm.diagnostics import nearest
from runllm.engines.access import Access, reach
from runllm.engines.addresses import is_loopback, ollama_address
from runllm.engines.ollama_request import Facts
from runllm.errors import (
    ModelNotFoundError,
    OllamaModelMissingError,
    ProviderConnectionError,
    ProviderTimeoutError,
    RunllmError,
)
from runllm.results import Endpoint, Request
from runllm.values import frozen

if TYPE_CHECKING:
    from runllm.engines.asking import Sent
    from runllm.engines.base import Setup
    from runllm.engines.http import Client, HttpRequest, Line

PATIENCE = 10.0
"""Seconds for all that is asked about one model; reading about it takes a server some milliseconds."""

_GLANCE = 1.0  # seconds to look for a model that nobody asked for
_MOST_NAMED = 8
_PARAMETERS = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([BM])")
_MISSING, _INVALID, _REDIRECTIONS = 404, 400, 300
_SHORTEST = 0.001

T = TypeVar("T")
Fields = Mapping[str, Any]
"""A JSON object."""
_Ask = Callable[[str, str, Fields | None], tuple[int, Fields]]
"""Method, path and body to the status and the JSON object of an answer; an empty one for anything else."""


@frozen
class Served:
    """A model that a server has: its name, its size in bytes, and its parameters in millions, where they are told."""

    name: str
    size: int | None = None
    parameters: int | None = None


class Server:
    """The Ollama server of an endpoint, asked about the endpoint's model. Its errors have no context: that holds keys.

    Attributes:
        access: how it is reached.
        base: its address.
        name: the name that it knows the model by.
    """

    def __init__(self, endpoint: Endpoint, environment: Mapping[str, str], client: Client | None = None) -> None:
        self.endpoint = endpoint
        self.access = reach(endpoint, environment)
        self.environment = environment
        self.name = name_of(endpoint.model)
        self.base = root(self.access)
        self._client = client

    def request(self, method: str, path: str, body: Fields | None, timeout: float) -> HttpRequest:
        """A request to the server."""
        from runllm.engines.http import HttpRequest, headers

        return HttpRequest(
            method=method,
            url=f"{self.base}{path}",
            headers=headers(self.access.api_key),
            body=b"" if body is None else json.dumps(body).encode(),
            timeout=max(_SHORTEST, timeout),
        )

    @property
    def client(self) -> Client:
        """What is asked through."""
        from runllm.engines.http import Client

        self._client = self._client or Client()
        return self._client

    # --- what it has -----------------------------------------------------------------------------

    def facts(self, timeout: float, line: Line) -> Facts | None:
        """What the server knows about the model; None when it does not say.

        Raises:
            OllamaModelMissingError: it does not have the model.
            ModelNotFoundError: it takes no such name.
            ProviderConnectionError: it cannot be reached.
            ProviderTimeoutError: it is silent for `timeout` seconds.
        """
        return self._asked(self._about, timeout, f"whether it has `{self.name}`", line)

    def models(self) -> list[Served]:
        """The models that it has. It is given a second for all of them, however slowly the bytes come.

        Raises:
            RunllmError: as `facts`.
        """
        from runllm.engines.http import Line

        try:
            listed = self._asked(lambda ask: ask("GET", "/api/tags", None)[1], _GLANCE, "what it has", Line()) or {}
        finally:
            self.client.close()
        return [
            Served(
                name=str(found["name"]),
                size=found["size"] if isinstance(found.get("size"), int) else None,
                parameters=_millions(str(_mapping(found.get("details")).get("parameter_size", ""))),
            )
            for found in _models(listed)
            if found.get("name")
        ]

    def _asked(self, find: Callable[[_Ask], T], timeout: float, what: str, line: Line) -> T | None:
        """What is found by asking, so many seconds; None where an answer is not understood, for the call will tell."""
        from http.client import HTTPException

        from runllm.engines.bodies import UnreadableError
        from runllm.engines.http import NotConnectedError, UnreachableError

        deadline = time.monotonic() + timeout

        def ask(method: str, path: str, body: Fields | None) -> tuple[int, Fields]:
            reply = self.client.send(self.request(method, path, body, deadline - time.monotonic()), line)
            return reply.status, object_in(reply.text)

        why: RunllmError
        try:
            return find(ask)
        except NotConnectedError as error:
            why = self.down(str(error))
        except TimeoutError:
            why = self._silent(timeout, what)
        except (UnreachableError, UnreadableError, HTTPException):
            return None
        raise why

    def _about(self, ask: _Ask) -> Facts | None:
        status, shown = ask("POST", "/api/show", {"model": self.name})
        said = str(shown.get("error", ""))
        if status == _MISSING and "not found" in said:
            raise self.missing(names_in(ask("GET", "/api/tags", None)[1]))
        if status == _INVALID and "invalid model name" in said:
            raise ModelNotFoundError(
                f"`{self.name}` is no name of an Ollama model", details={"model": self.endpoint.model}
            )
        if "model_info" not in shown and "details" not in shown:
            return None
        _, running = ask("GET", "/api/ps", None)
        return read_facts(shown, running, self.name, self.base)

    # --- a call ----------------------------------------------------------------------------------

    def chat(self, body: Fields, request: Request, line: Line, setup: Setup) -> tuple[Fields, tuple[str, ...]]:
        """What the server says to a chat, within `request.timeout` seconds, and what there is to note of how it came.

        A server that has yet to load the model is waited for.

        Raises:
            ProviderError: as the failure deserves.
        """
        from runllm.engines.asking import driven, once_loaded
        from runllm.engines.meanings import error_for, late

        deadline = time.monotonic() + request.timeout
        steps = once_loaded(request, body, setup)
        reply, failure, notes = driven(steps, lambda asked: self._posted(asked, deadline, line), line.wait)
        if failure is None:
            return reply, notes
        if "TimeoutError" in failure.kinds:
            raise late(request, self.access.provider)
        if failure.status == _MISSING and "model" in failure.words:
            raise self.missing(None)
        raise error_for(failure, endpoint=self.endpoint, access=self.access, request=request)

    def _posted(self, body: Fields, deadline: float, line: Line) -> Sent:
        """The answer to one chat, or why there is none."""
        from http.client import HTTPException

        from runllm.engines.bodies import UnreadableError
        from runllm.engines.failures import observe, refused
        from runllm.engines.http import UnreachableError
        from runllm.engines.replies import checked

        secrets = [self.access.api_key] if self.access.api_key else []
        try:
            reply = self.client.send(self.request("POST", "/api/chat", body, deadline - time.monotonic()), line)
            if reply.status >= _REDIRECTIONS:
                return None, refused(reply.status, reply.headers, reply.text, secrets)
            return object_in(checked(reply.body).decode("utf-8", "replace")), None
        except (TimeoutError, UnreachableError, UnreadableError, HTTPException) as error:
            return None, observe(error, secrets)

    # --- its errors ------------------------------------------------------------------------------

    @property
    def command(self) -> str:
        """What to type to get the model, safe to paste; it names the server where the command would ask another."""
        own = ollama_address(self.environment.get("OLLAMA_HOST") or "127.0.0.1")
        same = own.replace("localhost", "127.0.0.1") == self.base.replace("localhost", "127.0.0.1")
        return ("" if same else f"OLLAMA_HOST={shlex.quote(self.base)} ") + f"ollama pull {shlex.quote(self.name)}"

    def missing(self, installed: Sequence[str] | None) -> OllamaModelMissingError:
        """The error for a model that the server does not have, with the command that gets it, and what there is."""
        short = [name.removesuffix(":latest") for name in installed or ()]
        near = nearest(self.name, short)
        others = sorted(short, key=lambda name: (name != near, name))[:_MOST_NAMED]
        more = f" and {len(short) - len(others)} more" if len(short) > len(others) else ""
        has = f"; it has {', '.join(f'`{name}`' for name in others)}{more}" if others else "; it has no model yet"
        instead = f", or choose `--model ollama/{near}`" if near else ""
        return OllamaModelMissingError(
            f"the Ollama server at {self.base} does not have `{self.name}`{'' if installed is None else has}",
            details={"model": self.endpoint.model, "command": self.command, "installed": list(installed or ())},
            hint=f"Run `{self.command}` (or allow the download with `--ollama-auto-pull`), then run again{instead}.",
        )

    def down(self, why: str) -> ProviderConnectionError:
        """The error for a server that cannot be reached."""
        start = "Start it with `ollama serve`" if is_loopback(self.base) else "Check that it runs and can be reached"
        return ProviderConnectionError(
            f"no Ollama server answers at {self.base}{f': {why}' if why else ''}",
            details={"model": self.endpoint.model, "base": self.base},
            hint=f"{start}, or set `OLLAMA_HOST` or `llm.api_base` to where it is.",
        )

    def _silent(self, timeout: float, what: str) -> ProviderTimeoutError:
        return ProviderTimeoutError(
            f"the Ollama server at {self.base} did not say within {timeout:g} s {what}",
            details={"model": self.endpoint.model, "base": self.base},
            hint="The server hangs or is overloaded: look at its log, or start it again.",
        )


def root(access: Access) -> str:
    """The server's address, without the path of an API that a file may have written behind it."""
    return (access.api_base or "").rstrip("/").removesuffix("/chat").removesuffix("/api")


# --- what it answers ----------------------------------------------------------------------------------


def read_facts(shown: Fields, running: Fields, name: str, base: str) -> Facts:
    """The answers of `/api/show` and `/api/ps` as facts."""
    info = _mapping(shown.get("model_info"))
    window = info.get(f"{info.get('general.architecture', '')}.context_length")
    preset = re.search(r"^num_ctx\s+(\d{1,18})\b", str(shown.get("parameters", "")), re.MULTILINE)
    same = [found for found in _models(running) if full(str(found.get("name", ""))) == full(name)]
    loaded = [found.get("context_length") for found in same]
    capabilities = shown.get("capabilities")
    elsewhere = bool(shown.get("remote_host") or shown.get("remote_model"))
    return Facts(
        window=_positive(window),
        preset=int(preset[1]) if preset else None,
        loaded=_positive(loaded[0]) if loaded else None,
        thinks=isinstance(capabilities, list) and "thinking" in capabilities,
        remote=elsewhere or re.match(r"https?://([^/]+\.)?ollama\.com\b", base) is not None,
    )


def _positive(value: Any) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def object_in(text: str) -> Fields:
    """The JSON object that a text is; an empty one for anything else."""
    try:
        return _mapping(json.loads(text))
    except (ValueError, RecursionError):
        return {}


def _mapping(value: Any) -> Fields:
    return cast("Fields", value) if isinstance(value, dict) else {}


def _models(listed: Fields) -> list[Fields]:
    """The models in an answer of `/api/tags` or `/api/ps`."""
    models = listed.get("models")
    return [_mapping(found) for found in cast("list[Any]", models)] if isinstance(models, list) else []


def names_in(listed: Fields) -> list[str]:
    """The model names in an answer of `/api/tags`."""
    return [str(found["name"]) for found in _models(listed) if found.get("name")]


# --- names, and what is there ---------------------------------------------------------------------------


def name_of(model: str) -> str:
    """The name that Ollama knows a model by."""
    return model.partition("/")[2]


def full(name: str) -> str:
    """A name with its tag, as Ollama compares it."""
    tagged = ":" in name.rpartition("/")[2]
    return (name if tagged else f"{name}:latest").lower()


def available(environment: Mapping[str, str] = os.environ) -> list[Served]:
    """The models of the user's own server, with their sizes; none when it does not answer at once."""
    try:
        return Server(Endpoint(model="ollama/any"), environment).models()
    except RunllmError:
        return []


def _millions(size: str) -> int | None:
    """`3.2B` or `134.52M` as millions; None for anything else."""
    found = _PARAMETERS.fullmatch(size)
    return None if found is None else round(float(found[1]) * (1000 if found[2] == "B" else 1))
