"""`runllm new`: write the first file of somebody who has none yet: valid, ready to run, and meant to be changed."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from runllm import files
from runllm.cli.offers import apps, gallery, models
from runllm.diagnostics import nearest
from runllm.errors import UsageError
from runllm.making import gallery as there
from runllm.terminal import harmless


def _known(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """One of the gallery, or the list of all of them."""
    if value is None or value in there.NAMES:
        return value
    near = nearest(value, there.NAMES)
    meant = f"Did you mean `{near}`? " if near else ""
    listed = "; ".join(f"`{name}`: {does}" for name, does in there.NAMES.items())
    raise UsageError(f"there is no `{value}` in the gallery", hint=f"{meant}There is: {listed}.")


@click.command(name="new")
@click.argument("file", metavar="FILE", shell_complete=apps)
@click.option(
    "--like",
    metavar="NAME",
    callback=_known,
    shell_complete=gallery,
    help=f"Begin with an app of the gallery: {', '.join(there.NAMES)}.",
)
@click.option(
    "-m",
    "--model",
    metavar="MODEL",
    shell_complete=models,
    default=there.MODEL,
    show_default=True,
    help="The model that it calls.",
)
def command(file: str, like: str | None, model: str) -> None:
    """Write a small app to FILE, ready to run and to change.

    FILE gets the suffix `.rllm` unless it has one. With --like, an input and tests are written beside it, with what the
    model answered to them. A file that is there already stays as it is.
    """
    path = _path(file)
    if like is None:
        texts = {path.name: there.starter(path.stem, model=model)}
    else:
        texts = there.files_of(like, path.stem, model=model)
    files.create({str(path.with_name(name)): text for name, text in texts.items()})
    _tell(path, like, list(texts))


def _path(file: str) -> Path:
    """Where the app is to be."""
    path = Path(file)
    if path.name in ("", "..") or not path.name.isprintable():
        raise UsageError(f"`{file}` is no name for a file", hint="Give one such as `sort.rllm`.")
    return path if path.suffix == ".rllm" else path.with_name(f"{path.name}.rllm")


def _tell(path: Path, like: str | None, written: list[str]) -> None:
    """Say what was written, and what to do with it."""
    named, given = shlex.quote(str(path)), shlex.quote(str(path.with_suffix(".input.yaml")))
    replay = " --replay" if any(name.endswith(".cassette.yaml") for name in written) else ""
    if like:
        said = [
            f"{path} is ready, with {', '.join(written[:-1])}. Try it:",
            f"  runllm {named} -f {given}",
            f"  runllm test {named}{replay}",
            f"Change what its comments name, then check it: runllm validate {named}",
        ]
    else:
        said = [
            f"{path} is ready. Try it:",
            f"  runllm {named} message='Where is my order?'",
            f"Change the prompt and the contract, then check them: runllm validate {named}",
            f"Say under `tests` what must hold, and try that: runllm test {named}",
        ]
    click.echo(harmless("\n".join(said)), err=True)
