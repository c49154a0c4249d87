"""The figures on a terminal: a block of totals, then the models side by side."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from runllm.quantities import count, percent, seconds, some
from runllm.rendering import Paint
from runllm.report.columns import COLUMNS, Column, best, cost, error_names, filled, local_time, shown
from runllm.stats.summary import Figures, Summary
from runllm.values import frozen

NARROWEST = 60
_LABEL = 13  # columns of a total's label
_CELLS = 6  # of a bar
_GAP = "  "
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_ASCII = str.maketrans({"·": ",", "…": "~"})
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_MOST = 5  # violations that are listed


@frozen
class Look:
    """What the terminal can show.

    Attributes:
        paint: its colours.
        width: its columns.
        blocks: whether it has block characters; bars are of `#` otherwise.
    """

    paint: Paint
    width: int
    blocks: bool = True


@frozen
class _Strip:
    """A column of a table, ready to be laid beside others: its lines are equally wide."""

    width: int
    lines: Sequence[str]


def has_blocks(encoding: str | None) -> bool:
    """Whether an encoding has the characters that bars and text are made of."""
    try:
        f"{_EIGHTHS}·…".encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def as_table(summary: Summary, title: str, look: Look) -> str:
    """All figures as text, as wide as the terminal or `NARROWEST`; plain ASCII where it has no block characters.

    Args:
        summary: the figures.
        title: whose figures they are.
        look: what the terminal can show.
    """
    lines = [*_head(summary, title, look), "", *_totals(summary.total, look)]
    tables = {"model": summary.models, "app": summary.apps if len(summary.apps) > 1 else {}}
    tables = {kind: groups for kind, groups in tables.items() if groups}
    for kind, groups in tables.items():
        lines += ["", *_groups(kind, groups, look)]
    if tables:
        lines += ["", *_legend(tables.values(), look)]
    text = "\n".join(lines)
    return text if look.blocks else text.translate(_ASCII)


def _head(summary: Summary, title: str, look: Look) -> list[str]:
    lines = [look.paint(_cut(_foreign(title, look), _room(look)), "bold")]
    if summary.since is not None and summary.until is not None:
        times = dict.fromkeys(local_time(time) for time in (summary.since, summary.until))
        lines.append(look.paint(" to ".join(times), "dim"))
    return lines


def _totals(total: Figures, look: Look) -> list[str]:
    names = error_names()
    unpriced = [f"{some(total.unpriced, 'call')} of unknown price"] if total.unpriced else []
    skipped = [f"{some(total.skipped, 'item')} of lists skipped"] if total.skipped else []
    kinds = ((total.cached_tokens, "cached"), (total.reasoning_tokens, "reasoning"))
    violations = [f"{_foreign(name, look)} ({some(times, 'time')})" for name, times in total.violations[:_MOST]]
    failures = [f"{_foreign(code, look)} {names.get(code, '')} ({some(times, 'run')})" for code, times in total.errors]
    rows = {
        "runs": [count(total.runs), f"{count(total.succeeded)} succeeded", f"{count(total.failed)} failed", *skipped],
        "input fits": [_share(total.input_compliance, look)],
        "answer fits": [
            f"first {_share(total.first_compliance, look)}",
            f"final {_share(total.final_compliance, look)}",
            f"of {some(total.judged, 'run')} with an answer",
        ],
        "latency": [
            f"average {seconds(total.latency_average)}",
            f"p50 {seconds(total.latency_p50)}",
            f"p95 {seconds(total.latency_p95)}",
            f"{count(total.ms_per_1k_tokens)} ms per 1k tokens",
        ],
        "tokens": [
            f"prompt {count(total.prompt_average)}, completion {count(total.completion_average)} on average",
            f"completion at most {count(total.completion_max)}",
            f"prompt {count(total.prompt_tokens)}, completion {count(total.completion_tokens)} in all",
            *(f"{name} {count(number)}" for number, name in kinds if number),
        ],
        "cost": [cost(total), *unpriced],
        "retries": [count(total.retries), f"{some(total.asked, 'attempt')} in all"],
        "violations": violations or ["none"],
        "failures": failures or ["none"],
    }
    return [line for label, parts in rows.items() for line in _wrapped(label, parts, look)]


def _wrapped(label: str, parts: Sequence[str], look: Look) -> list[str]:
    """A label and its parts with dots between, on as many lines as they need."""
    room = _room(look) - _LABEL
    lines = [""]
    for part in parts:
        short = _cut(part, room)
        joined = f"{lines[-1]} · {short}" if lines[-1] else short
        if _wide(joined) <= room:
            lines[-1] = joined
        else:
            lines.append(short)
    heads = [look.paint(label.ljust(_LABEL), "dim"), *[" " * _LABEL] * (len(lines) - 1)]
    return [(head + line).rstrip() for head, line in zip(heads, lines, strict=True)]


def _groups(kind: str, groups: Mapping[str, Figures], look: Look) -> list[str]:
    """A table with a row for each group. Columns that find no room follow below, beside the names again."""
    names = [_cut(_foreign(name, look), _room(look) // 3) for name in groups]
    width = max(map(_wide, [kind, *names]))
    first = _Strip(
        width=width, lines=[look.paint(_padded(kind, width), "dim"), *(_padded(name, width) for name in names)]
    )
    blocks = [[first]]
    for column in COLUMNS:
        strip = _strip(column, groups, look)
        used = sum(each.width + len(_GAP) for each in blocks[-1])
        if used + strip.width > _room(look):
            blocks.append([first])
        blocks[-1].append(strip)
    lines: list[str] = []
    for block in blocks:
        lines += [""] if lines else []
        lines += [_GAP.join(row).rstrip() for row in zip(*(strip.lines for strip in block), strict=True)]
    return lines


def _strip(column: Column, groups: Mapping[str, Figures], look: Look) -> _Strip:
    """The numbers to the right, the best with a star after it, a bar behind."""
    texts = {name: column.text(figures) for name, figures in groups.items()}
    winners = best(column, groups)
    width = max(map(len, [column.name, *texts.values()]))
    behind = (1 if winners else 0) + (1 + _CELLS if column.top is not None else 0)
    lines = [look.paint(column.name.rjust(width), "dim") + " " * behind]
    for name, figures in groups.items():
        number = texts[name].rjust(width) + ("*" if name in winners else " " if winners else "")
        bar = ""
        if column.top is not None:
            share = filled(column, figures, groups)
            bar = " " + (" " * _CELLS if share is None else _bar(share, look))
        lines.append((look.paint(number, "bold") if name in winners else number) + bar)
    return _Strip(width=width + behind, lines=lines)


def _legend(tables: Iterable[Mapping[str, Figures]], look: Look) -> list[str]:
    """What the columns mean that do not say so themselves."""
    starred = any(best(column, groups) for groups in tables for column in COLUMNS)
    said = [f"{column.name}: {column.meaning}" for column in COLUMNS if column.name in ("first", "final", "in", "out")]
    said += ["*: the best, of those with five answers or more"] if starred else []
    return [look.paint(_cut(line, _room(look)), "dim") for line in said]


def _share(share: float | None, look: Look) -> str:
    return percent(share) if share is None else f"{percent(share)} {_bar(share / 100, look)}"


def _bar(share: float, look: Look) -> str:
    """A bar in cyan. Only nothing is empty, and only all is full."""
    steps = 8 if look.blocks else 1
    most = _CELLS * steps
    filled_steps = round(share * most)
    if 0 < share < 1:
        filled_steps = min(max(filled_steps, 1), most - 1)
    whole, rest = divmod(filled_steps, steps)
    drawn = _EIGHTHS[8] * whole + (_EIGHTHS[rest] if rest else "") if look.blocks else "#" * whole
    return look.paint(drawn.ljust(_CELLS, " " if look.blocks else "."), "cyan")


def _foreign(text: str, look: Look) -> str:
    """A word of somebody else, harmless, in the characters that there are."""
    return shown(text) if look.blocks else shown(text).encode("ascii", "backslashreplace").decode()


def _room(look: Look) -> int:
    return max(NARROWEST, look.width)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _wide(text))


def _cut(text: str, width: int) -> str:
    """`text` with its middle left out where it is too wide: model names differ at both ends."""
    if _wide(text) <= width:
        return text
    right = (width - 1) // 2
    return f"{_beginning(text, width - 1 - right)}…{_beginning(text[::-1], right)[::-1]}"


def _beginning(text: str, width: int) -> str:
    """As much of a text as so many columns hold."""
    used = 0
    for at, character in enumerate(text):
        used += _wide(character)
        if used > width:
            return text[:at]
    return text


def _wide(text: str) -> int:
    """Columns that a text takes on a terminal; its colours take none."""
    plain = _COLOUR.sub("", text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in plain)
