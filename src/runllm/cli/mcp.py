"""`runllm mcp`: apps as tools of other models."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from typing import Any

import click

from runllm.cli import service
from runllm.cli.helping import Grouped
from runllm.cli.offers import files
from runllm.cli.options import run_options, warn_of_trust
from runllm.cli.steps import steps
from runllm.errors import EngineUnavailableError, UsageError
from runllm.installation import REQUIREMENTS, adding

_PORT = 8000
_HERE = f"127.0.0.1:{_PORT}"
_ADDRESS = re.compile(r"(?:(\[[^\]]+\]|[^:\[\]]*):)?(\d{1,5})")


@click.command(name="mcp", cls=Grouped)
@click.argument("paths", metavar="[PATH]...", nargs=-1, shell_complete=files)
@click.option(
    "--http",
    metavar="[HOST:PORT]",
    is_flag=False,
    flag_value=_HERE,
    help=f"Speak over HTTP instead of standard input and output.  [{_HERE} without a value]",
)
@service.service_options
@click.option("-v", "--verbose", is_flag=True, help="Log each request over HTTP on stderr.")
@run_options
def command(paths: tuple[str, ...], http: str | None, verbose: bool, **given: Any) -> None:
    """Offer the `.rllm` files that are named, or that are below a folder (by default this one), as tools (MCP).

    Each app is a tool: its input is what a client gives, its output what it gets. A client starts this command and
    speaks to it over standard input and output; with `--http` it is reached at `http://HOST:PORT/mcp`.
    """
    if http is not None and _is_host(http):
        http = f"{http}:{_PORT}"
    elif http is not None and not _ADDRESS.fullmatch(http):  # `--http FILE`: the file is no address
        http, paths = _HERE, (http, *paths)
    if http is None and (
        unmeant := [name for name in ("token_env", "token_file", "no_auth", "hosts", "origins") if given[name]]
    ):
        raise UsageError(
            f"`--{unmeant[0].replace('_', '-')}` is for `--http`",
            hint="Over standard input and output, only who starts it can ask.",
        )
    try:
        if http is None:
            _over_stdio(paths, given)
        else:
            _over_http(paths, http, given, verbose=verbose)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("runllm"):
            raise
        said = f"offering apps as tools needs `{error.name}`, which is not installed"
        raise EngineUnavailableError(said, hint=adding(REQUIREMENTS["mcp"], "mcp")) from None


def _is_host(given: str) -> bool:
    """Whether it is an address without a port."""
    from ipaddress import ip_address

    with suppress(ValueError):
        return given == "localhost" or bool(ip_address(given.strip("[]")))
    return False


def _over_stdio(paths: tuple[str, ...], given: dict[str, Any]) -> None:
    from runllm.mcp.wire import taken

    is_typed = sys.stdin.isatty()
    wire = taken()
    from runllm.mcp.server import server_of
    from runllm.mcp.stdio import serve
    from runllm.serve.figures import Figures

    service.allowed("localhost", given)
    for path in paths:
        warn_of_trust(path, given)
    trusted = given["trust_python"]
    with steps() as step:
        house = service.opened(paths, given, Figures(), step.doing)
        server = server_of(house, trusted=trusted)
        if is_typed:
            service.say(f"{', '.join(house.catalog)}: waits for a client's messages on standard input; Ctrl-C ends it")
        serve(server, house, wire)


def _over_http(paths: tuple[str, ...], address: str, given: dict[str, Any], *, verbose: bool) -> None:
    from runllm.mcp.http import PATH, application
    from runllm.mcp.server import server_of
    from runllm.serve.figures import Figures
    from runllm.serve.listening import Graceful, address_of, listen, run

    host, _, port = address.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    access = service.allowed(host, given)
    for path in paths:
        warn_of_trust(path, given)
    trusted = given["trust_python"]
    listening = listen(host, int(port))
    with steps() as step:
        house = service.opened(paths, given, Figures(), step.doing)
        web = application(server_of(house, trusted=trusted), house, access, log=service.say if verbose else None)
        service.say(f"{', '.join(house.catalog)} at {address_of(listening).rstrip('/')}{PATH}; Ctrl-C ends it")
        run(Graceful(web, house), house, listening)
