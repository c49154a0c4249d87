"""Reviewed copies of what the program gives: compared byte for byte, written anew on request.

`UPDATE_GOLDEN=1 pytest tests/golden` writes the copies; the change is reviewed as a diff.
"""

import os
from pathlib import Path

HERE = Path(__file__).parent


def same(text: str, copy: Path) -> None:
    """Hold `text` against its reviewed copy."""
    if os.environ.get("UPDATE_GOLDEN"):
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(text, encoding="utf-8")
    assert copy.is_file(), f"{copy.name} has no reviewed copy: UPDATE_GOLDEN=1 pytest tests/golden"
    assert text == copy.read_text(encoding="utf-8")
