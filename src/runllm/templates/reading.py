"""What a template reads: every chain of names, followed through loops, assignments and macros.

A walk over the tags keeps the names that each block binds. A name bound to a chain stands for it, so
`x.title` inside `{% for x in input.items %}` reads an element of `input.items`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from runllm.schema import Step, Unwritten
from runllm.templates.scanning import Tag, Token
from runllm.values import frozen


@frozen
class Chain:
    """A name and the steps written behind it.

    Attributes:
        path: from the root, where the first `len(path) - len(marks)` steps come with a local name;
            empty where a local name stands for something unknown.
        marks: the place (offset and length) of each step that is written here, the name first.
        method: the name of a method called on it, with its place.
    """

    path: tuple[Step, ...]
    marks: tuple[tuple[int, int], ...]
    method: Token | None = None

    @property
    def span(self) -> tuple[int, int]:
        """Offset and length of all that is written here."""
        start = self.marks[0][0]
        return start, self.marks[-1][0] + self.marks[-1][1] - start


@dataclass(slots=True, kw_only=True)
class Reading:
    """All that a template mentions.

    Attributes:
        chains: what it reads, by offset; calls of a function by name are among `calls` instead.
        filters, tests, calls: the names used as such.
        statements: the word that each `{% %}` begins with.
        loops: chains that a loop runs over, and the value chains of its targets.
        assigned: names that are bound anywhere.
    """

    chains: list[Chain] = field(default_factory=list[Chain])
    filters: list[Token] = field(default_factory=list[Token])
    tests: list[Token] = field(default_factory=list[Token])
    calls: list[Token] = field(default_factory=list[Token])
    statements: list[Token] = field(default_factory=list[Token])
    loops: list[Chain] = field(default_factory=list[Chain])
    assigned: set[str] = field(default_factory=set[str])


Scope: TypeAlias = "dict[str, tuple[Step, ...]]"
_LONGEST_INDEX = 18
_LONGEST_BOUND = 64  # steps that a local name may stand for; in `x = x.a`, again and again, each has one more
_UNKNOWN: tuple[Step, ...] = ()
WORDS = frozenset(
    {"and", "or", "not", "in", "is", "if", "else", "true", "True", "false", "False", "none", "None", "recursive"}
)
"""What an expression is written with, never the name of a value."""
_OPENS_BLOCK = frozenset({"for", "with", "macro", "call", "filter", "autoescape", "block", "if"})
_OWN_SCOPE = _OPENS_BLOCK - {"if"}


def read(found: Iterable[Tag]) -> Reading:
    """What the tags of a template mention; the engine must have accepted its syntax for this to be complete."""
    walk = _Walk()
    for tag in found:
        walk.tag(tag)
    walk.reading.chains.sort(key=lambda chain: chain.marks[0][0])
    return walk.reading


class _Walk:
    def __init__(self) -> None:
        self.reading = Reading()
        self.scopes: list[Scope] = [{"self": _UNKNOWN}]
        self.blocks: list[bool] = []  # whether each open block has a scope of its own

    def tag(self, tag: Tag) -> None:
        tokens = tag.tokens
        if tag.output:
            self.expression(tokens)
            return
        if not tokens:
            return
        word, rest = tokens[0], tokens[1:]
        self.reading.statements.append(word)
        if word.text.startswith("end"):
            self.close()
        elif word.text == "else" and self.blocks and self.blocks[-1]:
            self.scopes[-1] = {}  # of a loop: its target is gone
        else:
            statement = getattr(self, f"on_{word.text}", None)
            (statement or self.expression)(rest)
            if word.text in _OPENS_BLOCK and statement is None:
                self.open({}, own=word.text in _OWN_SCOPE)

    def open(self, scope: Scope, *, own: bool = True) -> None:
        self.blocks.append(own)
        if own:
            self.scopes.append(scope)
            self.reading.assigned.update(scope)

    def close(self) -> None:
        if self.blocks and self.blocks.pop():
            self.scopes.pop()

    # --- statements that bind names ------------------------------------------------------------

    def on_for(self, tokens: Sequence[Token]) -> None:
        at = _find(tokens, "in")
        targets, rest = tokens[:at], tokens[at + 1 :]
        cut = min(_find(rest, "if"), _find(rest, "recursive"))
        over = self.expression(rest[:cut])
        names = _names(targets)
        scope: Scope = dict.fromkeys(names, _UNKNOWN) | {"loop": _UNKNOWN}
        pairs = _pairs(over, rest[:cut])
        if pairs is not None and len(names) == 2:  # noqa: PLR2004 - key and value
            scope[names[1]] = (*pairs.path, Unwritten.VALUE)
        elif over is not None and over.method is None and over.path and len(_pruned(rest[:cut])) == _width(over):
            self.reading.loops.append(over)
            if len(names) == 1:
                scope[names[0]] = (*over.path, Unwritten.ELEMENT)
        self.open(scope)
        self.expression(rest[cut:])

    def on_set(self, tokens: Sequence[Token]) -> None:
        at = _find(tokens, "=")
        targets, value = tokens[: min(at, _find(tokens, "|"))], tokens[at + 1 :]
        self.expression(tokens[len(targets) : at])
        bound = self.expression(value)
        if at == len(tokens):  # `{% set x %}...{% endset %}`
            self.assign(targets, None)
            self.open({})
        else:
            self.assign(targets, bound if _is_whole(bound, value) else None)

    def on_with(self, tokens: Sequence[Token]) -> None:
        self.open({})
        for part in _split(tokens):
            at = _find(part, "=")
            value = part[at + 1 :]
            bound = self.expression(value)
            self.assign(part[:at], bound if _is_whole(bound, value) else None)

    def on_macro(self, tokens: Sequence[Token]) -> None:
        if tokens:
            self.assign(tokens[:1], None)
        self.open(self.parameters(tokens[1:]) | {"caller": _UNKNOWN})

    def on_call(self, tokens: Sequence[Token]) -> None:
        at = _closing(tokens) if tokens and tokens[0].text == "(" else 0
        scope = self.parameters(tokens[:at])
        self.expression(tokens[at:])
        self.open(scope)

    def on_filter(self, tokens: Sequence[Token]) -> None:
        self.reading.filters += tokens[:1]
        self.expression(tokens[1:])
        self.open({})

    def on_block(self, tokens: Sequence[Token]) -> None:
        del tokens  # its name, and words about it
        self.open({"super": _UNKNOWN})

    def on_include(self, tokens: Sequence[Token]) -> None:
        """Nothing to read: the check refuses the statement itself."""

    on_import = on_from = on_extends = on_include

    def parameters(self, tokens: Sequence[Token]) -> Scope:
        scope: Scope = {}
        for part in _split(tokens[1:-1]):
            scope |= dict.fromkeys(_names(part[:1]), _UNKNOWN)
            self.expression(part[2:])
        return scope

    def assign(self, targets: Sequence[Token], chain: Chain | None) -> None:
        if any(token.text == "." for token in targets):  # an attribute of a namespace: the name is read
            self.expression(targets)
            return
        names = _names(targets)
        self.reading.assigned.update(names)
        known = chain is not None and len(names) == 1 and len(chain.path) <= _LONGEST_BOUND
        for name in names:
            self.scopes[-1][name] = chain.path if chain and known else _UNKNOWN

    # --- expressions ---------------------------------------------------------------------------

    def expression(self, tokens: Sequence[Token]) -> Chain | None:
        """Note all that an expression mentions; the chain that it begins with, if it does."""
        first: Chain | None = None
        at = 0
        while at < len(tokens):
            token, before = tokens[at], tokens[at - 1].text if at else ""
            if token.kind != "name" or before == ".":
                at += 1
            elif before == "|":
                at = self.dotted(tokens, at, self.reading.filters)
            elif before == "is" or (before == "not" and at > 1 and tokens[at - 2].text == "is"):
                at += 1
                if token.text != "not":
                    at = self.dotted(tokens, at - 1, self.reading.tests)
            elif token.text in WORDS or self.is_keyword(tokens, at):
                at += 1
            else:
                chain, end = self.chain(tokens, at)
                first = chain if at == 0 else first
                at = end
        return first

    def is_keyword(self, tokens: Sequence[Token], at: int) -> bool:
        """Whether the name is that of an argument: `f(name=...)`."""
        return at + 1 < len(tokens) and tokens[at + 1].text == "=" and at > 0 and tokens[at - 1].text in ("(", ",")

    def dotted(self, tokens: Sequence[Token], at: int, into: list[Token]) -> int:
        """Note the filter or test at `at`, whose name may have dots; where it ends."""
        end = at + 1
        while end + 1 < len(tokens) and tokens[end].text == "." and tokens[end + 1].kind == "name":
            end += 2
        into.append(Token(kind="name", text=".".join(_names(tokens[at:end])), offset=tokens[at].offset))
        return end

    def chain(self, tokens: Sequence[Token], at: int) -> tuple[Chain | None, int]:
        """The chain that begins at `at` and where it ends; noted, and None for a call of a function."""
        root = tokens[at]
        steps, end = _steps(tokens, at + 1)
        called = end < len(tokens) and tokens[end].text == "("
        if called and not steps:
            if self.lookup(root.text) is None:
                self.reading.calls.append(root)
            return None, end
        method = None
        if called and tokens[end - 1].kind == "name":
            method = tokens[end - 1]
            steps = steps[:-1]
        base = self.lookup(root.text)
        marks = ((root.offset, len(root.text)), *((offset, length) for _, offset, length in steps))
        written = tuple(step for step, _, _ in steps)
        known: tuple[Step, ...] = (root.text,) if base is None else base
        chain = Chain(path=(*known, *written) if known else (), marks=marks, method=method)
        self.reading.chains.append(chain)
        return chain, end

    def lookup(self, name: str) -> tuple[Step, ...] | None:
        return next((scope[name] for scope in reversed(self.scopes) if name in scope), None)


def _steps(tokens: Sequence[Token], at: int) -> tuple[list[tuple[Step, int, int]], int]:
    """The written steps from `at` on, each with its place, and where they end."""
    found: list[tuple[Step, int, int]] = []
    while at < len(tokens):
        follows = [token.text for token in tokens[at : at + 3]]
        if follows[0] == "." and len(follows) > 1 and tokens[at + 1].kind in ("name", "integer"):
            key, width = tokens[at + 1], 2
        elif follows[0] == "[" and follows[2:] == ["]"] and tokens[at + 1].kind in ("string", "integer"):
            key, width = tokens[at + 1], 3
        else:
            break
        if "\\" in key.text or (len(key.text) > _LONGEST_INDEX and key.kind == "integer"):
            break  # an escape, or no index of anything: as good as computed
        found.append((_step(key), key.offset, len(key.text)))
        at += width
    return found, at


def _step(key: Token) -> Step:
    if key.kind == "integer":
        return int(key.text.replace("_", "") or 0)
    return key.text[1:-1] if key.kind == "string" else key.text


def _pairs(over: Chain | None, tokens: Sequence[Token]) -> Chain | None:
    """The object whose properties a loop takes in pairs: `x.items()`, `x | items`, `x | dictsort`."""
    if over is None or not over.path:
        return None
    tail = [token.text for token in tokens[-3:]]
    if over.method is not None and over.method.text == "items" and tail[-3:] == ["items", "(", ")"]:
        return over
    return over if tail[-2:] in (["|", "items"], ["|", "dictsort"]) and over.method is None else None


def _width(chain: Chain) -> int:
    return len(chain.marks)


def _pruned(tokens: Sequence[Token]) -> list[Token]:
    """The tokens that are names and keys, without the signs between them."""
    return [token for token in tokens if token.text not in (".", "[", "]")]


def _is_whole(chain: Chain | None, tokens: Sequence[Token]) -> bool:
    """Whether the chain is all that the expression says."""
    return chain is not None and chain.method is None and len(_pruned(tokens)) == _width(chain)


def _names(tokens: Sequence[Token]) -> list[str]:
    return [token.text for token in tokens if token.kind == "name"]


def _depths(tokens: Sequence[Token]) -> Iterator[tuple[int, int]]:
    """The index of each token with the number of brackets around it."""
    depth = 0
    for index, token in enumerate(tokens):
        depth -= token.kind == "operator" and token.text in ")]}"
        yield index, depth
        depth += token.kind == "operator" and token.text in "([{"


def _find(tokens: Sequence[Token], text: str) -> int:
    """The index of the first such word or sign outside brackets; the number of tokens where there is none."""
    return next((i for i, depth in _depths(tokens) if depth == 0 and _says(tokens[i], text)), len(tokens))


def _says(token: Token, text: str) -> bool:
    return token.text == text and token.kind != "string"


def _split(tokens: Sequence[Token]) -> list[Sequence[Token]]:
    """The parts between the commas outside brackets."""
    commas = [i for i, depth in _depths(tokens) if depth == 0 and tokens[i].text == ","]
    starts, ends = [0, *(i + 1 for i in commas)], [*commas, len(tokens)]
    return [tokens[start:end] for start, end in zip(starts, ends, strict=True) if end > start]


def _closing(tokens: Sequence[Token]) -> int:
    """Where the bracket that the tokens begin with is closed: the index behind it."""
    return next((i + 1 for i, depth in _depths(tokens) if i and depth == 0), len(tokens))
