"""`runllm new`: write the first file of somebody who has none yet: small, valid, and meant to be changed."""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path

import click

from runllm.cli.offers import apps, models
from runllm.cli.output import write
from runllm.errors import FileAccessError, UsageError
from runllm.terminal import harmless

_MODEL = "local/smollm2-135m"
_LONGEST_NAME = 100


@click.command(name="new")
@click.argument("file", metavar="FILE", shell_complete=apps)
@click.option(
    "-m",
    "--model",
    metavar="MODEL",
    shell_complete=models,
    default=_MODEL,
    show_default=True,
    help="The model that it calls.",
)
def command(file: str, model: str) -> None:
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
    write([starter(path.stem, model=model)], str(path))
    named = shlex.quote(str(path))
    click.echo(
        harmless(
            f"{path} is ready. Try it:\n"
            f"  runllm {named} message='Where is my order?'\n"
            f"Change the prompt and the contract, then check them: runllm validate {named}\n"
            f"Say under `tests` what must hold, and try that: runllm test {named}"
        ),
        err=True,
    )


def starter(stem: str, *, model: str) -> str:
    """The text of a new app.

    Args:
        stem: the name of its file, without the suffix; the app is named after it.
        model: what it calls.
    """
    from importlib.resources import files

    text = files("runllm.cli").joinpath("starter.rllm").read_text(encoding="utf-8")
    plain = re.fullmatch(r"[\w./:-]+/[\w./-]+", model) is not None
    said = {"NAME": slug(stem), "MODEL": model if plain else json.dumps(model)}
    return re.sub("NAME|MODEL", lambda found: said[found[0]], text)


def slug(stem: str) -> str:
    """A name for an app that resembles the name of a file: lower-case letters, digits, and `_` between them."""
    return re.sub(r"[^a-z0-9]+", "_", stem.lower()).strip("_")[:_LONGEST_NAME].rstrip("_") or "app"
