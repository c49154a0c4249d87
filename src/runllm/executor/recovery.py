"""The attempt loop: ask, judge, and ask again with what was wrong, until it fits or the tries are used up.

A generator without I/O, clock or sandbox: it yields each `Request`, is sent the `Verdict` on the answer (or
has the provider's error thrown in), and returns an `Outcome`. Two drivers run it, and tests feed it by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any

from runllm.diagnostics import Problem
from runllm.engines.endings import ending
from runllm.errors import (
    BudgetExceededError,
    ContextWindowExceededError,
    RetryExhaustedError,
    RunllmError,
)
from runllm.results import DEFAULT_MAX_RETRIES, Attempt, Completion, Message, Outcome, Request, Verdict
from runllm.values import frozen

UNSTUCK_TEMPERATURE = 0.5
CUT_OFF = "truncated"
"""The keyword of the problem of an answer that ended at the token limit."""

DEFAULT_TEMPLATE = """\
Your answer cannot be used. What is wrong with it:
{% for error in errors %}- {{ error.path or "whole answer" }}: {{ error.message }}
{% endfor %}
Answer again: correct this, keep what was right, and write """
ENDINGS = {False: "one JSON object and nothing else.", True: "the text and nothing else."}
"""How it ends, by whether the answer is asked for as text."""

_SAME_AGAIN = "This is the same answer as before, and it is still wrong: give a different one."
_CUT = " … [shortened]"
_SHORTEST_QUOTE = 64


Conversation = tuple[Message, ...]


def in_turns(asked: Conversation, answer: str, told: str) -> Conversation:
    """What was asked, the answer to it, and what is wrong with that as a further turn."""
    return (*asked, Message(role="assistant", content=answer or "(no answer)"), Message(role="user", content=told))


def beforehand(asked: Conversation, answer: str, told: str) -> Conversation:
    """What was asked, with the answer and what is wrong with it told before: the question remains the last turn.

    For a small model that was shown examples: every turn of the user's is a question to it, and so it would write a
    subject line for the error message.
    """
    said = f"Your last answer to the last message was:\n{answer or '(no answer)'}\n\n{told}"
    if asked[0].role != "system":
        return (Message(role="system", content=said), *asked)
    return (replace(asked[0], content=f"{asked[0].content}\n\n{said}"), *asked[1:])


@frozen
class Policy:
    """How to go on after an answer that does not fit.

    Attributes:
        recover: writes the recovery message from the names its template sees.
        fits: whether a request fits the context window.
        max_retries: how many more attempts follow the first.
        deterministic: whether the same request gives the same answer, so that asking it again is useless.
        longer: gives a request more room for its answer after one that was cut off, where that can be done.
        again: makes a conversation of what was asked first, the last answer and the recovery message.
    """

    recover: Callable[[dict[str, Any]], str]
    fits: Callable[[Request], bool]
    max_retries: int = DEFAULT_MAX_RETRIES
    deterministic: bool = False
    longer: Callable[[Request, Completion], Request] = lambda request, _: request
    again: Callable[[Conversation, str, str], Conversation] = in_turns


def attempts(first: Request, policy: Policy) -> Generator[Request, Verdict, Outcome]:
    """Run the loop.

    Args:
        first: the request to begin with; later ones add the previous answer and what was wrong with it.
        policy: how requests are rewritten, and how often.

    Returns:
        The accepted value, or the error that ended the attempts: the provider's own, that of a Python block
        that could not judge, or a `RetryExhaustedError`. All attempts either way.
    """
    made: list[Attempt] = []
    request, notes = first, ()
    while True:
        number = len(made) + 1
        try:
            verdict = yield request
        except BudgetExceededError as error:  # nothing was asked
            return Outcome(value=None, attempts=tuple(made), error=error)
        except RunllmError as error:
            made.append(Attempt(number=number, request=request, notes=notes, error=error))
            return Outcome(value=None, attempts=tuple(made), error=error)
        made.append(
            Attempt(
                number=number,
                request=request,
                completion=verdict.completion,
                problems=verdict.problems,
                repairs=verdict.repairs,
                notes=notes + verdict.completion.notes,
                error=verdict.error,
            )
        )
        if verdict.error is not None:
            return Outcome(value=None, attempts=tuple(made), error=verdict.error)
        if not verdict.problems:
            return Outcome(value=verdict.value, attempts=tuple(made))
        if number > policy.max_retries:
            return Outcome(value=None, attempts=tuple(made), error=_exhausted(made))
        if number > 1 and _is_cut(made[-2]) and _is_cut(made[-1]):  # a third would be paid for the same
            return Outcome(value=None, attempts=tuple(made), error=_exhausted(made))
        try:
            following = _next_request(first, made, policy)
        except RunllmError as error:  # the author's RECOVERY template fails on these values
            return Outcome(value=None, attempts=tuple(made), error=error)
        if following is None:
            reason = "; a further attempt does not fit the context window"
            return Outcome(value=None, attempts=tuple(made), error=_exhausted(made, reason))
        request, notes = following


def _next_request(first: Request, made: list[Attempt], policy: Policy) -> tuple[Request, tuple[str, ...]] | None:
    """The request after a wrong answer and what was changed for it; None when none fits the window."""
    last = made[-1]
    answer = _printable(last.completion.text) if last.completion else ""
    request, notes = first, ()
    closing = ""
    if _stuck(made):
        closing = "\n\n" + _SAME_AGAIN
        notes = ("the answer was the same twice: said so",)
        if policy.deterministic:
            request = replace(first, params={**first.params, "temperature": UNSTUCK_TEMPERATURE})
            notes = (f"the answer was the same twice: temperature raised to {UNSTUCK_TEMPERATURE}",)
    if last.completion is not None and ending(last.completion.finish_reason) == "limit":
        longer = policy.longer(request, last.completion)
        if longer is not request and policy.fits(longer):
            request, notes = longer, (*notes, f"more room for the answer: {longer.params['max_tokens']:,} tokens")
    for quote in _quotes(answer):
        names = {
            "errors": [{"path": p.pointer, "message": p.message} for p in last.problems],
            "previous_output": quote,
            "attempt": len(made) + 1,
            "output_schema": first.schema or {},
        }
        text = policy.recover(names) + closing
        candidate = replace(request, messages=policy.again(first.messages, quote, text))
        if policy.fits(candidate):
            cut = () if quote == answer else ("the previous answer was shortened to fit the window",)
            return candidate, notes + cut
    return None


def _is_cut(attempt: Attempt) -> bool:
    """Whether an answer was cut off, as its end says: a value that breaks off has no hint."""
    return any(problem.keyword == CUT_OFF and problem.hint for problem in attempt.problems)


def _printable(text: str) -> str:
    """An answer in characters that can be sent: half of a surrogate pair is shown as its escape."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _stuck(made: list[Attempt]) -> bool:
    texts = [attempt.completion.text for attempt in made[-2:] if attempt.completion]
    return len(texts) == 2 and texts[0] == texts[1]  # noqa: PLR2004 - twice in a row


