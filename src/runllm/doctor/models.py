"""Models on this machine: the Ollama server, and those that run in the process."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from runllm.doctor.check import Check, guarded
from runllm.quantities import some

if TYPE_CHECKING:
    from runllm.settings import Configuration

_GLANCE = 1.0  # seconds for the server to accept a connection
_PATIENCE = 2.5  # seconds for all of it: the system may take longer to look up a name, and cannot be told not to


def ollama(environment: Mapping[str, str], configuration: Configuration | None) -> Iterator[Check]:
    """Whether the user's Ollama server answers, and how many models it has."""
    import threading

    found: list[Check] = []
    looking = threading.Thread(
        target=lambda: found.extend(guarded("Ollama", lambda: _ollama_server(environment, configuration))),
        daemon=True,
    )
    looking.start()
    looking.join(_PATIENCE)
    fix = "Check that it runs and can be reached, or set `OLLAMA_HOST` to where it is."
    yield from found or [
        Check(name="Ollama", status="note", said=f"the server did not answer within {_PATIENCE:g} s", fix=fix)
    ]


def _ollama_server(environment: Mapping[str, str], configuration: Configuration | None) -> Iterator[Check]:
    from runllm.engines.access import reach
    from runllm.engines.addresses import is_loopback
    from runllm.engines.ollama_server import installed, root
    from runllm.errors import ProviderConnectionError
    from runllm.results import Endpoint

    own = configuration.for_model("ollama/any").api_base if configuration else None
    known = {**environment, "OLLAMA_API_BASE": own} if own else environment
    try:
        access = reach(Endpoint(model="ollama/any"), known)
    except ProviderConnectionError as error:  # forbidden by `RUNLLM_LOOPBACK_ONLY`
        yield Check(name="Ollama", status="note", said=error.message, fix=error.recovery_hint)
        return
    base = root(access)
    start = "Start it with `ollama serve`" if is_loopback(base) else "Check that it runs and can be reached"
    closed = None if _is_proxied(base) else _closed(base)
    models = [] if closed else installed(access)
    if closed:
        fix = f"If you want `ollama/...` models: {start[0].lower()}{start[1:]}, or set `OLLAMA_HOST` to where it is."
        yield Check(name="Ollama", status="note", said=f"no server at {base}: {closed}", fix=fix)
    elif not models:
        fix = "Get one with `ollama pull llama3.2`; if the server is not Ollama's, set `OLLAMA_HOST` to where that is."
        yield Check(name="Ollama", status="note", said=f"{base} answers, and lists no model", fix=fix)
    else:
        yield Check(name="Ollama", status="ok", said=f"{base}, {some(len(models), 'model')}")


def _is_proxied(base: str) -> bool:
    """Whether calls to the server go through a proxy, so that its own port tells nothing."""
    from urllib.request import getproxies

    from runllm.engines.addresses import is_loopback

    return bool(getproxies()) and not is_loopback(base)


def _closed(base: str) -> str | None:
    """Why nothing can connect to the server; None where it accepts. Far cheaper than an HTTP client."""
    import socket
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(base)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname or "", port), timeout=_GLANCE).close()
    except (OSError, ValueError) as error:
        return (os.strerror(error.errno) if isinstance(error, ConnectionError) and error.errno else "") or str(error)
    return None


def local_models(environment: Mapping[str, str]) -> Iterator[Check]:
    """The models that are here, and whether there is an engine to run them."""
    from importlib.util import find_spec

    from runllm.models.folder import inventory

    every = inventory(environment=environment)
    here = [model.name for model in every if model.where in ("embedded", "pulled")]
    for name in [model.name for model in every if model.where == "unfinished"]:
        fix = f"Go on with `runllm pull {name}`, or delete it with `runllm models rm {name}`."
        yield Check(name="local models", status="note", said=f"the download of `{name}` is not finished", fix=fix)
    if not here:
        fix = "Fetch the smallest with `runllm pull smollm2-135m`, if you want one."
        yield Check(name="local models", status="missing", said="none is here", fix=fix)
    elif find_spec("xllamacpp") is None:
        fix = "In a clone of runllm run `uv sync --extra local`, elsewhere `pip install xllamacpp`."
        yield Check(name="local models", status="missing", said="models are here, and no engine to run them", fix=fix)
    else:
        yield Check(name="local models", status="ok", said=", ".join(dict.fromkeys(here)))
