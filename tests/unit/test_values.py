"""A value behaves as the frozen dataclass that it stands for."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any

import pytest

from runllm.values import frozen, record


@frozen
class Point:
    x: int
    y: int = 2
    names: list[str] = field(default_factory=list[str])
    secret: str = field(default="", repr=False)

    @property
    def sum(self) -> int:
        return self.x + self.y


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    x: int
    y: int = 2
    names: list[str] = field(default_factory=list[str])
    secret: str = field(default="", repr=False)


@frozen
class Named:
    name: str

    def __repr__(self) -> str:
        return f"<{self.name}>"


@pytest.mark.parametrize("given", [{"x": 1}, {"x": 1, "y": 5, "names": ["a"], "secret": "s"}, {"names": [], "x": 0}])
def test_it_is_the_dataclass_but_for_its_name(given: dict[str, Any]) -> None:
    """Fields, defaults, `asdict`, `repr` and slots are those of a frozen dataclass with the same body."""
    ours, twin = Point(**given), Twin(**given)
    assert asdict(ours) == asdict(twin)
    assert repr(ours) == repr(twin).replace("Twin", "Point")
    assert [one.name for one in fields(ours)] == [one.name for one in fields(twin)]
    assert is_dataclass(Point)
    assert Point.__slots__ == Twin.__slots__
    assert not hasattr(ours, "__dict__")


def test_equal_contents_make_equal_values() -> None:
    """Equality and hash are those of the contents, and only within one class."""
    one = Point(x=1, names=())  # type: ignore[arg-type]
    assert one == Point(x=1, names=())  # type: ignore[arg-type]
    assert hash(one) == hash(Point(x=1, names=()))  # type: ignore[arg-type]
    assert one != Point(x=2, names=())  # type: ignore[arg-type]
    assert one != Twin(x=1, names=())  # type: ignore[arg-type]


def test_each_value_has_its_own_defaults() -> None:
    """What a factory makes is not shared."""
    Point(x=1).names.append("a")
    assert Point(x=1).names == []


@pytest.mark.parametrize(
    ("given", "said"),
    [({}, "misses 'x'"), ({"x": 1, "z": 2}, "no field 'z'"), ({"y": 1, "z": 2}, "no field 'z'")],
)
def test_wrong_names_are_said(given: dict[str, Any], said: str) -> None:
    """A missing or unknown field is a TypeError that names it; so is one without a name."""
    with pytest.raises(TypeError, match=said):
        Point(**given)
    with pytest.raises(TypeError, match="positional"):
        Point(1)  # type: ignore[misc]


def test_it_never_changes() -> None:
    """A field can be neither set nor deleted; `replace` makes another value."""
    point = Point(x=1)
    with pytest.raises(FrozenInstanceError, match="x"):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError, match="x"):
        del point.x
    assert replace(point, x=5) == Point(x=5)
    assert point == Point(x=1)


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])  # noqa: S301
def test_copies_and_pickles_are_equal(again: Any) -> None:
    """A value goes to another process and comes back."""
    point = Point(x=1, names=["a"], secret="s")
    assert again(point) == point


def test_own_methods_stay() -> None:
    """What a class defines itself is kept, and fields can be matched by name."""
    assert repr(Named(name="a")) == "<a>"
    match Point(x=1):
        case Point(x=x, sum=total):
            assert (x, total) == (1, 3)


@record
class Basket:
    owner: str
    eggs: list[int] = field(default_factory=list[int])


def test_a_record_changes_and_is_itself_alone() -> None:
    """It is filled step by step; two with the same contents are two."""
    basket = Basket(owner="Ann")
    basket.eggs.append(1)
    basket.owner = "Ben"
    assert asdict(basket) == {"owner": "Ben", "eggs": [1]}
    assert repr(basket) == "Basket(owner='Ben', eggs=[1])"
    assert basket != Basket(owner="Ben", eggs=[1])
    assert not hasattr(basket, "__dict__")


def test_a_class_costs_no_dataclass_until_its_fields_are_asked_for() -> None:
    """What `dataclasses` makes of a class is made once, and late."""

    @frozen
    class Fresh:
        name: str = "a"

    assert not isinstance(vars(Fresh)["__dataclass_fields__"], dict)
    assert [one.default for one in fields(Fresh)] == ["a"]
    assert isinstance(vars(Fresh)["__dataclass_fields__"], dict)


@pytest.mark.parametrize("default", [[], {}, set()])
def test_a_default_that_all_values_would_share_is_refused(default: object) -> None:
    """When the class is made, as a dataclass does."""
    with pytest.raises(ValueError, match="the default of `many` can change"):

        @frozen
        class Shared:
            many: object = default
