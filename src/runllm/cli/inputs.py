"""How an input is given on a command line: the arguments and options that commands share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import click

from runllm import api
from runllm.cli import offers
from runllm.cli.helping import Grouped
from runllm.errors import UsageError
from runllm.rendering import one_line
from runllm.results import Event

C = TypeVar("C", bound=Callable[..., Any])
_BARE = "runllm.bare"


class InputCommand(Grouped):
    """A command that takes an input, which may be a text as the one word after `--`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As any command, but for that text: it is never read as `KEY=VALUE`."""
        *before, last = args or [""]
        if before[-1:] == ["--"]:
            with suppress(click.UsageError):  # else the dashes are what an option is given
                if self.make_parser(ctx).parse_args(before[:-1])[0].get("file"):
                    ctx.meta[_BARE], args = last, before[:-1]
        return super().parse_args(ctx, args)


model_option = click.option(
    "-m", "--model", metavar="MODEL", shell_complete=offers.models, help="Use this model instead of the file's."
)


def input_options(command: C) -> C:
    """Add `--arg` (as `literal`), `KEY=VALUE` arguments, `--input` (as `text`) and `--input-file` (as `path`)."""
    for add in (
        click.option(
            "-f",
            "--input-file",
            "path",
            metavar="PATH",
            shell_complete=offers.files,
            help="Read the input from a .json, .yaml or text file; `-` is stdin.",
        ),
        click.option("-i", "--input", "text", metavar="TEXT", help="The input as JSON, YAML or plain text."),
        click.option(
            "--arg",
            "literal",
            type=(str, str),
            multiple=True,
            metavar="NAME VALUE",
            shell_complete=offers.literal,
            help="Set input NAME to VALUE, taken literally. Use it for shell variables.",
        ),
        click.argument("arguments", metavar="[KEY=VALUE | KEY=@FILE]...", nargs=-1, shell_complete=offers.inputs),
    ):
        command = add(command)
    return command


def bare() -> str | None:
    """The text after `--`, where there is one."""
    return click.get_current_context().meta.get(_BARE)


def warn(event: Event) -> None:
    """Say what even whoever asks for no trace must know."""
    if event.step == "warning":
        click.echo(f"warning: {one_line(event.message)}", err=True)


def given_input(
    app: api.App,
    text: str | None,
    path: str | None,
    arguments: tuple[str, ...],
    literal: tuple[tuple[str, str], ...],
    listener: api.Listener = warn,
) -> dict[str, Any]:
    """The input; a pipe is read only when the arguments leave a required input unfed."""
    if text is not None and path is not None:
        raise UsageError("`--input` and `--input-file` cannot be given together")
    if text is None and path is None and bare() is None and sys.stdin is not None and not sys.stdin.isatty():
        given = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
        fed = given.keys() | {name for name, _ in literal}
        if not fed.issuperset(app.program.input.required) and "@-" not in given.values():
            path = "-"
    return app.read_input(text=text, path=path, arguments=arguments, literal=literal, bare=bare(), listener=listener)
