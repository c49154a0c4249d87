"""Call a model through LiteLLM: one request, one answer, on time, and silent.

LiteLLM takes two seconds to import and has habits of its own (it loads `.env` files, fetches from the
network, prints to stdout, never times out on a dripping server): all of that is switched off here.
"""

from __future__ import annotations

import gc
import inspect
import os
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runllm.engines import providers
from runllm.engines.access import Access, reach, refusals, stopped
from runllm.engines.base import Fit, Price, ServerEngine, Setup
from runllm.engines.catalogue import Traits
from runllm.engines.memory import Memory
from runllm.engines.once import Once
from runllm.engines.servers import SMALL, Servers
from runllm.errors import EngineUnavailableError, RunllmError
from runllm.installation import adding
from runllm.results import Completion, Endpoint, Request

if TYPE_CHECKING:
    from runllm.engines.asking import Found
    from runllm.engines.failures import Failure
    from runllm.engines.forms import Forms

_SWITCHES = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it fetches its price table when imported
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",  # else it fetches them with the first call
    "LITELLM_MODE": "PRODUCTION",  # else it loads a `.env` file into the environment
    "LITELLM_LOG": "CRITICAL",  # else it logs to stderr
}
_COMPLAINTS: dict[type[Warning], str] = {  # each is a line on stderr that tells its reader of no fault of theirs
    UserWarning: "Pydantic serializer warnings",  # its types are dumped with what an answer should not hold
    # A cancelled call whose thread still prepares the request drops it. It has not begun, so nothing is lost.
    RuntimeWarning: r"coroutine '\w+\.\w*completion\w*' was never awaited",
}
_IMPORTING = "importing LiteLLM"
_importing = threading.Lock()
_BOOKKEEPING = 0.5  # seconds that LiteLLM gets to finish it


class LiteLLMEngine(ServerEngine):
    """Runs every model that LiteLLM knows. An `Engine`: see `runllm.engines.base`."""

    def __init__(self, setup: Setup | None = None) -> None:
        super().__init__()
        self._setup = setup or Setup()
        self._kept = Memory(self._setup.memory)
        self.servers = Servers(self._kept)
        self._forms: Forms | None = None
        self._loaded = False
        self._accesses = Once(os.environ, reach)

    def ready(self, endpoint: Endpoint) -> None:
        """Raise unless LiteLLM is installed and the endpoint has a provider, an address and a key."""
        self._reach(endpoint)

    def learn(self, endpoint: Endpoint) -> None:
        """Ask a server of the user's own whether it is llama.cpp, once a process."""
        self.servers.learn(reach(endpoint, os.environ))

    def warm(self, request: Request) -> None:
        """Import LiteLLM, which takes seconds."""
        del request
        with self._setup.doing(_IMPORTING):
            _library()
        self._loaded = True

    def traits(self, endpoint: Endpoint) -> Traits:
        """Those of all that LiteLLM calls; a small model behind llama.cpp is held to its schema by a grammar."""
        found = super().traits(endpoint)
        with suppress(RunllmError):  # it cannot be called: that is for `ready` to say
            if self.servers.kind(reach(endpoint, os.environ)) == SMALL:
                return replace(found, constrained=True)
        return found

    def refusals(self, endpoint: Endpoint) -> Iterator[RunllmError]:
        """What the endpoint asks for and the user has not allowed."""
        return refusals(endpoint, os.environ)

    def window(self, endpoint: Endpoint) -> int | None:
        """The context window in tokens, from the price table that LiteLLM ships."""
        return providers.window(endpoint)

    def price(self, endpoint: Endpoint) -> Price | None:
        """What the model costs, from the same table."""
        return providers.price(endpoint)

    def fit(self, request: Request) -> Fit:
        """What the model takes of the parameters, from a table of what LiteLLM makes of them."""
        from runllm.engines import parameters  # a file without parameters needs none of it

        return parameters.fit(request) if request.params or request.schema else Fit(params=request.params)

    def sent(self, request: Request) -> Request:
        """The request, its answer bounded where LiteLLM would ask for one of a length of its own."""
        from runllm.engines.lengths import bounded  # nothing to do with a file that is only checked

        return bounded(request)

    async def _answer(self, request: Request) -> Completion:
        """One call. What goes wrong is raised where nothing of the library can become its context."""
        import asyncio

        asked, access = self.sent(request), self._reach(request.endpoint)
        # Two seconds: in a thread of the loop, which would hear nothing else meanwhile.
        if self._loaded:
            library = _library()
        else:
            with self._setup.doing(_IMPORTING):
                library = await asyncio.to_thread(_library)
        self._loaded = True
        from runllm.engines import chat
        from runllm.engines.guard import guarding  # it imports LiteLLM
        from runllm.engines.meanings import error_for, late

        start, clock = time.perf_counter(), asyncio.timeout(request.timeout)
        reply = failure = None
        notes: tuple[str, ...] = ()
        with guarding(access) as refused, suppress(TimeoutError):
            async with clock:
                reply, failure, notes = await self._ask(library, asked, access)
        if clock.expired():
            raise late(request, access.provider)
        if failure is not None and refused and "AddressRefusedError" in failure.kinds:
            raise stopped(request.endpoint, access, refused[-1], os.environ)
        elapsed = time.perf_counter() - start
        if failure is not None and failure.generated:  # an answer like any other that does not fit
            return Completion(text=failure.generated, model=request.endpoint.model, latency=elapsed)
        if failure is not None:
            raise error_for(failure, endpoint=request.endpoint, access=access, request=asked)
        found = chat.read(reply, asked, access, elapsed)
        return replace(found, notes=(*found.notes, *notes)) if notes else found

    async def _close(self) -> None:
        await _close_clients()

    async def _ask(self, library: Any, request: Request, access: Access) -> Found:
        """The reply or the failure, and what it took."""
        import asyncio

        from runllm.engines.asking import asking

        steps = asking(request, self.forms(), self._setup, self.servers.kind(access))
        try:
            step = next(steps)
            while True:
                if isinstance(step, Mapping):
                    step = steps.send(await _insist(library, request, access, step))
                else:
                    await asyncio.sleep(step)
                    step = next(steps)
        except StopIteration as end:
            return end.value

    def _reach(self, endpoint: Endpoint) -> Access:
        if providers.folder() is None:
            raise EngineUnavailableError(
                f"`{endpoint.model}` runs through LiteLLM, which is not installed",
                details={"model": endpoint.model},
                hint=f"{adding('litellm')} Or choose a local model with `--model local/smollm2-135m`.",
            )
        return self._accesses.of(endpoint)

    def forms(self) -> Forms:
        """How answers are held to their schemas, and what providers have refused of that."""
        from runllm.engines.forms import Forms

        self._forms = self._forms or Forms(self._kept)
        return self._forms


