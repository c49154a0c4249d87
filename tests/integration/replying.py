"""A small app on a provider that says what a test wants: what comes of a script of replies, and what was sent for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.integration.provider import Provider, Reply

import runllm
from runllm.errors import RunllmError
from runllm.runtime import Runtime

FILE = """---
name: count
input_schema: {{type: object, properties: {{text: {{type: string}}}}, required: [text]}}
output_schema: {output}
llm: {{model: {model}, api_base: "{base}", num_retries: 2}}
llm_params: {params}
---
Count: {{{{ input.text }}}}
"""
NUMBER = "{type: object, properties: {n: {type: integer}}, required: [n], additionalProperties: false}"
GOOD = '{"n": 3}'
BOTH = ("direct", "litellm")
"""The ways to a provider that speaks as OpenAI does."""


def runtime() -> Runtime:
    """One that waits for nothing between two requests."""
    return Runtime(sleep=lambda _: None, jitter=lambda: 0.0)


class Counting:
    """The app in a folder; called with replies, it gives its result or its error, and the requests that were made."""

    def __init__(self, folder: Path, runtime: Runtime) -> None:
        self._path = folder / "count.rllm"
        self._runtime = runtime

    def __call__(
        self,
        *replies: Reply,
        model: str = "openai/m",
        params: str = "{}",
        output: str = NUMBER,
        path: str = "/v1",
        runtime: Runtime | None = None,
        **options: Any,
    ) -> tuple[Any, list[Any]]:
        with Provider(*replies) as provider:
            base = provider.root + path
            text = FILE.format(base=base, model=model, params=params, output=output)
            self._path.write_text(text, encoding="utf-8")
            if options.pop("allowed", False):
                options["allowed_bases"] = (base,)
            try:
                app = runllm.load(self._path, runtime=runtime or self._runtime, **options)
                return app.run({"text": "a b c"}), provider.chats
            except RunllmError as error:
                return error, provider.chats
