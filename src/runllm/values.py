"""Values: frozen, slotted dataclasses by keyword, whose methods stand here once instead of being compiled for each.

`dataclass(frozen=True)` writes and compiles six methods for every class, half a millisecond each time: with the
hundred values of this package, a fifth of what a command takes to start. Its fields are made when they are asked for,
by `dataclass` itself, so `replace`, `fields` and `asdict` work as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields, replace
from functools import cache
from reprlib import recursive_repr
from typing import Any, TypeVar, cast, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def frozen(cls: type[T]) -> type[T]:
    """Make a class of annotated names a value, as `dataclass(frozen=True, slots=True, kw_only=True)` does.

    A method that the class defines itself is kept. A value is no base of another.
    """
    return _made(cls, {**_METHODS, **_CONSTANT})


@dataclass_transform(kw_only_default=True, field_specifiers=(field,))
def record(cls: type[T]) -> type[T]:
    """As `frozen`, for what is filled step by step: it may change, and equals itself alone."""
    return _made(cls, _METHODS)


def _made(cls: type[T], methods: Mapping[str, Any]) -> type[T]:
    names = tuple(cls.__annotations__)
    body = {name: said for name, said in vars(cls).items() if name not in ("__dict__", "__weakref__")}
    given = {name: body.pop(name) for name in names if name in body}
    put: dict[str, Callable[[Any, Any], None]] = {}
    twin = cache(lambda: _as_dataclass(names, given))
    known = {name: _Late(twin, name) for name in ("__dataclass_fields__", "__dataclass_params__")}
    own = {"__slots__": names, "__qualname__": cls.__qualname__}
    written = {**methods, "__init__": _initialiser(put, given), **body}
    made: Any = type(cls)(cls.__name__, cls.__bases__, {**written, **known, **own})
    put.update((name, getattr(made, name).__set__) for name in names)
    return made


def _as_dataclass(names: tuple[str, ...], given: Mapping[str, Any]) -> type:
    """A dataclass of fields with these names and defaults."""
    body = {"__annotations__": dict.fromkeys(names, Any), "__doc__": "-", **given}  # else one is made of its signature
    return dataclass(kw_only=True, init=False, repr=False, eq=False)(type("twin", (), body))


class _Late:
    """What `dataclasses` keeps at a class, made when it is asked for: of most classes it never is."""

    def __init__(self, twin: Callable[[], type], name: str) -> None:
        self.twin = twin
        self.name = name

    def __get__(self, _: object, owner: type) -> Any:
        made = getattr(self.twin(), self.name)
        setattr(owner, self.name, made)
        return made


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def often(cls: type[T]) -> type[T]:
    """As `frozen`, for values that are made by the million: `__init__` is compiled, and takes a third of the time."""
    made = dataclass(slots=True, kw_only=True, frozen=True, repr=False, eq=False)(cls)
    for name, method in {**_METHODS, **_CONSTANT}.items():
        if name not in vars(cls):
            setattr(made, name, method)
    return made


def _initialiser(put: Mapping[str, Callable[[Any, Any], None]], stated: Mapping[str, Any]) -> Callable[..., None]:
    """The `__init__` of a class: each field is given by name, or takes its default."""
    defaults, factories = _defaults(stated)

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


def _defaults(stated: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Callable[[], Any]]]:
    """What fields have that are not given, and what makes it for those that get one of their own each time."""
    defaults: dict[str, Any] = {}
    factories: dict[str, Callable[[], Any]] = {}
    for name, one in stated.items():
        if not isinstance(one, Field):
            if type(one).__hash__ is None:
                raise ValueError(f"the default of `{name}` can change, and all values would share it")
            defaults[name] = one
        elif (described := cast("Field[Any]", one)).default_factory is not MISSING:
            factories[name] = described.default_factory
        elif described.default is not MISSING:
            defaults[name] = described.default
    return defaults, factories


def _wrong_names(made: Any, given: Mapping[str, Any], wanted: Mapping[str, Any]) -> TypeError:
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


_METHODS: dict[str, Any] = {
    "__repr__": _repr,
    "__getstate__": _contents,
    "__setstate__": _restore,
    "__replace__": replace,
}
_CONSTANT: dict[str, Any] = {
    "__eq__": _equal,
    "__hash__": _hash,
    "__setattr__": _refuse,
    "__delattr__": _refuse,
}
