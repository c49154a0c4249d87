"""Addresses of servers: which are on this machine, and which are covered by others. No library, no network."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

DEFAULT_PORTS = {"http": 80, "https": 443}
_OLLAMA_PORT = 11434

# Compiled when they are first used, and kept by `re`: most commands read no address.
# Narrower than the standard on purpose: what readers of addresses are known to read differently (a name before
# `@`, backslashes, control characters) is no address.
_ADDRESS = (
    r"(?ia)(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?)(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[\w.~!$&'()*+,;=:@%/-]*)?(?P<query>\?[^\s#\\]*)?"
)
# `..` as a step of a path, in each way that a server is known to read one.
_BACK = r"(?i)(?:/|%2f|%5c)(?:\.|%2e){1,2}(?:[/;]|%2f|%5c|%3b|$)"
_BARE_IPV6 = r"(?i)[0-9a-f.]*:[0-9a-f.]*:[0-9a-f.:]*"


class Address(NamedTuple):
    """An address in its parts: scheme and host in lower case, the port in any case."""

    scheme: str
    host: str
    port: int
    path: str


def read(base: str) -> Address | None:
    """The parts of an address; None where it is none, or one that could be read in two ways."""
    found = re.fullmatch(_ADDRESS, base)
    if found is None or re.search(_BACK, path := found["path"] or "/"):
        return None
    scheme = found["scheme"].lower()
    port = int(found["port"]) if found["port"] else DEFAULT_PORTS[scheme]
    return Address(scheme=scheme, host=found["host"].lower().rstrip(".").strip("[]"), port=port, path=path)


def is_loopback(base: str) -> bool:
    """Whether an address is on this machine."""
    address = read(base)
    return address is not None and (
        address.host in ("localhost", "::1") or re.fullmatch(r"127(\.\d{1,3}){3}", address.host) is not None
    )


def is_at(base: str, hosts: Iterable[str]) -> bool:
    """Whether an address is an encrypted one, on the usual port, at one of these hosts or below it."""
    address = read(base)
    if address is None or (address.scheme, address.port) != ("https", DEFAULT_PORTS["https"]):
        return False
    return any(address.host == host or address.host.endswith(f".{host}") for host in hosts)


def is_covered(base: str, allowed: Iterable[str]) -> bool:
    """Whether an address is one of the allowed ones, or below the path of one on the same server."""
    address = read(base)
    if address is None:
        return False
    return any(
        address[:3] == other[:3] and f"{address.path.rstrip('/')}/".startswith(f"{other.path.rstrip('/')}/")
        for other in map(read, allowed)
        if other is not None
    )


def origin(base: str) -> str:
    """The server of an address, as it is allowed: scheme, host and port."""
    scheme, _, rest = base.partition("://")
    return f"{scheme}://{rest.partition('/')[0].partition('?')[0]}"


def ollama_address(host: str) -> str:
    """`OLLAMA_HOST` as an address: it may lack scheme, host or port, and `0.0.0.0` means this machine."""
    scheme, _, rest = host.strip().rstrip("/").rpartition("://")
    place, slash, path = rest.partition("/")
    if re.fullmatch(_BARE_IPV6, place):
        place = f"[{place}]"
    name, _, port = place.rpartition(":")
    if port and not port.isdecimal():
        name, port = place, ""
    name = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(name, name)  # noqa: S104 - read, not bound
    return f"{scheme or 'http'}://{name}:{port or DEFAULT_PORTS.get(scheme.lower(), _OLLAMA_PORT)}{slash}{path}"
