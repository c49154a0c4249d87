"""The local catalogue: which models there are, how one is pulled and verified, found, and removed.

`KNOWN` are the models with a name; any GGUF file of the hub is `hf:ORG/REPO:FILE`. Pulled files are in one folder,
`RUNLLM_MODELS` or the user's own; nothing is pulled unless it is asked for.

What pulls and lists is imported when it is used: a run of a local model only looks up where its file is.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runllm.models.folder import Model, Removed, inventory, models_folder, remove
    from runllm.models.known import KNOWN, HubModel, KnownModel, PackagedModel
    from runllm.models.pulling import Listener, Progress, Pulled, pull

_HOMES = {
    "pulling": ("Listener", "Progress", "Pulled", "pull"),
    "known": ("KNOWN", "HubModel", "KnownModel", "PackagedModel"),
    "folder": ("Model", "Removed", "inventory", "models_folder", "remove"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "KNOWN", "HubModel", "KnownModel", "Listener", "Model", "PackagedModel", "Progress", "Pulled", "Removed",
    "inventory", "models_folder", "pull", "remove",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
