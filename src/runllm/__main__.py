"""The `runllm` command, also as `python -m runllm`."""

from __future__ import annotations

import gc
import sys
from typing import NoReturn

_FEW_COLLECTIONS = 50_000
_INTERRUPTED = 130


def main() -> NoReturn:
    """Run the command line and exit with its status."""
    try:
        from runllm.installation import refusal

        if (why := refusal()) is not None:
            sys.exit(why)
        # Importing makes many objects and no garbage: the collector, left alone, looks at them all over and over.
        gc.set_threshold(_FEW_COLLECTIONS)
        from runllm.cli import main as command_line

        command_line()
    except KeyboardInterrupt:  # while it was loading: nothing has begun, and there is nothing to say
        sys.exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
