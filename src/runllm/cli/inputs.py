"""How an input is given on a command line: the arguments and options that commands share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from runllm import api
from runllm.cli import offers
from runllm.errors import UsageError
from runllm.inputs import read_file

C = TypeVar("C", bound=Callable[..., Any])


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
        click.option("-i", "--input", "text", metavar="TEXT", help="The input: JSON, YAML, or plain text."),
        click.option(
            "--arg",
            "literal",
            type=(str, str),
            multiple=True,
            metavar="NAME VALUE",
            shell_complete=offers.literal,
            help="An input: VALUE as it is, whatever it begins with. Give a variable of your shell this way.",
        ),
        click.argument("arguments", metavar="[KEY=VALUE | KEY=@FILE]...", nargs=-1, shell_complete=offers.inputs),
    ):
        command = add(command)
    return command


def given_input(
    app: api.App,
    text: str | None,
    path: str | None,
    arguments: tuple[str, ...],
    literal: tuple[tuple[str, str], ...],
) -> dict[str, Any]:
    """The input; a pipe is read only when the arguments leave a required input unfed."""
    if text is not None and path is not None:
        raise UsageError("`--input` and `--input-file` cannot be given together")
    if text is None and path is None and sys.stdin is not None and not sys.stdin.isatty():
        fed = {argument.partition("=")[0] for argument in arguments} | {name for name, _ in literal}
        if not set(app.program.input.required) <= fed:
            piped = read_file("-")
            text = piped if piped.strip() else None
    return app.read_input(text=text, path=path, arguments=arguments, literal=literal)
