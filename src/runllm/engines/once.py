"""Work that is done once for the same objects, and again where what it read of the environment has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")

_MOST = 256


class Watched(Mapping[str, str]):
    """An environment that remembers what was read of it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._read: dict[str, str | None] = {}

    def __getitem__(self, name: str) -> str:
        found = self._read[name] = self._environment.get(name)
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        raise TypeError("what is read is read by name")

    def __len__(self) -> int:
        raise TypeError("what is read is read by name")

    @property
    def is_same(self) -> bool:
        """Whether all that was read would be read again."""
        get = self._environment.get
        return all(get(name) == value for name, value in self._read.items())


class Once(Generic[T]):
    """What is made of objects, by their identity: of values that are never changed. Safe to share between threads."""

    def __init__(self, environment: Mapping[str, str], make: Callable[..., T]) -> None:
        """Make nothing yet.

        Args:
            environment: what `make` reads beside its objects.
            make: is given the objects, and the environment.
        """
        self._environment = environment
        self._make = make
        self._kept: dict[tuple[int, ...], tuple[tuple[object, ...], Watched, T]] = {}

    def of(self, *objects: object) -> T:
        """What is made of these objects; nothing is kept of what fails."""
        key = tuple(map(id, objects))
        kept = self._kept.get(key)
        if kept is not None and kept[1].is_same:
            return kept[2]
        watched = Watched(self._environment)
        made = self._make(*objects, watched)
        if len(self._kept) >= _MOST:
            self._kept.clear()
        self._kept[key] = objects, watched, made  # with the objects, so that no others get their identities
        return made
