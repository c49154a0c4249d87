"""What is asked of the hub through `huggingface_hub`, in a process of its own.

The library reads its settings from the environment when it is imported, shares one client in the whole process, and
tells the hub what it runs in unless it was forbidden before. So `Hub` starts this module, says line by line what it
wants, and is answered in lines of JSON. The bytes come through `http_get`: `hf_hub_download` begins anew when it was
interrupted. Neither compares checksums, which `pull` does.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from runllm import errors
from runllm._version import __version__
from runllm.errors import (
    AuthenticationError,
    ConfigError,
    EngineUnavailableError,
    FileAccessError,
    ModelNotFoundError,
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
    RequestRefusedError,
    RunllmError,
)
from runllm.installation import adding
from runllm.models.known import checked_file, choose

if TYPE_CHECKING:
    import httpx2

_ENDPOINT = "https://huggingface.co"
_LOOPBACK_ONLY = "RUNLLM_LOOPBACK_ONLY"
_LOOPBACK = re.compile(r"localhost|::1|127(?:\.\d{1,3}){3}")
_SILENCE = 30.0
_REDIRECTS = 8
_LONGEST_PAUSE = 60
_PIECE = 1 << 16  # bytes that are lost at most when a download is cut; the library keeps ten million back


def may_call(address: str) -> bool:
    """Whether an address may be called: one with TLS, or one of this machine."""
    host = host_of(address)
    if address.startswith("https://"):
        return host != ""
    return address.startswith("http://") and _LOOPBACK.fullmatch(host) is not None


def host_of(address: str) -> str:
    """The host of an address, empty where there is none."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def unprepared(place: str, error: Exception) -> ConfigError:
    """The error for a client that the proxies or certificates in the process's environment do not let be made."""
    return ConfigError(
        f"no connection to {place} can be prepared: {error}",
        hint="Check the proxies (`HTTPS_PROXY`, `ALL_PROXY`) and `SSL_CERT_FILE` in the environment.",
    )


