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
    r"(?P<path>/[\w.~!$&'()*+,;=:@%/-]*)?"
)
# `..` as a step of a path, in each way that a server is known to read one.
_BACK = r"(?i)(?:/|%2f|%5c)(?:\.|%2e){1,2}(?:[/;]|%2f|%5c|%3b|$)"
_BARE_IPV6 = r"(?i)[0-9a-f.]*:[0-9a-f.]*:[0-9a-f.:]*"
# A region's name, as the large clouds write theirs: `us-east-1`, `europe-west4`, `us-south`.
_REGION = r"[a-z]{2,9}(?:-[a-z]+){1,3}-?[0-9]{0,2}"


class Address(NamedTuple):
    """An address in its parts: scheme and host in lower case, the port in any case."""

    scheme: str
    host: str
    port: int
    path: str


def read(base: str) -> Address | None:
    """The parts of an address; None where it is none, or one that could be read in two ways."""
    found = re.fullmatch(_ADDRESS, base)
    if found is None or steps_back(path := found["path"] or "/"):
        return None
    scheme = found["scheme"].lower()
    port = int(found["port"]) if found["port"] else DEFAULT_PORTS[scheme]
    return Address(scheme=scheme, host=plain(found["host"]).strip("[]"), port=port, path=path)


def plain(host: str) -> str:
    """A host as hosts are compared. `localhost.` stays as it is: it is looked up beyond this machine."""
    host = host.lower()
    return host if host == "localhost." else host.rstrip(".")


def steps_back(path: str) -> bool:
    """Whether a path may lead out of what stands before it."""
    return re.search(_BACK, path) is not None


def is_loopback(base: str) -> bool:
    """Whether an address is on this machine."""
    address = read(base)
    return address is not None and is_here(address.host)


def is_here(host: str) -> bool:
    """Whether a host is this machine, whoever looks it up."""
    return host in ("localhost", "::1") or re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None


def is_at(base: str, places: Iterable[str]) -> bool:
    """Whether an address is at one of these places, or below the path of one.

    Args:
        base: the address.
        places: see `is_place`.
    """
    address = read(base)
    return address is not None and any(is_place(place, address) for place in places)


def is_place(place: str, address: Address) -> bool:
    """Whether an address is at a place.

    Args:
        place: `[http://]host[:port][/path]`, where `{region}` in the host stands for the name of any region. It is
            encrypted and on the usual port unless it says otherwise. No other host below it belongs to it: that may be
            rented out.
        address: in its parts.
    """
    scheme, _, port, path = _parts(place)
    same = (address.scheme, address.port) == (scheme, port) and is_host(address.host, [place])
    return same and _is_below(address.path, path)


def is_host(host: str, places: Iterable[str]) -> bool:
    """Whether a host is that of one of these places."""
    return any(
        re.fullmatch(re.escape(_parts(place).host).replace(r"\{region\}", _REGION), host) is not None
        for place in places
    )


def _parts(place: str) -> Address:
    scheme, _, rest = place.rpartition("://")
    host, slash, path = rest.partition("/")
    host, _, port = host.partition(":")
    scheme = scheme or "https"
    return Address(scheme=scheme, host=host, port=int(port or DEFAULT_PORTS[scheme]), path=slash + path)


def _is_below(path: str, top: str) -> bool:
    return f"{path.rstrip('/')}/".startswith(f"{top.rstrip('/')}/")


def is_covered(base: str, allowed: Iterable[str]) -> bool:
    """Whether an address is one of the allowed ones, or below the path of one on the same server."""
    address = read(base)
    return address is not None and covers(allowed, address)


def covers(allowed: Iterable[str], address: Address) -> bool:
    """The same for an address that was read."""
    others = [other for other in map(read, allowed) if other is not None]
    return any(address[:3] == other[:3] and _is_below(address.path, other.path) for other in others)


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
