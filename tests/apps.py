"""Small apps that several tests write into their folders, and the engine that calls each model by its own."""

from __future__ import annotations

from typing import Any

from runllm import Runtime
from runllm.engines.base import Engine


def leaf(name: str, *, llm: str = "{model: openai/m, num_retries: 0}", params: str = "{}") -> str:
    """An app that takes `text`, asks the model with its own name and the text, and gives `out`."""
    one = "{{type: object, properties: {{{0}: {{type: string}}}}, required: [{0}], additionalProperties: false}}"
    return (
        f"---\nname: {name}\ndescription: A test.\nversion: 1.0.0\nauthor: me\nmax_context_window: 4096\n"
        f"input_schema: {one.format('text')}\noutput_schema: {one.format('out')}\n"
        f"llm: {llm}\nllm_params: {params}\n---\n{name}: {{{{ input.text }}}}\n"
    )


def twice(path: str = "inner.rllm", mark: str = "") -> str:
    """An app that gives its `text` to the app at a path, and again with a mark, and joins what both call `loud`."""
    return (
        "---\nname: outer\ndescription: Shout twice.\nversion: 2.0.0\nauthor: me\n"
        "input_schema: {type: object, properties: {text: {type: string}}, required: [text]}\n"
        "output_schema: {type: object, properties: {both: {type: string}}, required: [both]}\n"
        f'uses:\n  - {{name: one, path: "{path}", with: {{text: "{{{{ input.text }}}}"}}}}\n'
        f'  - {{name: two, path: "{path}", with: {{text: "{{{{ input.text }}}}{mark}"}}}}\n'
        'output: {both: "{{ uses.one.loud }} {{ uses.two.loud }}"}\n---\n'
    )


def at(base: str) -> str:
    """The `llm` of an app whose provider is at this address, and is asked once."""
    return f'{{model: openai/m, api_base: "{base}", num_retries: 0}}'


class NamedEngine(Engine):
    """The engine of the model that is called, whichever that is."""

    def __init__(self) -> None:
        self._runtime = Runtime()

    def ready(self, endpoint: Any) -> None:
        self._runtime.engine(endpoint).ready(endpoint)

    def window(self, endpoint: Any) -> int | None:
        return self._runtime.engine(endpoint).window(endpoint)

    def price(self, endpoint: Any) -> Any:
        return self._runtime.engine(endpoint).price(endpoint)

    def sent(self, request: Any) -> Any:
        return self._runtime.engine(request.endpoint).sent(request)

    def complete(self, request: Any) -> Any:
        return self._runtime.engine(request.endpoint).complete(request)

    async def acomplete(self, request: Any) -> Any:
        return await self._runtime.engine(request.endpoint).acomplete(request)

    def close(self) -> None:
        self._runtime.close()
