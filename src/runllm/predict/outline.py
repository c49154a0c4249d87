"""The calls that a run will make, as far as they are known before it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from runllm import engines, executor, tokens
from runllm.engines.base import Price
from runllm.errors import RunllmError, StatsError
from runllm.executor.context import Tree
from runllm.executor.core import Run
from runllm.executor.talk import Conversation
from runllm.predict.past import Past, Record
from runllm.program import Dependency, Plan
from runllm.project import build
from runllm.results import DEFAULT_CONCURRENCY, Endpoint
from runllm.routing import Options
from runllm.runtime import Runtime
from runllm.values import frozen

T = TypeVar("T")
R = TypeVar("R")

LOOKED = 50
"""Runs of an app that are looked at one by one; further ones are taken to be like those whose input is not known."""
UNKNOWN: Any = object()
"""A value that only a model's answer will decide."""


@frozen
class Call:
    """The calls of one run of one app.

    Attributes:
        model: what is called.
        past: what is known of earlier ones.
        prompt_tokens: of the first request; None where nothing is known.
        most_tokens: the longest answer that is allowed; None without a limit.
        window: tokens that prompt and answer may take together; None where not known.
        price: what the tokens cost; None where not known.
        service: the `service_tier` that is asked for.
        most_seconds: what the declared limits allow for the whole run.
        most_cost: what they allow it to cost; None where a price of a model that may be asked is not known.
    """

    model: str
    past: Record
    prompt_tokens: int | None
    most_tokens: int | None
    window: int | None
    price: Price | None
    service: str | None
    most_seconds: float
    most_cost: float | None

    @property
    def local(self) -> bool:
        """Whether it takes turns with all other calls to a local model."""
        return engines.traits(self.model).local


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outline:
    """A run: what it uses, then its own calls. Those that are alike are one object.

    Attributes:
        name: the names that lead to it.
        call: None where it calls no model.
        overhead: seconds beside its calls.
        children: the runs of each dependency, with how often each is made.
        once: whether its input is known, so that it runs once wherever it is used.
        needs: for each dependency, those that end before it begins.
        concurrency: the most calls at a time.
    """

    name: str
    call: Call | None
    overhead: float
    children: Mapping[str, tuple[tuple[Outline, int], ...]]
    once: bool
    needs: Mapping[str, frozenset[str]]
    concurrency: int

    def nodes(self) -> Iterator[Outline]:
        """Every run of the tree once, what is used first."""
        seen: set[int] = set()

        def below(node: Outline) -> Iterator[Outline]:
            if id(node) in seen:
                return
            seen.add(id(node))
            for used in node.children.values():
                for child, _ in used:
                    yield from below(child)
            yield node

        return below(self)

    def counts(self) -> dict[int, int]:
        """How often each run of the tree is made, by the `id` of its node: counted, not unfolded."""
        found = {id(self): 1}
        for node in reversed(list(self.nodes())):  # what uses others first
            for children in node.children.values():
                for child, times in children:
                    more = found[id(node)] * times
                    found[id(child)] = 1 if child.once else found.get(id(child), 0) + more
        return found

    def most_latency(self) -> float:
        """Seconds that the declared limits allow, one call after the other."""
        counts = self.counts()
        return sum(counts[id(node)] * node.call.most_seconds for node in self.nodes() if node.call)

    def most_cost(self) -> float | None:
        """US dollars that the declared limits allow: every call with a full window; None where a price is missing."""
        counts = self.counts()
        found = [(counts[id(node)], node.call.most_cost) for node in self.nodes() if node.call]
        known = [times * most for times, most in found if most is not None]
        return sum(known) if len(known) == len(found) else None


