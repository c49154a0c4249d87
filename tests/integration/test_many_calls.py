"""Calls that an event loop sends itself: what comes of them is what comes of a call in a thread."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from tests.integration import faulty_server as faulty
from tests.integration.faulty_server import Fault, FaultyServer
from tests.integration.provider import Provider, Received, Reply, answer, failure

from runllm.engines.direct import DirectEngine
from runllm.errors import InterruptedRunError, ProviderConnectionError, RunllmError
from runllm.results import Completion, Endpoint, Message, Request

FAULTS: list[Fault] = [
    faulty.silent, faulty.dripping_head, faulty.dripping_body, faulty.cut_head, faulty.cut_body, faulty.cut_chunk,
    faulty.hung_up, faulty.page, faulty.binary, faulty.deep, faulty.other_json, faulty.gzip_tail, faulty.gzip_broken,
    faulty.packed_otherwise, faulty.redirect_loop, faulty.tls_garbage, faulty.nonsense, faulty.endless_body,
    faulty.endless_error, faulty.endless_header, faulty.endless_continue,
]  # fmt: skip
FORKS = hasattr(os, "fork")


class ManyEngine(DirectEngine):
    """One that takes every call of an event loop for one of many."""

    few: ClassVar[int] = 0


@pytest.fixture(scope="module")
def engine() -> Iterator[ManyEngine]:
    made = ManyEngine()
    yield made
    made.close()


def asking(base: str, timeout: float = 60, **own: Any) -> Request:
    endpoint = Endpoint(model="hosted_vllm/m", api_base=base, allowed_bases=(base,), provider_params=own)
    return Request(
        endpoint=endpoint, messages=(Message(role="user", content="hello"),), params={}, schema=None, timeout=timeout
    )


def told(engine: ManyEngine, request: Request, *, many: bool) -> Completion | tuple[type[RunllmError], str, bool]:
    """What comes of a call: the answer without its time, or the error and its words."""
    try:
        found = asyncio.run(engine.acomplete(request)) if many else engine.complete(request)
    except RunllmError as error:
        shown = error.__context__ is not None and not error.__suppress_context__  # it may hold a key
        return type(error), error.message.replace(request.endpoint.api_base or "", ""), shown
    return replace(found, latency=0.0)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_of_the_server_is_the_same_error(engine: ManyEngine, fault: Fault) -> None:
    found: list[Any] = []
    for many in (False, True):
        with FaultyServer(fault) as server:
            request = asking(server.base, timeout=1.0)
            found.append(told(engine, request, many=many))
    kinds = [(one[0], one[2]) if isinstance(one, tuple) else one for one in found]
    assert kinds[0] == kinds[1], found


@pytest.mark.parametrize(
    "reply",
    [
        answer("a good answer"),
        failure(401, "that key is wrong"),
        failure(429, "too many", headers={"Retry-After": "2"}),
        failure(500, "the server is sick"),
        Reply(body="", status=302, headers={"Location": "http://127.0.0.1:1/"}),
    ],
    ids=["good", "401", "429", "500", "redirect"],
)
def test_a_reply_is_read_the_same(engine: ManyEngine, reply: Reply) -> None:
    with Provider(reply) as server:
        request = asking(server.base)
        assert told(engine, request, many=True) == told(engine, request, many=False)
        one, other = server.requests
        assert one.body == other.body
        names = ("authorization", "content-type", "accept", "accept-encoding", "user-agent")
        assert [one.headers.get(name) for name in names] == [other.headers.get(name) for name in names]


def test_a_server_that_is_down_cannot_be_reached(engine: ManyEngine) -> None:
    request = asking(faulty.refused_address())
    assert told(engine, request, many=True) == told(engine, request, many=False)


def test_calls_at_once_are_each_answered_by_their_own_over_kept_connections(engine: ManyEngine) -> None:
    def echo(received: Received) -> Any:
        body: Any = answer(received.body["user_number"]).body
        return body(received)

    with Provider(Reply(body=echo, delay=0.02)) as server:

        async def rounds() -> list[str]:
            texts: list[str] = []
            for _ in range(3):
                calls = [engine.acomplete(asking(server.base, user_number=str(number))) for number in range(16)]
                texts += [found.text for found in await asyncio.gather(*calls)]
            assert server.open_connections <= 16
            return texts

        assert asyncio.run(rounds()) == [str(number) for number in range(16)] * 3


def test_a_connection_that_died_while_idle_is_not_the_calls_end(engine: ManyEngine) -> None:
    """And a call whose new connection is cut is not sent a second time: it may have been paid for."""

    async def twice(server: Provider) -> None:
        assert (await engine.acomplete(asking(server.base))).text == "1"
        for connection in list(server._server.connections):  # pyright: ignore[reportPrivateUsage]
            connection.shutdown(2)
        assert (await engine.acomplete(asking(server.base))).text == "1"

    with Provider(answer("1")) as server:
        asyncio.run(twice(server))
    cut = 0

    def count(line: faulty.Line) -> None:
        nonlocal cut
        cut += 1
        faulty.hung_up(line)

    with FaultyServer(count) as server, pytest.raises(ProviderConnectionError):
        asyncio.run(engine.acomplete(asking(server.base)))
    assert cut == 1


def test_a_call_is_cancelled_by_its_caller_and_ended_by_closing() -> None:
    """The one is the caller's own cancellation, the other an error of the run."""

    async def both(server: Provider, engine: ManyEngine) -> None:
        task = asyncio.create_task(engine.acomplete(asking(server.base)))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        task = asyncio.create_task(engine.acomplete(asking(server.base)))
        await asyncio.sleep(0.2)
        threading.Thread(target=engine.close).start()
        with pytest.raises(InterruptedRunError):
            await asyncio.wait_for(task, 30)

    with Provider(answer("late", delay=60)) as server:
        asyncio.run(both(server, ManyEngine()))


LOOPS = """
import asyncio, sys
from tests.integration.test_many_calls import ManyEngine, asking
engine = ManyEngine()
for _ in range(3):
    print(asyncio.run(engine.acomplete(asking(sys.argv[1]))).text)
engine.close()
"""


def test_loop_after_loop_leaves_nothing_open() -> None:
    """A session is closed with the loop that it was made in, and nothing is said of it."""
    with Provider(answer("1")) as server:
        run = subprocess.run(
            [sys.executable, "-W", "error::ResourceWarning", "-c", LOOPS, server.base],
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
    assert (run.stdout.split(), run.stderr) == (["1", "1", "1"], "")


@pytest.mark.skipif(not FORKS, reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_shares_no_connection_with_its_parent() -> None:
    """Of those that a thread keeps: two who read from one would each get the other's answer."""
    engine = ManyEngine()
    with Provider(answer("1")) as server:
        assert engine.complete(asking(server.base)).text == "1"
        assert server.open_connections == 1
        (heard, tell), (wait, go) = os.pipe(), os.pipe()
        child = os.fork()
        if not child:
            try:
                os.write(tell, engine.complete(asking(server.base)).text.encode())
                os.read(wait, 1)
            finally:
                os._exit(0)
        os.close(tell)
        assert os.read(heard, 1) == b"1"
        assert server.open_connections == 2
        assert engine.complete(asking(server.base)).text == "1"
        assert server.open_connections == 2
        os.write(go, b"1")
        os.waitpid(child, 0)
    engine.close()
