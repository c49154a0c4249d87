"""One run of one program, written once as a generator of effects and driven sync or async.

accept     check the input, fill defaults
preflight  is the model there, and what runs blocks
before     `pre` blocks
render     the messages; guard the window
converse   ask, judge (schema, `check` blocks), recover: `runllm.recovery` over `runllm.delivery`
after      `post` blocks
finish     the result, whether it succeeded or not
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from runllm import budget, delivery, prompting
from runllm.delivery import DEFAULT_NUM_RETRIES, Call, Pause, deliver
from runllm.diagnostics import Problem
from runllm.errors import InputSchemaError, OutputSchemaError, RunllmError
from runllm.exchange import Completion, Event, Options, Outcome, Request, RunResult, Verdict
from runllm.extraction import extract
from runllm.recovery import DEFAULT_MAX_RETRIES, Policy, attempts, window_exceeded
from runllm.routing import endpoints
from runllm.runtime import LOCAL_PREFIX, Runtime

if TYPE_CHECKING:
    from runllm.program import Block, Phase, Program

DEFAULT_TIMEOUT = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Ask the driver to do what takes a while without I/O of ours: run a Python block."""

    do: Callable[[], Any]


Effect = delivery.Effect | Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a run would send, without sending it.

    Attributes:
        request: the first request.
        budget: its estimated tokens, and the window they must fit.
        price: US dollars per prompt token and per completion token, None where not known.
    """

    request: Request
    budget: budget.Budget
    price: tuple[float, float] | None


def run(program: Program, given: Any, options: Options, runtime: Runtime) -> RunResult:
    """Run a program and wait. Every failure of the run is in the result; nothing is raised for it."""
    return _drive(_Run(program, options, runtime).steps(given), runtime)


async def arun(program: Program, given: Any, options: Options, runtime: Runtime) -> RunResult:
    """As `run`, without blocking the event loop."""
    steps = _Run(program, options, runtime).steps(given)
    try:
        effect = next(steps)
        while True:
            try:
                answer = await _aperform(effect, runtime)
            except RunllmError as error:
                effect = steps.throw(error)
            else:
                effect = steps.send(answer)
    except StopIteration as end:
        return end.value


def preview(program: Program, given: Any, options: Options, runtime: Runtime) -> Preview:
    """What `run` would send first. Runs `pre` blocks, and calls no model.

    Raises:
        RunllmError: the input is refused, a block fails, or a template cannot be rendered.
    """
    one = _Run(program, options, runtime)
    one.accept(given)
    _drive(one.before(), runtime)
    request = one.render()
    return Preview(
        request=request,
        budget=one.budget(request),
        price=runtime.engine(request.endpoint).price(request.endpoint),
    )


T = TypeVar("T")


def _drive(steps: Generator[Effect, Any, T], runtime: Runtime) -> T:
    """Perform each effect that the steps ask for, and hand back its answer or its error."""
    try:
        effect = next(steps)
        while True:
            try:
                answer = _perform(effect, runtime)
            except RunllmError as error:
                effect = steps.throw(error)
            else:
                effect = steps.send(answer)
    except StopIteration as end:
        return end.value


def _perform(effect: Effect, runtime: Runtime) -> Any:
    match effect:
        case Call(request=request):
            return runtime.engine(request.endpoint).complete(request)
        case Pause(seconds=seconds):
            return runtime.sleep(seconds)
        case Work(do=do):
            return do()


async def _aperform(effect: Effect, runtime: Runtime) -> Any:
    import asyncio  # 25 ms that a synchronous run need not pay

    match effect:
        case Call(request=request):
            return await runtime.engine(request.endpoint).acomplete(request)
        case Pause(seconds=seconds):
            return await asyncio.sleep(seconds)
        case Work(do=do):
            return await asyncio.to_thread(do)


class _Run:
    """The steps of one run and what they share."""

    def __init__(self, program: Program, options: Options, runtime: Runtime) -> None:
        self.program = program
        self.options = options
        self.runtime = runtime
        self.started = runtime.now()
        self.endpoints = endpoints(program, options)
        self.local = all(endpoint.model.startswith(LOCAL_PREFIX) for endpoint in self.endpoints)
        self.names: dict[str, Any] = {"input": {}, "uses": {}, "vars": {}}
        self.warnings: list[str] = []

    def steps(self, given: Any) -> Generator[Effect, Any, RunResult]:
        """The whole run, as a generator of what the driver must do."""
        try:
            self.accept(given)
            self.preflight()
            yield from self.before()
            request = self.render()
            self.guard(request)
            outcome = yield from self.converse(request)
        except RunllmError as error:
            return self.finish(Outcome(value=None, attempts=(), error=error))
        if outcome.value is not None:
            outcome = yield from self.after(outcome, outcome.value)
        return self.finish(outcome)

    def accept(self, given: Any) -> None:
        """Check the input against its contract, after its defaults are filled in."""
        contract = self.program.input
        value = contract.with_defaults(given)
        problems = contract.problems(value)
        if problems:
            first = problems[0]
            where = f"`{first.pointer}`: " if first.pointer else ""
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            raise InputSchemaError(
                f"the input does not fit: {where}{first.message}{more}",
                problems=problems,
                expected_schema=contract.schema,
                received=given,
                hint=first.hint or None,
            )
        self.names["input"] = value
        self.tell("input", f"{self.program.name} {self.program.version}: the input fits")

    def preflight(self) -> None:
        """Make sure that the model can be called, and blocks be run, before anything is paid for.

        A fallback that cannot be called is left out, with a warning.
        """
        if self.program.blocks:
            self.runtime.runner(trusted=self.options.trust_python).ready()
        first, *others = self.endpoints
        self.runtime.engine(first).ready(first)
        usable = [first]
        for endpoint in others:
            try:
                self.runtime.engine(endpoint).ready(endpoint)
                usable.append(endpoint)
            except RunllmError as error:
                self.warn(f"the fallback {endpoint.model} cannot be used: {error.message}")
        self.endpoints = tuple(usable)

    def before(self) -> Generator[Effect, Any, None]:
        """Run the `pre` blocks; what they give becomes `vars`."""
        for block in self.blocks("pre"):
            ran = yield from self.work(block, self.names)
            self.names["vars"] = {**self.names["vars"], **ran.values}

    def blocks(self, phase: Phase) -> tuple[Block, ...]:
        """The blocks of a phase, in the order of the file."""
        return tuple(block for block in self.program.blocks if block.phase == phase)

    def work(self, block: Block, scope: dict[str, Any]) -> Generator[Effect, Any, Any]:
        """Run one block: what it gave, or the problem that a `check` found."""
        from runllm.blocks import phases  # a file without blocks pays nothing for them

        runner = self.runtime.runner(trusted=self.options.trust_python)
        ceiling = phases.ceiling(self.options.block_timeout, self.options.block_memory)
        self.tell("python", f"{block.phase} block `{block.name}`")
        ran = yield Work(do=lambda: phases.run(block, scope, self.program.source, runner, ceiling))
        for line in getattr(ran, "printed", "").splitlines():
            self.tell("print", line)
        return ran

    def render(self) -> Request:
        """Render the conversation into the first request."""
        timeout = self.options.timeout or (self.program.model and self.program.model.timeout)
        return Request(
            endpoint=self.endpoints[0],
            messages=prompting.messages(self.program, self.names, constrained=self.local),
            params=self.program.params,
            schema=self.program.output_contract.schema,
            timeout=timeout or DEFAULT_TIMEOUT,
        )

    def guard(self, request: Request) -> None:
        """Refuse a request that does not fit the window."""
        found = self.budget(request)
        self.tell("render", f"{len(request.messages)} messages, about {found.prompt:,} tokens")
        if not found.fits:
            limit = (
                "`max_context_window`" if found.window == self.program.max_context_window else request.endpoint.model
            )
            raise window_exceeded(found.prompt, found.answer, found.window, limit)

    def budget(self, request: Request) -> budget.Budget:
        """The estimated tokens of a request against the app's window and the model's own."""
        own = self.runtime.engine(request.endpoint).window(request.endpoint)
        window = min(self.program.max_context_window, own or self.program.max_context_window)
        room = request.params.get("max_completion_tokens", request.params.get("max_tokens"))
        native = None if self.local else request.schema
        texts = [message.content for message in request.messages]
        return budget.check(texts, schema=native, max_tokens=room, window=window)

    def converse(self, first: Request) -> Generator[Effect, Any, Outcome]:
        """Run the attempt loop, each of its requests delivered over the transport."""
        settings = self.program.model
        retries = settings.num_retries if settings else None
        loop = attempts(first, self.policy(first))
        request = next(loop)
        try:
            while True:
                self.tell("call", f"{request.endpoint.model}, at most {request.timeout:g} s")
                try:
                    completion = yield from deliver(
                        request,
                        self.endpoints,
                        num_retries=DEFAULT_NUM_RETRIES if retries is None else retries,
                        jitter=self.runtime.jitter,
                    )
                except RunllmError as error:
                    request = loop.throw(error)
                else:
                    request = loop.send((yield from self.judge(completion)))
                    self.tell("retry", f"asking again, with {len(request.messages)} messages")
        except StopIteration as end:
            return end.value

    def policy(self, first: Request) -> Policy:
        """How this program's requests are rewritten, and how often."""
        chosen = self.options.max_retries
        return Policy(
            recover=lambda facts: prompting.recovery_message(self.program, self.names, facts),
            fits=lambda request: self.budget(request).fits,
            max_retries=DEFAULT_MAX_RETRIES if chosen is None else chosen,
            deterministic=first.params.get("temperature", 0 if self.local else None) == 0,
        )

    def judge(self, completion: Completion) -> Generator[Effect, Any, Verdict]:
        """Read an answer, hold it against the output contract, then let the `check` blocks look at it."""
        self.tell_answer(completion)
        try:
            found = extract(completion.text, self.program.output_contract, finish_reason=completion.finish_reason)
            problems = yield from self.checks(found.value)
        except OutputSchemaError as error:
            return self.refuse(completion, error.problems)
        except RunllmError as error:
            return Verdict(completion=completion, error=error)
        if problems:
            return self.refuse(completion, problems, found.repairs)
        for repair in found.repairs:
            self.tell("repair", repair)
        return Verdict(completion=completion, value=found.value, repairs=found.repairs)

    def checks(self, value: Any) -> Generator[Effect, Any, tuple[Problem, ...]]:
        """What the `check` blocks find wrong, all of them asked."""
        problems: list[Problem] = []
        for block in self.blocks("check"):
            found = yield from self.work(block, {**self.names, "output": value})
            if isinstance(found, Problem):
                problems.append(found)
        return tuple(problems)

    def refuse(self, completion: Completion, problems: tuple[Problem, ...], repairs: tuple[str, ...] = ()) -> Verdict:
        """The verdict on an answer that does not fit."""
        for problem in problems:
            self.tell("problem", f"{problem.pointer}: {problem.message}" if problem.pointer else problem.message)
        return Verdict(completion=completion, problems=problems, repairs=repairs)

    def after(self, outcome: Outcome, value: dict[str, Any]) -> Generator[Effect, Any, Outcome]:
        """Run the `post` blocks; what they make of the output must still satisfy its contract."""
        for block in self.blocks("post"):
            from runllm.blocks import phases

            try:
                ran = yield from self.work(block, {**self.names, "output": value})
                value = {**value, **ran.values}
                phases.hold(block, value, self.program)
            except RunllmError as error:
                return replace(outcome, value=None, error=error)
        return replace(outcome, value=value)

    def tell_answer(self, completion: Completion) -> None:
        """Tell the listener what came back and what it took."""
        usage = completion.usage
        for note in completion.notes:
            self.tell("call", note)
        self.tell(
            "answer",
            f"{completion.model}: {usage.prompt_tokens:,} + {usage.completion_tokens:,} tokens, "
            f"{_money(completion.cost)}, {completion.latency:.3f} s, {completion.finish_reason}",
        )

    def finish(self, outcome: Outcome) -> RunResult:
        """The result: output or error, and every fact about how it came to be."""
        last = next((a for a in reversed(outcome.attempts) if a.completion), None)
        result = RunResult(
            output=outcome.value,
            attempts=outcome.attempts,
            latency=self.runtime.now() - self.started,
            error=outcome.error,
            app=self.program.name,
            version=self.program.version,
            model=last.completion.model if last and last.completion else self.endpoints[0].model,
            warnings=tuple(self.warnings),
        )
        if outcome.error is not None:
            outcome.error.result = result
            self.tell("failed", f"{outcome.error.code} {type(outcome.error).__name__}: {outcome.error.message}")
        else:
            count = len(result.attempts)
            usage = result.usage
            self.tell(
                "done",
                f"{count} attempt{'s' if count > 1 else ''}, {usage.prompt_tokens:,} + "
                f"{usage.completion_tokens:,} tokens, {_money(result.cost)}",
            )
        return result

    def warn(self, message: str) -> None:
        """Keep a warning for the result, and tell the listener."""
        self.warnings.append(message)
        self.tell("warning", message)

    def tell(self, step: str, message: str) -> None:
        """Tell the listener, if there is one."""
        if self.options.listener is not None:
            self.options.listener(Event(step=step, message=message, elapsed=self.runtime.now() - self.started))


def _money(cost: float | None) -> str:
    return "price unknown" if cost is None else f"${cost:.6f}".rstrip("0").rstrip(".") if cost else "$0"
