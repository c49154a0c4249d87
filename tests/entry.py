"""What makes pytest find the plugin in a process of its own, whatever is installed here."""

from __future__ import annotations

import tomllib
from pathlib import Path


def entry_points(folder: Path) -> Path:
    """A folder for `PYTHONPATH`, in which stand the entry points for pytest that pyproject.toml names."""
    path = Path(__file__).parent.parent / "pyproject.toml"
    said = tomllib.loads(path.read_text(encoding="utf-8"))["project"]["entry-points"]["pytest11"]
    facts = folder / "entry-0.dist-info"
    facts.mkdir(parents=True, exist_ok=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: entry\nVersion: 0\n", encoding="utf-8")
    entries = "".join(f"{name} = {module}\n" for name, module in said.items())
    (facts / "entry_points.txt").write_text(f"[pytest11]\n{entries}", encoding="utf-8")
    return folder
