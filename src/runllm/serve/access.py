"""Who may ask: the names that the service answers to, the pages that may call it, and the token."""

from __future__ import annotations

import hmac
import ipaddress
from base64 import b64decode
from binascii import Error as NoBase64
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from runllm.errors import UsageError
from runllm.serve.refusals import Refusal
from runllm.values import frozen

_SHORTEST = 16
_MAKE = "`python -c 'import secrets; print(secrets.token_urlsafe(32))'` makes a token."
_ASKED = 'Bearer realm="runllm"'
_ASKED_OF_BROWSERS = 'Basic realm="runllm", charset="UTF-8"'  # which then ask their user for a password
PROBES = frozenset({"/healthz", "/readyz"})
"""What a supervisor asks, which has no token; it is told nothing but yes or no."""


@frozen
class Access:
    """What a request must show.

    Attributes:
        token: that every request carries; None for none.
        hosts: names, beside addresses and `localhost`, that the service is reached under.
        origins: web pages of other places that may call it.
    """

    token: str | None = None
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()

    def check(self, headers: Mapping[str, str], path: str) -> None:
        """Refuse a request that shows too little.

        Raises:
            Refusal: it may not be answered.
        """
        self._check_origin(headers)
        if self.token is None:
            # A page of another place can have its own name lead here (DNS rebinding); it can neither have an address
            # as its name nor know a token.
            self._check_host(headers.get("host", ""))
        elif path not in PROBES and not self._knows_token(headers.get("authorization", "")):
            raise Refusal(
                HTTPStatus.UNAUTHORIZED,
                "this service asks for its token",
                "Send it as `Authorization: Bearer TOKEN`; in a browser it is the password, with any name.",
                {"WWW-Authenticate": _ASKED_OF_BROWSERS if "text/html" in headers.get("accept", "") else _ASKED},
            )

    def _check_host(self, host: str) -> None:
        name = host_of(host)
        if not (is_address(name) or name == "localhost" or name in map(str.lower, self.hosts)):
            raise Refusal(
                HTTPStatus.MISDIRECTED_REQUEST,
                "this service is not reached under that name",
                "Call it by its address, or start it with `--allow-host NAME`.",
            )

    def _check_origin(self, headers: Mapping[str, str]) -> None:
        origin = headers.get("origin")
        if origin is None or origin in self.origins:
            return
        with suppress(ValueError):
            if urlsplit(origin).netloc.lower() == headers.get("host", "").lower() != "":
                return
        raise Refusal(
            HTTPStatus.FORBIDDEN,
            "pages of other places may not call this service",
            "Start it with `--allow-origin URL` if that page may.",
        )

    def _knows_token(self, authorization: str) -> bool:
        scheme, _, given = authorization.partition(" ")
        if scheme.lower() == "basic":
            try:
                given = b64decode(given, validate=True).decode().partition(":")[2]
            except (NoBase64, ValueError):
                return False
        elif scheme.lower() != "bearer":
            return False
        # Of equal length, so that the time that it takes says nothing of the token.
        return hmac.compare_digest(_digest(given.strip()), _digest(self.token or ""))


def _digest(text: str) -> bytes:
    return sha256(text.encode("utf-8", "surrogateescape")).digest()


def host_of(header: str) -> str:
    """The name in a `Host` header, without its port."""
    try:
        return (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return ""


@lru_cache(maxsize=64)
def is_address(name: str) -> bool:
    """Whether a host is written as an address."""
    with suppress(ValueError):
        ipaddress.ip_address(name)
        return True
    return False


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server there."""
    return host == "localhost" or (is_address(host) and ipaddress.ip_address(host).is_loopback)


def named(hosts: tuple[str, ...], origins: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Hosts and origins as requests name them.

    Raises:
        UsageError: one is written so that no request could ever name it.
    """
    for host in hosts:
        if not host or host_of(host) != host.lower():
            raise UsageError(
                f"`{host}` is no name of a host", hint="Write it alone, as in `--allow-host apps.example`."
            )
    return hosts, tuple(_origin_of(one) for one in origins)


def _origin_of(url: str) -> str:
    """What a browser calls the place of a page: scheme and host, and the port where it is another than usual."""
    with suppress(ValueError):
        found = urlsplit(url)
        if found.scheme in ("http", "https") and found.hostname and not found.username and "*" not in url:
            usual = found.port in (None, 80 if found.scheme == "http" else 443)
            host = f"[{found.hostname}]" if ":" in found.hostname else found.hostname
            return f"{found.scheme}://{host}" + ("" if usual else f":{found.port}")
    raise UsageError(f"`{url}` is no address of a page", hint="Write it as in `--allow-origin https://page.example`.")


def token_of(variable: str | None, path: str | None, environment: Mapping[str, str]) -> str | None:
    """The token, from where it is kept; None where no place is named.

    Raises:
        UsageError: both are named, nothing stands there, or it is short enough to be guessed.
    """
    if variable is None and path is None:
        return None
    if variable is not None and path is not None:
        raise UsageError("`--token-env` and `--token-file` exclude each other")
    place = f"the variable `{variable}`" if variable else f"`{path}`"
    try:
        found = environment.get(variable, "") if variable else Path(str(path)).read_text("utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UsageError(
            f"the token in {place} cannot be read: {reason}", hint="Name a file that holds the token and nothing else."
        ) from None
    if variable and variable not in environment:
        raise UsageError(f"the variable `{variable}` is not set", hint=_MAKE)
    found = found.strip()
    if len(found) < _SHORTEST or not (found.isascii() and found.isprintable()) or " " in found:
        raise UsageError(
            f"{place} holds no token: at least {_SHORTEST} printable characters without blanks",
            hint=_MAKE,
        )
    return found
