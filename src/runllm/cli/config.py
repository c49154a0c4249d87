"""`runllm config`: show the settings and where each came from; change them."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from runllm import settings
from runllm.cli.offers import keys
from runllm.cli.output import coloured, format_option, print_path, show_table
from runllm.notices import tell
from runllm.redaction import redact
from runllm.rendering import Paint, as_json, problems_report, safe

if TYPE_CHECKING:
    from runllm.settings.writing import FileKind

_project = click.option(
    "--project", "kind", flag_value="project", help="The project's runllm.toml instead of your own file."
)


@click.group(name="config", invoke_without_command=True)
@format_option("text", "json", meaning="How to print the settings.")
@click.pass_context
def command(ctx: click.Context, form: str) -> None:
    """Show each setting, its value, and where it came from.

    The strongest source first: a flag, the environment (RUNLLM_*), the project's runllm.toml, your own config.toml,
    the default.
    """
    if ctx.invoked_subcommand is not None:
        return
    found = settings.load()
    warnings = [*found.warnings, *found.replaced(), *settings.unknown_variables(os.environ)]
    if warnings:
        click.echo(problems_report(warnings, Paint(colour=coloured(sys.stderr))), err=True, color=True)
    if form == "json":
        click.echo(_as_json(found))
        return
    rows = [(entry.key, _shown(entry.value), entry.origin.place or entry.origin.kind) for entry in found.entries()]
    show_table((), rows, ("bold", "", "dim"), folded=False)


@command.command(name="get")
@click.argument("key", metavar="KEY", shell_complete=keys)
def get(key: str) -> None:
    """Print only the value of KEY: text unchanged, tables and lists as JSON, nothing if it is not set."""
    found = settings.load()
    tell(found.warnings)
    value = _plain(found.value(key))
    if value is not None:
        click.echo(safe(value if isinstance(value, str) else json.dumps(redact(value), ensure_ascii=False)))


@command.command(name="set")
@click.argument("key", metavar="KEY", shell_complete=keys)
@click.argument("value", metavar="VALUE")
@_project
def set_(key: str, value: str, kind: FileKind | None) -> None:
    """Set KEY to VALUE in your own file; comments in it stay.

    KEY is a setting, `aliases.NAME`, or `models.MODEL.KEY`. A list is separated by commas.
    """
    from runllm.settings import writing

    _confirm(f"{key} is set", writing.write(key, value, kind or "user"))


@command.command(name="unset")
@click.argument("key", metavar="KEY", shell_complete=keys)
@_project
def unset(key: str, kind: FileKind | None) -> None:
    """Remove KEY from your own file."""
    from runllm.settings import writing

    _confirm(f"{key} is taken out", writing.remove(key, kind or "user"))


@command.command(name="path")
@_project
def path(kind: FileKind | None) -> None:
    """Print which file `runllm config set` would change."""
    from runllm.settings import writing

    print_path(writing.file_of(kind or "user"))


def _confirm(said: str, file: Path) -> None:
    click.echo(safe(f"{said} in {file}"), err=True)


def _plain(value: Any) -> Any:
    """A value as JSON; what is not set in a table is left out."""
    if isinstance(value, Path):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {name: inner for name, inner in asdict(value).items() if inner is not None}
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in cast("dict[str, Any]", value).items()}
    return value


def _as_json(found: settings.Configuration) -> str:
    entries = [
        {"key": entry.key, "value": _plain(entry.value), "origin": entry.origin.kind, "place": entry.origin.place}
        for entry in found.entries()
    ]
    files = {"user": _plain(found.user_file), "project": _plain(found.project_file)}
    warnings = [str(problem) for problem in (*found.warnings, *found.replaced())]
    return as_json({"settings": entries, "files": files, "warnings": warnings})


def _shown(value: Any) -> str:
    plain = _plain(value)
    if plain is None:
        return "(not set)"
    return plain if isinstance(plain, str) else json.dumps(redact(plain), ensure_ascii=False)
