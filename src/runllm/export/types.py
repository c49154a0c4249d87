"""The types of an app's input and output as a module of another program."""

from __future__ import annotations

import os
from pathlib import Path

from runllm.errors import UsageError
from runllm.export import python, typescript
from runllm.export.shapes import Names, Shapes
from runllm.program import Program

LANGUAGES = ("py", "ts")


def types(program: Program, language: str, *, pydantic: bool = False, target: str | None = None) -> str:
    """The text of the module.

    Args:
        program: the app.
        language: `py` or `ts`.
        pydantic: whether Python gets models instead of `TypedDict`s.
        target: the file that will hold it, from which it looks for the app's; None for one beside the app.

    Raises:
        UsageError: there are no models in this language.
    """
    if pydantic and language != "py":
        raise UsageError("`--pydantic` is for Python", hint="Leave it out, or say `--lang py`.")
    names = Names(python.USED if language == "py" else typescript.USED)
    given = Shapes(program.input.schema, f"{program.name} Input", names, defaults=True)
    found = Shapes(program.output_contract.schema, f"{program.name} Output", names, defaults=False)
    declared = [*given.declared, *found.declared]
    path = _from(target, program.path)
    facts = (program.name, program.description, path, given.root.name, found.root.name, declared)
    return python.module(*facts, pydantic=pydantic) if language == "py" else typescript.module(*facts)


def _from(target: str | None, path: Path | None) -> str:
    """How the app's file is named from the folder of the module."""
    if path is None or target is None:
        return path.name if path else "app.rllm"
    try:
        return Path(os.path.relpath(path.resolve(), Path(target).resolve().parent)).as_posix()
    except ValueError:  # on another drive of Windows
        return path.resolve().as_posix()
