"""Where runllm writes: the statistics, the folder of models, the folder of settings. All are left as they are."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from runllm.doctor.check import Check
from runllm.files import unwritable
from runllm.quantities import size as in_bytes
from runllm.quantities import some

if TYPE_CHECKING:
    from runllm.errors import StatsError
    from runllm.settings import Configuration

_SMALL = 32 << 20  # bytes of a store that is read through in a fraction of a second


def statistics(configuration: Configuration | None) -> Iterator[Check]:
    """Whether runs can be recorded, and what is recorded."""
    if configuration is None:
        said, fix = "not looked at: the settings say where they are", "Correct the configuration first."
        yield Check(name="statistics", status="note", said=said, fix=fix)
        return
    path = configuration.settings.stats_db
    if not configuration.settings.stats:
        origin = configuration.origin("stats")
        yield Check(name="statistics", status="ok", said=f"not recorded, as {origin.place or origin.kind} says")
    elif path is None:
        said, fix = "not recorded: there is no home folder", "Set HOME, or name a file in RUNLLM_STATS_DB."
        yield Check(name="statistics", status="note", said=said, fix=fix)
    elif os.path.lexists(path):
        yield _store(path)
    elif reason := _unwritable(path.parent):
        fix = "Allow writing there, or name another file in RUNLLM_STATS_DB."
        yield Check(name="statistics", status="wrong", said=f"{path} cannot be made: {reason}", fix=fix)
    else:
        yield Check(name="statistics", status="ok", said=f"{path}, made with the first run")


def _store(path: Path) -> Check:
    """The state of the store, which is left as it is: no step of a newer version is taken."""
    import sqlite3
    from contextlib import closing

    from runllm.errors import StatsError
    from runllm.stats.database import STEPS, failure, migrate, transaction

    try:
        uri = f"{path.absolute().as_uri()}?mode=rw"  # never made here
        with closing(sqlite3.connect(uri, uri=True, timeout=0.5, isolation_level=None)) as db:
            version: int = db.execute("PRAGMA user_version").fetchone()[0]
            size = path.stat().st_size
            if size:
                migrate(db, path, STEPS[:version])  # takes no step: it only refuses what is not ours, or is newer
            flaw = db.execute("PRAGMA quick_check(1)").fetchone()[0] if size < _SMALL else "ok"
            if flaw != "ok":
                fix = "Move the file away: a new one is made with the next run."
                return Check(name="statistics", status="wrong", said=f"{path} is damaged", fix=fix)
            with transaction(db):  # what a run needs: the right to write
                runs = db.execute("SELECT count(*) FROM runs WHERE parent_id IS NULL").fetchone()[0] if version else 0
    except (sqlite3.Error, OSError) as error:
        locked = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY  # a run would wait longer
        return _failed(failure(path, error), passing=locked)
    except StatsError as error:
        return _failed(error)
    older = f" of {len(STEPS)}; the next run brings it up to date" if version < len(STEPS) else ""
    said = f"{path}, {some(runs, 'run')}, {in_bytes(size)}, version {version}{older}"
    return Check(name="statistics", status="ok", said=said)


def _failed(error: StatsError, *, passing: bool = False) -> Check:
    status = "note" if passing else "wrong"
    return Check(name="statistics", status=status, said=error.message, fix=error.recovery_hint)


_LITTLE = 1e9  # bytes: what a useful local model takes


def folder_of_models(environment: Mapping[str, str]) -> Iterator[Check]:
    """Whether models can be pulled: the right to write, and the room."""
    import shutil

    from runllm.models.folder import models_folder

    folder = models_folder(environment)
    reason = _unwritable(folder)
    if reason:
        fix = "Allow writing there, or name another folder in RUNLLM_MODELS."
        yield Check(name="models folder", status="wrong", said=f"{folder} cannot be written: {reason}", fix=fix)
        return
    free = shutil.disk_usage(_existing(folder)).free
    said = f"{folder}, {in_bytes(free)} free"
    if free < _LITTLE:
        fix = "Free some space, or name a folder on another disk in RUNLLM_MODELS."
        yield Check(name="models folder", status="note", said=said, fix=fix)
    else:
        yield Check(name="models folder", status="ok", said=said)


def home() -> Iterator[Check]:
    """Whether the folder of the user's own settings can be written."""
    from runllm.settings.files import user_folder

    folder = user_folder()
    if folder is None:
        said, fix = "none is named: no settings of your own", "Set HOME, or name a file in RUNLLM_CONFIG."
        yield Check(name="home folder", status="note", said=said, fix=fix)
    elif reason := _unwritable(folder):
        fix = "Allow writing there, or name files elsewhere in RUNLLM_CONFIG and RUNLLM_STATS_DB."
        yield Check(name="home folder", status="note", said=f"{folder} cannot be written: {reason}", fix=fix)
    else:
        yield Check(name="home folder", status="ok", said=str(folder))


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    folder = folder.absolute()
    return next(path for path in (folder, *folder.parents) if path.exists())


def _unwritable(folder: Path) -> str | None:
    """Why nothing can be made in a folder, which may be still to be made."""
    try:
        return unwritable(_existing(folder))
    except OSError as error:
        return error.strerror or str(error)
