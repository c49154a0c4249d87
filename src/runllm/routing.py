"""What a caller may override for a run, and what follows: which models it may call, how to reach each, how often."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from runllm.diagnostics import did_you_mean
from runllm.engines import addresses
from runllm.errors import UsageError
from runllm.pace import Pace
from runllm.program import ModelSettings, Program
from runllm.results import DEFAULT_MAX_RETRIES, DEFAULT_NUM_RETRIES, DEFAULT_TIMEOUT, Endpoint, Event
from runllm.spending import Budget
from runllm.values import frozen

if TYPE_CHECKING:
    from runllm.settings import Configuration


@frozen
class Options:
    """What a caller may override for a run; None leaves what the user has set, else the file's own value.

    Attributes:
        model: used instead of `llm.model`; the file's fallbacks are then not used.
        engine: how a hosted model is called: `direct`, where that is proven, or `litellm` in every case.
        max_retries: how many attempts may follow a wrong answer.
        timeout: seconds for one call.
        trust_python: run the file's Python blocks in real Python, without a sandbox.
        whole_tree: whether all of these hold for the apps that the file uses as well, and for those that they use.
        concurrency: the most calls at a time.
        block_timeout: the most seconds a Python block may ask for; 1 by default.
        block_memory: the most MiB a Python block may ask for; 64 by default.
        allowed_bases: addresses that any file of the run may send calls and their key to, beside those in the settings.
        folder: where a relative `local/PATH.gguf` in `model` starts; the current folder by default.
        max_calls: the most calls of the run and of all that it uses; by default 1,000, and those that the elements of
            the input's own lists need.
        max_cost: the most US dollars of the same.
        max_time: the most seconds of the same.
        allow_unpriced: whether a model whose price is not known may be called although the cost is bounded.
        budget: what several runs may spend together; the bounds of each run hold inside it.
        pace: how fast the calls of several runs may follow each other; they then wait longer for a busy provider.
        cache: whether an answer that was accepted before may be taken instead of a call, and what is accepted now is
            kept for the next time: True for 30 days, or the most seconds that it may be old.
        stats: whether the run is recorded, where the runtime has a store.
        log_content: whether the record holds what was sent and answered.
        configuration: what the user has set for all runs: aliases, and how models are reached.
        listener: told of each step as it happens.
    """

    model: str | None = None
    engine: str | None = None
    max_retries: int | None = None
    timeout: float | None = None
    trust_python: bool = False
    whole_tree: bool = False
    concurrency: int | None = None
    block_timeout: float | None = None
    block_memory: int | None = None
    allowed_bases: tuple[str, ...] = ()
    folder: Path | None = None
    max_calls: int | None = None
    max_cost: float | None = None
    max_time: float | None = None
    allow_unpriced: bool | None = None
    budget: Budget | None = None
    pace: Pace | None = None
    cache: float | bool | None = None
    stats: bool | None = None
    log_content: bool | None = None
    configuration: Configuration | None = None
    listener: Callable[[Event], None] | None = None


OF_SETTINGS = (
    "model", "engine", "concurrency", "cache", "stats", "log_content", "max_cost", "max_time", "allow_unpriced",
)  # fmt: skip
_CHECKED = {
    "model", "engine", "max_retries", "timeout", "concurrency", "block_timeout", "block_memory",
    "max_calls", "max_cost", "max_time",
}  # fmt: skip


DEFAULT_KEPT = 30 * 86_400.0
"""Seconds for which an answer is good, where nobody says how many."""
_ANY: tuple[Any, str] = (object, "")
_KINDS: dict[str, Any] = {
    # Whatever counts as true would do: a word such as "no" must not take the sandbox away.
    **dict.fromkeys(
        ("trust_python", "whole_tree", "allow_unpriced", "stats", "log_content"), ((bool,), "True or False")
    ),
    "cache": ((bool, int, float), "True, False or a number of seconds"),
    "allowed_bases": ((tuple, list), "a list of addresses"),
    "folder": ((str, Path), "a path"),
    "budget": (Budget, "a `runllm.Budget`"),
    "pace": (Pace, "a `runllm.Pace`"),
    "listener": (Callable, "a function of one event"),
}


def chosen_by(options: Options | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """What a caller asks for: the fields of `options` that are not as they are by default, and those given.

    Raises:
        UsageError: there is no such option, or it can mean nothing.
    """
    if options is not None and not isinstance(options, Options):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError("the options of a run are one `runllm.Options`, or its fields by name")
    usual, chosen = Options(), dict[str, Any]()
    names = [one.name for one in fields(Options)]
    unknown = next((name for name in given if name not in names), None)
    if unknown is not None:
        raise UsageError(f"`{unknown}` is no option", hint=did_you_mean(unknown, names) or None)
    if options is not None:
        chosen = {name: value for name in names if (value := getattr(options, name)) != getattr(usual, name)}
    chosen |= {name: value for name, value in given.items() if value is not None}
    for name, value in chosen.items():
        if name in _CHECKED:
            _check(name, value)
        kinds, wanted = _KINDS.get(name, _ANY)
        if not isinstance(value, kinds):
            raise UsageError(f"`{name}` must be {wanted}, not {value!r}")
    if not chosen.get("cache", True) >= 0:
        raise UsageError(f"`cache` must be at least 0 seconds, not {chosen['cache']!r}")
    for base in chosen.get("allowed_bases", ()):
        if not isinstance(base, str) or addresses.read(base) is None:
            raise UsageError(f"`{base}` is not an address", hint="It is like `https://llm.example.com/v1`.")
    return chosen


def kept_for(options: Options) -> float | None:
    """The most seconds that an answer of the cache may be old; None where none is taken from it."""
    if options.cache is None or options.cache is False:
        return None
    return DEFAULT_KEPT if options.cache is True else float(options.cache)


def permitted(options: Options) -> Options:
    """The options themselves, where the user lets what they ask for be.

    Raises:
        UsageError: answers are to be kept, and the user's own settings say that none are.
    """
    configuration = options.configuration
    if configuration is not None and kept_for(options) is not None:
        value, place = configuration.own("cache")
        if value is False:
            raise UsageError(
                f"answers are not to be kept, as {place} says",
                hint="Leave `--cache` out, or let it be: `runllm config unset cache`.",
            )
    return options


def _check(name: str, value: Any) -> None:
    """Refuse an option that the setting of its name could not hold."""
    from runllm.settings import check_option  # a call without options needs none of it

    problem = check_option(name, value)
    if problem is not None:
        raise UsageError(problem.message, hint=problem.hint or None)


@frozen
class Limits:
    """What holds for the calls of a run.

    Attributes:
        timeout: seconds for one call.
        num_retries: how often one whose transport failed is sent again.
        max_retries: how many attempts may follow a wrong answer.
    """

    timeout: float
    num_retries: int
    max_retries: int


def limits(program: Program, options: Options, model: str) -> Limits:
    """The limits of a run that calls `model`: of the caller, else of the user's settings, else of the file."""
    file, configuration = program.model, options.configuration
    set_by_user = configuration.for_model(model) if configuration else None
    return Limits(
        timeout=_first(options.timeout, set_by_user and set_by_user.timeout, file and file.timeout, DEFAULT_TIMEOUT),
        num_retries=_first(set_by_user and set_by_user.num_retries, file and file.num_retries, DEFAULT_NUM_RETRIES),
        max_retries=_first(
            options.max_retries, configuration and configuration.settings.max_retries, DEFAULT_MAX_RETRIES
        ),
    )


