"""Write `src/runllm/engines/providers.json`: what each provider of the installed LiteLLM does with keys and addresses.

Nothing here is read off a page: each provider is called with planted keys and addresses, and what it would have sent is
looked at just before it leaves. Nothing does leave; a look-up of anything but this machine is refused as well.

    python tools/gen_providers.py            # write the file (a minute)
    python tools/gen_providers.py --check    # exit 1 when it is out of date
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn
from urllib.parse import urlsplit

TARGET = Path(__file__).parent.parent / "src" / "runllm" / "engines" / "providers.json"
LLM_PARAMS = TARGET.parent.parent / "llm_params.schema.json"
HERE = "http://127.0.0.1:9/v1"
GIVEN = "a-key-that-was-given"
MOST = 8  # variables of one kind that a provider is found to read

_SWITCHES = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "CRITICAL",
}  # fmt: skip
_READ = re.compile(
    r'(?:get_secret\w*|getenv|environ\.get)\(\s*"([A-Z][A-Z0-9_]{2,})"|environ\["([A-Z][A-Z0-9_]{2,})"\]'
)
_SECRET = re.compile(r"KEY|TOKEN|SECRET|JWT|PASSWORD")
_ADDRESS = re.compile(r"(?:BASE|BASE_URL|API_URL|ENDPOINT|_URL|_HOST)$")
# What says by itself who signs in, where a file is, or how LiteLLM works; and the key that LiteLLM falls back on.
_NOT_A_KEY = re.compile(r"^(?:AWS_|LITELLM_|GOOGLE_APPLICATION|AZURE_AD|AZURE_CLIENT)|TIKTOKEN|_FILE$|_PATH$|_URL$")
_FALLBACK = re.compile(r"^OPENAI_")
_OPENAI = ("openai", "text-completion-openai")
_STEMS = ("OPENAI", "TEXT_COMPLETION_OPENAI")
_OPENAIS = "api.openai.com"  # where LiteLLM's client of OpenAI goes when it is told nothing else
# Names of accounts that some providers refuse to begin without.
_ACCOUNTS = {
    "SNOWFLAKE_ACCOUNT_ID": "account", "CLOUDFLARE_ACCOUNT_ID": "account", "WATSONX_PROJECT_ID": "project",
    "PREDIBASE_TENANT_ID": "tenant", "AWS_REGION_NAME": "us-east-1", "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret",
}  # fmt: skip
_MODELS = {"ragflow": ["ragflow/chat/one/m"], "clarifai": ["clarifai/me.app.m"]}  # of a form that `m` is not
_BASES = {"triton": f"{HERE}/generate"}  # of a form that LiteLLM insists on
# What a configuration of LiteLLM lists and runllm sends by itself, or what is no parameter of the request.
_NO_PARAM = re.compile(
    r"^(?:system|template|preamble|system_prompt|chat_history|debug|supports_|vertex_|[A-Z_]+$)|_key$"
)
_HUBS = ("huggingface.co", "localhost:11434")  # what LiteLLM asks beside the call; runllm lets it ask neither


class CapturedError(Exception):
    """The call was looked at, and goes no further."""


@dataclass
class Seen:
    """What one call would have sent.

    Attributes:
        places: scheme, host and port of each request, in order.
        variables: the planted variables whose values were in them.
    """

    places: list[str] = field(default_factory=list)
    variables: list[str] = field(default_factory=list)


class Probe:
    """LiteLLM with every way out closed and watched."""

    def __init__(self) -> None:
        os.environ.update(_SWITCHES | _ACCOUNTS)
        self.names = sorted({a or b for text in _sources() for a, b in _READ.findall(text)} | _listed_keys())
        self.keys = [name for name in self.names if _SECRET.search(name) and not _NOT_A_KEY.search(name)]
        self.bases = [
            name for name in self.names if _ADDRESS.search(name) and not _SECRET.search(name) and "PROXY" not in name
        ]
        self.seen = Seen()
        self._close_the_ways_out()
        import litellm

        litellm.suppress_debug_info = True
        litellm.disable_hf_tokenizer_download = True
        self.library: Any = litellm

    def _close_the_ways_out(self) -> None:
        import aiohttp
        import httpx

        def look(url: object, *parts: object) -> None:
            whole = " ".join(map(str, (url, *parts)))
            split = urlsplit(str(url))
            self.seen.places.append(f"{split.scheme}://{split.netloc}")
            self.seen.variables += [name for name in self.keys if _key(name) in whole]
            self.seen.variables += [name for name in self.bases if split.hostname == _host(name)]

        def send_now(_: Any, request: httpx.Request, **__: Any) -> httpx.Response:
            look(request.url, dict(request.headers), request.content)
            return httpx.Response(400, request=request, json={"error": {"message": "captured"}})  # not sent again

        async def send(client: Any, request: httpx.Request, **_: Any) -> httpx.Response:
            return send_now(client, request)

        async def ask(_: Any, __: str, url: Any, **given: Any) -> NoReturn:
            look(url, given)
            raise CapturedError(str(url))

        httpx.AsyncClient.send, httpx.Client.send = send, send_now  # type: ignore[method-assign]
        aiohttp.ClientSession._request = ask  # type: ignore[method-assign] # noqa: SLF001
        sys.addaudithook(_refuse)

    async def call(self, model: str, planted: Iterable[str] = (), **given: Any) -> Seen:
        """Call a model with these variables planted and no others."""
        for name in (*self.keys, *self.bases):
            os.environ.pop(name, None)
        os.environ.update({name: _key(name) if name in self.keys else f"https://{_host(name)}/v1" for name in planted})
        self.seen = Seen()
        messages = [{"role": "user", "content": "hi"}]
        call = self.library.acompletion(model=model, messages=messages, max_retries=0, timeout=5, **given)
        with suppress(Exception):  # every call fails; what it would have sent was seen
            await asyncio.wait_for(call, 10)
        return self.seen

    async def row(self, provider: str) -> dict[str, Any]:
        """What is known of a provider after calling it."""
        models = [f"{provider}/m", *_MODELS.get(provider, ()), *self._priced(provider)]
        keys, hosts, bases = list[str](), list[str](), list[str]()
        kept: list[bool] = []
        for model in models:
            if not keys:
                keys = await self._read(model, self.keys, provider)
            if not bases:
                bases = await self._read(model, self.bases, provider, keys)
            seen = await self.call(model, keys or self.keys)
            hosts += [place for place in seen.places if place not in hosts]
            base = _BASES.get(provider, HERE)
            given = await self.call(model, self.keys, api_base=base, api_key=GIVEN)
            elsewhere = [place for place in given.places if not _is_here(place) and not place.endswith(_HUBS)]
            if given.places:
                kept.append(not elsewhere and not given.variables)
        row = dict(_row(keys, hosts, bases, kept, _stem(provider)))
        return row | ({"params": params} if (params := self._params(provider)) else {})

    def _params(self, provider: str) -> list[str]:
        """What the provider takes beyond `llm_params`: the fields of its configuration, and its listed parameters."""
        from litellm.utils import ProviderConfigManager

        with suppress(Exception):  # not every provider has a configuration
            known = self.library.LlmProviders(provider)
            configuration = ProviderConfigManager.get_provider_chat_config(model="m", provider=known)
            fields = {name for kind in type(configuration).__mro__ for name in getattr(kind, "__annotations__", {})}
            listed = set(self.library.get_supported_openai_params("m", provider) or ())
            found = (fields | listed) - _elsewhere()
            return sorted(name for name in found if not (name.startswith("_") or _NO_PARAM.search(name)))
        return []

    async def _read(self, model: str, names: list[str], provider: str, always: Iterable[str] = ()) -> list[str]:
        """The variables that are used, the strongest first: each is taken away once it was seen."""
        found: list[str] = []
        own = provider in _OPENAI
        rest = [name for name in names if own or not _FALLBACK.match(name)]
        for _ in range(MOST):
            seen = await self.call(model, [*always, *(name for name in rest if name not in found)])
            more = [name for name in dict.fromkeys(seen.variables) if name in rest and name not in found]
            if not more:
                break
            found += more
        return found

    def _priced(self, provider: str) -> list[str]:
        """One of the provider's models in the price table: some take another way than a name that is not there."""
        table: dict[str, Any] = self.library.model_cost
        names = [
            name for name, entry in table.items()
            if entry.get("litellm_provider") == provider and entry.get("mode") == "chat"
        ]  # fmt: skip
        return [name if name.startswith(f"{provider}/") else f"{provider}/{name}" for name in names[:1]]


