"""HTTP: routes over the house, and the only module that knows what stands in a request and an answer."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Match, Route

from runllm.api import as_error
from runllm.results import RunResult
from runllm.serve import metrics, openapi, pages, refusals
from runllm.serve.access import Access
from runllm.serve.batches import Batches
from runllm.serve.bodies import Bounded, given
from runllm.serve.catalog import Served
from runllm.serve.guard import Guard
from runllm.serve.house import House
from runllm.serve.refusals import Refusal
from runllm.serve.steps import heard, step
from runllm.serve.uploads import Uploads

T = TypeVar("T")
_GONE = Response(status_code=499)  # nobody reads it


def application(
    house: House, access: Access, *, follow: bool = False, log: Callable[[str], None] | None = None
) -> Starlette:
    """The service as an ASGI application.

    Args:
        house: what it serves.
        access: who may ask.
        follow: whether files are read again when they change.
        log: told of each request; None for no one.
    """
    web, batches = Web(house, access), Batches(house)
    routes = [
        Route("/apps", web.apps),
        Route("/apps/{name}", web.run, methods=["POST"]),
        Route("/openapi.json", web.openapi),
        Route("/healthz", web.healthz),
        Route("/readyz", web.readyz),
        Route("/metrics", web.metrics),
        *pages.routes(house.catalog, _card, has_token=access.token is not None),
        *Uploads(house.catalog, batches).routes(),
    ]
    middleware = [Middleware(Guard, access=access, log=log)]
    if access.origins:
        allowed = Middleware(
            CORSMiddleware,
            allow_origins=access.origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=["Location", "Retry-After"],
        )
        middleware.insert(0, allowed)

    @asynccontextmanager
    async def alive(_: Starlette) -> AsyncGenerator[None]:
        tasks = [asyncio.create_task(house.get_ready()), *([asyncio.create_task(house.follow())] if follow else [])]
        yield
        await batches.close()
        for task in tasks:
            task.cancel()

    found = Starlette(
        routes=routes,
        middleware=middleware,
        lifespan=alive,
        exception_handlers={Refusal: _refused, HTTPException: _unknown, Exception: web.failed},
    )
    found.router.redirect_slashes = False  # it would name `http://`, also behind a proxy that speaks TLS
    return found


def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)  # noqa: S101 - who is registered for what
    return error.answer()


def _unknown(request: Request, error: Exception) -> Response:
    """What Starlette refuses itself: a path that is none, a method that a path does not take."""
    assert isinstance(error, HTTPException)  # noqa: S101 - as above
    status = HTTPStatus(error.status_code)
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = _methods(request)
        said, hint = f"`{request.method}` is not answered here", f"This path takes {allowed}."
        return Refusal(status, said, hint, {"Allow": allowed}).answer()
    hint = "`GET /apps` lists the apps." if status is HTTPStatus.NOT_FOUND else ""
    return Refusal(status, status.phrase.lower(), hint, error.headers).answer()


def _methods(request: Request) -> str:
    """What a path takes; Starlette itself names only what its first route there does."""
    routes = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
    return ", ".join(sorted({method for route in routes for method in route.methods or ()}))


class Web:
    """The routes."""

    def __init__(self, house: House, access: Access) -> None:
        self._house, self._access = house, access

    async def apps(self, _: Request) -> Response:
        """Which apps there are, and their contracts."""
        return JSONResponse([_card(served) for served in self._house.catalog.values()])

    async def openapi(self, _: Request) -> Response:
        """The OpenAPI document."""
        return JSONResponse(openapi.document(self._house.catalog, has_token=self._access.token is not None))

    async def healthz(self, _: Request) -> Response:
        """Whether the service is alive."""
        return PlainTextResponse("ok\n")

    async def readyz(self, _: Request) -> Response:
        """Whether it can run apps now."""
        ready = self._house.is_ready and not self._house.is_closing
        return PlainTextResponse("ready\n" if ready else "not ready\n", 200 if ready else 503)

    async def metrics(self, _: Request) -> Response:
        """The figures."""
        return Response(self._house.metrics.text(), media_type=metrics.KIND)

    async def run(self, request: Request) -> Response:
        """Run an app, and answer its output, or its steps as they happen."""
        served = self._house.catalog.named(request.path_params["name"])
        bounded = Bounded(request.scope, request.receive)
        bounded.most = self._house.limits.body
        try:
            read = await given(bounded, served.app.program.input)
        except ClientDisconnect:
            return _GONE
        if _wants_events(request.headers.get("accept", "")):
            return StreamingResponse(self._steps(served, read), media_type="text/event-stream")
        result = await unless_gone(request, self._house.run(served, read))
        return _GONE if result is None else _answer(result)

    async def failed(self, _: Request, error: Exception) -> Response:
        """Answer for a fault of the service itself."""
        found = as_error(error)
        self._house.log(f"{found.code} {found.message} ({', '.join(found.details.get('where', ()))})")
        return refusals.answer_of(found)

    async def _steps(self, served: Served, read: Any) -> AsyncGenerator[bytes]:
        """The steps of a run as server-sent events; the last is `result` or `error`."""
        async with heard(self._house, served, read) as (told, run):
            async for event in told:
                yield _event("step", step(event, served.app))
            try:
                result = await run
            except Refusal as refusal:
                yield _event("error", refusal.body())
                return
        if result.error is not None:
            yield _event("error", refusals.body_of(result.error))
        else:
            yield _event("result", {"output": result.output, "run": facts(result)})


def _wants_events(accept: str) -> bool:
    """Whether an `Accept` header names events, and not as what is not taken."""
    for one in accept.lower().split(","):
        kind, _, more = one.replace(" ", "").partition(";")
        if kind == "text/event-stream":
            return not re.search(r"q=0(\.0*)?(;|$)", more)
    return False


def _event(name: str, data: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def facts(result: RunResult) -> dict[str, Any]:
    """What happened in a run, without a word of what was sent and answered."""
    return {
        "model": result.model,
        "attempts": len(result.attempts),
        "repairs": len(result.repairs),
        "seconds": round(result.latency, 3),
        "tokens": {"prompt": result.usage.prompt_tokens, "completion": result.usage.completion_tokens},
        "cost": result.cost,
        "cached": result.cached,
    }


def _answer(result: RunResult) -> Response:
    if result.error is not None:
        return refusals.answer_of(result.error)
    return JSONResponse(result.output)


def _card(served: Served) -> dict[str, Any]:
    program = served.app.program
    return {
        "name": program.name,
        "version": program.version,
        "description": program.description,
        "url": f"/apps/{program.name}",
        "input_schema": program.input.schema,
        "output_schema": program.output_contract.schema,
        **({"stale": True} if served.trouble else {}),
    }


async def unless_gone(request: Request, work: Awaitable[T]) -> T | None:
    """What some work gives; None where the client leaves before, and the work is stopped.

    The body must have been read.
    """

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    doing, leaving = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait({doing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return doing.result() if doing.done() else None
    finally:
        for task in (doing, leaving):
            task.cancel()
        await asyncio.wait({doing, leaving})
