"""Small apps that several tests write into their folders."""

from __future__ import annotations


def leaf(name: str, *, llm: str = "{model: openai/m, num_retries: 0}", params: str = "{}") -> str:
    """An app that takes `text`, asks the model with its own name and the text, and gives `out`."""
    one = "{{type: object, properties: {{{0}: {{type: string}}}}, required: [{0}], additionalProperties: false}}"
    return (
        f"---\nname: {name}\ndescription: A test.\nversion: 1.0.0\nauthor: me\nmax_context_window: 4096\n"
        f"input_schema: {one.format('text')}\noutput_schema: {one.format('out')}\n"
        f"llm: {llm}\nllm_params: {params}\n---\n{name}: {{{{ input.text }}}}\n"
    )


def at(base: str) -> str:
    """The `llm` of an app whose provider is at this address, and is asked once."""
    return f'{{model: openai/m, api_base: "{base}", num_retries: 0}}'
