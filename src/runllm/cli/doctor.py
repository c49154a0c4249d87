"""`runllm doctor`: whether everything that a run may need works here, and what to do where it does not."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict

import click

from runllm.cli.output import coloured, format_option

# Not through `runllm.api`, which imports what may be missing.
from runllm.doctor import Check, Status, examine
from runllm.rendering import Paint, as_json, one_line

FAILED = 3
_MARKS: dict[Status, tuple[str, str]] = {
    "ok": ("ok", "cyan"),
    "note": ("-", "dim"),
    "missing": ("-", "yellow"),
    "wrong": ("!", "red"),
}


@click.command(name="doctor")
@format_option("text", "json", meaning="How to print what is found.")
def command(form: str) -> None:
    """Look at Python, libraries, settings, keys, models and statistics, and say what to do about each.

    Changes nothing, and reaches no network but your Ollama server. Keys are named, never shown. `!` marks
    what is wrong, and the exit status is then 3; `-` marks what stops nothing.
    """
    checks = examine()
    wrong = [check for check in checks if check.status == "wrong"]
    if form == "json":
        click.echo(as_json({"ok": not wrong, "checks": [asdict(check) for check in checks]}))
    else:
        click.echo(_text(checks, Paint(colour=coloured(sys.stdout))), color=True)
    if wrong:
        raise click.exceptions.Exit(FAILED)


def _text(checks: Sequence[Check], paint: Paint) -> str:
    width = max(len(check.name) for check in checks)
    lines: list[str] = []
    for check in checks:
        mark, tone = _MARKS[check.status]
        lines.append(f"{paint(f'{mark:<2}', tone)}  {check.name:<{width}}  {one_line(check.said)}")
        if check.fix:
            lines.append(f"{'':{width + 4}}  {paint('=', 'cyan')} {one_line(check.fix)}")
    wrong = sum(check.status == "wrong" for check in checks)
    lines.append(f"\n{wrong} wrong" if wrong else "\nNothing is wrong.")
    return "\n".join(lines)
