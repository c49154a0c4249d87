"""A run as what is kept of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from runllm import engines
from runllm.diagnostics import Problem, pointer
from runllm.results import Attempt, ChildResult, RunResult
from runllm.schema import declared_properties, resolve
from runllm.stats.records import AttemptRecord, ChildRecord, RunRecord


def record_of(result: RunResult, *, log_content: bool = False) -> RunRecord:
    """What is kept of a run, without a word of what was sent or answered unless `log_content` is set."""
    valid_on = None
    if result.output is not None:
        valid_on = result.attempts[-1].number if result.attempts else 0
    return replace(
        _head(result),
        latency=result.latency,
        input_valid=result.input_valid,
        estimated_prompt_tokens=result.estimated_prompt_tokens,
        valid_on=valid_on,
        error_code=result.error.code if result.error else None,
        attempts=tuple(_attempt(attempt, log_content) for attempt in result.attempts),
        children=tuple(_child(child, log_content) for child in result.children),
    )


def _head(result: RunResult) -> RunRecord:
    return RunRecord(
        app=result.app,
        version=result.version,
        digest=result.digest,
        path=result.path,
        model=result.model,
        engine=engines.traits(result.model).name if result.model else "",
        started=result.started,
        latency=0.0,
        input_valid=True,
    )


def _child(child: ChildResult, log_content: bool) -> ChildRecord:
    """A child; of a shared one the head alone, since the rest stands where it ran."""
    run = _head(child.result) if child.shared else record_of(child.result, log_content=log_content)
    return ChildRecord(name=child.name, index=child.index, shared=child.shared, run=run)


def _attempt(attempt: Attempt, log_content: bool) -> AttemptRecord:
    completion = attempt.completion
    usage = completion.usage if completion else None
    return AttemptRecord(
        number=attempt.number,
        model=(completion.model if completion else "") or attempt.request.endpoint.model,
        latency=completion.latency if completion else 0.0,
        prompt_tokens=usage.prompt_tokens if usage else 0,
        completion_tokens=usage.completion_tokens if usage else 0,
        cached_tokens=usage.cached_tokens if usage else 0,
        reasoning_tokens=usage.reasoning_tokens if usage else 0,
        cost=completion.cost if completion else None,
        finish_reason=completion.finish_reason if completion else "",
        valid=completion is not None and not attempt.problems and attempt.error is None,
        violations=tuple(_violation(problem, attempt.request.schema) for problem in attempt.problems),
        repairs=attempt.repairs,
        error_code=attempt.error.code if attempt.error else None,
        request_text="\n\n".join(f"{m.role}: {m.content}" for m in attempt.request.messages) if log_content else None,
        answer_text=completion.text if completion and log_content else None,
    )


def _violation(problem: Problem, schema: Mapping[str, Any] | None) -> str:
    """Keyword and place of a violation; `*` for a step that the schema does not name, which is the model's own word."""
    root = schema or {}
    node: Any = root
    steps: list[str] = []
    for step in problem.pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        declared = declared_properties(root, node)
        steps.append(name if name in declared else "*")
        node = declared.get(name, resolve(root, node).get("items", {}))
    return f"{problem.keyword} {pointer(steps)}".strip()
