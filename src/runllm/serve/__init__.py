"""An HTTP service of apps: each file an endpoint, a form and a line in the figures.

`catalog` holds the apps, `house` runs them within its limits, `web` speaks HTTP, `server` starts and ends it. What
goes out is decided in three places: `refusals` says what of an error may be told, `guard` who may ask, `run` what
of a run is shown.
"""

from runllm.serve.access import Access
from runllm.serve.house import House, Limits
from runllm.serve.server import serve

__all__ = ["Access", "House", "Limits", "serve"]
