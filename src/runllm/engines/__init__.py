"""What runs models: one class in one file each, listed in `catalogue`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from runllm.engines.catalogue import ENGINES, Traits, file_named, name_of_file, traits

if TYPE_CHECKING:
    from runllm.engines.base import Engine, Setup

__all__ = ["ENGINES", "Traits", "file_named", "make", "name_of_file", "traits"]


def make(found: Traits, setup: Setup) -> Engine:
    """An engine, whose file is imported for it."""
    module, _, name = found.made_by.partition(":")
    return getattr(import_module(module), name)(setup)
