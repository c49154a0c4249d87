"""The fenced blocks of a Markdown page, with what the page says about them.

A file's name stands in the info string, where a site shows it and GitHub does not: ```` ```yaml title="tone.rllm" ````.
All else stands in a comment above the block, which no reader sees, several words separated by commas:

    <!-- test: prints -->             what the block before it prints
    <!-- test: shape -->              JSON whose values may differ, such as a model's; keys and types may not
    <!-- test: wrong -->              a file that is shown for its mistakes
    <!-- test: part of PATH -->       lines of this file of the project
    <!-- test: made-up runs -->       first record some runs, the same ones each time
    <!-- test: unset NAME NAME -->    without these variables

In what is printed, `...` stands for anything: on a line of its own for any lines, else for the rest of a word or line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
_FENCE = re.compile(r"^( {0,4})(`{3,}|~{3,})[ ]*([\w-]*)[ ]*(.*)$")
_NOTE = re.compile(r"^ *<!-- test: (.*?) -->$")
_TITLE = re.compile(r'title="([^"]+)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block.

    Attributes:
        line: of its opening fence.
        language: the first word after the fence; empty where none stands there.
        title: the file that it is.
        notes: what the comment above it says.
        text: its lines.
    """

    line: int
    language: str
    title: str
    notes: tuple[str, ...]
    text: str

    def note(self, start: str) -> str | None:
        """What follows `start` in the note that begins with it."""
        return next((note.removeprefix(start).strip() for note in self.notes if note.startswith(start)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A command of a `console` block and the lines under it."""

    command: str
    shown: str


def blocks(text: str) -> Iterator[Block]:
    """The blocks of a page, in order."""
    lines = text.split("\n")
    notes: tuple[str, ...] = ()
    number = 0
    while number < len(lines):
        opened = number
        line = lines[number]
        number += 1
        if found := _FENCE.match(line):
            indent, fence, language, rest = found.groups()
            inside: list[str] = []
            while number < len(lines) and not re.fullmatch(rf" *{fence[0]}{{{len(fence)},}} *", lines[number]):
                inside.append(lines[number].removeprefix(indent))
                number += 1
            number += 1
            title = _TITLE.search(rest)
            yield Block(
                line=opened + 1,
                language=language,
                title=title.group(1) if title else "",
                notes=notes,
                text="\n".join(inside) + "\n",
            )
            notes = ()
        elif found := _NOTE.match(line):
            notes = tuple(note.strip() for note in found.group(1).split(","))
        elif line.strip():
            notes = ()


def steps(block: Block) -> Sequence[Step]:
    """The commands of a `console` block. A line that ends with a backslash goes on in the next one."""
    found: list[Step] = []
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        lines = part.rstrip("\n").split("\n")
        end = next(i for i, line in enumerate(lines) if not line.endswith("\\"))
        found.append(Step(command="\n".join(lines[: end + 1]), shown="\n".join(lines[end + 1 :])))
    return found


def commands(block: Block) -> Sequence[str]:
    """The lines of a block that a reader types into a shell, without comments."""
    if block.language not in ("sh", "console"):
        return []
    lines = [step.command for step in steps(block)] if block.language == "console" else block.text.split("\n")
    return [bare for line in lines if (bare := without_comment(line))]


def without_comment(line: str) -> str:
    """A command without the remark behind it."""
    return re.sub(r"(^|\s+)# .*$", "", line).strip()


def matches(shown: str, got: str) -> bool:
    """Whether `got` is what `shown` says, in which `...` stands for anything, with what it is indented by."""
    pattern = ""
    for line in _trimmed(re.sub(r"^ +\.\.\.", "...", shown, flags=re.MULTILINE)):  # a longer number is indented by less
        if line.strip() == "...":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += r"[^\n]*".join(re.escape(part) for part in line.split("...")) + r"\n"
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in _trimmed(got))) is not None


def _trimmed(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip("\n").split("\n")] if text.strip() else []


def same_shape(shown: object, got: object) -> bool:
    """Whether two JSON values have the same keys and types all the way down; the items of a list are alike."""
    if isinstance(shown, dict) and isinstance(got, dict):
        return shown.keys() == got.keys() and all(same_shape(shown[key], got[key]) for key in shown)
    if isinstance(shown, list) and isinstance(got, list):
        return not shown or (bool(got) and all(any(same_shape(one, item) for one in shown) for item in got))
    if isinstance(shown, bool) or isinstance(got, bool):
        return isinstance(shown, bool) and isinstance(got, bool)
    if isinstance(shown, int | float) and isinstance(got, int | float):
        return True
    return type(shown) is type(got)
