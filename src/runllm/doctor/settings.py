"""Settings and keys: what the files and variables say, and which providers they open. No value of a key is read out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from runllm.doctor.check import Check

if TYPE_CHECKING:
    from runllm.settings import Configuration


def configured(environment: Mapping[str, str], folder: Path | None) -> tuple[Configuration | None, list[Check]]:
    """The settings, None where they cannot be read, and what there is to say about their files."""
    try:
        from runllm.errors import ConfigError
        from runllm.settings import load
    except Exception as error:  # a library that they need is broken; it is named by its own check
        said = f"the settings cannot be read: {type(error).__name__}: {error}"
        return None, [Check(name="configuration", status="wrong", said=said, fix="See the libraries above.")]
    try:
        found = load(folder, environment)
    except ConfigError as error:
        fallback = error.recovery_hint
        return None, [
            Check(name="configuration", status="wrong", said=str(problem), fix=problem.hint or fallback)
            for problem in error.problems
        ]
    except Exception as error:  # as in `guarded`
        said = f"the settings cannot be read: {type(error).__name__}: {error}"
        return None, [Check(name="configuration", status="wrong", said=said, fix="Check the files and their folders.")]
    files = [layer.file for layer in found.layers if layer.file]
    said = ", ".join(files) or ("no file counts" if found.warnings else "no file, and none is needed")
    notes = [
        Check(name="configuration", status="note", said=problem.message, fix=problem.hint)
        for problem in (*found.warnings, *found.replaced())
    ]
    return found, [Check(name="configuration", status="ok", said=said), *notes]


def variables(environment: Mapping[str, str]) -> Iterator[Check]:
    """The variables that are named like a setting and are none."""
    from runllm.settings import unknown_variables

    for problem in unknown_variables(environment):
        fix = problem.hint or "`runllm config` lists the settings."
        yield Check(name="variables", status="note", said=problem.message, fix=fix)


def keys(environment: Mapping[str, str], configuration: Configuration | None) -> Iterator[Check]:
    """The names of the variables that hold keys, and the providers that each opens."""
    from runllm.engines.access import addresses_of_user
    from runllm.engines.providers import PROVIDERS

    opened: dict[str, list[str]] = {}
    for provider, facts in PROVIDERS.items():
        held = [variable for variable in facts.keys if environment.get(variable)]
        for variable in held:
            opened.setdefault(variable, []).append(provider)
        if held and facts.addressed and facts.bases and not addresses_of_user(facts, environment):
            fix = f"Set {facts.bases[0]}, unless your files name `llm.api_base`."
            yield Check(name="keys", status="note", said=f"`{provider}` has a key and no address", fix=fix)
    for pattern, variable in _named(configuration):
        if environment.get(variable):
            opened.setdefault(variable, []).append(pattern)
        else:
            said = f"the settings of `{pattern}` name {variable}, which is not set"
            yield Check(name="keys", status="note", said=said, fix=f"Set {variable}.")
    yield from _padded(opened, environment)
    if opened:
        said = ", ".join(f"{variable} ({', '.join(providers)})" for variable, providers in opened.items())
        yield Check(name="keys", status="ok", said=said)
    else:
        fix = "Set your provider's, such as OPENAI_API_KEY. `local/...` and `ollama/...` models need none."
        yield Check(name="keys", status="missing", said="no variable with a provider's key is set", fix=fix)


def _named(configuration: Configuration | None) -> Iterator[tuple[str, str]]:
    """The models in the settings that have a variable of their own for the key, and its name."""
    if configuration is None:
        return
    for pattern, table in configuration.settings.models.items():
        if table.api_key_env:
            yield pattern, table.api_key_env


def _padded(variables: Iterable[str], environment: Mapping[str, str]) -> Iterator[Check]:
    """Keys with a line break or a space around them, as a file read by a shell leaves them."""
    for variable in variables:
        if environment[variable] != environment[variable].strip():
            said = f"{variable} begins or ends with white space, which providers refuse"
            yield Check(name="keys", status="note", said=said, fix=f"Set {variable} again without it.")
