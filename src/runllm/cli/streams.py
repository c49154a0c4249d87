"""Standard streams that nothing can be wrong with: closed ones lead nowhere, and every letter can be written."""

from __future__ import annotations

import codecs
import json
import os
import sys
from typing import Any

_DESCRIPTORS = (0, 1, 2)
_ESCAPING = "runllm.escaping"


def fill() -> None:
    """Open what is closed of input, output and error, so that nothing else is opened in its place and written to.

    What is written to a stream that was closed is dropped.
    """
    for descriptor in _DESCRIPTORS:
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free, which is this one
    streams: Any = sys
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(streams, name, open(descriptor, "w", encoding="utf-8", closefd=False))  # noqa: SIM115 - for good


def widen() -> None:
    r"""Have standard output write a letter that its encoding lacks as JSON does, `\u20ac`, and not fail for it."""
    stream: Any = sys.stdout
    if getattr(stream, "errors", None) == "strict":
        codecs.register_error(_ESCAPING, _escaped)
        stream.reconfigure(errors=_ESCAPING)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end
