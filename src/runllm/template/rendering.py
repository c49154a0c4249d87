"""A template and the values it names, made into text or into a value."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

from runllm.errors import TemplateError
from runllm.program import Section, Source
from runllm.template import apart
from runllm.template.apart import builds_values
from runllm.template.environment import MAX_OUTPUT, check_source, environment, raise_ours, refuse_half_characters
from runllm.template.lexer import Tag, tags
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
        return apart.render(source, names)
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
        return apart.evaluate(source, names)
    return evaluate_here(source, names)


@lru_cache(maxsize=64)
def _needs_process(source: str) -> bool:
    """Whether a template must be rendered apart; refuses one that is wrong. A batch asks once for all its rows."""
    return builds_values(check_source(source))


def render_here(source: str, names: Mapping[str, Any]) -> str:
    """`render` for a source that was checked, in this process whatever it does."""
    try:
        return _bounded(environment().render_str(source, **_shown(names)))
    except BaseException as error:  # a panic of the engine is no Exception
        raise_ours(error, source)


def evaluate_here(source: str, names: Mapping[str, Any]) -> Any:
    """`evaluate` for a source that was checked, in this process whatever it does."""
    tag = only_expression(source)
    if tag is None:
        return render_here(source, names)
    start, end = tag.tokens[0].offset, tag.tokens[-1].end
    padding = "".join(sign if sign == "\n" else " " * len(sign.encode()) for sign in source[:start])
    try:
        value = hide(environment().eval_expr(padding + source[start:end], **_shown(names)))
    except BaseException as error:  # a panic of the engine is no Exception
        raise_ours(error, source)
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
