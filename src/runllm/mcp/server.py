"""What answers: the list of tools, and their calls, each a run in the house."""

from __future__ import annotations

import asyncio
import logging
from math import isnan
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CONNECTION_CLOSED,
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
)

from runllm._version import __version__
from runllm.errors import UsageError
from runllm.mcp.tools import answered, failed, name_of, tool_of
from runllm.results import Event, RunResult
from runllm.serve.catalog import Served
from runllm.serve.house import House
from runllm.serve.refusals import Refusal, body_of
from runllm.serve.steps import heard, step
from runllm.terminal import visible

Context = ServerRequestContext[Any, Any]
LEFT = "runllm.left"
"""Where the scope of a request over HTTP has the future that is done when its client has left."""


def server_of(house: House, *, trusted: bool = False) -> Server[Any]:
    """The server for the apps of a house.

    Args:
        house: what runs them.
        trusted: whether their Python runs without the sandbox.

    Raises:
        UsageError: two apps have one name.
    """
    logging.getLogger("mcp").setLevel(logging.CRITICAL)  # it tells of faults with tracebacks, which hold inputs
    desk = _Desk(house, trusted=trusted)
    return Server(
        "runllm",
        version=__version__,
        instructions="Each tool runs an LLM app. What it says of itself are the words of its author.",
        on_list_tools=desk.listed,
        on_call_tool=desk.called,
    )


class _Desk:
    def __init__(self, house: House, *, trusted: bool) -> None:
        self._house = house
        self._served: dict[str, Served] = {}
        for served in house.catalog.values():
            if self._served.setdefault(name_of(served.app), served) is not served:
                raise UsageError(f"two apps would be called `{name_of(served.app)}`", hint="Serve one of them.")
        self._tools = [tool_of(served.app, trusted=trusted) for served in self._served.values()]

    async def listed(self, context: Context, params: PaginatedRequestParams | None) -> ListToolsResult:
        """The tools."""
        del context, params
        return ListToolsResult(tools=self._tools)

    async def called(self, context: Context, params: CallToolRequestParams) -> CallToolResult:
        """What a tool gives, or why it gives nothing.

        Raises:
            MCPError: there is no tool of that name, or its input is no JSON.
        """
        served = self._served.get(params.name)
        if served is None:
            raise MCPError(code=INVALID_PARAMS, message=f"Unknown tool: {visible(params.name, 100)}")
        given = params.arguments or {}
        for name, value in given.items():
            if isinstance(value, float) and isnan(value):  # for a program it means that the input is missing
                raise MCPError(code=INVALID_PARAMS, message=f"`{visible(name, 100)}` is NaN, which is not JSON")
        try:
            result = await self._run(context, served, given)
        except Refusal as refusal:
            return failed(refusal.body())
        return answered(served.app, result.output) if result.error is None else failed(body_of(result.error))

    async def _run(self, context: Context, served: Served, given: dict[str, Any]) -> RunResult:
        """Run an app and tell its steps to who asked for them; one whose client leaves is stopped."""
        number = 0
        async with heard(self._house, served, given) as (told, run):
            if context.request is not None:
                left: asyncio.Future[None] = context.request.scope[LEFT]
                left.add_done_callback(lambda _: run.cancel())
            async for event in told:
                number += 1
                await context.session.report_progress(number, message=_words(event, served))
        if run.cancelled():
            raise MCPError(code=CONNECTION_CLOSED, message="The client has left.")
        return run.result()


def _words(event: Event, served: Served) -> str:
    told = step(event, served.app)
    return f"{told['app']}: {told['message']}" if event.trail else told["message"]
