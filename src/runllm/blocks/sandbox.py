"""Run a block of code from anyone's file, with no authority and within limits.

The code runs in pydantic-monty, an interpreter of a Python subset, in a worker process: it has no
files, network, environment, processes or foreign modules to reach for. Each block gets a session of
its own, which costs less than a tenth of a millisecond and leaves nothing to the next one. Only JSON
text comes back: a value of the interpreter's own kinds never reaches the host.
"""

from __future__ import annotations

import atexit
import json
import os
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from runllm.blocks.phases import (
    LONGEST,
    PRINTED,
    BlockFailure,
    LimitName,
    Limits,
    Ran,
    checked,
    not_json,
    over,
    unassigned,
    values_of,
)
from runllm.errors import EngineUnavailableError
from runllm.installation import REQUIREMENTS, adding

if TYPE_CHECKING:
    from pydantic_monty import (
        CollectString,
        Monty,
        MontyError,
        MontyRuntimeError,
        MontySession,
        MontySyntaxError,
        OSPolicy,
        ResourceLimits,
    )

_QUEUE = 600.0  # seconds to wait for a free worker
_SUSPENSIONS = 32  # an undefined name is one; none at all would make a NameError a limit
_INTERNAL = "Internal error in monty: "
UNSUPPORTED = "The monty syntax parser does not yet support "

# The clock stands still and randomness is seeded, so that a run repeats.
_POLICY: OSPolicy = {
    "datetime": datetime(2000, 1, 1, tzinfo=UTC),
    "sleep": "zero",
    "random_start": {"seed": 0},
}
# The sandbox rounds 2.675 to 2.68 and 508573.0 to 499999.99999999994; Python to 2.67, as text in both, and to 500000.0.
# In a function, since a block may give other meanings to what is used here.
_ROUND = """
def _rllm_rounding(usual, isinstance, float, int):
    def round(number, ndigits=None):
        if not (isinstance(number, float) and isinstance(ndigits, int) and number - number == 0):
            return usual(number, ndigits)
        if not -309 < ndigits < 400:
            return usual(number, ndigits)
        if ndigits >= 0:
            return float(f"{number:.{ndigits}f}")
        unit, size = 10**-ndigits, -number if number < 0 else number
        whole = int(size)
        count, rest = whole // unit, 2 * (whole % unit)
        up = rest >= unit if size > whole or count % 2 else rest > unit
        rounded = float((count + up) * unit)
        return -rounded if number < 0 else rounded
    return round
round = _rllm_rounding(round, isinstance, float, int)
None
"""
_MISSING = "Python blocks need the package `pydantic-monty`, which is not installed"
_FORKED = (
    "the sandbox was in use before this process was forked, and would hang in it; "
    "start worker processes with the `spawn` method"
)
_GRACE = 0.5  # seconds past a time limit, after which a worker that cannot stop itself is killed


def missing() -> str:
    """What is said where the sandbox is not installed, with what to do."""
    return f"{_MISSING}: {adding(REQUIREMENTS['python'], 'python')}"


def beside() -> str | None:
    """The workers' program where `pip install --target` puts it, beside the package; None where it is not there.

    The package itself looks among the scripts of the environment, and where the user says.
    """
    from importlib.util import find_spec

    found = find_spec("pydantic_monty")
    if found is None or found.origin is None or os.environ.get("MONTY_BIN"):
        return None
    name = "monty.exe" if os.name == "nt" else "monty"
    places = (Path(found.origin).parents[1] / folder / name for folder in ("bin", "Scripts"))
    return next((str(place) for place in places if place.is_file()), None)


class _FirstUse:
    """The process in which workers were first started: a fact about the process, whatever they were started for."""

    pid: int | None = None


