"""How many tokens a request may take, and whether that fits the context window.

The estimate knows no model's vocabulary. It reads the text in pieces - words, digits, punctuation,
blanks, other scripts - and gives each piece what the least efficient of the common tokenizers needs.
`docs/tokens.md` says how the numbers were found and shows how well they hold.
"""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from runllm.exchange import Message

CHUNK = 1 << 18
"""Characters read at a time, so that the pieces of a long text need little memory."""

PER_MESSAGE = 8
"""Tokens that a chat template puts around one message: its role and its borders."""

PER_REQUEST = 16
"""Tokens around the conversation: its start, and the opening of the answer."""

DEFAULT_ANSWER = 256
"""Room kept for the answer when the app does not say how long it may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a request needs, in tokens, beside what there is.

    Attributes:
        prompt: estimate for the messages, and for the schema where it is sent.
        answer: room kept for the answer.
        window: the context window.
    """

    prompt: int
    answer: int
    window: int

    @property
    def fits(self) -> bool:
        """Whether prompt and answer fit the window."""
        return self.excess == 0

    @property
    def excess(self) -> int:
        """How many tokens too many; 0 when it fits."""
        return max(0, self.prompt + self.answer - self.window)


def check(
    messages: Sequence[Message], *, schema: Mapping[str, Any] | None = None, max_tokens: int | None, window: int
) -> Budget:
    """Hold a request against the context window.

    Args:
        messages: the conversation as it will be sent.
        schema: the output schema, when it is sent beside the messages.
        max_tokens: the longest answer the app allows, None when it does not say.
        window: the smaller of the app's `max_context_window` and the model's own, in tokens.

    Returns:
        The budget; nothing is raised when it does not fit.
    """
    answer = DEFAULT_ANSWER if max_tokens is None else max_tokens
    return Budget(prompt=estimate_messages(messages, schema), answer=answer, window=window)


def estimate_messages(messages: Sequence[Message], schema: Mapping[str, Any] | None = None) -> int:
    """Tokens of a whole request: texts, chat template, and the schema where one is sent."""
    total = PER_REQUEST + sum(PER_MESSAGE + estimate_text(message.content) for message in messages)
    if schema is not None:
        total += PER_MESSAGE + estimate_text(json.dumps(schema, ensure_ascii=False))
    return total


def estimate_text(text: str) -> int:
    """Tokens of a text, at least as many as a common tokenizer is likely to make of it.

    Linear in the length of the text. Any `str` will do, lone surrogates included.
    """
    return math.ceil(sum(_weigh(text[start : start + CHUNK]) for start in range(0, len(text), CHUNK)))


# The order matters: `HTTPServer` is `HTTP` and `Server`; a blank before a digit is a token of its own, one
# before a letter or a punctuation mark is not, and is left out here.
_PIECE = re.compile(
    r"""
      [A-Z]+(?![a-z]) | [A-Z]?[a-z]+
    | \ ?[!-/:-@\[-`{-~]+
    | \ (?=[0-9])
    | \s{2,} | [\0-\x1f\x7f]
    """,
    re.VERBOSE | re.ASCII,
)
_OTHER_SCRIPTS = re.compile(r"[^\0-\x7f]+")


def _weigh(text: str) -> float:
    weight = float(sum(map(text.count, "0123456789")))
    weight += sum(_weigh_piece(piece) * times for piece, times in Counter(_PIECE.findall(text)).items())
    if not text.isascii():
        characters = Counter("".join(_OTHER_SCRIPTS.findall(text)))
        weight += sum(_weigh_character(character) * times for character, times in characters.items())
    return weight


def _weigh_piece(piece: str) -> float:
    first = piece[-1]
    if first.isalpha():
        return _weigh_word(piece)
    if first.isspace() or first < " ":
        return _weigh_blanks(piece)
    return _weigh_punctuation(piece)


def _weigh_word(word: str) -> float:
    """1 for a word that every vocabulary has; else more, the less it looks like English."""
    known = _english()
    lower = word.lower()
    if lower in known.words or len(word) == 1:
        return 1.0
    bordered = f" {lower} "
    strange = sum(bordered[at : at + 3] not in known.parts for at in range(len(lower)))
    strange += sum(lower[at : at + 2] not in known.parts for at in range(len(lower) - 1))
    shout = 0.3 if word.isupper() else 0.0
    return min(len(word), max(1.0, 0.55 + shout + 0.2 * len(word) + 0.26 * strange))


def _weigh_blanks(blanks: str) -> float:
    weight = 0.0
    for run in _RUN.finditer(blanks):
        length = run.end() - run.start()
        weight += 1 + (length - 1) * _LATER.get(run[1], 1.0)
    return weight


def _weigh_punctuation(marks: str) -> float:
    marks = marks.lstrip(" ")
    weight = 1.0
    for left, right in zip(marks, marks[1:], strict=False):
        weight += _LATER.get(left, 0.5) if left == right else 0.3 if left + right in _PAIRS else 0.9
    return weight


_RUN = re.compile(r"(.)\1*", re.DOTALL)
_LATER = {" ": 1 / 15, "\t": 1 / 4, "\n": 1 / 3, "-": 1 / 8, "=": 1 / 8, "*": 1 / 8, "#": 1 / 8, ".": 1 / 8, "_": 1 / 8}
_PAIRS = frozenset(
    """
    () (" (' ") ') ), ); ): ). )) [] [" [' "] '] ]. ], ]; ]) [( )] {} {" {' }, }; }) ({ [{ }] }} {{ "} '} ": ': ",
    ', "; '; ". '. ," ," ." .' :: :// :/ // /* */ </ /> >< "> ="  =' == != <= >= => -> += -= && || ++ -- ** __ ._ (_ _( _, `` `, `.
    """.split()
)


