"""Which runs are meant, as SQL."""

from __future__ import annotations

from typing import Any

from runllm.values import frozen

_OF_APP = "(runs.app = :app OR runs.digest = :app OR runs.path = :app)"


def storable(text: str) -> str:
    """`text` as UTF-8 can hold it: a path may have bytes that are no text, which Python keeps as surrogates."""
    return text.encode("utf-8", "backslashreplace").decode()


@frozen
class Selection:
    """Which runs are meant.

    Without an app or a model these are the runs that no other run used. An app's or a model's runs are
    meant wherever they happened, as a child too. A shared child is no run, since nothing ran.

    Attributes:
        app: name, content hash or path of an app; None for all.
        model: the run's model; None for all.
        since: Unix seconds of the earliest start; None for all.
    """

    app: str | None = None
    model: str | None = None
    since: float | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """The values that the conditions name."""
        return {
            "app": None if self.app is None else storable(self.app),
            "model": None if self.model is None else storable(self.model),
            "since": self.since,
        }

    @property
    def meant(self) -> str:
        """SQL for "this row of `runs` is meant"."""
        everywhere = self.app is not None or self.model is not None
        return f"{self.matching} AND NOT runs.shared" + ("" if everywhere else " AND runs.parent_id IS NULL")

    @property
    def matching(self) -> str:
        """SQL for "this row of `runs` has this app, model and time", whatever it is a part of."""
        asked = {
            _OF_APP: self.app,
            "runs.model = :model": self.model,
            "runs.started >= :since": self.since,
        }
        return " AND ".join(["1", *(condition for condition, value in asked.items() if value is not None)])

    @property
    def below(self) -> str | None:
        """SQL for "this row is a part of a run that is meant, and is not meant itself"; None where parts do not count.

        What a run spent includes its children, unless a single model is asked for: then each run
        stands for itself.
        """
        if self.model is not None:
            return None
        return "NOT runs.shared" if self.app is None else f"NOT runs.shared AND NOT {_OF_APP}"
