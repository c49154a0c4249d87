"""What the commands that let others run apps have in common: who may ask, what it may take, which apps there are."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import click

from runllm import api
from runllm.cli.offers import files
from runllm.cli.options import Duration, Finite
from runllm.errors import UsageError
from runllm.rendering import one_line
from runllm.watching import Doing, untold

if TYPE_CHECKING:
    from runllm.serve import Access, House
    from runllm.serve.figures import Figures

C = TypeVar("C", bound=Callable[..., Any])
_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option("--token-env", metavar="NAME", help="Ask for the token that this environment variable holds."),
    click.option("--token-file", metavar="FILE", shell_complete=files, help="Ask for the token in FILE."),
    click.option("--no-auth", is_flag=True, help="Ask for no token, even if other machines reach the service."),
    click.option("--allow-host", "hosts", multiple=True, metavar="NAME", help="Another host name of the service."),
    click.option(
        "--allow-origin", "origins", multiple=True, metavar="URL", help="The origin of web pages that may call it."
    ),
    click.option(
        "--queue", type=click.IntRange(0), default=128, show_default=True, help="Runs that may wait for a place."
    ),
    click.option(
        "--max-body", type=click.IntRange(1), default=1, show_default=True, metavar="MIB", help="The largest request."
    ),
    click.option(
        "--max-cost-per-day",
        type=Finite(0),
        metavar="USD",
        help="The most that the runs of a day (UTC) may cost.",
    ),
    click.option(
        "--grace",
        type=Duration(),
        default=30,
        show_default=True,
        metavar="TIME",
        help="Time for running apps at the end.",
    ),
)


def service_options(command: C) -> C:
    """Add to a command the options of a service."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def allowed(host: str, given: dict[str, Any]) -> Access:
    """Who may ask, taken out of the options.

    Args:
        host: where the service will listen.
        given: the options by name; those of `Access` leave it.

    Raises:
        UsageError: others would reach the service, and need not show anything.
    """
    from runllm.serve.access import Access, is_loopback, named, token_of

    token = token_of(given.pop("token_env"), given.pop("token_file"), os.environ)
    hosts, origins = named(given.pop("hosts"), given.pop("origins"))
    access = Access(token=token, hosts=hosts, origins=origins)
    open_to_all = given.pop("no_auth")
    if is_loopback(host):
        return access
    if given["trust_python"]:
        raise UsageError("`--trust-python` is for this machine alone", hint="Let only this machine reach it.")
    if access.token is None and not open_to_all:
        raise UsageError(
            "others would reach the service, and it would ask for no token",
            hint="Name its place with `--token-env NAME` or `--token-file FILE`; `--no-auth` lets everybody in.",
        )
    return access


def opened(
    paths: tuple[str, ...], given: dict[str, Any], figures: Figures | None = None, doing: Doing = untold
) -> House:
    """The apps, and what they run within.

    Args:
        paths: files and folders; none for this folder.
        given: the options of the service and of its runs, by name, without those of `allowed`.
        figures: what counts runs.
        doing: told of what engines do beside their models, such as loading them.

    Raises:
        RunllmError: a file has a problem, or an option can mean nothing.
    """
    from runllm.pace import Pace
    from runllm.serve.catalog import Catalog
    from runllm.serve.house import House, Limits

    own = {name: given.pop(name) for name in ("queue", "max_body", "max_cost_per_day", "grace")}
    pulls = {name: given.pop(name) for name in ("auto_pull", "ollama_auto_pull")}
    runtime = api.new_runtime(doing=doing, **pulls)
    limits = Limits(
        running=given.pop("concurrency") or Limits().running,
        waiting=own["queue"],
        body=own["max_body"] << 20,
        grace=own["grace"],
    )
    budget = None
    if own["max_cost_per_day"] is not None:
        from runllm.serve.day import Daily, Ledger  # its file

        budget = Daily(own["max_cost_per_day"], Ledger(api.stats_store().path.with_name("served.db")))
    shared = {"concurrency": limits.running, "pace": Pace(limits.running, patient=False), "budget": budget}
    catalog = Catalog(paths or (".",), partial(api.load, runtime=runtime, **shared, **given))
    return House(catalog, runtime, limits, say, figures)


def say(message: str) -> None:
    """One line of the log, with the time."""
    click.echo(f"{time.strftime('%H:%M:%S')} {one_line(message)}", err=True)
