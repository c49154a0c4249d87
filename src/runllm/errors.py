"""Every way a run can fail, in one catalogue.

RunllmError
├── ParseError                     RLLM_001   the file is not a `.rllm` file
├── MetadataValidationError        RLLM_002   the frontmatter breaks the format
├── LLMParamValidationError        RLLM_003   a model parameter is unknown or out of range
├── InputSchemaError               RLLM_004   the input does not fit its contract
├── OutputSchemaError              RLLM_005   an answer does not fit its contract
├── ContextWindowExceededError     RLLM_006   prompt and answer do not fit the window
├── RetryExhaustedError            RLLM_007   no attempt gave a valid answer
├── DependencyResolutionError      RLLM_008   an app that this one uses cannot be used
├── PythonBlockExecutionError      RLLM_009   a Python block failed
├── OllamaModelMissingError        RLLM_010   the Ollama server does not have the model
├── ProviderError                  RLLM_011   the provider failed
│   ├── RateLimitError             RLLM_013   too many requests
│   ├── ProviderTimeoutError       RLLM_014   no answer in time
│   ├── ProviderConnectionError    RLLM_015   the server cannot be reached
│   ├── AuthenticationError        RLLM_016   the provider refused the key
│   └── RequestRefusedError        RLLM_017   the provider refused the request
├── MissingCredentialError         RLLM_012   no key for the provider
├── IncompatibleVersionError       RLLM_018   the file wants another version of runllm
├── TemplateError                  RLLM_019   a template is wrong or cannot be rendered
├── ModelNotFoundError             RLLM_020   there is no such model
├── EngineUnavailableError         RLLM_021   the part that runs this model is not installed
├── UsageError                     RLLM_022   the command line makes no sense
├── FileAccessError                RLLM_023   a file cannot be read or written
├── InterruptedRunError            RLLM_024   the user stopped the run
├── StatsError                     RLLM_025   the statistics cannot be read or written
├── ConfigError                    RLLM_026   a setting is wrong
├── NotAllowedError                RLLM_027   the file asks for what the user has not allowed
├── BudgetExceededError            RLLM_028   a run would spend more than it may
├── ReplayMissError                RLLM_029   a cassette holds no answer to a request
└── InternalError                  RLLM_099   a bug in runllm

A class says what never varies: code, exit status, hint. A raise says what happened. The payload has
the same eight keys whatever the error, and no secret in it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

from runllm.diagnostics import Problem
from runllm.notices import problem_as_json
from runllm.redaction import redact, redact_text

_CATALOGUE: dict[str, type[RunllmError]] = {}


class RunllmError(Exception):
    """The base of every error that runllm raises.

    Attributes:
        code: stable for ever; programs may depend on it.
        exit_status: what the command line returns.
        hint: what to do about it, unless the raise knows better.
        retryable: whether the same call may succeed later, unchanged.
        stops_all: whether every other run would fail with it as well, so that no list goes on without the one that did.
        of_input: whether an input alone can be why a run ends with it, so that a test may expect it.
        result: of the run that failed with it, the `RunResult`, which names errors itself; None where none ran.
    """

    code: ClassVar[str]
    exit_status: ClassVar[int]
    hint: ClassVar[str]
    retryable: bool = False
    stops_all: bool = False
    of_input: bool = False

    def __init_subclass__(cls, *, stops_all: bool = False, of_input: bool = False) -> None:
        super().__init_subclass__()
        cls.stops_all, cls.of_input = stops_all, of_input
        assert cls.__doc__, f"{cls.__name__} needs a docstring: it is its entry in the catalogue"  # noqa: S101 - `-OO` takes both away
        if "code" not in vars(cls):
            raise TypeError(f"{cls.__name__} needs a code of its own")
        if _CATALOGUE.setdefault(cls.code, cls) is not cls:
            raise TypeError(f"{cls.__name__} reuses {cls.code}, which is {_CATALOGUE[cls.code].__name__}")

    def __init__(
        self,
        message: str,
        *,
        problems: Iterable[Problem] = (),
        details: Mapping[str, Any] | None = None,
        expected_schema: Mapping[str, Any] | None = None,
        received: Any = None,
        hint: str | None = None,
    ) -> None:
        """Say what happened.

        Args:
            message: one sentence, with the names and values at fault.
            problems: each violation, when there can be several.
            details: facts that only this error has, as JSON.
            expected_schema: the schema that was not met.
            received: the value that was refused, as JSON or text.
            hint: what to do, where the raise knows better than the class.
        """
        super().__init__(redact_text(message))
        self.problems = tuple(problems)
        self.details = dict(details or {})
        self.expected_schema = expected_schema
        self.received = received
        self.recovery_hint = hint or self.hint
        self.result: Any = None
        self.trail: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.message

    @property
    def message(self) -> str:
        """What happened, in one sentence; where it happened in an app that others use, the way to it comes first."""
        said = str(self.args[0])
        return f"{' > '.join(self.trail)}: {said}" if self.trail else said

    def within(self, name: str) -> Self:
        """The same error as the app that uses `name` has it: its `trail` begins with that name."""
        outer = copy.copy(self)
        outer.trail = (name, *self.trail)
        outer.result = None
        return outer

    def payload(self) -> dict[str, Any]:
        """The error as JSON: always the same eight keys, secrets masked."""
        details = {**self.details, **({"trail": list(self.trail)} if self.trail else {})}
        if self.problems:
            details["problems"] = [problem_as_json(problem) for problem in self.problems]
        found = {
            "error_code": self.code,
            "error_type": type(self).__name__,
            "message": self.message,
            "details": details,
            "expected_schema": self.expected_schema,
            "received_payload": self.received,
            "recovery_hint": self.recovery_hint,
            "doc_ref": f"docs/errors.md#{self.code.lower()}",
        }
        return redact(found)


def catalogue() -> list[type[RunllmError]]:
    """Every error class, in the order of their codes."""
    return [_CATALOGUE[code] for code in sorted(_CATALOGUE)]


def class_of(name: str) -> type[RunllmError]:
    """The error class of this name, such as a `Problem.kind`."""
    return next(cls for cls in _CATALOGUE.values() if cls.__name__ == name)


class ParseError(RunllmError):
    """The text is not a `.rllm` file: its frontmatter, YAML, sections or fences cannot be read."""

    code = "RLLM_001"
    exit_status = 3
    hint = "Correct the marked line. A file is a YAML block between two `---` lines, then the prompt."


class MetadataValidationError(RunllmError):
    """The frontmatter breaks the format: a key is missing, unknown, or has the wrong value."""

    code = "RLLM_002"
    exit_status = 3
    hint = "Correct the marked keys; `runllm schema` prints what each may hold."


class LLMParamValidationError(RunllmError):
    """A model parameter in `llm_params` is unknown, of the wrong type, out of its range, or not taken by the model."""

    code = "RLLM_003"
    exit_status = 3
    hint = "Use a parameter that LiteLLM accepts; what only one provider knows goes under `llm.provider_params`."


class InputSchemaError(RunllmError, of_input=True):
    """The input does not fit the contract of the app. No model was called."""

    code = "RLLM_004"
    exit_status = 4
    hint = "Correct the input; `runllm run FILE --help` lists what the app takes."


class OutputSchemaError(RunllmError, of_input=True):
    """An answer cannot be read as a value that fits the contract without guessing."""

    code = "RLLM_005"
    exit_status = 5
    hint = "Allow more retries, ask for less in the output, or choose a model with structured output."


class ContextWindowExceededError(RunllmError, of_input=True):
    """The prompt and the room for the answer do not fit the context window. No model was called."""

    code = "RLLM_006"
    exit_status = 6
    hint = "Shorten the input, lower `max_tokens`, or choose a model with a larger window."


class RetryExhaustedError(RunllmError, of_input=True):
    """No attempt gave an answer that fits the contract; all of them are in the details."""

    code = "RLLM_007"
    exit_status = 5
    hint = "Look at each attempt's problems, then raise `--max-retries`, add an example, or use a larger model."


class DependencyResolutionError(RunllmError):
    """An app named under `uses` cannot be used: missing, in a cycle, or wired wrongly."""

    code = "RLLM_008"
    exit_status = 3
    hint = "Correct the marked entry of `uses`; paths are relative to the file that names them."


class PythonBlockExecutionError(RunllmError, of_input=True):
    """A Python block failed, hit a limit, or gave something that is not JSON."""

    code = "RLLM_009"
    exit_status = 9
    hint = "Correct the marked line of the block."


class OllamaModelMissingError(RunllmError, stops_all=True):
    """The Ollama server is running but does not have the model."""

    code = "RLLM_010"
    exit_status = 8
    hint = "Pull the model with `ollama pull`, then run again."


class ProviderError(RunllmError):
    """The model provider failed, or answered with something that is not a completion."""

    code = "RLLM_011"
    exit_status = 7
    hint = "Run again later, or name another model with `--model` or `llm.fallbacks`."
    retryable = True


class MissingCredentialError(RunllmError, stops_all=True):
    """The provider needs a key and none is set. Nothing was sent."""

    code = "RLLM_012"
    exit_status = 7
    hint = "Set the named environment variable, or choose a local model with `--model local/smollm2-135m`."


class RateLimitError(ProviderError):
    """The provider refused the call because there were too many, or the quota is used up."""

    code = "RLLM_013"
    hint = "Wait and run again, or name another model with `--model` or `llm.fallbacks`."


class ProviderTimeoutError(ProviderError):
    """The model did not answer within the time allowed for one call."""

    code = "RLLM_014"
    hint = "Raise `--timeout` or `llm.timeout`, lower `max_tokens`, or choose a faster model."


class ProviderConnectionError(ProviderError):
    """The model's server cannot be reached, or closed the connection."""

    code = "RLLM_015"
    hint = "Check the network and `llm.api_base`; for a local server, check that it is running."


