"""Read YAML 1.2 and JSON text into plain values, and remember where each value stands.

PyYAML reads the syntax; the meaning is YAML 1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema),
so that `no`, `on`, `12:30` and dates are strings. A duplicate key, an alias bomb and nesting without
end are problems, not crashes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import field
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from runllm.diagnostics import pointer, steps, told
from runllm.values import record

if TYPE_CHECKING:
    import yaml

MAX_DEPTH = 64
MAX_NODES = 100_000
MAX_POINTERS = 64 * 2**20
"""Characters that the JSON Pointers of all values may have together: every one may be written out."""
MAX_INTEGER_DIGITS = 4000
_LONGEST_SHOWN = 80
_MOST_INDEX_DIGITS = 9
# The other way round, a class of what is allowed, would take ten times as long to compile.
_NOT_ALLOWED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")


class Mark(NamedTuple):
    """Where a value or key starts in the text, counted from 0, and how long it is on that line."""

    line: int
    column: int
    length: int


@record
class Node:
    """A value with its place: scalars, mappings and sequences alike.

    Attributes:
        value: the plain value, children included.
        mark: where the value starts.
        keys: for a mapping, where each key starts.
        children: for a mapping or sequence, the nodes inside by key or index.
        literal: for a scalar whose lines stand in the text as they are, the place of its first character.
        written: for a scalar that is no text, how it is written.
    """

    value: Any
    mark: Mark
    keys: dict[str, Mark] = field(default_factory=dict[str, Mark])
    children: dict[str | int, Node] = field(default_factory=dict[str | int, "Node"])
    literal: Mark | None = None
    written: str | None = None

    @property
    def mapping(self) -> dict[str, Any] | None:
        """The value if it is a mapping, None otherwise."""
        value: Any = self.value
        return cast("dict[str, Any]", value) if isinstance(value, dict) else None

    def at(self, path: str) -> Node | None:
        """The node at a JSON Pointer, or None."""
        node: Node | None = self
        for step in steps(path):
            if node is None:
                return None
            node = node.child(step)
        return node

    def mark_of(self, path: str, *, key: str | None = None) -> Mark:
        """Where the value at a JSON Pointer stands, or its `key`; the nearest ancestor's place if it is absent."""
        node: Node = self
        mark = self.mark
        for step in steps(path):
            child = node.child(step)
            if child is None:
                return node.keys.get(step, mark)
            mark = node.keys.get(step, child.mark) if child.children else child.mark
            node = child
        return mark if key is None else node.keys.get(key, mark)

    def child(self, step: str) -> Node | None:
        """The node at one step of a pointer: a key, or an index in digits."""
        found = self.children.get(step)
        is_index = found is None and step.isdecimal() and len(step) <= _MOST_INDEX_DIGITS
        return self.children.get(int(step)) if is_index else found

    def walk(self) -> Iterator[tuple[str, Node]]:
        """Every node with its JSON Pointer, this one first, in the order of the document."""
        waiting: list[tuple[str, Node]] = [("", self)]
        while waiting:
            at, node = waiting.pop()
            yield at, node
            waiting += [(at + pointer([step]), child) for step, child in reversed(node.children.items())]


class DocumentError(ValueError):
    """The text cannot be read; `mark` says where, `earlier` where the first of two stands."""

    def __init__(self, message: str, mark: Mark, hint: str = "", earlier: Mark | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.mark = mark
        self.hint = hint
        self.earlier = earlier


def read(text: str) -> tuple[Node, list[DocumentError]]:
    """A YAML 1.2 (or JSON) document as a tree.

    Returns:
        The root node, and every problem that did not stop the reading, such as a duplicate key.

    Raises:
        DocumentError: the syntax is wrong, or a bound is exceeded.
    """
    import yaml  # 13 ms: only when a document is read

    if found := _NOT_ALLOWED.search(text):
        line = text.count("\n", 0, found.start())
        column = found.start() - (text.rfind("\n", 0, found.start()) + 1)
        raise DocumentError(f"the character U+{ord(found[0]):04X} is not allowed in YAML", Mark(line, column, 1))
    stand_ins = _stand_ins(text)
    written = text.translate(stand_ins)
    builder = _Builder(text, {code: char for char, code in stand_ins.items()})
    try:
        root = builder.build(cast("Iterator[Any]", yaml.parse(written, Loader=_loader())))  # pyright: ignore[reportUnknownMemberType]
    except DocumentError:
        raise
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, builder.lines) from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise DocumentError("the text cannot be read as YAML", Mark(0, 0, 1)) from None
    return root, builder.problems


def _loader() -> Any:
    import yaml  # as in `read`

    return yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


_BESIDE = ("AnchorToken", "AliasToken", "TagToken", "DirectiveToken", "DocumentStartToken", "DocumentEndToken")


