"""`runllm run`: run a file on an input and print its output."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from runllm import api
from runllm.cli.failing import in_full
from runllm.cli.inputs import InputCommand, given_input, input_options, warn
from runllm.cli.offers import apps
from runllm.cli.options import run_options, warn_of_trust
from runllm.cli.output import check_target, coloured, format_option, output_option, write
from runllm.cli.steps import steps
from runllm.rendering import Paint, as_json, event_line, output_text, safe
from runllm.results import Event

if TYPE_CHECKING:
    from runllm import Preview


class _RunCommand(InputCommand):
    """A command whose help lists the inputs of the file that is named with it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta["runllm.file"] = self.make_parser(ctx).parse_args(list(args))[0].get("file")
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        named = ctx.meta.get("runllm.file")
        if isinstance(named, str) and os.path.isfile(named):  # noqa: PTH113 - `Path` raises for some names
            _format_inputs(named, formatter)
        super().format_options(ctx, formatter)


def _format_inputs(path: str, formatter: click.HelpFormatter) -> None:
    program = api.validate(path).program
    if program is None:
        formatter.write_paragraph()
        formatter.write_text(safe(f"{path} has problems; `runllm validate {path}` shows them."))
        return
    rows: list[tuple[str, str]] = []
    for found in api.fields(program.input):
        needed = "required" if found["required"] else f"default: {json.dumps(found['default'], ensure_ascii=False)}"
        if not found["required"] and found["default"] is None:
            needed = "optional"
        described = f"{found['description']} " if found["description"] else ""
        rows.append((safe(f"{found['name']}=<{found['type']}>"), safe(f"{described}[{needed}]")))
    with formatter.section(safe(f"Inputs of {program.name} {program.version}")):
        formatter.write_text(safe(program.description))
        formatter.write_dl(rows or [("(none)", "the app takes no input")])
        if rows:
            formatter.write_paragraph()
            formatter.write_text("--arg NAME VALUE gives VALUE as it is; NAME=@FILE gives the text of a file.")


@click.command(name="run", cls=_RunCommand)
@click.argument("file", metavar="FILE", shell_complete=apps)
@input_options
@format_option("json", "yaml", "text", meaning="How to print the output.")
@output_option
@run_options
@click.option("-v", "--verbose", is_flag=True, help="Trace each step on stderr; show in full what an error is about.")
@click.option("--dry-run", is_flag=True, help="Print what would be sent, its tokens and price. Calls no model.")
def command(
    file: str,
    arguments: tuple[str, ...],
    literal: tuple[tuple[str, str], ...],
    text: str | None,
    path: str | None,
    form: str,
    target: str | None,
    auto_pull: bool | None,
    ollama_auto_pull: bool | None,
    verbose: bool,
    dry_run: bool,
    **options: Any,
) -> None:
    """Run FILE on an input and print its output.

    The input is given by --arg, KEY=VALUE arguments, --input, --input-file or a pipe. The text of --arg and
    KEY=VALUE is read as the type that FILE declares; a text after `--` is FILE's text input.
    `runllm run FILE --help` lists what FILE takes.
    """
    if verbose:
        in_full()
    warn_of_trust(file, options)
    check_target(target, file)
    with steps("checking the file", _trace if verbose else None) as step:
        runtime = api.new_runtime(
            auto_pull=auto_pull,
            ollama_auto_pull=ollama_auto_pull,
            progress=step.pulls if step.is_seen else None,
            doing=step.doing,
        )
        app = api.load(file, runtime=runtime, **options)
        step.say("reading the input")
        given = given_input(app, text, path, arguments, literal, step.hear if verbose else warn)
        if dry_run:
            _show_preview(app.preview(given), target)
            return
        result = app.run(given, listener=step.listener)
    if not verbose:
        for warning in result.warnings:
            click.echo(f"warning: {safe(warning)}", err=True)
    write([output_text(result.output, form), "\n"], target, foreign=True)


def _trace(event: Event) -> None:
    click.echo(event_line(event, Paint(colour=coloured(sys.stderr))), err=True, color=True)


def _show_preview(found: Preview, target: str | None) -> None:
    write([as_json(_preview(found)), "\n"], target)
    if (error := found.refusal()) is not None:
        raise error


def _preview(found: Preview, way: str = "", shown_at: dict[int, str] | None = None) -> dict[str, Any]:
    """A preview as JSON; a run that is the same as one before it names that one."""
    shown_at = {} if shown_at is None else shown_at
    if found.children and id(found) in shown_at:
        return {"same_as": shown_at[id(found)]}
    shown_at[id(found)] = way
    shown: dict[str, Any] = {}
    if found.request is not None and found.tokens is not None:
        room = found.tokens
        shown = {
            "model": found.request.endpoint.model,
            **({"api_base": found.request.endpoint.api_base} if found.request.endpoint.api_base else {}),
            "messages": [{"role": message.role, "content": message.content} for message in found.request.messages],
            "llm_params": dict(found.request.params),
            "tokens": {
                "prompt": room.prompt,
                "answer": room.answer,
                "window": room.window,
                "fits": room.fits,
            },
            **({"notes": list(found.notes)} if found.notes else {}),
            "cost": found.cost and {"prompt": found.cost[0], "answer": found.cost[1], "currency": "USD"},
        }
    elif not found.waits_for:
        shown["model"] = None  # it calls none
    if found.waits_for:
        shown["waits_for"] = list(found.waits_for)
    if found.skipped:
        shown["skipped"] = {f"{one.name}[{one.index}]": one.error.message for one in found.skipped}
    if found.children:
        shown["uses"] = {
            name: _preview(child, f"{way} > {name}" if way else name, shown_at)
            for name, child in found.children.items()
        }
    return shown
