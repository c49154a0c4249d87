"""The findings as Markdown."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from environments import installed
from judging import Judged, channel
from measuring import APPS, Seat

MOST_SHOWN = 300


def report(seats: Sequence[Seat], judged: Mapping[str, Mapping[str, Judged]], tokens: Mapping[str, list[int]]) -> str:
    """All tables, with the machine they were measured on."""
    rivals = [seat for seat in seats if seat.contender.requires]
    mains = [seat for seat in rivals if not seat.contender.variant]
    parts = [_machine(mains), _fresh(seats), _warm(seats), _wrong(mains, judged, tokens), _words(mains, judged)]
    return "\n\n".join([*parts, _installed(mains)])


def _machine(seats: Sequence[Seat]) -> str:
    rounds = len(seats[0].cold)
    calls = len(seats[0].warm)
    pins = ", ".join(
        f"`{pin}`"
        for pin in dict.fromkeys(pin for seat in seats for pin in seat.contender.requires if pin != ".")
        if not pin.startswith("pydantic==")
    )
    return (
        f"{platform.system()}, {platform.machine()}, CPython {platform.python_version()}; {rounds} fresh processes and "
        f"{calls:,} warm calls each, interleaved; medians, with the fastest and slowest, or the 10th and 90th "
        f"percentile of calls. Compared: {pins}."
    )


def _fresh(seats: Sequence[Seat]) -> str:
    rows: list[list[str]] = []
    for seat in seats:
        answered = [one.answered for one in seat.cold]
        rows.append(
            [
                _name(seat),
                _seconds(statistics.median(answered)),
                f"{min(answered):.2f} to {max(answered):.2f}",
                _seconds(statistics.median(one.ended for one in seat.cold)),
                _mebibytes(statistics.median(one.memory for one in seat.cold)),
                f"{statistics.median(seat.imported) * 1000:.0f} ms" if seat.imported else "",
            ]
        )
    heads = ["", "to the answer", "fastest to slowest", "to the exit", "peak memory", "import alone"]
    return "**One run in a fresh process**\n\n" + _table(heads, rows)


def _warm(seats: Sequence[Seat]) -> str:
    floor = statistics.median(seats[0].warm)
    rows: list[list[str]] = []
    for seat in seats:
        middle = statistics.median(seat.warm)
        low, *_, high = statistics.quantiles(seat.warm, n=10)
        over = "" if seat is seats[0] else f"{(middle - floor) * 1000:.2f} ms"
        rows.append(
            [
                _name(seat),
                f"{middle * 1000:.2f} ms",
                f"{low * 1000:.2f} to {high * 1000:.2f}",
                over,
                f"{1 / middle:.0f}",
            ]
        )
    heads = ["", "a call", "10 % to 90 %", "over plain HTTP", "calls a second"]
    return "**A call in a warm process**\n\n" + _table(heads, rows)


def _wrong(seats: Sequence[Seat], judged: Mapping[str, Mapping[str, Judged]], tokens: Mapping[str, list[int]]) -> str:
    rows: list[list[str]] = []
    for seat in seats:
        found = judged[seat.contender.name]
        good, misfit, *_ = tokens[seat.contender.name]
        cells = [f"{found[name].verdict} ({len(found[name].bodies)})" for name in ("misfit", "almost", "busy")]
        rows.append([_name(seat), channel(found["good"].bodies[0]), *cells, f"{good:,}", f"{misfit:,}"])
    heads = [
        "",
        "schema sent as",
        "does not fit",
        "trailing comma",
        "503 once",
        "tokens of a run",
        "of one that asks again",
    ]
    return "**When the first answer cannot be used** (in brackets: requests)\n\n" + _table(heads, rows)


def _words(seats: Sequence[Seat], judged: Mapping[str, Mapping[str, Judged]]) -> str:
    parts: list[str] = []
    for seat in seats:
        told = " ".join(judged[seat.contender.name]["misfit"].told.split())
        if told:
            parts.append(
                f"- {_name(seat)}: `{told[:MOST_SHOWN].replace('`', chr(39))}{'…' * (len(told) > MOST_SHOWN)}`"
            )
    return "What is said to the model after the answer that does not fit:\n\n" + "\n".join(parts)


def _installed(seats: Sequence[Seat]) -> str:
    rows: list[list[str]] = []
    for seat in seats:
        found = installed(seat.folder)
        lines = sum(_lines(APPS / file) for file in seat.contender.files)
        files = ", ".join(f"`{file}`" for file in seat.contender.files)
        rows.append([_name(seat), str(found.packages), f"{found.size / 1e6:,.0f} MB", str(lines), files])
    return "**What it takes**\n\n" + _table(["", "packages", "on disk", "lines", "what a user writes"], rows)


def _lines(file: Path) -> int:
    """Lines that say something."""
    lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
    return sum(1 for line in lines if line and not line.startswith("#"))


def _name(seat: Seat) -> str:
    return f"`{seat.contender.name}`" if seat.contender.requires else seat.contender.name


def _seconds(value: float) -> str:
    return f"{value:.2f} s"


def _mebibytes(value: float) -> str:
    return f"{value / 2**20:.0f} MiB"


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---", *["--:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
