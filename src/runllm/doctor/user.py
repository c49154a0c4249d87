"""What is the user's own: settings, keys, models, statistics, and the folders they are in. All are left as they are."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from runllm.doctor.machine import Check, missing, note, ok, wrong
from runllm.installation import REQUIREMENTS, adding
from runllm.quantities import size as in_bytes
from runllm.quantities import some

if TYPE_CHECKING:
    from runllm.settings import Configuration

_SMALL = 32 << 20  # bytes of a store that is read through in a fraction of a second
_LITTLE = 1e9  # bytes: what a useful local model takes


def configured(environment: Mapping[str, str], folder: Path | None) -> tuple[Configuration | None, list[Check]]:
    """The settings, None where they cannot be read, and what there is to say about their files."""
    name = "configuration"
    try:
        from runllm.settings import load

        found = load(folder, environment)
    except Exception as error:  # of the files, or of a library that reads them, which its own check names
        fallback = getattr(error, "recovery_hint", "") or "Check the files and their folders, and the libraries above."
        told = getattr(error, "problems", ())
        said = f"the settings cannot be read: {type(error).__name__}: {error}"
        wrongs = [wrong(name, str(problem), problem.hint or fallback) for problem in told]
        return None, wrongs or [wrong(name, said, fallback)]
    files = [layer.file for layer in found.layers if layer.file]
    said = ", ".join(files) or ("no file counts" if found.warnings else "no file, and none is needed")
    return found, [
        ok(name, said),
        *(note(name, problem.message, problem.hint) for problem in (*found.warnings, *found.replaced())),
    ]


def variables(environment: Mapping[str, str]) -> Iterator[Check]:
    """The variables that are named like a setting and are none."""
    from runllm.settings import unknown_variables

    for problem in unknown_variables(environment):
        yield note("variables", problem.message, problem.hint or "`runllm config` lists the settings.")


def keys(environment: Mapping[str, str], configuration: Configuration | None) -> Iterator[Check]:
    """The names of the variables that hold keys, and the providers that each opens. No value is read out."""
    from runllm.engines.access import addresses_of_user
    from runllm.engines.providers import PROVIDERS, facts

    opened: dict[str, list[str]] = {}
    for provider in PROVIDERS:
        known = facts(provider)
        held = [variable for variable in known.keys if environment.get(variable)]
        for variable in held:
            opened.setdefault(variable, []).append(provider)
        if held and known.addressed and known.bases and not addresses_of_user(known, environment):
            fix = f"Set {known.bases[0]}, unless your files name `llm.api_base`."
            yield note("keys", f"`{provider}` has a key and no address", fix)
    for pattern, table in configuration.settings.models.items() if configuration else ():
        variable = table.api_key_env
        if variable and environment.get(variable):
            opened.setdefault(variable, []).append(pattern)
        elif variable:
            yield note("keys", f"the settings of `{pattern}` name {variable}, which is not set", f"Set {variable}.")
    for variable in opened:
        if environment[variable] != environment[variable].strip():  # as a file read by a shell leaves it
            said = f"{variable} begins or ends with white space, which providers refuse"
            yield note("keys", said, f"Set {variable} again without it.")
    if opened:
        yield ok("keys", ", ".join(f"{variable} ({', '.join(providers)})" for variable, providers in opened.items()))
    else:
        fix = "Set your provider's, such as OPENAI_API_KEY. `local/...` and `ollama/...` models need none."
        yield missing("keys", "no variable with a provider's key is set", fix)


def ollama(environment: Mapping[str, str], configuration: Configuration | None) -> Iterator[Check]:
    """Whether the user's Ollama server answers, and how many models it has."""
    from runllm.engines.ollama_server import Server
    from runllm.errors import ProviderConnectionError, ProviderTimeoutError
    from runllm.results import Endpoint

    own = configuration.for_model("ollama/any").api_base if configuration else None
    known = {**environment, "OLLAMA_API_BASE": own} if own else environment
    try:
        server = Server(Endpoint(model="ollama/any"), known)
        models = server.models()
    except (ProviderConnectionError, ProviderTimeoutError) as error:  # down, or forbidden by `RUNLLM_LOOPBACK_ONLY`
        hint = error.recovery_hint
        yield note("Ollama", error.message, f"If you want `ollama/...` models: {hint[0].lower()}{hint[1:]}")
        return
    if models:
        yield ok("Ollama", f"{server.base}, {some(len(models), 'model')}")
    else:
        fix = "Get one with `ollama pull llama3.2`; if the server is not Ollama's, set `OLLAMA_HOST` to where that is."
        yield note("Ollama", f"{server.base} answers, and lists no model", fix)


def local_models(environment: Mapping[str, str]) -> Iterator[Check]:
    """The models that are here, and whether there is an engine to run them."""
    from importlib.util import find_spec

    from runllm.models.folder import inventory

    every = inventory(environment=environment)
    here = [model.name for model in every if model.where in ("embedded", "pulled")]
    for name in [model.name for model in every if model.where == "unfinished"]:
        fix = f"Go on with `runllm pull {name}`, or delete it with `runllm models rm {name}`."
        yield note("local models", f"the download of `{name}` is not finished", fix)
    if not here:
        fix = "Fetch the smallest with `runllm pull smollm2-135m`, if you want one."
        yield missing("local models", "none is here", fix)
    elif find_spec("xllamacpp") is None:
        yield missing(
            "local models", "models are here, and no engine to run them", adding(REQUIREMENTS["local"], "local")
        )
    else:
        yield ok("local models", ", ".join(dict.fromkeys(here)))


