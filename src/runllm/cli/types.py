"""`runllm types`: the types of a file's contract as a module."""

from __future__ import annotations

import click

from runllm import api, files
from runllm.cli.offers import apps
from runllm.cli.offers import files as any_file
from runllm.cli.output import check_target, output_option, write
from runllm.export import LANGUAGES, types
from runllm.rendering import safe

_MOST = 8 << 20  # bytes of a module


@click.command(name="types")
@click.argument("file", metavar="FILE", shell_complete=apps)
@click.option("--lang", type=click.Choice(LANGUAGES), default="py", show_default=True, help="Python, or TypeScript.")
@click.option("--pydantic", is_flag=True, help="Models of pydantic instead of TypedDicts.")
@output_option
@click.option(
    "--check", metavar="PATH", shell_complete=any_file, help="Compare with this file, and fail if it differs."
)
def command(file: str, lang: str, pydantic: bool, target: str | None, check: str | None) -> int:
    """Print the types of FILE's input and output, and a function that loads it or calls its service."""
    if check is None:
        check_target(target, file)
    app = api.load(file, trust_python=True, whole_tree=True)  # nothing runs here
    place = check or target
    text = types(app.program, lang, pydantic=pydantic, target=None if place in (None, "-") else place)
    if check is None:
        write([text], target)
        return 0
    if files.read_bytes(check, _MOST) == text.encode():
        return 0
    kind = " --pydantic" if pydantic else ""
    again = f"runllm types {file} --lang {lang}{kind} -o {check}"
    click.echo(safe(f"{check} is not what {file} gives now: `{again}` writes it anew"), err=True)
    return 1