# --- the library ------------------------------------------------------------------------------------


def _library() -> Any:
    """LiteLLM, imported once, without its habits.

    A third of what import and exit take is the garbage collector, walking over half a million objects
    that are never freed; so it stays off meanwhile, and never looks at them again.
    """
    with _importing:
        first = "litellm" not in sys.modules
        collecting = gc.isenabled()
        if first:
            for name, value in _SWITCHES.items():
                os.environ.setdefault(name, value)
            _keep_here()
            gc.disable()
        try:
            import litellm  # two seconds and 150 MB: only when a call really goes through it
        except Exception as error:  # as where there is no room for a temporary file, or no memory
            raise EngineUnavailableError(f"LiteLLM cannot be loaded: {type(error).__name__}: {error}") from None
        finally:
            if first:
                gc.freeze()
                if collecting:
                    gc.enable()
        library: Any = litellm
        library.suppress_debug_info = True  # its hints are printed to stdout
        for category, message in _COMPLAINTS.items():
            warnings.filterwarnings("ignore", message, category)
        library.disable_hf_tokenizer_download = True  # else some model names block for 23 s offline
        return library


def _keep_here() -> None:
    """Have calls to this machine go past any proxy: behind one, another machine would be meant."""
    from urllib.request import getproxies  # LiteLLM imports it as well

    if set(getproxies()) <= {"no"}:
        return
    listed = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if listed.strip() != "*":
        whole = ",".join([*filter(None, [listed]), "localhost", "127.0.0.1", "::1"])
        os.environ.update({"no_proxy": whole, "NO_PROXY": whole})


async def _insist(
    library: Any, request: Request, access: Access, form: Mapping[str, Any]
) -> tuple[Any, Failure | None]:
    """As `_complete`; to a model that no table knows all is sent, whatever LiteLLM thinks of its name.

    LiteLLM refuses by itself and before anything is sent: first by the names of parameters, then by their values.
    """
    from runllm.engines import chat, parameters

    reply, failure = await _complete(library, chat.arguments(request, access, form), access)
    if failure is None or "UnsupportedParamsError" not in failure.kinds or parameters.is_known(request.endpoint.model):
        return reply, failure
    for insisting in chat.insisting(chat.arguments(request, access, form), request, failure.words):
        reply, failure = await _complete(library, insisting, access)
        if failure is None or "UnsupportedParamsError" not in failure.kinds:
            break
    return reply, failure


async def _complete(library: Any, arguments: dict[str, Any], access: Access) -> tuple[Any, Failure | None]:
    """The library's reply, or what is known of its failure."""
    from runllm.engines.failures import observe

    try:
        return await library.acompletion(**arguments), None
    except Exception as error:
        return None, observe(error, [access.api_key] if access.api_key else ())


async def _close_clients() -> None:
    """Close the clients that LiteLLM keeps for this event loop, and no others; let it finish its bookkeeping."""
    import asyncio

    cache: Any = getattr(sys.modules.get("litellm"), "in_memory_llm_clients_cache", None)
    if cache is None:
        return
    ending = cache.update_cache_key_with_event_loop("")
    for key in [key for key in cache.cache_dict if str(key).endswith(ending)]:
        client = cache.cache_dict.pop(key)
        close = getattr(client, "aclose", None) or getattr(client, "close", None)
        with suppress(Exception):  # the others are to be closed in every case
            closing = close() if close is not None else None
            if inspect.isawaitable(closing):  # some providers keep a client that is not asynchronous
                await closing
    books: Any = sys.modules.get("litellm.litellm_core_utils.logging_worker")
    if books is not None:
        with suppress(Exception):  # it may be bound to another loop; it is LiteLLM's own affair
            async with asyncio.timeout(_BOOKKEEPING):
                await books.GLOBAL_LOGGING_WORKER.flush()
