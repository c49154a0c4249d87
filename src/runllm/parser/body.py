"""Split a file into frontmatter and body, and the body into sections and Python blocks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import field, replace
from keyword import iskeyword
from typing import Any, cast, get_args

from runllm.diagnostics import Problem, did_you_mean
from runllm.parser.markers import SECTIONS, beginning, fence_meant, meant, of_a_model, way_out
from runllm.program import Block, Phase, Section, Source, local_of
from runllm.values import record

PHASES = get_args(Phase)
MAX_BLOCKS = 100
MAX_DOUBTED = 50
"""Problems beside which no more lines are doubted."""

_MARKER = re.compile(r"<<<(.*)>>>\s*")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})\s*rllm-python\b(.*)")
_QUOTED = re.compile("[>*+ \\t-]*[`~'\"\u00b4]{2}")
_NAME = r"[A-Za-z_][A-Za-z0-9_-]*"
_LOCAL = r"[^\W\d]\w*"
_KEY = r'\["[^"]+"\]'
_PATH = rf"{_LOCAL}(?:\.{_LOCAL}|{_KEY})*"
_SIGN = rf"({_KEY})| ?([=,]) ?"
_WORD = rf"(?:{_KEY}|\S)+"
_ITEM = rf"(?:{_KEY}|[^,])+"
_FORM = "Write: ```rllm-python PHASE [NAME] [inputs=a.b,c] [outputs=d,e] [timeout=SECONDS] [memory=MIB]"


def _names(pattern: str, text: str) -> tuple[str, ...] | None:
    found = tuple(re.findall(_ITEM, text))
    return found if all(re.fullmatch(pattern, item) for item in found) else None


def _positive(text: str) -> float | None:
    return float(text) if re.fullmatch(r"[0-9]{1,6}(?:\.[0-9]{1,6})?", text) and float(text) > 0 else None


_SETTINGS: dict[str, Callable[[str], Any]] = {
    "inputs": lambda text: _names(_PATH, text),
    "outputs": lambda text: _names(_LOCAL, text),
    "timeout": _positive,
    "memory": lambda text: int(text) if re.fullmatch("[0-9]{1,7}", text) and 0 < int(text) < 1 << 20 else None,
}
_MEANINGS = {
    "inputs": 'a list of paths, as `input.text` or `input["first-name"]`',
    "outputs": "a list of names",
    "timeout": "a number of seconds",
    "memory": "a number of MiB",
}


@record
class Body:
    """What stands below the frontmatter: the sections by name, and the blocks in order."""

    sections: dict[str, Section] = field(default_factory=dict[str, Section])
    blocks: list[Block] = field(default_factory=list[Block])


@record
class _Lines:
    """Lines of one section, each with its number in the file."""

    start: int
    lines: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])

    def section(self) -> Section | None:
        """The section without blank lines at its ends; None when nothing is left."""
        filled = [at for at, (_, line) in enumerate(self.lines) if line.strip()]
        if not filled:
            return None
        kept = self.lines[filled[0] : filled[-1] + 1]
        text = "\n".join(line for _, line in kept).rstrip()
        return Section(text=text, places=tuple((number, 1) for number, _ in kept))


def split(source: Source) -> tuple[tuple[int, str] | None, int, list[Problem]]:
    """Find the frontmatter.

    Returns:
        The frontmatter as (number of its first line, text), the number of the body's first line, and
        what is wrong. The frontmatter is None when there is none.
    """
    lines = source.text.split("\n")
    start = 1 if lines[0].startswith("#!") else 0
    while start < len(lines) and not lines[start].strip():
        start += 1
    if start == len(lines) or lines[start].rstrip() != "---":
        line = min(start + 1, len(lines))
        said = "the file must begin with `---` and the YAML frontmatter"
        hint = "Put the contract between two `---` lines, then the prompt."
        return None, line, [source.problem(line, said, "frontmatter", hint)]
    end = next((n for n in range(start + 1, len(lines)) if lines[n].rstrip() == "---"), None)
    if end is None:
        said = "the frontmatter is not closed: there is no second `---` line"
        hint = "Write `---` on a line of its own after the last key."
        return None, len(lines) + 1, [source.problem(start + 1, said, "frontmatter", hint)]
    return (start + 2, "\n".join(lines[start + 1 : end])), end + 2, []


def parse_body(source: Source, first_line: int) -> tuple[Body, list[Problem]]:
    """Read the body, from `first_line` (counted from 1) to the end, and say all that is wrong with it."""
    return _Reader(source).read(first_line)


class _Reader:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.problems: list[Problem] = []
        self.body = Body()
        self.counts = dict.fromkeys(PHASES, 0)
        self.names: set[str] = set()
        self.begun = False
        """Whether there was text, or a marker, which says what the text below it is."""

    def read(self, first_line: int) -> tuple[Body, list[Problem]]:
        lines = self.source.text.split("\n")
        parts: dict[str, _Lines] = {"": _Lines(start=first_line)}
        current = parts[""]
        number = first_line
        while number <= len(lines):
            line = lines[number - 1]
            if fence := _FENCE.fullmatch(line):
                number = self._block(fence, number, lines)
            elif marker := _MARKER.fullmatch(line):
                current = self._marker(marker[1].strip(), number, parts, current)
            else:
                self._text(line, number)
                current.lines.append((number, line))
            number += 1
        for block in self.body.blocks[MAX_BLOCKS : MAX_BLOCKS + 1]:
            said = f"there are more than {MAX_BLOCKS} Python blocks"
            self._report(block.line - 1, said, "fence", "Put what some of them do into one.")
        del self.body.blocks[MAX_BLOCKS:]  # each takes some 20 ms to check
        self._collect(parts)
        return self.body, self.problems

    def _collect(self, parts: dict[str, _Lines]) -> None:
        for name, part in parts.items():
            section = part.section()
            if section is None:
                if name in SECTIONS:
                    self._report(part.start, f"the section `<<<{name}>>>` is empty", "section")
                continue
            if name == "" and "USER" in parts:
                line = section.places[0][0]
                self._report(line, "there is text before the first marker and a `<<<USER>>>` section", "section",
                             "Both are the user message: keep one of them.")  # fmt: skip
                continue
            self.body.sections[name or "USER"] = section

    def _text(self, line: str, number: int) -> None:
        """Warn of a line of text that was hardly meant as one."""
        is_first, self.begun = not self.begun, self.begun or bool(line.strip())
        hint = beginning(line) if is_first and self.begun else ""
        if ("<" in line or "&lt;" in line) and (section := meant(line)):
            hint = f"A section begins with `<<<{section}>>>` at the start of a line of its own; its text stands below."
        hint = hint or (of_a_model(line) if "<" in line or "[" in line else "")
        what = "section"
        if not hint and _QUOTED.match(line) and (hint := fence_meant(line, PHASES)):
            what = "Python block"
        if hint and len(self.problems) < MAX_DOUBTED:
            said = f"this line is text, and begins no {what}"
            self.problems.append(self.source.problem(number, said, what.split()[-1], hint, severity="warning"))

    def _marker(self, name: str, number: int, parts: dict[str, _Lines], current: _Lines) -> _Lines:
        self.begun = True
        if name not in SECTIONS:
            hint, is_section = way_out(name)
            self._report(number, f"`<<<{name}>>>` is not a section", "section", hint)
            return _Lines(start=number) if is_section else current
        if name in parts:
            first = parts[name].start
            self._report(number, f"the section `<<<{name}>>>` is there already, on line {first}", "section")
            return _Lines(start=number)
        parts[name] = _Lines(start=number)
        return parts[name]

    def _block(self, fence: re.Match[str], number: int, lines: list[str]) -> int:
        """Read one fenced block; returns the number of its last line."""
        mark = fence[1]
        closing = re.compile(rf" {{0,3}}{re.escape(mark[0])}{{{len(mark)},}}\s*")
        end = next((n for n in range(number, len(lines)) if closing.fullmatch(lines[n])), None)
        header = self._header(fence[2], number)
        if end is None:
            hint = f'Close it with "{mark}" on a line of its own.'
            self._report(number, "the Python block is not closed", "fence", hint)
            return len(lines)
        if header is not None:
            self.counts[header.phase] += 1
            name = header.name or f"{header.phase} block {self.counts[header.phase]}"
            if name in self.names:
                self._report(number, f"a Python block is named `{name}` already", "fence")
            self.names.add(name)
            self.body.blocks.append(replace(header, name=name, code="\n".join(lines[number:end])))
        return end + 1

    def _header(self, text: str, number: int) -> Block | None:
        """What the fence says, as a block that has no code yet; None when it names no phase."""
        words = re.findall(_WORD, re.sub(_SIGN, lambda found: found[1] or found[2], " ".join(text.split())))
        if not words or words[0] not in PHASES:
            said = f"`{words[0]}` is not a phase" if words else "the Python block names no phase"
            self._report(number, said, "fence", did_you_mean(words[0] if words else "", PHASES))
            return None
        name = ""
        settings: dict[str, Any] = {}
        for word in words[1:]:
            key, is_setting, value = word.partition("=")
            read = _SETTINGS.get(key)
            if is_setting and read is not None and key not in settings:
                settings[key] = read(value)
                if settings[key] is None:
                    self._report(number, f"`{word}` is not {_MEANINGS[key]}", "fence")
            elif not is_setting and not name and re.fullmatch(_NAME, word):
                name = word
            else:
                self._report(number, f"`{word}` is not understood in the fence of a Python block", "fence", _FORM)
        self._check_locals(settings.get("inputs") or (), settings.get("outputs") or (), number)
        known: dict[str, Any] = {"inputs": None, "outputs": None, **settings}
        return Block(phase=cast("Phase", words[0]), name=name, code="", line=number + 1, **known)

    def _check_locals(self, inputs: Sequence[str], outputs: Sequence[str], number: int) -> None:
        """Names that no local can have, and two inputs that would have the same."""
        bound = [local_of(path) for path in inputs]
        for local in filter(iskeyword, dict.fromkeys([*bound, *outputs])):
            hint = "Leave `inputs=` and `outputs=` out: the block then reads `context` and fills `result`."
            self._report(number, f"`{local}` is a word of Python itself, and cannot name a local", "fence", hint)
        twice = next((local for local, times in Counter(bound).items() if times > 1), None)
        if twice is not None:
            self._report(number, f"two inputs of the Python block would both be named `{twice}`", "fence")

    def _report(self, number: int, message: str, keyword: str, hint: str = "") -> None:
        self.problems.append(self.source.problem(number, message, keyword, hint))
