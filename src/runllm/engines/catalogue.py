"""The list of engines, and which of them the name of a model stands for. Nothing is imported until one is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runllm.values import frozen

if TYPE_CHECKING:
    from pathlib import Path


@frozen
class Traits:
    """What an engine is.

    Attributes:
        name: what statistics keep of it.
        made_by: where its class is, as `module:class`.
        prefixes: how the names of its models begin; none for the engine of every other name.
        constrained: whether it can give no answer but one that satisfies the schema, which the prompt need not show.
        local: whether it runs in this process: its calls take turns.
        unable: parameters that none of its models takes.
    """

    name: str
    made_by: str
    prefixes: tuple[str, ...] = ()
    constrained: bool = False
    local: bool = False
    unable: tuple[str, ...] = ()


ENGINES = (
    Traits(
        name="local",
        made_by="runllm.engines.local.engine:LocalEngine",
        prefixes=("local/",),
        constrained=True,
        local=True,
        unable=("tools", "functions", "audio", "modalities", "web_search_options"),
    ),
    Traits(name="ollama", made_by="runllm.engines.ollama:OllamaEngine", prefixes=("ollama/", "ollama_chat/")),
    Traits(name="direct", made_by="runllm.engines.direct:DirectEngine"),
    Traits(name="litellm", made_by="runllm.engines.litellm:LiteLLMEngine"),
)
"""Every engine. To add one, write its file and a line here: the first whose prefix a name begins with runs it."""


def traits(model: str, chosen: str | None = None) -> Traits:
    """The engine that a model's name stands for, or that was chosen among those for every name."""
    found = next(one for one in ENGINES if not one.prefixes or model.startswith(one.prefixes))
    return found if found.prefixes else next((one for one in ENGINES if one.name == chosen), found)


def file_named(model: str) -> str | None:
    """The path in the name of a model that is a file, as `local/PATH.gguf` is; None for every other model."""
    path = model.removeprefix("local/")
    return path if path != model and path.lower().endswith(".gguf") and not path.startswith("hf:") else None


def name_of_file(path: Path | str) -> str:
    """The name of the model that is this file: what `file_named` reads."""
    return f"local/{path}"
