"""The moment at which a run began, as templates and blocks read it under `run`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from runllm.diagnostics import clip
from runllm.errors import ConfigError

if TYPE_CHECKING:
    from datetime import datetime

VARIABLE = "RUNLLM_NOW"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "date": {"type": "string", "format": "date"},
        "time": {"type": "string", "minLength": 8, "maxLength": 8},  # the format `time` would want the offset as well
        "timezone": {"type": "string", "minLength": 6, "maxLength": 6},
    },
    "required": ["date", "time", "timezone"],
    "additionalProperties": False,
}
"""Of what `run` holds."""


def now() -> datetime:
    """The moment it is where the user is, or the one that `RUNLLM_NOW` says.

    Raises:
        ConfigError: the variable says no moment.
    """
    from datetime import datetime  # checking a file needs none of it

    said = os.environ.get(VARIABLE, "").strip()
    try:
        moment = datetime.fromisoformat(said) if said else datetime.now().astimezone()
        return moment if moment.tzinfo else moment.astimezone()
    except (ValueError, OverflowError, OSError):  # the last two for a year that no clock shows
        raise ConfigError(
            f"`{VARIABLE}` is not a moment in ISO 8601: {clip(said, 60)!r}",
            hint=f"Write it as `{VARIABLE}=2026-11-30T10:49:28+01:00`, or take the variable out of your environment.",
        ) from None


def spelt(moment: datetime) -> dict[str, str]:
    """What `run` holds: date, time and offset from UTC, each as text."""
    text = moment.isoformat(timespec="seconds")
    return {"date": text[:10], "time": text[11:19], "timezone": text[19:25]}
