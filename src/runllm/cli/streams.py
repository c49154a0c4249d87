"""Standard streams that were closed lead nowhere, so that nothing else is opened in their place and written to."""

from __future__ import annotations

import os
import sys
from typing import Any

_DESCRIPTORS = (0, 1, 2)


def fill() -> None:
    """Open what is closed of input, output and error; text that is written there is dropped."""
    for descriptor in _DESCRIPTORS:
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free, which is this one
    streams: Any = sys
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(streams, name, open(descriptor, "w", encoding="utf-8", closefd=False))  # noqa: SIM115 - for good
