"""A server on 127.0.0.1 that does what no server should: each fault is a function of the open connection.

    with FaultyServer(endless_body()) as server:
        ...  # call server.base; server.sent says how many bytes the client took

Standard library only. Run as a script with the name of a fault in `FAULTS`, it prints its address and serves until its
standard input closes.
"""

from __future__ import annotations

import gzip
import json
import socket
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from typing import Self

MIB = 1 << 20
_PIECE = 1 << 16


class Line:
    """One request's connection, and what goes out on it."""

    def __init__(self, server: FaultyServer, connection: socket.socket, path: str) -> None:
        self._server = server
        self._connection = connection
        self.path = path

    def send(self, data: bytes) -> None:
        self._connection.sendall(data)
        self._server.sent += len(data)

    def head(self, status: str = "200 OK", *headers: str, length: int | str | None = None) -> None:
        lines = [f"HTTP/1.1 {status}", *headers]
        if not any(header.lower().startswith("content-type") for header in headers):
            lines.append("Content-Type: application/json")
        if length is not None:
            lines.append(f"Content-Length: {length}")
        self.send("\r\n".join([*lines, "", ""]).encode())

    def chunks(self, pieces: Iterator[bytes]) -> None:
        for piece in pieces:
            self.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.send(b"0\r\n\r\n")

    def wait(self, seconds: float = 60.0) -> bool:
        """Say nothing for so long; true where the server ends meanwhile."""
        return self._server.stopped.wait(seconds)


Fault = Callable[[Line], None]


class FaultyServer:
    """The server: a context manager.

    Attributes:
        sent: bytes that clients took.
        served: how many requests there were.
    """

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.sent = 0
        self.served = 0
        self.stopped = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    @property
    def base(self) -> str:
        return f"{self.root}/v1"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        for one in (self._socket, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while not self.stopped.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._open.add(connection)
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, suppress(OSError, ValueError):
            reader = connection.makefile("rb")
            starts_tls = reader.peek(1)[:1] == b"\x16"
            start = b"" if starts_tls else reader.readline(_PIECE)
            length = 0
            while not starts_tls and (line := reader.readline(_PIECE)) not in (b"\r\n", b""):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.partition(b":")[2])
            reader.read(length)
            if start or starts_tls:
                self.served += 1
                self.fault(Line(self, connection, start.split()[1].decode() if b" " in start else ""))
            with suppress(OSError):  # so that what was sent arrives, whatever was not read
                connection.shutdown(socket.SHUT_WR)
        self._open.discard(connection)


# --- the faults -------------------------------------------------------------------------------------------


def silent(line: Line) -> None:
    """Nothing at all."""
    line.wait()


def dripping_head(line: Line) -> None:
    """A head that comes a byte at a time."""
    for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 4000:
        line.send(bytes([byte]))
        if line.wait(0.05):
            return


def dripping_body(line: Line) -> None:
    """A body that comes a byte at a time, so that no single read takes long."""
    line.head(length=4000)
    for _ in range(4000):
        line.send(b" ")
        if line.wait(0.05):
            return


def cut_head(line: Line) -> None:
    """The connection ends within the head."""
    line.send(b"HTTP/1.1 200 OK\r\nContent-Ty")


def cut_body(line: Line) -> None:
    """The connection ends within the body."""
    line.head(length=1000)
    line.send(b'{"id": "x", "choices": [')


def cut_chunk(line: Line) -> None:
    """The connection ends within a chunk."""
    line.head("200 OK", "Transfer-Encoding: chunked")
    line.send(b"ffff\r\n{")


def hung_up(line: Line) -> None:
    """The connection ends at once."""
    del line


def page(line: Line) -> None:
    """A page for people, with status 200."""
    body = b"<html><body>Please sign in to the network</body></html>"
    line.head("200 OK", "Content-Type: text/html", length=len(body))
    line.send(body)


def binary(line: Line) -> None:
    """Bytes that are no text."""
    line.head(length=256)
    line.send(bytes(range(256)))


def deep(line: Line) -> None:
    """JSON that is nested deeper than a parser goes."""
    line.head(length=200_000)
    line.send(b"[" * 200_000)


def full(piece: bytes, opening: bytes = b"", ending: bytes = b"", *, mebibytes: int = 31) -> Fault:
    """A body of so many MiB, of one piece again and again."""

    def fault(line: Line) -> None:
        count = (mebibytes * MIB) // len(piece)
        line.head(length=len(opening) + count * len(piece) + len(ending))
        line.send(opening)
        for _ in range(0, count, 4096):
            line.send(piece * min(4096, count - _))
        line.send(ending)

    return fault


def other_json(line: Line) -> None:
    """JSON that has nothing to do with a completion."""
    body = b'[1, {"choices": 5, "message": [], "content": {"a": 1}, "usage": "none", "candidates": -1}]'
    line.head(length=len(body))
    line.send(body)


