"""`runllm serve`: apps as an HTTP service."""

from __future__ import annotations

from typing import Any

import click

from runllm.cli import service
from runllm.cli.helping import Grouped
from runllm.cli.offers import files
from runllm.cli.options import run_options, warn_of_trust
from runllm.cli.steps import steps
from runllm.errors import EngineUnavailableError
from runllm.installation import REQUIREMENTS, adding


@click.command(name="serve", cls=Grouped)
@click.argument("paths", metavar="[PATH]...", nargs=-1, shell_complete=files)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
@service.service_options
@click.option("--reload", "follow", is_flag=True, help="Reload files when they change.")
@click.option("-v", "--verbose", is_flag=True, help="Log each request on stderr.")
@run_options
def command(paths: tuple[str, ...], host: str, port: int, follow: bool, verbose: bool, **given: Any) -> None:
    """Serve the `.rllm` files that are named, or that are below a folder (by default this one), over HTTP.

    `POST /apps/NAME` runs one: its input is a JSON object, the answer its output. `/` is a page with a form for each.
    Only this machine reaches it, unless `--host` says otherwise; then it asks for a token.
    """
    try:
        from runllm.serve.metrics import Metrics
        from runllm.serve.server import address_of, listen, serve
    except ModuleNotFoundError as error:
        said = f"serving apps needs `{error.name}`, which is not installed"
        raise EngineUnavailableError(said, hint=adding(REQUIREMENTS["serve"], "serve")) from None

    access = service.allowed(host, given)
    for path in paths:
        warn_of_trust(path, given)
    listening = listen(host, port)
    with steps() as step:
        house = service.opened(paths, given, Metrics(), step.doing)
        service.say(f"{', '.join(house.catalog)} at {address_of(listening)}; Ctrl-C ends it")
        serve(house, access, listening, follow=follow, log=service.say if verbose else None)
