"""The local catalogue: which models there are, how one is pulled and verified, found, and removed.

`known` are the models with a name; any GGUF file of the hub is `hf:ORG/REPO:FILE`. Pulled files are in one folder,
`RUNLLM_MODELS` or the user's own; nothing is pulled unless it is asked for. What pulls and lists is imported when it is
used: a run of a local model only looks up where its file is.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runllm.models.folder import Held, Model, inventory, remove
    from runllm.models.pulling import Progress, pull

__all__ = ["Held", "Model", "Progress", "inventory", "pull", "remove"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{'pulling' if name in ('Progress', 'pull') else 'folder'}"), name)
