"""Run an LLM app that is one file: a typed contract and a prompt.

    app = runllm.load("summary.rllm")
    app(text="...")                 # the output, as a dict
    app.run({"text": "..."}).usage  # all there is to know about the run

Everything is loaded when it is first used: `import runllm` costs next to nothing.
"""

from __future__ import annotations

from runllm._version import __version__

TYPE_CHECKING = False  # as type checkers know it; importing `typing` would take longer than all the rest
if TYPE_CHECKING:
    from typing import Any

    from runllm.api import App, Report, load, load_text, run, validate
    from runllm.diagnostics import Problem, Span
    from runllm.errors import (
        AuthenticationError,
        BudgetExceededError,
        ConfigError,
        ContextWindowExceededError,
        DependencyResolutionError,
        EngineUnavailableError,
        FileAccessError,
        IncompatibleVersionError,
        InputSchemaError,
        LLMParamValidationError,
        MetadataValidationError,
        MissingCredentialError,
        ModelNotFoundError,
        NotAllowedError,
        OllamaModelMissingError,
        OutputSchemaError,
        ParseError,
        ProviderConnectionError,
        ProviderError,
        ProviderTimeoutError,
        PythonBlockExecutionError,
        RateLimitError,
        RequestRefusedError,
        RetryExhaustedError,
        RunllmError,
        StatsError,
        TemplateError,
    )
    from runllm.executor import Preview
    from runllm.notices import SettingsWarning
    from runllm.pace import Pace
    from runllm.predict import Forecast
    from runllm.program import Plan, Program
    from runllm.results import (
        Attempt,
        ChildResult,
        Completion,
        Event,
        Message,
        Request,
        RowResult,
        RunResult,
        Skipped,
        Usage,
    )
    from runllm.routing import Options
    from runllm.runtime import Runtime
    from runllm.spending import Bounds, Budget

_HOMES = {
    "api": ("App", "Report", "load", "load_text", "run", "validate"),
    "diagnostics": ("Problem", "Span"),
    "executor": ("Preview",),
    "predict": ("Forecast",),
    "program": ("Plan", "Program"),
    "results": (
        "Attempt", "ChildResult", "Completion", "Event", "Message", "Request", "RowResult", "RunResult", "Skipped",
        "Usage",
    ),
    "spending": ("Bounds", "Budget"),
    "notices": ("SettingsWarning",),
    "pace": ("Pace",),
    "routing": ("Options",),
    "runtime": ("Runtime",),
    "errors": (
        "AuthenticationError", "BudgetExceededError", "ConfigError", "ContextWindowExceededError",
        "DependencyResolutionError", "EngineUnavailableError", "FileAccessError", "IncompatibleVersionError",
        "InputSchemaError", "LLMParamValidationError", "MetadataValidationError", "MissingCredentialError",
        "ModelNotFoundError", "NotAllowedError", "OllamaModelMissingError", "OutputSchemaError", "ParseError",
        "ProviderConnectionError", "ProviderError", "ProviderTimeoutError", "PythonBlockExecutionError",
        "RateLimitError", "RequestRefusedError", "RetryExhaustedError", "RunllmError", "StatsError", "TemplateError",
    ),
}  # fmt: skip
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "App", "Attempt", "AuthenticationError", "Bounds", "Budget", "BudgetExceededError", "ChildResult",
    "Completion", "ConfigError", "ContextWindowExceededError", "DependencyResolutionError",
    "EngineUnavailableError", "Event", "FileAccessError", "Forecast", "IncompatibleVersionError",
    "InputSchemaError", "LLMParamValidationError", "Message", "MetadataValidationError",
    "MissingCredentialError", "ModelNotFoundError", "NotAllowedError", "OllamaModelMissingError", "Options",
    "OutputSchemaError", "Pace", "ParseError", "Plan", "Preview", "Problem", "Program",
    "ProviderConnectionError", "ProviderError", "ProviderTimeoutError", "PythonBlockExecutionError",
    "RateLimitError", "Report", "Request", "RequestRefusedError", "RetryExhaustedError", "RowResult",
    "RunResult", "RunllmError", "Runtime", "SettingsWarning", "Skipped", "Span", "StatsError", "TemplateError",
    "Usage", "__version__", "load", "load_text", "run", "validate",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'runllm' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"runllm.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
