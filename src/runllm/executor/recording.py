"""Keep a run in the statistics, once, whatever came of it."""

from __future__ import annotations

from dataclasses import replace

from runllm.errors import StatsError
from runllm.results import Event, RunResult
from runllm.routing import Options
from runllm.runtime import Runtime


def recorded(result: RunResult, options: Options, runtime: Runtime) -> RunResult:
    """The result, after it was recorded; what stands in the way of that is a warning on it, never an error."""
    store = runtime.store
    if store is None:
        return result
    from runllm.stats.rows import record_of  # a run that is not recorded needs none of it

    try:
        store.record(record_of(result, log_content=options.log_content))
    except StatsError as error:
        warning = f"the run is not in the statistics: {error.message}"
        if options.listener is not None:
            options.listener(Event(step="warning", message=warning, elapsed=result.latency))
        result = replace(result, warnings=(*result.warnings, warning))
        if result.error is not None:
            result.error.result = result
    return result
