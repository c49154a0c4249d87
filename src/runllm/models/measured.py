"""How fast local models are on this machine, as `runllm models bench` found: a small file beside the models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from runllm.models.folder import models_folder, writing
from runllm.values import frozen

_FILE = "measured.json"


@frozen
class Measured:
    """What one measurement found.

    Attributes:
        load: seconds until the weights were ready.
        prompt_speed: tokens of a prompt that are read in a second.
        speed: tokens of an answer that are written in a second.
        memory: the most bytes that the process held.
    """

    load: float
    prompt_speed: float
    speed: float
    memory: int


def measured(path: Path) -> Measured | None:
    """What was measured of a file of weights; None for nothing, or where the file is another one since."""
    found = _read().get(_key(path))
    try:
        return Measured(**cast("dict[str, Any]", found)) if isinstance(found, dict) else None
    except TypeError:  # of another version
        return None


def keep(path: Path, found: Measured) -> None:
    """Remember what was measured of a file of weights.

    Raises:
        FileAccessError: it cannot be written.
    """
    place = models_folder() / _FILE
    with writing(place):
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = place.with_suffix(".part")
        part.write_text(json.dumps({**_read(), _key(path): asdict(found)}, indent=2) + "\n", encoding="utf-8")
        part.replace(place)


def _read() -> Mapping[str, Any]:
    try:
        found = json.loads((models_folder() / _FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return cast("Mapping[str, Any]", found) if isinstance(found, dict) else {}


def _key(path: Path) -> str:
    try:
        return f"{path.resolve()} {path.stat().st_size}"
    except OSError:
        return str(path)
