"""Sending again and falling back, driven by hand."""

import pytest

from runllm.errors import AuthenticationError, ContextWindowExceededError, ProviderError, RateLimitError
from runllm.executor.delivery import Call, Pause, deliver
from runllm.results import Completion, Endpoint, Message, Request

REQUEST = Request(endpoint=Endpoint(model="?"), messages=(Message(role="user", content="x"),))
A, B = Endpoint(model="a/1"), Endpoint(model="b/1")


def play(answers: list, endpoints=(A,), num_retries: int = 2):
    """Run a delivery against scripted answers: the effects it asked for, and its completion or error."""
    steps = deliver(REQUEST, endpoints, num_retries=num_retries, jitter=lambda: 1.0)
    done: list[str] = []
    effect = next(steps)
    try:
        while True:
            if isinstance(effect, Pause):
                done.append(f"pause {effect.seconds:g}")
                effect = steps.send(None)
                continue
            assert isinstance(effect, Call)
            done.append(effect.request.endpoint.model)
            answer = answers.pop(0)
            effect = steps.throw(answer) if isinstance(answer, Exception) else steps.send(answer)
    except StopIteration as end:
        return done, end.value
    except Exception as error:  # what it raises is the result
        return done, error


OK = Completion(text="ok")


def test_a_retryable_failure_is_sent_again_with_growing_pauses() -> None:
    done, got = play([ProviderError("500"), ProviderError("500"), OK])
    assert done == ["a/1", "pause 0.5", "a/1", "pause 1", "a/1"]
    assert got.text == "ok"
    assert len(got.notes) == 2


def test_a_failure_that_will_repeat_is_not_sent_again() -> None:
    done, got = play([AuthenticationError("401")])
    assert (done, type(got)) == (["a/1"], AuthenticationError)


def test_the_providers_own_pause_is_kept() -> None:
    done, _ = play([RateLimitError("429", details={"retry_after": 7}), OK])
    assert done == ["a/1", "pause 7", "a/1"]


def test_a_pause_longer_than_is_sensible_is_not_waited_for() -> None:
    done, got = play([RateLimitError("429", details={"retry_after": 3600})])
    assert (done, type(got)) == (["a/1"], RateLimitError)


def test_fallbacks_are_tried_in_order_and_the_last_failure_names_all() -> None:
    done, got = play([AuthenticationError("401"), ProviderError("500")], (A, B), num_retries=0)
    assert done == ["a/1", "b/1"]
    assert type(got) is ProviderError
    assert [call.split(":")[0] for call in got.details["calls"]] == ["a/1", "b/1"]


def test_a_fallback_that_answers_says_what_failed_before() -> None:
    _, got = play([AuthenticationError("no such key"), OK], (A, B))
    assert got.notes == ("a/1: AuthenticationError: no such key",)


@pytest.mark.parametrize("error", [ContextWindowExceededError("too long"), KeyError("bug")])
def test_what_is_not_the_providers_failure_passes_through(error: Exception) -> None:
    done, got = play([error], (A, B))
    assert (done, got) == (["a/1"], error)
