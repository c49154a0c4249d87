"""Warnings of the settings as lines on stderr."""

from __future__ import annotations

import warnings
from typing import TextIO

import click

from runllm.notices import SettingsWarning


def listen() -> None:
    """Show the warnings of runllm's own as lines, whatever `PYTHONWARNINGS` says; others stay Python's."""
    others = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if not isinstance(message, SettingsWarning):
            others(message, category, filename, lineno, file, line)
            return
        from runllm.rendering import one_line  # few are warned

        click.echo(f"warning: {one_line(str(message))}", err=True)

    warnings.filterwarnings("always", category=SettingsWarning)
    warnings.showwarning = show
