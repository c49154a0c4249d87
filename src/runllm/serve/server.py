"""The service as it is started: what answers, and what it listens at."""

from __future__ import annotations

import socket
from collections.abc import Callable

from runllm.serve.access import Access
from runllm.serve.house import House
from runllm.serve.listening import Graceful, address_of, listen, run
from runllm.serve.web import application

__all__ = ["Server", "address_of", "listen", "serve"]


class Server(Graceful):
    """The service of `runllm serve`."""

    def __init__(
        self, house: House, access: Access, *, follow: bool = False, log: Callable[[str], None] | None = None
    ) -> None:
        """Prepare it; nothing listens yet.

        Args:
            house: what is served.
            access: who may ask.
            follow: whether files are read again when they change.
            log: told of each request; None for no one.
        """
        super().__init__(application(house, access, follow=follow, log=log), house)


def serve(
    house: House,
    access: Access,
    listening: socket.socket,
    *,
    follow: bool = False,
    log: Callable[[str], None] | None = None,
) -> None:
    """Serve until a signal ends it; see `Server`."""
    run(Server(house, access, follow=follow, log=log), house, listening)
