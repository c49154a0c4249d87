"""A proof, part by part, that every value of one canonical form is one of another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runllm.subtyping.canonical import canonical, covers, entered

if TYPE_CHECKING:
    from jsonschema_rs import CanonicalSchema
    from jsonschema_rs.canonical import ArrayView, ObjectView

_MOST_STEPS = 1_000


class Proof:
    """That one canonical form admits all of another, part by part.

    Linear where the library's own containment is not, and it follows references: a pair of forms
    that turns up again, deeper in the value, may be taken as proven, since values end somewhere.
    """

    def __init__(self) -> None:
        self._steps = _MOST_STEPS
        self._depth = 0  # in the value
        self._open: dict[tuple[CanonicalSchema, CanonicalSchema], int] = {}

    def holds(self, source: CanonicalSchema, target: CanonicalSchema) -> bool:
        """Whether every value of `source` is proven to be one of `target`; False when it is not known."""
        from jsonschema_rs import canonical as forms

        self._steps -= 1
        if self._steps < 0:
            return False
        given, wanted = source.view(), target.view()
        if isinstance(given, forms.ReferenceView) or isinstance(wanted, forms.ReferenceView):
            return self._referred(source, target)
        if isinstance(given, forms.AnyOfView | forms.OneOfView):
            return all(self.holds(branch, target) for branch in given.branches)
        if isinstance(wanted, forms.AllOfView):
            return all(self.holds(source, branch) for branch in wanted.branches)
        if isinstance(given, forms.AllOfView):
            return any(self.holds(branch, target) for branch in given.branches)
        if isinstance(wanted, forms.AnyOfView) and any(self.holds(source, branch) for branch in wanted.branches):
            return True
        if isinstance(given, forms.ObjectView) and isinstance(wanted, forms.ObjectView):
            return self._objects(given, wanted)
        if isinstance(given, forms.ArrayView) and isinstance(wanted, forms.ArrayView):
            return self._arrays(given, wanted)
        if isinstance(given, forms.EnumView) and isinstance(wanted, forms.EnumView):
            return {*map(forms.json.to_string, given.values)} <= {*map(forms.json.to_string, wanted.values)}
        # For objects and lists the library's answer is cheap only where the target looks at the type alone.
        simple = not isinstance(given, forms.ObjectView | forms.ArrayView)
        return (simple or isinstance(wanted, forms.MultiTypeView | forms.TrueView)) and covers(target, source)

    def _referred(self, source: CanonicalSchema, target: CanonicalSchema) -> bool:
        pair = (source, target)
        if pair in self._open:
            return self._depth > self._open[pair]
        self._open[pair] = self._depth
        try:
            inside = (entered(source), entered(target))
            return inside != pair and self.holds(*inside)
        finally:
            del self._open[pair]

    def _inside(self, source: CanonicalSchema | None, target: CanonicalSchema | None) -> bool:
        """Whether a part of a value holds; None is a part that may be anything."""
        if target is None:
            return True
        self._depth += 1
        try:
            return self.holds(canonical(True) if source is None else source, target)
        finally:
            self._depth -= 1

    def _objects(self, given: ObjectView, wanted: ObjectView) -> bool:
        if wanted.violations or wanted.pattern_properties:
            return False
        names, required = _closed(given), set(given.required)
        most = given.max_properties if names is None else len(names)
        if not required.issuperset(wanted.required) or not _within(
            (max(given.min_properties or 0, len(required)), most), (wanted.min_properties, wanted.max_properties)
        ):
            return False
        if wanted.property_names is not None and not self._inside(given.property_names, wanted.property_names):
            return False
        mine, theirs = given.properties, wanted.properties
        patterns = given.pattern_properties
        rest = None if patterns else given.additional_properties
        named = {**theirs, **mine}
        return all(
            self._inside(mine.get(name, rest), theirs.get(name, wanted.additional_properties))
            for name in named
            if names is None or name in names
        ) and (
            wanted.additional_properties is None
            or (names is not None and names <= named.keys())
            or self._inside(rest, wanted.additional_properties)
        )

    def _arrays(self, given: ArrayView, wanted: ArrayView) -> bool:
        from jsonschema_rs.canonical import Distinctness

        if wanted.contains or wanted.distinctness not in (Distinctness.UNCONSTRAINED, given.distinctness):
            return False
        if not _within((given.min_items or 0, given.max_items), (wanted.min_items, wanted.max_items)):
            return False
        mine, theirs = given.prefix_items, wanted.prefix_items
        first = max(len(mine), len(theirs)) + 1  # one of those that `items` describes is as good as all
        return all(
            self._inside(_item(mine, given.items, i), _item(theirs, wanted.items, i))
            for i in range(first if given.max_items is None else min(first, given.max_items))
        )


def _closed(view: ObjectView) -> set[str] | None:
    """The names that an object may have when they are listed; None when others are possible."""
    from jsonschema_rs.canonical import ConstView, EnumView

    names = view.property_names.view() if view.property_names is not None else None
    if isinstance(names, EnumView):
        return {name for name in names.values if isinstance(name, str)}
    return {names.value} if isinstance(names, ConstView) and isinstance(names.value, str) else None


def _within(given: tuple[int, int | None], wanted: tuple[int | None, int | None]) -> bool:
    """Whether counts in one range are in the other; None is no bound."""
    least, most = wanted
    return given[0] >= (least or 0) and (most is None or (given[1] is not None and given[1] <= most))


def _item(prefix: list[CanonicalSchema], rest: CanonicalSchema | None, index: int) -> CanonicalSchema | None:
    return prefix[index] if index < len(prefix) else rest
