"""`runllm stats`: what the recorded runs say."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import click

from runllm import api
from runllm.cli import offers
from runllm.cli.output import coloured, format_option, output_option, print_path, write
from runllm.errors import UsageError
from runllm.rendering import Paint

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from runllm.stats.store import Store
    from runllm.stats.summary import Summary

_AGO = re.compile(r"([0-9]{1,6})([mhdw])")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_PIPED = (100, 24)  # columns and lines where there is no terminal
_BUCKETS = 30  # of the page: what a plot can show side by side
_LAST = 10  # runs that the page lists
_MOST_NAMES = 8


class _Stats(click.Group):
    """The figures, and the commands that tend the store: what is not the name of one is asked of the figures."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] not in self.commands:
            args = ["--help"] if {"-h", "--help"} & set(args) else ["show", *args]
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        options = [param for param in self.commands["show"].params if isinstance(param, click.Option)]
        rows = [row for param in (*options, *self.get_params(ctx)) if (row := param.get_help_record(ctx))]
        with formatter.section("Options"):
            formatter.write_dl(list(dict.fromkeys(rows)))
        self.format_commands(ctx, formatter)


def _moment(ctx: click.Context, param: click.Parameter, text: str | None) -> float | None:
    """Unix seconds of a time that is given as so long ago, or as a date."""
    del ctx
    if text is None:
        return None
    ago = _AGO.fullmatch(text)
    if ago:
        return time.time() - int(ago[1]) * _SECONDS[ago[2]]
    try:
        if _DATE.fullmatch(text):
            return datetime.fromisoformat(text).astimezone().timestamp()
    except (ValueError, OverflowError, OSError):
        pass  # no such day, or none that the system can count to: said below
    raise UsageError(
        f"`{param.opts[0]} {text}` is no time",
        hint="Give a time ago such as `30m`, `12h`, `7d` or `2w`, or a date such as `2026-11-01`.",
    )


def _files(ctx: click.Context, param: click.Parameter, current: str) -> list[CompletionItem]:
    """The apps; where no command of the group was typed, those as well."""
    group = ctx.parent.command.shell_complete(ctx.parent, current) if ctx.parent and ctx.info_name == "show" else []
    return [*group, *offers.apps(ctx, param, current)]


