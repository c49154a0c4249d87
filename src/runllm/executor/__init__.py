"""Run a plan: one run and the runs of the apps it uses.

`steps` are the steps of one run, `conversation` those with its model, `children` those that run its dependencies, all
as generators of the `effects` that `drivers` perform, sync or async.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any, TypeVar

from runllm.errors import ModelNotFoundError, RunllmError
from runllm.executor.ahead import key
from runllm.executor.context import Tree
from runllm.executor.core import Run
from runllm.executor.driver import adrive, drive, drive_tree, watched
from runllm.executor.effects import Effect
from runllm.executor.recovery import window_exceeded
from runllm.executor.talk import Conversation
from runllm.program import Plan
from runllm.results import Endpoint, Request, RunResult, Skipped, Usage
from runllm.routing import Options
from runllm.runtime import Runtime
from runllm.scalars import plain
from runllm.tokens import Room
from runllm.values import frozen

if TYPE_CHECKING:
    from runllm.executor.children import Job

__all__ = ["Preview", "arun", "preview", "run", "settle", "warm"]


T = TypeVar("T")


@frozen
class Preview:
    """What a run would send, without sending it.

    Attributes:
        request: the first, as it is sent; None where no model is called, or where it is made of what others give.
        tokens: the estimate, and the window that it must fit; None without a request.
        cost: US dollars of its prompt, and of an answer as long as `tokens` has it; None where the price is not known.
        waits_for: the apps whose output the request is made of.
        notes: what of it is left out, or arrives otherwise than it was written.
        refused: the error for a model that nobody knows, or for parameters that it does not take; None for none.
        children: the same for the apps that it uses.
        skipped: the items of lists that fail already, and without which the run goes on.
    """

    request: Request | None = None
    tokens: Room | None = None
    cost: tuple[float, float] | None = None
    waits_for: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    refused: RunllmError | None = None
    children: Mapping[str, Preview] = field(default_factory=dict[str, "Preview"])

    def refusal(self) -> RunllmError | None:
        """The error that the run would end in before its first call; None where every request that is known fits."""
        for child in self.children.values():
            if (error := child.refusal()) is not None:
                return error
        if self.refused is not None:
            return self.refused
        room = self.tokens
        if room is None or room.fits or room.window is None:
            return None
        return window_exceeded(room.prompt, room.answer, room.window, "the window")

    skipped: tuple[Skipped, ...] = ()


def run(plan: Plan, given: Any, options: Options, runtime: Runtime) -> RunResult:
    """Run a plan and wait. Every failure of the run is in the result; nothing is raised for it."""
    given = plain(given)
    first = _first(plan, given, options, runtime)
    with watched(runtime, plan.program.name) as ended:
        result = (drive_tree if plan.children else drive)(first.steps(given), first.tree.outside)
        ended(result)
    return result


async def arun(plan: Plan, given: Any, options: Options, runtime: Runtime) -> RunResult:
    """As `run`, without blocking the event loop."""
    given = plain(given)
    first = _first(plan, given, options, runtime)
    with watched(runtime, plan.program.name) as ended:
        result = await adrive(first.steps(given), first.tree.outside)
        ended(result)
    return result


def warm(plan: Plan, options: Options, runtime: Runtime) -> None:
    """Make ready all that the first run of a plan would wait for before its first call; calls no model.

    Raises:
        RunllmError: as a run would, before its first call.
    """
    try:
        _first(plan, {}, options, runtime).warm_up()
    except RunllmError as error:
        raise error.within(plan.program.name) if error.trail else error from None


def preview(plan: Plan, given: Any, options: Options, runtime: Runtime) -> Preview:
    """What `run` would send first. Runs `pre` blocks, and calls no model.

    Of the apps that are used, those are shown whose input is known before anything has run.

    Raises:
        RunllmError: an input is refused, a block fails, or a template cannot be rendered.
    """
    given = plain(given)
    try:
        first = _first(plan, given, options, runtime)
        first.foresee(given)
        return _Previews(first.tree).of(first, given)
    except RunllmError as error:
        raise error.within(plan.program.name) if error.trail else error from None


def settle(steps: Generator[Effect, Any, T], run: Run) -> T:
    """Perform steps of a run that start no other: its `pre` blocks, say."""
    return drive(steps, run.tree.outside)


def _first(plan: Plan, given: Any, options: Options, runtime: Runtime) -> Run:
    return Run(plan, Tree.of(plan, given, options, runtime))


def _refusal(conversation: Conversation, endpoint: Endpoint) -> RunllmError | None:
    """Why the run would end before its first call, as far as that is known without keys and servers."""
    try:
        next(conversation.run.runtime.engine(endpoint).refusals(endpoint), None)
    except ModelNotFoundError as error:
        if "pull" not in error.details:  # else it is only not here yet
            return error
    return conversation.refusal(endpoint)


class _Previews:
    """The previews of the runs of a tree, each made once."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.made: dict[Any, Preview] = {}

    def of(self, one: Run, given: Any) -> Preview:
        one.accept(given)
        drive(one.before(early=bool(one.plan.children)), self.tree.outside)  # the others see what apps give
        if one.plan.children:
            return self.of_tree(one)
        if one.program.output is not None:
            return Preview()
        conversation = Conversation(one)
        asked = conversation.render()
        refused = _refusal(conversation, asked.endpoint)
        request, changed = (asked, ()) if refused else one.prepared.fitted(asked)
        left_out = conversation.left_out(asked.endpoint)
        for said in left_out:
            one.warn(said)
        notes = (*left_out, *changed)
        engine, found = one.runtime.engine(request.endpoint), conversation.room(request)
        price = engine.price(request.endpoint)
        usage = Usage(prompt_tokens=found.prompt, completion_tokens=found.answer)
        cost = price.parts(usage, request.service) if price else None
        sent = request if refused else engine.sent(request)
        return Preview(request=sent, tokens=found, cost=cost, notes=notes, refused=refused)

    def of_tree(self, one: Run) -> Preview:
        from runllm.executor.children import Children

        children = Children(one, one.begin)
        previews: dict[str, Preview] = {}
        for name, needs in one.plan.needs.items():
            if needs:
                previews[name] = Preview(waits_for=tuple(sorted(needs)))
                continue
            for job in children.jobs(name):
                try:
                    previews[job.label] = self.of_child(one, job)
                except RunllmError as error:
                    if not children.goes_on(job.name, job.index, error):
                        raise error.within(job.label) from None
        waits_for = () if one.program.output is not None else tuple(one.plan.children)
        return Preview(waits_for=waits_for, children=previews, skipped=tuple(children.skipped))

    def of_child(self, one: Run, job: Job) -> Preview:
        child = one.plan.children[job.name]
        same, held = key(child, job.given)
        if same not in self.made:
            self.tree.outside.budget.begin(held)
            self.made[same] = self.of(Run(child, self.tree, (*one.trail, job.label)), job.given)
        return self.made[same]
