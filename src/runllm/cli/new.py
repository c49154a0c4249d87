"""`runllm new`: write a first app."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click

from runllm import api
from runllm.cli.offers import apps, models
from runllm.cli.output import write
from runllm.errors import FileAccessError, UsageError
from runllm.terminal import harmless


@click.command(name="new")
@click.argument("file", metavar="FILE", shell_complete=apps)
@click.option(
    "-m",
    "--model",
    metavar="MODEL",
    shell_complete=models,
    help="The model that it calls.  [default: local/smollm2-135m]",
)
def command(file: str, model: str | None) -> None:
    """Write a small app to FILE, ready to run and to change.

    FILE gets the suffix `.rllm` unless it has one. A file that is there already stays as it is.
    """
    path = Path(file)
    if path.name in ("", ".."):
        raise UsageError(f"`{file}` is no name for a file", hint="Give one such as `sort.rllm`.")
    if path.suffix != ".rllm":
        path = path.with_name(f"{path.name}.rllm")
    if os.path.lexists(path):
        raise FileAccessError(f"`{path}` is there already", hint="Give another name; nothing was written.")
    write([api.new(path.stem, model=model)], str(path))
    named = shlex.quote(str(path))
    click.echo(
        harmless(
            f"{path} is ready. Try it:\n"
            f"  runllm {named} message='Where is my order?'\n"
            f"Change the prompt and the contract, then check them: runllm validate {named}"
        ),
        err=True,
    )