class Outliner:
    """Makes the outline of one run.

    Attributes:
        notes: what was assumed on the way.
        bounded: whether it is known how many runs there are at the most.
    """

    def __init__(self, options: Options, runtime: Runtime, past: Past) -> None:
        self.options = replace(options, stats=False, listener=None)
        self.runtime = runtime
        self.past = past
        self.notes: list[str] = []
        self.bounded = True
        self._looked: Counter[Plan] = Counter()
        self._prompts: dict[Plan, list[int]] = {}
        self._made: dict[tuple[Plan, int | None], Outline] = {}

    def outline(self, plan: Plan, given: Mapping[str, Any] | None) -> Outline:
        """The outline of a run on an input; None for a usual one."""
        self.tree = Tree.of(plan, given, self.options, self.runtime)
        try:
            return self.app(plan, UNKNOWN if given is None else given, ())
        except RunllmError as error:
            raise error.within(plan.program.name) if error.trail else error from None

    def app(self, plan: Plan, given: Any, trail: tuple[str, ...]) -> Outline:
        """One run, or the one on the same input that is outlined already; those on unknown inputs are alike."""
        said = None
        if given is not UNKNOWN:
            filled = plan.program.input.with_defaults(given)
            said = hash(json.dumps(filled, sort_keys=True, default=str))
            if (plan, said) not in self._made and self._looked[plan] >= LOOKED:
                given, said = UNKNOWN, None
        if (plan, said) not in self._made:
            self._looked[plan] += 1
            self._made[plan, said] = self.fresh(plan, given, trail)
        return self._made[plan, said]

    def fresh(self, plan: Plan, given: Any, trail: tuple[str, ...]) -> Outline:
        """The outline of one run."""
        run = Run(plan, self.tree, trail)
        if given is not UNKNOWN:
            run.accept(given)
            executor.settle(run.before(early=True), run)
        children, outputs = self.children(plan, run.names if given is not UNKNOWN else None, trail)
        known = given is not UNKNOWN and UNKNOWN not in outputs.values()
        if known:
            run.names["uses"] = outputs
        call = None if plan.program.output is not None else self.call(run, known=known)
        return Outline(
            name=" > ".join(trail) or plan.program.name,
            call=call,
            overhead=call.past.overhead if call and not plan.children else 0.0,
            children=children,
            once=given is not UNKNOWN,
            needs=plan.needs,
            concurrency=self.options.concurrency or DEFAULT_CONCURRENCY,
        )

    # --- the apps that are used ------------------------------------------------------------------

    def children(
        self, plan: Plan, names: Mapping[str, Any] | None, trail: tuple[str, ...]
    ) -> tuple[dict[str, tuple[tuple[Outline, int], ...]], dict[str, Any]]:
        """The runs of each dependency, and what `uses` holds as far as it is known."""
        outlines: dict[str, tuple[tuple[Outline, int], ...]] = {}
        outputs: dict[str, Any] = {}
        for name in plan.order():
            dependency = next(one for one in plan.program.uses if one.name == name)
            child, here = plan.children[name], (*trail, name)
            inputs = self.inputs(plan, dependency, names, outputs)
            outlines[name], outputs[name] = (), UNKNOWN
            try:
                if child.is_free():
                    outputs[name] = self.output(child, dependency, inputs)
                else:
                    made = _going_on(dependency, inputs, lambda one: (self.app(child, one[0], here), one[1]))  # noqa: B023 - called at once
                    outlines[name] = tuple(made)
            except StatsError:  # not the app's failure
                raise
            except RunllmError as error:
                raise error.within(name) from None
        return outlines, outputs

    def inputs(
        self, plan: Plan, dependency: Dependency, known: Mapping[str, Any] | None, outputs: Mapping[str, Any]
    ) -> list[tuple[Any, int]]:
        """The input of each run of a dependency and how often it is run on it; `UNKNOWN` where an answer decides it.

        Of a long list the first inputs are made, and the others taken to be different and like them.
        """
        contract = plan.children[dependency.name].program.input
        source = plan.program.source
        if known is not None and all(outputs[need] is not UNKNOWN for need in plan.needs[dependency.name]):
            names = {**known, "uses": outputs}
            if dependency.for_each is None:
                return [(build.arguments(dependency, names, contract, source), 1)]
            items = build.items(dependency, names, source)
            each = [{**names, "item": item, "index": index} for index, item in enumerate(items[:LOOKED], start=1)]
            seen = {hash(json.dumps(item, default=str)) for item in items[:LOOKED]}
            rest = {hash(json.dumps(item, default=str)) for item in items[LOOKED:]} - seen
            made = _going_on(dependency, each, lambda one: (build.arguments(dependency, one, contract, source), 1))
            return [*made, *([(UNKNOWN, len(rest))] if rest else [])]
        if dependency.for_each is None:
            return [(UNKNOWN, 1)]
        self.bounded = False
        count = self.past.usual_count(_identity(plan), dependency.name)
        if count is None:
            self.notes.append(f"how many items `{dependency.name}` runs over is not known: counted as one")
        return [(UNKNOWN, 1 if count is None else count)]

    def output(self, child: Plan, dependency: Dependency, inputs: list[tuple[Any, int]]) -> Any:
        """What a dependency that takes no model gives; `UNKNOWN` where its inputs are not known."""
        if any(one is UNKNOWN for one, _ in inputs):
            return UNKNOWN
        results = [executor.run(child, one, self.options, self.runtime) for one, _ in inputs]
        failed = {index: result.error for index, result in enumerate(results) if result.error}
        for error in failed.values():
            if not dependency.outlives(error):
                raise error
        given = dependency.without(failed, [result.output for result in results])
        return given[0] if dependency.for_each is None else given

    # --- the calls of one app ----------------------------------------------------------------------

    def call(self, run: Run, *, known: bool) -> Call:
        """The calls of one app, from what was recorded and what is declared."""
        endpoint, conversation = run.endpoints[0], Conversation(run)
        past = self.past.record(_identity(run.plan), endpoint.model)
        calls = (1 + run.limits.max_retries) * (1 + run.limits.num_retries)  # of each model that may be asked
        most = [self.most(conversation, endpoint) for endpoint in run.endpoints]
        estimated = None
        if known:
            executor.settle(run.before(early=False), run)
            estimated = conversation.room(conversation.render()).prompt
        prompt = past.prompt_tokens if estimated is None else round(estimated * past.counted_by_estimated)
        looked_at = self._prompts.setdefault(run.plan, [])
        if known and prompt is not None:
            looked_at.append(prompt)
        elif looked_at and self._looked[run.plan] > LOOKED:  # one of many more: like those that were looked at
            prompt = round(sum(looked_at) / len(looked_at))
        return Call(
            model=endpoint.model,
            past=past,
            prompt_tokens=prompt,
            most_tokens=tokens.longest_answer(run.program.params),
            window=conversation.window(endpoint),
            price=self.runtime.engine(endpoint).price(endpoint),
            service=conversation.prepared.request.service,
            most_seconds=calls * len(run.endpoints) * run.limits.timeout,
            most_cost=None if None in most else calls * sum(one or 0.0 for one in most),
        )

    def most(self, conversation: Conversation, endpoint: Endpoint) -> float | None:
        """US dollars of a call to a model at the most; None where its price or its window is not known."""
        price = self.runtime.engine(endpoint).price(endpoint)
        window = conversation.window(endpoint)
        if price is None or window is None:
            return 0.0 if price and not price.most(1 << 20, 1 << 20) else None
        longest = tokens.longest_answer(conversation.program.params) or window
        return price.most(window, longest, conversation.prepared.request.service)


def _going_on(dependency: Dependency, given: Iterable[T], make: Callable[[T], R]) -> Iterator[R]:
    """What is made of each, without those that fail where the others go on.

    Raises:
        RunllmError: of one without which they do not.
    """
    for one in given:
        try:
            found = make(one)
        except RunllmError as error:
            if not dependency.outlives(error):
                raise
        else:
            yield found


def _identity(plan: Plan) -> str:
    return plan.program.location or plan.program.name
