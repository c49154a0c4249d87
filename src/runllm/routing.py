"""Which models a run may call, in order, how to reach each, and how long and how often."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from runllm.engines.addresses import is_covered
from runllm.errors import UsageError
from runllm.program import ModelSettings, Program
from runllm.results import DEFAULT_MAX_RETRIES, DEFAULT_NUM_RETRIES, DEFAULT_TIMEOUT, Endpoint, Options
from runllm.values import frozen

if TYPE_CHECKING:
    from runllm.settings import Configuration


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
    if settings is not None:
        settings = replace(settings, model=_meant(settings.model, configuration))
    folder = program.path.parent if program.path else None
    if options.model is not None:
        return (_endpoint(options.model, settings, options.folder, options),)
    if settings is None:
        raise UsageError(f"`{program.name}` names no model", hint="Give one with `--model`.")
    return tuple(
        _endpoint(model, settings, folder, options, within=program.project) for model in settings.models.values()
    )


def _endpoint(
    name: str, settings: ModelSettings | None, folder: Path | None, options: Options, within: Path | None = None
) -> Endpoint:
    """How to reach a model: as the user has set, else as the file says for its own provider.

    Another provider gets neither the file's address nor its key nor its parameters.
    """
    configuration = options.configuration
    model = _meant(name, configuration)
    endpoint = Endpoint(model=model, folder=folder, within=within if model == name else None)
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
    covered = base is not None and is_covered(base, bases)
    named = variable is not None and settings is not None and variable in settings.allowed_keys
    return replace(endpoint, allowed_bases=bases, key_allowed=named if variable else covered)


def _meant(name: str, configuration: Configuration | None) -> str:
    """The model that a name means; it may be an alias of the user's."""
    return configuration.resolve_model(name) if configuration else name


def _provider(model: str) -> str:
    return model.partition("/")[0]
