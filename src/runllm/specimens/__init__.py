"""Example values of a JSON Schema, and texts for a pattern."""

from runllm.specimens.making import specimens
from runllm.specimens.patterns import matching
from runllm.specimens.scalars import KNOWN_FORMATS

__all__ = ["KNOWN_FORMATS", "matching", "specimens"]