def folder_of_models(environment: Mapping[str, str]) -> Iterator[Check]:
    """Whether models can be pulled: the right to write, and the room."""
    import shutil

    from runllm.models.folder import models_folder

    name, folder = "models folder", models_folder(environment)
    reason = _unwritable(folder)
    if reason:
        fix = "Allow writing there, or name another folder in RUNLLM_MODELS."
        yield wrong(name, f"{folder} cannot be written: {reason}", fix)
        return
    free = shutil.disk_usage(_existing(folder)).free
    said = f"{folder}, {in_bytes(free)} free"
    more = "Free some space, or name a folder on another disk in RUNLLM_MODELS."
    yield note(name, said, more) if free < _LITTLE else ok(name, said)


def statistics(configuration: Configuration | None) -> Iterator[Check]:
    """Whether runs can be recorded, and what is recorded."""
    name = "statistics"
    if configuration is None:
        yield note(name, "not looked at: the settings say where they are", "Correct the configuration first.")
        return
    path = configuration.settings.stats_db
    if not configuration.settings.stats:
        origin = configuration.origin("stats")
        yield ok(name, f"not recorded, as {origin.place or origin.kind} says")
    elif path is None:
        yield note(name, "not recorded: there is no home folder", "Set HOME, or name a file in RUNLLM_STATS_DB.")
    elif os.path.lexists(path):
        yield _store(path)
    elif reason := _unwritable(path.parent):
        fix = "Allow writing there, or name another file in RUNLLM_STATS_DB."
        yield wrong(name, f"{path} cannot be made: {reason}", fix)
    else:
        yield ok(name, f"{path}, made with the first run")


def _store(path: Path) -> Check:
    """The state of the store, which is left as it is: no step of a newer version is taken."""
    import sqlite3
    from contextlib import closing

    from runllm.errors import StatsError
    from runllm.stats.database import STEPS, failure, migrate, transaction

    name = "statistics"
    try:
        uri = f"{path.absolute().as_uri()}?mode=rw"  # never made here
        with closing(sqlite3.connect(uri, uri=True, timeout=0.5, isolation_level=None)) as db:
            version: int = db.execute("PRAGMA user_version").fetchone()[0]
            size = path.stat().st_size
            if size:
                migrate(db, path, STEPS[:version])  # takes no step: it only refuses what is not ours, or is newer
            flaw = db.execute("PRAGMA quick_check(1)").fetchone()[0] if size < _SMALL else "ok"
            if flaw != "ok":
                return wrong(name, f"{path} is damaged", "Move the file away: a new one is made with the next run.")
            with transaction(db):  # what a run needs: the right to write
                runs = db.execute("SELECT count(*) FROM runs WHERE parent_id IS NULL").fetchone()[0] if version else 0
    except (sqlite3.Error, OSError, StatsError) as error:
        said = error if isinstance(error, StatsError) else failure(path, error)
        busy = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY  # a run would wait longer
        return (note if busy else wrong)(name, said.message, said.recovery_hint)
    older = f" of {len(STEPS)}; the next run brings it up to date" if version < len(STEPS) else ""
    return ok(name, f"{path}, {some(runs, 'run')}, {in_bytes(size)}, version {version}{older}")


def cache(environment: Mapping[str, str]) -> Iterator[Check]:
    """Where answers are kept for the next time, how large that is, and how large it may be."""
    from contextlib import closing

    from runllm.engines.cache import MOST_BYTES, Answers, answers_file
    from runllm.errors import FileAccessError

    name, bound = "cache", f"at most {in_bytes(MOST_BYTES)}"
    try:
        path = answers_file(environment)
        if path.exists():
            with closing(Answers(path)) as answers:
                held = answers.held()
            yield ok(name, f"{path}, {some(held.answers, 'answer')}, {in_bytes(held.size)}, {bound}")
        elif reason := _unwritable(path.parent):
            yield note(name, f"{path} cannot be made: {reason}", "Name another folder in RUNLLM_CACHE_FOLDER.")
        else:
            yield ok(name, f"{path}, made with the first run under `--cache`, {bound}")
    except FileAccessError as error:
        yield (wrong if error.details else note)(name, error.message, error.recovery_hint)  # without: there is no home


def home() -> Iterator[Check]:
    """Whether the folder of the user's own settings can be written."""
    from runllm.settings.files import user_folder

    name, folder = "home folder", user_folder()
    if folder is None:
        fix = "Set HOME, or name a file in RUNLLM_CONFIG."
        yield note(name, "none is named: no settings of your own", fix)
    elif reason := _unwritable(folder):
        fix = "Allow writing there, or name files elsewhere in RUNLLM_CONFIG and RUNLLM_STATS_DB."
        yield note(name, f"{folder} cannot be written: {reason}", fix)
    else:
        yield ok(name, str(folder))


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    folder = folder.absolute()
    return next(path for path in (folder, *folder.parents) if path.exists())


def _unwritable(folder: Path) -> str | None:
    """Why nothing can be made in a folder, which may be still to be made."""
    from runllm.files import unwritable

    try:
        return unwritable(_existing(folder))
    except OSError as error:
        return error.strerror or str(error)
