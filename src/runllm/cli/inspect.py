"""`runllm inspect`: show what a file says."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from runllm import api
from runllm.redaction import redact
from runllm.rendering import Paint, safe


@click.command(name="inspect")
@click.argument("file", metavar="FILE")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to print it.",
)
def command(file: str, form: str) -> None:
    """Show FILE's contract, model, parameters and parts. Calls no model."""
    app = api.load(file, trust_python=True)  # nothing runs here
    found = redact(api.describe(app))
    if form == "json":
        click.echo(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        click.echo(_text(app, found), color=True)


def _text(app: api.App, found: dict[str, Any]) -> str:
    paint = Paint(colour=sys.stdout.isatty())
    params = ", ".join(f"{key}={json.dumps(value)}" for key, value in found["llm_params"].items())
    lines = [
        f"{paint(safe(found['name']), 'bold')} {safe(found['version'])} by {safe(found['author'])}",
        safe(found["description"]),
        "",
        f"model    {safe(str(found['model']))}"
        + (f", then {', '.join(found['fallbacks'])}" if found["fallbacks"] else ""),
        f"params   {safe(params) or '(none)'}",
        f"window   {found['max_context_window']:,} tokens",
        f"sections {', '.join(found['sections'])}" + (f", {found['examples']} examples" if found["examples"] else ""),
    ]
    lines += [f"uses     {safe(entry['name'])} ({safe(entry['path'])})" for entry in found["uses"]]
    lines += [f"python   {entry['phase']} {safe(entry['name'])} (line {entry['line']})" for entry in found["blocks"]]
    lines += ["", paint("input", "bold"), *_fields(api.fields(app.program.input))]
    lines += ["", paint("output", "bold"), *_fields(api.fields(app.program.output_contract))]
    return "\n".join(lines)


def _type(field: dict[str, Any]) -> str:
    return f"{field['type']}{'' if field['required'] else '?'}"


def _fields(fields: list[dict[str, Any]]) -> list[str]:
    width = max((len(field["name"]) for field in fields), default=0)
    return [
        safe(f"  {field['name']:<{width}}  {_type(field)}  {field['description']}".rstrip()) for field in fields
    ] or ["  (nothing declared)"]