class AuthenticationError(ProviderError, stops_all=True):
    """The provider refused the key."""

    code = "RLLM_016"
    hint = "Check the key in the named environment variable, and that it may use this model."
    retryable = False


class RequestRefusedError(ProviderError, of_input=True):
    """The provider refused the request itself, so the same request will be refused again."""

    code = "RLLM_017"
    hint = "Read the provider's words; a parameter or the schema may not be supported by this model."
    retryable = False


class IncompatibleVersionError(RunllmError):
    """The file asks for another version of the format or of runllm."""

    code = "RLLM_018"
    exit_status = 3
    hint = "Upgrade runllm, or use a file written for this version."


class TemplateError(RunllmError, of_input=True):
    """A template is wrong, reads a path that cannot exist, or cannot be rendered within its bounds."""

    code = "RLLM_019"
    exit_status = 3
    hint = "Correct the marked expression; a template reads `input`, `uses`, `vars` and `run`."


class ModelNotFoundError(RunllmError, stops_all=True):
    """There is no model of this name where it was looked for."""

    code = "RLLM_020"
    exit_status = 8
    hint = "Check the model's spelling; `local/smollm2-135m` runs without a key or a server."


class EngineUnavailableError(RunllmError, stops_all=True):
    """The part of runllm that runs this kind of model is not installed, or cannot run here."""

    code = "RLLM_021"
    exit_status = 8
    hint = "Install the extra that the message names."


