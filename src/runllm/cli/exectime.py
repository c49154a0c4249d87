"""`runllm exectime`: predict what a run will take."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from runllm import api
from runllm.cli.inputs import InputCommand, bare, given_input, input_options, model_option
from runllm.cli.offers import apps
from runllm.cli.output import coloured, format_option
from runllm.quantities import count, dollars, seconds, some
from runllm.rendering import Paint, as_json, safe

if TYPE_CHECKING:
    from runllm.predict import Forecast, Part

_BASIS = {
    "history": "earlier runs of this app with this model",
    "model": "the model's speed with other apps; the length of the answers is a guess",
    "limits": "no run was recorded: only the declared limits are known",
}


@click.command(name="exectime", cls=InputCommand)
@click.argument("file", metavar="FILE", shell_complete=apps)
@input_options
@model_option
@click.option("--whole-tree", is_flag=True, help="Apply --model also to the apps that FILE uses.")
@format_option("text", "json", meaning="How to print it.")
def command(
    file: str,
    arguments: tuple[str, ...],
    literal: tuple[tuple[str, str], ...],
    text: str | None,
    path: str | None,
    model: str | None,
    whole_tree: bool,
    form: str,
) -> None:
    """Predict the time and cost of running FILE, from the runs that were recorded. Calls no model.

    With an input, given as for `runllm run`, its tokens are counted; without one a usual input is assumed.
    Half of the runs stay below the first figure, nine in ten below the second.
    """
    app = api.load(file, model=model, whole_tree=whole_tree)
    is_given = text is not None or path is not None or arguments or literal or bare() is not None
    given = given_input(app, text, path, arguments, literal) if is_given else None
    found = app.forecast(given)
    if form == "json":
        click.echo(as_json(_as_json(found)))
    else:
        click.echo(report(app, found), color=True)


def _as_json(found: Forecast) -> dict[str, Any]:
    """The prediction's own fields, what it is at the most together."""
    said = asdict(found)
    bound = {name: said.pop(f"most_{name}") for name in ("latency", "cost", "calls")}
    for part in (said, *said["parts"]):
        part["basis"] = part["basis"].name.lower()
    ordered = ("latency", "cost", "calls", "bound", "basis", "parts", "notes")
    return {name: bound if name == "bound" else said[name] for name in ordered}


def report(app: api.App, found: Forecast) -> str:
    """A prediction for a person."""
    paint = Paint(colour=coloured(sys.stdout))
    lines = [f"{paint(safe(app.name), 'bold')} {safe(app.program.version)}"]
    if not found.parts:
        return "\n".join([*lines, "time   next to nothing", "cost   nothing", "calls  none: no model is called"])
    if found.latency is None:
        most = "" if found.most_latency is None else f"; at most {seconds(found.most_latency)} by the declared limits"
        lines.append(f"time   not known{most}")
    else:
        lines.append(f"time   {seconds(found.latency.p50)}, nine in ten under {seconds(found.latency.p90)}")
    if found.cost is None:
        lines.append("cost   not known: a model's price is missing")
    elif found.cost.p90 == 0:
        lines.append("cost   nothing")
    else:
        most = "" if found.most_cost is None else f"; at most {dollars(found.most_cost)}"
        lines.append(f"cost   {dollars(found.cost.p50)}, nine in ten under {dollars(found.cost.p90)}{most}")
    lines.append(
        f"calls  {found.calls.p50:.0f}, nine in ten under {found.calls.p90 + 1:.0f}; at most {count(found.most_calls)}"
    )
    lines.append(f"from   {_BASIS[found.basis.name.lower()]}")
    lines += [f"       {_part(part)}" for part in found.parts]
    lines += [f"note   {safe(note)}" for note in found.notes]
    return "\n".join(lines)


def _part(part: Part) -> str:
    times = f" x {part.times}" if part.times > 1 else ""
    prompt = "? tokens" if part.prompt_tokens is None else f"{part.prompt_tokens:,} tokens"
    answer = part.completion_tokens
    answered = "an answer of unknown length" if answer is None else f"{answer.p50:,.0f} to {answer.p90:,.0f} answered"
    return safe(f"{part.name}{times}: {part.model}, {some(part.runs, 'run')}, {prompt} in, {answered}")
