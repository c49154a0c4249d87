"""One real way into each error: the files, the command line and the server that bring it about.

Nothing constructs the error. Only two need a hand inside: a library that is installed here is made to look missing, and
a bug, which nobody knows a way to, is put in.
"""

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import pytest
from tests.integration.ollama_server import OllamaServer
from tests.integration.provider import Provider, Received, Reply, answer, failure

BASE = "@BASE@"
FILE = """---
name: count
description: Count the words.
version: 1.0.0
author: me
max_context_window: {window}
input_schema:
  type: object
  properties: {{text: {{type: string}}}}
  required: [text]
output_schema:
  type: object
  properties: {{n: {{type: integer, minimum: 1}}}}
  required: [n]
  additionalProperties: false
llm: {llm}
llm_params: {params}
{more}---
{body}
"""
CASE = "tests:\n  - input: {text: one two}\n"
SERVED = f'{{model: openai/m, api_base: "{BASE}", num_retries: 0}}'


def app(
    *,
    llm: str = SERVED,
    params: str = "{temperature: 0}",
    window: int = 4096,
    more: str = "",
    body: str = "Count: {{ input.text }}",
) -> str:
    """The text of a file that is right but for what is given."""
    return FILE.format(llm=llm, params=params, window=window, more=more, body=body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provocation:
    """What brings an error about.

    Attributes:
        arguments: of the command.
        files: by name, in the current folder; `@BASE@` is the address of the server.
        reply: what the server says to each request.
        environment: beside the usual.
        missing: a library that looks as if it were not installed.
        broken: a function of runllm, by its full name, that fails as a bug would.
        server: what listens at the address; `gone`: nobody any more.
    """

    arguments: tuple[str, ...] = ("run", "app.rllm", "text=one two", "--max-retries", "1")
    files: Mapping[str, str] = field(default_factory=lambda: {"app.rllm": app()})
    reply: Reply = field(default_factory=lambda: answer('{"n": 2}'))
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    missing: str = ""
    broken: str = ""
    server: Literal["provider", "ollama", "gone"] = "provider"

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Run the server; its address."""
        server = OllamaServer({}) if self.server == "ollama" else Provider(self.reply)
        with server:
            if self.server != "gone":
                yield server.base
                return
        yield server.base

    def prepare(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Set what stands outside the files."""
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)
        if self.missing:
            monkeypatch.setitem(sys.modules, self.missing, None)
        if self.broken:

            def bug() -> None:
                raise ZeroDivisionError("division by zero")

            monkeypatch.setattr(self.broken, bug)


def file(text: str, **others: str) -> dict[str, str]:
    """The files of a provocation: `app.rllm`, and others by their stem."""
    return {"app.rllm": text, **{f"{name}.rllm": other for name, other in others.items()}}


def interrupted(received: Received) -> str:
    """Press Ctrl-C in the middle of the call."""
    del received
    os.kill(os.getpid(), signal.SIGINT)
    return "{}"


KEYED = app(llm=f'{{model: openai/m, api_base: "{BASE}", api_key_env: COUNT_KEY}}')
PROVOCATIONS: Mapping[str, Provocation] = {
    "ParseError": Provocation(files=file("Count the words of {{ input.text }}\n")),
    "MetadataValidationError": Provocation(files=file(app(more='tag: [x]\nrllm: "0.1"\n').replace("author: me\n", ""))),
    "LLMParamValidationError": Provocation(files=file(app(params="{temprature: 0}"))),
    "InputSchemaError": Provocation(arguments=("run", "app.rllm", "--input", '{"txt": "one", "text": 1}')),
    "OutputSchemaError": Provocation(
        files=file(
            app(
                more='output: {n: "{{ vars.n }}"}\n',
                body="```rllm-python pre inputs=input.text outputs=n\nn = 0\n```",
            )
        )
    ),
    "ContextWindowExceededError": Provocation(
        files=file(app(window=300)), arguments=("run", "app.rllm", f"text={'word ' * 400}")
    ),
    "RetryExhaustedError": Provocation(reply=answer('{"n": "two"}')),
    "DependencyResolutionError": Provocation(
        files=file(app(more="uses:\n  - {name: other, path: ./othr.rllm}\n"), other=app())
    ),
    "PythonBlockExecutionError": Provocation(
        files=file(
            app(body="{{ vars.n }}\n```rllm-python pre inputs=input.text outputs=n\nn = 1 // (len(text) - 7)\n```")
        )
    ),
    "OllamaModelMissingError": Provocation(
        files=file(app(llm=f'{{model: ollama/llama3.2, api_base: "{BASE}"}}')),
        server="ollama",
    ),
    "ProviderError": Provocation(reply=failure(500, "the model fell over")),
    "MissingCredentialError": Provocation(
        files=file(app(llm="{model: nano-gpt/m}")), environment={"RUNLLM_LOOPBACK_ONLY": "0"}
    ),
    "RateLimitError": Provocation(reply=failure(429, "slow down", headers={"Retry-After": "7"})),
    "ProviderTimeoutError": Provocation(
        reply=answer('{"n": 2}', delay=30), arguments=("run", "app.rllm", "text=x", "--timeout", "0.3")
    ),
    "ProviderConnectionError": Provocation(server="gone"),
    "AuthenticationError": Provocation(reply=failure(401, "no such key: sk-abcdefghijklmnopqrstuvwxyz")),
    "RequestRefusedError": Provocation(reply=failure(400, "this model takes no temperature")),
    "IncompatibleVersionError": Provocation(files=file(app(more='rllm: "0.9"\n'))),
    "TemplateError": Provocation(files=file(app(body="Count: {{ input.txt }}"))),
    "ModelNotFoundError": Provocation(files=file(app(llm="{model: opnai/gpt-4o-mini}"))),
    "EngineUnavailableError": Provocation(
        files=file(app(llm="{model: local/smollm2-135m}")), missing="xllamacpp", environment={"PATH": ""}
    ),
    "UsageError": Provocation(arguments=("run", "app.rllm", "text=one", "lines=2")),
    "FileAccessError": Provocation(arguments=("run", "ap.rllm", "text=one")),
    "InterruptedRunError": Provocation(reply=Reply(body=interrupted, delay=0.3)),
    "StatsError": Provocation(
        arguments=("stats",), files={"stats.db": "no database at all"}, environment={"RUNLLM_STATS_DB": "stats.db"}
    ),
    "ConfigError": Provocation(environment={"RUNLLM_TIMEOUT": "soon"}),
    "NotAllowedError": Provocation(files=file(KEYED), environment={"COUNT_KEY": "secret"}),
    "BudgetExceededError": Provocation(
        arguments=("run", "app.rllm", "text=one two", "--max-calls", "1"), reply=answer('{"n": 0}')
    ),
    "ReplayMissError": Provocation(
        arguments=("test", "--replay"),
        files={
            "app.rllm": app(more=CASE),
            "app.cassette.yaml": "cassette: 1\nmoment: 2026-01-31T12:00:00+00:00\nexchanges: []\n",
        },
    ),
    "InternalError": Provocation(arguments=("schema",), broken="runllm.api.frontmatter_schema"),
}
