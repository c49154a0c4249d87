"""`runllm schema`: print the JSON Schema of the frontmatter."""

from __future__ import annotations

import json

import click

from runllm import api


@click.command(name="schema")
def command() -> None:
    """Print the JSON Schema of a file's frontmatter, for editors and other tools."""
    click.echo(json.dumps(api.frontmatter_schema(), ensure_ascii=False, indent=2))
