"""Where a call may go, looked at when an address is about to be called, whoever made that address.

LiteLLM and the libraries of the clouds make hosts out of the names of models, parameters, regions and settings; some
call a second host on the side. So the words that lead to an address are not judged, but the address. Two places see it:

- Each HTTP client of LiteLLM passes through its cache before its first use, and is given hooks there. A hook sees the
  whole address, behind any proxy; what it refuses is not even looked up.
- An audit hook of the interpreter sees each look-up and connection of a call, also those of libraries that bring a
  client of their own.

Both do nothing outside of a call of runllm's: a program may use LiteLLM beside it.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, cast
from urllib.request import getproxies

import httpx
import litellm
from litellm.caching.llm_caching_handler import LLMClientCache

from runllm.engines.access import BEHIND, PLACEHOLDER_KEY, Access
from runllm.engines.addresses import DEFAULT_PORTS, Address, covers, is_here, is_host, is_place, plain, read, steps_back
from runllm.engines.hooks import ASYNC_HOOKS


class RedirectRefusedError(Exception):
    """The server sent the request elsewhere; nothing was sent there."""


class AddressRefusedError(Exception):
    """An address was about to be called that this call may not reach; nothing was sent there.

    It is no `OSError`, so that no library takes it for a bad connection and tries again.
    """


@dataclass
class _Call:
    """A call that is under way.

    Attributes:
        access: what it may reach.
        refused: the addresses that it was refused, in order.
        cleared: whether one of its addresses was found good; until then it connects nowhere but to this machine.
    """

    access: Access
    refused: list[str] = field(default_factory=list[str])
    cleared: bool = False

    def look(self, address: Address, shown: str) -> None:
        """Raise unless this address may be called."""
        own, allowed = self.access.own, self.access.allowed
        if any(is_place(place, address) for place in own) or covers(allowed, address):
            self.cleared = True
        elif not is_here(address.host):
            self._refuse(shown)

    def reach(self, host: str, port: int | None = None) -> None:
        """Raise unless this host may be looked up or connected to: its path is not known yet, or never will be."""
        if is_host(host, self.access.own) or host in self._allowed_hosts:
            self.cleared = True
        elif (host, port) in self._proxies:
            self._pass_proxy(f"{BEHIND}{host}:{port}")
        elif not is_here(host):
            self._refuse(f"http://{host}" if port == DEFAULT_PORTS["http"] else host)

    def connect(self, host: str, port: int) -> None:
        """Raise unless this host, which was looked up or is a number, may be connected to."""
        if not (self.cleared and self._has_names):
            self.reach(host, port)

    def _pass_proxy(self, shown: str) -> None:
        """Raise unless what lies behind the proxy was looked at, or will be.

        A client with hooks had its address looked at before; of one without, the request stands on the stack. Who signs
        in by a session does so through a library of the cloud's, which tells its proxy the address: `_asked` reads it.
        """
        if self.cleared or self.access.api_key is None:
            return
        request = _request_on_its_way()
        if request is None:
            self._refuse(shown)
        else:
            _look(request)

    def _refuse(self, shown: str) -> None:
        self.refused.append(shown)
        raise AddressRefusedError(shown)

    @cached_property
    def _allowed_hosts(self) -> frozenset[str]:
        return frozenset(address.host for address in map(read, self.access.allowed) if address)

    @cached_property
    def _has_names(self) -> bool:
        """Whether the call may reach a host that is looked up: then it may connect to a number, which came of that."""
        names = (*self.access.own, *self._allowed_hosts, *(host for host, _ in self._proxies))
        return any(re.search(r"[a-z]", name) and not is_here(name) for name in names)

    @cached_property
    def _proxies(self) -> frozenset[tuple[str, int]]:
        """Host and port of each proxy that the environment names."""
        named = (proxy for kind, proxy in getproxies().items() if kind != "no")
        found = (re.match(r"(?:(\w+)://)?(?:[^/@]*@)?(\[[^\]]*\]|[^/:]+)(?::(\d+))?", proxy) for proxy in named)
        return frozenset(
            (_text(one[2].strip("[]")), int(one[3] or DEFAULT_PORTS.get(one[1] or "http", 0))) for one in found if one
        )


_calling: ContextVar[_Call | None] = ContextVar("calling", default=None)


@contextmanager
def guarding(access: Access) -> Generator[list[str]]:
    """Let what runs in here, in this task and those it starts, reach what `access` says; yields what was refused."""
    _stand_guard()
    library: Any = litellm
    if not isinstance(library.in_memory_llm_clients_cache, GuardedClients):
        library.in_memory_llm_clients_cache = GuardedClients()
    call = _Call(access)
    token = _calling.set(call)
    try:
        yield call.refused
    finally:
        _calling.reset(token)


@cache
def _stand_guard() -> None:
    """Take the two places. An audit hook cannot be taken away again: this one does nothing outside of a call."""
    library: Any = litellm
    for shared in (library.module_level_client, library.module_level_aclient):
        _hook(shared.client)
    sys.addaudithook(_watch)


# --- clients ------------------------------------------------------------------------------------------


class GuardedClients(LLMClientCache):
    """LiteLLM's cache of clients, which guards each client that is made in a guarded call."""

    def set_cache(self, key: str, value: object, *args: Any, **kwargs: Any) -> None:
        """Keep a client, guarded if it is one of ours."""
        if _calling.get() is not None:
            _guard(value)
        cache: Any = super()
        cache.set_cache(_named(key), value, *args, **kwargs)

    def get_cache(self, key: str, *args: Any, **kwargs: Any) -> Any:
        """A client that was kept: ours for a call of ours, any other for others."""
        cache: Any = super()
        return cache.get_cache(_named(key), *args, **kwargs)


