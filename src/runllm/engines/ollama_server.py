"""Ask an Ollama server what it has: whether it is there, its models, and what it knows about one.

What is asked here never makes a working server unusable: an answer that is not understood (a proxy that knows
the chat alone, a server that wants a key) leaves the judgement to the call itself.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from runllm.diagnostics import nearest
from runllm.engines import traits
from runllm.engines.access import Access, reach
from runllm.engines.addresses import is_loopback, ollama_address, origin
from runllm.engines.ollama_window import Facts
from runllm.errors import (
    ConfigError,
    ModelNotFoundError,
    OllamaModelMissingError,
    ProviderConnectionError,
    ProviderTimeoutError,
    RunllmError,
)
from runllm.results import Endpoint
from runllm.values import frozen

if TYPE_CHECKING:
    import httpx

PATIENCE = 10.0
"""Seconds for all that is asked about one model; reading about it takes a server some milliseconds."""

_GLANCE = 1.0  # seconds to look for a model that nobody asked for
_MOST_NAMED = 8
_PARAMETERS = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([BM])")


@frozen
class Served:
    """A model that a server has: its name, its size in bytes, and its parameters in millions, where they are told."""

    name: str
    size: int | None = None
    parameters: int | None = None


_MISSING, _INVALID = 404, 400


class Server:
    """The Ollama server of an endpoint, asked about the endpoint's model."""

    def __init__(self, endpoint: Endpoint, environment: Mapping[str, str]) -> None:
        self.endpoint = endpoint
        self.access = reach(endpoint, environment)
        self.environment = environment
        self.name = name_of(endpoint.model)
        self.base = root(self.access)

    async def facts(self) -> Facts | None:
        """What the server knows about the model; None when it does not say.

        Raises:
            OllamaModelMissingError: it does not have the model.
            ModelNotFoundError: it takes no such name.
            ProviderConnectionError: it cannot be reached.
            ProviderTimeoutError: it is silent.
            ConfigError: the proxies or certificates that the environment names cannot be used.
        """
        import asyncio  # imported by whoever runs this

        import httpx  # 90 ms, which LiteLLM needs as well: only when a call is made

        from runllm.engines.bodies import UnreadableError

        found: Facts | RunllmError | None
        try:
            async with asyncio.timeout(PATIENCE), _client(self.access) as client:
                found = await self._ask(client)
        except TimeoutError:
            found = self._silent()
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            found = self.down(reason(error))
        except httpx.TimeoutException:
            found = self._silent()
        except (httpx.TransportError, httpx.InvalidURL) as error:
            found = self.down(reason(error))
        except (httpx.HTTPError, UnreadableError):
            found = None  # no Ollama server answers like that: the call will tell
        if isinstance(found, RunllmError):  # raised here, so that nothing of the client becomes its context
            raise found
        return found

    async def _ask(self, client: httpx.AsyncClient) -> Facts | RunllmError | None:
        status, shown = await _read(client, "POST", "/api/show", {"model": self.name})
        said = str(shown.get("error", ""))
        if status == _MISSING and "not found" in said:
            _, listed = await _read(client, "GET", "/api/tags")
            return self.missing(names_in(listed))
        if status == _INVALID and "invalid model name" in said:
            return ModelNotFoundError(
                f"`{self.name}` is no name of an Ollama model", details={"model": self.endpoint.model}
            )
        if "model_info" not in shown and "details" not in shown:
            return None
        _, running = await _read(client, "GET", "/api/ps")
        return read_facts(shown, running, self.name, self.base)

    @property
    def command(self) -> str:
        """What to type to get the model."""
        return pull_command(self.name, self.base, self.environment)

    def missing(self, installed: Sequence[str]) -> OllamaModelMissingError:
        """The error for a model that the server does not have, with the command that gets it."""
        short = [name.removesuffix(":latest") for name in installed]
        near = nearest(self.name, short)
        others = sorted(short, key=lambda name: (name != near, name))[:_MOST_NAMED]
        more = f" and {len(short) - len(others)} more" if len(short) > len(others) else ""
        has = f"it has {', '.join(f'`{name}`' for name in others)}{more}" if others else "it has no model yet"
        instead = f", or choose `--model ollama/{near}`" if near else ""
        return OllamaModelMissingError(
            f"the Ollama server at {self.base} does not have `{self.name}`; {has}",
            details={"model": self.endpoint.model, "command": self.command, "installed": list(installed)},
            hint=f"Run `{self.command}` (or allow the download with `--ollama-auto-pull`), then run again{instead}.",
        )

    def down(self, reason: str) -> ProviderConnectionError:
        """The error for a server that cannot be reached."""
        why = f": {reason}" if reason else ""
        start = "Start it with `ollama serve`" if is_loopback(self.base) else "Check that it runs and can be reached"
        return ProviderConnectionError(
            f"no Ollama server answers at {self.base}{why}",
            details={"model": self.endpoint.model, "base": self.base},
            hint=f"{start}, or set `OLLAMA_HOST` or `llm.api_base` to where it is.",
        )

    def _silent(self) -> ProviderTimeoutError:
        return ProviderTimeoutError(
            f"the Ollama server at {self.base} did not say within {PATIENCE:g} s whether it has `{self.name}`",
            details={"model": self.endpoint.model, "base": self.base},
            hint="The server hangs or is overloaded: look at its log, or start it again.",
        )


