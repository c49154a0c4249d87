"""The runs that docs/stats.md shows: made up with one chance, so that they are the same each time."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path

from runllm.stats.rows import AttemptRow, RunRow
from runllm.stats.store import Store

# Model, how often an answer fits, the middle of its seconds, US dollars for a prompt and a completion token.
_MODELS = (
    ("openai/gpt-4o-mini", "litellm", 0.87, 1.4, 1.5e-7, 6e-7),
    ("local/smollm2-135m", "local", 0.62, 0.9, 0.0, 0.0),
    ("anthropic/claude-haiku-4-5", "litellm", 0.96, 1.8, 8e-7, 4e-6),
)
_VIOLATIONS = ("maxLength /summary", "minItems /key_points", "required /key_points")
_LAST = datetime(2026, 11, 24, 16, 18, tzinfo=UTC).timestamp()


def record_runs(path: Path, *, runs: int = 240) -> None:
    """Write the runs into the store at `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    chance = random.Random(1871)  # noqa: S311 - the same made-up runs each time
    store = Store(path)
    for number in range(runs):
        store.record(_run(chance, _LAST - (runs - 1 - number) * 2_530))
    store.close()


def _run(chance: random.Random, started: float) -> RunRow:
    model, engine, *_ = chosen = chance.choice(_MODELS)
    head = {"app": "summary", "version": "1.0.0", "digest": "made-up", "path": "/made/up/summary.rllm"}
    if chance.random() < 0.01:
        return RunRow(
            **head, model="", engine="", started=started, latency=0.002, input_valid=False, error_code="RLLM_004"
        )
    attempts: list[AttemptRow] = []
    while len(attempts) < 3 and not (attempts and attempts[-1].valid):
        attempts.append(_attempt(chance, len(attempts) + 1, chosen))
    valid_on = attempts[-1].number if attempts[-1].valid else None
    return RunRow(
        **head,
        model=model,
        engine=engine,
        started=started,
        latency=sum(attempt.latency for attempt in attempts),
        estimated_prompt_tokens=attempts[0].prompt_tokens + 40,
        input_valid=True,
        valid_on=valid_on,
        error_code=None if valid_on else "RLLM_007",
        attempts=tuple(attempts),
    )


def _attempt(chance: random.Random, number: int, chosen: tuple[str, str, float, float, float, float]) -> AttemptRow:
    model, _, fits, seconds, prompt_price, completion_price = chosen
    valid = chance.random() < fits
    prompt, completion = chance.randint(300, 1000), chance.randint(40, 160)
    return AttemptRow(
        number=number,
        model=model,
        latency=seconds * chance.lognormvariate(0, 0.5),
        prompt_tokens=prompt,
        completion_tokens=completion,
        cost=prompt * prompt_price + completion * completion_price,
        finish_reason="stop",
        valid=valid,
        violations=() if valid else (chance.choice(_VIOLATIONS),),
    )
