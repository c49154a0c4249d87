"""The line that a problem stands in, as it is shown: no secret, no control character, no longer than can be read."""

from __future__ import annotations

from runllm.diagnostics import Span
from runllm.redaction import redact_text
from runllm.terminal import harmless
from runllm.values import frozen

LONGEST = 160
_MARGIN = 10_000  # a line may be the whole file: so far on each side a secret is looked for, of which a part is shown


@frozen
class Excerpt:
    """A line, or what stands around the place in a long one.

    Attributes:
        text: what is shown, `…` where it was cut.
        start: where the place begins in it, counted from 0.
        length: how many of its characters the place takes; at least 1.
    """

    text: str
    start: int
    length: int


def excerpt(span: Span, most: int = LONGEST) -> Excerpt:
    """The line of a span; of a long one `most` characters, a third of them before the place."""
    column = span.column - 1
    left = max(0, column - _MARGIN)
    line = span.text[left : column + _MARGIN]
    shown, start = _safe(line), len(_safe(line[: column - left]))
    stretch = max(1, len(_safe(line[column - left : column - left + span.length])))
    if len(shown) > most:
        first = max(0, min(start - most // 3, len(shown) - most))
        before, after = "…" if first or left else "", "…" if first + most < len(shown) else ""
        shown, start = f"{before}{shown[first : first + most]}{after}", start - first + len(before)
    return Excerpt(text=shown, start=min(start, len(shown)), length=max(1, min(stretch, len(shown) - start)))


def _safe(text: str) -> str:
    return harmless(redact_text(text))
