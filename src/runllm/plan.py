"""A program together with the programs it uses, ready to run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from runllm.program import Program


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """A node of the graph of programs; two names for the same file lead to the same node.

    Attributes:
        program: what runs here.
        children: the plans it uses, by the name of the dependency.
        needs: for each dependency, the others whose output its input is made of.
    """

    program: Program
    children: Mapping[str, Plan] = field(default_factory=dict[str, "Plan"], repr=False)
    needs: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])

    def order(self) -> tuple[str, ...]:
        """The dependencies, each after those that it needs."""
        from graphlib import TopologicalSorter  # checking a file needs none of it

        return tuple(TopologicalSorter(self.needs).static_order())

    def is_free(self) -> bool:
        """Whether a run of it calls no model."""
        return all(plan.program.output is not None for plan in self.walk())

    def walk(self) -> Iterator[Plan]:
        """Every plan of the graph once, what is used before what uses it."""
        return (plan for _, plan in self.ways())

    def ways(self) -> Iterator[tuple[tuple[str, ...], Plan]]:
        """As `walk`, each with the names of the dependencies that lead to it, by one way."""
        seen: set[Plan] = set()

        def below(plan: Plan, way: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Plan]]:
            if plan in seen:
                return
            seen.add(plan)
            for name, child in plan.children.items():
                yield from below(child, (*way, name))
            yield way, plan

        return below(self, ())
