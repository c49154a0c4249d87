"""What the sandbox says of code that it does not run: its type checker, its parser, and what it can import.

The code never runs because it stands behind a call of a name that the checker knows and the interpreter does not:
the first statement ends every feed, whatever follows it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from runllm.blocks.outcome import BlockFailure
from runllm.blocks.workers import Workers
from runllm.values import frozen

if TYPE_CHECKING:
    from pydantic_monty import MontyError, ResourceLimits

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

_WORKERS = Workers(answer=10.0, queue=30.0)


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
    """

    diagnostics: tuple[Diagnostic, ...]
    refusal: Refusal | None
    missing: frozenset[str]


def ask(code: str, stubs: str, probes: Iterable[str], *, before: str = "", after: str = "", name: str) -> Answer | None:
    """Check `code` and what stands around it against `stubs`, and try each probe.

    Args:
        code: the block; never run.
        stubs: a stub module that declares `STOP` and what the code sees.
        probes: single statements of our own making, such as `import re`, which are run.
        before: statements for the checker alone, on one line, before the code.
        after: statements for the checker alone, on the lines after the code.
        name: of the block, for the sandbox's own records.

    Returns:
        None where nothing is known: there is no sandbox here, or the code was too much for its checker.
    """
    try:
        pool = _WORKERS.started()
    except BlockFailure:
        return None
    import pydantic_monty as monty  # loaded by then

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
    except (monty.MontyError, OSError, RuntimeError, UnicodeError):  # too much for the checker, or no worker to be had
        return None
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
