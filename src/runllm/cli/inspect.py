"""`runllm inspect`: show what a file says."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from runllm import api
from runllm.cli.offers import apps
from runllm.cli.output import coloured, format_option
from runllm.diagrams import mermaid, tree
from runllm.quantities import some
from runllm.redaction import redact
from runllm.rendering import Paint, as_json, one_line, safe


@click.command(name="inspect")
@click.argument("file", metavar="FILE", shell_complete=apps)
@format_option(
    "text", "json", "mermaid", meaning="How to print it; mermaid is a flow chart of FILE and the apps it uses."
)
def command(file: str, form: str) -> None:
    """Show FILE's contract, model, parameters and parts, and the apps it uses. Calls no model."""
    app = api.load(file, trust_python=True, whole_tree=True)  # nothing runs here
    found = redact(api.describe(app))
    if form == "json":
        click.echo(as_json(found))
    elif form == "mermaid":
        click.echo(safe(mermaid(found)))
    else:
        click.echo(_text(found), color=True)


def _text(found: dict[str, Any]) -> str:
    paint = Paint(colour=coloured(sys.stdout))
    params = ", ".join(f"{key}={json.dumps(value)}" for key, value in found["llm_params"].items())
    lines = [
        f"{paint(safe(found['name']), 'bold')} {safe(found['version'])}"
        + (f" by {safe(found['author'])}" if found["author"] else ""),
        *([safe(found["description"])] if found["description"] else []),
        "",
        f"model    {safe(found['model'] or _no_model(found))}"
        + (safe(f", then {', '.join(found['fallbacks'])}") if found["fallbacks"] else ""),
        f"params   {safe(params) or '(none)'}",
        f"window   {_tokens(found['max_context_window'])}",
    ]
    if found["sections"]:
        examples = f", {some(found['examples'], 'example')}" if found["examples"] else ""
        lines.append(f"sections {', '.join(found['sections'])}{examples}")
    lines += [f"python   {entry['phase']} {safe(entry['name'])} (line {entry['line']})" for entry in found["blocks"]]
    lines += ["", paint("input", "bold"), *_fields(found["input"])]
    lines += ["", paint("output", "bold"), *_fields(found["output"])]
    lines += [one_line(f"  {wire['name']} ← {wire['value']}") for wire in found["builds"] or ()]
    if found["uses"]:
        lines += ["", paint("uses", "bold"), *(one_line(f"  {line}") for line in tree(found))]
    return "\n".join(lines)


def _no_model(found: dict[str, Any]) -> str:
    return "(your own)" if found["builds"] is None else "(none: the output is built)"


def _tokens(number: int | None) -> str:
    return f"{number:,} tokens" if number else "the model's own"


def _type(field: dict[str, Any]) -> str:
    return f"{field['type']}{'' if field['required'] else '?'}"


def _fields(fields: list[dict[str, Any]]) -> list[str]:
    width = max((len(field["name"]) for field in fields), default=0)
    return [one_line(f"  {field['name']:<{width}}  {_type(field)}  {field['description']}") for field in fields] or [
        "  (nothing declared)"
    ]
