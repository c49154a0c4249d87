"""`runllm pull`: fetch a local model."""

from __future__ import annotations

import click

from runllm import api
from runllm.cli.offers import pullable
from runllm.cli.output import download_bar
from runllm.errors import InterruptedRunError
from runllm.quantities import size
from runllm.rendering import safe


@click.command(name="pull")
@click.argument("name", metavar="NAME", shell_complete=pullable)
@click.option("--file", metavar="FILE", help="Which file of a repository: its name, or a quantisation such as Q8_0.")
def command(name: str, file: str | None) -> None:
    """Fetch the local model NAME and print what to write under `llm.model`.

    NAME is one of the catalogue, such as smollm2-135m, or hf:ORG/REPO:FILE for a GGUF file of the hub; without FILE
    the best balance of size and quality is taken. The checksum is verified. What was interrupted goes on where it
    stopped.
    """
    bar = download_bar()
    try:
        found = api.pull(name, file=file, listener=bar.show if bar else lambda _: None)
    except KeyboardInterrupt:
        raise InterruptedRunError(
            f"pulling `{name}` was stopped", hint="Run the same command again to go on; what came so far is kept."
        ) from None
    finally:
        if bar:
            bar.clear()
    if bar:
        licence = f", licence {found.licence}" if found.licence else ""
        said = "" if found.fetched else "already here: "
        click.echo(safe(f"{said}{found.path} ({size(found.size)}{licence})"), err=True)
    click.echo(safe(f"local/{found.name}"))
