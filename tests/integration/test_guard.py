"""The guard, seen from each way out of a call: clients of LiteLLM, clients of others, threads, proxies."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
from tests.integration.provider import Provider, Reply

from runllm.engines.access import Access
from runllm.engines.background import Background
from runllm.engines.litellm import _library

# LiteLLM is imported by the tests, as a call does it: at collection it would be in the way of other tests.
pytestmark = pytest.mark.filterwarnings("ignore:Items? .* on TypedDict")


def guard() -> Any:
    _library()
    from runllm.engines import guard

    return guard


def shared() -> Any:
    """The client that LiteLLM's own code shares."""
    return _library().module_level_client


ELSEWHERE = "elsewhere.example"


def access(*own: str, allowed: tuple[str, ...] = (), key: str | None = "k") -> Access:
    return Access(provider="p", api_base=None, api_key=key, own=own, allowed=allowed)


def cached() -> Any:
    """A client as LiteLLM makes and keeps one."""
    from litellm.llms.custom_httpx.http_handler import get_httpx_client

    return get_httpx_client()


def passes(url: str, given: Access) -> bool:
    """Whether a guarded client would send a request there; what it sends goes nowhere."""
    with httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200))) as client:
        guard()._hook(client)
        with guard().guarding(given) as refused:
            try:
                client.get(url)
            except guard().AddressRefusedError:
                assert len(refused) == 1
                return False
    return refused == []


WAYS: dict[str, Callable[[str], Any]] = {
    "a client that LiteLLM keeps": lambda url: cached().get(url),
    "the client that LiteLLM shares": lambda url: shared().get(url),
    "a client of its own": lambda url: httpx.get(url, trust_env=False),
    "a library of a cloud's": lambda url: requests.get(url, timeout=5),
    "the standard library": lambda url: urllib.request.urlopen(url, timeout=5),  # noqa: S310
    "a look-up": lambda url: socket.getaddrinfo(url.partition("//")[2].partition("/")[0], 443),
    "a number": lambda _: socket.create_connection(("192.0.2.1", 443), 5),
    "a datagram": lambda _: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 53)),
}


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("way", WAYS)
def test_nothing_leaves_for_a_host_that_is_not_its_own(way):
    with guard().guarding(access("api.example")) as refused, pytest.raises(guard().AddressRefusedError):
        WAYS[way](f"https://{ELSEWHERE}/v1")
    assert len(refused) == 1


def test_the_loops_threads_know_for_which_call_they_work():
    """A host is looked up in one of them."""

    async def look_up() -> None:
        await asyncio.get_running_loop().getaddrinfo(ELSEWHERE, 443)

    async def guarded() -> None:
        with guard().guarding(access("api.example")):
            await look_up()

    background = Background()
    with pytest.raises(guard().AddressRefusedError):
        background.run(guarded)
    background.close()


def test_outside_of_a_call_nobody_looks():
    """A program may use LiteLLM, and the network, beside it."""
    with Provider() as provider:
        with guard().guarding(access()):
            pass
        assert cached().get(f"{provider.root}/x").status_code < 500
    with pytest.raises(OSError, match=r".*"):
        socket.create_connection(("127.0.0.1", 9), 1)


@pytest.mark.parametrize(
    ("path", "good"), [("/v1/chat", True), ("/v1", True), ("/v10", False), ("/v1/%2e%2e/x", False), ("/", False)]
)
def test_below_an_allowed_path_only(path, good):
    """As the user allowed it; nothing is looked up to tell."""
    assert passes(f"https://{ELSEWHERE}{path}", access(allowed=(f"https://{ELSEWHERE}/v1",))) is good


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://rt.us-east-1.cloud.example/x", True),
        ("https://rt.europe-west4.cloud.example/x", True),
        ("https://rt.evil.cloud.example/x", False),
        ("https://rt.us-east-1.evil.cloud.example/x", False),
        ("https://bucket.cloud.example/x", False),
        ("https://api.example:8443/x", False),
        ("http://api.example/x", False),
        ("https://API.EXAMPLE./x", True),
        ("https://below.api.example/x", False),
        ("https://api.example.evil.example/x", False),
        ("https://api.example@evil.example/x", False),
        ("http://[fe80::1]/x", False),
        ("http://169.254.169.254/latest", False),
    ],
)
def test_what_is_a_providers_own(url, good):
    """Its hosts and a cloud's regions, encrypted, on the usual port, and nothing below them."""
    assert passes(url, access("api.example", "rt.{region}.cloud.example")) is good


