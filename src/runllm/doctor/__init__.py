"""What `runllm doctor` looks at: each part that a run may need, whether it works here, and what to do if not.

Nothing is changed and nothing is downloaded; the only address asked is that of the user's Ollama server. Every part is
imported where it is examined: one that is missing or broken is a finding, and must not stop the others.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from runllm.doctor import user
from runllm.doctor.compiled import bytecode
from runllm.doctor.machine import Check, Status, blocks, guarded, libraries, python, terminal
from runllm.redaction import MASK, redact_text

__all__ = ["Check", "Status", "examine"]

_USER = re.compile(r"://[^/\s@`]*@")


def examine(environment: Mapping[str, str] = os.environ, folder: Path | None = None) -> tuple[Check, ...]:
    """Look at everything that a run may need.

    Args:
        environment: the process's variables.
        folder: where the search for the project's `runllm.toml` starts; the current folder by default.

    Returns:
        What was found, in the order in which it is best read. Nothing is raised: a part that fails is `wrong`.
    """
    configuration, problems = user.configured(environment, folder)
    parts: tuple[tuple[str, Callable[[], Iterator[Check]]], ...] = (
        ("Python", python),
        ("libraries", libraries),
        ("bytecode", bytecode),
        ("Python blocks", blocks),
        ("configuration", lambda: iter(problems)),
        ("variables", lambda: user.variables(environment)),
        ("keys", lambda: user.keys(environment, configuration)),
        ("Ollama", lambda: user.ollama(environment, configuration)),
        ("local models", lambda: user.local_models(environment)),
        ("models folder", lambda: user.folder_of_models(environment)),
        ("statistics", lambda: user.statistics(configuration)),
        ("cache", lambda: user.cache(environment)),
        ("home folder", user.home),
        ("terminal", terminal),
    )
    found = [check for name, part in parts for check in guarded(name, part)]
    return tuple(
        replace(check, said=_masked(check.said, environment), fix=_masked(check.fix, environment)) for check in found
    )


def _masked(text: str, environment: Mapping[str, str]) -> str:
    return _USER.sub(f"://{MASK}@", redact_text(text, environment))
