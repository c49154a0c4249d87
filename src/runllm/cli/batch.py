"""`runllm batch`: run a file on every row of a table."""

from __future__ import annotations

import csv
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from runllm import api
from runllm.cli.helping import Grouped
from runllm.cli.offers import apps, files
from runllm.cli.options import map_option, rate_options, run_options, warn_of_cache, warn_of_trust
from runllm.cli.output import write
from runllm.cli.process import stopping
from runllm.cli.steps import Steps
from runllm.cli.watching import watching
from runllm.errors import RunllmError, UsageError
from runllm.quantities import count, dollars, percent, seconds, some
from runllm.rendering import as_json, one_line, safe

if TYPE_CHECKING:
    from runllm.batch import Batch, Checked, Summary, Wanted

SOME_FAILED = 11
"""The exit status of a batch of which some rows failed."""
_SHOWN = 10  # rows that do not fit


class _Failures(click.ParamType[float]):
    """How many rows may fail: a number, or a share of them."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value).strip()
        try:
            found = float(text.removesuffix("%")) / 100 if text.endswith("%") else int(text)
        except ValueError:
            found = -1.0
        if found < 0 or (text.endswith("%") and found >= 1):
            self.fail(f"{value!r} is no number of rows such as 20, and no share of them such as 5%", param, ctx)
        return found


def _columns(_ctx: click.Context, _param: click.Parameter, value: str | None) -> list[str] | None:
    if value is None or value == "all":
        return None
    return [] if value == "none" else [name.strip() for name in next(csv.reader([value], skipinitialspace=True))]


@click.command(name="batch", cls=Grouped)
@click.argument("file", metavar="FILE", shell_complete=apps)
@click.argument("paths", metavar="[ROWS]...", nargs=-1, shell_complete=files)
@click.option(
    "-o",
    "--output",
    "target",
    metavar="PATH",
    shell_complete=files,
    help="Write to this file, or to an address: s3://...",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "csv", "tsv", "parquet"]),
    help="How to write it.  [default: as the ending of PATH says, else jsonl]",
)
@click.option(
    "--input-format",
    "reading_form",
    type=click.Choice(["csv", "tsv", "jsonl", "json", "parquet", "xlsx", "text"]),
    help="How to read ROWS.  [default: as their ending says]",
)
@click.option("--encoding", metavar="NAME", help="Encoding of ROWS, such as cp1252.  [default: UTF-8]")
@click.option("--delimiter", metavar="CHAR", help="What separates the cells of a CSV.  [default: detected]")
@click.option("--sheet", metavar="NAME", help="Sheet of a workbook.  [default: the first]")
@map_option
@click.option(
    "--keep", metavar="COLUMNS", callback=_columns, help="Columns of ROWS to keep in the output: a,b or none.  [all]"
)
@click.option("--key", metavar="COLUMN", help="The column for `_key` of a failed row.  [default: its line]")
@click.option("--prefix", default="", metavar="TEXT", help="A prefix for the name of each output.")
@click.option("--flatten", is_flag=True, help="Make each field of an object in the output a column.")
@click.option("--raw-cells", is_flag=True, help="Leave cells unchanged that a spreadsheet takes for formulas.")
@click.option("--unordered", "ordered", flag_value=False, default=True, help="Print rows as they end.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Run only the first N rows.")
@click.option("--max-failures", type=_Failures(), metavar="N|N%", help="Stop when more rows have failed.")
@rate_options
@click.option(
    "--slots",
    type=click.IntRange(1, 256),
    default=4,
    metavar="N",
    help="Answers that a local model writes at a time, as memory allows.  [default: 4]",
)
@click.option("--resume", is_flag=True, help="Go on where an earlier batch stopped: the default.")
@click.option("--retry-failed", is_flag=True, help="Run rows that failed earlier once more.")
@click.option("--overwrite", is_flag=True, help="Begin anew, and replace what is there.")
@click.option("--report", metavar="PATH", shell_complete=files, help="Write a page about the batch to this file.")
@click.option(
    "--shards-on", type=click.Choice(["daft"]), help="Run the rows in shards, in several processes or machines."
)
@click.option("--ray", metavar="ADDRESS", help="Address of the Ray cluster that runs the shards.")
@click.option("--dry-run", is_flag=True, help="Check all rows, and say what they will take. Calls no model.")
@run_options
def command(file: str, dry_run: bool, report: str | None, **given: Any) -> int:
    """Run FILE on every row of ROWS: a table (CSV, TSV, JSON Lines, JSON, Parquet, XLSX), text files, or a pipe.

    All rows are checked before the first call. After any stop, the same command goes on where it was.
    """
    del given["resume"]  # it does
    wanted = _wanted(given, dry_run)
    warn_of_trust(file, given)
    shards_on, ray = given.pop("shards_on"), given.pop("ray")
    if ray is not None and shards_on is None:
        raise UsageError("`--ray` says where the shards of `--shards-on daft` run")
    usual = {name: given.pop(name) for name in ("auto_pull", "ollama_auto_pull", "slots")}
    step = Steps()
    app = api.load(file, runtime=api.new_runtime(doing=step.doing, **usual), **given)
    with _batch(app, wanted) if shards_on is None else _sharded(app, wanted, ray, usual) as batch:
        if report not in (None, "-"):
            batch.keep_apart(report)
        checked = batch.check()
        _tell(batch, checked)
        if dry_run:
            write([_foreseen(batch, checked), "\n"], None)
            return SOME_FAILED if checked.unfit else 0
        error: RunllmError | None = None
        began = time.monotonic()
        try:
            with stopping(batch.stop), watching(batch.counts, step):
                batch.run(checked, sys.stdout)
        except RunllmError as stopped:
            error = stopped
        summary = batch.summary(time.monotonic() - began)
        for line in said(summary):
            click.echo(line, err=True)
        warn_of_cache(app.runtime)
        if report is not None:
            from runllm.report.batch import as_page

            write([as_page(summary, app.name, time.time())], report)
        if error is not None:
            raise error
        return SOME_FAILED if summary.failed else 0


def _foreseen(batch: Batch, checked: Checked) -> str:
    """What a batch will take: for a person on a terminal, as JSON for a program."""
    found = batch.forecast(checked)
    feeds = batch.feeding.columns
    if not sys.stdout.isatty():
        misfits = [{"line": one.line, "message": one.message} for one in checked.misfits]
        return as_json({**asdict(found), "feeds": feeds, "misfits": misfits})
    rows = count(found.rows) + (f", and {count(found.unfit)} that will not be run" if found.unfit else "")
    lines = [f"rows    {rows}", *(f"feeds   {name} from the column {column}" for name, column in feeds.items())]
    lines.append(f"tokens  {'not known' if found.tokens is None else f'about {count(found.tokens)} in the prompts'}")
    for name, likely, shown in (("time", found.seconds, seconds), ("cost", found.cost, dollars)):
        figures = "not known" if likely is None else f"{shown(likely.p50)}, nine in ten under {shown(likely.p90)}"
        lines.append(f"{name}    {'nothing' if likely is not None and not likely.p90 else figures}")
    return "\n".join(map(safe, [*lines, *(f"note    {note}" for note in found.notes)]))


def said(summary: Summary) -> list[str]:
    """What a batch came to, in lines."""
    left = summary.rows - summary.ended
    ended = f"{some(summary.ended - summary.failed, 'row')} done, {count(summary.failed)} failed"
    ended += f", {count(left)} not run" if left else ""
    lines = [ended + (f", {count(summary.cached)} from the cache" if summary.cached else "")]
    for kind in summary.kinds:
        example = one_line(safe(kind.example))
        lines.append(f"  {kind.code} x {count(kind.rows)}, such as line {kind.line:,}: {example}")
    if summary.latency is not None:
        half, most = map(seconds, summary.latency)
        first = f"{percent(100 * summary.first)} by the first answer, " if summary.first is not None else ""
        spent = f"{count(summary.tokens)} tokens, {dollars(summary.cost)}, {seconds(summary.elapsed)}"
        lines.append(f"{first}{spent}; a row {half}, nine in ten under {most}")
    return lines


def _batch(app: api.App, wanted: Wanted) -> Batch:
    from runllm.batch import Batch

    return Batch(app, wanted)


def _sharded(app: api.App, wanted: Wanted, ray: str | None, runtime: dict[str, Any]) -> Batch:
    from runllm.batch.sharded import Sharded

    return Sharded(app, wanted, ray, runtime, lambda said: click.echo(f"warning: {one_line(safe(said))}", err=True))


def _wanted(given: dict[str, Any], dry_run: bool) -> Wanted:
    """What of a command line is the batch's; it is taken out of what is the runs'."""
    from dataclasses import fields

    from runllm.batch import Reading, Wanted

    reading = Reading(
        **{"form": given.pop("reading_form"), **{n: given.pop(n) for n in ("encoding", "delimiter", "sheet")}}
    )
    own = {one.name: given.pop(one.name) for one in fields(Wanted) if one.name in given}
    if own["target"] == "-":
        own["target"] = None
    return Wanted(**own, reading=reading, dry=dry_run)


def _tell(batch: Batch, checked: Checked) -> None:
    """Say which rows do not fit."""
    for misfit in checked.misfits[:_SHOWN]:
        place, said = batch.source.place(misfit.line), one_line(misfit.message)
        click.echo(f"warning: {safe(place)}: {safe(said)}", err=True)
    if checked.unfit > _SHOWN:
        click.echo(f"warning: ... and {checked.unfit - _SHOWN:,} more rows that do not fit", err=True)
    if checked.unfit:
        click.echo(f"warning: {checked.unfit:,} of {checked.rows:,} rows do not fit and will not be run", err=True)
