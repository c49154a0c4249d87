"""The child of a trusted block: a script that runs one block in this CPython. It is no sandbox.

It reads a request from stdin as JSON: `code`, `names`, `outputs`, `memory`, `recursion`, `output`. It
writes to stdout a line `ready` when the block is about to start, then one line of JSON: `values`, or a
failure as `kind`, `message`, `line` and `limit`. What the block prints goes to stderr.

It runs with `-I -u`, so that what was printed survives its end, and imports nothing of runllm: its start
is part of what a block costs.
"""

from __future__ import annotations

import builtins
import json
import os
import sys
from types import TracebackType
from typing import Any

FILE = "<block>"
_FRAMES = 100  # calls that CPython's own import system may need beside the block's


def main() -> None:
    """Answer the one request and end the process, threads of the block included."""
    here = os.getpid()
    channel = os.fdopen(os.dup(1), "wb", buffering=0)  # a private copy, which no process of the block inherits
    os.dup2(2, 1)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    request = json.loads(sys.stdin.buffer.read())
    channel.write(b"ready\n")
    answer = answer_to(request)
    if os.getpid() == here:  # a process that the block forked may come this way, too
        data = memoryview(answer.encode("ascii") + b"\n")
        while data:
            data = data[channel.write(data) :]
    os._exit(0)


def answer_to(request: dict[str, Any]) -> str:
    """Run the block of `request`; the values it left or its failure, as one line of JSON."""
    code: str = request["code"]
    scope: dict[str, Any] = {"__name__": "__block__", "__builtins__": builtins, **request["names"]}
    try:
        compiled = compile(code, FILE, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return json.dumps(_syntax(error))
    usual = sys.getrecursionlimit()
    restore = _limit_memory(request["memory"])
    try:
        sys.setrecursionlimit(request["recursion"] + _FRAMES)
        exec(compiled, scope)  # noqa: S102 - what this process is for, and the caller asked for it
        sys.setrecursionlimit(usual)
        return _values(scope, request["outputs"], request["output"])
    except BaseException as error:  # whatever the block raises is its failure, `SystemExit` included
        sys.setrecursionlimit(usual)
        restore()
        return json.dumps(_failure(error, code))


def _limit_memory(size: int) -> Any:
    """Let the process grow by `size` bytes; what is returned takes the limit off again."""
    try:
        import resource  # POSIX only
    except ImportError:
        return lambda: None
    try:
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (_address_space() + size, hard))
    except (OSError, ValueError):  # a system that knows the limit and does not let it be set
        return lambda: None
    return lambda: resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def _address_space() -> int:
    """Bytes of address space that the bare interpreter has taken; a guess where /proc does not say."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - pathlib costs more than the rest
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 512 << 20


def _values(scope: dict[str, Any], outputs: list[str], most: int) -> str:
    parts: list[str] = []
    for name in outputs:
        if name not in scope:
            return json.dumps({"kind": "unassigned", "name": name})
        value = scope[name]
        try:
            parts.append(f"{json.dumps(name)}: {json.dumps(value, allow_nan=False)}")
        except RecursionError:
            return json.dumps(_not_json(name, value, "it is nested too deeply"))
        except (TypeError, ValueError) as error:
            return json.dumps(_not_json(name, value, str(error)))
    text = ", ".join(parts)
    if len(text) + 2 > most:
        return json.dumps({"kind": "limit", "limit": "output size"})
    return f'{{"values": {{{text}}}}}'


def _not_json(name: str, value: Any, why: str) -> dict[str, Any]:
    return {"kind": "not_json", "name": name, "type": type(value).__name__, "message": why}


def _syntax(error: BaseException) -> dict[str, Any]:
    line = error.lineno if isinstance(error, SyntaxError) else None
    message = error.msg if isinstance(error, SyntaxError) else f"{type(error).__name__}: {error}"
    return {"kind": "syntax", "message": message, "line": line}


def _failure(error: BaseException, code: str) -> dict[str, Any]:
    line = _line(error.__traceback__)
    if isinstance(error, MemoryError):
        return {"kind": "limit", "limit": "memory", "line": line}
    if isinstance(error, RecursionError):
        return {"kind": "limit", "limit": "recursion", "line": line}
    said = str(error)
    if isinstance(error, AssertionError):
        return {"kind": "assertion", "message": said or _assertion(code, line), "line": line}
    name = type(error).__name__
    return {"kind": "exception", "message": f"{name}: {said}" if said else name, "line": line}


def _line(traceback: TracebackType | None) -> int | None:
    """The line of the block that was running, in a function of its own or at its top."""
    line = None
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == FILE:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line


def _assertion(code: str, line: int | None) -> str:
    """The failed assertion as it is written."""
    import ast  # only a failed assertion without a message needs it

    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Assert) and line is not None and node.lineno <= line <= (node.end_lineno or line):
            return ast.get_source_segment(code, node) or "an assertion failed"
    return "an assertion failed"


if __name__ == "__main__":
    main()
