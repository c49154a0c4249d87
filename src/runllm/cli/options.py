"""What every command that runs an app can be told."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from runllm.cli.inputs import model_option
from runllm.quantities import time_of
from runllm.rendering import safe

if TYPE_CHECKING:
    from runllm import Runtime

C = TypeVar("C", bound=Callable[..., Any])
UNSANDBOXED = (
    "warning: --trust-python: the Python blocks of {file} run as your own code, without a sandbox: "
    "they can read your files, use your network and keys, and do all that you can do"
)


class Duration(click.ParamType[float]):
    """A length of time: a number of seconds, or hours, minutes and seconds with their letters."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        total = time_of(str(value))
        if not total:
            self.fail(f"{value!r} is not a length of time above 0 such as 90, 10m, 1h30m or 7d", param, ctx)
        return total


class Finite(click.FloatRange):
    """A number within a range, and no other kind: `nan` is in none, and is compared with a bound in vain."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        found: float = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value!r} is no number", param, ctx)
        return found


_CACHE_FOR = "runllm.cache_for"


def _cached_for(context: click.Context, _: click.Parameter, value: float | None) -> None:
    context.meta[_CACHE_FOR] = value


def _cached(context: click.Context, _: click.Parameter, value: bool | None) -> float | bool | None:
    """Whether answers are taken from the cache, and how old they may be."""
    return value if value is False else context.meta.get(_CACHE_FOR) or value


_CALLS: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--engine",
        type=click.Choice(["direct", "litellm"]),
        help="How to call a hosted model.  [default: direct, where it is tested]",
    ),
    click.option(
        "--max-retries",
        type=click.IntRange(0, 20),
        metavar="N",
        help="Attempts after a wrong answer.  [default: 2]",
    ),
    click.option("--timeout", type=Duration(), metavar="TIME", help="The most time for one call: 20, 90s, 5m."),
    click.option("--trust-python", is_flag=True, help="Run FILE's Python blocks WITHOUT a sandbox, as your own code."),
    click.option(
        "--whole-tree",
        is_flag=True,
        help="Apply --model, --max-retries, --timeout and --trust-python also to the apps that FILE uses.",
    ),
    click.option(
        "--max-calls", type=click.IntRange(1), metavar="N", help="The most calls in all.  [default: 1000 a run]"
    ),
    click.option("--max-cost", type=Finite(0), metavar="USD", help="The most that all calls may cost."),
    click.option("--max-time", type=Duration(), metavar="TIME", help="The most time in all: 90, 10m, 1h30m."),
    click.option(
        "--allow-unpriced",
        is_flag=True,
        default=None,
        help="With --max-cost, also call models of unknown price.",
    ),
    click.option(
        "--concurrency",
        type=click.IntRange(1),
        metavar="N",
        help="The most calls at a time.  [default: 8; for many runs 32]",
    ),
    click.option(
        "--block-timeout",
        type=Duration(),
        metavar="TIME",
        help="The most time for one Python block.  [default: 1]",
    ),
    click.option(
        "--block-memory",
        type=click.IntRange(1),
        metavar="MIB",
        help="The most memory for one Python block.  [default: 64]",
    ),
    click.option(
        "--allow-base",
        "allowed_bases",
        multiple=True,
        metavar="URL",
        help="Let FILE and the apps it uses send calls and their key to this address.",
    ),
    click.option("--auto-pull", is_flag=True, default=None, help="Download a local model that is missing."),
    click.option(
        "--ollama-auto-pull",
        is_flag=True,
        default=None,
        help="Let the Ollama server pull a model that is missing.",
    ),
    click.option(
        "--cache/--no-cache",
        default=None,
        callback=_cached,
        help="Reuse an earlier answer instead of calling the model, and keep new answers.",
    ),
    click.option(
        "--cache-for",
        type=Duration(),
        is_eager=True,
        expose_value=False,
        callback=_cached_for,
        metavar="TIME",
        help="As --cache, with answers no older than this: 12h, 7d.  [default: 30d]",
    ),
)
_RATES: tuple[Callable[[Any], Any], ...] = (
    click.option("--rpm", type=Finite(0, min_open=True), metavar="N", help="The most calls a minute."),
    click.option("--tpm", type=Finite(0, min_open=True), metavar="N", help="The most tokens a minute."),
)
_RECORD: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--no-stats", "stats", flag_value=False, default=None, help="Do not record this run in the statistics."
    ),
    click.option(
        "--log-content",
        is_flag=True,
        default=None,
        help="Also record prompts and answers, with secrets masked.",
    ),
)


def _maps(_ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> dict[str, str]:
    pairs = [one.partition("=") for one in value]
    wrong = next((one for one, (name, _, column) in zip(value, pairs, strict=True) if not name or not column), None)
    if wrong is not None:
        raise click.BadParameter(f"`{wrong}` is not INPUT=COLUMN", param=param)
    names = [name for name, _, _ in pairs]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise click.BadParameter(f"`{twice}` is named twice: one column feeds an input", param=param)
    return {name: column for name, _, column in pairs}


map_option = click.option(
    "--map", "maps", metavar="INPUT=COLUMN", multiple=True, callback=_maps, help="The column that feeds an input."
)


def run_options(command: C) -> C:
    """Add to a command the options of a run."""
    return _with(command, (model_option, *_CALLS, *_RECORD))


def rate_options(command: C) -> C:
    """Add how fast many runs may be."""
    return _with(command, _RATES)


def many_options(command: C) -> C:
    """Add those of runs that are not one: without the model, and without what is recorded."""
    return _with(command, _CALLS)


def _with(command: C, options: Sequence[Callable[[Any], Any]]) -> C:
    for option in reversed(options):
        command = option(command)
    return command


def warn_of_trust(file: str, options: Mapping[str, Any]) -> None:
    """Say what it means to run the blocks of a file without the sandbox, where that is asked for."""
    if options["trust_python"]:
        used = " and the apps it uses" if options["whole_tree"] else ""
        click.echo(UNSANDBOXED.format(file=safe(file) + used), err=True)


def warn_of_cache(runtime: Runtime) -> None:
    """Say once why many runs went without the cache, where it could not be used."""
    if runtime.cache_trouble:
        click.echo(f"warning: {safe(runtime.cache_trouble)}", err=True)
