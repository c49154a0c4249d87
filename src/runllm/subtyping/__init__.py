"""Subtyping of JSON Schemas: whether what flows fits what takes it, an example that does not, a schema in words."""

from runllm.subtyping.fitting import UNKNOWN, Fit, Verdict, fit
from runllm.subtyping.wording import described

__all__ = ["UNKNOWN", "Fit", "Verdict", "described", "fit"]
