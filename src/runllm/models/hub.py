"""The hub's download API: what a repository holds, and the bytes of a file.

`huggingface_hub` was measured and not taken: it compares sizes but no checksums, keeps its own folders beside the
file, reads its settings from the environment at import, and costs twice the import of httpx.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import quote, urlsplit

from runllm._version import __version__
from runllm.errors import (
    AuthenticationError,
    ConfigError,
    ModelNotFoundError,
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
    RequestRefusedError,
    RunllmError,
)
from runllm.values import frozen

if TYPE_CHECKING:
    import httpx

ENDPOINT = "https://huggingface.co"
_ENDPOINT_VARIABLE = "HF_ENDPOINT"
_TOKEN_VARIABLE = "HF_TOKEN"  # noqa: S105 - the name of a variable
_LOOPBACK_ONLY = "RUNLLM_LOOPBACK_ONLY"
_LOOPBACK = re.compile(r"localhost|::1|127(?:\.\d{1,3}){3}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST_LISTING = 32 << 20
_CONNECT, _SILENCE = 15.0, 30.0
_REDIRECTS = 8


@frozen
class RemoteFile:
    """A file of a repository: its path there, its size in bytes, its checksum."""

    path: str
    size: int
    sha256: str


@frozen
class Repository:
    """What the hub says of a repository.

    Attributes:
        name: `organisation/name`.
        revision: the commit, or `main` where the hub tells none.
        licence: empty where it tells none.
        files: by their path; None for those whose size and checksum are not listed.
    """

    name: str
    revision: str
    licence: str
    files: Mapping[str, RemoteFile | None]


def unprepared(place: str, error: Exception) -> ConfigError:
    """The error for a client that the proxies or certificates in the process's environment do not let be made."""
    return ConfigError(
        f"no connection to {place} can be prepared: {error}",
        hint="Check the proxies (`HTTPS_PROXY`, `ALL_PROXY`) and `SSL_CERT_FILE` in the environment.",
    )


