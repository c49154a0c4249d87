"""All that is wrong with a template, wherever it stands: what it reads, what it compares, and what was meant by it."""

from __future__ import annotations

import re

from runllm.template.findings import Scope, findings
from runllm.template.foreign import explained
from runllm.template.signatures import Finding

_CALCULATES = re.compile(
    r"\{[{%](?:(?![%}]\})[^{])*(?:[-+*/%] ?(?![-+%}]|\}\})|[=!]=|[<>]=? ?[\"']|[\"'] ?[<>]|\bin ?\[)"
    r"|\{%[-+]?\s*for\s+\w+\s*,\s*\w+\s+in\b"
)
"""A tag that has a sign between two values, a list that one may be in, or a loop with two names."""


def checked(source: str, scope: Scope) -> list[Finding]:
    """What is wrong with a template, in the order of the source, with what to write instead.

    Args:
        source: Jinja2 syntax.
        scope: what each root name holds, as for `findings`.
    """
    found = findings(source, scope)
    if not found and _CALCULATES.search(source):
        from runllm.template.operands import misfits  # most templates calculate nothing

        found = list(misfits(source, scope))
    return explained(source, found)
