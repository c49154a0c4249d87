"""Text of others on a terminal, and standard streams that nothing can be wrong with.

What would move the cursor, hide or reorder text is shown instead of obeyed. A closed stream leads nowhere, and every
letter can be written.
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Callable
from typing import Any, cast

# C0 but newline and tab, DEL and C1, what reorders text (bidirectional embeddings, overrides, isolates), and halves of
# characters, which no terminal can be sent. Joiners and direction marks stay: whole languages are written with them.
# Compiled when they are first used, and kept by `re`: most commands write nothing of others.
_CONTROL = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
# What runllm itself writes: its colours, and a line of progress that is written anew.
_OURS = r"\r\x1b\[K|\x1b\[(?:0|(?:[12]|3[1236])(?:;(?:[12]|3[1236]))*)m"
_ON_ITS_WAY = rf"({_OURS})|{_CONTROL}"
# What no reader sees: by its category, letters that are blank, selectors but those of emoji. Joiners stay, as above.
_UNSEEN = frozenset({"Cc", "Cf", "Co", "Cs"})
# A whole control sequence of ECMA-48, such as a colour or a title: of `\x1b[31m` no `[31m` is left.
_SEQUENCE = r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]"
_BLANK = r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\uffa0\ufe00-\ufe0d\U000e0000-\U000e0fff]"
_KEPT = frozenset("\n\t\u200c\u200d")
_ASCII = 0x7F
_DESCRIPTORS = (0, 1, 2)
_ESCAPING = "runllm.escaping"


def harmless(text: str) -> str:
    r"""`text` with control characters written out: `\x1b` for ASCII ones, `\u202e` for others.

    JSON holds none of the first kind, so JSON text stays JSON of the same value.
    """
    return text if text.isascii() and text.isprintable() else re.sub(_CONTROL, _written, text)


def _written(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < _ASCII else f"\\u{code:04x}"


def visible(text: str, most: int = 2_000) -> str:
    """`text` for another model: without characters that a reader does not see, and no longer than `most`."""
    if not (text.isascii() and text.isprintable()):
        from unicodedata import category  # most texts are plain

        text = re.sub(_SEQUENCE, "", text)
        text = re.sub(_BLANK, "", "".join(one for one in text if one in _KEPT or category(one) not in _UNSEEN))
    return text if len(text) <= most else f"{text[: most - 1]}…"


class Guarded(io.TextIOWrapper):
    """A terminal that obeys no control sequence but those of runllm itself, whoever writes.

    Attributes:
        before: told of each text before it is written; None for nobody.
    """

    before: Callable[[str], None] | None = None

    def write(self, text: str, /) -> int:
        """Write, after it was told that this will be."""
        if self.before is not None and text:
            self.before(text)
        return self.show(text)

    def show(self, text: str) -> int:
        """Write without a word to anybody."""
        super().write(text if text.isascii() and text.isprintable() else re.sub(_ON_ITS_WAY, _passed, text))
        return len(text)


def _passed(found: re.Match[str]) -> str:
    return found[1] or _written(found)


def guard() -> None:
    """Guard standard output and standard error of this process, each only where it is a terminal."""
    for name in ("stdout", "stderr"):
        stream: Any = getattr(sys, name)
        if type(stream) is io.TextIOWrapper and stream.isatty():
            stream.flush()
            buffer = cast("Any", stream).buffer
            guarded = Guarded(buffer, encoding=stream.encoding, errors="backslashreplace", line_buffering=True)
            setattr(sys, name, guarded)


def fill() -> None:
    """Open what is closed of input, output and error, so that nothing else is opened in its place and written to.

    What is written to an error stream that was closed is dropped. What is written to an output that was is an error of
    the system's, as for any file that is not open for writing: an answer that nobody gets is no success.
    """
    for descriptor in _DESCRIPTORS:
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if descriptor == 1 else os.O_RDWR)  # the lowest that is free: this one
    streams: Any = sys
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(streams, name, open(descriptor, "w", encoding="utf-8", closefd=False))  # noqa: SIM115 - for good


def widen() -> None:
    r"""Have standard output write a letter that its encoding lacks as JSON does, `\u20ac`, and not fail for it."""
    stream: Any = sys.stdout
    if getattr(stream, "errors", None) == "strict":
        import codecs

        codecs.register_error(_ESCAPING, _escaped)
        stream.reconfigure(errors=_ESCAPING)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    import json

    return json.dumps(error.object[error.start : error.end])[1:-1], error.end