def _quotes(answer: str) -> list[str]:
    """The previous answer whole, then ever shorter beginnings of it."""
    quotes = [answer]
    length = len(answer) // 2
    while length >= _SHORTEST_QUOTE:
        quotes.append(answer[:length] + _CUT)
        length //= 2
    return quotes


def _exhausted(made: list[Attempt], reason: str = "") -> RetryExhaustedError:
    last = made[-1]
    count = f"{len(made)} attempt" + ("s" if len(made) > 1 else "")
    first_problem = f": {_sentence(last.problems[0])}" if last.problems else ""
    return RetryExhaustedError(
        f"no valid answer in {count}{first_problem}{reason}",
        problems=last.problems,
        details={"attempts": [attempt.to_dict(text=True) for attempt in made]},
        expected_schema=last.request.schema,
        received=last.completion.text if last.completion else None,
        hint=_hint(last),
    )


def _hint(last: Attempt) -> str | None:
    """What to do, where more attempts would not help."""
    if last.completion is None:
        return None
    if _is_cut(last):
        return next((one.hint for one in last.problems), None)
    from runllm.reading.marks import said  # an answer that fits needs none of it

    if not said(last.completion.text):
        return (
            "The model only thought. Let it think less (`reasoning_effort: low` under `llm_params`, or its own switch "
            "under `llm.provider_params`), raise `max_tokens`, or name another model."
        )
    return None


def _sentence(problem: Problem) -> str:
    return f"`{problem.pointer}`: {problem.message}" if problem.pointer else problem.message


def window_exceeded(prompt: int, answer: int, window: int, limit: str) -> ContextWindowExceededError:
    """The error for a first request that does not fit.

    Args:
        prompt: estimated tokens of the prompt.
        answer: tokens kept free for the answer.
        window: tokens there are.
        limit: what sets the window, such as `max_context_window`.
    """
    return ContextWindowExceededError(
        f"the prompt takes about {prompt:,} tokens and the answer {answer:,}: "
        f"{prompt + answer - window:,} more than the {window:,} of {limit}",
        details={"prompt_tokens": prompt, "answer_tokens": answer, "window": window, "limit": limit},
    )
