"""Python blocks: small steps of code inside a `.rllm` file, run in a sandbox.

`run_block` is the public one-shot form. `Sandbox` and `trusted.TrustedRunner` share one `run`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runllm.blocks.phases import BlockFailure, Kind, LimitName, Limits, Ran, result_of
from runllm.blocks.sandbox import Sandbox
from runllm.errors import EngineUnavailableError, PythonBlockExecutionError

__all__ = ["BlockFailure", "Kind", "LimitName", "Limits", "Ran", "Sandbox", "run_block"]

# One set of workers for the whole process; making the object starts nothing.
_SHARED = Sandbox()


def run_block(code: str, context: Mapping[str, Any], *, timeout: float = 1.0, memory: int = 67108864) -> dict[str, Any]:
    """Run one block of code in the sandbox and return the dict it left in `result`.

    Args:
        code: the block's code. It sees `context`, and a dict `result` that is empty at the start.
        context: JSON values; the code gets a copy.
        timeout: seconds that the code may run.
        memory: bytes that it may use.

    Raises:
        PythonBlockExecutionError: the code failed, was stopped at a limit, or left a `result` that is not a JSON
            object; `line`, `limit` and what was `printed` are in its details.
        EngineUnavailableError: the sandbox is not installed, or cannot run here.
        ValueError: a limit is out of its range.
    """
    limits = Limits(timeout=timeout, memory=memory)
    try:
        ran = _SHARED.run(code, {"context": dict(context), "result": {}}, ["result"], limits=limits)
        return result_of(ran)
    except BlockFailure as failure:
        details = {"line": failure.line, "limit": failure.limit or None, "printed": failure.printed}
        kind = EngineUnavailableError if failure.kind == "unavailable" else PythonBlockExecutionError
        error = kind(failure.message, details=details)
    raise error
