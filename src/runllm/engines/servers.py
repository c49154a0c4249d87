"""What a server of the user's own is, asked once: llama.cpp takes a grammar, and a small model an outline in words.

Only plain `http://` addresses are asked, which are those of one's own machine or network, without a key: no provider
gets a request for it. What was found is kept for a day, so that `--dry-run`, which asks nobody, shows what is sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeAlias, cast

from runllm import tokens
from runllm.engines.access import Access
from runllm.engines.memory import Memory
from runllm.errors import ContextWindowExceededError
from runllm.results import Completion, Request

Kind: TypeAlias = Literal["llama.cpp, small", "llama.cpp", "another"]
SMALL: Kind = "llama.cpp, small"
_KINDS: tuple[Kind, ...] = (SMALL, "llama.cpp", "another")
LLAMA = _KINDS[:2]
_SPOKEN = frozenset({"openai", "custom_openai", "hosted_vllm", "llamafile", "lm_studio"})
_PATIENCE = 1.0  # seconds
_SERVED_WINDOW = 4096  # tokens that nearly every server was started with
_PER_TOKEN = 3  # characters that are written for each token of a form, and may each be one
SMALL_MODEL = 2_000_000_000
"""Parameters below which a model copies the JSON Schema that it is shown, and loops in what has no end."""


class Servers:
    """What is known of servers. Thread-safe as far as it matters: to ask twice is no harm."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._found: dict[str, Kind] = {}

    def kind(self, access: Access) -> Kind | None:
        """What the server is known to be; None where nothing is known. Asks nobody."""
        base = access.api_base
        if not _is_own(access) or base is None:
            return None
        if base not in self._found:
            known = {kind: self._memory.when(_fact(base, kind)) for kind in _KINDS}
            latest = max(_KINDS, key=known.__getitem__)
            return latest if known[latest] else None
        return self._found[base]

    def learn(self, access: Access) -> None:
        """Ask the server, if it is one to be asked and was not in this process."""
        base = access.api_base
        if not _is_own(access) or base is None or base in self._found:
            return
        found = _asked(base)
        if found is not None:
            if (self.kind(access) or "another") != found:  # of most servers there is nothing to be kept
                self._memory.keep(_fact(base, found))
            self._found[base] = found


def _is_own(access: Access) -> bool:
    return access.provider in _SPOKEN and (access.api_base or "").lower().startswith("http://")


def _fact(base: str, kind: Kind) -> str:
    return f"the server at {base} is {kind}"


def _asked(base: str) -> Kind | None:
    """What a server says of itself in its list of models; None where it does not answer."""
    from http.client import HTTPException

    from runllm.engines.bodies import UnreadableError
    from runllm.engines.http import Client, HttpRequest, Line, UnreachableError, headers

    request = HttpRequest(method="GET", url=f"{base.rstrip('/')}/models", headers=headers(None), timeout=_PATIENCE)
    client = Client()
    try:
        reply = client.send(request, Line())
    except (TimeoutError, UnreachableError, UnreadableError, HTTPException):
        return None
    finally:
        client.close()
    told = reply.headers.get("server", "")
    models = list(_models(reply.text))
    if not models and reply.status >= 500:  # noqa: PLR2004 - it may still be loading the model
        return None
    if "llama" not in told and not any(model.get("owned_by") == "llamacpp" for model in models):
        return "another"
    facts = [cast("Mapping[str, Any]", meta) for model in models if isinstance(meta := model.get("meta"), dict)]
    sizes = [size for fact in facts if isinstance(size := fact.get("n_params"), int)]
    return SMALL if sizes and max(sizes) < SMALL_MODEL else "llama.cpp"


def _models(text: str) -> Iterator[Mapping[str, Any]]:
    try:
        listed: Any = json.loads(text)
    except (ValueError, RecursionError):
        return
    data: Any = cast("dict[str, Any]", listed).get("data") if isinstance(listed, dict) else None
    for model in cast("list[Any]", data) if isinstance(data, list) else ():
        if isinstance(model, dict):
            yield cast("dict[str, Any]", model)


# --- what a server of llama.cpp is sent -------------------------------------------------------------------


def grammar(request: Request, *, small: bool, distinct: bool = False) -> dict[str, Any]:
    """The form of an answer, closed and bounded, as a grammar among the arguments of a call; nothing where none fits.

    Args:
        request: what is asked; it has a schema.
        small: whether the model is small, and so decodes as one in this process does: the likeliest, without loops.
        distinct: keep what must differ apart by first letters.
    """
    from runllm.engines.local.gbnf import gbnf  # only for such a server
    from runllm.engines.local.planning import STEADY, plan

    try:
        found = plan(request, request.window or _SERVED_WINDOW, distinct=distinct)
    except ContextWindowExceededError:
        return {}
    given = {**request.endpoint.provider_params, **request.params}
    body: dict[str, Any] = {**(STEADY if small else {}), **(given.get("extra_body") or {}), "grammar": gbnf(found.form)}
    made: dict[str, Any] = {"extra_body": {name: value for name, value in body.items() if name not in given}}
    if tokens.longest_answer(given) is None:
        made["max_tokens"] = _PER_TOKEN * found.tokens
    if small and "temperature" not in given:
        made["temperature"] = 0
    return made


def fits(reply: Any, request: Request) -> bool:
    """Whether an answer satisfies its schema as it stands."""
    from runllm.engines.chat import said
    from runllm.engines.local.planning import fits

    choice: Any = next(iter(getattr(reply, "choices", None) or ()), None)
    text = reply.text if isinstance(reply, Completion) else said(getattr(choice, "message", None), request)
    return isinstance(text, str) and fits(request.schema, text)
