"""The way to a server: directly, or through the proxy that the user's environment names."""

from __future__ import annotations

import os
import sys
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from runllm.engines.addresses import DEFAULT_PORTS, is_here


class UnreachableError(Exception):
    """The server could not be connected to, or went away before its answer was whole."""


class Route(NamedTuple):
    """How a server is reached."""

    host: str
    port: int
    is_encrypted: bool
    proxy: SplitResult | None

    def target(self, url: str) -> str:
        """What the first line of the request names: a proxy without a tunnel is told the whole address."""
        parts = urlsplit(url)
        path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        return url if self.proxy and not self.is_encrypted else path

    @property
    def headers(self) -> dict[str, str]:
        """What a proxy without a tunnel reads."""
        return signed_in(self.proxy) if self.proxy and not self.is_encrypted else {}


def route_to(url: str) -> Route:
    """How the server of an address is reached; one on this machine past any proxy."""
    parts = urlsplit(url)
    host, scheme = parts.hostname or "", parts.scheme
    proxy = None if is_here(host) else _proxy(scheme, f"{host}:{parts.port}" if parts.port else host)
    return Route(host=host, port=parts.port or DEFAULT_PORTS[scheme], is_encrypted=scheme == "https", proxy=proxy)


def _proxy(scheme: str, place: str) -> SplitResult | None:
    """The proxy that the user's environment, or the system where it has settings for that, names for a place.

    Raises:
        UnreachableError: it is none that speaks HTTP.
    """
    if sys.platform not in ("win32", "darwin") and not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from urllib.request import getproxies, proxy_bypass  # 15 ms

    proxies = getproxies()
    named = proxies.get(scheme) or proxies.get("all")
    if not named or proxy_bypass(place):
        return None
    proxy = urlsplit(named if "://" in named else f"http://{named}")
    if proxy.scheme != "http":
        raise UnreachableError(f"the proxy is one of `{proxy.scheme}`, and only `http` is spoken")
    return proxy


def signed_in(proxy: SplitResult) -> dict[str, str]:
    """The header for a proxy's own user and password."""
    if not proxy.username:
        return {}
    from base64 import b64encode

    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
