"""A template and the values it names, made into text or into a value.

Templates that build values are rendered in a process of its own, with a bound on its memory and time. Fuel pays for
the text a template makes, not for what stands behind a list: `[a, a]`, repeated, holds 2 to the power of n elements
after n steps, and the engine walks all of them at once, or dies of the depth. A template that only reads and writes
cannot do that, and most do no more: these are found by the kinds of their parts alone, and where that errs, a harmless
template takes the slower way, about 60 ms.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

from runllm.errors import TemplateError
from runllm.program import Section, Source
from runllm.template.environment import MAX_OUTPUT, check_source, environment, raise_ours, refuse_half_characters
from runllm.template.lexer import Tag, tags
from runllm.template.spelling import spelled
from runllm.template.tree import Node
from runllm.template.views import Meter, hide, show


def render(source: str, names: Mapping[str, Any]) -> str:
    """The text of a template.

    Args:
        source: Jinja2 syntax.
        names: what each root name holds, as JSON values; never changed.

    Raises:
        TemplateError: the template is wrong, fails, or exceeds its bounds; `line` and `column` are in its details
            where they are known.
    """
    if "{" not in source:  # then there is nothing to render, and no engine to import
        refuse_half_characters(source)
        return _bounded(source)
    if _needs_process(source):
        return _apart("render_here", source, names)
    return render_here(source, names)


def form(source: str) -> Literal["literal", "expression", "text"]:
    """What a source gives: itself where it has no tag, a value where it is one whole `{{ expression }}`, else text."""
    if not any(mark in source for mark in ("{{", "{%", "{#")):
        return "literal"
    return "text" if only_expression(source) is None else "expression"


def placed(error: TemplateError, section: Section, source: Source) -> TemplateError:
    """A failure to render a section, with its place in the file."""
    line, column = int(error.details.get("line") or 1), int(error.details.get("column") or 1)
    span = source.span(*section.place_of(line, column))
    return TemplateError(
        f"{span.file}:{span.line}: {error.message}",
        details={"file": span.file, "line": span.line, "column": span.column},
    )


def evaluate(source: str, names: Mapping[str, Any]) -> Any:
    """The value of a source that is one whole `{{ expression }}`, with its type; the text of any other.

    White space around the expression does not count. An absent value is None.

    Raises:
        TemplateError: as for `render`, and where the value is not JSON.
    """
    if only_expression(source) is None:
        return render(source, names)
    if _needs_process(source):
        return _apart("evaluate_here", source, names)
    return evaluate_here(source, names)


@lru_cache(maxsize=64)
def _needs_process(source: str) -> bool:
    """Whether a template must be rendered apart; refuses one that is wrong. A batch asks once for all its rows."""
    return builds_values(check_source(source))


def render_here(source: str, names: Mapping[str, Any]) -> str:
    """`render` for a source that was checked, in this process whatever it does."""
    spelling = spelled(source)
    try:
        return _bounded(environment().render_str(spelling.text, **_shown(names)))
    except BaseException as error:  # a panic of the engine is no Exception
        raise_ours(error, source, spelling.text, spelling.source_offset)


def evaluate_here(source: str, names: Mapping[str, Any]) -> Any:
    """`evaluate` for a source that was checked, in this process whatever it does."""
    tag = only_expression(source)
    if tag is None:
        return render_here(source, names)
    spelling = spelled(source)
    start = spelling.text_offset(tag.tokens[0].offset)
    end = spelling.text_offset(tag.tokens[-1].end, behind=True)
    padding = "".join(sign if sign == "\n" else " " * len(sign.encode()) for sign in spelling.text[:start])
    try:
        value = hide(environment().eval_expr(padding + spelling.text[start:end], **_shown(names)))
    except BaseException as error:  # a panic of the engine is no Exception
        raise_ours(error, source, spelling.text, spelling.source_offset)
    return _bounded(value) if isinstance(value, str) else value


def only_expression(source: str) -> Tag | None:
    """The tag of a source that is nothing else than one `{{ expression }}`, but for white space around it."""
    stripped = source.strip()
    if not (stripped.startswith("{{") and stripped.endswith("}}")):
        return None
    first, *others = tags(source)
    whole = not others and first.closed and first.end == len(source.rstrip())
    return first if whole and first.tokens else None


def _shown(names: Mapping[str, Any]) -> dict[str, Any]:
    meter = Meter()
    return {name: show(value, meter) for name, value in names.items()}


def _bounded(text: str) -> str:
    if len(text) > MAX_OUTPUT or len(text.encode(errors="replace")) > MAX_OUTPUT:
        raise TemplateError(f"the text is longer than a rendering may give: {MAX_OUTPUT // 2**20} MiB")
    return text


# --- which templates build values -----------------------------------------------------------------

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


# --- the process of its own -----------------------------------------------------------------------

_MEMORY = 256 * 2**20
_MEMORY_PER_BYTE = 16
_CPU_SECONDS = 1
_WALL_SECONDS = 20.0


def _apart(function: str, source: str, names: Mapping[str, Any]) -> Any:
    """What a function of this module gives, called in a process of its own.

    Raises:
        TemplateError: as there, and where the process exceeds its bounds.
    """
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
    task = sys.stdin.buffer.read()
    _bound(len(task))
    function, source, names = json.loads(task)
    try:
        answer = {"value": {"render_here": render_here, "evaluate_here": evaluate_here}[function](source, names)}
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