class Workers:
    """A pool of worker processes; safe to share between threads. After `close`, the next use starts them again."""

    def __init__(self, *, answer: float, queue: float) -> None:
        """Prepare a pool; nothing is started yet.

        Args:
            answer: seconds that one request may take.
            queue: seconds to wait for a free worker: there are as many as processors.
        """
        self._answer = answer
        self._queue = queue
        self._lock = threading.Lock()
        self._pool: Monty | None = None

    def started(self) -> Monty:
        """The pool, started if it is not yet.

        Raises:
            BlockFailure: `unavailable`: the sandbox is not installed, cannot start, or was used before this
                process was forked.
        """
        # Before the lock: a fork may have copied it while another thread held it.
        if _FirstUse.pid is None:
            _FirstUse.pid = os.getpid()
        if _FirstUse.pid != os.getpid():
            raise BlockFailure("unavailable", _FORKED)
        with self._lock:
            if self._pool is None:
                self._pool = self._new()
                atexit.register(self.close)
            return self._pool

    def _new(self) -> Monty:
        try:
            import pydantic_monty as monty  # heavy: only a file with blocks pays for it
        except ImportError:
            raise BlockFailure("unavailable", missing()) from None
        try:
            pool = monty.Monty(
                binary_path=beside(),
                min_processes=0,
                request_timeout=self._answer,
                checkout_timeout=self._queue,
                feed_duration_limit_grace=_GRACE,
                turn_duration_limit_grace=_GRACE,
                max_checkouts_per_worker=500,
            )
            return pool.__enter__()
        except OSError as error:  # the worker's program is not where it should be
            raise BlockFailure("unavailable", f"the sandbox cannot start: {error}") from None

    def close(self) -> None:
        """End the workers. In a forked process nothing happens: they are not its own."""
        if _FirstUse.pid != os.getpid():
            return
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            atexit.unregister(self.close)
            pool.__exit__(None, None, None)