def test_a_host_programs_clients_are_its_own():
    """Neither is one of theirs used for a call, nor one of ours, with its bounds, for theirs."""
    before = cached()
    with guard().guarding(access()):
        ours = cached()
    assert ours is not before
    assert cached() is before
    assert before.client.follow_redirects
    assert not ours.client.follow_redirects


def test_what_the_client_of_openai_finds_in_the_environment_goes_to_openai_alone(monkeypatch):
    """A gateway's token and the names of accounts; the client is used for a hundred others."""
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: Bearer gateway\nX-Gateway: token")
    given = {"Authorization": "Bearer gateway", "X-Gateway": "token", "OpenAI-Organization": "o", "X-Other": "1"}
    sent: list[httpx.Request] = []
    with httpx.Client(transport=httpx.MockTransport(lambda got: sent.append(got) or httpx.Response(200))) as client:
        guard()._hook(client)
        for provider, key in (("cerebras", "k"), ("openai", "no-key"), ("openai", "k")):
            with guard().guarding(Access(provider=provider, api_base=None, api_key=key, own=("api.example",))):
                client.get("https://api.example/x", headers=given)
    assert [request.headers["authorization"] for request in sent] == ["Bearer k", "Bearer no-key", "Bearer gateway"]
    assert ["x-gateway" in request.headers for request in sent] == [False, False, True]
    assert ["openai-organization" in request.headers for request in sent] == [False, False, True]
    assert all(request.headers["x-other"] == "1" for request in sent)


def test_a_number_is_connected_to_only_where_it_may_be_a_names():
    """What is allowed by its number alone leads to no other."""
    with guard().guarding(access(allowed=("http://127.0.0.1:1/v1",))):
        socket.getaddrinfo("127.0.0.1", 1)
        with pytest.raises(guard().AddressRefusedError):
            socket.create_connection(("192.0.2.1", 80), 1)


@pytest.mark.parametrize("status", [301, 307])
def test_a_client_that_is_not_asynchronous_follows_no_redirect_either(status):
    with Provider() as elsewhere, Provider() as provider:
        provider.script(Reply(status=status, body="", headers={"Location": f"{elsewhere.base}/chat/completions"}))
        with guard().guarding(access()), pytest.raises(guard().RedirectRefusedError):
            shared().post(f"{provider.base}/chat/completions", json={})
    assert elsewhere.requests == []


BEHIND = """
import json, sys
import httpx, requests
from runllm.engines.access import Access
from runllm.engines.litellm import _library
_library()
from litellm.llms.custom_httpx.http_handler import get_httpx_client
from runllm.engines.guard import guarding

ways = {"kept": lambda url: get_httpx_client().get(url), "own": httpx.get, "cloud": lambda url: requests.get(url, timeout=5)}
for way, url, signed in json.loads(sys.argv[1]):
    key = None if signed == "session" else "k"
    with guarding(Access(provider="p", api_base=None, api_key=key, own=("http://good.example",))) as refused:
        try:
            said = str(ways[way](url).status_code)
        except Exception as error:
            said = type(error).__name__
    print(json.dumps([said, len(refused)]))
"""


# The way, the address, who signs; and what comes of it.
BEHIND_A_PROXY = [
    ("kept", "http://good.example/x", "key", "404"),
    ("kept", "http://evil.example/x", "key", "AddressRefusedError"),
    ("kept", "https://evil.example/x", "key", "AddressRefusedError"),
    ("own", "http://evil.example/x", "key", "AddressRefusedError"),
    ("own", "http://good.example/x", "key", "404"),
    ("cloud", "http://good.example/x", "session", "404"),
    ("cloud", "http://evil.example/x", "session", "AddressRefusedError"),
    ("cloud", "https://evil.example/x", "session", "AddressRefusedError"),
    ("cloud", "https://evil.example/x", "key", "AddressRefusedError"),
]


def test_behind_a_proxy_the_target_is_looked_at():
    """The proxy itself is the user's, and is passed."""
    with Provider() as proxy:
        environment = {"PATH": "", "http_proxy": proxy.root, "https_proxy": proxy.root, "HOME": str(Path.home())}
        asked = json.dumps([case[:3] for case in BEHIND_A_PROXY])
        done = subprocess.run(
            [sys.executable, "-c", BEHIND, asked], capture_output=True, text=True, env=environment, timeout=100
        )
        came = [json.loads(line) for line in done.stdout.splitlines()]
    assert came == [[said, int(said != "404")] for *_, said in BEHIND_A_PROXY], done.stderr
    assert [request.path for request in proxy.requests] == ["http://good.example/x"] * 3
