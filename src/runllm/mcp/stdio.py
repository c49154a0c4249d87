"""Standard input and output as the wire: a message a line.

Reading and writing wait in threads that nobody waits for, so that a signal ends the server whatever its client does.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

import anyio
from mcp.shared.message import SessionMessage
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCRequest,
    JSONRPCResponse,
    jsonrpc_message_adapter,
)

from runllm.mcp.wire import Wire
from runllm.serve.house import House
from runllm.threads import in_thread

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server

_CHUNK = 1 << 16
_LAST_ANSWERS = 5.0  # seconds for what was asked before the input ended, calls of tools aside
_ID = r'"id"\s*:\s*(-?\d{1,18}|"[^"\\]{1,200}")'
_ID_FIRST = re.compile(rf'\s*\{{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?(?:"method"\s*:\s*"[^"]*"\s*,\s*)?{_ID}'.encode())
_ID_LAST = re.compile(rf'{_ID}\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}}\s*$'.encode())
_SEEN = 1_000  # bytes at either end of a line in which its id is looked for


def serve(server: Server[Any], house: House, wire: Wire) -> None:
    """Serve until the client closes its end, or a signal ends it; calls that run then are stopped."""
    try:
        asyncio.run(_until_told(_Connection(server, wire, house.limits.body).serve))
    finally:
        house.close()


async def _until_told(serve: Callable[[], Any]) -> None:
    serving = asyncio.ensure_future(serve())
    with _signals(serving.cancel), suppress(asyncio.CancelledError):
        await serving


@contextmanager
def _signals(stop: Callable[[], object]) -> Generator[None]:
    loop = asyncio.get_running_loop()

    def told(number: int, frame: FrameType | None) -> None:
        del number, frame
        loop.call_soon_threadsafe(stop)

    names = ("SIGINT", "SIGTERM", "SIGHUP")
    before = {
        getattr(signal, name): signal.signal(getattr(signal, name), told) for name in names if hasattr(signal, name)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Connection:
    """One client, from its first line to its last."""

    def __init__(self, server: Server[Any], wire: Wire, most: int) -> None:
        self._server, self._wire, self._most = server, wire, most
        self._asked: set[str | int] = set()  # what is not answered yet, calls of tools aside
        self._idle = asyncio.Event()

    async def serve(self) -> None:
        """Answer until it has left."""
        to_server, from_client = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        to_client, from_server = anyio.create_memory_object_stream[SessionMessage](0)

        async def read() -> None:
            async with to_server:
                async for line in self._lines():
                    try:
                        message = jsonrpc_message_adapter.validate_json(line, by_name=False)
                    except ValueError:
                        code = PARSE_ERROR if _read(line) is None else INVALID_REQUEST
                        await self._refuse(line, code, "this is no message that can be read")
                        continue
                    self._count(message)
                    await to_server.send(SessionMessage(message))
                with anyio.move_on_after(_LAST_ANSWERS):
                    await self._quiet()

        async def write() -> None:
            async with from_server:
                async for found in from_server:
                    await self._answer(found.message)

        try:
            async with anyio.create_task_group() as group:
                group.start_soon(read)
                group.start_soon(write)
                await self._server.run(from_client, to_client, self._server.create_initialization_options())
                group.cancel_scope.cancel()
        except* (BrokenPipeError, anyio.BrokenResourceError):  # it reads no more
            pass

    async def _lines(self) -> AsyncGenerator[bytes]:
        """The lines of the client; one that is too long is refused and passed over."""
        waiting, length = bytearray(), 0  # of a line: what is kept, and how long it is in all
        while chunk := await in_thread(lambda: os.read(self._wire.reading, _CHUNK)):
            *ended, rest = chunk.split(b"\n")
            for part in ended:
                waiting += part
                if length + len(part) > self._most:
                    await self._refuse(bytes(waiting), INVALID_REQUEST, f"a message is at most {self._most:,} bytes")
                elif waiting.strip():
                    yield bytes(waiting)
                waiting, length = bytearray(), 0
            waiting += rest
            length += len(rest)
            if length > self._most:
                del waiting[_SEEN:-_SEEN]
        if waiting.strip() and length <= self._most:
            yield bytes(waiting)

    def _count(self, message: JSONRPCMessage) -> None:
        if isinstance(message, JSONRPCRequest) and message.method != "tools/call":
            self._asked.add(message.id)

    async def _quiet(self) -> None:
        while self._asked:
            self._idle.clear()
            await self._idle.wait()

    async def _refuse(self, line: bytes, code: int, message: str) -> None:
        """Answer what is no message, with its id where that can be seen: its client may wait for it."""
        await self._answer(JSONRPCError(jsonrpc="2.0", id=_id_in(line), error=ErrorData(code=code, message=message)))

    async def _answer(self, message: JSONRPCMessage) -> None:
        try:
            text = message.model_dump_json(by_alias=True, exclude_unset=True)
        except ValueError:  # what cannot be written: it nests deeper than the library goes
            found = ErrorData(code=INTERNAL_ERROR, message="the answer cannot be written")
            about = message.id if isinstance(message, JSONRPCResponse) else None
            text = JSONRPCError(jsonrpc="2.0", id=about, error=found).model_dump_json(by_alias=True, exclude_unset=True)
        await in_thread(lambda: self._write(text.encode() + b"\n"))
        if isinstance(message, JSONRPCResponse | JSONRPCError) and message.id is not None:
            self._asked.discard(message.id)
            self._idle.set()

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(self._wire.writing, left) :]


def _read(line: bytes) -> Any:
    """What a line says as JSON; None where it says nothing."""
    with suppress(ValueError, RecursionError):
        return json.loads(line)
    return None


def _id_in(line: bytes) -> str | int | None:
    """The id of what should be a request; of one that cannot be read, where clients write it: first or last."""
    read = _read(line)
    if isinstance(read, dict):
        found = cast("dict[str, Any]", read).get("id")
        return found if isinstance(found, str | int) and not isinstance(found, bool) else None
    seen = _ID_FIRST.match(line[:_SEEN]) or _ID_LAST.search(line[-_SEEN:])
    text = seen[1].decode("utf-8", "replace") if seen else ""
    return text.strip('"') if text.startswith('"') else int(text) if text else None
