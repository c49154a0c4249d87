"""What is kept of a run, as values: the fields are the columns.

A new column is one step of `runllm.stats.database.STEPS` and one field here, which says with `summed` how its number
comes from the attempts, or is filled in by `record_of`. No text of a prompt or an answer is among them unless the
caller logs content. Nothing here needs SQLite.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import field, fields, replace
from functools import cache
from typing import Any, TypeVar

from runllm import engines
from runllm.diagnostics import Problem, pointer, steps
from runllm.redaction import redact_text
from runllm.results import Attempt, ChildResult, RunResult
from runllm.schema import declared_properties, resolve
from runllm.values import frozen

_BELOW = ("attempts", "children")  # of a run: rows of their own
Row = TypeVar("Row", "RunRow", "AttemptRow")


@frozen
class AttemptRow:
    """One request to a model and what came of it.

    Attributes:
        number: counted from 1.
        model: the model that was asked, which a fallback may have changed.
        latency: seconds.
        prompt_tokens: what was sent, cached tokens included.
        completion_tokens: what was answered, reasoning tokens included.
        cached_tokens: of the prompt, what the provider had seen before.
        reasoning_tokens: of the answer, what was thought.
        cost: US dollars, None where the price is not known.
        finish_reason: `stop`, `length` or the provider's word; empty when no answer came.
        valid: whether the answer fitted the contract.
        violations: what was wrong with it, each as keyword and pointer, such as `required /summary`.
        repairs: names of the repairs that reading the answer took.
        error_code: the provider's failure, None when it answered.
        request_text: what was sent, when content is logged.
        answer_text: what came back, when content is logged.
    """

    number: int
    model: str
    latency: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost: float | None = None
    finish_reason: str = ""
    valid: bool = False
    violations: tuple[str, ...] = ()
    repairs: tuple[str, ...] = ()
    error_code: str | None = None
    request_text: str | None = None
    answer_text: str | None = None

    @property
    def answered(self) -> bool:
        """Whether an answer came, fitting or not."""
        return self.error_code is None or self.valid or bool(self.violations) or self.completion_tokens > 0


Attempts = tuple[AttemptRow, ...]


def summed(of: Callable[[Attempts], Any], default: Any = 0) -> Any:
    """A column of a run that its attempts make."""
    return field(default=default, metadata={"of": of})


@frozen
class RunRow:
    """One run of an app, whether it succeeded or not.

    Attributes:
        id: counted up from 1 as runs are recorded; 0 before.
        parent_id: the run that used this one, None for a run of its own.
        child_name: what the parent calls it; empty for a run of its own.
        child_index: position in a `for_each`, counted from 0; None outside one.
        shared: whether the result of an earlier child was used again: nothing ran, so nothing is counted twice.
        app: name of the app.
        version: version of the app.
        digest: hash of the file's content.
        path: the file, as an absolute path.
        model: the model that gave the accepted answer, or the last one asked; empty when there was none.
        engine: `litellm`, `ollama`, `local`, or empty for none.
        started: Unix seconds.
        latency: seconds from start to end of the run.
        estimated_prompt_tokens: what the first prompt was thought to take, None when it was never rendered.
        input_valid: whether the input fitted the contract.
        valid_on: number of the attempt whose answer fitted; 0 where the output was built without a model,
            None where there is no output.
        error_code: why the run failed, None when it did not.
        skipped: items of a `for_each` that failed, and without which it went on.
        asked: how many attempts there were; this and what follows is of the run itself, not of its children.
        answered: how many of them brought an answer.
        longest_answer: completion tokens of the longest answer.
        call_latency: seconds spent in the calls that were answered.
        cost: US dollars of the calls whose price is known; None where calls were made and none has one.
        unpriced: how many answered calls have no known price, and are missing in `cost`.
        repairs: the repairs that reading the last answer took.
        attempts: every request of the run, when it is recorded or exported.
        children: the runs of other apps that it used, in order, when it is recorded.
    """

    id: int = 0
    parent_id: int | None = None
    child_name: str = ""
    child_index: int | None = None
    shared: bool = False
    app: str
    version: str
    digest: str
    path: str
    model: str
    engine: str
    started: float
    latency: float = 0.0
    estimated_prompt_tokens: int | None = None
    input_valid: bool = True
    valid_on: int | None = None
    error_code: str | None = None
    skipped: int = 0
    asked: int = summed(len)
    answered: int = summed(lambda made: sum(one.answered for one in made))
    prompt_tokens: int = summed(lambda made: sum(one.prompt_tokens for one in made))
    completion_tokens: int = summed(lambda made: sum(one.completion_tokens for one in made))
    cached_tokens: int = summed(lambda made: sum(one.cached_tokens for one in made))
    reasoning_tokens: int = summed(lambda made: sum(one.reasoning_tokens for one in made))
    longest_answer: int = summed(lambda made: max((one.completion_tokens for one in made), default=0))
    call_latency: float = summed(lambda made: sum(one.latency for one in made if one.answered), 0.0)
    cost: float | None = summed(lambda made: sum(one.cost or 0.0 for one in made), 0.0)
    unpriced: int = summed(lambda made: sum(one.cost is None for one in made if one.answered))
    repairs: tuple[str, ...] = summed(lambda made: made[-1].repairs if made else (), ())
    attempts: Attempts = ()
    children: tuple[RunRow, ...] = ()

    @property
    def retries(self) -> int:
        """How many attempts followed the first."""
        return max(0, self.asked - 1)


# --- to SQLite and back --------------------------------------------------------------------------


@cache
def columns(kind: type[RunRow | AttemptRow]) -> tuple[str, ...]:
    """The names of the columns, in their order."""
    return tuple(one.name for one in fields(kind) if one.name not in _BELOW)


@cache
def _readers(kind: type[RunRow | AttemptRow]) -> tuple[tuple[str, Callable[[Any], Any] | None], ...]:
    """How each column becomes its field, where they differ."""
    read: dict[str, Callable[[Any], Any]] = {"bool": bool, "tuple[str, ...]": lambda text: tuple(json.loads(text))}
    return tuple((name, read.get(kind.__annotations__[name])) for name in columns(kind))


def stored(row: RunRow | AttemptRow) -> tuple[Any, ...]:
    """A row as SQLite keeps it, in the order of `columns`: the sums made, lists as JSON, secrets in texts masked."""
    found: list[Any] = []
    for name, make, is_text in _written(type(row)):
        value = make(row.attempts) if make and isinstance(row, RunRow) else getattr(row, name)
        found.append(_kept(redact_text(value) if value and is_text else value))
    return tuple(found)


@cache
def _written(kind: type[RunRow | AttemptRow]) -> tuple[tuple[str, Callable[[Attempts], Any] | None, bool], ...]:
    """Each column of a row: its name, what makes it of the attempts, whether it is a logged text."""
    columns = (one for one in fields(kind) if one.name not in _BELOW)
    return tuple((one.name, one.metadata.get("of"), one.name.endswith("_text")) for one in columns)


def storable(text: str) -> str:
    """`text` as UTF-8 can hold it: a path may have bytes that are no text, which Python keeps as surrogates."""
    return text.encode("utf-8", "backslashreplace").decode()


_AS_THEY_ARE = (int, float, bool)


def _kept(value: Any) -> Any:
    if value is None or type(value) in _AS_THEY_ARE:
        return value
    if isinstance(value, str):
        return value if value.isascii() else storable(value)
    return json.dumps(value) if isinstance(value, tuple) else value


def restored(kind: type[Row], row: Any) -> Row:
    """A row of SQLite, which may have more columns, as its value."""
    found: dict[str, Any] = {name: read(row[name]) if read else row[name] for name, read in _readers(kind)}
    if kind is RunRow and found["asked"] and found["unpriced"] >= found["answered"]:
        found["cost"] = None
    return kind(**found)


# --- from a result -------------------------------------------------------------------------------


def record_of(result: RunResult, *, log_content: bool = False, child: ChildResult | None = None) -> RunRow:
    """What is kept of a run, without a word of what was sent or answered unless `log_content` is set.

    Args:
        result: the run.
        log_content: whether the texts are kept.
        child: how its parent knows it. Of a shared one the head alone is kept, since the rest stands where it ran; so
            of one from the cache. What was not called is no attempt.
    """
    row = RunRow(
        child_name=child.name if child else "",
        child_index=child.index if child else None,
        shared=child is not None and (child.shared or child.result.cached),
        app=result.app,
        version=result.version,
        digest=result.digest,
        path=result.path,
        model=result.model,
        engine=_engine(result),
        started=result.started,
    )
    if row.shared:
        return row
    asked = [one for one in result.attempts if one.completion is None or not one.completion.cached]
    last = asked[-1].number if asked else 0
    return replace(
        row,
        latency=result.latency,
        estimated_prompt_tokens=result.estimated_prompt_tokens,
        input_valid=result.input_valid,
        valid_on=None if result.error else last,
        error_code=result.error.code if result.error else None,
        skipped=len(result.skipped),
        attempts=tuple(_attempt(attempt, log_content) for attempt in asked),
        children=tuple(record_of(one.result, log_content=log_content, child=one) for one in result.children),
    )


def _engine(result: RunResult) -> str:
    """What made the last call, or would have made the first; empty where there is no model."""
    last = result.attempts[-1] if result.attempts else None
    if last is not None and last.completion is not None and last.completion.engine:
        return last.completion.engine
    chosen = last.request.endpoint.engine if last is not None else None
    return engines.traits(result.model, chosen).name if result.model else ""


def _attempt(attempt: Attempt, log_content: bool) -> AttemptRow:
    row = AttemptRow(
        number=attempt.number,
        model=attempt.request.endpoint.model,
        violations=tuple(_violation(problem, attempt.request.schema) for problem in attempt.problems),
        repairs=attempt.repairs,
        error_code=attempt.error.code if attempt.error else None,
        request_text="\n\n".join(f"{m.role}: {m.content}" for m in attempt.request.messages) if log_content else None,
    )
    completion = attempt.completion
    if completion is None:
        return row
    return replace(
        row,
        model=completion.model or row.model,
        latency=completion.latency,
        prompt_tokens=completion.usage.prompt_tokens,
        completion_tokens=completion.usage.completion_tokens,
        cached_tokens=completion.usage.cached_tokens,
        reasoning_tokens=completion.usage.reasoning_tokens,
        cost=completion.cost,
        finish_reason=completion.finish_reason,
        valid=not attempt.problems and attempt.error is None,
        answer_text=completion.text if log_content else None,
    )


def _violation(problem: Problem, schema: Mapping[str, Any] | None) -> str:
    """Keyword and place of a violation; `*` for a step that the schema does not name, which is the model's own word."""
    root = schema or {}
    node: Any = root
    named: list[str] = []
    for name in steps(problem.pointer):
        declared = declared_properties(root, node)
        named.append(name if name in declared else "*")
        node = declared.get(name, resolve(root, node).get("items", {}))
    return f"{problem.keyword} {pointer(named)}".strip()
