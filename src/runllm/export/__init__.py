"""What other languages and tools are given of an app, made from its contract.

`shapes` makes of two contracts types with names, in no language; `python` and `typescript` write them. `skill` makes
what an agent reads, and `folder` writes it.
"""

from runllm.export.types import LANGUAGES, types

__all__ = ["LANGUAGES", "types"]
