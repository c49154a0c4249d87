"""What a Python block sees and gives in each phase, and its failure as an error with a place in the file.

    pre     sees `input`, `uses`, `vars`      its outputs become `vars`
    check   sees the same and `output`        a failing `assert` is a problem of the answer
    post    sees the same                     its outputs set keys of the output

With `inputs=` the block sees those paths only, each as a local named by its last part; without, a dict `context`
with all of them. With `outputs=` those locals are read back; without, the dict `result`, if it sees `context`.

Both runners share the values here: what a block may use, what it leaves behind, how it fails.
"""

from __future__ import annotations

import json
import keyword
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

from runllm.diagnostics import Problem, Span
from runllm.errors import EngineUnavailableError, PythonBlockExecutionError, RunllmError
from runllm.program import Block, Program, Source
from runllm.schema import described, is_object

_LONGEST_SHOWN = 2000

Names = Mapping[str, Any]
Kind = Literal["assertion", "exception", "limit", "result", "syntax", "unavailable"]
LimitName = Literal["time", "memory", "recursion", "output size", ""]

MIB = 1 << 20
PRINTED = 64 * 1024  # bytes of printed text that are kept
_LONGEST_MESSAGE = 4000  # characters: an exception's own text can be as large as the block's memory
LONGEST = 300.0  # seconds; the runners' own watchdogs are set above it


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one block may use.

    Attributes:
        timeout: seconds that its code may run, at most 300.
        memory: bytes of heap, at least 1 MiB.
        recursion: how deep its calls may nest.
        output: bytes of its outputs, written as JSON.

    Raises:
        ValueError: a limit is out of its range; no limit can be switched off.
    """

    timeout: float = 1.0
    memory: int = 64 * MIB
    recursion: int = 200
    output: int = 4 * MIB

    def __post_init__(self) -> None:
        if not 0 < self.timeout <= LONGEST:
            raise ValueError(f"timeout must be above 0 and at most {LONGEST:g} seconds, not {self.timeout!r}")
        if self.memory < MIB:
            raise ValueError(f"memory must be at least 1 MiB ({MIB}), not {self.memory!r}")
        if self.recursion < 1 or self.output < 1:
            raise ValueError("recursion and output must be at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A block that came to its end.

    Attributes:
        values: its outputs by name, as JSON values.
        printed: what it printed, at most 64 KiB.
    """

    values: dict[str, Any]
    printed: str


class BlockFailure(Exception):  # noqa: N818 - a fact on its way to PythonBlockExecutionError, not an error for users
    """A block that did not come to its end, or left something that is not JSON.

    Attributes:
        kind: `assertion` an `assert` of the block failed; `exception` its code raised, or was given
            something that is not JSON; `limit` it used too much; `result` an output is missing or not
            JSON; `syntax` its code cannot be read here; `unavailable` it was not run at all.
        message: plain words, cut after 4000 characters; for an assertion the author's message, or the
            assertion itself.
        line: counted from 1 within the block's code, where it is known.
        limit: which limit was hit, if one was.
        printed: what the block printed before.
    """

    def __init__(
        self, kind: Kind, message: str, *, line: int | None = None, limit: LimitName = "", printed: str = ""
    ) -> None:
        if len(message) > _LONGEST_MESSAGE:
            message = f"{message[:_LONGEST_MESSAGE]} ..."
        super().__init__(message)
        self.kind: Kind = kind
        self.message = message
        self.line = line
        self.limit: LimitName = limit
        self.printed = printed


def over(limit: LimitName, limits: Limits, *, line: int | None = None, printed: str = "") -> BlockFailure:
    """The failure of a block that used more than `limits` allow."""
    words = {
        "time": f"it ran longer than {limits.timeout:g} s",
        "memory": f"it needed more than {limits.memory / MIB:g} MiB of memory",
        "recursion": f"its calls nested more than {limits.recursion} deep",
        "output size": f"its outputs are larger than {limits.output / MIB:g} MiB as JSON",
        "": "it used more than it may",
    }
    return BlockFailure("limit", words[limit], line=line, limit=limit, printed=printed)


