"""Example values of a JSON Schema, and texts for a pattern."""

from fuzz.specimens.making import specimens
from fuzz.specimens.patterns import matching
from fuzz.specimens.scalars import KNOWN_FORMATS

__all__ = ["KNOWN_FORMATS", "matching", "specimens"]
