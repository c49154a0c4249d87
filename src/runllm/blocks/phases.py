"""What a Python block sees and gives in each phase, and its failure as an error with a place in the file.

    pre     sees `input`, `uses`, `vars`      its outputs become `vars`
    check   sees the same and `output`        a failing `assert` is a problem of the answer
    post    sees the same                     its outputs set keys of the output

With `inputs=` the block sees those paths only, each as a local named by its last part; without, a dict `context`
with all of them. With `outputs=` those locals are read back; without, the dict `result`, if it sees `context`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

from runllm.blocks.outcome import BlockFailure, Limits, Ran, result_of
from runllm.diagnostics import Problem, Span
from runllm.errors import EngineUnavailableError, PythonBlockExecutionError, RunllmError
from runllm.program import Block, Program, Source

MIB = 1 << 20
_LONGEST_SHOWN = 2000

Names = Mapping[str, Any]


class Runner(Protocol):
    """What runs a block's code: the sandbox, or real Python for a caller who trusts the file."""

    def run(self, code: str, names: Names, outputs: Sequence[str], *, limits: Limits = ..., name: str = ...) -> Ran:
        """Run `code` with `names` as its locals and read `outputs` back; raises `BlockFailure`."""
        ...

    def ready(self) -> None:
        """Raise unless blocks can be run here."""
        ...

    def close(self) -> None:
        """Release processes. Safe to call twice."""
        ...


def seen(block: Block, scope: Names) -> dict[str, Any]:
    """The locals of a block: its declared inputs, an absent one as None, or `context` with everything."""
    if block.inputs is None:
        return {"context": dict(scope), **({"result": {}} if block.outputs is None else {})}
    return {path.rpartition(".")[2]: _at(scope, path) for path in block.inputs}


def returned(block: Block) -> tuple[str, ...]:
    """The locals that are read back from a block."""
    if block.outputs is not None:
        return block.outputs
    return ("result",) if block.inputs is None and block.phase != "check" else ()


def _at(scope: Names, path: str) -> Any:
    value: Any = scope
    for step in path.split("."):
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


def hold(block: Block, output: Names, program: Program) -> None:
    """Hold the output that a `post` block has changed against the contract.

    Raises:
        PythonBlockExecutionError: it does not satisfy the schema any more.
    """
    problems = program.output_contract.problems(output)
    if problems:
        first = problems[0]
        at = f"`{first.pointer}`: " if first.pointer else ""
        raise PythonBlockExecutionError(
            f"post block `{block.name}` gives an output that does not fit `output_schema`: {at}{first.message}",
            problems=problems,
            details={"block": block.name, "phase": block.phase, "file": program.source.name, "line": block.line},
            expected_schema=program.output_contract.schema,
            received=output,
        )


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