def checked(code: str, names: Mapping[str, Any], outputs: Sequence[str]) -> str:
    """`names` as JSON text, once it is known that code, names and outputs can be handed over.

    Raises:
        BlockFailure: the code is no Unicode text, or a value is not plain JSON.
        ValueError: an output is not a name that code can assign.
    """
    wrong = [name for name in outputs if not name.isidentifier() or keyword.iskeyword(name)]
    if wrong:
        raise ValueError(f"not a name: {wrong[0]!r}")
    try:
        code.encode()
    except UnicodeEncodeError:
        raise BlockFailure("syntax", "the code holds half of a surrogate pair, which is no character") from None
    if "\0" in code:
        raise BlockFailure("syntax", "the code holds a null character")
    pairs = [f"{json.dumps(name)}: {_given(name, value)}" for name, value in names.items()]
    return f"{{{', '.join(pairs)}}}"


def _given(name: str, value: Any) -> str:
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        text.encode()
    except UnicodeEncodeError:
        why = "it holds half of a surrogate pair, which is no character"
    except RecursionError:
        why = "it is nested too deeply"
    except (TypeError, ValueError) as error:
        why = str(error)
    else:
        return text
    raise BlockFailure("exception", f"`{name}` was given to the block and is not plain JSON: {why}")


def values_of(text: str, limits: Limits, printed: str) -> dict[str, Any]:
    """The outputs that a runner wrote as the JSON text of one object; the last gate, and the only one that is trusted.

    Raises:
        BlockFailure: too large, or not JSON after all.
    """
    if len(text) > limits.output:
        raise over("output size", limits, printed=printed)
    try:
        values = json.loads(text, parse_constant=_no_constant)
        if "\\u" in text:  # only an escape can hold half of a pair
            json.dumps(values, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        why = "a string holds half of a surrogate pair, which is no character"
    except RecursionError:
        why = "they are nested too deeply"
    except ValueError as error:
        why = str(error)
    else:
        return values
    raise BlockFailure("result", f"the outputs are not JSON: {why}", printed=printed)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def unassigned(name: str, printed: str = "") -> BlockFailure:
    """The failure of a block that came to its end without this output."""
    return BlockFailure("result", f"`{name}` is never assigned, and the block's outputs name it", printed=printed)


def not_json(name: str, kind: str, why: str, printed: str = "") -> BlockFailure:
    """The failure of a block whose output `name`, of the Python type `kind`, is not JSON because of `why`."""
    return BlockFailure("result", f"`{name}` ({kind}) cannot be written as JSON: {why}", printed=printed)


def result_of(ran: Ran) -> dict[str, Any]:
    """The dict `result` that a block without declared outputs leaves.

    Raises:
        BlockFailure: it is no dict any more.
    """
    result: object = ran.values["result"]
    if not isinstance(result, dict):
        message = f"`result` must be a dict, and is a {type(result).__name__}"
        raise BlockFailure("result", message, printed=ran.printed)
    return cast("dict[str, Any]", result)


# --- blocks of a program ---------------------------------------------------------------------------


class Runner(Protocol):
    """What runs a block's code: the sandbox, or real Python for a caller who trusts the file."""

    def run(self, code: str, names: Names, outputs: Sequence[str], *, limits: Limits = ..., name: str = ...) -> Ran:
        """Run `code` with `names` as its locals and read `outputs` back; raises `BlockFailure`."""
        ...

    def ready(self) -> None:
        """Raise unless blocks can be run here."""
        ...

    def warm(self) -> None:
        """Start what the first block would wait for; raises as `ready` does."""
        ...

    def close(self) -> None:
        """Release processes. Safe to call twice."""
        ...


def seen(block: Block, scope: Names) -> dict[str, Any]:
    """The locals of a block: its declared inputs, an absent one as None, or `context` with everything."""
    if block.inputs is None:
        return {"context": dict(scope), **({"result": {}} if block.outputs is None else {})}
    return {local: _at(scope, steps) for local, steps in block.bound.items()}


def returned(block: Block) -> tuple[str, ...]:
    """The locals that are read back from a block."""
    if block.outputs is not None:
        return block.outputs
    return ("result",) if block.inputs is None and block.phase != "check" else ()


def _at(scope: Names, steps: Sequence[str]) -> Any:
    value: Any = scope
    for step in steps:
        value = cast("Names", value).get(step) if isinstance(value, Mapping) else None
    return value


def limits_of(block: Block, ceiling: Limits) -> Limits:
    """The limits of a block: what its fence asks for, and never more than the caller allows."""
    memory = ceiling.memory if block.memory is None else min(block.memory * MIB, ceiling.memory)
    timeout = ceiling.timeout if block.timeout is None else min(block.timeout, ceiling.timeout)
    return Limits(timeout=timeout, memory=memory, recursion=ceiling.recursion, output=ceiling.output)


def ceiling(timeout: float | None, memory: int | None) -> Limits:
    """The most that blocks may use: what the caller allows (seconds, MiB), or the defaults."""
    default = Limits()
    return Limits(timeout=timeout or default.timeout, memory=memory * MIB if memory else default.memory)


def changed(block: Block, output: Any, given: Names, program: Program) -> Any:
    """The output with what a `post` block gives: keys of an object, else `output` in the place of what was there.

    Raises:
        PythonBlockExecutionError: it does not satisfy the schema any more.
    """
    contract = program.output_contract
    if is_object(contract.schema):
        value = {**output, **given}
        problems = contract.problems(value)
    else:
        value = given.get("output", output)
        unused = next((name for name in given if name != "output"), None)
        said = f"`{unused}` is no part of the output, which is {described(contract.schema)}: set `output`"
        problems = (Problem(message=said, keyword="python"),) if unused else contract.problems(value)
    if problems:
        first = problems[0]
        at = f"`{first.pointer}`: " if first.pointer else ""
        raise PythonBlockExecutionError(
            f"post block `{block.name}` gives an output that does not fit the contract: {at}{first.message}",
            problems=problems,
            details={"block": block.name, "phase": block.phase, "file": program.source.name, "line": block.line},
            expected_schema=contract.schema,
            received=value,
        )
    return value


def run(block: Block, scope: Names, source: Source, runner: Runner, ceiling: Limits) -> Ran | Problem:
    """Run one block.

    Args:
        block: what to run.
        scope: `input`, `uses`, `vars` and, after an answer, `output`.
        source: the file, for the place of a failure.
        runner: the sandbox, or real Python.
        ceiling: the most the caller allows.

    Returns:
        What the block gave; for a `check` block whose `assert` fails, the problem of the answer.

    Raises:
        PythonBlockExecutionError: the block failed in another way, or gave what is not a value for its phase.
        EngineUnavailableError: what runs blocks is not installed, or cannot run here.
    """
    names = seen(block, scope)
    outputs = returned(block)
    try:
        ran = runner.run(block.code, names, outputs, limits=limits_of(block, ceiling), name=block.name)
        if block.outputs is not None or not outputs:
            return ran
        return Ran(values=result_of(ran), printed=ran.printed)
    except BlockFailure as failure:
        if failure.kind == "assertion" and block.phase == "check":
            message = failure.message or "a check failed"
            return Problem(message=message, keyword="check", span=_span(block, source, failure.line))
        failed = failure
    raise _error(block, source, failed, names)


def _span(block: Block, source: Source, line: int | None) -> Span:
    number = block.line + (line or 0) - 1
    text = source.line(number)
    return source.span(number, len(text) - len(text.lstrip()) + 1, len(text.strip()) or 1)


def _error(block: Block, source: Source, failure: BlockFailure, names: Names) -> RunllmError:
    """The failure with the block's name, its line in the file, the limit, and what the block saw."""
    if failure.kind == "unavailable":
        return EngineUnavailableError(failure.message)
    span = _span(block, source, failure.line)
    said = f"the assertion failed: {failure.message}" if failure.kind == "assertion" else failure.message
    return PythonBlockExecutionError(
        f"{block.phase} block `{block.name}`, {span.file}:{span.line}: {said}",
        problems=[Problem(message=said, keyword="python", span=span, kind="PythonBlockExecutionError")],
        details={
            "block": block.name,
            "phase": block.phase,
            "file": span.file,
            "line": span.line,
            "limit": failure.limit or None,
            "printed": failure.printed,
        },
        received={name: _short(value) for name, value in names.items()},
        hint=_HINTS.get(failure.limit),
    )


_HINTS = {
    "time": "Make the block do less, or allow it more with `--block-timeout`.",
    "memory": "Make the block hold less, or allow it more with `--block-memory`.",
    "recursion": "Write a loop instead of the recursion.",
    "output size": "Give back less: a block is for small steps.",
}


def _short(value: Any) -> Any:
    """A value as it is, or the beginning of its JSON where it is long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return value if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"
