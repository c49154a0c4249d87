"""What in a regular expression the sandbox reads otherwise than Python does. Nothing is compiled or matched."""

from __future__ import annotations

import re
from typing import Literal

from runllm.values import frozen

Mark = Literal["end", "last end", "word", "class", "edge", "empty"]

_PART = re.compile(
    r"\\(?:[1-9][0-9]?|.)"
    r"|\[\^?\]?(?:\\.|[^\]\\])*\]"
    r"|\(\?#[^)]*\)|\(\?[a-zA-Z]+\)|\(\?P=[^)]*\)"
    r"|\((?:\?(?:P?<\w+>|<?[=!]|[:>]|\(\w+\)|[a-zA-Z-]+:))?"
    r"|\{(?:[0-9]+,?|,)[0-9]*\}|.",
    re.DOTALL,
)
_NOT_BEFORE_LINE_END = (r"(?!\n)", "(?!\n)")
_TAKES_LINE_END = (r"\s*", r"\s+")
_SET_OPERATION = re.compile(r"(?s)(?:\\.)|(&&|--|~~|\[)")


@frozen
class _Group:
    """What is known of an open group: whether it may match nothing, in a branch before or in this one."""

    branch_before: bool
    branch: bool
    only_looks: bool


def marks(pattern: str, *, lines: bool = False) -> set[Mark]:
    """What of `pattern` differs; whatever is no regular expression gives what was found up to there.

    Args:
        pattern: a regular expression as Python reads it.
        lines: whether `re.MULTILINE` is set, under which both read `$` alike.
    """
    parts = _PART.findall(pattern)
    lines = lines or any(part.startswith("(?") and "m" in part and part[-1] in "):" for part in parts)
    found: set[Mark] = set()
    rest = pattern
    for part in parts:
        before, rest = pattern[: len(pattern) - len(rest)], rest[len(part) :]
        sure = rest.startswith(_NOT_BEFORE_LINE_END) or before.endswith(_TAKES_LINE_END)
        if part == "$" and not lines and not sure:
            found.add("end")
        elif part == r"\Z" and not sure:
            found.add("last end")
        elif part in (r"\<", r"\>"):
            found.add("edge")
        elif part[0] == "[" and len(part) > 1 and any(_SET_OPERATION.findall(part[1:])):
            found.add("class")
        if part[0] in "\\[" and re.search(r"\\[wW]", part.replace(r"\\", "")):
            found.add("word")
    if _may_be_empty(parts):
        found.add("empty")
    return found


def _may_be_empty(parts: list[str]) -> bool:
    """Whether the pattern may match nothing in one place and something in another."""
    outer: list[_Group] = []
    group = _Group(branch_before=False, branch=True, only_looks=False)
    last = True  # whether the last atom may match nothing
    takes = False  # whether any of the whole takes a character
    for part in parts:
        if part in ("*", "?", "+") or (part[0] == "{" and len(part) > 1):
            last = last or part in ("*", "?") or re.match(r"\{0*,", part) is not None or part in ("{0}", "{,}")
            continue
        group, last = _Group(branch_before=group.branch_before, branch=group.branch and last,
                             only_looks=group.only_looks), True  # fmt: skip
        if part == "|":
            group = _Group(branch_before=group.branch_before or group.branch, branch=True, only_looks=group.only_looks)
        elif part == ")":
            last = group.only_looks or group.branch_before or group.branch
            group = outer.pop() if outer else group
        elif part[0] == "(" and part[-1] != ")":
            outer.append(group)
            group = _Group(branch_before=False, branch=True, only_looks=part.endswith(("=", "!")))
        elif part in ("^", "$") or part[0] == "(" or re.fullmatch(r"\\[1-9AZbB][0-9]?", part):
            pass  # a place, a flag, a comment, or a group again
        else:
            last = False
            takes = takes or not any(one.only_looks for one in (*outer, group))
    return takes and (group.branch_before or (group.branch and last))
