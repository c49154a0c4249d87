"""`runllm serve`: apps as an HTTP service."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from runllm import api
from runllm.cli.helping import Grouped
from runllm.cli.offers import files
from runllm.cli.options import Duration, run_options, warn_of_trust
from runllm.errors import EngineUnavailableError, UsageError
from runllm.installation import REQUIREMENTS, adding
from runllm.rendering import one_line

if TYPE_CHECKING:
    from runllm.serve import Access, House


@click.command(name="serve", cls=Grouped)
@click.argument("paths", metavar="[PATH]...", nargs=-1, shell_complete=files)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
@click.option("--token-env", metavar="NAME", help="Ask for the token that this environment variable holds.")
@click.option("--token-file", metavar="FILE", shell_complete=files, help="Ask for the token that stands in FILE.")
@click.option("--no-auth", is_flag=True, help="Ask for no token, although others reach the service.")
@click.option("--allow-host", "hosts", multiple=True, metavar="NAME", help="A name that the service is reached under.")
@click.option("--allow-origin", "origins", multiple=True, metavar="URL", help="A web page elsewhere that may call it.")
@click.option("--queue", type=click.IntRange(0), default=128, show_default=True, help="Runs that may wait for a place.")
@click.option("--max-body", type=click.IntRange(1), default=1, show_default=True, metavar="MIB", help="Of one request.")
@click.option("--max-cost-per-day", type=click.FloatRange(0), metavar="USD", help="Of all runs of a day, in UTC.")
@click.option(
    "--grace", type=Duration(), default=30, show_default=True, metavar="TIME", help="For what runs at its end."
)
@click.option("--reload", "follow", is_flag=True, help="Serve files as they are changed.")
@click.option("-v", "--verbose", is_flag=True, help="Say each request on stderr.")
@run_options
def command(
    paths: tuple[str, ...],
    host: str,
    port: int,
    token_env: str | None,
    token_file: str | None,
    no_auth: bool,
    hosts: tuple[str, ...],
    origins: tuple[str, ...],
    follow: bool,
    verbose: bool,
    **given: Any,
) -> None:
    """Serve the `.rllm` files that are named, or that are below a folder (by default this one), over HTTP.

    `POST /apps/NAME` runs one: its input is a JSON object, the answer its output. `/` is a page with a form for each.
    Only this machine reaches it, unless `--host` says otherwise; then it asks for a token.
    """
    try:
        from runllm.serve import Access, serve
        from runllm.serve.access import is_loopback, token_of
        from runllm.serve.server import address_of, listen
    except ModuleNotFoundError as error:
        said = f"serving apps needs `{error.name}`, which is not installed"
        raise EngineUnavailableError(said, hint=adding(REQUIREMENTS["serve"], "serve")) from None

    access = Access(token=token_of(token_env, token_file, os.environ), hosts=hosts, origins=origins)
    if not is_loopback(host):
        _check_open(access, no_auth=no_auth, trusted=given["trust_python"])
    for path in paths:
        warn_of_trust(path, given)
    listening = listen(host, port)
    house = _house(paths or (".",), given)
    _say(f"{', '.join(house.catalog)} at {address_of(listening)}; Ctrl-C ends it")
    serve(house, access, listening, follow=follow, log=_say if verbose else None)


def _check_open(access: Access, *, no_auth: bool, trusted: bool) -> None:
    """Refuse a service that others reach, unless it asks for a token, or is told that it need not."""
    if trusted:
        raise UsageError("`--trust-python` is for this machine alone", hint="Leave out `--host`, or the flag.")
    if access.token is None and not no_auth:
        raise UsageError(
            "others would reach the service, and it would ask for no token",
            hint="Name its place with `--token-env NAME` or `--token-file FILE`; `--no-auth` lets everybody in.",
        )


def _house(paths: tuple[str, ...], given: dict[str, Any]) -> House:
    """The apps, and what they run within."""
    from runllm.pace import Pace
    from runllm.serve import House, Limits
    from runllm.serve.catalog import Catalog
    from runllm.serve.day import Daily, Ledger

    own = {name: given.pop(name) for name in ("queue", "max_body", "max_cost_per_day", "grace")}
    pulls = {name: given.pop(name) for name in ("auto_pull", "ollama_auto_pull")}
    runtime = api.new_runtime(**pulls)
    limits = Limits(
        running=given.pop("concurrency") or Limits().running,
        waiting=own["queue"],
        body=own["max_body"] << 20,
        grace=own["grace"],
    )
    most = own["max_cost_per_day"]
    budget = None if most is None else Daily(most, Ledger(api.stats_store().path.with_name("served.db")))
    shared = {"concurrency": limits.running, "pace": Pace(limits.running), "budget": budget}
    catalog = Catalog(paths, partial(api.load, runtime=runtime, **shared, **given))
    return House(catalog, runtime, limits, _say)


def _say(message: str) -> None:
    click.echo(f"{time.strftime('%H:%M:%S')} {one_line(message)}", err=True)
