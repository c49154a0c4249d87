"""Lines that look like the marker of a section or the fence of a block and are none: what was meant, what to write."""

from __future__ import annotations

import re
from collections.abc import Sequence

from runllm.diagnostics import clip, did_you_mean, nearest

SECTIONS = ("SYSTEM", "USER", "RECOVERY")

_LONGEST = 200
_SHOWN = 40
_OPENS, _CLOSES = "(?:<|&lt;)", "(?:>|&gt;)"
_ALONE = (
    rf"(?i)[\s#*\\]*(?:(?P<opening>{_OPENS}{{2,4}})\s*(?P<name>system|sys|user|recovery)\s*(?P<closing>{_CLOSES}{{0,4}})"
    r"|>{2,4}\s*(?P<turned>system|user|recovery)\s*<{2,4}"
    r"|<\|(?:im_start\|>)?\s*(?P<token>system|user)(?:\|>)?)\s*:?[\s#*]*"
)
_FIRST = r"\s*<<<(SYSTEM|USER|RECOVERY)>>>\s*\S"
_ROLE = (
    r"(?i)[^\w\s]{0,6}\s?(?:role\s?[:=]\s?)?\W?(?P<name>system|sys|user|human)"
    r"(?:[ _-]?(?:prompt|message|role|instructions?))?\W?\s?[^\w\s]{0,6}"
)
_SPOKEN = r"[#* ]{0,4}SYSTEM(?: ?(?:PROMPT|MESSAGE))?\*{0,2}:\*{0,2} +\S"
_AS_SECTION = "Write `<<<SYSTEM>>>` instead, and `<<<USER>>>` on a line of its own where the user's message begins."
_SIGNS = "im_start|im_end|start_header_id|end_header_id|eot_id|begin_of_text|endoftext|end|assistant|tool"
_OF_A_MODEL = (
    rf"\s*(?:</?s>\s*)?(?:\[/?INST\]|<\|(?:{_SIGNS})\|>|<(?:start|end)_of_turn>|<\|(?:START|END)_OF_TURN_TOKEN\|>)"
)
_FENCED = r"(?:[`~'\u00b4]{2,}|\"{3,})([^`~]+)"
_PYTHON = frozenset({"python", "py", "python3"})
_OF_RLLM = frozenset({"rllm", "runllm"})
_FENCES = ("rllmpython", "runllmpython", "rllmpy", "pythonrllm")
_ALIKE = 0.82  # `python` alone is less like `rllmpython`
_OTHER_ROLES = frozenset({"ASSISTANT", "MODEL", "AI", "BOT", "ANSWER"})


def meant(line: str) -> str:
    """The section that a line of text was most likely to begin; empty for a line that is nothing but text."""
    if len(line) > _LONGEST and not line.lstrip().startswith("<<<"):
        return ""
    if found := re.match(_FIRST, line):
        return found[1]
    found = re.fullmatch(_ALONE, line) if len(line) <= _LONGEST else None
    if found is None:
        return ""
    name = found["name"] or found["turned"] or found["token"]
    if found["name"]:
        opening, closing = (
            len(re.findall(sign, found[side])) for sign, side in ((_OPENS, "opening"), (_CLOSES, "closing"))
        )
        if opening + closing <= 2 or (opening == 2 and name == "user"):  # noqa: PLR2004 - `<<EOF`, and a placeholder
            return ""
    return "SYSTEM" if name.lower() == "sys" else name.upper()


def beginning(line: str) -> str:
    """What to write where the first line of a prompt without sections names a role; empty where it names none."""
    begun = re.match(_SPOKEN, line)
    found = re.fullmatch(_ROLE, line.strip()) if len(line) <= _LONGEST else None
    if begun:
        return _AS_SECTION
    if found is None:
        return ""
    if found["name"].lower() in ("user", "human"):
        if ":" not in line and "[" not in line:  # a heading, or the tag of a document
            return ""
        return "Take it out: a prompt without sections is the user's message."
    return _AS_SECTION


def of_a_model(line: str) -> str:
    """What to write instead of a sign by which one kind of model tells messages apart; empty for another line."""
    return (
        "Take it out: such signs are added for each model. A section begins with `<<<SYSTEM>>>` or `<<<USER>>>`."
        if re.match(_OF_A_MODEL, line)
        else ""
    )


def way_out(name: str) -> tuple[str, bool]:
    """What to write for a marker of another name, and whether one of the sections was meant by it."""
    words = re.findall(r"[A-Z]+", name[:_LONGEST].upper())
    known = next((word for word in words if word in SECTIONS), "")
    if known and (name.startswith("/") or words[0] == "END"):
        return "A section ends where the next one begins: take this line out.", True
    if near := known or nearest(name, SECTIONS):
        return did_you_mean(near, SECTIONS), True
    if _OTHER_ROLES.intersection(words):
        return "What the model answers stands under `examples`, or is not written at all.", True
    sections = ", ".join(f"`{section}`" for section in SECTIONS)
    return f"Sections are {sections}. A line of the prompt takes other signs: `<<{clip(name, _SHOWN)}>>`.", False


def fence_meant(line: str, phases: Sequence[str]) -> str:
    """What to write where a line was most likely to begin a Python block; empty for any other line.

    The fence of a listing, as "```python" and whatever else is said of one, is not doubted.
    """
    found = re.fullmatch(_FENCED, line.strip().lstrip("> \t*+-")) if len(line) <= _LONGEST else None
    words = [word for word in re.split(r"[\s:]+", found[1].strip(" \t{}")) if word] if found else []
    if not words:
        return ""
    head, rest = re.sub(r"[\W_]", "", words[0].lower()), words[1:]
    if head in _OF_RLLM and rest and rest[0].lower() in _PYTHON:
        head, rest = "rllmpython", rest[1:]
    elif end := next((phase for phase in phases if head.endswith(phase) and head != phase), ""):
        head, rest = head.removesuffix(end), [end, *rest]
    phase = nearest(rest[0], phases, _ALIKE) if rest else None
    has_setting = re.search(r"\b(?:in|out)puts ?=", line) is not None
    if head in phases and has_setting:  # no language is named
        phase, rest = head, words
    elif not nearest(head, _FENCES, _ALIKE) and (head not in _OF_RLLM | _PYTHON or not (phase or has_setting)):
        return ""
    said = " ".join([phase or "PHASE", *rest[1 if phase else 0 :]])
    return f'Did you mean "```rllm-python {said}"?'