def says_more(text: str) -> bool:
    """Whether a text that was read says more than its value: a comment, anchor, alias, tag, directive or marker."""
    import yaml  # as in `read`

    end = 0
    written = text.translate(_stand_ins(text))
    for token in cast("Iterator[Any]", yaml.scan(written, Loader=_loader())):  # pyright: ignore[reportUnknownMemberType]
        start, after = token.start_mark.index, token.end_mark.index
        header = text[start:after].partition("\n")[0] if text[start : start + 1] in ("|", ">") else ""
        if type(token).__name__ in _BESIDE or text[end:start].strip() or "#" in header:
            return True
        end = after
    return False


def _stand_ins(text: str) -> dict[int, int]:
    """Characters of the text for those that end a line to the library, but not in YAML 1.2."""
    found = [ord(char) for char in "\x85\u2028\u2029" if char in text]
    if not found:
        return {}
    low = text.lower()  # a stand-in must not be in the text, not even as an escape
    free = (code for code in range(0xE000, 0xF900) if chr(code) not in text and f"{code:x}" not in low)
    return dict(zip(found, free, strict=False))


def _syntax_error(error: yaml.MarkedYAMLError, lines: list[str]) -> DocumentError:
    is_open = error.problem == "found unexpected end of stream" and "quoted" in (error.context or "")
    where = (error.context_mark if is_open else None) or error.problem_mark or error.context_mark
    mark = Mark(where.line, where.column, 1) if where else Mark(0, 0, 1)
    problem = error.problem or "the YAML syntax is wrong"
    context = f" ({error.context})" if error.context else ""
    hint = _unquoted(lines[mark.line], mark.column) if where and mark.line < len(lines) else ""
    if hint:
        pass  # the text itself shows what was meant
    elif is_open:
        hint = "The quote that begins here is not closed: put the same one behind the text."
    elif "could not find expected ':'" in problem or "mapping values are not allowed" in problem:
        hint = "Quote a text that contains `: `, and put one `key: value` on each line."
    elif "scanning an alias" in context or "scanning an anchor" in context:
        hint = "Quote a text that starts with `*` or `&`."
    elif "cannot start any token" in problem:
        hint = "Indent with spaces, and quote a text that starts with a special character."
    elif "did not find expected" in problem:
        hint = "Check the indentation, the quotes and the brackets of this line and the one before."
    return DocumentError(f"{problem}{context}", mark, hint)


_OPENING = re.compile(r"[\[{]|, |: ")
_CLOSING = re.compile(r"[,\]}]")


def _unquoted(line: str, column: int) -> str:
    """A hint for a text inside braces or brackets whose colon, at that column, YAML took for that of a key."""
    if line[column : column + 1] != ":" or not re.search(r"[\[{]", line[:column]):
        return ""
    start = [opening.end() for opening in _OPENING.finditer(line, 0, column)][-1]
    end = _CLOSING.search(line, column)
    text = line[start : end.start() if end else len(line)].strip()
    quoted = f', as `"{text}"`' if text and text[0] not in "\"'" and len(text) <= _LONGEST_SHOWN else ""
    return f"Quote a text that holds a colon{quoted}."


_QUOTE_TEMPLATE = 'Quote a text that begins with `{{`, as `"{{ input.text }}"`.'


