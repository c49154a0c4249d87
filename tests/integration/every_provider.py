"""Call every provider that LiteLLM knows, with a planted key in every variable, and print where each call went.

Run by `test_every_provider.py` in a process of its own, as `python -m tests.integration.every_provider some|all`, for
each of these in a fork of it, as the import of LiteLLM takes most of the time:

    direct     without an address: what is looked up is seen, and refused
    proxy      the same through a proxy that opens TLS: what is sent is seen, whole
    loopback   with an address on this machine, as a file may name one: what arrives there is seen

Each line is a JSON object: mode, provider, model, outcome, and what was looked up, connected to and sent.
"""

from __future__ import annotations

import json
import os
import random
import re
import socket
import ssl
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

MODES = ("direct", "proxy", "loopback")
PROMPT = "a-prompt-that-is-nobodys-business"
SECRETS = re.compile(r"KEY|TOKEN|SECRET|JWT|PASSWORD|CREDENTIAL|CLIENT_ID|ORG|PROJECT_ID$")
# What the client of OpenAI reads by itself, for whomever it is used.
OF_THE_SDK = ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_ADMIN_KEY", "OPENAI_ORGANIZATION")
NO_SECRETS = re.compile(r"TIKTOKEN|_FILE$|_PATH$|_URL$|^LITELLM_|^GOOGLE_APPLICATION|COUNTING_TOKENIZER")
ACCOUNTS = {
    "SNOWFLAKE_ACCOUNT_ID": "mine", "CLOUDFLARE_ACCOUNT_ID": "mine", "WATSONX_PROJECT_ID": "mine", "PREDIBASE_TENANT_ID": "mine",
    "AWS_REGION": "us-east-1", "AWS_REGION_NAME": "us-east-1", "VERTEXAI_PROJECT": "mine", "VERTEXAI_LOCATION": "us-central1",
}  # fmt: skip
# What a stranger's file may say to have a host made of it.
TRICKS: Mapping[str, list[dict[str, Any]]] = {
    "baseten": [{"model": "baseten/abcd1234"}],
    "bedrock": [
        {"model": "bedrock/evil-region-1/anthropic.claude-v2"},
        {"model": "bedrock/x.evil.example/anthropic.claude-v2"},
        {"model": "bedrock/arn:aws:bedrock:x.evil.example:1:inference-profile/anthropic.claude-v2"},
        {"model": "bedrock/agent/ABCD/EFGH"},
        {"model": "bedrock/agentcore/arn:aws:bedrock-agentcore:x.evil.example:1:runtime/r"},
        {"model": "bedrock/mantle/x.evil.example/m"},
    ],
    "sagemaker_chat": [{"model": "sagemaker_chat/x.evil.example"}],
    "snowflake": [{"model": "snowflake/m", "provider_params": {"account_id": "another"}}],
    "replicate": [{"model": "replicate/someone/a-model"}, {"model": "replicate/deployments/someone/a-model"}],
    "huggingface": [{"model": "huggingface/someone/a-model"}, {"model": "huggingface/together/someone/a-model"}],
    "clarifai": [{"model": "clarifai/me.app.m"}],
    "predibase": [{"model": "predibase/m", "provider_params": {"tenant_id": "another"}}],
    "ragflow": [{"model": "ragflow/chat/one/m"}],
    "vertex_ai": [{"model": "vertex_ai/claude-3-5-sonnet"}, {"model": "vertex_ai/1234567890"}],
    "azure_ai": [{"model": "azure_ai/agents/x"}],
    "watsonx": [{"model": "watsonx/deployment/abc"}],
}


def planted(names: Iterable[str]) -> dict[str, str]:
    """A value for each variable that may hold a secret, which tells whose it is."""
    return {name: f"planted.{name}.value" for name in names if SECRETS.search(name) and not NO_SECRETS.search(name)}


def variables(folder: Path) -> set[str]:
    """Every name of a variable in LiteLLM's source."""
    found: set[str] = set()
    for path in folder.rglob("*"):
        if path.suffix in (".py", ".json") and "proxy" not in path.relative_to(folder).parts[:1]:
            found |= set(
                re.findall(r'"([A-Z][A-Z0-9]*_[A-Z0-9_]+)"', path.read_text(encoding="utf-8", errors="replace"))
            )
    return found


