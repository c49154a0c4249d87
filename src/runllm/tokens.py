"""How many tokens a request may take, and whether that fits the context window.

The estimate knows no model's vocabulary. It reads a text as pieces (words, digits, punctuation, blanks,
characters of other scripts) and gives each what the least efficient of the common tokenizers makes of it.
`docs/tokens.md` says how the weights were found and shows how well they hold.
"""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from itertools import pairwise
from operator import add
from pathlib import Path
from typing import Any, cast

from runllm.values import frozen

CHUNK = 1 << 19
"""Characters read at a time, so that the pieces of a long text need little memory."""

PER_MESSAGE = 8
"""Tokens that a chat template puts around one message: its role and its borders."""

PER_REQUEST = 32
"""Tokens around the conversation: its start, the opening of the answer, a system line of the template's own."""

SMALLEST_ANSWER = 256
"""Tokens kept for the answer when the app does not say how long it may be: a small JSON object."""


@frozen
class Room:
    """What a request needs, beside what there is.

    Attributes:
        prompt: tokens for the messages, and for the schema where it is sent; an estimate.
        answer: tokens kept for the answer.
        window: tokens that prompt and answer may take together; None where nobody knows how many.
    """

    prompt: int
    answer: int
    window: int | None

    @property
    def fits(self) -> bool:
        """Whether prompt and answer fit the window."""
        return self.excess == 0

    @property
    def excess(self) -> int:
        """How many tokens too many; 0 when it fits."""
        return 0 if self.window is None else max(0, self.prompt + self.answer - self.window)


def longest_answer(params: Mapping[str, Any]) -> int | None:
    """The most tokens that an answer may have under these parameters; None where they do not say."""
    newer = params.get("max_completion_tokens")
    return params.get("max_tokens") if newer is None else newer


def thinking(params: Mapping[str, Any]) -> int:
    """The tokens that these parameters set aside for thinking, which are a part of the answer; 0 for none."""
    asked = params.get("thinking")
    tokens = cast("Mapping[str, Any]", asked).get("budget_tokens") if isinstance(asked, Mapping) else None
    return tokens if isinstance(tokens, int) and tokens > 0 else 0


