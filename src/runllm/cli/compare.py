"""`runllm compare`: run two files, revisions or models on the same cases."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from functools import partial
from typing import Any

import click

from runllm import api
from runllm.cli.helping import Grouped
from runllm.cli.offers import files
from runllm.cli.options import many_options, map_option, warn_of_trust
from runllm.cli.output import check_target, coloured, format_option, output_option, write
from runllm.cli.steps import steps
from runllm.errors import UsageError
from runllm.rendering import Paint, safe


@click.command(name="compare", cls=Grouped)
@click.argument("paths", metavar="FILE [FILE]", nargs=-1, required=True, shell_complete=files)
@click.option("-m", "--model", "models", metavar="MODEL", multiple=True, help="A model; with one FILE, give two.")
@click.option("--rows", metavar="TABLE", shell_complete=files, help="Compare by the rows of TABLE instead of tests.")
@map_option
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Run only the first N rows.")
@click.option("--repeat", type=click.IntRange(1, 1000), default=1, metavar="N", help="Run each case N times.")
@click.option("-k", "name", default="", metavar="TEXT", help="Only cases whose name contains TEXT.")
@click.option("--tag", "tags", metavar="TAG", multiple=True, help="Only cases with this tag; may be repeated.")
@format_option("text", "json", meaning="How to print what is found.")
@output_option
@many_options
def command(
    paths: tuple[str, ...],
    rows: str | None,
    limit: int | None,
    maps: dict[str, str],
    form: str,
    target: str | None,
    **given: Any,
) -> None:
    """Compare two FILEs, a file at a revision (`app.rllm@HEAD~1`) and as it is, or one FILE with two models.

    Both run on the tests of the second, or on the rows of a table. It shows what differs, and whether that
    may be chance alone.
    """
    from runllm.evals import Suite, Wanted
    from runllm.evals.compare import compare, labels_of
    from runllm.evals.revision import as_it_is, at_revision
    from runllm.report import comparison

    check_target(target, *paths, is_report=True)
    own = {name: given.pop(name) for name in ("models", "repeat", "name", "tags")}
    if len(paths) == 1 and len(own["models"]) < 2 and (now := as_it_is(paths[0])):  # noqa: PLR2004 - two are a pair
        paths = (paths[0], now)
    if rows is not None and (own["name"] or own["tags"]):
        raise UsageError("-k and --tag choose tests, and `--rows` names a table")
    if rows is None and (maps or limit is not None):
        raise UsageError(f"`{'--map' if maps else '--limit'}` is of the rows of a table: name it with `--rows`")
    labels = labels_of(paths, own["models"])
    for path in paths:
        warn_of_trust(path, given)
    pulls = {name: given.pop(name) for name in ("auto_pull", "ollama_auto_pull")}
    with ExitStack() as closing:
        there = [closing.enter_context(at_revision(path)) for path in paths]
        wanted = Wanted(paths=tuple(there), mode="live", **own)
        step = closing.enter_context(steps("running both sides"))
        make = partial(api.new_runtime, doing=step.doing, **pulls)
        suite = closing.enter_context(Suite(wanted, given, make=make))
        found = compare(suite, there, labels, rows, limit=limit, maps=maps)
    for note in (*suite.notes, *suite.of_cache()):
        click.echo(f"note: {safe(note)}", err=True)
    paint = Paint(colour=target is None and coloured(sys.stdout))
    write([comparison.as_text(found, paint) if form == "text" else comparison.as_text_of_json(found), "\n"], target)