class Watch:
    """What leaves this process: each look-up and connection beyond this machine, which it refuses."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, given: tuple[Any, ...]) -> None:
        if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
            host = given[0].decode() if isinstance(given[0], bytes) else given[0]
        elif event in ("socket.connect", "socket.sendto", "socket.sendmsg") and isinstance(given[1], tuple):
            host = str(given[1][0])
        else:
            return
        if host and not host.startswith(("127.", "::1", "localhost")):
            self.seen.append(host)
            raise OSError(f"{host} is not this machine")


class Listener:
    """A server on this machine that keeps what it is sent: as a proxy that opens TLS, or plainly."""

    def __init__(self, authority: Any = None) -> None:
        self.got: list[dict[str, str]] = []
        self._authority = authority
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._server = socket.create_server(("127.0.0.1", 0))
        self.root = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._server.accept()
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        host = ""
        try:
            while head := _head(connection):
                if head.startswith("CONNECT "):
                    host = head.split()[1].removesuffix(":443")
                    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                    connection = self._context(host.partition(":")[0]).wrap_socket(connection, server_side=True)
                    continue
                length = re.search(r"(?i)\r\ncontent-length: *(\d+)", head)
                body = _exactly(connection, int(length[1]) if length else 0)
                self.got.append({"host": host or self.root, "text": head + body.decode("utf-8", "replace")})
                reply = json.dumps(_reply()).encode()
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(reply)
                    + reply
                )
        except OSError:  # the client went away
            pass
        finally:
            connection.close()

    def _context(self, host: str) -> ssl.SSLContext:
        if host not in self._contexts:
            self._contexts[host] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._authority.issue_cert(host).configure_cert(self._contexts[host])
        return self._contexts[host]


def _head(connection: socket.socket) -> str:
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            return ""
        data += byte
    return data.decode("latin-1")


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (piece := connection.recv(count - len(data))):
        data += piece
    return data


def _reply() -> dict[str, Any]:
    message = {"role": "assistant", "content": '{"n": 1}'}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}


def endpoints(names: Iterable[str], base: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """How a file may name each provider."""
    for name in names:
        for given in ({"model": f"{name}/m"}, *TRICKS.get(name, ())):
            yield name, given | ({"api_base": base} if base else {})


ALWAYS = ("openai", "anthropic", "gemini", "bedrock", "mistral", "replicate", "sagemaker", "baseten", "ai21")


def chosen(known: Iterable[str], extent: str) -> list[str]:
    """The providers that are called: all, or a sample that is the same every time."""
    every = sorted(known)
    if extent == "all":
        return every
    return sorted({*ALWAYS, *random.Random(1871).sample(every, 8)})  # noqa: S311 - no secret


def main(extent: str = "all") -> None:
    """Call each in every way, and print."""
    watch = Watch()  # before anything of runllm's, so that nothing is refused before it is seen
    from runllm.engines import litellm, providers

    os.environ.update(planted({*variables(providers.folder()), *OF_THE_SDK}) | ACCOUNTS)
    os.environ["OPENAI_CUSTOM_HEADERS"] = "X-Gateway: planted.OPENAI_CUSTOM_HEADERS.value"
    os.chdir(tempfile.mkdtemp())  # the value of some variables is where LiteLLM makes a folder
    authority = _authority()
    litellm._library()
    for mode in MODES:
        if not (pid := os.fork()):
            _call(mode, extent, watch, authority)
            os._exit(0)  # what some libraries left behind need not be taken down
        os.waitpid(pid, 0)


def _call(mode: str, extent: str, watch: Watch, authority: Any) -> None:
    """Call each in one way, and print."""
    from runllm.engines import providers
    from runllm.engines.litellm import LiteLLMEngine
    from runllm.errors import RunllmError
    from runllm.results import Endpoint, Message, Request

    listener = Listener(authority if mode == "proxy" else None)
    if mode == "proxy":
        os.environ.update(
            {"HTTPS_PROXY": listener.root, "HTTP_PROXY": listener.root, "NO_PROXY": "127.0.0.1,localhost"}
        )
    base = f"{listener.root}/v1" if mode == "loopback" else None
    engine = LiteLLMEngine()
    for name, given in endpoints(chosen(providers.names(), extent), base):
        watch.seen.clear()
        listener.got.clear()
        request = Request(endpoint=Endpoint(**given), messages=(Message(role="user", content=PROMPT),), timeout=20)
        try:
            engine.complete(request)
            outcome, said = "answered", ""
        except RunllmError as error:
            outcome, said = error.code, str(error)
        sent = [
            {"host": got["host"], "keys": sorted(set(re.findall(r"planted\.([A-Z0-9_]+)\.value", got["text"])))}
            for got in listener.got
        ]
        row = {"mode": mode, "provider": name, "model": given["model"], "outcome": outcome, "said": said, "sent": sent}
        sys.stdout.write(json.dumps(row | {"looked_up": list(watch.seen)}) + "\n")
        sys.stdout.flush()


def _authority() -> Any:
    import trustme

    authority = trustme.CA()
    path = Path(tempfile.mkdtemp()) / "authority.pem"
    authority.cert_pem.write_to_path(path)
    os.environ.update({"SSL_CERT_FILE": str(path), "REQUESTS_CA_BUNDLE": str(path)})
    return authority


if __name__ == "__main__":
    main(*sys.argv[1:])
