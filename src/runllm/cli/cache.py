"""`runllm cache`: what of models' answers is kept for the next time, and forget it."""

from __future__ import annotations

import time

import click

from runllm import api
from runllm.cli.output import format_option, show_table
from runllm.quantities import count, seconds, size, some
from runllm.rendering import as_json, safe


@click.group(name="cache")
def command() -> None:
    """Show or clear the answers that `--cache` keeps."""


@command.command(name="info")
@format_option("text", "json", meaning="How to print it.")
def info(form: str) -> None:
    """Show its file, how many answers it holds, their size, and the age of the oldest."""
    found = api.cached_answers().held()
    if form == "json":
        click.echo(
            as_json({"path": str(found.path), "answers": found.answers, "bytes": found.size, "oldest": found.oldest})
        )
        return
    age = "-" if found.oldest is None else f"{seconds(max(0.0, time.time() - found.oldest))} ago"
    rows = [("file", str(found.path)), ("answers", count(found.answers)), ("size", size(found.size)), ("oldest", age)]
    show_table((), rows, ("bold", ""), folded=False)


@command.command(name="clear")
@format_option("text", "json", meaning="How to print it.")
def clear(form: str) -> None:
    """Remove all answers. Asks nothing."""
    answers = api.cached_answers()
    gone = answers.clear()
    if form == "json":
        click.echo(as_json({"path": str(answers.path), "removed": gone}))
    else:
        what = "a damaged file" if gone is None else some(gone, "answer")
        click.echo(safe(f"removed {what}: {answers.path}"))
