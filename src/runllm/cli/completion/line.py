"""The words of a command line that is still being typed."""

from __future__ import annotations

from runllm.values import frozen

_BREAKS = "=:@<>|&;("  # what of COMP_WORDBREAKS may stand within a word

_PLAIN = "_-./,+%^=:@"  # besides letters and digits, what bash takes as it is
_ALIVE = '"$`\\'  # what bash does not take as it is within double quotes


@frozen
class Line:
    """A command line up to the cursor.

    Attributes:
        words: the finished words, without their quotes.
        current: the word at the cursor, without its quotes; empty after a space.
        kept: how many characters of `current` bash does not replace.
        quote: the quote that is still open at the cursor; empty where there is none.
    """

    words: tuple[str, ...]
    current: str
    kept: int = 0
    quote: str = ""


def read_line(text: str, breaks: str = "") -> Line:
    """Split what is typed as bash does.

    Args:
        text: the line up to the cursor.
        breaks: the characters at which bash begins to complete anew within a word.
    """
    within = set(breaks) & set(_BREAKS)
    words: list[str] = []
    word: str | None = None
    kept, quote, escaped = 0, "", False
    for character in text:
        if escaped or (quote and character != quote and not (quote == '"' and character == "\\")):
            word, escaped = (word or "") + character, False
        elif character == "\\":
            escaped, word = True, word or ""
        elif character in "'\"":
            word, quote = word or "", "" if quote else character
        elif character.isspace():
            words += [] if word is None else [word]
            word, kept = None, 0
        else:
            word = (word or "") + character
            if character in within:
                kept = len(word) - (character == "@")  # which bash leaves in what it replaces
    return Line(words=tuple(words), current=word or "", kept=kept, quote=quote)


def bash_word(value: str, line: Line) -> str:
    """What bash puts at the cursor for a completed word: the part that it replaces, escaped."""
    rest = value[line.kept :]
    if line.quote == "'":
        return rest.replace("'", "'\\''")
    if line.quote:
        return "".join(f"\\{c}" if c in _ALIVE else c for c in rest)
    home = "~" if rest.startswith("~") and not line.kept else ""  # which the shell is to expand
    return home + "".join(c if c.isalnum() or c in _PLAIN else f"\\{c}" for c in rest.removeprefix(home))
