"""What is known of a run before it begins: what it may spend, and how many calls it takes at the least and the most.

Nothing is unfolded: the most is counted once for each app of the graph, and counting the least ends where the budget
does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from runllm import template
from runllm.errors import RunllmError
from runllm.program import Dependency, Plan
from runllm.routing import Options, limits
from runllm.runtime import Runtime
from runllm.spending import DEFAULT_CALLS, DEFAULT_HELD, RUNS_PER_CALL, Bounds, Budget

LOOKED_AT = 2_500
"""Runs that are looked at before the first begins; the budget sees to the rest."""
LOOKED_AT_BYTES = 1 << 24
"""Bytes of their inputs, which are made to be compared."""

UNKNOWN: Any = object()
"""A value that only a model's answer will decide."""


def key(plan: Plan, given: Mapping[str, Any]) -> tuple[tuple[int, bytes], int]:
    """What tells a run from others, and the bytes of its input with its defaults filled in."""
    from hashlib import sha256  # 5 ms that a run without children need not pay

    data = _as_bytes(plan.program.input.with_defaults(given))
    return (id(plan), sha256(data).digest()), len(data)


def _as_bytes(value: Any) -> bytes:
    """A value as JSON; what is none is its text, since this is asked before an input is held against its contract."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str).encode(errors="surrogatepass")


def budget(plan: Plan, given: Any, options: Options, runtime: Runtime) -> Budget:
    """The budget of a run and of all that it uses, inside the caller's where there is one."""
    return Budget(bounds(plan, given, options), runtime.now, options.budget)


def bounds(plan: Plan, given: Any, options: Options) -> Bounds:
    """What a run may spend: as the caller says, else as the user has set, else by default; less where the file says so.

    By default each element of a list that the user gives may be tried by every app of the tree as often as that app
    may try: what a file adds to the user's own work is bounded, and that work is not.
    """
    nodes = list(plan.walk())
    lists = any(dependency.for_each for node in nodes for dependency in node.program.uses)
    elements = _elements(given) if lists else 0
    calls = options.max_calls
    if calls is None:
        tried = nodes if elements else ()
        tries = [1 + limits(node.program, options, "").max_retries for node in tried if node.program.output is None]
        calls = _lowered(DEFAULT_CALLS + elements * sum(tries), options)
    calls = min(calls, plan.program.max_calls or calls)
    costs = (options.max_cost, plan.program.max_cost)
    return Bounds(
        calls=calls,
        cost=min((cost for cost in costs if cost is not None), default=None),
        seconds=options.max_time,
        held=DEFAULT_HELD + (len(nodes) * len(_as_bytes(given)) if elements else 0),
        runs=elements * len(nodes) + RUNS_PER_CALL * max(calls, DEFAULT_CALLS),
    )


def _lowered(calls: int, options: Options) -> int:
    """The bound on calls of the settings: the user's holds, a project's only where it is lower than `calls`."""
    configuration = options.configuration
    found = configuration.settings.max_calls if configuration else None
    if configuration is None or found is None:
        return calls
    return min(calls, found) if configuration.origin("max_calls").kind == "project" else found


def _elements(value: Any) -> int:
    """The elements of every list in a value."""
    if isinstance(value, Mapping):
        return sum(map(_elements, cast("Mapping[str, Any]", value).values()))
    if isinstance(value, list):
        inner = cast("list[Any]", value)
        return len(inner) + sum(_elements(one) for one in inner if isinstance(one, list | dict))
    return 0


def foresee(plan: Plan, given: Any, budget: Budget, moment: Mapping[str, str], *, calls_all: bool = True) -> None:
    """Refuse a run that surely needs more than its budget, before anything is paid for.

    Args:
        plan: what will run.
        given: its input; `UNKNOWN` for one that is not known.
        budget: what it may spend.
        moment: when it began, as apps are told.
        calls_all: whether each run that asks a model makes a call: with the cache it may not.

    Raises:
        BudgetExceededError: as it says.
    """
    most = _runs(plan, given)
    if most is not None:
        try:
            return budget.foresee(calls=most if calls_all else 0, runs=most)
        except RunllmError:  # some of them may be the same run
            pass
    calls, held, seen = 0, 0, set[Any]()
    stack: list[Iterator[tuple[Plan, Any]]] = [iter([(plan, given)])]
    while stack and len(seen) < LOOKED_AT and held < LOOKED_AT_BYTES:
        found = next(stack[-1], None)
        if found is None:
            stack.pop()
            continue
        node, value = found
        try:
            name, size = ((id(node), b""), 0) if value is UNKNOWN else key(node, value)
            held += size
            if name in seen or (value is not UNKNOWN and node.program.input.problems(value)):
                continue
            seen.add(name)
            calls += calls_all and node.program.output is None
            stack.append(_below(node, value, moment))
        except RunllmError:  # the run will say so
            continue
        budget.foresee(calls=calls, runs=len(seen))
    return None