def reason(error: BaseException) -> str:
    """Why a connection failed, in the system's words where it has some: clients wrap them."""
    words, cause = str(error) or type(error).__name__, error.__cause__ or error.__context__
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            words = os.strerror(cause.errno) if cause.errno and isinstance(cause, ConnectionError) else cause.strerror
        cause = cause.__cause__ or cause.__context__
    return words


def read_facts(shown: Mapping[str, Any], running: Mapping[str, Any], name: str, base: str) -> Facts:
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


async def _read(
    client: httpx.AsyncClient, method: str, path: str, body: dict[str, Any] | None = None
) -> tuple[int, Mapping[str, Any]]:
    """The status and the JSON object of an answer; an empty one for anything else."""
    reply = await client.request(method, path, json=body)
    return reply.status_code, _object(reply)


def _object(reply: httpx.Response) -> Mapping[str, Any]:
    try:
        return _mapping(reply.json())
    except (ValueError, RecursionError):
        return {}


def _mapping(value: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def _models(listed: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The models in an answer of `/api/tags` or `/api/ps`."""
    models = listed.get("models")
    return [_mapping(found) for found in cast("list[Any]", models)] if isinstance(models, list) else []


# --- addresses and names ------------------------------------------------------------------------------


def root(access: Access) -> str:
    """The server's address, without the path of an API that a file may have written behind it."""
    return (access.api_base or "").rstrip("/").removesuffix("/chat").removesuffix("/api")


def _client(access: Access, timeout: float = PATIENCE) -> httpx.AsyncClient:
    """A client for the server.

    Raises:
        ConfigError: the proxies or certificates that the process's environment names cannot be used.
    """
    import httpx

    try:
        return httpx.AsyncClient(**client_options(access, timeout))
    except (ImportError, OSError, ValueError, httpx.InvalidURL) as error:
        from runllm.models.hub import unprepared

        raise unprepared(origin(root(access)), error) from None


def client_options(access: Access, timeout: Any = PATIENCE) -> dict[str, Any]:
    """How an async HTTP client reaches the server: with its key, and past any proxy when it is on this machine."""
    from runllm.engines.bodies import ASYNC_HOOKS  # it imports httpx, as those who ask for this do

    base = root(access)
    return {
        "base_url": base,
        "headers": {"Authorization": f"Bearer {access.api_key}"} if access.api_key else {},
        "timeout": timeout,
        "trust_env": not is_loopback(base),
        "verify": not base.lower().startswith("http:"),  # certificates take 20 ms to load, and nothing is redirected
        "follow_redirects": False,
        "event_hooks": ASYNC_HOOKS,
    }


def name_of(model: str) -> str:
    """The name that Ollama knows a model by."""
    return model.partition("/")[2]


def full(name: str) -> str:
    """A name with its tag, as Ollama compares it."""
    tagged = ":" in name.rpartition("/")[2]
    return (name if tagged else f"{name}:latest").lower()


def names_in(listed: Mapping[str, Any]) -> list[str]:
    """The model names in an answer of `/api/tags`."""
    return [str(found["name"]) for found in _models(listed) if found.get("name")]


def pull_command(name: str, base: str, environment: Mapping[str, str]) -> str:
    """What to type to get a model, safe to paste; it names the server where the command would ask another."""
    own = ollama_address(environment.get("OLLAMA_HOST") or "127.0.0.1")
    same = own.replace("localhost", "127.0.0.1") == base.replace("localhost", "127.0.0.1")
    return ("" if same else f"OLLAMA_HOST={shlex.quote(base)} ") + f"ollama pull {shlex.quote(name)}"


# --- a model that could be used instead ---------------------------------------------------------------


def _is_ollama(model: str) -> bool:
    return traits(model).name == "ollama"


def alternative(recommended: Iterable[str], installed: Iterable[str], failed_model: str) -> str | None:
    """The first recommended Ollama model that is installed and is not the one that failed; None when there is none."""
    there = {full(name) for name in installed}
    failed = full(name_of(failed_model)) if _is_ollama(failed_model) else None
    return next(
        (
            model
            for model in recommended
            if _is_ollama(model) and (name := full(name_of(model))) in there and name != failed
        ),
        None,
    )


def installed(access: Access) -> list[str]:
    """The names of the models a server has; none when it does not answer at once."""
    return names_in(_glance(access))


def available(environment: Mapping[str, str] = os.environ) -> list[Served]:
    """The models of the user's own server, with their sizes; none when it does not answer at once."""
    try:
        access = reach(Endpoint(model="ollama/any"), environment)
    except RunllmError:
        return []
    return [
        Served(
            name=str(found["name"]),
            size=found["size"] if isinstance(found.get("size"), int) else None,
            parameters=_millions(str(_mapping(found.get("details")).get("parameter_size", ""))),
        )
        for found in _models(_glance(access))
        if found.get("name")
    ]


def _glance(access: Access) -> Mapping[str, Any]:
    """What a server lists, if it does so within a second: all of it, however slowly the bytes come."""
    from runllm.engines.background import Background  # a loop can be left in the middle of a call

    calls = Background()
    try:
        return calls.run(lambda: _listed(access))
    finally:
        calls.close()


async def _listed(access: Access) -> Mapping[str, Any]:
    import asyncio

    import httpx

    from runllm.engines.bodies import UnreadableError

    try:
        async with asyncio.timeout(_GLANCE), _client(access, _GLANCE) as client:
            return (await _read(client, "GET", "/api/tags"))[1]
    except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, UnreadableError, ConfigError):
        return {}


def _millions(size: str) -> int | None:
    """`3.2B` or `134.52M` as millions; None for anything else."""
    found = _PARAMETERS.fullmatch(size)
    return None if found is None else round(float(found[1]) * (1000 if found[2] == "B" else 1))


def suggestion(recommended: Sequence[str], failed_model: str, environment: Mapping[str, str]) -> str | None:
    """What to try instead of a model that cannot be used; None when there is nothing to try.

    Asks the user's own Ollama server, for a second at the most, and only when the file recommends a model of it.
    """
    candidates = [model for model in recommended if _is_ollama(model)]
    if not candidates:
        return None
    try:
        access = reach(Endpoint(model=candidates[0]), environment)
    except RunllmError:
        return None
    found = alternative(candidates, installed(access), failed_model)
    return None if found is None else f"The file recommends `{found}`, which is installed: run with `--model {found}`."
