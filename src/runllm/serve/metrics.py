"""How the apps do, as Prometheus reads it. No label holds what a client chose."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from runllm.results import RunResult
from runllm.serve.figures import Figures

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
KIND = CONTENT_TYPE_LATEST


class Metrics(Figures):
    """The figures since the service began."""

    def __init__(self) -> None:
        self._registry = all_of = CollectorRegistry()
        self._runs = Counter(
            "runllm_runs",
            "Runs that ended, by how: ok, left, or a code.",
            ["app", "ended"],
            registry=all_of,
        )
        self._seconds = Histogram("runllm_run_seconds", "Seconds of a run.", ["app"], buckets=_SECONDS, registry=all_of)
        self._tokens = Counter("runllm_tokens", "Tokens.", ["app", "kind"], registry=all_of)
        self._cost = Counter("runllm_cost_usd", "US dollars, where the price is known.", ["app"], registry=all_of)
        self._attempts = Counter("runllm_attempts", "Calls of the app's own model.", ["app"], registry=all_of)
        self._refused = Counter("runllm_refused", "Requests that found the queue full.", registry=all_of)
        self._under_way = Gauge("runllm_in_flight", "Runs under way.", registry=all_of)
        self._waiting = Gauge("runllm_waiting", "Runs that wait for a place.", registry=all_of)

    def ran(self, app: str, result: RunResult) -> None:
        """Count a run."""
        usage = result.usage
        self._runs.labels(app, result.error.code if result.error else "ok").inc()
        self._seconds.labels(app).observe(result.latency)
        self._attempts.labels(app).inc(len(result.attempts))
        self._tokens.labels(app, "prompt").inc(usage.prompt_tokens)
        self._tokens.labels(app, "completion").inc(usage.completion_tokens)
        self._cost.labels(app).inc(result.cost or 0.0)

    def left(self, app: str) -> None:
        """Count a run whose client left before it ended."""
        self._runs.labels(app, "left").inc()

    def refused(self) -> None:
        """Count a request that found the queue full."""
        self._refused.inc()

    def under_way(self, change: int) -> None:
        """Count a run that begins (1) or ends (-1)."""
        self._under_way.inc(change)

    def waiting(self, runs: int) -> None:
        """Keep how many runs wait for a place now."""
        self._waiting.set(runs)

    def text(self) -> bytes:
        """All of them."""
        return generate_latest(self._registry)
