"""Values: frozen, slotted dataclasses by keyword, whose methods stand here once instead of being compiled for each.

`dataclass(frozen=True)` writes and compiles six methods for every class, half a millisecond each time: with the
hundred values of this package, a fifth of what a command takes to start. The fields are the dataclass's own, so
`replace`, `fields` and `asdict` work as ever.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields
from reprlib import recursive_repr
from typing import Any, TypeVar, cast, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def frozen(cls: type[T]) -> type[T]:
    """Make a class of annotated names a value, as `dataclass(frozen=True, slots=True, kw_only=True)` does.

    A method that the class defines itself is kept. A value is no base of another.
    """
    annotations = cls.__annotations__
    cls.__annotations__ = dict.fromkeys(annotations, Any)  # a text is searched for `ClassVar`, a third of the time
    made = dataclass(slots=True, kw_only=True, init=False, repr=False, eq=False)(cls)
    made.__annotations__ = annotations
    return _given(made, cls, {**_METHODS, "__init__": _initialiser(made)})


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def often(cls: type[T]) -> type[T]:
    """As `frozen`, for values that are made by the million: `__init__` is compiled, and takes a third of the time."""
    return _given(dataclass(slots=True, kw_only=True, frozen=True, repr=False, eq=False)(cls), cls, _METHODS)


def _given(made: type[T], cls: type[T], methods: dict[str, Any]) -> type[T]:
    """The class with the methods that it does not define itself."""
    for name, method in methods.items():
        if name not in cls.__dict__:
            setattr(made, name, method)
    return made


def _initialiser(made: Any) -> Callable[..., None]:
    """The `__init__` of a class: each field is given by name, or takes its default."""
    found = fields(made)
    put = {one.name: getattr(made, one.name).__set__ for one in found}
    defaults = {one.name: one.default for one in found if one.default is not MISSING}
    factories = {one.name: one.default_factory for one in found if one.default_factory is not MISSING}

    def __init__(self: Any, **given: Any) -> None:  # noqa: N807 - it is one
        if len(given) < len(put):
            given = {**defaults, **given}
            for name, make in factories.items():
                if name not in given:
                    given[name] = make()
        try:
            for name, content in given.items():
                put[name](self, content)
        except KeyError:
            raise _wrong_names(self, given, put) from None
        if len(given) < len(put):
            raise _wrong_names(self, given, put)

    return __init__


def _wrong_names(made: Any, given: dict[str, Any], wanted: dict[str, Any]) -> TypeError:
    missing = ", ".join(repr(name) for name in wanted if name not in given)
    unknown = ", ".join(repr(name) for name in given if name not in wanted)
    said = f"has no field {unknown}" if unknown else f"misses {missing}"
    return TypeError(f"{type(made).__qualname__} {said}")


def _contents(self: Any) -> tuple[Any, ...]:
    return tuple(getattr(self, name) for name in self.__slots__)


def _equal(self: Any, other: object) -> bool:
    return _contents(self) == _contents(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(_contents(self))


@recursive_repr()
def _repr(self: Any) -> str:
    shown = ", ".join(f"{one.name}={getattr(self, one.name)!r}" for one in fields(self) if one.repr)
    return f"{type(self).__qualname__}({shown})"


def _refuse(self: Any, name: str, *_: object) -> None:
    del self
    raise FrozenInstanceError(f"cannot change field {name!r}")


def _restore(self: Any, contents: tuple[Any, ...]) -> None:
    for name, content in zip(self.__slots__, contents, strict=True):
        object.__setattr__(self, name, content)


_METHODS = cast(
    "dict[str, Any]",
    {
        "__eq__": _equal,
        "__hash__": _hash,
        "__repr__": _repr,
        "__setattr__": _refuse,
        "__delattr__": _refuse,
        "__getstate__": _contents,
        "__setstate__": _restore,
    },
)