class UsageError(RunllmError):
    """The command line cannot be understood."""

    code = "RLLM_022"
    exit_status = 2
    hint = "`runllm --help` lists the commands, `runllm COMMAND --help` its options."


class FileAccessError(RunllmError):
    """A file cannot be read or written."""

    code = "RLLM_023"
    exit_status = 3
    hint = "Check the path and its permissions."


class InterruptedRunError(RunllmError, stops_all=True):
    """The user stopped the run."""

    code = "RLLM_024"
    exit_status = 130
    hint = "Run again to start over."


class StatsError(RunllmError, stops_all=True):
    """The statistics cannot be read or written. A run does not fail for this: it gives a warning."""

    code = "RLLM_025"
    exit_status = 3
    hint = "Check the file that `runllm stats path` names; `--no-stats` runs without it."


class ConfigError(RunllmError, stops_all=True):
    """A setting is wrong: in a configuration file, in the environment, or on the command line."""

    code = "RLLM_026"
    exit_status = 3
    hint = "Correct the marked setting; `runllm config` shows each one and where it comes from."


class NotAllowedError(RunllmError, stops_all=True):
    """The file asks for an address or a key that the user has not allowed. Nothing was sent."""

    code = "RLLM_027"
    exit_status = 7
    hint = "Allow it in your own settings if you trust the file; `docs/security.md` says what a file may ask for."


class BudgetExceededError(RunllmError, stops_all=True):
    """The run has reached a bound: on its calls, tokens, money, time, or bytes held."""

    code = "RLLM_028"
    exit_status = 10
    hint = "Raise the bound that the message names, if you trust the file that much."
    budget: object = None  # whose bound it is


class ReplayMissError(RunllmError):
    """A replayed run asks a model what its cassette does not hold: the prompt or its input changed."""

    code = "RLLM_029"
    exit_status = 1
    hint = "If the change is meant, record it: `runllm test --record`. The details show what differs."


class InternalError(RunllmError):
    """Something went wrong inside runllm itself: a bug."""

    code = "RLLM_099"
    exit_status = 70
    hint = "Please report it with the command and the file; the details say where it happened."