def _weigh_character(character: str) -> float:
    code = ord(character)
    return _RATES[bisect_right(_STARTS, code) - 1]


_SCRIPTS = (
    (0x80, 1.4), (0xC0, 1.1), (0x100, 1.5), (0x180, 2), (0x370, 1.36), (0x400, 1.02), (0x450, 1.2), (0x460, 2),
    (0x530, 2), (0x5D0, 1.32), (0x5F5, 2), (0x61B, 1.18), (0x64B, 1.8), (0x700, 2), (0x800, 3), (0x900, 1.44),
    (0x980, 2.2), (0xA00, 3), (0xB80, 2.15), (0xC00, 3), (0xD00, 2.45), (0xD80, 3), (0xE00, 1.97), (0xE80, 3),
    (0x10A0, 2.15), (0x1100, 3), (0x1780, 2.8), (0x1800, 3), (0x1E00, 2.4), (0x2000, 2), (0x2010, 1.1), (0x2027, 2),
    (0x2070, 2.2), (0x2100, 2.5), (0x2190, 2.6), (0x2300, 3), (0x2500, 2), (0x2600, 2.8), (0x3000, 1.3),
    (0x3040, 1.78), (0x3100, 3), (0x4E00, 1.95), (0xA000, 3), (0xAC00, 2.85), (0xD7A4, 3), (0xFF00, 1.4), (0xFF20, 2.6),
    (0xFFF0, 3), (0x10000, 4),
)
_STARTS = [start for start, _ in _SCRIPTS]
_RATES = [rate for _, rate in _SCRIPTS]


@dataclass(frozen=True, slots=True)
class _English:
    words: frozenset[str]
    parts: frozenset[str]


@cache
def _english() -> _English:
    """The known words and the pairs and triples of letters in them; built once, when first needed."""
    words = _WORDS.split()
    pairs = {word[at : at + 2] for word in words for at in range(len(word) - 1)}
    triples = {f" {word} "[at : at + 3] for word in words for at in range(len(word))}
    return _English(frozenset(words), frozenset(pairs | triples))


_WORDS = """
a i the of and to in is it that for was on are as with his they at be this from have or by one had not but what all
were when we there can an your which their said if do will each about how up out them then she many some so these would
other into has more her two like him see time could no make than first been its who now people my made over did down only
way find use may water long little very after words called just where most know get through back much before go good new
write our used me man too any day same right look think also around another came come work three word must because does
part even place well such here take why things help put years different away again off went old number great tell men say
small every found still between name should home big give air line set own under read last never us left end along while
might next sound below saw something thought both few those always looked show large often together asked house world
going want school important until form food keep children feet land side without boy once animals life enough took
sometimes four head above kind began almost live page got earth need far hand high year mother light parts country father
let night following picture being study second eyes soon times story boys since white days ever paper hard near sentence
better best across during today others however sure means knew try told young miles sun ways thing whole hear example
heard several change answer room sea against top turned learn point city play toward five using himself usually money
seen car morning given trees family group true half sent law done less later free open close war company human local five
children service system social power government business health public national development information education
research experience community process department management report state university program project member market
history political economic international training control education personal support interest political problem
question reason result effect provide include according available individual possible particular general special
similar specific certain current recent early simple main major common strong clear full short total past able ready
real best low late physical natural medical financial legal central final original additional necessary especially
generally actually probably perhaps already quite rather whether although therefore within outside became become
becomes making taken given known shown considered required expected received produced published established including
following based related increase reduced level rate cost price value amount quality standard method model theory
analysis results figure table section chapter article review author authors book subject language meaning sense idea
nature practice application applications product products production material materials energy environment temperature
pressure surface structure function functions relationship response treatment patients disease cells cell body blood
brain heart women child student students teacher class course knowledge skills decision policy rights court case issue
issues security military force forces council board office president minister party members leader association
organization committee agreement action activity activities event events position condition conditions performance
communication network design technology industry customer customers order account payment date week month hours
minutes phone email address letter message messages please thank thanks sorry hello yes yet ask asks call calls meet
meeting team user users access file files data code test tests error errors type types list key keys string text object
objects return returns self def import default true false none null int str bool float char const void static private
public final class function array index count size length width height item items input output format print start stop
run running build version update create delete remove add insert select join group where values update field fields
parameter parameters argument arguments method methods property properties attribute attributes instance module
package path directory folder link url http https html json xml www com org id ref src div span title content header
body style color image button click page site web search query request server client host port database table column row
record source target node parent children tree root entry map set stack queue cache memory thread process event handler
callback context option options config configuration settings environment variable variables constant expression
statement condition loop break continue else elif except raise exception try finally pass yield lambda async await
assert global with from print len range dict tuple bytes buffer encode decode encoding character characters sequence
number integer decimal binary hex byte bit flag mask offset address pointer reference copy move load save open close
read write append replace split match pattern regex parse parser token tokens syntax symbol define defined definition
declare implementation interface abstract override virtual template generic namespace include library framework plugin
command line shell script tool debug log warning info level trace status state active enabled disabled required optional
description summary details note notes see usage example examples license copyright contact support documentation
reading writing looking taking coming making getting working having doing trying saying asking checking starting
building changing creating adding setting building everything anything nothing someone everyone themselves itself
"""
