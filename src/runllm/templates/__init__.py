"""Templates: render one, list what it reads, and say what is wrong with it before it is rendered.

Jinja2 syntax, run by minijinja. Nothing else in runllm knows that library.
"""

from runllm.templates.checking import Finding, Reference, findings, references
from runllm.templates.rendering import evaluate, form, placed, render

__all__ = ["Finding", "Reference", "evaluate", "findings", "form", "placed", "references", "render"]
