"""The steps of one run, written once as a generator of effects.

accept     check the input, fill defaults
preflight  for the first app of a tree: are the models there, and what runs blocks, of all of them
before     the `pre` blocks that the input of an app is made of
depend     the apps that it uses: `runllm.executor.children`
before     the other `pre` blocks
converse   render, guard the window, ask, judge, recover: `runllm.executor.talk`
build      or, instead, the `output` of an app without a model
after      `post` blocks
finish     the result, whether it succeeded or not
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from runllm.errors import (
    MissingCredentialError,
    OllamaModelMissingError,
    OutputSchemaError,
    RunllmError,
    StatsError,
)
from runllm.executor import ahead
from runllm.executor.context import Context
from runllm.executor.effects import Effect, Steps, Work
from runllm.executor.prepared import Prepared
from runllm.executor.talk import Conversation, money
from runllm.inputs import accepted
from runllm.program import Plan, ValueTemplate
from runllm.results import Outcome, RunResult
from runllm.routing import kept_for
from runllm.spending import unpriced

if TYPE_CHECKING:
    from runllm.executor.children import Job


class Run(Context):
    """The steps of one run."""

    def steps(self, given: Any) -> Steps:
        """The whole run, as a generator of what the driver must do; the first of a tree is recorded at its end.

        One that called no model, since all its answers came from the cache, would tell nothing of models.
        """
        result = yield from self.whole(given)
        if self.trail or self.runtime.store is None or self.options.stats is False or result.cached:
            return result
        if self.runtime.calls.in_flight:  # others are under way: it is written together with theirs
            return self.recorded(result, soon=True)
        try:
            return (yield Work(do=lambda: self.recorded(result), to_the_end=True))
        except RunllmError:  # interrupted while it is recorded: the driver says so, and the result stands
            return result

    def recorded(self, result: RunResult, *, soon: bool = False) -> RunResult:
        """The result, after it was kept in the statistics; what stands in the way is a warning on it, no error."""
        from runllm.stats.rows import record_of  # a run that is not recorded needs none of it

        try:
            if (store := self.runtime.store) is not None:
                row = record_of(result, log_content=bool(self.options.log_content))
                store.record_soon(row) if soon else store.record(row)
        except StatsError as error:
            missing = "earlier runs are" if soon else "the run is"
            self.warn(f"{missing} not in the statistics: {error.message}")
            result = replace(result, warnings=tuple(self.warnings))
            if result.error is not None:
                result.error.result = result
        return result

    def whole(self, given: Any) -> Steps:
        """From the input to the result."""
        try:
            self.accept(given)
            if not self.trail:
                if self.plan.children or self.prepared.warnings is None:  # may download a model, where the user allows
                    yield Work(do=partial(self.preflight, given))
                else:
                    self.preflight(given)
            yield from self.before(early=True)
            yield from self.depend()
            yield from self.before(early=False)
            if self.program.output is not None:
                outcome = yield from self.build(self.program.output)
            else:
                outcome = yield from Conversation(self).hold()
        except RunllmError as error:
            outcome = Outcome(value=None, attempts=(), error=error)
        if outcome.error is None:
            outcome = yield from self.after(outcome)
        yield from self.advise(outcome.error)
        return self.finish(outcome)

    def advise(self, error: RunllmError | None) -> Generator[Effect, Any, None]:
        """Where a model cannot be used and another that the author recommends is here, say so."""
        recommended = self.program.recommended_models
        if isinstance(error, MissingCredentialError | OllamaModelMissingError) and recommended and not error.trail:
            try:
                said = yield Work(do=lambda: self.runtime.suggestion(recommended, self.first_model()))
            except RunllmError:  # interrupted while it is looked for: the run has its own error already
                return
            if said:
                error.recovery_hint = f"{error.recovery_hint} {said}"

    def accept(self, given: Any) -> None:
        """Check the input against its contract, after its defaults are filled in."""
        self.names["input"] = accepted(self.program.input, given)
        self.input_valid = True
        self.tell("input", f"{self.program.name} {self.program.version}: the input fits")

    def preflight(self, given: Any) -> None:
        """Make sure that all models of the tree can be called, and blocks be run, before anything is paid for."""
        self.foresee(given)
        if self.options.model is not None and self.program.output is not None and not self.options.whole_tree:
            self.warn(f"{self.program.name} calls no model itself, so the model that was given is not used")
        self.all_of(Run.check_ready)

    def warm_up(self) -> None:
        """As `preflight`, without an input, and all that the first call and the first block would wait for."""
        self.check_prices()
        self.all_of(Run.check_ready)
        self.all_of(Run.warm)

    def all_of(self, do: Callable[[Run], None]) -> None:
        """Do something with each app of the tree; an error says where it belongs."""
        for way, plan in self.plan.ways():
            one = Run(plan, self.tree, way) if way else self
            try:
                do(one)
            except RunllmError as failed:
                error = failed
                for name in reversed(way):
                    error = error.within(name)
                raise error from None
            self.warnings += one.warnings if way else []

    def foresee(self, given: Any) -> None:
        """Refuse a run that surely needs more than its budget, or whose cost cannot be known where it is bounded.

        Raises:
            BudgetExceededError: as it says.
        """
        outside = self.tree.outside
        outside.budget.begin()
        if self.plan.children:
            calls_all = kept_for(self.options) is None
            ahead.foresee(self.plan, given, outside.budget, self.tree.moment, calls_all=calls_all)
        self.check_prices()

    def check_prices(self) -> None:
        """Refuse a run whose cost cannot be known where it is bounded.

        Raises:
            BudgetExceededError: as it says.
        """
        outside = self.tree.outside
        if outside.budget.bounds_cost and not self.options.allow_unpriced:
            for way, plan in self.plan.ways():
                for endpoint in Run(plan, self.tree, way).endpoints:
                    if self.runtime.engine(endpoint).price(endpoint) is None:
                        raise unpriced(endpoint.model)

    def check_ready(self) -> None:
        """Make sure that the model can be called, and blocks be run.

        A fallback that cannot be called is left out, with a warning.
        """
        if self.program.blocks:
            self.runtime.runner(trusted=self.options.trust_python).ready()
        prepared = self.prepared
        if prepared.warnings is None:
            prepared = self.tree.prepared[self.plan] = self.made_ready(prepared)
        for warning in prepared.warnings or ():
            self.warn(warning)

    def warm(self) -> None:
        """Do what the first call and the first block would wait for; what is called only if that fails is left cold."""
        if self.program.blocks:
            self.runtime.runner(trusted=self.options.trust_python).warm()
        if self.endpoints:
            request, _ = self.prepared.fitted(self.prepared.request)
            self.runtime.engine(request.endpoint).warm(request)

    def made_ready(self, prepared: Prepared) -> Prepared:
        """What is the same in each run, now that the models were looked for."""
        if not prepared.endpoints:
            return prepared.ready(self.plan, (), ())
        first, *others = prepared.endpoints
        conversation = Conversation(self)
        if (error := conversation.refusal(first)) is not None:
            raise error
        self.runtime.ready(first)
        usable, warnings = [first], [*conversation.left_out(first)]
        for endpoint in others:
            try:
                self.runtime.ready(endpoint)
                usable.append(endpoint)
            except RunllmError as error:
                warnings.append(f"the fallback {endpoint.model} cannot be used: {error.message}")
        for endpoint in usable:
            warnings += self.runtime.engine(endpoint).doubts(endpoint)
        return prepared.ready(self.plan, tuple(usable), tuple(warnings))

    def depend(self) -> Generator[Effect, Any, None]:
        """Run the apps that this one uses; their outputs become `uses`."""
        if not self.plan.children:
            return
        from runllm.executor.children import Children  # 2 ms that an app without children need not pay

        children = Children(self, self.begin)
        try:
            self.names["uses"] = yield from children.run()
        finally:
            self.children, self.skipped = children.in_order()

    def begin(self, plan: Plan, job: Job) -> Steps:
        """The steps of the run of a dependency."""
        return Run(plan, self.tree, (*self.trail, job.label)).steps(job.given)

    def build(self, output: ValueTemplate) -> Generator[Effect, Any, Outcome]:
        """Build the output without a model, and hold it against its contract and the `check` blocks."""
        from runllm.project.build import value_of

        contract = self.program.output_contract
        value = value_of(output, self.names, contract, self.program.source)
        problems = contract.problems(value) or (yield from self.checks(value))
        if problems:
            first = problems[0]
            where = f"`{first.pointer}`: " if first.pointer else ""
            raise OutputSchemaError(
                f"the output that is built does not fit: {where}{first.message}",
                problems=problems,
                expected_schema=contract.schema,
                received=value,
                hint="Correct `output`, or what it is made of.",
            )
        return Outcome(value=value, attempts=())

    def before(self, *, early: bool) -> Generator[Effect, Any, None]:
        """Run the `pre` blocks that come before the apps that are used, or the others; they make `vars`."""
        first = frozenset[str]().union(*self.plan.early.values())
        for block in self.blocks("pre"):
            if (block.name in first) is early:
                ran = yield from self.work(block, self.names)
                self.names["vars"] = {**self.names["vars"], **ran.values}

    def after(self, outcome: Outcome) -> Generator[Effect, Any, Outcome]:
        """Run the `post` blocks; what they make of the output must still satisfy its contract."""
        value = outcome.value
        for block in self.blocks("post"):
            from runllm.blocks import phases

            try:
                ran = yield from self.work(block, {**self.names, "output": value})
                value = phases.changed(block, value, ran.values, self.program)
            except RunllmError as error:
                return replace(outcome, value=None, error=error)
        return replace(outcome, value=value)

    def finish(self, outcome: Outcome) -> RunResult:
        """The result: output or error, and every fact about how it came to be."""
        last = next((a for a in reversed(outcome.attempts) if a.completion), None)
        result = RunResult(
            output=outcome.value,
            attempts=outcome.attempts,
            children=self.children,
            skipped=self.skipped,
            latency=self.runtime.now() - self.started,
            error=outcome.error,
            app=self.program.name,
            version=self.program.version,
            path=self.program.location,
            digest=self.program.digest if self.runtime.store else "",
            started=self.began,
            input_valid=self.input_valid,
            estimated_prompt_tokens=self.estimate,
            model=last.completion.model if last and last.completion else self.first_model(),
            warnings=tuple(self.warnings),
        )
        if outcome.error is not None:
            if outcome.error.trail and not self.trail:
                outcome.error.trail = (self.program.name, *outcome.error.trail)
            outcome.error.result = result
            named = f"{outcome.error.code} {type(outcome.error).__name__}"
            self.tell("failed", f"{named}: {outcome.error.message}", logged=named)
        elif self.is_heard:
            self.tell("done", _summary(result))
        return result


def _summary(result: RunResult) -> str:
    usage = result.usage
    said = [
        *_count(len(result.attempts), "attempt", "attempts"),
        *_count(len(result.children), "app used", "apps used"),
    ]
    if kept := sum(completion.cached for completion in result.completions()):
        said.append("from the cache" if result.cached else f"{kept} from the cache")
    if usage.total_tokens:
        said += [f"{usage.prompt_tokens:,} + {usage.completion_tokens:,} tokens", money(result.cost)]
    return ", ".join(said) or "no model called"


def _count(number: int, one: str, many: str) -> list[str]:
    return [f"{number} {one if number == 1 else many}"] if number else []
