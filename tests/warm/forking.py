"""The process that forks for each command: `python -m tests.warm.forking FOLDER`, started by `asking`, ends with the tests."""

from __future__ import annotations

import gc
import marshal
import os
import selectors
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

from tests.warm import asking

_LOOKS = 2.0  # seconds between two looks at whether the tests have ended
_ALONE = {"RUNLLM_LOOPBACK_ONLY": "1", "RUNLLM_STATS": "off", "RUNLLM_CONFIG": os.devnull}
_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A command line and what surrounds it."""

    program: str
    arguments: Sequence[str]
    folder: str
    environment: Mapping[str, str]
    umask: int
    streams: Sequence[int]


def prepare() -> None:
    """Import what a command may need. What an import reads of the environment is the same in every test."""
    import click

    from runllm import mcp, serve
    from runllm.cli import COMMANDS, cli
    from runllm.engines import litellm

    for name in COMMANDS:
        cli.get_command(click.Context(cli), name)
    litellm._library()
    for door in (mcp, serve):
        for module in walk_packages(door.__path__, f"{door.__name__}."):
            import_module(module.name)
    for name in _imported_by_a_run():
        with suppress(Exception):  # what it made itself is no file
            import_module(name)
    gc.collect()
    gc.freeze()


def _imported_by_a_run() -> list[str]:
    """What a run imports beside; found in a fork, as a run starts threads, which no fork has."""
    reading, writing = os.pipe()
    if not (pid := os.fork()):
        os.environ |= _ALONE
        from tests.apps import at, leaf
        from tests.integration.provider import Provider, answer

        import runllm

        before = {*sys.modules}
        with tempfile.TemporaryDirectory() as folder, Provider() as provider:
            provider.script(answer('{"out": "x"}'))
            app = Path(folder, "app.rllm")
            app.write_text(leaf("app", llm=at(provider.base)), encoding="utf-8")
            runllm.load(app).run({"text": "x"})
        os.write(writing, " ".join({*sys.modules} - before).encode())
        os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as names:
        found = names.read().split()
    os.waitpid(pid, 0)
    return found


def listen(folder: Path, owner: int) -> Asked:
    """Fork for each command that is asked for; returns in the forks alone."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(folder / "socket.made"))
    server.listen(64)
    (folder / "facts").write_text(asking.facts(), encoding="utf-8")
    (folder / "socket.made").replace(folder / "socket")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    woken, wakes = socket.socketpair()
    for end in (woken, wakes):
        end.setblocking(False)
    signal.set_wakeup_fd(wakes.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    running: dict[int, socket.socket] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(server, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        while _alive(owner):
            for key, _ in selector.select(_LOOKS):
                if key.fileobj is woken:
                    woken.recv(4096)
                    _reap(running, selector)
                elif key.fileobj is server:
                    asked = _forked(server.accept()[0], running, selector)
                    if asked is not None:
                        for other in (server, woken, wakes, *running.values()):
                            other.close()
                        return asked
                else:  # whoever asked is gone
                    selector.unregister(key.fileobj)
                    with suppress(ProcessLookupError):
                        os.kill(key.data, signal.SIGKILL)
    for pid in running:
        os.kill(pid, signal.SIGKILL)
    os._exit(0)


def _forked(line: socket.socket, running: dict[int, socket.socket], selector: selectors.BaseSelector) -> Asked | None:
    """Fork for the command that stands on the line: what it asks in the fork, None in this process."""
    try:
        asked = _receive(line)
    except (OSError, EOFError, ValueError):  # whoever asked is gone already
        line.close()
        return None
    if not (pid := os.fork()):
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        line.close()
        return asked
    for stream in asked.streams:
        os.close(stream)
    running[pid] = line
    line.sendall(pid.to_bytes(asking.SIZE, "big"))
    selector.register(line, selectors.EVENT_READ, pid)
    return None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _receive(line: socket.socket) -> Asked:
    size, streams, _, _ = socket.recv_fds(line, asking.SIZE, len(_STREAMS))
    given = line.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL)
    program, arguments, folder, environment, umask = marshal.loads(given)  # noqa: S302 - of `asking`
    return Asked(
        program=program, arguments=arguments, folder=folder, environment=environment, umask=umask, streams=streams
    )


def _reap(running: dict[int, socket.socket], selector: selectors.BaseSelector) -> None:
    with suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            line = running.pop(found[0])
            with suppress(KeyError):
                selector.unregister(line)
            with suppress(OSError):
                line.sendall(os.waitstatus_to_exitcode(found[1]).to_bytes(asking.SIZE, "big", signed=True))
            line.close()


def become(asked: Asked) -> None:
    """Have of this process what the one that asked has."""
    os.setsid()
    for number, stream in enumerate(asked.streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(asked.environment)
    os.umask(asked.umask)
    os.chdir(asked.folder)
    tempfile.tempdir = None
    sys.argv = [asked.program, *asked.arguments]
    for number, (name, mode) in enumerate(_STREAMS):
        old = getattr(sys, f"__{name}__")
        new = open(number, mode, encoding=old.encoding, errors=old.errors, closefd=False)  # noqa: SIM115
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)


if __name__ == "__main__":
    prepare()
    become(listen(Path(sys.argv[1]), int(Path(sys.argv[1], "owner").read_text())))
    from runllm.__main__ import main

    main()