def _row(
    keys: list[str], places: list[str], bases: list[str], kept: list[bool], stem: str
) -> Iterator[tuple[str, Any]]:
    hosts = [place.removeprefix("https://") for place in places if place.startswith("https://")]
    hosts = [host for host in hosts if not host.endswith(_HUBS) and (host != _OPENAIS or stem in _STEMS)]
    local = next((place for place in places if place.startswith("http://") and _is_local(place)), None)
    if keys:
        yield "keys", sorted(keys, key=lambda name: name != f"{stem}_API_KEY")  # what is named like it comes first
    if hosts:
        yield "hosts", hosts
    if local and not hosts:
        yield "local", local
    if bases:
        yield "bases", bases
    if kept and all(kept):
        yield "keeps_base", True


@cache
def _elsewhere() -> frozenset[str]:
    """The names that a file sets elsewhere, or not at all."""
    definition = json.loads(LLM_PARAMS.read_text(encoding="utf-8"))
    return frozenset([*definition["properties"], *definition["x-owned"], *definition["x-forbidden-provider-params"]])


def _stem(provider: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", provider.removesuffix("_chat").upper())


def _key(name: str) -> str:
    return f"planted.{name}.key"


def _host(name: str) -> str:
    return f"{name.lower().replace('_', '-')}.planted.example"


def _is_here(place: str) -> bool:
    return place == HERE.removesuffix("/v1")


def _is_local(place: str) -> bool:
    return urlsplit(place).hostname in ("localhost", "127.0.0.1")


def _refuse(event: str, given: tuple[Any, ...]) -> None:
    if event == "socket.getaddrinfo" and given[0] not in (None, "127.0.0.1", "localhost", b"127.0.0.1", b"localhost"):
        raise CapturedError(str(given[0]))


def _folder() -> Path:
    spec = find_spec("litellm")
    return Path(((spec and spec.submodule_search_locations) or ["."])[0])


def _sources() -> Iterator[str]:
    for path in _folder().rglob("*.py"):
        if "proxy" not in path.relative_to(_folder()).parts[:1]:
            yield path.read_text(encoding="utf-8", errors="replace")


def _listed() -> dict[str, Any]:
    return json.loads((_folder() / "llms" / "openai_like" / "providers.json").read_text(encoding="utf-8"))


def _listed_keys() -> set[str]:
    return {row["api_key_env"] for row in _listed().values()}


def providers() -> list[str]:
    """The names of all."""
    import litellm

    return sorted({str(one.value) for one in litellm.LlmProviders} | set(_listed()))


async def _measure() -> dict[str, Any]:
    probe = Probe()
    rows: dict[str, Any] = {}
    for provider in providers():
        row = await probe.row(provider)
        if row:
            rows[provider] = row
    return rows


def generated() -> str:
    """The file as it should be, one provider a line."""
    rows = asyncio.run(_measure())
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in rows.items())
    made = f"Written by tools/gen_providers.py from LiteLLM {version('litellm')}; do not edit."
    return f'{{\n  "$comment": {json.dumps(made)},\n{lines}\n}}\n'