class _Builder:
    """Turns a stream of parser events into nodes, with every bound applied as it goes."""

    def __init__(self, text: str, restored: dict[int, int]) -> None:
        self.lines: list[str] = text.split("\n")
        self.restored = restored
        self.problems: list[DocumentError] = []
        self.anchors: dict[str, Node] = {}
        self.nodes = 0
        self.pointers = 0

    def build(self, events: Iterator[Any]) -> Node:
        root = Node(value=None, mark=Mark(0, 0, 1))
        documents = 0
        for event in events:
            kind = type(event).__name__
            if kind in ("StreamStartEvent", "StreamEndEvent", "DocumentStartEvent", "DocumentEndEvent"):
                continue
            documents += 1
            if documents > 1:
                raise DocumentError("there is more than one YAML document", self._mark(event), "Keep the first only.")
            root = self._node(event, events, 0, 0)
        return root

    def _mark(self, event: Any) -> Mark:
        start, end = cast("yaml.Mark", event.start_mark), cast("yaml.Mark", event.end_mark)
        line = self.lines[start.line] if start.line < len(self.lines) else ""
        until = end.column if end.line == start.line else len(line)
        return Mark(start.line, start.column, max(1, until - start.column))

    def _node(self, event: Any, events: Iterator[Any], depth: int, width: int) -> Node:
        """The node that begins with this event; `width` is the length of its pointer."""
        mark = self._mark(event)
        self._count(depth, width, mark)
        kind = type(event).__name__
        if kind == "AliasEvent":
            return self._alias(event, mark, depth, width)
        if kind != "ScalarEvent" and event.tag is not None:
            raise _refused(event.tag, mark)
        if kind == "ScalarEvent":
            node = self._scalar(event, mark)
        elif kind == "SequenceStartEvent":
            node = self._sequence(events, mark, depth, width)
        else:
            node = self._mapping(events, mark, depth, width)
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def _count(self, depth: int, width: int, mark: Mark) -> None:
        """Count a value at a depth whose pointer is so long."""
        self.nodes += 1
        self.pointers += width
        if self.nodes > MAX_NODES:
            raise DocumentError(f"the document holds more than {MAX_NODES:,} values, aliases included", mark)
        if self.pointers > MAX_POINTERS:
            raise DocumentError("the keys of the document are too long for so many values", mark)
        if depth > MAX_DEPTH:
            raise DocumentError(f"the document nests deeper than {MAX_DEPTH} levels", mark)

    def _alias(self, event: Any, mark: Mark, depth: int, width: int) -> Node:
        found = self.anchors.get(event.anchor)
        if found is None:
            raise DocumentError(
                f"`*{event.anchor}` refers to nothing before it", mark, "Quote it if it is meant as text."
            )
        waiting = [(found, depth, width)]
        while waiting:  # ends where there are too many: each is counted again
            node, below, wide = waiting.pop()
            for step, child in node.children.items():
                inner = wide + len(str(step)) + 1
                self._count(below + 1, inner, mark)
                if isinstance(step, str):
                    self._count(below + 1, inner, mark)  # a key is a value, too
                waiting.append((child, below + 1, inner))
        return found

    def _sequence(self, events: Iterator[Any], mark: Mark, depth: int, width: int) -> Node:
        node = Node(value=[], mark=mark)
        for event in events:
            if type(event).__name__ == "SequenceEndEvent":
                break
            child = self._node(event, events, depth + 1, width + len(str(len(node.value))) + 1)
            node.children[len(node.value)] = child
            node.value.append(child.value)
        return node

    def _mapping(self, events: Iterator[Any], mark: Mark, depth: int, width: int) -> Node:
        node = Node(value={}, mark=mark)
        for event in events:
            kind = type(event).__name__
            if kind == "MappingEndEvent":
                break
            key_mark = self._mark(event)
            if kind != "ScalarEvent":
                line = self.lines[key_mark.line]
                is_template = line[key_mark.column - 1 : key_mark.column + 1] == "{{"
                raise DocumentError("a key must be a text", key_mark, _QUOTE_TEMPLATE if is_template else "")
            key: str = event.value.translate(self.restored)
            inner = width + len(key) + 1
            self._count(depth + 1, inner, key_mark)
            child = self._node(next(events), events, depth + 1, inner)
            if key in node.keys:
                twice = DocumentError(f"the key {told(key)} stands twice", key_mark, earlier=node.keys[key])
                self.problems.append(twice)
                continue
            node.keys[key] = key_mark
            node.children[key] = child
            node.value[key] = child.value
        return node

    def _scalar(self, event: Any, mark: Mark) -> Node:
        text: str = event.value.translate(self.restored)
        if event.tag is not None:
            raise _refused(event.tag, mark)
        value = _resolve(text, mark) if event.style in (None, "") else text
        written = None if isinstance(value, str) else text
        return Node(value=value, mark=mark, literal=self._literal(event.style, text, mark), written=written)

    def _literal(self, style: str | None, text: str, mark: Mark) -> Mark | None:
        """Where the first character of a scalar stands, if its lines are in the text unchanged."""
        start = mark.line + 1 if style == "|" else mark.line
        written = text.removesuffix("\n").split("\n")
        here = self.lines[start : start + len(written)]
        if style == "|":
            filled = next((n for n, line in enumerate(written) if line.strip()), 0)
            column = max(0, len(here[filled]) - len(written[filled])) if filled < len(here) else 0
        else:
            column = mark.column + (1 if style in ("'", '"') else 0)
        # A line of white space may be shorter in the text than the indentation.
        same = all(
            line.startswith(words, column) or not (line.strip() or words.strip())
            for line, words in zip(here, written, strict=False)
        )
        return Mark(start, column, 1) if same and len(here) == len(written) else None


_NULL = {"", "~", "null", "Null", "NULL"}
_BOOLEAN = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_OF_NUMBERS = frozenset("+-.0123456789")
"""What a number begins with."""
_INTEGER = r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"
_FLOAT = r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
_NOT_FINITE = r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"


def _resolve(text: str, mark: Mark) -> Any:
    """The value of a plain scalar under the core schema."""
    if text in _NULL:
        return None
    if text in _BOOLEAN:
        return _BOOLEAN[text]
    if text[0] not in _OF_NUMBERS:
        return text
    if re.fullmatch(_INTEGER, text):
        return _integer(text, mark)
    if re.fullmatch(_FLOAT, text):
        value = float(text)
        if math.isinf(value):
            raise DocumentError("the number is too large", mark)
        return value
    if re.fullmatch(_NOT_FINITE, text):
        raise DocumentError(f"`{text}` is not a JSON value", mark, "Quote it if it is meant as text.")
    return text


def _integer(text: str, mark: Mark) -> int:
    if len(text) > MAX_INTEGER_DIGITS:
        raise DocumentError(f"the integer has more than {MAX_INTEGER_DIGITS} digits", mark)
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    return int(text[2:] if base != 10 else text, base)  # noqa: PLR2004 - the base of plain digits


def _refused(tag: str, mark: Mark) -> DocumentError:
    shown = tag.replace("tag:yaml.org,2002:", "!!")
    return DocumentError(f"the tag `{shown}` is not allowed", mark, "Remove the tag; a text is quoted.")
