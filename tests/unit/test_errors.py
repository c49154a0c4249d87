"""The catalogue: stable codes, one payload, no secrets."""

import json
import re

import pytest

from runllm import errors
from runllm.diagnostics import Problem, Span
from runllm.errors import InputSchemaError, ProviderError, RunllmError, catalogue, class_of
from runllm.redaction import redact, redact_text

# Codes are promised for ever: a change here breaks programs that read them.
CODES = {
    "RLLM_001": "ParseError", "RLLM_002": "MetadataValidationError", "RLLM_003": "LLMParamValidationError",
    "RLLM_004": "InputSchemaError", "RLLM_005": "OutputSchemaError", "RLLM_006": "ContextWindowExceededError",
    "RLLM_007": "RetryExhaustedError", "RLLM_008": "DependencyResolutionError", "RLLM_009": "PythonBlockExecutionError",
    "RLLM_010": "OllamaModelMissingError", "RLLM_011": "ProviderError", "RLLM_012": "MissingCredentialError",
    "RLLM_013": "RateLimitError", "RLLM_014": "ProviderTimeoutError", "RLLM_015": "ProviderConnectionError",
    "RLLM_016": "AuthenticationError", "RLLM_017": "RequestRefusedError", "RLLM_018": "IncompatibleVersionError",
    "RLLM_019": "TemplateError", "RLLM_020": "ModelNotFoundError", "RLLM_021": "EngineUnavailableError",
    "RLLM_022": "UsageError", "RLLM_023": "FileAccessError", "RLLM_024": "InterruptedRunError",
    "RLLM_025": "StatsError", "RLLM_026": "ConfigError", "RLLM_027": "NotAllowedError",
    "RLLM_028": "BudgetExceededError", "RLLM_029": "ReplayMissError", "RLLM_099": "InternalError",
}  # fmt: skip
KEYS = [
    "error_code",
    "error_type",
    "message",
    "details",
    "expected_schema",
    "received_payload",
    "recovery_hint",
    "doc_ref",
]
SECRETS = [
    "sk-proj-abcdefghijklmnop1234", "Bearer abcdef0123456789", "https://user:hunter2pass@host/path", "AKIAABCDEFGHIJKLMNOP",
    "ghp_abcdefghijklmnopqrstuvwxyz", "AIzaSyA1234567890abcdefghijklmnopqrst", "api_key=verysecretvalue",
    "https://h/x?key=verysecretvalue", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijk", "gsk_abcdefghijklmnopqrstu",
]  # fmt: skip


def test_codes_are_what_they_have_always_been() -> None:
    assert {cls.code: cls.__name__ for cls in catalogue()} == CODES


@pytest.mark.parametrize("cls", catalogue(), ids=lambda cls: cls.__name__)
def test_every_error_has_the_same_eight_keys_and_says_what_to_do(cls: type[RunllmError]) -> None:
    payload = cls("what happened").payload()
    assert list(payload) == KEYS
    assert payload["error_type"] == cls.__name__
    assert payload["recovery_hint"]
    assert payload["doc_ref"] == f"docs/errors.md#{cls.code.lower()}"
    assert 0 < cls.exit_status < 256
    assert class_of(cls.__name__) is cls


def test_the_tree_at_the_top_of_the_module_shows_every_error() -> None:
    shown = re.findall(r"── (\w+) +(RLLM_\d+) ", errors.__doc__ or "")
    assert sorted(shown) == sorted((cls.__name__, cls.code) for cls in catalogue())


def test_a_second_class_of_one_code_is_refused() -> None:
    with pytest.raises(TypeError, match="reuses RLLM_001"):
        type("Twin", (RunllmError,), {"__doc__": "x", "code": "RLLM_001"})


@pytest.mark.parametrize("secret", SECRETS)
def test_no_secret_survives_in_any_part_of_an_error(secret: str) -> None:
    span = Span(file="f", line=1, column=1, text=f"key: {secret}")
    error = ProviderError(
        f"failed with {secret}",
        problems=[Problem(message=secret, hint=secret, span=span)],
        details={"deep": [{secret: secret}], "api_key": "short1"},
        expected_schema={"default": secret},
        received={"text": secret},
        hint=secret,
    )
    hidden = max(secret.replace("Bearer ", "").replace("api_key=", "").split("=")[-1].split("@")[0].split(":"), key=len)
    hidden = hidden.lstrip("/")
    for shown in (json.dumps(error.payload()), str(error), repr(error), error.message):
        assert hidden not in shown
    assert "short1" not in json.dumps(error.payload())


def test_the_value_of_a_key_in_the_environment_is_known_whatever_its_shape() -> None:
    environment = {"MY_API_KEY": "plain words as key", "HOME": "/home/someone"}
    assert redact_text("with plain words as key in /home/someone", environment) == "with [redacted] in /home/someone"
    assert redact({"a": ["x plain words as key"]}, environment) == {"a": ["x [redacted]"]}


@pytest.mark.parametrize(
    "text",
    ["the key point", "a token of thanks", "https://host/path?q=1", "risk-averse", "task-oriented-programming-x"],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert redact_text(text, {}) == text


def test_a_payload_is_json_whatever_was_received() -> None:
    """NaN and infinity are none."""
    payload = InputSchemaError("x", received={"n": float("inf"), "m": [float("nan")]}).payload()
    assert json.loads(json.dumps(payload, allow_nan=False))["received_payload"] == {"n": "inf", "m": ["nan"]}
