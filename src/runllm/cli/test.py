"""`runllm test`: run the tests of apps."""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from runllm import api
from runllm.cli.helping import Grouped
from runllm.cli.offers import files
from runllm.cli.options import many_options, rate_options, warn_of_trust
from runllm.cli.output import check_target, coloured, write
from runllm.cli.steps import Steps, steps
from runllm.errors import InterruptedRunError, ReplayMissError, RunllmError, UsageError
from runllm.quantities import some
from runllm.rendering import Paint, safe

if TYPE_CHECKING:
    from runllm.evals import Group, Suite, Tried
    from runllm.report.tests import Found

FAILED = 1
"""The exit status where a test failed."""
BROKEN = 3
"""That where a file or its tests are wrong, as of `runllm validate`."""


@click.command(name="test", cls=Grouped)
@click.argument("paths", metavar="[PATH]...", nargs=-1, shell_complete=files)
@click.option(
    "-m", "--model", "models", metavar="MODEL", multiple=True, help="Run each case with this model; may be repeated."
)
@click.option("--repeat", type=click.IntRange(1, 1000), default=1, metavar="N", help="Run each case N times.")
@click.option("-k", "name", default="", metavar="TEXT", help="Only cases whose name contains TEXT.")
@click.option("--tag", "tags", metavar="TAG", multiple=True, help="Only cases with this tag; may be repeated.")
@click.option("--record", is_flag=True, help="Keep what models answer in NAME.cassette.yaml.")
@click.option("--replay", is_flag=True, help="Take answers from cassettes, and call no model.")
@click.option("--live", is_flag=True, help="Call models, even in CI.")
@click.option("--prune", is_flag=True, help="Remove from cassettes what no test uses.")
@rate_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "html"]),
    help="How to print.  [default: as PATH ends, else table]",
)
@click.option("-o", "--output", "target", metavar="PATH", shell_complete=files, help="Write to this file.")
@click.option("--junit", metavar="PATH", shell_complete=files, help="Write JUnit XML to this file as well.")
@click.option("--stats", is_flag=True, default=False, help="Record the runs in the statistics.")
@many_options
def command(
    paths: tuple[str, ...],
    record: bool,
    replay: bool,
    live: bool,
    form: str | None,
    target: str | None,
    junit: str | None,
    stats: bool,
    **given: Any,
) -> int:
    """Run the tests of the `.rllm` files that are named, or that are below a folder (by default this one).

    Exits with 1 if a test fails, with 3 if a file or its tests are wrong. In CI (if the variable CI is set),
    recorded answers are replayed.
    """
    from runllm.evals import Suite, Wanted

    modes = [mode for mode, chosen in (("record", record), ("replay", replay), ("live", live)) if chosen]
    if len(modes) > 1:
        raise UsageError("`--record`, `--replay` and `--live` exclude each other", hint="Keep one of them.")
    if junit and os.path.realpath(target or "-") == os.path.realpath(junit):
        raise UsageError("the report and `--junit` are written to the same place", hint="Name two files.")
    for path in filter(None, (target, junit)):
        check_target(path, *paths, is_report=True)
    form = form or {".json": "json", ".html": "html"}.get(os.path.splitext(target or "")[1], "table")  # noqa: PTH122
    own = {name: given.pop(name) for name in ("models", "repeat", "name", "tags", "prune", "rpm", "tpm")}
    wanted = Wanted(paths=paths or (".",), mode=modes[0] if modes else "auto", **own)
    for path in paths:
        warn_of_trust(path, given)
    pulls = {name: given.pop(name) for name in ("auto_pull", "ollama_auto_pull")}
    with (
        steps("looking for tests") as step,
        Suite(wanted, {**given, "stats": stats}, make=partial(api.new_runtime, doing=step.doing, **pulls)) as suite,
    ):
        found, error = _run(suite, step)
    for note in (*suite.notes, *suite.of_cache()):
        click.echo(f"note: {safe(note)}", err=True)
    from runllm.report import tests

    if form == "html":
        from runllm.report.tested import as_page

        shown = as_page(found, time.time())
    elif form == "json":
        shown = tests.as_text_of_json(found)
    else:
        shown = tests.as_text(found, Paint(colour=target is None and coloured(sys.stdout)))
    write([shown, "\n"], target)
    if junit:
        from runllm.report.junit import as_junit

        write([as_junit(found)], junit)
    error = error or _missed(found)
    if error is not None:
        raise error
    ended = tests.totals(found)
    return BROKEN if ended.broken else FAILED if ended.failed else 0


def _run(suite: Suite, step: Steps) -> tuple[list[tuple[Group, list[Tried]]], RunllmError | None]:
    """Run all; what came until something ended it, such as a bound on all or Ctrl-C, and what that was."""
    groups = suite.groups()
    found: list[tuple[Group, list[Tried]]] = [(group, []) for group in groups]
    error: RunllmError | None = None
    begun: list[Group] = []
    try:
        for group, tried in found:
            begun.append(group)
            step.say(group.path)
            if group.mode == "replay" and suite.wanted.mode == "auto":
                click.echo(f"note: {safe(group.path)} is replayed from {safe(str(group.cassette))}", err=True)
            _ran(suite, group, tried, step)
    except KeyboardInterrupt:
        kept = [str(group.cassette) for group in begun if group.mode == "record" and group.cassette.exists()]
        told = f"What was answered until then is kept in {', '.join(kept)}." if kept else None
        error, why = InterruptedRunError("the tests were stopped", hint=told), "by you"
    except RunllmError as stopped:
        error, why = stopped, f"{stopped.code} {stopped.message}"
    else:
        return found, None
    for group, tried in found:
        tried.extend(suite.unrun(group, len(tried), why) if group.ok else ())
    return found, error


def _ran(suite: Suite, group: Group, tried: list[Tried], step: Steps) -> None:
    """Run the cases of a file that is right, and add what comes to `tried`."""
    failed = 0
    for one in suite.run(group) if group.ok else ():
        tried.append(one)
        failed += not one.passed
        bad = f", {failed} failed" if failed else ""
        step.say(f"{group.path}: {some(len(tried), 'run')} ended{bad}")


def _missed(found: Found) -> ReplayMissError | None:
    """The error for runs that asked what their cassette does not hold."""
    errors = [one.result.error for _, tried in found for one in tried if one.result is not None and one.misses]
    missed = [error for error in errors if isinstance(error, ReplayMissError)]
    if not missed:
        return None
    return ReplayMissError(
        f"{some(len(missed), 'run')} asked a model what the cassette does not hold", details=missed[0].details
    )
