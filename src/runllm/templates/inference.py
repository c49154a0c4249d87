"""The type of a template: a JSON Schema of every value that it can give, known before it is rendered.

An expression is read once, from left to right, and what is read is a `Value`, not a tree. Whatever is not
understood may be anything, so a schema is sometimes wider than the values and never narrower: a wrong one
would refuse a file that works.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runllm.errors import TemplateError
from runllm.schema import Known, Schema, Value
from runllm.templates.checking import Scope
from runllm.templates.operations import Operations
from runllm.templates.reading import WORDS
from runllm.templates.rendering import render
from runllm.templates.scanning import Tag, Token, tags
from runllm.templates.values import BOOLEAN, NOTHING, NUMBER, STRING, UNKNOWN, either, exactly, present
from runllm.values import frozen


@frozen
class Inferred:
    """What a template can give.

    Attributes:
        schema: a self-contained JSON Schema that every value satisfies; `{}` for anything.
        whole: whether it is one whole `{{ expression }}`, which keeps its type; others give text.
        known: whether anything could be said; if not, `schema` is `{}`.
        literal: for text, the stretches outside tags that are certain to be in it, in order. All of the text
            where there is no tag; empty where a statement or a mark such as `-%}` decides over them.
    """

    schema: Mapping[str, Any]
    whole: bool
    known: bool
    literal: tuple[str, ...] = ()


def infer(source: str, scope: Scope) -> Inferred:
    """The type of a template that `findings` has nothing against; what it cannot read may be anything.

    Args:
        source: Jinja2 syntax.
        scope: what each root name holds, as for `findings`. Defaults are taken to be filled in for `input`.
    """
    found = tags(source)
    tag = found[0] if len(found) == 1 and found[0].output and found[0].closed else None
    if tag is None or not tag.tokens or source[: tag.start].strip() or source[tag.end :].strip():
        return _text(source, found)
    schema = _Reader(tag.tokens, Operations(scope)).schema()
    return Inferred(schema=schema, whole=True, known=bool(schema))


def _text(source: str, found: Sequence[Tag]) -> Inferred:
    if not found:
        text = _literal(source)
        schema = STRING if text is None else {"const": text}
        return Inferred(schema=schema, whole=False, known=True, literal=(text,) if text else ())
    if not all(tag.output and _keeps_space(source, tag) for tag in found):
        return Inferred(schema=STRING, whole=False, known=True)
    starts, ends = [0, *(tag.end for tag in found)], [*(tag.start for tag in found), len(source)]
    stretches = [_literal(source[start:end]) for start, end in zip(starts, ends, strict=True)]
    literal = tuple(text for text in stretches if text)
    return Inferred(
        schema={**STRING, "minLength": sum(map(len, literal))} if literal else STRING,
        whole=False,
        known=True,
        literal=literal,
    )


def _literal(stretch: str) -> str | None:
    """What a stretch without tags gives: itself, but for comments and `{% raw %}`; None where that fails."""
    try:
        return render(stretch, {})
    except TemplateError:
        return None


def _keeps_space(source: str, tag: Tag) -> bool:
    marks = source[tag.start + 2 : tag.start + 3], source[tag.end - 3 : tag.end - 2]
    return not {"-", "+"}.intersection(marks)


_LEVELS = (
    ("or",),
    ("and",),
    ("==", "!=", "<", "<=", ">", ">=", "in", "not"),
    ("+", "-"),
    ("~",),
    ("*", "/", "//", "%"),
    ("**",),
)
"""The signs between two operands, from the loosest; `not` is that of `not in`."""
_COMPARING = 2
_CONSTANTS = {"true": True, "True": True, "false": False, "False": False, "none": None, "None": None}
_MOST_DIGITS = 18
_DEEPEST = 30


class _Unclear(Exception):  # noqa: N818 - no error: the expression says more than this module reads
    """The expression is written in a way that is not read here."""


@dataclass(slots=True)
class _Reader:
    """Reads the tokens of one expression; each method takes what it stands for and says what that gives."""

    tokens: Sequence[Token]
    operations: Operations
    at: int = 0
    depth: int = 0

    def schema(self) -> Schema:
        """The schema of all that the expression can give; `{}` if not known."""
        try:
            value = self.expression()
        except _Unclear:
            return {}
        return self.operations.schema(value) if self.at == len(self.tokens) else {}

    # Taking tokens. A literal string keeps its quotes, so no text of one is that of a sign.

    def next(self, ahead: int = 0) -> str:
        at = self.at + ahead
        return self.tokens[at].text if at < len(self.tokens) else ""

    def take(self) -> Token:
        if self.at >= len(self.tokens):
            raise _Unclear
        self.at += 1
        return self.tokens[self.at - 1]

    def skip(self, *texts: str) -> str:
        """The next sign, taken, if it is one of these; empty otherwise."""
        text = self.next()
        if text not in texts:
            return ""
        self.at += 1
        return text

    def expect(self, text: str) -> None:
        if not self.skip(text):
            raise _Unclear

    # From the loosest to the tightest

    def expression(self) -> Value:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise _Unclear
        value = self.binary(0)
        while self.skip("if"):
            self.binary(0)
            value = either(value, self.expression() if self.skip("else") else NOTHING)
        self.depth -= 1
        return value

    def binary(self, level: int) -> Value:
        if level == len(_LEVELS):
            return self.filtered()
        negated = False
        while level == _COMPARING and self.skip("not"):
            negated = True
        value = self.binary(level + 1)
        while sign := self.skip(*_LEVELS[level]):
            if sign == "not":
                self.expect("in")
            value = self.operations.joined(sign, value, self.binary(level + 1))
        return Value(BOOLEAN) if negated else value

    def filtered(self) -> Value:
        negative = False
        while self.skip("-"):
            negative = True
        value = self.operand()
        if negative:
            value = self.operations.negative(value)
        while sign := self.skip("|", "is"):
            if sign == "is":
                value = self.test()
            else:
                name = self.dotted()
                value = self.operations.filtered(name, value, self.arguments())
        return value

    def test(self) -> Value:
        self.skip("not")
        self.dotted()
        if self.next() == "(":
            self.pass_brackets()
        elif self.at < len(self.tokens) and self.tokens[self.at].kind in ("string", "integer", "number"):
            self.at += 1
        return Value(BOOLEAN)

    def operand(self) -> Value:
        token = self.take()
        if token.kind == "name" and token.text not in WORDS:
            value = self.operations.path([token.text, *self.steps()])
        else:
            value = self.literal(token)
            for step in self.steps():
                value = self.operations.step(value, step)
        while self.next() in ("(", "["):  # a call, a slice, a computed key
            self.pass_brackets()
            list(self.steps())
            value = UNKNOWN
        return value

    def steps(self) -> Iterator[str | int]:
        """The keys and indexes that are written next, taken one by one."""
        while self.at < len(self.tokens):
            dotted = self.next() == "."
            if not dotted and (self.next() != "[" or self.next(2) != "]"):
                return
            key = self.tokens[self.at + 1] if self.at + 1 < len(self.tokens) else None
            if key is None or key.kind not in (("name", "integer") if dotted else ("string", "integer")):
                return
            if "\\" in key.text or (key.kind == "integer" and len(key.text) > _MOST_DIGITS):
                return
            self.at += 2 if dotted else 3
            yield _integer(key) if key.kind == "integer" else key.text if dotted else key.text[1:-1]

    def pass_brackets(self) -> None:
        depth = 0
        while True:
            text = self.take().text
            depth += (text in ("(", "[", "{")) - (text in (")", "]", "}"))
            if depth == 0:
                return

    def dotted(self) -> str:
        """The name of a filter or test, taken."""
        name = self.take().text
        while self.skip("."):
            name += f".{self.take().text}"
        return name

    def arguments(self) -> dict[str | int, Value]:
        """What stands in brackets behind a name, by position or name; empty where there are none."""
        found: dict[str | int, Value] = {}
        closed = not self.skip("(")
        while not closed and not self.skip(")"):
            key: str | int = len(found)
            if self.next(1) == "=":
                key = self.take().text
                self.at += 1
            found[key] = self.expression()
            closed = not self.skip(",")
            if closed:
                self.expect(")")
        return found

    # Literals

    def literal(self, token: Token) -> Value:
        if token.kind == "string":
            return Value(STRING if "\\" in token.text else {"const": token.text[1:-1]})
        if token.kind == "integer" and len(token.text) <= _MOST_DIGITS:
            return Value({"const": _integer(token)})
        if token.kind in ("integer", "number"):
            return Value(NUMBER)
        if token.text in _CONSTANTS:
            return Value({"const": _CONSTANTS[token.text]})
        if token.text == "[":
            return exactly(self.items("]"))
        if token.text == "{":
            return self.object()
        if token.text != "(":
            raise _Unclear
        if self.skip(")"):
            return exactly(())
        first = self.expression()
        if self.skip(")"):
            return first
        self.expect(",")
        return exactly([first, *self.items(")")])

    def items(self, closing: str) -> list[Value]:
        found: list[Value] = []
        while not self.skip(closing):
            found.append(self.expression())
            if not self.skip(","):
                self.expect(closing)
                break
        return found

    def object(self) -> Value:
        properties: dict[str, Known] = {}
        written = True  # all its keys; a computed one may turn out to be no text
        while not self.skip("}"):
            key = self.expression().schema
            name = key.get("const") if isinstance(key, Mapping) else None
            self.expect(":")
            value = present(self.expression())
            written = written and isinstance(name, str)
            properties[str(name)] = value
            if not self.skip(","):
                self.expect("}")
                break
        closed = {"required": list(properties), "additionalProperties": False}
        return Value({"type": "object", "properties": properties, **closed}) if written else UNKNOWN


def _integer(token: Token) -> int:
    return int(token.text.replace("_", ""))
