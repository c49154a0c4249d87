"""What one run and a model say to each other: the first request, each answer's verdict, and what is asked again."""

from __future__ import annotations

from collections.abc import Generator
from functools import cached_property
from typing import Any

from runllm import tokens
from runllm.diagnostics import Problem
from runllm.errors import OutputSchemaError, RunllmError
from runllm.executor import prompt
from runllm.executor.context import Context
from runllm.executor.delivery import deliver
from runllm.executor.effects import Effect
from runllm.executor.recovery import Policy, attempts, window_exceeded
from runllm.quantities import dollars
from runllm.reading import read_answer
from runllm.results import Completion, Endpoint, Message, Outcome, Request, Verdict
from runllm.schema import Contract, asked_as, is_text


class Conversation:
    """The calls of a run, from the first to the one whose answer fits."""

    def __init__(self, run: Context) -> None:
        self.run = run
        self.program = run.program

    @property
    def constrained(self) -> bool:
        """Whether every model of the run enforces the schema itself."""
        engine = self.run.runtime.engine
        return all(engine(endpoint).traits(endpoint).constrained for endpoint in self.run.endpoints)

    @cached_property
    def asked(self) -> Contract:
        """What an answer must satisfy: the output's own contract, but where a value is asked for inside an object."""
        contract = self.program.output_contract
        schema = asked_as(contract.schema)
        return contract if schema is contract.schema else Contract(schema)

    def render(self) -> Request:
        """Render the conversation into the first request."""
        return self.asking(prompt.messages(self.program, self.run.names, constrained=self.constrained))

    def asking(self, messages: tuple[Message, ...]) -> Request:
        """The request that these messages make."""
        return Request(
            endpoint=self.run.endpoints[0],
            messages=messages,
            params=self.program.params,
            schema=self.asked.schema,
            timeout=self.run.limits.timeout,
            window=self.program.max_context_window,
        )

    def guard(self, request: Request) -> None:
        """Refuse a request that does not fit the window."""
        found = self.room(request)
        self.run.estimate = found.prompt
        self.run.tell("render", f"{len(request.messages)} messages, about {found.prompt:,} tokens")
        if not found.fits and found.window is not None:
            own = found.window != self.program.max_context_window
            limit = request.endpoint.model if own else "`max_context_window`"
            raise window_exceeded(found.prompt, found.answer, found.window, limit)

    def room(self, request: Request) -> tokens.Room:
        """The estimated tokens of a request against the app's window and the model's own."""
        return tokens.check(
            [message.content for message in request.messages],
            schema=None if self.constrained or is_text(self.asked.schema) else request.schema,
            max_tokens=tokens.longest_answer(request.params),
            window=self.window(request.endpoint),
            thinking=tokens.thinking({**request.endpoint.provider_params, **request.params}),
        )

    def window(self, endpoint: Endpoint) -> int | None:
        """Tokens that prompt and answer may take together: as the app says, or fewer where the model has fewer.

        None where the app leaves it to a model of which it is not known.
        """
        known = (self.program.max_context_window, self.run.runtime.engine(endpoint).window(endpoint))
        return min((tokens for tokens in known if tokens), default=None)

    def hold(self) -> Generator[Effect, Any, Outcome]:
        """Run the attempt loop, each of its requests delivered over the transport."""
        first = self.render()
        self.guard(first)
        loop = attempts(first, self.policy(first))
        request = next(loop)
        try:
            while True:
                self.run.tell("call", f"{request.endpoint.model}, at most {request.timeout:g} s")
                try:
                    completion = yield from deliver(
                        request,
                        self.run.endpoints,
                        num_retries=self.run.limits.num_retries,
                        jitter=self.run.runtime.jitter,
                    )
                except RunllmError as error:
                    request = loop.throw(error)
                else:
                    request = loop.send((yield from self.judge(completion)))
                    self.run.tell("retry", f"asking again, with {len(request.messages)} messages")
        except StopIteration as end:
            return end.value

    def policy(self, first: Request) -> Policy:
        """How this program's requests are rewritten, and how often."""
        return Policy(
            recover=lambda facts: prompt.recovery_message(self.program, self.run.names, facts),
            fits=lambda request: self.room(request).fits,
            max_retries=self.run.limits.max_retries,
            deterministic=first.params.get("temperature", 0 if self.constrained else None) == 0,
        )

    def judge(self, completion: Completion) -> Generator[Effect, Any, Verdict]:
        """Read an answer, hold it against the output contract, then let the `check` blocks look at it."""
        self.tell_answer(completion)
        try:
            contract, reason = self.program.output_contract, completion.finish_reason
            found = read_answer(completion.text, contract, self.asked, finish_reason=reason)
            problems = yield from self.run.checks(found.value)
        except OutputSchemaError as error:
            return self.refuse(completion, error.problems)
        except RunllmError as error:
            return Verdict(completion=completion, error=error)
        if problems:
            return self.refuse(completion, problems, found.repairs)
        for repair in found.repairs:
            self.run.tell("repair", repair)
        return Verdict(completion=completion, value=found.value, repairs=found.repairs)

    def refuse(self, completion: Completion, problems: tuple[Problem, ...], repairs: tuple[str, ...] = ()) -> Verdict:
        """The verdict on an answer that does not fit."""
        for problem in problems:
            self.run.tell("problem", f"{problem.pointer}: {problem.message}" if problem.pointer else problem.message)
        return Verdict(completion=completion, problems=problems, repairs=repairs)

    def tell_answer(self, completion: Completion) -> None:
        """Tell the listener what came back and what it took."""
        usage = completion.usage
        for note in completion.notes:
            self.run.tell("call", note)
        self.run.tell(
            "answer",
            f"{completion.model}: {usage.prompt_tokens:,} + {usage.completion_tokens:,} tokens, "
            f"{money(completion.cost)}, {completion.latency:.3f} s, {completion.finish_reason}",
        )


def money(cost: float | None) -> str:
    """A cost in US dollars, as it is told."""
    return "price unknown" if cost is None else dollars(cost)