class Hub:
    """The process that speaks with the hub, from outside. A context manager.

    Attributes:
        source: the hub's address without a password, to be remembered.

    Args:
        environment: `HF_ENDPOINT` names another hub, `HF_TOKEN` is sent to it; proxies and certificates are those of
            the process.

    Raises:
        ConfigError: the address is not one that may be called, or the token not one that can be sent.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        endpoint = (environment.get("HF_ENDPOINT", "").strip() or _ENDPOINT).rstrip("/")
        token = environment.get("HF_TOKEN", "").strip()
        if not may_call(endpoint):
            raise ConfigError(
                f"HF_ENDPOINT must be an `https://` address, not `{endpoint}`",
                hint="Only an address on this machine may be without TLS.",
            )
        if not (token.isascii() and token.isprintable()):
            raise ConfigError("HF_TOKEN holds a character that no token has", hint="Copy the token again.")
        self.source = re.sub(r"//[^/]*@", "//", endpoint)
        quiet = ("HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_XET", "HF_HUB_DISABLE_IMPLICIT_TOKEN")
        self._environment = {**os.environ, **environment, **dict.fromkeys(quiet, "1")}
        self._environment |= {"HF_ENDPOINT": endpoint, "HF_TOKEN": token}

    def __enter__(self) -> Self:
        import subprocess

        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "runllm.models.hub"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self._environment,
            text=True,
            encoding="utf-8",
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        with self._process:  # its pipes are closed, and it is waited for
            pass

    def ask(self, do: str, *, told: Callable[[int], None] = lambda _: None, **facts: Any) -> dict[str, Any]:
        """What the process finds; meanwhile `told` hears how many bytes are here.

        Raises:
            RunllmError: as the process says; `retryable` where it may pass.
        """
        sent, answers = self._process.stdin, self._process.stdout
        if sent is None or answers is None:
            raise RuntimeError("the process has no pipes")
        with suppress(OSError):  # it is gone, and answers nothing: said below
            sent.write(json.dumps({"do": do, **facts}) + "\n")
            sent.flush()
        for line in answers:
            said = json.loads(line)
            if "done" in said:
                told(said["done"])
            elif "error" in said:
                kind = getattr(errors, said["error"])
                raise kind(said["message"], hint=said["hint"], details=said["details"])
            else:
                return said["found"]
        raise EngineUnavailableError(
            "what fetches models ended without a word",
            hint="Run `python -m runllm.models.hub` by hand to see why.",
        )


# --- in the process itself ----------------------------------------------------------------------


class Remote:
    """The hub that `HF_ENDPOINT` names, asked with the token in `HF_TOKEN`, if any."""

    def __init__(self) -> None:
        self._endpoint = os.environ["HF_ENDPOINT"]
        self._host = host_of(self._endpoint)
        token = os.environ.get("HF_TOKEN")
        agent = {"User-Agent": f"runllm/{__version__}", "Accept-Encoding": "identity"}
        self._headers = {**agent, **({"Authorization": f"Bearer {token}"} if token else {})}
        self._token = token or False

    def connect(self) -> None:
        """Import the library and make its client, which looks at every address before it is called.

        Raises:
            EngineUnavailableError: the library is not installed.
            ConfigError: no client can be made with these proxies and certificates.
        """
        try:
            import httpx2
            from huggingface_hub import constants, get_session, set_client_factory
        except ImportError:
            raise EngineUnavailableError(
                "`huggingface_hub`, which fetches models of the hub, is not installed",
                hint=adding("huggingface_hub>=2,<3", "local"),
            ) from None
        constants.DOWNLOAD_CHUNK_SIZE = _PIECE
        hooks = {"request": [self.guard], "response": [self._impatience]}
        set_client_factory(
            lambda: httpx2.Client(event_hooks=hooks, follow_redirects=True, max_redirects=_REDIRECTS, timeout=_SILENCE)
        )
        try:
            get_session()
        except (ImportError, OSError, ValueError, httpx2.InvalidURL) as error:
            raise unprepared(self._host, error) from None

    def find(self, repo: str, wants: str, model: str) -> dict[str, Any]:
        """The file of a repository that is meant: its size and checksum, the commit, the licence (empty for none).

        Raises:
            ModelNotFoundError: there is none, or its name would lead out of a folder.
            RequestRefusedError: the hub tells no checksum, so that what comes could not be verified.
        """
        from huggingface_hub import HfApi

        api: Any = HfApi(endpoint=self._endpoint, token=self._token, library_name="runllm", library_version=__version__)
        found = api.model_info(repo, timeout=_SILENCE)
        file = checked_file(choose([one.rfilename for one in found.siblings or ()], wants, model))
        revision = found.sha if re.fullmatch("[0-9a-f]{40}", str(found.sha)) else "main"
        facts = api.get_hf_file_metadata(url=self._address(repo, revision, file), timeout=_SILENCE)
        if not facts.size or not re.fullmatch("[0-9a-f]{64}", facts.etag or ""):
            raise RequestRefusedError(
                f"{self._host} tells no size and checksum of `{file}`, so a download could not be verified",
                hint="Download the file yourself, and name it as `local/<path>.gguf`.",
            )
        tags = [str(tag).removeprefix("license:") for tag in found.tags or () if str(tag).startswith("license:")]
        licence = getattr(found.card_data, "license", None) or next(iter(tags), "")
        return {
            "file": file,
            "size": facts.size,
            "sha256": facts.etag,
            "revision": revision,
            "licence": licence if isinstance(licence, str) else "",
        }

    def fetch(self, repo: str, revision: str, file: str, part: str, size: int) -> dict[str, Any]:
        """Append to `part` what is missing of a file."""
        from huggingface_hub import file_download
        from huggingface_hub.errors import HfHubHTTPError

        library: Any = file_download
        with open(part, "ab") as target:  # noqa: PTH123 - a text from another process
            if target.tell() > size:
                target.truncate(0)
            try:
                library.http_get(
                    self._address(repo, revision, file),
                    target,
                    resume_size=target.tell(),
                    headers=self._headers,
                    expected_size=size,
                    tqdm_class=partial(_Told, size),
                )
            except HfHubHTTPError as error:
                if error.response.status_code == 416:  # noqa: PLR2004 - no such range: what is here is no part of it
                    target.truncate(0)
                raise
            except OSError as error:
                if error.errno is None:  # what came is of another size: maybe another part than was asked for
                    target.truncate(0)
                raise
            target.flush()
            os.fsync(target.fileno())
        return {}

    def _address(self, repo: str, revision: str, file: str) -> str:
        from huggingface_hub import hf_hub_url

        return hf_hub_url(repo, file, revision=revision, endpoint=self._endpoint)

    def guard(self, request: httpx2.Request) -> None:
        """Look at every address that is called, those of redirects too; the token is for the hub alone."""
        if not may_call(str(request.url)):
            raise RequestRefusedError(f"{self._host} redirects to {request.url.host} without TLS")
        if os.environ.get(_LOOPBACK_ONLY) == "1" and not _LOOPBACK.fullmatch(request.url.host):
            raise ProviderConnectionError(
                f"{_LOOPBACK_ONLY} is set, and {request.url.host} is not on this machine",
                hint=f"Unset {_LOOPBACK_ONLY}, or set HF_ENDPOINT to an address on 127.0.0.1.",
            )
        if request.url.host != self._host:
            request.headers.pop("Authorization", None)

    def _impatience(self, response: httpx2.Response) -> None:
        """Give up where the library would wait, unheard, as long as the hub asks."""
        asked = response.headers.get("Retry-After", "")
        if response.status_code == 429 and asked.isdecimal() and int(asked) > _LONGEST_PAUSE:  # noqa: PLR2004
            details = {"status": 429, "retry_after": int(asked)}
            raise RateLimitError(f"{self._host} wants to be asked again in {asked} seconds", details=details)

    def failure(self, error: Exception, repo: str) -> RunllmError:
        """The catalogued error for whatever the library raises."""
        import httpx2
        from huggingface_hub.errors import HfHubHTTPError

        again = "Run the same command again to go on."
        if isinstance(error, RunllmError):
            return error
        if isinstance(error, HfHubHTTPError):
            return self._refusal(error.response, repo)
        if isinstance(error, httpx2.TimeoutException):
            return ProviderTimeoutError(f"{self._host} was silent for too long", hint=again)
        if isinstance(error, httpx2.TooManyRedirects):
            return RequestRefusedError(f"{self._host} redirects more than {_REDIRECTS} times")
        if isinstance(error, httpx2.HTTPError):
            return ProviderConnectionError(f"the connection to {self._host} failed: {error}", hint=again)
        if isinstance(error, OSError) and error.errno:
            return FileAccessError(f"what is fetched cannot be written: {error.strerror}", hint=f"Make room. {again}")
        if isinstance(error, OSError):  # of another size than it should be
            return ProviderConnectionError(f"{self._host} sent more or less of the file than it has", hint=again)
        return ProviderError(f"{self._host} answered with something that makes no sense: {type(error).__name__}")

    def _refusal(self, response: httpx2.Response, repo: str) -> RunllmError:
        """The error for a status; the hub names some causes in a header, since its statuses mislead."""
        status, cause = response.status_code, response.headers.get("X-Error-Code", "")
        said, details = f"{self._host} answered with {status}", {"status": status, "repository": repo}
        if status in (416, 429) or status >= 500:  # noqa: PLR2004
            wait = response.headers.get("Retry-After", "")
            details |= {"retry_after": int(wait)} if wait.isdecimal() else {}
            kind = RateLimitError if status == 429 else ProviderError  # noqa: PLR2004
            return kind(said, details=details, hint="Run the same command again later.")
        if cause == "GatedRepo" or (status in (401, 403) and cause != "RepoNotFound"):
            hint = f"Accept its terms on the page of `{repo}`, and set HF_TOKEN to your access token."
            return AuthenticationError(f"`{repo}` is gated: {said}", details=details, hint=hint)
        if status in (401, 404) and cause != "EntryNotFound":
            return ModelNotFoundError(
                f"{self._host} has no repository `{repo}`, or you may not see it",
                details=details,
                hint="Check the spelling; for a private one, set HF_TOKEN.",
            )
        if status == 404:  # noqa: PLR2004
            return ModelNotFoundError(f"`{repo}` no longer has this file", details=details, hint="Run it again.")
        return RequestRefusedError(said, details=details)


class _Told:
    """Stands where the library has its bar, and tells `pull` how far it is."""

    def __init__(self, size: int, *, initial: int = 0, **_: Any) -> None:
        self._size = size
        self._done = initial

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def update(self, count: int) -> None:
        """Count bytes in; more than there should be are not taken."""
        self._done += count
        if self._done > self._size:
            raise ProviderConnectionError("more of the file was sent than it has", hint="Run the same command again.")
        _say({"done": self._done})


def _say(said: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Answer each line of standard input with one of standard output, until there are no more."""
    hub = Remote()
    connected = False
    for line in sys.stdin:
        asked = json.loads(line)
        what: Callable[..., dict[str, Any]] = getattr(hub, asked.pop("do"))
        try:
            if not connected:
                hub.connect()
                connected = True
            _say({"found": what(**asked)})
        except RunllmError as error:
            _say(_told_of(error))
        except Exception as error:
            _say(_told_of(hub.failure(error, asked["repo"])))


def _told_of(error: RunllmError) -> dict[str, Any]:
    return {
        "error": type(error).__name__,
        "message": error.message,
        "hint": error.recovery_hint,
        "details": error.details,
    }


if __name__ == "__main__":
    main()
