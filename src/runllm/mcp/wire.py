"""Standard input and output, taken for the protocol before anything is loaded: what a library prints is an error's."""

from __future__ import annotations

import os

from runllm.values import frozen


@frozen
class Wire:
    """The descriptors that carry the protocol."""

    reading: int
    writing: int


def taken() -> Wire:
    """The wire, which from now on nothing else in this process reads from or writes to."""
    wire = Wire(reading=os.dup(0), writing=os.dup(1))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return wire