class Sandbox:
    """Runs blocks; safe to share between threads. The workers start with the first block.

    After `close`, the next block starts them again.
    """

    def __init__(self) -> None:
        self._workers = Workers(answer=LONGEST + 30, queue=_QUEUE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers. In a forked process nothing happens: they are not its own."""
        self._workers.close()

    def ready(self) -> None:
        """Raise unless blocks can be run here; starts nothing.

        Raises:
            EngineUnavailableError: the sandbox is not installed, or was used before this process was forked.
        """
        from importlib.util import find_spec

        if find_spec("pydantic_monty") is None:
            raise EngineUnavailableError(_MISSING, hint=adding(REQUIREMENTS["python"], "python"))
        if _FirstUse.pid not in (None, os.getpid()):
            raise EngineUnavailableError(_FORKED)

    def warm(self) -> None:
        """Start a worker, by running nothing in it.

        Raises:
            EngineUnavailableError: as `ready`, or no worker can be started.
        """
        self.ready()
        try:
            self.run("None", {}, ())
        except BlockFailure as failure:
            raise EngineUnavailableError(failure.message) from None

    def run(
        self,
        code: str,
        names: Mapping[str, Any],
        outputs: Sequence[str],
        *,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        name: str = "block",
    ) -> Ran:
        """Run `code` and read back what it assigned.

        Args:
            code: the block's code.
            names: the JSON values that it sees, by name; it gets copies, and sees nothing else.
            outputs: the names to read back after its end.
            limits: what it may use.
            name: what a traceback calls it.

        Raises:
            BlockFailure: it failed, was stopped, left something that is not JSON, or cannot be run here.
            ValueError: an output is not a name.
        """
        given = json.loads(checked(code, names, outputs))
        pool = self._workers.started()
        import pydantic_monty as monty  # heavy: only a file with blocks pays for it

        out = monty.CollectString(PRINTED)
        try:
            session = pool.checkout(script_name=name, limits=_resources(limits), os_policy=_POLICY)
            with session:
                if "round" in code and "round" not in names:
                    session.feed_run(_ROUND)
                # The last expression's value would be handed to the host: end with one that is harmless.
                session.feed_run(f"{code}\n\nNone", inputs=given, print_callback=out)
                text = _read(session, outputs, limits, out)
        except (monty.MontyRuntimeError, monty.MontySyntaxError) as error:
            raise _failure(error, code, limits, out.output) from None
        except monty.MontyCrashedError as error:
            if error.timed_out:
                raise over("time", limits, printed=out.output) from None
            message = f"the sandbox process that ran it ended before its time: {error}"
            raise BlockFailure("exception", message, printed=out.output) from None
        except TimeoutError:
            raise BlockFailure("unavailable", f"no sandbox worker was free within {_QUEUE:g} s") from None
        except (OSError, RuntimeError, monty.MontyError) as error:  # a worker that cannot be started is a RuntimeError
            raise BlockFailure("unavailable", f"the sandbox cannot run: {error}") from None
        return Ran(values=values_of(text, limits, out.output), printed=out.output)


def _resources(limits: Limits) -> ResourceLimits:
    """Every limit is named: one that is left out is none."""
    return {
        "max_feed_duration_secs": limits.timeout,
        "max_turn_duration_secs": limits.timeout,
        "max_memory": limits.memory,
        "max_recursion_depth": limits.recursion,
        "max_suspensions": _SUSPENSIONS,
        "max_total_sleep_secs": 0.0,
    }


def _read(session: MontySession, outputs: Sequence[str], limits: Limits, out: CollectString) -> str:
    """The outputs as JSON text, made inside the sandbox, so that text is all that crosses."""
    if not outputs:
        return "{}"
    import pydantic_monty as monty  # loaded by then

    pairs = ", ".join(f"{name!r}: {name}" for name in outputs)
    try:
        text = session.feed_run(_dump(f"{{{pairs}}}", limits.output), print_callback=out)
    except monty.MontyRuntimeError as error:
        if _limit_hit(error) not in ("", "recursion"):
            raise
        raise _diagnosis(session, outputs, limits, out) from None
    if not isinstance(text, str):
        raise over("output size", limits, printed=out.output)
    return text


def _dump(value: str, most: int) -> str:
    # A slice, since the block may have given `len` another meaning.
    return (
        "import json as _rllm_json\n"
        f"_rllm_text = _rllm_json.dumps({value}, allow_nan=False)\n"
        f"None if _rllm_text[{most}:{most + 1}] else _rllm_text"
    )


def _diagnosis(session: MontySession, outputs: Sequence[str], limits: Limits, out: CollectString) -> BlockFailure:
    """Which output cannot be read, and why."""
    import pydantic_monty as monty  # loaded by then

    for name in outputs:
        try:
            session.feed_run(f"{name} is None", print_callback=out)
        except monty.MontyRuntimeError:
            return unassigned(name, out.output)
        try:
            session.feed_run(f"{_dump(name, limits.output)}\nNone", print_callback=out)
        except monty.MontyRuntimeError as error:
            deep = isinstance(error.exception(), RecursionError)
            why = "it is nested too deeply" if deep else error.display("msg")
            return not_json(name, _type_name(session, name, out), why, out.output)
    return BlockFailure("result", "the outputs cannot be read", printed=out.output)


def _type_name(session: MontySession, name: str, out: CollectString) -> str:
    import pydantic_monty as monty  # loaded by then

    try:
        found = session.feed_run(f"type({name}).__name__", print_callback=out)
    except monty.MontyError:  # the block gave `type` another meaning
        return "of an unknown type"
    return found if isinstance(found, str) else "of an unknown type"


def _limit_hit(error: MontyError) -> LimitName:
    """Which limit the interpreter says was hit; a block that raises the same words fools only its author."""
    words = str(error)
    match error.exception():
        case TimeoutError() if "limit exceeded" in words:
            return "time"
        case MemoryError() if f"> {PRINTED} bytes" in words:  # never the heap: that is 1 MiB at least
            return "output size"
        case MemoryError() if "limit exceeded" in words or "exceeded its memory limit" in words:
            return "memory"
        case RecursionError() if "maximum recursion depth exceeded" in words:
            return "recursion"
        case _:
            return ""


def _failure(error: MontyRuntimeError | MontySyntaxError, code: str, limits: Limits, printed: str) -> BlockFailure:
    inner, frames = error.exception(), error.traceback()
    frames = [frame for frame in frames if frame.filename == frames[0].filename]  # without what is defined before it
    line = min(frames[-1].line, code.count("\n") + 1) if frames else None
    message = error.display("type-msg")
    if isinstance(inner, SyntaxError):
        return BlockFailure("syntax", error.display("msg"), line=line, printed=printed)
    if isinstance(inner, NotImplementedError) and error.display("msg").startswith(UNSUPPORTED):
        what = error.display("msg").removeprefix(UNSUPPORTED)
        return BlockFailure("syntax", f"the sandbox does not support {what}", line=line, printed=printed)
    if isinstance(inner, AssertionError):
        source = (frames[-1].source_line or "").strip() if frames else ""
        return BlockFailure("assertion", _assertion(error.display("msg"), source), line=line, printed=printed)
    limit = _limit_hit(error)
    if limit == "output size":
        words = f"it printed more than {PRINTED // 1024} KiB"
        return BlockFailure("limit", words, line=line, limit=limit, printed=printed)
    if limit:
        return over(limit, limits, line=line, printed=printed)
    if isinstance(inner, RuntimeError) and str(inner).startswith("suspension limit"):
        message = f"it used undefined names or reached outside the sandbox more than {_SUSPENSIONS} times"
        return BlockFailure("limit", message, line=line, printed=printed)
    internal = error.display("msg").partition(_INTERNAL)[2]
    if "one string argument" in internal:
        message = 'an exception takes one text here, or nothing: `raise ValueError("why")`'
    elif internal:
        message = f"the sandbox does not support this: {internal}"
    return BlockFailure("exception", message, line=line, printed=printed)


def _assertion(message: str, source: str) -> str:
    """The author's message, without the values that the interpreter adds to it below; else those values."""
    author = message if source.startswith("raise") else message.rpartition("\nassert ")[0]
    return author or message or source or "an assertion failed"
