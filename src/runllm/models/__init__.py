"""The local catalogue: which models there are, how one is pulled and verified, found, and removed.

`KNOWN` are the models with a name; any GGUF file of the hub is `hf:ORG/REPO:FILE`. Pulled files are in one folder,
`RUNLLM_MODELS` or the user's own; nothing is pulled unless it is asked for.

What pulls and lists is imported when it is used: a run of a local model only looks up where its file is.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runllm.models.growing import Listener, Progress
    from runllm.models.known import KNOWN, HubModel, KnownModel, PackagedModel
    from runllm.models.listing import Model, Removed, inventory, remove
    from runllm.models.pulling import Pulled, pull
    from runllm.models.store import models_folder

_HOMES = {
    "growing": ("Listener", "Progress"),
    "known": ("KNOWN", "HubModel", "KnownModel", "PackagedModel"),
    "listing": ("Model", "Removed", "inventory", "remove"),
    "pulling": ("Pulled", "pull"),
    "store": ("models_folder",),
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
