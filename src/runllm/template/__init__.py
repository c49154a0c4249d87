"""Templates: render one, list what it reads, and say what is wrong with it before it is rendered.

Jinja2 syntax, run by minijinja. Nothing else in runllm knows that library.
"""

from runllm.template.checked import checked
from runllm.template.findings import Reference, findings, references
from runllm.template.lexer import prose
from runllm.template.rendering import evaluate, form, placed, render
from runllm.template.signatures import Finding

__all__ = [
    "Finding",
    "Reference",
    "checked",
    "evaluate",
    "findings",
    "form",
    "placed",
    "prose",
    "references",
    "render",
]
