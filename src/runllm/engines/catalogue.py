"""Where the weights of a `local/...` model are; nothing is imported, loaded or fetched.

`local/smollm2-135m` is a model of the catalogue, in an installed package or pulled. `local/hf:ORG/REPO:FILE` is a
pulled file of the hub. `local/<path>.gguf` is a file, relative to the folder of the `.rllm` file that names it.
"""

from __future__ import annotations

from pathlib import Path

from runllm.errors import ModelNotFoundError
from runllm.models.folder import Store, models_folder
from runllm.models.gguf import starts_as_gguf, trained_window
from runllm.models.known import HUB, KNOWN, PREFIX, PackagedModel, installed, source_of, unknown
from runllm.results import Endpoint

__all__ = ["PREFIX", "locate", "trained_window"]


def locate(endpoint: Endpoint) -> Path:
    """The weights of a `local/...` model: an existing GGUF file.

    Raises:
        ModelNotFoundError: no such name, no such file, or not a GGUF file. For a model that can be pulled and has
            not been, `details["pull"]` is the name to give to `runllm.models.pull`.
    """
    name = endpoint.model.removeprefix(PREFIX)
    if name in KNOWN or name.startswith(HUB):
        return _checked(_here(name), endpoint.model)
    if not name.lower().endswith(".gguf"):
        raise unknown(name)
    try:
        file = Path(name).expanduser()
    except RuntimeError:  # `~somebody`, who has no home here
        file = Path(name)
    path = (endpoint.folder or Path()) / file
    if endpoint.within is not None:  # looked at again: since the file was checked, a link may have been put there
        path = path.resolve()
        if not path.is_relative_to(endpoint.within):
            raise ModelNotFoundError(f"`{endpoint.model}` leaves the project: it leads to {path}")
    return _checked(path, endpoint.model)


def _here(name: str) -> Path:
    """The file of a model that can be pulled: in an installed package, or in the folder of pulled models."""
    source = source_of(name)
    packaged = installed(source) if isinstance(source, PackagedModel) else None
    if packaged is not None and packaged.is_file():
        return packaged
    pulled = Store(models_folder()).find(name, source)
    if pulled is not None:
        return pulled.path
    raise ModelNotFoundError(
        f"`{PREFIX}{name}` has not been downloaded",
        hint=f"Run `runllm pull {name}`, or add `--auto-pull` to let a run do it.",
        details={"pull": name},
    )


def _checked(path: Path, name: str) -> Path:
    try:
        sound = starts_as_gguf(path)
    except (OSError, ValueError) as error:  # a name may hold what no path can
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ModelNotFoundError(f"the file of `{name}` cannot be read: {path}: {reason}") from None
    if not sound:
        raise ModelNotFoundError(
            f"the file of `{name}` is not a GGUF model: {path}",
            hint="Only the GGUF format runs here; a file that starts otherwise may be a broken download.",
        )
    return path