def _named(key: str) -> str:
    return key if _calling.get() is None else f"runllm-{key}"


def _guard(holder: Any) -> None:
    """Guard the client that a cached object is, or holds: as its own, or as the SDK's."""
    wrapped = getattr(holder, "client", None)
    held = (holder, wrapped, getattr(holder, "_client", None))
    client = next((found for found in held if isinstance(found, httpx.AsyncClient | httpx.Client)), None)
    if client is None:
        return
    _hook(client)
    if any(client is vars(litellm).get(name) for name in ("aclient_session", "client_session")):
        return  # a host program's own, of which no more is changed than that calls of ours are looked at
    client.follow_redirects = False
    if isinstance(client, httpx.AsyncClient):
        hooks = client.event_hooks
        client.event_hooks = {kind: [*hooks[kind], *ASYNC_HOOKS[kind]] for kind in hooks}
        if client is wrapped:  # LiteLLM's own wrapper makes a new one when a connection is lost
            holder.event_hooks = client.event_hooks
    if client is wrapped:
        holder.follow_redirects = False


def _hook(client: httpx.AsyncClient | httpx.Client) -> None:
    """Have a client look at each address before it calls it, and stay where it was sent."""
    look, stay = (_look, _stay) if isinstance(client, httpx.Client) else (_alook, _astay)
    hooks = client.event_hooks
    client.event_hooks = {"request": [*hooks["request"], look], "response": [stay, *hooks["response"]]}


def _look(request: httpx.Request) -> None:
    if (call := _calling.get()) is not None:
        url = request.url
        port = url.port or DEFAULT_PORTS.get(url.scheme, 0)
        path = url.raw_path.decode("ascii", "replace").partition("?")[0]
        place = Address(scheme=url.scheme, host=_text(url.host), port=port, path="" if steps_back(path) else path)
        call.look(place, _shown(url))
        _disown(request, call.access)


def _disown(request: httpx.Request, access: Access) -> None:
    """Take out the headers that the client of OpenAI finds in the environment, unless this is a call to OpenAI.

    It is used for a hundred other providers, and for servers that only a file names.
    """
    if access.provider == "openai" and access.api_key != PLACEHOLDER_KEY:
        return
    found = [line.partition(":") for line in os.environ.get("OPENAI_CUSTOM_HEADERS", "").splitlines()]
    for name in ("OpenAI-Organization", "OpenAI-Project", *(name.strip() for name, _, _ in found)):
        request.headers.pop(name, None)
        if name.lower() == "authorization" and access.api_key:
            request.headers[name] = f"Bearer {access.api_key}"


def _request_on_its_way() -> httpx.Request | None:
    """The request that a client of this thread is about to send, where it is one of httpx's."""
    frame = inspect.currentframe()  # a client without hooks says nowhere else what it asks for
    while frame is not None:
        if isinstance(found := frame.f_locals.get("request"), httpx.Request):
            return found
        frame = frame.f_back
    return None


def _stay(response: httpx.Response) -> None:
    if _calling.get() is not None and response.has_redirect_location:
        raise RedirectRefusedError(f"to {_target(response)}")


async def _alook(request: httpx.Request) -> None:
    _look(request)


async def _astay(response: httpx.Response) -> None:
    _stay(response)


def _target(response: httpx.Response) -> str:
    try:
        return _shown(response.url.join(response.headers["location"]))
    except (httpx.InvalidURL, ValueError):
        return "an address that cannot be read"


def _shown(url: httpx.URL) -> str:
    """An address as it is told, without path and query: there may be secrets in them."""
    return f"{url.scheme}://{url.netloc.decode()}"


# --- connections --------------------------------------------------------------------------------------

_LOOK_UPS = frozenset({"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"})
_CONNECTIONS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_WATCHED = _LOOK_UPS | _CONNECTIONS | {"http.client.send"}


def _watch(event: str, given: tuple[Any, ...]) -> None:
    """The audit hook."""
    if event not in _WATCHED or (call := _calling.get()) is None:
        return
    if event == "http.client.send":  # a library of its own, whose connection may be an old one, or one to a proxy
        if (host := _asked(given[0], given[1])) is not None:
            call.reach(host)
    elif event in _LOOK_UPS:
        if host := _text(given[0]):
            call.reach(host, _number(given[1] if len(given) > 1 else None))
    elif isinstance(given[1], tuple):  # else it is a socket of this machine's
        host, port, *_ = cast("tuple[Any, ...]", given[1])
        call.connect(_text(host), port)


def _text(host: Any) -> str:
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host or "")
    return plain(text)


def _number(port: Any) -> int | None:
    return int(port) if isinstance(port, int | str | bytes) and str(port).isdecimal() else None


def _asked(connection: Any, data: Any) -> str | None:
    """The host that a connection of `http.client` is about to ask; None where `data` is not the head of a request."""
    head = bytes(data[:4096]) if isinstance(data, bytes | bytearray) else b""
    line = re.match(rb"[A-Z]+ (\S+) HTTP/1\.[01]\r\n", head)
    if line is None:
        return None
    target = line[1].decode("latin-1")
    if head.startswith(b"CONNECT "):
        return _text(target.rpartition(":")[0].strip("[]"))
    absolute = re.match(r"https?://(?:[^/@]*@)?(\[[^\]]*\]|[^/:?]+)", target)
    if absolute is not None:
        return _text(absolute[1].strip("[]"))
    return _text(getattr(connection, "_tunnel_host", None) or connection.host)
