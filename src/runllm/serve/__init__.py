"""An HTTP service of apps: each file an endpoint, a form and a line in the figures.

`catalog` holds the apps, `house` runs them within its limits, `web` speaks HTTP, `server` starts and ends it. What
goes out is decided in three places: `refusals` says what of an error may be told, `guard` who may ask, `run` what
of a run is shown. `runllm.mcp` has the first of each, and speaks another protocol.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runllm.serve.access import Access
    from runllm.serve.house import House, Limits
    from runllm.serve.server import serve

_HOME = {"Access": "access", "House": "house", "Limits": "house", "serve": "server"}
__all__ = ["Access", "House", "Limits", "serve"]


def __getattr__(name: str) -> Any:  # who needs the house alone does not load what speaks HTTP
    if name not in _HOME:
        raise AttributeError(f"module 'runllm.serve' has no attribute {name!r}")
    return getattr(import_module(f"runllm.serve.{_HOME[name]}"), name)
