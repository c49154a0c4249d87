"""A template read to a tree.

The engine has accepted the syntax before, so the parser takes apart what is known to be right. Where it meets what it
does not know, it says so: what is not read would go unchecked. Steps, filters and signs in a row are kept flat, so that
no walk over a tree goes deeper than its brackets and blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runllm.template.lexer import Tag, Token
from runllm.template.tree import Node

_DEEPEST = 60
_MOST_DIGITS = 18
_CONSTANTS = {"true": True, "True": True, "false": False, "False": False, "none": None, "None": None}
LEVELS = {
    **dict.fromkeys(("or",), 0),
    **dict.fromkeys(("and",), 1),
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "in", "not in"), 3),
    **dict.fromkeys(("+", "-"), 4),
    **dict.fromkeys(("~",), 5),
    **dict.fromkeys(("*", "/", "//", "%"), 6),
    **dict.fromkeys(("**",), 7),
}
"""The signs between two values, by how tightly they bind."""
_NOT = 2
_NO_ARGUMENT = ("", "and", "or", "else", "is")
"""Words behind the name of a test that are no argument of it."""


class UnreadError(Exception):
    """A tag says what the parser does not know, or is nested too deeply, at `offset`."""

    def __init__(self, offset: int) -> None:
        super().__init__(offset)
        self.offset = offset


def parse(tags: Sequence[Tag]) -> Node:
    """The tree of a source that the engine has accepted, as a `body`.

    Raises:
        UnreadError: it says more than is known here.
    """
    return _Parser(tags).body()


class _Parser:
    """Reads tag by tag; each method takes what it stands for."""

    def __init__(self, tags: Sequence[Tag]) -> None:
        self.tags = iter(tags)
        self.tokens: Sequence[Token] = ()
        self.at = self.end = self.depth = 0
        self.closing = ""  # the word that ended the last body

    # Taking tokens. A literal string keeps its quotes, so no text of one is that of a sign.

    def peek(self, ahead: int = 0) -> str:
        at = self.at + ahead
        return self.tokens[at].text if at < len(self.tokens) else ""

    def kind(self) -> str:
        return self.tokens[self.at].kind if self.at < len(self.tokens) else ""

    def here(self) -> int:
        return self.tokens[self.at].offset if self.at < len(self.tokens) else self.end

    def take(self, text: str = "") -> Token:
        """The next token, which is `text` if that is given."""
        if self.at >= len(self.tokens) or (text and self.peek() != text):
            raise UnreadError(self.here())
        self.at += 1
        self.end = self.tokens[self.at - 1].end
        return self.tokens[self.at - 1]

    def skip(self, *texts: str) -> str:
        """The next word or sign, taken, if it is one of these; empty otherwise."""
        return self.take().text if self.peek() in texts else ""

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise UnreadError(self.here())

    def node(self, kind: str, start: int, parts: Sequence[Node] = (), **said: Any) -> Node:
        return Node(kind=kind, at=start, end=self.end, parts=tuple(parts), **said)

    # Statements

    def body(self, *ends: str) -> Node:
        """The statements up to one that begins with a word of `ends`, which is taken."""
        self.deeper()
        start, found = self.end, list[Node]()
        for tag in self.tags:
            self.tokens, self.at, self.end = tag.tokens, 0, tag.start + 2
            if tag.output:
                found.append(self.node("output", tag.start, [self.expression()]))
                self.finish()
            elif self.peek() in ends:
                self.closing = self.take().text
                break
            else:
                found.append(self.statement(self.take()))
        self.depth -= 1
        return self.node("body", start, found)

    def finish(self) -> None:
        if self.at < len(self.tokens):
            raise UnreadError(self.here())

    def enclosed(self, *ends: str) -> Node:
        self.finish()
        return self.body(*ends)

    def statement(self, word: Token) -> Node:
        read = getattr(self, f"read_{word.text}", None)
        if read is None:
            raise UnreadError(word.offset)
        kind = f"{word.text}_block" if word.text in ("call", "filter") else word.text
        return Node(kind=kind, at=word.offset, end=word.end, parts=tuple(read()))

    def read_for(self) -> list[Node]:
        bind = self.targets("in", self.operation)
        condition = [self.expression()] if self.skip("if") else []
        recursive = [self.node("recursive", self.here())] if self.skip("recursive") else []
        body = self.enclosed("else", "endfor")
        otherwise = self.enclosed("endfor") if self.closing == "else" else self.node("body", self.end)
        return [bind, *condition, *recursive, body, otherwise]

    def read_if(self) -> list[Node]:
        parts = [self.operation(), self.enclosed("elif", "else", "endif")]
        while self.closing != "endif":
            parts += [self.operation()] if self.closing == "elif" else []
            parts.append(self.enclosed("elif", "else", "endif"))
        return parts

    def read_with(self) -> list[Node]:
        parts: list[Node] = []
        while self.at < len(self.tokens):
            parts.append(self.targets("=", self.expression))
            self.skip(",")
        return [*parts, self.enclosed("endwith")]

    def read_macro(self) -> list[Node]:
        return [self.own_name(), *self.parameters(), self.enclosed("endmacro")]

    def read_block(self) -> list[Node]:
        name = self.own_name()
        self.skip("scoped", "required")
        return [name, self.enclosed("endblock")]

    def read_call(self) -> list[Node]:
        parameters = self.parameters() if self.peek() == "(" else []
        return [*parameters, self.expression(), self.enclosed("endcall")]

    def read_filter(self) -> list[Node]:
        return [self.pipe_of_block(), self.enclosed("endfilter")]

    def read_autoescape(self) -> list[Node]:
        return [self.expression(), self.enclosed("endautoescape")]

    def read_do(self) -> list[Node]:
        parts = [self.expression()] if self.at < len(self.tokens) else []
        self.finish()
        return parts

    read_break = read_continue = read_do

    def read_include(self) -> list[Node]:
        """Nothing: what reads another template is refused, whatever else it says."""
        return []

    read_import = read_from = read_extends = read_include

    def read_set(self) -> list[Node]:
        bind = self.targets("=", self.listed)
        if bind.parts:
            return [bind]
        pipe = [self.pipe_of_block()] if self.skip("|") else []
        return [bind, *pipe, self.enclosed("endset")]

    def targets(self, sign: str, value: Any) -> Node:
        """The names that stand for the value behind a sign, where it is; an attribute of a namespace reads that."""
        start, names, owners = self.here(), list[str](), list[Node]()
        while (text := self.peek()) and (text not in (sign, "|") or not (names or owners)):
            token = self.take()
            if token.kind == "name" and self.peek() == ".":
                owners.append(self.node("name", token.offset, text=token.text))
                while self.skip("."):
                    self.take()
            elif token.kind == "name":
                names.append(token.text)
        parts = [value(), *owners] if self.skip(sign) else owners
        return self.node("bind", start, parts, names=tuple(names))

    def own_name(self) -> Node:
        name = self.take()
        return self.node("bind", name.offset, names=(name.text,))

    def parameters(self) -> list[Node]:
        found: list[Node] = []
        self.take("(")
        while not self.skip(")"):
            name = self.take()
            value = [self.expression()] if self.skip("=") else []
            found.append(self.node("bind", name.offset, value, names=(name.text,)))
            self.skip(",")
        return found

    def pipe_of_block(self) -> Node:
        """The filters of a block, behind an empty value."""
        start = self.here()
        parts = [self.node("body", start), self.use("filter")]
        while self.skip("|"):
            parts.append(self.use("filter"))
        return self.node("pipe", start, parts)

    # Expressions, from the loosest to the tightest

    def listed(self) -> Node:
        start = self.here()
        items = self.items("")
        return items[0] if len(items) == 1 else self.node("array", start, items)

    def expression(self) -> Node:
        self.deeper()
        start, text = self.here(), "else"
        values, tests = [self.operation()], list[Node]()
        while self.skip("if"):
            tests.append(self.operation())
            if self.skip("else"):
                values.append(self.operation())
            else:
                text = ""
        self.depth -= 1
        return self.node("choice", start, [*values, *tests], text=text) if tests else values[0]

    def operation(self, least: int = 0) -> Node:
        """Operands and the signs between them that bind as tightly as `least`, or more."""
        start = self.here()
        if least <= _NOT and self.skip("not"):
            while self.skip("not"):
                pass
            left = self.node("operation", start, [self.operation(_NOT + 1)], names=("not",))
        else:
            left = self.pipe()
        while (level := LEVELS.get(self.sign(), -1)) >= least:
            signs, operands = list[str](), [left]
            while LEVELS.get(sign := self.sign()) == level:
                signs.append(sign)
                self.at += len(sign.split())
                operands.append(self.operation(level + 1))
            left = self.node("operation", start, operands, names=tuple(signs))
        return left

    def sign(self) -> str:
        return "not in" if (self.peek(), self.peek(1)) == ("not", "in") else self.peek()

    def pipe(self) -> Node:
        start = self.here()
        parts = [self.negated()]
        while sign := self.skip("|", "is"):
            if sign == "is":
                self.skip("not")
            parts.append(self.use("filter" if sign == "|" else "test"))
        return self.node("pipe", start, parts) if parts[1:] else parts[0]

    def use(self, kind: str) -> Node:
        name = self.take()
        text = name.text
        while self.skip("."):
            text += f".{self.take().text}"
        end, given = self.end, list[Node]()
        if self.peek() == "(":
            given = self.arguments()
        elif (
            kind == "test"
            and self.peek() not in _NO_ARGUMENT
            and (self.kind() != "operator" or self.peek() in ("-", "[", "{"))
        ):
            given = [self.node("argument", self.here(), [self.negated()])]
        return Node(kind=kind, at=name.offset, end=end, parts=tuple(given), text=text)

    def negated(self) -> Node:
        start, negative = self.here(), False
        while self.skip("-"):
            negative = True
        value = self.chain()
        return self.node("operation", start, [value], names=("-",)) if negative else value

    def chain(self) -> Node:
        start = self.here()
        parts = [self.primary()]
        while (sign := self.peek()) in (".", "[", "("):
            at = self.here()
            if sign == "(":
                parts.append(self.node("call", at, self.arguments()))
            elif self.take() and sign == ".":
                key = self.take()
                text, literal = _literal(key) if key.kind == "integer" else ("string", key.text)
                parts.append(self.node("key", key.offset, text=text, value=literal))
            else:
                parts.append(self.subscript())
        return self.node("chain", start, parts) if parts[1:] else parts[0]

    def subscript(self) -> Node:
        start, found, sliced = self.here(), list[Node](), False
        while not self.skip("]"):
            if self.skip(":"):
                sliced = True
            else:
                found.append(self.expression())
        written = found[0] if len(found) == 1 and not sliced else self.node("index", start, found)
        if written.kind == "constant" and written.text in ("string", "integer") and written.value is not None:
            return Node(kind="key", at=written.at, end=written.end, text=written.text, value=written.value)
        return self.node("index", start, found)

    def arguments(self) -> list[Node]:
        found: list[Node] = []
        self.take("(")
        while not self.skip(")"):
            at, text = self.here(), self.skip("*", "**")
            if not text and self.peek(1) == "=":
                text = self.take().text
                self.take("=")
                value = self.operation()
            else:
                value = self.expression()
            found.append(self.node("argument", at, [value], text=text))
            if self.peek() != ")":
                self.take(",")
        return found

    def primary(self) -> Node:
        token = self.take()
        start = token.offset
        if token.kind == "string" and self.kind() == "string":  # texts in a row are one
            while self.kind() == "string":
                self.take()
            return self.node("constant", start, text="string")
        if token.kind in ("string", "integer", "number") or token.text in _CONSTANTS:
            text, literal = _literal(token)
            return self.node("constant", start, text=text, value=literal)
        if token.kind == "name":
            return self.node("name", start, text=token.text)
        if token.text in ("[", "{"):
            kind, closing = ("array", "]") if token.text == "[" else ("object", "}")
            return self.node(kind, start, self.items(closing))
        if token.text != "(":
            raise UnreadError(start)
        items = self.items(")")
        single = len(items) == 1 and self.tokens[self.at - 2].text != ","
        return items[0] if single else self.node("array", start, items)

    def items(self, closing: str) -> list[Node]:
        """The parts up to a sign, or to the end of the tag where it is empty; behind a key of an object is a colon."""
        found: list[Node] = []
        while self.peek() != closing:
            found.append(self.expression())
            if self.peek() != closing:
                self.take(":" if closing == "}" and len(found) % 2 else ",")
        if closing:
            self.take()
        return found


def _literal(token: Token) -> tuple[str, Any]:
    """The type of a literal, and its value where that is plain."""
    if token.kind == "string":
        return "string", None if "\\" in token.text else token.text[1:-1]
    if token.kind == "name":
        value = _CONSTANTS[token.text]
        return "null" if value is None else "boolean", value
    if token.kind == "integer" and len(token.text) <= _MOST_DIGITS:
        return "integer", int(token.text.replace("_", ""))
    return "number", None