class Hub:
    """A hub, reached over HTTPS. A context manager.

    The token goes to the hub's own address alone, never to where that redirects to on another host. Every failure
    is a `RunllmError`; those that may pass are `retryable`, with `retry_after` in their details where the hub asks.

    Attributes:
        endpoint: its address.
        host: the host of that, for messages.
        source: the address without a password.

    Args:
        environment: `HF_ENDPOINT` names another hub, `HF_TOKEN` is sent to it; proxies and certificates are those of
            the process.

    Raises:
        ConfigError: the address is not one that may be called, the token not one that can be sent, or the process's
            proxies or certificates cannot be used; the last is seen when it is entered.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.endpoint = (environment.get(_ENDPOINT_VARIABLE, "").strip() or ENDPOINT).rstrip("/")
        self.host = _host(self.endpoint)
        self.source = re.sub(r"//[^/]*@", "//", self.endpoint)  # to be remembered, so without a password
        self._token = environment.get(_TOKEN_VARIABLE, "").strip()
        self._loopback_only = environment.get(_LOOPBACK_ONLY) == "1"
        self._closing = ExitStack()
        if not _may_call(self.endpoint):
            raise ConfigError(
                f"{_ENDPOINT_VARIABLE} must be an `https://` address, not `{self.endpoint}`",
                hint="Only an address on this machine may be without TLS.",
            )
        if not (self._token.isascii() and self._token.isprintable()):
            raise ConfigError(f"{_TOKEN_VARIABLE} holds a character that no token has", hint="Copy the token again.")

    def __enter__(self) -> Self:
        import httpx  # 0.15 s, and only a download needs it

        try:
            client = httpx.Client(
                follow_redirects=True,
                max_redirects=_REDIRECTS,
                timeout=httpx.Timeout(_SILENCE, connect=_CONNECT),
                # What is hashed and counted are the file's own bytes, so nothing may be compressed on the way.
                headers={"User-Agent": f"runllm/{__version__}", "Accept-Encoding": "identity"},
                event_hooks={"request": [self._guard]},
            )
        except (ImportError, OSError, ValueError, httpx.InvalidURL) as error:  # what it reads of the environment
            raise unprepared(self.host, error) from None
        self._client = self._closing.enter_context(client)
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def repository(self, name: str) -> Repository:
        """What a repository holds.

        Raises:
            ModelNotFoundError: there is none of that name, or none that one may see.
        """
        with self._request("GET", f"/api/models/{name}?blobs=true", name) as response:
            said = _json(response)
        card = _mapping(said.get("cardData"))
        files = dict(_listed(entry) for entry in _mappings(said.get("siblings")))
        return Repository(
            name=name, revision=_commit(said.get("sha")), licence=_licence(card, said.get("tags")), files=files
        )

    def file(self, repository: Repository, path: str) -> RemoteFile:
        """Size and checksum of a file: from the listing, or else from its own headers.

        Raises:
            ProviderError: the hub tells no checksum, so that what comes could not be verified.
        """
        found = repository.files[path]
        if found is None:
            with self._request("HEAD", _path_of(repository, path), repository.name) as response:
                found = _from_headers(path, [*response.history, response])
        if found is None:
            raise RequestRefusedError(
                f"{self.host} tells no size and checksum of `{path}`, so a download could not be verified",
                hint="Download the file yourself, and name it as `local/<path>.gguf`.",
            )
        return found

    @contextmanager
    def content(self, repository: Repository, path: str, start: int) -> Generator[tuple[int, Iterator[bytes]]]:
        """The bytes of a file from `start` on, as the place where they really start and their pieces."""
        headers = {"Range": f"bytes={start}-"} if start else {}
        with self._request("GET", _path_of(repository, path), repository.name, headers) as response:
            yield (_range_start(response) if response.status_code == 206 else 0), response.iter_raw()  # noqa: PLR2004

    @contextmanager
    def _request(
        self, method: str, path: str, repo: str, headers: Mapping[str, str] | None = None
    ) -> Generator[httpx.Response]:
        import httpx

        given = {**(headers or {}), **({"Authorization": f"Bearer {self._token}"} if self._token else {})}
        try:
            with self._client.stream(method, self.endpoint + path, headers=given) as response:
                if not response.is_success:
                    raise self._refusal(response, repo)
                yield response
        except httpx.TimeoutException:
            raise ProviderTimeoutError(
                f"{self.host} was silent for {_SILENCE:g} seconds", hint="Run the same command again to go on."
            ) from None
        except httpx.TooManyRedirects:
            raise RequestRefusedError(f"{self.host} redirects more than {_REDIRECTS} times") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ProviderConnectionError(
                f"the connection to {self.host} failed: {error}", hint="Check the network, then run the command again."
            ) from None

    def _guard(self, request: httpx.Request) -> None:
        """Look at every address that is called, those of redirects too."""
        address = str(request.url)
        if not _may_call(address):
            raise RequestRefusedError(f"{self.host} redirects to {request.url.host} without TLS")
        if self._loopback_only and not _LOOPBACK.fullmatch(request.url.host):
            raise ProviderConnectionError(
                f"{_LOOPBACK_ONLY} is set, and {request.url.host} is not on this machine",
                hint=f"Unset {_LOOPBACK_ONLY}, or set {_ENDPOINT_VARIABLE} to an address on 127.0.0.1.",
            )

    def _refusal(self, response: httpx.Response, repo: str) -> RunllmError:
        """The error for a status; the hub names some causes in a header, since its statuses mislead."""
        status, cause = response.status_code, response.headers.get("X-Error-Code", "")
        details = {"status": status, "repository": repo}
        if status in (416, 429) or status >= 500:  # noqa: PLR2004
            wait = _whole(response.headers.get("Retry-After"))
            kind = RateLimitError if status == 429 else ProviderError  # noqa: PLR2004
            return kind(
                f"{self.host} answered with {status}",
                details={**details, **({} if wait is None else {"retry_after": wait})},
                hint="Run the same command again later.",
            )
        if cause == "GatedRepo" or (status in (401, 403) and cause != "RepoNotFound"):
            return AuthenticationError(
                f"`{repo}` is gated: {self.host} answered with {status}",
                details=details,
                hint=f"Accept its terms on the page of `{repo}`, and set {_TOKEN_VARIABLE} to your access token.",
            )
        if status in (401, 404) and cause != "EntryNotFound":
            return ModelNotFoundError(
                f"{self.host} has no repository `{repo}`, or you may not see it",
                details=details,
                hint=f"Check the spelling; for a private one, set {_TOKEN_VARIABLE}.",
            )
        if status == 404:  # noqa: PLR2004
            return ModelNotFoundError(f"`{repo}` no longer has this file", details=details, hint="Run it again.")
        return RequestRefusedError(f"{self.host} answered with {status}", details=details)


def _may_call(address: str) -> bool:
    host = _host(address)
    if address.startswith("https://"):
        return host != ""
    return address.startswith("http://") and _LOOPBACK.fullmatch(host) is not None


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _path_of(repository: Repository, path: str) -> str:
    return f"/{repository.name}/resolve/{repository.revision}/{quote(path)}"


# --- what it says, none of which is taken on trust ----------------------------------------------


def _json(response: httpx.Response) -> Mapping[str, Any]:
    data = bytearray()
    for piece in response.iter_raw():
        data += piece
        if len(data) > _MOST_LISTING:
            raise RequestRefusedError("the hub's listing is too long")
    try:
        return _mapping(json.loads(data))
    except ValueError:
        raise ProviderError("the hub answered with something that is not JSON") from None


def _mapping(value: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [_mapping(entry) for entry in cast("list[Any]", value)] if isinstance(value, list) else []


def _listed(entry: Mapping[str, Any]) -> tuple[str, RemoteFile | None]:
    path, large = str(entry.get("rfilename")), _mapping(entry.get("lfs"))
    return path, _remote(path, large.get("size", entry.get("size")), _checksum(large.get("sha256")))


def _remote(path: str, size: Any, checksum: str | None) -> RemoteFile | None:
    if not isinstance(size, int) or size < 1 or checksum is None:
        return None
    return RemoteFile(path=path, size=size, sha256=checksum)


def _from_headers(path: str, responses: list[httpx.Response]) -> RemoteFile | None:
    """From the hub's own headers, which the first response has: the others are those of where it redirects to."""
    size, checksum = None, None
    for response in responses:
        headers = response.headers
        told = headers.get("X-Linked-Size") or (headers.get("Content-Length") if response.is_success else None)
        size = size or _whole(told)
        checksum = checksum or _checksum(headers.get("X-Linked-Etag")) or _checksum(headers.get("ETag"))
    return _remote(path, size, checksum)


def _whole(told: str | None) -> int | None:
    """The number that a header holds, None where it holds none that anyone would mean."""
    return int(told) if told and re.fullmatch("[0-9]{1,18}", told) else None


def _checksum(value: Any) -> str | None:
    text = value.removeprefix("W/").strip('"').lower() if isinstance(value, str) else ""
    return text if _SHA256.fullmatch(text) else None


def _commit(value: Any) -> str:
    return value if isinstance(value, str) and re.fullmatch(r"[0-9a-f]{40}", value) else "main"


def _licence(card: Mapping[str, Any], tags: Any) -> str:
    told = card.get("license")
    if isinstance(told, str):
        return told
    named = cast("list[Any]", tags) if isinstance(tags, list) else []
    return next((str(tag)[len("license:") :] for tag in named if str(tag).startswith("license:")), "")


def _range_start(response: httpx.Response) -> int:
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(found[1]) if found else -1
