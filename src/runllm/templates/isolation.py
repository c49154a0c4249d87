"""A rendering in a process of its own, with a bound on its memory and time.

It takes about 60 ms, and whatever the template does there, even to the engine, comes back as an error.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from runllm.errors import TemplateError

_MEMORY = 256 * 2**20
_MEMORY_PER_BYTE = 16
_CPU_SECONDS = 1
_WALL_SECONDS = 20.0


def render(source: str, names: Mapping[str, Any]) -> str:
    """`render` in a process of its own.

    Raises:
        TemplateError: as there, and where the process exceeds its bounds.
    """
    return _run("render_here", source, names)


def evaluate(source: str, names: Mapping[str, Any]) -> Any:
    """`evaluate` in a process of its own.

    Raises:
        TemplateError: as there, and where the process exceeds its bounds.
    """
    return _run("evaluate_here", source, names)


def _run(function: str, source: str, names: Mapping[str, Any]) -> Any:
    import os
    import subprocess

    try:
        task = json.dumps([function, source, dict(names)])
    except (TypeError, ValueError, RecursionError) as error:
        raise TemplateError(f"a value that the template is given is not JSON: {str(error).lower()}") from None
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    environment |= {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}
    try:
        done = subprocess.run(  # noqa: S603 - no part of the command comes from the template
            [sys.executable or "python", "-S", "-P", "-c", f"import {__name__} as it; it.serve()"],
            input=task.encode(),
            capture_output=True,
            check=False,
            timeout=_WALL_SECONDS,
            env=environment,
        )
        answer = json.loads(done.stdout)
    except OSError as error:
        raise TemplateError(f"this template is rendered in a process of its own, and none starts: {error}") from None
    except (subprocess.TimeoutExpired, ValueError):  # killed before it could answer
        raise TemplateError("the template builds more than a rendering may hold") from None
    if "error" in answer:
        raise TemplateError(answer["error"], details=answer["details"])
    return answer["value"]


def serve() -> None:
    """Do the task on the standard input, within bounds, and write its answer to the standard output."""
    from runllm.templates import rendering

    task = sys.stdin.buffer.read()
    _bound(len(task))
    function, source, names = json.loads(task)
    try:
        answer = {"value": getattr(rendering, function)(source, names)}
    except TemplateError as error:
        answer = {"error": error.message, "details": error.details}
    sys.stdout.write(json.dumps(answer))


def _bound(size: int) -> None:
    try:
        import resource
    except ImportError:  # Windows has no such bounds: there only the time on the wall is one
        return
    memory = _MEMORY + _MEMORY_PER_BYTE * size
    for what, most in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, _CPU_SECONDS), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(what)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)  # noqa: PLW2901
        resource.setrlimit(what, (most, hard))
