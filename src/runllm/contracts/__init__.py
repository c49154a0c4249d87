"""A JSON Schema (draft 2020-12) as a type: check a value, fill defaults, read text, and check the schema itself.

Values typed by their source (YAML, JSON) are never changed. Text sources are read as the declared
type, strictly: see `read_text`.
"""

from runllm.contracts.contract import MAX_PROBLEMS, Contract
from runllm.contracts.reading import read_text
from runllm.contracts.soundness import schema_problems

__all__ = ["MAX_PROBLEMS", "Contract", "read_text", "schema_problems"]