def large(status: str, mebibytes: int = 100) -> Fault:
    """A body of so many MiB."""

    def fault(line: Line) -> None:
        opening = b'{"error": {"message": "out of order", "pad": "'
        line.head(status, length=mebibytes * MIB)
        line.send(opening)
        for _ in range(mebibytes * MIB // _PIECE - 1):
            line.send(b"x" * _PIECE)
        line.send(b"x" * (_PIECE - len(opening)))

    return fault


def blank(status: str, mebibytes: int = 100) -> Fault:
    """A body of nothing but blanks."""

    def fault(line: Line) -> None:
        line.head(status, length=mebibytes * MIB)
        for _ in range(mebibytes * MIB // _PIECE):
            line.send(b" " * _PIECE)

    return fault


def endless_body(line: Line) -> None:
    """Chunk after chunk."""
    line.head("200 OK", "Transfer-Encoding: chunked")
    line.chunks(iter(lambda: b"[0] " * 4096, b""))


def endless_error(line: Line) -> None:
    """The same with a status that says it failed."""
    line.head("500 Oops", "Transfer-Encoding: chunked")
    line.chunks(iter(lambda: b"Error: " * 4096, b""))


def endless_header(line: Line) -> None:
    """A header that never ends."""
    line.send(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while True:
        line.send(b"x" * _PIECE)


def endless_headers(line: Line) -> None:
    """Header after header."""
    line.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        line.send(b"X-More: 1\r\n" * 1000)


def endless_continue(line: Line) -> None:
    """Answers that are only about the answer to come."""
    while True:
        line.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)


@cache
def bomb(mebibytes: int) -> bytes:
    """So much of blanks, packed a thousand times smaller."""
    packer = zlib.compressobj(9, wbits=31)
    blanks = b" " * MIB
    first = packer.compress(blanks) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(blanks) + packer.flush(zlib.Z_FULL_FLUSH)  # means the same wherever it stands
    return first + again * (mebibytes - 1)


def gzip_bomb(status: str = "200 OK", mebibytes: int = 4096) -> Fault:
    """Four megabytes that are four gigabytes."""

    def fault(line: Line) -> None:
        data = bomb(mebibytes)
        line.head(status, "Content-Encoding: gzip", length=len(data))
        line.send(data)

    return fault


def gzip_tail(line: Line) -> None:
    """A small packed answer, and after its end something that never ends."""
    line.head("200 OK", "Content-Encoding: gzip", "Transfer-Encoding: chunked")
    line.chunks(_then_for_ever(gzip.compress(b"{}")))


def _then_for_ever(first: bytes) -> Iterator[bytes]:
    yield first
    while True:
        yield b"\0" * _PIECE


def gzip_broken(line: Line) -> None:
    """What claims to be packed and is not."""
    line.head("200 OK", "Content-Encoding: gzip", length=5)
    line.send(b"{}   ")


def packed_otherwise(line: Line) -> None:
    """Packed in a way that nobody asked for."""
    line.head("200 OK", "Content-Encoding: br", length=5)
    line.send(b"\x8b\x02\x80{}")


def redirect_loop(line: Line) -> None:
    """Sent back to where it came from."""
    line.head("307 Temporary Redirect", f"Location: {line.path}", length=0)


def redirect_to(address: str) -> Fault:
    """Sent elsewhere."""
    return lambda line: line.head("307 Temporary Redirect", f"Location: {address}", length=0)


def tls_garbage(line: Line) -> None:
    """Not what a client that starts TLS, or one that does not, can read."""
    line.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500)


def nonsense(line: Line) -> None:
    """Not HTTP."""
    line.send(b"HTTP/1.0 -1 \xff\xfe\r\nwhat\r\n: :\r\n\r\n\0\0\0")


def length_of(length: str) -> Fault:
    """A length that cannot be."""

    def fault(line: Line) -> None:
        line.head(length=length)
        line.send(b'{"id": 1}')

    return fault


def wait_for(asked: str, status: str = "429 Slow down") -> Fault:
    """Told when to come again."""

    def fault(line: Line) -> None:
        body = json.dumps({"error": {"message": "slow down"}}).encode()
        line.head(status, f"Retry-After: {asked}", length=len(body))
        line.send(body)

    return fault


def refused_address() -> str:
    """An address on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"http://127.0.0.1:{free.getsockname()[1]}"


FAULTS: dict[str, Fault] = {
    "large_answer": large("200 OK"),
    "large_error": large("500 Oops"),
    "large_refusal": large("400 No"),
    "blank_error": blank("500 Oops"),
    "endless_body": endless_body,
    "endless_error": endless_error,
    "endless_header": endless_header,
    "endless_headers": endless_headers,
    "endless_continue": endless_continue,
    "full_of_lists": full(b"[],", b'{"choices": [', b"1]}"),
    "full_of_text": full(b"all work and no play ", b'{"choices": [{"message": {"content": "', b'"}}]}'),
    "full_of_nonsense": full(b"<p>Error: "),
    "full_of_brackets": full(b"["),
    "gzip_bomb": gzip_bomb(),
    "gzip_bomb_error": gzip_bomb("503 Oops"),
    "gzip_tail": gzip_tail,
    "dripping_body": dripping_body,
    "silent": silent,
}


if __name__ == "__main__":
    with FaultyServer(FAULTS[sys.argv[1]]) as server:
        sys.stdout.write(f"{server.root}\n")
        sys.stdout.flush()
        sys.stdin.read()
