"""Predicting a call from earlier ones: pure arithmetic on samples."""

import random
from dataclasses import replace

import pytest

from runllm.predict.past import fit_lengths, fit_speed
from runllm.stats.ranks import quantile
from runllm.stats.rows import AttemptRow


def call(prompt: int, completion: int, latency: float) -> AttemptRow:
    return AttemptRow(number=1, model="m", prompt_tokens=prompt, completion_tokens=completion, latency=latency)


def calls(count: int, base: float, per_prompt: float, per_completion: float, noise: float = 0.0) -> list[AttemptRow]:
    """Calls of a model of known speed; the noise is the standard deviation of a factor."""
    chance = random.Random(7)  # noqa: S311 - the same noise each time
    made = []
    for _ in range(count):
        prompt, completion = chance.randint(50, 4000), chance.randint(10, 900)
        line = base + per_prompt * prompt + per_completion * completion
        made.append(call(prompt, completion, line * max(0.1, chance.gauss(1, noise))))
    return made


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([3], 0.95, 3), ([1, 2], 0.5, 1.5), ([1, 2, 3, 4, 5], 0.9, 4.6), ([1, 2, 3], 0, 1), ([1, 2, 3], 1, 3)],
)
def test_a_quantile_lies_between_its_neighbours(values: list[float], share: float, expected: float) -> None:
    assert quantile(values, share) == pytest.approx(expected)


@pytest.mark.parametrize(
    "speed", [(0.4, 0.0002, 0.02), (0.0, 0.0002, 0.02), (0.4, 0.0, 0.02), (0.3, 0.0, 0.0), (0.0, 0.001, 0.0)]
)
def test_an_exact_speed_is_found_exactly(speed: tuple[float, float, float]) -> None:
    fit = fit_speed(calls(30, *speed))
    assert fit is not None
    assert (fit.base, fit.per_prompt_token, fit.per_completion_token) == pytest.approx(speed, abs=1e-8)
    assert (fit.ratios[0], fit.ratios[-1]) == pytest.approx((1, 1))


def test_no_coefficient_is_below_zero_where_a_plain_line_would_have_one() -> None:
    """Latency falls with the prompt here, which no model does: the line is then the best of those without it."""
    samples = [call(s.prompt_tokens, s.completion_tokens, 9 - s.prompt_tokens / 2000) for s in calls(40, 0, 0, 1)]
    samples = [replace(s, latency=s.latency + 0.02 * s.completion_tokens) for s in samples]
    fit = fit_speed(samples)
    assert fit is not None
    assert fit.per_prompt_token == 0
    assert fit.per_completion_token == pytest.approx(0.02, rel=0.1)


def test_a_few_calls_that_hung_do_not_bend_the_line() -> None:
    samples = calls(40, 0.4, 0.0002, 0.02, noise=0.05)
    hung = [call(100, 20, 90.0), call(3000, 50, 120.0), call(500, 700, 60.0)]
    fit = fit_speed(samples + hung)
    assert fit is not None
    assert fit.line(1000, 500) == pytest.approx(0.4 + 0.2 + 10, rel=0.05)
    assert fit.ratios[-1] > 20  # they did happen


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([call(500, 100, 2.0)], (0, 0, 0.02)),
        ([call(500, 0, 2.0)], None),  # nothing was answered: there is no rate
        ([call(500, n, 1 + 0.02 * n) for n in (10, 40, 90, 200)], (1, 0, 0.02)),
        ([call(100 * n, n, 1 + 0.02 * n) for n in range(1, 8)], (1, 0, 0.02)),
        ([call(500, n, 1 + 0.02 * n) for n in range(10, 30)], (1, 0, 0.02)),  # prompts alike: one with the base
        ([call(500, 100, 3.0)] * 20, None),
        ([], None),
    ],
)
def test_few_or_equal_samples_tell_fewer_coefficients(
    samples: list[AttemptRow], expected: tuple[float, ...] | None
) -> None:
    fit = fit_speed(samples)
    if expected is not None:
        assert fit is not None
        assert (fit.base, fit.per_prompt_token, fit.per_completion_token) == pytest.approx(expected, abs=1e-6)
    elif fit is not None:  # many lines fit calls that are all alike; each predicts the same call again
        assert fit.line(500, 100) == pytest.approx(3.0)


def test_answers_follow_the_prompt_only_where_they_really_do() -> None:
    chance = random.Random(3)  # noqa: S311 - as above
    prompts = [chance.randint(100, 4000) for _ in range(60)]
    translations = fit_lengths([call(p, round(0.9 * p + chance.uniform(-50, 50)), 1) for p in prompts])
    labels = fit_lengths([call(p, chance.randint(5, 15), 1) for p in prompts])
    assert translations is not None
    assert labels is not None
    assert translations.at(2000, 0.5) == pytest.approx(1800, abs=30)
    assert labels.per_prompt_token == 0
    assert 5 <= labels.at(100_000, 0.9) <= 15
    assert translations.at(2000, 0.9, most=300) == 300
    assert fit_lengths([call(p, p, 1) for p in range(1, 8)]).per_prompt_token == 0  # type: ignore[union-attr]
