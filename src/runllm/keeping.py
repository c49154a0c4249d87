"""Files of a user's that no result is written over."""

from __future__ import annotations

import os

from runllm.errors import UsageError


def keep_apps(path: str, *read: str, new: bool = False) -> None:
    """Refuse to write what a command found over an app, its tests or its cassette.

    Args:
        path: where it is to be written.
        read: what the command reads, whatever it is called.
        new: whether no such file is made either, as a report would be taken for one.

    Raises:
        UsageError: that is what is named.
    """
    name = os.path.basename(path)  # noqa: PTH119 - text is all that is needed
    is_own = name.endswith((".rllm", ".cassette.yaml")) or ".tests." in name
    if (is_own and (new or os.path.lexists(path))) or any(are_one(path, one) for one in read):
        said = f"`{path}` is an app, its tests or its cassette, and no place for what is found"
        raise UsageError(said, hint="Name another file.")


def are_one(path: str, other: str) -> bool:
    """Whether two paths lead to the same file, which is there."""
    try:
        return os.path.samefile(path, other)  # noqa: PTH121 - text is all that is needed
    except (OSError, ValueError):
        return False