def _alone(tool: Path) -> str:
    """What a tool prints in a process without the keys, the proxies and the settings of whoever runs this.

    It works in a folder of its own: the value of some variables is where LiteLLM makes one.
    """
    kept = ("PATH", "HOME", "TMPDIR", "SYSTEMROOT", "VIRTUAL_ENV", "LANG")
    environment = {name: os.environ[name] for name in kept if name in os.environ} | {"PYTHONHASHSEED": "0"}
    command = [sys.executable, str(tool.resolve()), "--print"]
    with TemporaryDirectory() as folder:
        return subprocess.run(
            command, env=environment, cwd=folder, stdout=subprocess.PIPE, check=True, text=True
        ).stdout


def written(target: Path, tool: Path, generate: Callable[[], str]) -> int:
    """Write what a tool generates, print it, or check it: the exit status."""
    if "--print" in sys.argv:
        sys.stdout.write(generate())
        sys.stdout.flush()
        os._exit(0)  # what was begun and never sent need not be taken down
    text = _alone(tool)
    if "--check" in sys.argv:
        if target.read_text(encoding="utf-8") == text:
            return 0
        print(f"{target.name} is out of date: run `python tools/{tool.name}`")
        return 1
    target.write_text(text, encoding="utf-8")
    return 0


def main() -> int:
    """Write, print or check."""
    return written(TARGET, Path(__file__), generated)


if __name__ == "__main__":
    sys.exit(main())
