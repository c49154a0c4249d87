"""How a failure is shown: as a report or as JSON, and how much of what was received stands in it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from runllm.errors import RunllmError

BROKEN_PIPE_STATUS = 141


@dataclass(slots=True)
class Failing:
    """What a command line says of it.

    Attributes:
        form: `text` or `json`; None as the user has set it, else a report on a terminal and JSON elsewhere.
        whole: whether what was received is shown in full.
    """

    form: str | None = None
    whole: bool = False

    def show(self, error: RunllmError, arguments: list[str]) -> int:
        """Print the error and return its exit status."""
        from runllm.cli.output import coloured
        from runllm.rendering import Paint, error_json, error_report

        if error.code == "RLLM_023" and (hint := meant(arguments)):
            error.recovery_hint = hint
        as_text = (self.form or _set_by_user() or ("text" if sys.stderr.isatty() else "json")) == "text"
        paint = Paint(colour=coloured(sys.stderr))
        text = error_report(error, paint, whole=self.whole) if as_text else error_json(error, whole=self.whole)
        try:
            click.echo(text, err=True, color=True)
        except (BrokenPipeError, ValueError, OSError):
            return BROKEN_PIPE_STATUS
        return error.exit_status


def option() -> click.Option:
    """`--error-format`, which every command has."""

    def choose(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
        if value is not None and isinstance(ctx.obj, Failing):
            ctx.obj.form = value

    return click.Option(
        ["--error-format"],
        type=click.Choice(["text", "json"]),
        expose_value=False,
        is_eager=True,
        callback=choose,
        help="How to print an error.  [default: text on a terminal, json elsewhere]",
    )


def in_full() -> None:
    """Have a failure of this command show what was received in full."""
    shown: Any = click.get_current_context().obj
    if isinstance(shown, Failing):
        shown.whole = True


def _set_by_user() -> str | None:
    from runllm.errors import RunllmError
    from runllm.settings import load

    try:
        return load().settings.error_format
    except RunllmError:  # what is wrong with the settings may be the very error that is shown
        return None


def meant(arguments: list[str]) -> str | None:
    """Which app beside one that is not there was meant, if one of its folder has nearly its name."""
    from runllm.diagnostics import nearest

    for given in arguments:
        folder, name = os.path.split(given)
        if not name.endswith(".rllm") or os.path.lexists(given):
            continue
        try:
            there = [found.name for found in os.scandir(folder or ".") if found.name.endswith(".rllm")]
        except (OSError, ValueError):
            continue
        if near := nearest(name, there):
            return f"Did you mean `{os.path.join(folder, near)}`?"  # noqa: PTH118 - as it was typed
    return None
