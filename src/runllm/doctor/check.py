"""What one look at a part finds, as a value; and a part that fails, as a finding."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from runllm.values import frozen

Status = Literal["ok", "note", "missing", "wrong"]


@frozen
class Check:
    """One thing that was looked at.

    Attributes:
        name: what it is.
        status: `ok`; `note` for what is worth knowing and stops nothing; `missing` where one kind of model cannot be
            used for lack of it; `wrong` where something fails until it is mended.
        said: what was found, in a few words. Secrets are masked, and no key is ever part of it.
        fix: what to do; empty where there is nothing to do.
    """

    name: str
    status: Status
    said: str
    fix: str = ""


def guarded(name: str, part: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """What a part finds; where it fails, that is its last finding."""
    try:
        yield from part()
    except Exception as error:  # whatever is broken here is what the user wants to know
        fix = getattr(error, "recovery_hint", "") or "Mend what these words name; without a clue, please report them."
        yield Check(name=name, status="wrong", said=f"{type(error).__name__}: {error}", fix=fix)
