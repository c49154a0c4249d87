"""Which models a run may call, in order, and how to reach each."""

from __future__ import annotations

from pathlib import Path

from runllm.errors import UsageError
from runllm.exchange import Endpoint, Options
from runllm.program import ModelSettings, Program


def endpoints(program: Program, options: Options) -> tuple[Endpoint, ...]:
    """The models to try, in order, each with how to reach it.

    Raises:
        UsageError: there is no model: neither in the file nor from the caller.
    """
    settings = program.model
    folder = program.path.parent if program.path else None
    if options.model is not None:
        return (_endpoint(options.model, settings, options.folder),)
    if settings is None:
        raise UsageError(f"`{program.name}` names no model", hint="Give one with `--model`.")
    return tuple(_endpoint(model, settings, folder) for model in (settings.model, *settings.fallbacks))


def _endpoint(model: str, settings: ModelSettings | None, folder: Path | None) -> Endpoint:
    """How to reach `model`: as the file says for its own model, where the provider is the same.

    Another provider gets neither the file's address nor its key nor its parameters.
    """
    if settings is None or _provider(model) != _provider(settings.model):
        return Endpoint(model=model, folder=folder)
    return Endpoint(
        model=model,
        api_base=settings.api_base,
        api_version=settings.api_version,
        api_key_env=settings.api_key_env,
        provider_params=settings.provider_params,
        folder=folder,
    )


def _provider(model: str) -> str:
    return model.partition("/")[0]
