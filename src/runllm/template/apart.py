"""Templates that build values are rendered in a process of its own, with a bound on its memory and time.

Fuel pays for the text a template makes, not for what stands behind a list. `[a, a]`, repeated, holds 2 to the
power of n elements after n steps, and the engine walks all of them at once, or dies of the depth. A template
that only reads and writes cannot do that, and most do no more: these are found by the kinds of their parts alone,
and where that errs, a harmless template takes the slower way, about 60 ms.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from runllm.errors import TemplateError
from runllm.template.tree import Node

_LIST_FILTERS = frozenset(
    "batch chain dictsort groupby items lines list map reject rejectattr reverse select selectattr slice sort split"  # noqa: SIM905
    " sum unique zip".split()
)
"""Those that give a list."""
_MOST_LISTS = 30
_MOST_SUMS = 3
_MOST_COPIES = 99


def builds_values(tree: Node) -> bool:
    """Whether the template can put values together in more ways than fuel counts."""
    nodes = list(tree.inside())
    lists = [node for node in nodes if node.kind == "filter" and node.text in _LIST_FILTERS]
    return (
        len(lists) > _MOST_LISTS
        or any(_is_variable(*node.parts) for node in lists)
        or sum(map(_sums, nodes)) > _MOST_SUMS
        or any(map(_builds, nodes))
    )


def _builds(node: Node) -> bool:
    if node.kind in ("macro", "call_block"):
        return True
    if node.kind in ("array", "object"):
        return _is_variable(node)
    if node.kind == "chain":
        calls = [before for before, step in zip(node.parts, node.parts[1:], strict=False) if step.kind == "call"]
        return any((before.kind != "key" and before.text != "range") or before.value == "format" for before in calls)
    return node.kind == "operation" and "*" in node.names and _grows(node.parts)


def _is_variable(*nodes: Node) -> bool:
    """Whether there is more than constants."""
    return any(part.kind == "name" for node in nodes for part in node.inside())


def _sums(node: Node) -> int:
    """How many `+` may join lists: neither side is a literal, which only adds to its like."""
    if node.kind != "operation":
        return 0
    pairs = zip(node.names, node.parts, node.parts[1:], strict=False)
    return sum(sign == "+" and "constant" not in (left.kind, right.kind) for sign, left, right in pairs)


def _grows(operands: Sequence[Node]) -> bool:
    """Whether a product may repeat a list many times: text is paid for, and a fraction repeats nothing."""
    if any(one.text in ("string", "number") for one in operands):
        return False
    counts = [one.value for one in operands if one.text == "integer"]
    return not counts or any(count > _MOST_COPIES for count in counts)


# --- the process -----------------------------------------------------------------------------------

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
    from runllm.template import rendering

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