def check(
    texts: Sequence[str],
    *,
    schema: Mapping[str, Any] | None = None,
    max_tokens: int | None,
    window: int | None,
    thinking: int = 0,
) -> Room:
    """Hold a request against the context window.

    Args:
        texts: the messages of the conversation as they will be sent.
        schema: the output schema, when it is sent beside the messages.
        max_tokens: the longest answer the app allows. When it does not say (None), room is kept for
            `SMALLEST_ANSWER` tokens, but for no more than a quarter of the window, after `thinking`.
        window: the smaller of the app's `max_context_window` and the model's own, in tokens; None where neither is
            known.
        thinking: tokens that the model may think before it answers, where `max_tokens` does not hold both.

    Returns:
        The two; a request that does not fit is not an error here.
    """
    least = SMALLEST_ANSWER if window is None else min(SMALLEST_ANSWER, window // 4)
    answer = least + thinking if max_tokens is None else max_tokens
    return Room(prompt=estimate_messages(texts, schema), answer=answer, window=window)


def surely_fits(texts: Sequence[str], *, max_tokens: int | None, window: int) -> bool:
    """Whether a request fits the window however its tokens are counted: they are never more than its bytes.

    A quick look that spares the estimate where a window is wide; False says nothing.
    """
    answer = min(SMALLEST_ANSWER, window // 4) if max_tokens is None else max_tokens
    return answer + PER_REQUEST + sum(PER_MESSAGE + 4 * len(text) for text in texts) <= window


def estimate_messages(texts: Sequence[str], schema: Mapping[str, Any] | None = None) -> int:
    """Tokens of a whole request: its texts, the chat template around them, and the schema where one is sent."""
    total = PER_REQUEST + sum(PER_MESSAGE + estimate_text(text) for text in texts)
    if schema is not None:
        total += PER_MESSAGE + estimate_text(json.dumps(schema, ensure_ascii=False))
    return total


def estimate_text(text: str) -> int:
    """Tokens of a text: about what the least efficient common tokenizer makes of it, seldom less.

    Takes any string, lone surrogates included, in time linear in its length. Never more than the number
    of its UTF-8 bytes.
    """
    if len(text) <= _FAMILIAR:
        return math.ceil(_weigh_familiar(text))
    return math.ceil(sum(_weigh(text[start : start + CHUNK]) for start in range(0, len(text), CHUNK)))


# A blank belongs to the word or the mark after it and costs nothing; before a digit it is a token of its own.
# Digits are left out: some tokenizers take them one by one, so they are counted one by one.
_PIECE = r"""(?xa)
      [a-z]+ | [A-Z]+(?![a-z]) | [A-Z][a-z]+     # the parts of HTTPServer are HTTP and Server
    | \ ?[!-/:-@\[-`{-~]+
    | \ (?=[0-9]) | \s{2,} | [\0-\x1f\x7f]
    """
_BEYOND_ASCII = r"[^\0-\x7f]+"
_FAMILIAR = 1 << 13  # characters; longer texts are seldom seen again
_SHORT = 32  # characters; longer pieces are rare, and would only fill the memory
_RUN = r"(?s)(.)\1*"


@lru_cache(maxsize=64)
def _weigh_familiar(text: str) -> float:
    """The instructions and the schema of an app are the same in each of its runs."""
    return _weigh(text)


def _weigh(text: str) -> float:
    weight = float(sum(map(text.count, "0123456789")))
    weight += sum(_weigh_piece(piece) * times for piece, times in Counter(re.findall(_PIECE, text)).items())
    if not text.isascii():
        characters = Counter("".join(re.findall(_BEYOND_ASCII, text)))
        weight += sum(_weigh_character(character) * times for character, times in characters.items())
    return min(weight, len(text.encode(errors="surrogatepass")))


def _weigh_piece(piece: str) -> float:
    return _weigh_short(piece) if len(piece) <= _SHORT else _weigh_any(piece)


@lru_cache(maxsize=8192)
def _weigh_short(piece: str) -> float:
    """The same few thousand words make up most texts: a process weighs each of them once."""
    return _weigh_any(piece)


def _weigh_any(piece: str) -> float:
    last = piece[-1]
    if last.isalpha():
        return _weigh_word(piece)
    return _weigh_blanks(piece) if last <= " " else _weigh_marks(piece.lstrip(" "))


def _weigh_word(word: str) -> float:
    """1 for a word that every vocabulary has; otherwise more, the longer it is and the less like English."""
    known = _english()
    lower = word.lower()
    capitals = len(word) > 1 and word.isupper()  # few vocabularies have a word in capitals as well
    if not capitals and known.knows(lower):
        return 1.0
    bordered = f" {lower} "
    strange = sum(bordered[at : at + 3] not in known.parts for at in range(len(lower)))
    strange += sum(lower[at : at + 2] not in known.parts for at in range(len(lower) - 1))
    weight = 0.66 + 0.23 * len(word) + 0.31 * strange
    return min(float(len(word)), weight + 0.3 + 0.08 * len(word) if capitals else weight)


def _weigh_blanks(blanks: str) -> float:
    weight = 0.0
    for run in re.finditer(_RUN, blanks):
        length, whole = len(run[0]), 1 if run[1] == " " else 2
        weight += min(length, whole) + max(0, length - whole) * _REPEATED.get(run[1], 1.0)
    return weight


def _weigh_marks(marks: str) -> float:
    weight = 1.0
    for left, right in pairwise(marks):
        if left == right:
            weight += _REPEATED.get(left, 0.5)
        else:
            weight += 0.25 if left + right in _PAIRS else 0.95
    return weight


def _weigh_character(character: str) -> float:
    return _RATES[bisect_right(_STARTS, ord(character)) - 1]


# What one more of the same mark adds to a run of them.
_REPEATED = {
    " ": 1 / 30, "\t": 1 / 7, "\n": 1 / 4, "-": 1 / 30, "=": 1 / 30, "*": 1 / 30, "#": 1 / 30, ".": 1 / 12, "_": 1 / 8,
}  # fmt: skip

# Marks that stand together in code and JSON, and in most vocabularies as one token.
_MARKS = """
() (" (' (_ (- ") ') ), ); ): ). )) }) [] [" [' [( "] '] ], ]; ]. ]) ]] )] {} {" {' {{ ({ [{ "} '} }, }; }} }] ": ': ",
', "; '; ". '. ," ," .' :: :/ // /* */ </ /> >< "> =" =' == != <= >= => -> += -= && || ++ -- ** __ ._ _( _, `` `, `.
"""
_PAIRS = frozenset(_MARKS.split())

# Where a stretch of code points starts, and the tokens of one character in it. Where most vocabularies
# fall back to bytes, the rate is above the number of bytes, since blanks are tokens there too.
_SCRIPTS = (
    (0x80, 1.4), (0xC0, 1.1), (0x100, 1.5), (0x180, 2.3),        # Latin with marks
    (0x370, 1.36), (0x400, 1.04), (0x450, 1.25), (0x460, 2.2),   # Greek, Cyrillic
    (0x530, 2.3), (0x5D0, 1.34), (0x5F5, 2.2),                   # Armenian, Hebrew
    (0x61B, 1.18), (0x64B, 2.1), (0x700, 2.3), (0x800, 3.4),     # Arabic
    (0x900, 1.45), (0x980, 2.25), (0xA00, 3.4), (0xB80, 2.2),    # Devanagari, Bengali, Tamil
    (0xC00, 3.4), (0xD00, 2.45), (0xD80, 3.4), (0xE00, 2.0), (0xE80, 3.4),  # Malayalam, Thai
    (0x10A0, 2.2), (0x1100, 3.4), (0x1780, 3.0), (0x1800, 3.4),  # Georgian, Khmer
    (0x1E00, 2.4), (0x2000, 2.0), (0x2010, 1.1), (0x2027, 2.0),  # Vietnamese, typographic marks
    (0x2070, 2.2), (0x2100, 2.5), (0x2190, 2.6), (0x2300, 3.0), (0x2500, 2.0), (0x2600, 2.8),  # symbols
    (0x3000, 1.3), (0x3040, 1.8), (0x3100, 3.4), (0x4E00, 2.12), (0xA000, 3.4),  # Japanese, Chinese
    (0xAC00, 2.9), (0xD7A4, 3.4), (0xFF00, 1.4), (0xFF20, 2.6), (0xFFF0, 3.0),   # Korean, full-width forms
    (0x10000, 4.0),                                              # emoji, rare characters
)  # fmt: skip
_STARTS = [start for start, _ in _SCRIPTS]
_RATES = [rate for _, rate in _SCRIPTS]


@frozen
class _English:
    stems: frozenset[str]
    parts: frozenset[str]

    def knows(self, word: str) -> bool:
        """Whether `word` is a stem or a regular form of one."""
        return word in self.stems or any(
            word.endswith(ending) and word.removesuffix(ending) + restored in self.stems
            for ending, restored in _ENDINGS
        )


def known_stems() -> list[str]:
    """Words that every common vocabulary holds as one token; `benchmarks/token_estimate.py` checks them."""
    return Path(__file__).with_name("stems.txt").read_text(encoding="ascii").split()


@cache
def _english() -> _English:
    """The stems, and every two and three letters in a row in them; built once, when first needed."""
    stems = known_stems()
    row = f" {' '.join(stems)} "
    pairs = list(map(add, row, row[1:]))  # half the time of slices
    parts = frozenset([*pairs, *map(add, pairs, row[2:])])
    return _English(stems=frozenset(stems).union("abcdefghijklmnopqrstuvwxyz"), parts=parts)


_ENDINGS = (
    ("s", ""), ("es", ""), ("ies", "y"), ("ed", ""), ("ed", "e"), ("ied", "y"), ("ing", ""), ("ing", "e"),
    ("er", ""), ("er", "e"), ("ers", ""), ("ers", "e"), ("ly", ""),
)  # fmt: skip
