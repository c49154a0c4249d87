"""`runllm new`: write the first file of somebody who has none yet: valid, ready to run, and meant to be changed."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from runllm import files
from runllm.cli.asking import asked, can_ask, told
from runllm.cli.offers import apps, gallery, models
from runllm.cli.options import Finite
from runllm.diagnostics import errors_in, nearest
from runllm.errors import UsageError
from runllm.making import answers as making
from runllm.making import gallery as there
from runllm.making.answers import Property
from runllm.terminal import harmless


def _known(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """One of the gallery, or the list of all of them."""
    if value is None or value in there.NAMES:
        return value
    near = nearest(value, there.NAMES)
    meant = f"Did you mean `{near}`? " if near else ""
    listed = "; ".join(f"`{name}`: {does}" for name, does in there.NAMES.items())
    raise UsageError(f"there is no `{value}` in the gallery", hint=f"{meant}There is: {listed}.")


def _read(read: Callable[[Any], Any]) -> Callable[..., Any]:
    """What a flag says, read as an answer to its question is."""

    def callback(_ctx: click.Context, param: click.Parameter, value: Any) -> Any:
        try:
            return value if value in (None, ()) else read(value)
        except UsageError as error:
            raise click.BadParameter(told(error), param=param) from None

    return callback


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
    "--purpose",
    metavar="SENTENCE",
    callback=_read(making.purpose_of),
    help="What the app is for.",
)
@click.option(
    "--input",
    "inputs",
    metavar="NAME:TYPE",
    multiple=True,
    callback=_read(making.properties_of),
    help=f"An input, such as '{making.INPUT}' May be repeated.",
)
@click.option(
    "--output",
    "outputs",
    metavar="NAME:TYPE",
    multiple=True,
    callback=_read(making.properties_of),
    help="An output, written in the same way. May be repeated.",
)
@click.option(
    "--from",
    "wish",
    metavar="SENTENCE",
    callback=_read(making.wish_of),
    help="Have a model write the app: what it is for. Shows the price first.",
)
@click.option(
    "--write-with",
    "writer",
    metavar="MODEL",
    shell_complete=models,
    help="The model that writes it, with --from.  [default: that of your settings]",
)
@click.option("--max-cost", type=Finite(0), metavar="USD", help="The most that the writing may cost.")
@click.option("-y", "--yes", is_flag=True, help="Ask nothing, and use the defaults.")
@click.option(
    "-m",
    "--model",
    metavar="MODEL",
    shell_complete=models,
    help=f"The model that the app calls.  [default: {there.MODEL}; with --from, the one that writes]",
)
def command(
    file: str,
    like: str | None,
    purpose: str | None,
    inputs: tuple[Property, ...],
    outputs: tuple[Property, ...],
    wish: str | None,
    writer: str | None,
    max_cost: float | None,
    yes: bool,
    model: str | None,
) -> None:
    """Write a small app to FILE, ready to run and to change.

    On a terminal it asks for the purpose, the input and the output, unless options give them or --yes is given;
    in a pipe it never asks. With --like, an input and tests are written beside the app, with what the model answered.
    With --from, a model writes the app; one with problems is kept as FILE.draft.

    FILE gets the suffix `.rllm` unless it has one. An existing file is not changed.
    """
    path = _path(file)
    files.refuse_existing([str(path)])
    files.check_writable(str(path))
    _check(there.MODEL if model is None else model)
    answered = bool(purpose or inputs or outputs)
    if (like is not None) + (wish is not None) + answered > 1:
        raise UsageError("give one of `--like`, `--from`, and `--purpose` with `--input` and `--output`")
    if wish is None and (writer or max_cost is not None):
        raise UsageError("`--write-with` and `--max-cost` are for `--from`")
    if like is not None:
        _create(path, there.files_of(like, path.stem, model=model or there.MODEL))
    elif wish is not None:
        from runllm.cli.writing import write  # nothing else of this command asks a model

        text = write(path, wish, asked=writer, model=model, max_cost=max_cost, yes=yes)
        _create(path, {path.name: text}, given="--help", first="A model wrote it: read it before you use it.")
    elif not yes and can_ask() and not (purpose and inputs and outputs):
        _of(path, asked(purpose, inputs, outputs), model)
    elif answered:
        _of(path, making.usual(purpose, inputs, outputs), model)
    else:
        text = there.starter(path.stem, model=model or there.MODEL)
        _create(path, {path.name: text}, given="message='Where is my order?'")


def _of(path: Path, answers: making.Answers, model: str | None) -> None:
    """Write the app that somebody said."""
    text = making.made(path.stem, answers, model=model or there.MODEL)
    _create(path, {path.name: text}, given=making.typed(text))


def _check(model: str) -> None:
    """Refuse what no file may name."""
    for problem in errors_in(making.problems_of(there.starter("app", model=model), "app.rllm")):
        raise UsageError(f"`{model}` is no name of a model", hint=f"{problem.hint} Such as `openai/gpt-4o-mini`.")


def _path(file: str) -> Path:
    """Where the app is to be."""
    path = Path(file)
    if path.name in ("", "..") or not path.name.isprintable():
        raise UsageError(f"`{file}` is no name for a file", hint="Give one such as `sort.rllm`.")
    if path.suffix == ".rllm":
        return path
    if path.suffix[1:].isalpha():
        raise UsageError(f"`{file}` ends as no app does", hint=f"Give `{path.with_suffix('.rllm')}`.")
    return path.with_name(f"{path.name}.rllm")


def _create(path: Path, texts: dict[str, str], *, given: str = "", first: str = "") -> None:
    """Write the app, which is the last of these, and say what to do with it.

    Args:
        path: of the app.
        texts: the name of each file, and what it holds.
        given: an input for the app, as it is typed.
        first: what there is to say before all else.
    """
    files.create({str(path.with_name(name)): text for name, text in texts.items()})
    named = shlex.quote(str(path))
    *others, _ = texts
    beside = f", with {', '.join(others)}" if others else ""
    given = f"-f {shlex.quote(str(path.with_suffix('.input.yaml')))}" if others else given
    replay = " --replay" if any(name.endswith(".cassette.yaml") for name in others) else ""
    tests = next((name for name in others if name.endswith(".tests.yaml")), None)
    where = f"Say in {tests} what must hold" if tests else "Say under `tests` what must hold"
    said = [
        *([first] if first else []),
        f"{path} is ready{beside}. Try it:",
        f"  runllm {named} {given}".rstrip(),
        f"Change what you like, then check it: runllm validate {named}",
        f"{where}, and try that: runllm test {named}{replay}",
    ]
    click.echo(harmless("\n".join(said)), err=True)
