"""Which of a repository's files is meant, when a name does not say."""

from __future__ import annotations

import re
from collections.abc import Iterable

from runllm.diagnostics import did_you_mean
from runllm.errors import ModelNotFoundError

_PREFERRED = (
    "Q4_K_M", "Q4_K_S", "Q4_K_L", "Q4_K_XL", "Q4_0", "Q4_1", "IQ4_XS", "IQ4_NL", "Q4_K", "Q4", "MXFP4",
    "Q5_K_M", "Q5_K_S", "Q5_0", "Q5_1", "Q6_K", "Q8_0", "Q3_K_L", "Q3_K_M", "Q3_K_S", "IQ3_M", "BF16", "F16", "F32",
)  # fmt: skip
"""Quantisations, the best balance of size and quality first."""

_QUANTISATION = re.compile(
    r"(?:^|[-_.])(I?Q\d(?:_[A-Z0-9]+)*|MXFP4(?:_MOE)?|BF16|FP?16|FP?32)(?=$|[-.])", re.IGNORECASE
)
_SPLIT = re.compile(r"-\d{5}-of-\d{5}\.gguf$", re.IGNORECASE)
_NOT_A_MODEL = re.compile(r"(?:^|[-_./])(?:mmproj|imatrix)(?:[-_.]|$)", re.IGNORECASE)


def quantisation(file: str) -> str:
    """What a file's name says of its quantisation, such as `Q4_K_M`; empty where it says nothing."""
    found = _QUANTISATION.findall(file.rpartition("/")[2].removesuffix(".gguf"))
    return found[-1].upper().replace("FP", "F") if found else ""


def is_part(file: str) -> bool:
    """Whether a file is one of several that make up a model."""
    return _SPLIT.search(file) is not None


def choose(files: Iterable[str], wants: str, model: str) -> str:
    """The file that is meant.

    Args:
        files: what the repository holds.
        wants: a file's name, a quantisation, or nothing: then the best balance of size and quality.
        model: the model's name, for the messages.

    Raises:
        ModelNotFoundError: no such file, or only files that cannot be run.
    """
    models = sorted(file for file in files if file.lower().endswith(".gguf") and not _NOT_A_MODEL.search(file))
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