N = TypeVar("N", int, float)


def _first(*values: N | None) -> N:
    """The first that is given; the last always is."""
    return next(value for value in values if value is not None)


def endpoints(program: Program, options: Options) -> tuple[Endpoint, ...]:
    """The models to try, in order, each with how to reach it.

    Raises:
        UsageError: there is no model: neither in the file nor from the caller.
    """
    settings, configuration = program.model, options.configuration
    written_for = settings.model if settings else None
    if settings is not None:
        settings = replace(settings, model=_meant(settings.model, configuration))
    folder = program.path.parent if program.path else None
    if options.model is not None:
        return (_endpoint(options.model, settings, options.folder, options),)
    if settings is None:
        raise UsageError(
            f"`{program.name}` names no model, and you have set none",
            hint="Set your own with `runllm config set model NAME`, or name one with `--model`. The one that comes "
            "with runllm is `local/smollm2-135m`: small, free, on this machine.",
        )
    return tuple(
        replace(
            _endpoint(model, settings, folder, options, within=program.project),
            own=place == "/model" and model == written_for,
        )
        for place, model in settings.models.items()
    )


def _endpoint(
    name: str, settings: ModelSettings | None, folder: Path | None, options: Options, within: Path | None = None
) -> Endpoint:
    """How to reach a model: as the user has set, else as the file says for its own provider.

    Another provider gets neither the file's address nor its key nor its parameters.
    """
    configuration = options.configuration
    model = _meant(name, configuration)
    within = within if model == name else None
    endpoint = Endpoint(model=model, engine=options.engine, folder=folder, within=within)
    if settings is not None and _provider(model) == _provider(settings.model):
        endpoint = replace(
            endpoint,
            api_base=settings.api_base,
            api_version=settings.api_version,
            api_key_env=settings.api_key_env,
            provider_params=settings.provider_params,
        )
    return _allowed(endpoint, options) if configuration is None else _set(endpoint, options, configuration)


def _set(endpoint: Endpoint, options: Options, configuration: Configuration) -> Endpoint:
    """The endpoint as the user has set it; what the user sets is allowed."""
    table = configuration.for_model(endpoint.model)
    base, variable = table.api_base or endpoint.api_base, table.api_key_env or endpoint.api_key_env
    found = _allowed(replace(endpoint, api_base=base, api_key_env=variable), options)
    own = (table.api_base,) if table.api_base else ()
    return replace(
        found,
        allowed_bases=(*found.allowed_bases, *own),
        key_allowed=found.key_allowed or table.api_key_env is not None,
    )


def _allowed(endpoint: Endpoint, options: Options) -> Endpoint:
    """The endpoint with what the user lets a file ask for."""
    settings = options.configuration.settings if options.configuration else None
    bases = (*options.allowed_bases, *(settings.allowed_bases if settings else ()))
    base, variable = endpoint.api_base, endpoint.api_key_env
    covered = base is not None and addresses.is_covered(base, bases)
    named = variable is not None and settings is not None and variable in settings.allowed_keys
    return replace(endpoint, allowed_bases=bases, key_allowed=named if variable else covered)


def _meant(name: str, configuration: Configuration | None) -> str:
    """The model that a name means; it may be an alias of the user's."""
    return configuration.resolve_model(name) if configuration else name


def _provider(model: str) -> str:
    return model.partition("/")[0]