def _selecting(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which runs are meant, the same for every command that takes them."""
    for decorate in (
        click.option(
            "--since", metavar="TIME", callback=_moment,
            help="Only runs that began later: 30m, 12h, 7d or 2w ago, or a date such as 2026-11-01.",
        ),
        click.option("-m", "--model", metavar="MODEL", shell_complete=offers.models, help="Only runs on this model."),
        click.argument("file", metavar="[FILE]", required=False, shell_complete=_files),
    ):  # fmt: skip
        function = decorate(function)
    return function


@click.group(name="stats", cls=_Stats, subcommand_metavar="[FILE | COMMAND ...]")
def command() -> None:
    """Show what the recorded runs say: compliance, latency, tokens and cost, for each model.

    FILE is an app's file, its name or its digest; without one, all apps are shown. Failed runs count too.
    """


@command.command(name="show", hidden=True, add_help_option=False)
@_selecting
@format_option("table", "json", "csv", "html", meaning="How to show them; html is one page with plots, for a browser.")
@output_option
def show(file: str | None, model: str | None, since: float | None, form: str, target: str | None) -> None:
    """Show the figures."""
    app = _app(file)
    with api.stats_store() as store:
        summary = store.summary(app=app, model=model, since=since, **({"buckets": _BUCKETS} if form == "html" else {}))
        if form == "html":
            from runllm.report.page import as_page

            last = store.runs(app=app, model=model, since=since, limit=_LAST)
            text = as_page(summary, _title(file, model), time.time(), last).rstrip("\n")
        elif form == "table" and not summary.total.runs:
            text = _nothing(store, file, model, since)
        else:
            asked = {"app": app, "model": model, "since": since}
            text = _rendered(summary, _title(file, model), asked, form, plain=target is not None)
    write([text + "\n"], target, private=True)


@command.command(name="prune", short_help="Remove old runs, for good.")
@click.option(
    "--before",
    metavar="TIME",
    callback=_moment,
    help="Remove the runs that began earlier: 12h, 90d or 8w ago, or a date such as 2026-11-01.",
)
@click.option("--keep", type=click.IntRange(0), metavar="N", help="Remove all but the newest N.")
@click.option("--dry-run", is_flag=True, help="Only say how many would be removed.")
def prune(before: float | None, keep: int | None, dry_run: bool) -> None:
    """Remove old runs with their attempts and the runs they used, for good. Asks nothing."""
    if before is None and keep is None:
        raise UsageError(
            "`runllm stats prune` needs `--before` or `--keep`",
            hint="`--before 90d` removes what is older than 90 days, `--keep 1000` all but the newest 1,000 runs.",
        )
    keep = keep if keep is None else min(keep, sys.maxsize)  # what a database can count to
    with api.stats_store() as store:
        gone = _doomed(store, before, keep) if dry_run else store.prune(before=before, keep=keep)
    click.echo(f"{gone:,} run{'' if gone == 1 else 's'} {'would be removed' if dry_run else 'removed'}")


@command.command(name="export")
@_selecting
@format_option("jsonl", "csv", meaning="How to print them; csv leaves the attempts out.")
@output_option
def export(
    file: str | None, model: str | None, since: float | None, form: Literal["jsonl", "csv"], target: str | None
) -> None:
    """Print every recorded run, the oldest first, with its attempts."""
    with api.stats_store() as store:
        write(store.export(form, app=_app(file), model=model, since=since), target, private=True)


@command.command(name="path")
def path() -> None:
    """Print where the statistics are."""
    print_path(api.stats_store().path)


def _app(file: str | None) -> str | None:
    """An app as the store knows it: a file by its absolute path, anything else as it is."""
    if file is None:
        return None
    if file in command.commands:
        raise UsageError(
            f"`{file}` is a command of `runllm stats` and comes first",
            hint=f"Write `runllm stats {file} ...`; a file of this name is `./{file}`.",
        )
    is_file = file.endswith(".rllm") or os.path.isfile(file)  # noqa: PTH113 - `Path` raises for some names
    return os.path.abspath(file) if is_file else file  # noqa: PTH100 - as `Program.location` has it


def _title(file: str | None, model: str | None) -> str:
    return f"{file or 'all apps'}{f' on {model}' if model else ''}"


def _rendered(summary: Summary, title: str, asked: dict[str, str | float | None], form: str, *, plain: bool) -> str:
    if form != "table":
        from runllm.report.columns import as_csv, as_json

        return as_csv(summary) if form == "csv" else as_json(summary, asked)
    from runllm.report.table import Look, as_table, has_blocks

    colour = coloured(sys.stdout) and not plain
    blocks = plain or has_blocks(getattr(sys.stdout, "encoding", None))
    width = shutil.get_terminal_size(_PIPED).columns
    return as_table(summary, title, Look(paint=Paint(colour=colour), width=width, blocks=blocks))


def _nothing(store: Store, file: str | None, model: str | None, since: float | None) -> str:
    """What to say where there is no run: what there is instead."""
    from runllm.report.columns import shown

    known = store.summary()
    if not known.total.runs:
        return shown(f"Nothing is recorded yet. Every `runllm run` is, when it ends: {store.path}")
    which = [f" of `{file}`" if file else "", f" on `{model}`" if model else "", " in that time" if since else ""]
    lines = [f"No run{''.join(which)} is recorded."]
    for what, names in (("apps", known.apps), ("models", known.models)):
        more = f", and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        lines += [f"Recorded {what}: {', '.join(list(names)[:_MOST_NAMES])}{more}"] if names else []
    return "\n".join(map(shown, lines))


def _doomed(store: Store, before: float | None, keep: int | None) -> int:
    """How many runs `prune` would remove: what stays is the newest part, whichever bound is the closer one."""
    total = store.summary().total.runs
    stay = total if before is None else store.summary(since=before).total.runs
    return total - (stay if keep is None else min(stay, keep))
