"""What is kept of a run: values without a database behind them.

These go into the store; what comes out is in `rows`. No text of a prompt or an answer is among them,
unless the caller logs content and puts it there.
"""

from __future__ import annotations

from runllm.values import frozen


@frozen
class AttemptRecord:
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


@frozen
class RunRecord:
    """One run of an app, whether it succeeded or not.

    Attributes:
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
        attempts: every request of this run itself, not of its children.
        children: the runs of other apps that this one used, in order.
    """

    app: str
    version: str
    digest: str
    path: str
    model: str
    engine: str
    started: float
    latency: float
    input_valid: bool
    estimated_prompt_tokens: int | None = None
    valid_on: int | None = None
    error_code: str | None = None
    attempts: tuple[AttemptRecord, ...] = ()
    children: tuple[ChildRecord, ...] = ()


@frozen
class ChildRecord:
    """A run that another run used.

    Attributes:
        name: what the parent calls it.
        index: position in a `for_each`, counted from 0; None outside one.
        shared: whether the result of an earlier child was used again: nothing ran, so nothing is counted twice.
        run: the run itself; of a shared one, only its head is kept.
    """

    name: str
    index: int | None = None
    shared: bool = False
    run: RunRecord
