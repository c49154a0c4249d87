"""The attempt loop, fed by hand: no engine, no clock, no event loop."""

from collections.abc import Generator

import pytest

from runllm.diagnostics import Problem
from runllm.errors import ProviderError, PythonBlockExecutionError, RetryExhaustedError, TemplateError
from runllm.executor.recovery import Policy, attempts
from runllm.results import Completion, Endpoint, Message, Outcome, Request, Usage, Verdict

FIRST = Request(
    endpoint=Endpoint(model="m"), messages=(Message(role="user", content="ask"),), schema={"type": "object"}
)
WRONG = Problem(message="too long", pointer="/a")


def judged(text: str) -> Verdict:
    """The verdict on an answer of this text: only `good` is."""
    completion = Completion(text=text, usage=Usage(prompt_tokens=10, completion_tokens=5))
    if text == "good":
        return Verdict(completion=completion, value={"a": 1})
    return Verdict(completion=completion, problems=(WRONG,))


def policy(**changes) -> Policy:
    def recover(names: dict) -> str:
        error = names["errors"][0]
        return f"{names['attempt']}: {error['path']} {error['message']} <{names['previous_output']}>"

    return Policy(**{"recover": recover, "fits": lambda _: True, **changes})


def play(loop: Generator[Request, Verdict, Outcome], *texts: str) -> tuple[list[Request], Outcome | None]:
    """Feed answers to the loop; the requests it made, and its outcome if it ended."""
    requests = [next(loop)]
    for text in texts:
        try:
            requests.append(loop.send(judged(text)))
        except StopIteration as end:
            return requests, end.value
    return requests, None


def test_a_good_answer_ends_the_loop() -> None:
    requests, outcome = play(attempts(FIRST, policy()), "good")
    assert (len(requests), outcome.value, len(outcome.attempts)) == (1, {"a": 1}, 1)


def test_a_retry_shows_the_previous_answer_and_each_violation_with_its_path() -> None:
    requests, outcome = play(attempts(FIRST, policy()), "bad", "good")
    assert [m.role for m in requests[1].messages] == ["user", "assistant", "user"]
    assert requests[1].messages[1].content == "bad"
    assert requests[1].messages[2].content == "2: /a too long <bad>"
    assert [a.problems for a in outcome.attempts] == [(WRONG,), ()]


def test_a_retry_shows_the_last_answer_only() -> None:
    requests, _ = play(attempts(FIRST, policy()), "bad", "worse")
    assert [m.content for m in requests[2].messages][:2] == ["ask", "worse"]


def test_exhaustion_carries_every_attempt() -> None:
    _, outcome = play(attempts(FIRST, policy(max_retries=2)), "one", "two", "three")
    assert isinstance(outcome.error, RetryExhaustedError)
    assert [a["text"] for a in outcome.error.details["attempts"]] == ["one", "two", "three"]
    assert outcome.error.problems == (WRONG,)
    assert "3 attempts" in outcome.error.message


def test_no_retries_means_one_attempt() -> None:
    requests, outcome = play(attempts(FIRST, policy(max_retries=0)), "bad")
    assert (len(requests), len(outcome.attempts)) == (1, 1)


def test_the_same_wrong_answer_twice_is_not_asked_again_unchanged() -> None:
    """A deterministic model would only repeat itself: temperature and words both change, and the attempt says so."""
    requests, _ = play(attempts(FIRST, policy(max_retries=3, deterministic=True)), "bad", "bad")
    assert requests[1].params.get("temperature") is None
    assert requests[2].params["temperature"] == 0.5
    assert "same answer" in requests[2].messages[-1].content


def test_a_stuck_model_that_is_not_deterministic_is_told_so_only() -> None:
    requests, outcome = play(attempts(FIRST, policy()), "bad", "bad", "good")
    assert "temperature" not in requests[2].params
    assert outcome.attempts[2].notes == ("the answer was the same twice: said so",)


def test_a_long_previous_answer_is_shortened_until_the_request_fits() -> None:
    def small(request: Request) -> bool:
        return sum(len(m.content) for m in request.messages) < 700

    requests, outcome = play(attempts(FIRST, policy(fits=small)), "x" * 1000, "good")
    assert "[shortened]" in requests[1].messages[1].content
    assert outcome.attempts[1].notes == ("the previous answer was shortened to fit the window",)


def test_a_retry_that_cannot_fit_ends_the_attempts() -> None:
    _, outcome = play(attempts(FIRST, policy(fits=lambda request: len(request.messages) == 1)), "bad")
    assert isinstance(outcome.error, RetryExhaustedError)
    assert "does not fit the context window" in outcome.error.message


def test_a_provider_failure_ends_the_loop_and_keeps_the_attempts_before_it() -> None:
    loop = attempts(FIRST, policy())
    next(loop)
    loop.send(judged("bad"))
    with pytest.raises(StopIteration) as end:
        loop.throw(ProviderError("down"))
    outcome = end.value.value
    assert isinstance(outcome.error, ProviderError)
    assert [a.completion.text if a.completion else None for a in outcome.attempts] == ["bad", None]


def test_an_answer_that_cannot_be_judged_ends_the_loop_and_is_kept() -> None:
    loop = attempts(FIRST, policy())
    next(loop)
    failure = PythonBlockExecutionError("broken check")
    with pytest.raises(StopIteration) as end:
        loop.send(Verdict(completion=Completion(text="good"), error=failure))
    outcome = end.value.value
    assert outcome.error is failure
    assert [a.completion.text for a in outcome.attempts] == ["good"]


def test_a_recovery_template_that_fails_loses_no_attempt() -> None:
    def recover(_: dict) -> str:
        raise TemplateError("no")

    _, outcome = play(attempts(FIRST, policy(recover=recover)), "bad")
    assert isinstance(outcome.error, TemplateError)
    assert len(outcome.attempts) == 1
