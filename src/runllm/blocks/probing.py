"""What the sandbox says of code that it does not run: its type checker, its parser, and what it can import.

The code never runs because it stands behind a call of a name that the checker knows and the interpreter does not:
the first statement ends every feed, whatever follows it.
"""

from __future__ import annotations

import atexit
import json
import os
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from runllm.values import frozen

if TYPE_CHECKING:
    from pydantic_monty import Monty, MontyError, ResourceLimits

STOP = "stop_before_the_block"
STOP_STUB = f"def {STOP}() -> None: ..."

_LIMITS: ResourceLimits = {
    "max_feed_duration_secs": 2.0,  # the checker's time counts too
    "max_turn_duration_secs": 2.0,
    "max_memory": 64 << 20,
    "max_recursion_depth": 200,
    "max_suspensions": 1000,
    "max_total_sleep_secs": 0.0,
}
_MOST_PROBES = 200
_MOST_DIAGNOSTICS = 200

_lock = threading.Lock()
_pools: dict[int, Monty] = {}  # by process: a pool that was made before a fork cannot be used after it


@frozen
class Diagnostic:
    """What the type checker says; lines and columns count from 1, in code points, and `end` is exclusive."""

    code: str
    message: str
    line: int
    column: int
    end_line: int
    end_column: int


@frozen
class Refusal:
    """Why the sandbox cannot run the code at all; line 0 where it does not say where."""

    message: str
    line: int
    column: int
    syntax: bool


@frozen
class Answer:
    """All that the sandbox says of a block.

    Attributes:
        diagnostics: of the type checker, in the order of the code.
        refusal: the first thing in the code that cannot be run, if any.
        missing: those of the probes that fail there.
        complete: False where the code was too much for the checker, and nothing is known.
    """

    diagnostics: tuple[Diagnostic, ...]
    refusal: Refusal | None
    missing: frozenset[str]
    complete: bool = True


def ask(code: str, stubs: str, probes: Iterable[str], *, before: str = "", after: str = "", name: str) -> Answer | None:
    """Check `code` and what stands around it against `stubs`, and try each probe; None where there is no sandbox.

    Args:
        code: the block; never run.
        stubs: a stub module that declares `STOP` and what the code sees.
        probes: single statements of our own making, such as `import re`, which are run.
        before: statements for the checker alone, on one line, before the code.
        after: statements for the checker alone, on the lines after the code.
        name: of the block, for the sandbox's own records.
    """
    try:
        import pydantic_monty as monty  # 40 ms, and only files with blocks need it
    except ImportError:
        return None
    pool = _pool()
    if pool is None:
        return None
    script = "".join(c for c in name if c.isascii() and (c.isalnum() or c in "_-"))[:60] or "block"
    try:
        with pool.checkout(
            limits=_LIMITS, script_name=script, type_check=True, type_check_stubs=stubs, type_check_format="gitlab"
        ) as session:
            text = ""
            out = monty.CollectString(4096)
            try:
                session.feed_run(f"{STOP}(); {before}\n{code}\n{after}", print_callback=out)
            except monty.MontyTypingError as error:
                text = error.display()
            except (monty.MontyRuntimeError, monty.MontySyntaxError):
                pass  # stopped before the block, or refused: asked again below, without the checker
            refusal = None
            try:
                session.feed_run(f"{STOP}()\n{code}\n", skip_type_check=True, print_callback=out)
            except (monty.MontyRuntimeError, monty.MontySyntaxError) as error:
                refusal = _refusal(error)
            missing: set[str] = set()
            for probe in list(dict.fromkeys(probes))[:_MOST_PROBES]:
                try:
                    session.feed_run(f"{probe}\nNone", skip_type_check=True, print_callback=out)
                except (monty.MontyRuntimeError, monty.MontySyntaxError):
                    missing.add(probe)
    except (monty.MontyError, UnicodeError):
        return Answer(diagnostics=(), refusal=None, missing=frozenset(), complete=False)
    return Answer(diagnostics=_diagnostics(text), refusal=refusal, missing=frozenset(missing))


def _refusal(error: MontyError) -> Refusal | None:
    inner = error.exception()
    frames = cast("Any", error).traceback()
    if isinstance(inner, NameError) and STOP in str(inner):
        return None
    line, column = (frames[-1].line - 1, frames[-1].column) if frames else (0, 1)
    return Refusal(message=str(inner), line=max(0, line), column=column, syntax=isinstance(inner, SyntaxError))


def _diagnostics(text: str) -> tuple[Diagnostic, ...]:
    """Read the checker's report: of its formats the one with both ends and no proposed edits.

    An edit is placed in the wrong file by the checker, which kills the worker where that file is shorter.
    """
    entries: list[dict[str, Any]] = json.loads(text) if text else []
    found: list[Diagnostic] = []
    for entry in entries[:_MOST_DIAGNOSTICS]:
        start, end = entry["location"]["positions"]["begin"], entry["location"]["positions"]["end"]
        code = entry["check_name"]
        found.append(
            Diagnostic(
                code=code,
                message=entry["description"].removeprefix(f"{code}: "),
                line=start["line"] - 1,  # the first line is ours
                column=start["column"],
                end_line=end["line"] - 1,
                end_column=end["column"],
            )
        )
    return tuple(found)


def _pool() -> Monty | None:
    """The workers of this process; None in one that was forked after its parent used them."""
    import pydantic_monty as monty

    with _lock:
        if not _pools:
            pool = monty.Monty(
                min_processes=0,
                request_timeout=10.0,
                checkout_timeout=30.0,
                feed_duration_limit_grace=0.5,
                turn_duration_limit_grace=0.5,
                max_checkouts_per_worker=500,
            )
            _pools[os.getpid()] = pool.__enter__()
            atexit.register(_close)
        return _pools.get(os.getpid())


def _close() -> None:
    pool = _pools.pop(os.getpid(), None)
    if pool is not None:
        pool.__exit__(None, None, None)


# A fork may happen while another thread holds the lock; the child would wait for it forever.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: globals().update(_lock=threading.Lock()))