def _below(plan: Plan, given: Any, moment: Mapping[str, str]) -> Iterator[tuple[Plan, Any]]:
    """The runs that a run surely begins, with their inputs where those are known."""
    known = given is not UNKNOWN
    names = {"input": plan.program.input.with_defaults(given), "run": moment} if known else {}
    for dependency in plan.program.uses:
        child = plan.children[dependency.name]
        waits = plan.needs[dependency.name] or plan.early.get(dependency.name)
        items: list[Any] | None = [None]
        if dependency.for_each is not None:
            items = _constant(plan, dependency, {} if waits else names)
        for index, item in enumerate(items or ()):
            each = names if dependency.for_each is None else {**names, "item": item, "index": index + 1}
            try:
                yield child, _given(plan, dependency, each) if known and not waits else UNKNOWN
            except RunllmError as error:  # the run will say so
                if not dependency.outlives(error):
                    break


def _given(plan: Plan, dependency: Dependency, names: Mapping[str, Any]) -> Any:
    from runllm.project import build  # a run without children needs none of it

    return build.arguments(dependency, names, plan.children[dependency.name].program.input, plan.program.source)


def _constant(plan: Plan, dependency: Dependency, names: Mapping[str, Any]) -> list[Any] | None:
    """The list that a dependency runs over, as far as these names tell; None where they do not."""
    from runllm.project import build

    assert dependency.for_each is not None  # noqa: S101 - only asked of a dependency that has it
    read = template.references(dependency.for_each.value) if isinstance(dependency.for_each.value, str) else []
    if any(reference.path[0] not in names for reference in read):
        return None
    try:
        return build.items(dependency, names, plan.program.source)
    except RunllmError:
        return None


def _runs(plan: Plan, given: Any, weight: Callable[[Plan], int] = lambda _: 1) -> int | None:
    """The most runs of a tree, each counted by its weight; None where an answer decides how many there are."""
    counted: dict[Plan, int | None] = {}

    def of(node: Plan, names: Mapping[str, Any]) -> int | None:
        total: int | None = weight(node)
        for dependency in node.program.uses:
            child = node.children[dependency.name]
            if child not in counted:
                counted[child] = of(child, {})
            times = 1
            if dependency.for_each is not None:
                found = _constant(node, dependency, {} if node.needs[dependency.name] else names)
                times = None if found is None else len(found)
            inner = counted[child]
            total = None if total is None or times is None or inner is None else total + times * inner
        return total

    names = {} if given is UNKNOWN else {"input": plan.program.input.with_defaults(given)}
    return of(plan, names)


def most_calls(plan: Plan, given: Any, options: Options) -> int:
    """The most calls that a run may make: as its files and retries allow, and never more than its budget.

    Counted once for each app of the graph, so that it takes no longer where apps use each other many times.

    Args:
        plan: what will run.
        given: its input; None or `UNKNOWN` for one that is not known.
        options: the caller's.
    """

    def most(node: Plan) -> int:
        if node.program.output is not None:
            return 0
        found = limits(node.program, options, node.program.model.model if node.program.model else "")
        models = 1 if options.model or node.program.model is None else len(node.program.model.models)
        return (1 + found.max_retries) * (1 + found.num_retries) * models

    known = None if given is None or given is UNKNOWN else given
    counted = _runs(plan, UNKNOWN if known is None else known, most)
    allowed = bounds(plan, known, options).calls
    assert allowed is not None  # noqa: S101 - calls are always bounded
    return allowed if counted is None else min(counted, allowed)
