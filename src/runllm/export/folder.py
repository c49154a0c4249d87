"""Write a folder of texts: all of them, or none."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from runllm.errors import FileAccessError


def write(folder: Path, texts: Mapping[str, str], *, over: str | None = None) -> None:
    """Make a folder of these texts; those above it are made where they are missing.

    Args:
        folder: what to make.
        texts: each by its path in the folder, in the order in which they take their place.
        over: the file by which an older folder of this kind is known: texts in it are replaced, and whatever else it
            holds stays. None where the folder must be new.

    Raises:
        FileAccessError: it is there and not to be written over, leads elsewhere, or cannot be written.
    """
    try:
        is_new = not os.path.lexists(folder)
        if not is_new:
            _check(folder, texts, over)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=folder.parent) as beside:  # so that no half of it is seen
            made = Path(beside) / folder.name
            for path, text in texts.items():
                (made / path).parent.mkdir(parents=True, exist_ok=True)
                (made / path).write_text(text, encoding="utf-8", newline="")
            if is_new:
                made.rename(folder)
                return
            for path in texts:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (made / path).replace(folder / path)
    except OSError as error:
        raise _refused(folder, error.strerror or str(error)) from None


def _check(folder: Path, texts: Iterable[str], over: str | None) -> None:
    """Refuse a folder in which something is not ours to replace, or leads elsewhere."""
    if over is None:
        raise _refused(folder, "it is there already", "Give another place with `-o`, or write over it with `--force`.")
    steps = {folder / above for path in texts for above in Path(path).parents}
    for step in sorted(steps):
        if step.is_symlink():
            raise _refused(step, f"it is a link to `{step.resolve()}`", "Remove the link, or give another place.")
        if os.path.lexists(step) and not step.is_dir():
            raise _refused(step, "it is no folder")
    if any(folder.iterdir()) and not os.path.lexists(folder / over):
        raise _refused(folder, f"it holds other files and no `{over}`", "Give another place with `-o`.")


def _refused(path: Path, why: str, hint: str | None = None) -> FileAccessError:
    return FileAccessError(f"`{path}` cannot be written: {why}", details={"path": str(path)}, hint=hint)
