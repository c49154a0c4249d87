"""`runllm new --from`: what it says before and after a model writes an app."""

from __future__ import annotations

import re
from pathlib import Path

import click

from runllm import files
from runllm.cli.asking import can_ask
from runllm.cli.steps import steps
from runllm.errors import InterruptedRunError, RetryExhaustedError
from runllm.making import writing
from runllm.making.gallery import MODEL
from runllm.quantities import dollars
from runllm.rendering import safe


def write(path: Path, wish: str, *, asked: str | None, model: str | None, max_cost: float | None, yes: bool) -> str:
    """The text of the app that a model writes, once the price was told.

    Args:
        path: where it is to be; what is not right is kept beside it, as `.draft`.
        wish: what it is for.
        asked: the model that writes; None for that of the settings.
        model: what the app calls; None for the same.
        max_cost: US dollars that may be spent.
        yes: whether nothing is asked.

    Raises:
        RunllmError: nothing came that is right.
    """
    kept = f"{path}.draft"
    files.refuse_existing([kept])
    app = writing.writer(asked, max_cost=max_cost)
    click.echo(_price(writing.price(app, wish)), err=True)
    if can_ask() and not yes and not click.confirm("Ask it?", default=True, err=True):
        raise InterruptedRunError("it was not asked, and nothing is written", hint="`--yes` asks it at once.")
    named = model or app.options.model or ""
    with steps() as step:
        draft = writing.written(app, wish, kept, path.stem, model=named, listener=step.listener)
    if draft.text and not draft.problems:
        return draft.text
    hint = "Say in other words what it is for, or name another model with `--write-with`."
    if draft.text:
        files.create({kept: draft.text})
        hint = f"`{kept}` holds the last one: correct it and call it `{path}`. Or say in other words what it is for."
    if draft.error is not None:
        said = _by_another(draft.error.recovery_hint)
        draft.error.recovery_hint = f"{said} {hint}" if draft.text else said
        raise draft.error
    said = f"no app came in {writing.ATTEMPTS} attempts that `runllm validate` has nothing to say of"
    raise RetryExhaustedError(said, problems=draft.problems, hint=hint)


def _price(found: writing.Preview) -> str:
    """What an attempt takes, before it is made."""
    request, room = found.request, found.tokens
    assert request is not None  # noqa: S101 - the app asks a model itself
    assert room is not None  # noqa: S101 - as above
    cost = "its price is not known" if found.cost is None else f"costs at most {dollars(sum(found.cost))}"
    each = f"Each sends about {room.prompt:,} tokens, gets at most {room.answer:,}, and {cost}."
    named = request.endpoint.model
    return safe(f"{named} is asked to write it, in at most {writing.ATTEMPTS} attempts. {each}")


def _by_another(hint: str) -> str:
    """A hint that names no embedded model, which can run apps and cannot write one."""
    small = rf"choose a local model with `--model {MODEL}`|`{MODEL}` runs without a key or a server"
    return re.sub(small, "name another model with `--write-with`", hint)
