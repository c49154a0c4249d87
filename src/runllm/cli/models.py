"""`runllm models`: list the models that can be named, and remove pulled ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from runllm import api
from runllm.cli.offers import pulled
from runllm.cli.output import format_option, show_table
from runllm.quantities import size
from runllm.rendering import as_json, safe

if TYPE_CHECKING:
    from runllm.models.folder import Model

_HEADINGS = ("MODEL", "WHERE", "SIZE", "PARAMETERS", "WINDOW", "LICENCE")
_BILLION = 1000


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


@command.command(name="rm")
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=pulled)
def remove(names: tuple[str, ...]) -> None:
    """Delete pulled models, and what an interrupted pull of them left. Asks nothing."""
    for name in names:
        for gone in api.remove_model(name):
            click.echo(safe(f"removed local/{gone.name}: {gone.size:,} bytes, {gone.path}"))


def _as_json(model: Model) -> dict[str, Any]:
    return {
        "name": model.name,
        "where": model.where,
        "configured": model.configured,
        "size": model.size,
        "parameters": None if model.parameters is None else model.parameters * 1_000_000,
        "window": model.window,
        "licence": model.licence,
        "path": None if model.path is None else str(model.path),
    }


def _row(model: Model) -> tuple[str, ...]:
    where = "configured" if model.where == "configured" else model.where + (", configured" if model.configured else "")
    return (
        model.name,
        where,
        "" if model.size is None else size(model.size),
        "" if model.parameters is None else _parameters(model.parameters),
        "" if model.window is None else f"{model.window:,}",
        model.licence or "",
    )


def _parameters(millions: int) -> str:
    return f"{millions / _BILLION:.1f} B" if millions >= _BILLION else f"{millions} M"
