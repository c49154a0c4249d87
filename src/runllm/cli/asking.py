"""The questions of `runllm new` on a terminal: each with an example, and asked until its answer can be used."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from typing import TypeVar

import click

from runllm.errors import UsageError
from runllm.making.answers import EXAMPLES, INPUT, MOST, OUTPUT, PURPOSE, Answers, Property, property_of, purpose_of
from runllm.rendering import one_line

T = TypeVar("T")


def can_ask() -> bool:
    """Whether somebody is there to be asked: never in a pipe."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def asked(purpose: str | None, inputs: tuple[Property, ...], outputs: tuple[Property, ...]) -> Answers:
    """Ask for what is not given yet.

    Raises:
        click.Abort: by Ctrl-C, or the end of the input.
    """
    click.echo("Enter takes what stands in brackets. Ctrl-C ends without writing anything.", err=True)
    purpose = purpose or _ask("\nWhat is the app for? One sentence", purpose_of, default=PURPOSE)
    if not (inputs and outputs):
        click.echo("\nInputs and outputs are a name, a type, and after a comma what it is. For example:", err=True)
        for example in EXAMPLES:
            click.echo(f"  {example}", err=True)
    return Answers(
        purpose=purpose,
        inputs=inputs or _list("input", "goes in", INPUT),
        outputs=outputs or _list("output", "comes out", OUTPUT),
    )


def told(error: UsageError) -> str:
    """What is wrong with an answer, and what to write, in one line."""
    return one_line(f"{error.message}. {error.recovery_hint}")


def _list(kind: str, happens: str, default: str) -> tuple[Property, ...]:
    """Inputs or outputs, as many as are given; the first has a default."""
    click.echo(f"\nWhat {happens}?", err=True)
    found: list[Property] = []
    while len(found) < MOST:
        names = [one.name for one in found]
        if not found:
            found.append(_ask(f"  {kind} 1", property_of, default=default))
            continue
        more = _ask(f"  {kind} {len(found) + 1} (Enter if that is all)", _or_none(names), default="")
        if more is None:
            break
        found.append(more)
    return tuple(found)


def _or_none(taken: Collection[str]) -> Callable[[str], Property | None]:
    return lambda line: property_of(line, taken) if line.strip() else None


def _ask(question: str, read: Callable[[str], T], *, default: str) -> T:
    """The answer to a question; what cannot be used is told, and asked again."""

    def value(text: str) -> T:
        try:
            return read(text)
        except UsageError as error:
            raise click.UsageError(told(error)) from None

    return click.prompt(question, default=default, show_default=bool(default), value_proc=value, err=True)
