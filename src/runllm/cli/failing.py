"""How a failure is shown: as a report or as JSON, and how much of what was received stands in it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from runllm.values import record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runllm.errors import RunllmError

BROKEN_PIPE_STATUS = 141


@record
class Failing:
    """What a command line says of it.

    Attributes:
        form: `text` or `json`; None as the user has set it, else a report on a terminal and JSON elsewhere.
        whole: whether what was received is shown in full.
    """

    form: str | None = None
    whole: bool = False

    def show(self, error: RunllmError) -> int:
        """Print the error and return its exit status."""
        from runllm.cli.output import coloured
        from runllm.rendering import Paint, error_json, error_report

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


_SYNONYMS = {
    "validate": "check lint verify test fmt format analyze analyse compile build dry-run",
    "new": "init create gen generate scaffold make start add",
    "run": "exec execute call ask invoke apply prompt chat go play eval batch",
    "inspect": "info show describe cat view explain list ls dump print graph apps",
    "exectime": "predict estimate cost costs price time bench benchmark",
    "stats": "logs log history report usage runs statistics spend",
    "models": "model providers engines rm remove delete uninstall",
    "pull": "download fetch install get",
    "config": "settings configure set setup options env key keys auth login alias",
    "doctor": "diagnose status debug health ping",
    "schema": "export convert types json-schema",
    "serve": "server api http web",
    "completion": "completions complete autocomplete shell",
    "--version": "version ver about",
    "--help": "usage-help commands man",
}
_MEANT = {word: command for command, words in _SYNONYMS.items() for word in words.split()}
_WITHIN = {
    "rm": "models rm",
    "remove": "models rm",
    "delete": "models rm",
    "uninstall": "models rm",
    "set": "config set",
}
_NONE = frozenset({"deploy", "publish", "upload", "push", "update", "upgrade"})


def command_meant(arguments: list[str], commands: Iterable[str]) -> str | None:
    """Which command or file was meant by words that begin with no command; None where that is not plain."""
    from runllm.diagnostics import nearest
    from runllm.meant import likely

    name = arguments[0]
    if name == "help":
        return f"Did you mean `runllm {' '.join([*arguments[1:2], '--help'])}`?"
    if os.path.isfile(f"{name}.rllm"):  # noqa: PTH113 - as in `with_run`
        return f"Did you mean `runllm {name}.rllm`?"
    if os.path.isfile(name):  # noqa: PTH113 - as in `with_run`
        from shlex import quote

        return f"To run a file that is not called `.rllm`: `runllm run {quote(name)}`."
    word = name.lower().replace("_", "-")
    near = _WITHIN.get(word) or _MEANT.get(word) or (None if word in _NONE else nearest(name, commands, 0.7))
    if file := likely(name, ending=".rllm", alike=not near and "." in name):
        return f"Did you mean `runllm {file}`?"
    if near:
        return f"Did you mean `runllm {near}`?"
    return "There is no such command in this version; `runllm --help` lists those there are." if word in _NONE else None
