"""`runllm models` and `runllm pull`: list the models that can be named, fetch and remove local ones."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from runllm import api
from runllm.cli.offers import pullable, pulled
from runllm.cli.output import download_bar, format_option, show_table
from runllm.cli.steps import steps
from runllm.errors import InterruptedRunError
from runllm.quantities import size
from runllm.rendering import as_json, safe

if TYPE_CHECKING:
    from runllm.models.folder import Model

_HEADINGS = ("MODEL", "WHERE", "SIZE", "MEMORY", "TOKENS/S", "LICENCE", "GOOD FOR")
_BYTES = 0.75e6  # of a million parameters with four bits each, about
_BESIDE = 150_000_000  # bytes of a process beside the weights, about


@click.group(name="models", invoke_without_command=True)
@format_option("table", "json", meaning="How to print it.")
@click.pass_context
def command(context: click.Context, form: str) -> None:
    """List models: the local ones that are here or can be pulled, Ollama's, and those in your settings."""
    if context.invoked_subcommand is not None:
        return
    found = api.models()
    if form == "json":
        click.echo(as_json([_as_json(model) for model in found]))
    else:
        show_table(_HEADINGS, map(_row, found))


@command.command(name="bench")
@click.argument("names", metavar="[MODEL]...", nargs=-1, shell_complete=pulled)
def bench(names: tuple[str, ...]) -> None:
    """Measure local models on this machine, by default all that are here: takes up to some minutes for each.

    How long one takes to load, the tokens that it reads and writes in a second and the memory at its peak are shown,
    and kept for `runllm models`. Other work on the machine makes the figures smaller.
    """
    here = [model.name for model in api.models(served=False) if model.where in ("embedded", "pulled")]
    with steps() as step:
        for name in names or here:
            model = name if name.startswith("local/") else f"local/{name}"
            step.say(f"measuring {model}")
            found = api.bench(model)
            click.echo(
                safe(
                    f"{model}: loads in {found.load:.1f} s, reads {found.prompt_speed:,.0f} tokens/s, "
                    f"writes {found.speed:,.0f} tokens/s, {size(found.memory) if found.memory else 'unknown'} of memory"
                )
            )


@command.command(name="rm")
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=pulled)
def remove(names: tuple[str, ...]) -> None:
    """Delete pulled models, and what an interrupted pull of them left. Asks nothing."""
    for name in names:
        for gone in api.remove_model(name):
            click.echo(safe(f"removed local/{gone.name}: {gone.size:,} bytes, {gone.path}"))


@click.command(name="pull")
@click.argument("name", metavar="NAME", shell_complete=pullable)
@click.option("--file", metavar="FILE", help="Which file of a repository: its name, or a quantisation such as Q8_0.")
def pull(name: str, file: str | None) -> None:
    """Fetch the local model NAME and print what to write under `llm.model`.

    NAME is one of the catalogue, such as smollm2-135m, or hf:ORG/REPO:FILE for a GGUF file of the hub; without FILE,
    runllm takes the best balance of size and quality. The checksum is verified. An interrupted download goes on where
    it stopped.
    """
    bar = download_bar()
    try:
        found = api.pull(name, file=file, listener=bar.show if bar else lambda _: None)
    except KeyboardInterrupt:
        raise InterruptedRunError(
            f"pulling `{name}` was stopped", hint="Run the same command again to go on; what came so far is kept."
        ) from None
    finally:
        if bar:
            bar.clear()
    if bar:
        licence = f", licence {found.licence}" if found.licence else ""
        said = "" if found.fetched else "already here: "
        click.echo(safe(f"{said}{found.path} ({size(found.size)}{licence})"), err=True)
    click.echo(safe(f"local/{found.name}"))


def _as_json(model: Model) -> dict[str, Any]:
    return {
        "name": model.name,
        "where": model.where,
        "configured": model.configured,
        "size": model.size,
        "parameters": None if model.parameters is None else model.parameters * 1_000_000,
        "window": model.window,
        "licence": model.licence,
        "purpose": model.purpose or None,
        "measured": None if (found := api.measured(model)) is None else asdict(found),
        "path": None if model.path is None else str(model.path),
    }


def _row(model: Model) -> tuple[str, ...]:
    where = "configured" if model.where == "configured" else model.where + (", configured" if model.configured else "")
    found = api.measured(model)
    is_local = model.where in ("embedded", "pulled", "catalogue")
    about = model.size or round((model.parameters or 0) * _BYTES) if is_local else 0
    memory = found.memory if found and found.memory else 0
    guessed = f"~{size(about + _BESIDE)}" if about else ""
    return (
        model.name,
        where,
        size(model.size) if model.size is not None else f"~{size(about)}" if about else "",
        size(memory) if memory else guessed,
        f"{found.speed:,.0f}" if found else "",
        model.licence or "",
        model.purpose,
    )
