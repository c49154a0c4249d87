"""Problems, errors and results as text for a person, or as JSON for a program."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from runllm.diagnostics import Problem, clip
from runllm.dumping import as_yaml
from runllm.notices import excerpt
from runllm.quantities import some
from runllm.redaction import redact, redact_text
from runllm.terminal import harmless

if TYPE_CHECKING:
    from runllm.errors import RunllmError
    from runllm.results import Event

_STYLES = {"red": "31", "green": "32", "yellow": "33", "cyan": "36", "dim": "2", "bold": "1"}
_LONGEST_VALUE = 400
_LONGEST_TEXT = 200
_MOST_PARTS = 50
# PyYAML writes YAML 1.1, which has fewer numbers than 1.2, and more line breaks. Compiled when first used.


class Paint:
    """Colours for a terminal; plain text elsewhere."""

    def __init__(self, *, colour: bool) -> None:
        self.colour = colour

    def __call__(self, text: str, *styles: str) -> str:
        """`text` in these styles, if there are colours."""
        if not self.colour:
            return text
        codes = ";".join(_STYLES[style] for style in styles)
        return f"\x1b[{codes}m{text}\x1b[0m"


def safe(text: str) -> str:
    """`text` for a terminal: secrets masked, control sequences made visible instead of obeyed."""
    return harmless(redact_text(text))


def one_line(text: str) -> str:
    """As `safe`, for a text that stands in one line: a line break in it is a space."""
    return re.sub(r"\s*\n\s*", " ", safe(text)).replace("\t", " ").rstrip()


def problem_report(problem: Problem, paint: Paint) -> str:
    """A problem with its place, its line, a caret and what to do."""
    tone = "red" if problem.severity == "error" else "yellow"
    lines: list[str] = []
    span = problem.span
    if span is not None:
        lines.append(f"{paint(safe(f'{span.file}:{span.line}:{span.column}'), 'bold')}")
    elif problem.pointer:
        lines.append(paint(safe(problem.pointer), "bold"))
    head = f"{paint(problem.severity, tone, 'bold')}: {safe(problem.message)}"
    lines = [f"{lines[0]}: {head}"] if lines else [head]
    if span is not None and span.text:
        shown = excerpt(span)
        indent, carets = _blank(shown.text[: shown.start]), "^" * len(_blank(shown.text[shown.start :][: shown.length]))
        lines.append(paint(f"{span.line:>5} │ ", "dim") + shown.text)
        lines.append(paint("      │ ", "dim") + indent + paint(carets or "^", tone))
    if problem.hint:
        lines.append(f"      {paint('=', 'cyan')} {safe(problem.hint)}")
    return "\n".join(lines)


def _blank(text: str) -> str:
    """Blanks as wide as the text is on a terminal; tabs keep their width."""
    if text.isascii():
        return re.sub(r"[^\t]", " ", text)
    import unicodedata  # only for those who write more than ASCII

    def width(c: str) -> int:
        return 0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1

    return "".join("\t" if c == "\t" else " " * width(c) for c in text)


def problems_report(problems: Iterable[Problem], paint: Paint) -> str:
    """Every problem, one after the other."""
    return "\n\n".join(problem_report(problem, paint) for problem in problems)


def error_report(error: RunllmError, paint: Paint, *, whole: bool = False) -> str:
    """An error for a person: what happened, each problem, what to do, where to read more. Nothing is said twice."""
    code = paint(f"{error.code} {type(error).__name__}", "red", "bold")
    attempts = cast("list[Any]", error.details.get("attempts", []))
    said = _headline(error)
    parts = [f"{code}: {safe(said)}" if said else code]
    if error.problems and not attempts:
        parts.append(problems_report(error.problems, paint))
    parts += [_attempt_report(attempt, paint, whole=whole) for attempt in attempts]
    parts += [f"  · {safe(call)}" for call in cast("list[str]", error.details.get("calls", []))]
    parts += [f"  at {safe(place)}" for place in cast("list[str]", error.details.get("where", []))]
    parts.append(f"{paint('What to do:', 'cyan')} {safe(error.recovery_hint if attempts else _what_to_do(error))}")
    parts.append(paint(f"More: docs/errors.md#{error.code.lower()}", "dim"))
    return "\n".join(parts)


def _what_to_do(error: RunllmError) -> str:
    """The hint, without those that stand at their problems."""
    left = error.recovery_hint
    for problem in error.problems:
        left = left.replace(problem.hint, "") if problem.hint else left
    return left.strip() or type(error).hint


def _headline(error: RunllmError) -> str:
    """What happened, without the problem that is shown by itself; empty where that is all."""
    if not error.problems:
        return error.message
    before, found, _ = error.message.partition(error.problems[0].message)
    before = re.sub(r"(?:`[^`]*`: |\S+:[0-9]+:[0-9]+: )$", "", before).rstrip(": ")
    if not found:
        return error.message
    return before or (some(len(error.problems), "problem") if len(error.problems) > 1 else "")


def _attempt_report(attempt: Mapping[str, Any], paint: Paint, *, whole: bool) -> str:
    said = safe(str(attempt.get("text", "")))  # before it is cut: half a secret is none that can be found
    head = paint(f"  attempt {attempt['attempt']}", "bold")
    lines = [f"{head} answered: {said if whole else clip(said, _LONGEST_VALUE)}"]
    for problem in cast("list[dict[str, Any]]", attempt.get("problems", [])):
        where = f"{problem['path']}: " if problem.get("path") else ""
        lines.append(f"    {paint('error', 'red', 'bold')}: {safe(where + problem['message'])}")
    return "\n".join(lines)


def error_json(error: RunllmError, *, whole: bool = False) -> str:
    """An error for a program: its payload, on one line. It goes to logs: what was received is shortened in it."""
    payload = error.payload()
    if not whole:
        payload["received_payload"] = shortened(payload["received_payload"])
        for attempt in payload["details"].get("attempts", ()):
            if "text" in attempt:
                attempt["text"] = shortened(attempt["text"])
    return harmless(json.dumps(payload, ensure_ascii=False))


def shortened(value: Any) -> Any:
    """A value whose texts have at most 200 characters each, its lists and objects at most 50 parts."""
    if isinstance(value, str):
        more = len(value) - _LONGEST_TEXT
        return value if more <= 0 else f"{value[:_LONGEST_TEXT]} … [{more:,} more characters]"
    if isinstance(value, list):
        items = [shortened(item) for item in cast("list[Any]", value)[:_MOST_PARTS]]
        more = len(cast("list[Any]", value)) - _MOST_PARTS
        return items if more <= 0 else [*items, f"… [{more:,} more]"]
    if isinstance(value, dict):
        pairs = list(cast("dict[str, Any]", value).items())
        kept = {clip(name, _LONGEST_TEXT): shortened(item) for name, item in pairs[:_MOST_PARTS]}
        return kept if len(pairs) <= _MOST_PARTS else {**kept, "…": f"[{len(pairs) - _MOST_PARTS:,} more]"}
    return value


def as_json(value: Any) -> str:
    """What a command found, for a program: secrets masked, control characters as JSON escapes."""
    return harmless(json.dumps(redact(value), ensure_ascii=False, indent=2))


def event_line(event: Event, paint: Paint) -> str:
    """A step of a run, for the trace."""
    noted = dict.fromkeys(("problem", "warning", "retry", "skipped"), "yellow")
    tone = {**noted, "failed": "red"}.get(event.step, "cyan")
    where = paint(safe(" > ".join(event.trail)) + ": ", "dim") if event.trail else ""
    return f"{paint(f'{event.elapsed:8.3f} s', 'dim')} {paint(f'{event.step:<8}', tone)} {where}{safe(event.message)}"


def output_text(output: Any, form: str) -> str:
    """A run's output as `json`, `yaml` or `text`.

    Text is a text itself, alone or as the only value of an object, and YAML otherwise. It is the user's data: nothing
    is masked, and a control character is written as JSON and YAML write it, and stands in text as it is.
    """
    if form == "json":
        return harmless(json.dumps(output, ensure_ascii=False, indent=2))
    values = list(cast("dict[str, Any]", output).values()) if isinstance(output, dict) else [output]
    if form == "text" and len(values) == 1:
        return values[0] if isinstance(values[0], str) else as_yaml(values[0])
    return as_yaml(output)
