"""What one run and a model say to each other: the first request, each answer's verdict, and what is asked again."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any

from runllm import tokens
from runllm.diagnostics import Problem, clip
from runllm.engines.endings import CUT, REWORD, WINDOW, ending
from runllm.errors import (
    ContextWindowExceededError,
    LLMParamValidationError,
    OutputSchemaError,
    RequestRefusedError,
    RunllmError,
)
from runllm.executor import prompt
from runllm.executor.context import Context
from runllm.executor.delivery import deliver, impatient
from runllm.executor.effects import Effect
from runllm.executor.recovery import CUT_OFF, Policy, attempts, beforehand, in_turns, window_exceeded
from runllm.quantities import dollars
from runllm.reading import read_answer
from runllm.results import Completion, Endpoint, Outcome, Request, Verdict
from runllm.routing import kept_for
from runllm.schema import is_text

_LONGEST_DOUBLED = 4096  # tokens of an answer that is given twice the room: more may be all that the model can give
_LONGEST_WORDS = 200
_NOT_TWICE = (
    "Bound lists and texts in `returns` (`maxItems`, `maxLength`), raise `frequency_penalty` or `temperature` a little "
    "under `llm_params`, or name another model."
)
_UNKNOWN_END = (
    "Look up at the provider what ends an answer so; a JSON output (`returns` with fields) shows whether it is whole."
)


class Conversation:
    """The calls of a run, from the first to the one whose answer fits."""

    def __init__(self, run: Context) -> None:
        self.run = run
        self.program = run.program
        self.prepared = run.prepared
        self.warned = set[str]()

    def render(self) -> Request:
        """Render the conversation into the first request."""
        messages = prompt.messages(self.program, self.run.names, self.prepared.instruction)
        return replace(self.prepared.request, messages=messages)

    def refusal(self, endpoint: Endpoint) -> LLMParamValidationError | None:
        """The error for parameters that the model for which they were written does not take; None for none."""
        misfits = self.prepared.fit(endpoint).misfits if endpoint.own else ()
        problems = tuple(misfit.problem(self.program.param_spans.get(misfit.name)) for misfit in misfits)
        if not problems:
            return None
        more = f" (and {len(problems) - 1} more)" if problems[1:] else ""
        return LLMParamValidationError(f"{problems[0]}{more}", problems=problems, hint=problems[0].hint)

    def left_out(self, endpoint: Endpoint) -> list[str]:
        """The warnings of what is left out for a model for which the file's parameters were not written."""
        misfits = () if endpoint.own else self.prepared.fit(endpoint).misfits
        return [f"`{misfit.name}` is left out: {misfit.message}" for misfit in misfits]

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
            schema=None if self.prepared.constrained or self.prepared.is_text else request.schema,
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
        """Ask, or take what was answered before, where the caller wants that."""
        first = self.render()
        self.guard(first)
        age = kept_for(self.run.options)
        if age is None or (answers := self.run.runtime.answers) is None:
            return (yield from self.ask(first))
        from runllm.executor import cached  # few runs take from the cache

        return (yield from cached.hold(self, first, age, answers))

    def ask(self, first: Request) -> Generator[Effect, Any, Outcome]:
        """Run the attempt loop, each of its requests delivered over the transport."""
        policy = self.policy(first)
        loop = attempts(first, policy)
        request, number = next(loop), 1
        try:
            while True:
                which = f", attempt {number} of {policy.max_retries + 1}" if number > 1 else ""
                self.run.tell("call", f"{request.endpoint.model}, at most {request.timeout:g} s{which}")
                try:
                    completion = yield from deliver(
                        request,
                        self.run.endpoints,
                        fitted=self.prepared.fitted,
                        num_retries=self.prepared.limits.num_retries,
                        patience=pace.patience if (pace := self.run.options.pace) else impatient,
                        jitter=self.run.runtime.jitter,
                    )
                except RunllmError as error:
                    request = loop.throw(error)
                else:
                    request = loop.send((yield from self.judge(completion, request)))
                    number += 1
                    self.run.tell("retry", f"asking again, with {len(request.messages)} messages")
        except StopIteration as end:
            return end.value

    def policy(self, first: Request) -> Policy:
        """How this program's requests are rewritten, and how often."""
        return Policy(
            recover=lambda facts: prompt.recovery_message(self.program, self.run.names, facts),
            fits=lambda request: self.room(request).fits,
            max_retries=self.prepared.limits.max_retries,
            deterministic=self.is_deterministic(first),
            longer=self.longer,
            again=beforehand if self.prepared.constrained and self.program.examples else in_turns,
        )

    def is_deterministic(self, first: Request) -> bool:
        """Whether the same request gives the same answer."""
        usual = 0 if self.prepared.constrained else None
        return self.prepared.fit(first.endpoint).params.get("temperature", usual) == 0

    def judge(self, completion: Completion, request: Request) -> Generator[Effect, Any, Verdict]:
        """Read an answer, hold it against the output contract, then let the `check` blocks look at it."""
        for endpoint in self.run.endpoints[1:]:
            if completion.model == endpoint.model and endpoint.model not in self.warned:
                self.warned.add(endpoint.model)
                for warning in self.left_out(endpoint):
                    self.run.warn(warning)
        self.tell_answer(completion)
        reason = completion.finish_reason
        end = ending(reason)
        if self.is_half(completion):
            return self.half(completion)
        try:
            cut = "length" if end in CUT else reason
            found = read_answer(completion.text, self.program.output_contract, self.prepared.asked, finish_reason=cut)
            problems = yield from self.run.checks(found.value)
        except OutputSchemaError as error:
            return self.unfit(completion, request, error.problems)
        except RunllmError as error:
            return Verdict(completion=completion, error=error)
        if problems:
            return self.refuse(completion, problems, found.repairs)
        if end in ("filter", "failure", "other"):
            why = "a filter stopped its answer" if end == "filter" else f"its answer ended with `{reason}`"
            self.run.warn(f"{completion.model} says that {why}; it fits, and is taken")
        for repair in found.repairs:
            self.run.tell("repair", repair)
        return Verdict(completion=completion, value=found.value, repairs=found.repairs)

    def unfit(self, completion: Completion, request: Request, problems: tuple[Problem, ...]) -> Verdict:
        """The verdict on an answer in which no value was found that fits."""
        end = ending(completion.finish_reason)
        if end in ("filter", "window"):
            return Verdict(completion=completion, error=ended(completion))
        if end in CUT:
            return self.refuse(completion, (self.cut_off(request, completion),))
        several = any(problem.keyword == "ambiguous" for problem in problems)  # each of them fits
        called = () if several else calls(completion)
        return self.refuse(completion, tuple(dict.fromkeys((*called, *problems))))

    def is_half(self, completion: Completion) -> bool:
        """Whether an answer in text is not all there, which JSON shows by itself: a text that is cut is one, too."""
        unnatural = completion.called or ending(completion.finish_reason) in ("filter", "other")
        return unnatural and is_text(self.program.output_contract.schema)

    def half(self, completion: Completion) -> Verdict:
        """The verdict on such an answer."""
        if completion.called:
            return self.refuse(completion, calls(completion))
        if ending(completion.finish_reason) == "filter":
            return Verdict(completion=completion, error=ended(completion))
        said = (
            f"the answer ended with `{completion.finish_reason}`, which does not say that it is whole: write all of it"
        )
        return self.refuse(completion, (Problem(message=said, keyword=CUT_OFF, hint=_UNKNOWN_END),))

    def refuse(self, completion: Completion, problems: tuple[Problem, ...], repairs: tuple[str, ...] = ()) -> Verdict:
        """The verdict on an answer that does not fit."""
        for problem in problems:
            said = f"{problem.pointer}: {problem.message}" if problem.pointer else problem.message
            self.run.tell("problem", said, logged=problem.keyword)
        return Verdict(completion=completion, problems=problems, repairs=repairs)

    def cut_off(self, request: Request, completion: Completion) -> Problem:
        """What is wrong with an answer that was cut off, and what to do; a limit is named with where it came from."""
        reason = completion.finish_reason
        if ending(reason) == "repetition":
            said = f"the answer repeated itself until the server stopped it (`{reason}`): write nothing twice"
            return Problem(message=said, keyword=CUT_OFF, hint=_NOT_TWICE)
        given, own = request.endpoint.provider_params, self.program.params
        place = "llm_params" if tokens.longest_answer(own) else "llm.provider_params"
        most = tokens.longest_answer(own) or tokens.longest_answer(given) or given.get("num_predict")
        asked = tokens.longest_answer(self.run.runtime.engine(request.endpoint).sent(request).params)
        if most:
            limit, hint = f"`max_tokens` is {most:,}", f"Raise `max_tokens` under `{place}`"
        elif asked:
            limit = f"{asked:,} tokens were asked for"
            hint = f"The file sets no `max_tokens`, so that {limit}: set it under `llm_params`"
        else:
            limit = f"it has {completion.usage.completion_tokens:,} tokens"
            hint = "The file sets no `max_tokens`, the limit is the server's own: set it under `llm_params`, or there"
        return Problem(
            message=f"the answer was cut off at the token limit ({limit}): write less",
            keyword=CUT_OFF,
            hint=f"{hint}, or ask for a shorter answer.",
        )

    def longer(self, request: Request, completion: Completion) -> Request:
        """The request with room for twice the answer, where only the server knows where it cut it."""
        used = completion.usage.completion_tokens
        limited = tokens.longest_answer(self.run.runtime.engine(request.endpoint).sent(request).params) is not None
        if limited or not 0 < used <= _LONGEST_DOUBLED:
            return request
        return replace(request, params={**request.params, "max_tokens": 2 * used})

    def tell_answer(self, completion: Completion) -> None:
        """Tell the listener what came back and what it took."""
        if not self.run.is_heard:
            return
        usage = completion.usage
        counted = (
            f"{usage.prompt_tokens:,} + {usage.completion_tokens:,} tokens" if usage.total_tokens else "not counted"
        )
        for note in completion.notes:
            self.run.tell("cached" if completion.cached else "call", note, logged="")
        if completion.cached:
            return
        self.run.tell(
            "answer",
            f"{completion.model}: {counted}, "
            f"{money(completion.cost)}, {completion.latency:.3f} s, {completion.finish_reason}",
        )


def calls(completion: Completion) -> tuple[Problem, ...]:
    """What is wrong with an answer that calls a tool; nothing with one that calls none."""
    from runllm.reading.marks import is_call  # an answer that fits needs none of it
    from runllm.reading.search import CALLED

    return (CALLED,) if completion.called or is_call(completion.text) else ()


def ended(completion: Completion) -> RunllmError:
    """The error for an answer that a filter or the end of the window stopped before it was whole, with what came."""
    said = clip(" ".join(completion.text.split()), _LONGEST_WORDS)
    details = {"model": completion.model, "finish_reason": completion.finish_reason}
    came = f", after: {said}" if said else ""
    if ending(completion.finish_reason) == "window":
        return ContextWindowExceededError(
            f"the answer of `{completion.model}` was cut off where its context window ended{came}",
            details=details,
            hint=WINDOW,
        )
    return RequestRefusedError(
        f"`{completion.model}` withheld its answer: the content filter stopped it{came}", details=details, hint=REWORD
    )


def money(cost: float | None) -> str:
    """A cost in US dollars, as it is told."""
    return "price unknown" if cost is None else dollars(cost)
