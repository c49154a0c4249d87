"""What a template reads: every chain of names, followed through loops, assignments and macros.

A walk over the tree keeps the names that each block binds. A name bound to a chain stands for it, so
`x.title` inside `{% for x in input.items %}` reads an element of `input.items`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, replace
from typing import TypeAlias

from runllm.schema import Step, Unwritten
from runllm.template.tree import Node
from runllm.values import frozen, record

Path: TypeAlias = "tuple[Step, ...]"
Bound: TypeAlias = "Path | Node"
"""What a local name stands for: a path, empty where it is not known; the `for` that it is the `loop` of; a `macro`;
other parts whose value is no function."""


@frozen
class Chain:
    """A name and the steps written behind it.

    Attributes:
        path: from the root, where the first `len(path) - len(marks)` steps come with a local name;
            empty where a local name stands for something unknown.
        marks: the place of each step that is written here, the name first.
        bound: what the name stands for, if it is the template's own.
        method: the key of a method that is called on it.
        arguments: what that is given.
    """

    path: Path
    marks: tuple[Node, ...]
    bound: Bound | None = None
    method: Node | None = None
    arguments: tuple[Node, ...] = ()


@frozen
class Call:
    """A call of a name, which stands for `bound` if it is the template's own; in a `call` block with its body."""

    name: Node
    bound: Bound | None
    arguments: tuple[Node, ...]
    block: bool = False


@record
class Reading:
    """All that a template mentions.

    Attributes:
        chains: what it reads, by offset; calls of a function by name are among `calls` instead.
        loops: those of them that a loop runs over.
        calls: the functions that it calls.
        assigned: names that are bound anywhere.
        callable: those of them that may stand for a function somewhere.
    """

    chains: list[Chain] = field(default_factory=list[Chain])
    loops: list[Chain] = field(default_factory=list[Chain])
    calls: list[Call] = field(default_factory=list[Call])
    assigned: set[str] = field(default_factory=set[str])
    callable: set[str] = field(default_factory=set[str])


_LONGEST_BOUND = 64  # steps that a local name may stand for; in `x = x.a`, again and again, each has one more
_UNKNOWN: Path = ()
_GIVE_ITEMS = frozenset({"attr", "d", "default", "first", "last", "max", "min", "sum"})
"""Filters that may give what they were given, a macro say."""


def read(tree: Node) -> Reading:
    """What a template mentions."""
    walk = _Walk()
    walk.visit(tree)
    walk.reading.chains.sort(key=lambda chain: chain.marks[0].at)
    return walk.reading


class _Walk:
    def __init__(self) -> None:
        self.reading = Reading()
        self.scopes: list[dict[str, Bound]] = [{"self": _UNKNOWN}]

    def visit(self, *nodes: Node) -> None:
        for node in nodes:
            getattr(self, f"on_{node.kind}", self.on_other)(node)

    def on_other(self, node: Node) -> None:
        self.visit(*node.parts)

    # --- statements that bind names ------------------------------------------------------------

    def scoped(self, scope: dict[str, Bound], *nodes: Node) -> None:
        """Visit what sees some more names, and keeps its own to itself."""
        self.scopes.append({})
        self.bind(scope)
        self.visit(*nodes)
        self.scopes.pop()

    def bind(self, names: dict[str, Bound]) -> None:
        """Let names stand for something from here on."""
        self.scopes[-1] |= names
        self.reading.assigned.update(names)
        for name, bound in names.items():
            if bound == _UNKNOWN or (isinstance(bound, tuple) and len(bound) == 1) or _is_macro(bound):
                self.reading.callable.add(name)

    def on_for(self, node: Node) -> None:
        bind, *inner, otherwise = node.parts
        self.visit(bind.parts[0])
        over, step = self.looped(bind.parts[0])
        scope: dict[str, Bound] = dict.fromkeys(bind.names, _UNKNOWN)
        if over is not None and step is Unwritten.ELEMENT:
            self.reading.loops.append(over)
        if over is not None and len(bind.names) == (1 if step is Unwritten.ELEMENT else 2):
            scope[bind.names[-1]] = (*over.path, step)
        elif len(bind.names) == 1 and _has_plain_items(bind.parts[0]):
            scope[bind.names[0]] = bind.parts[0]
        self.scoped({**scope, "loop": node}, *inner)
        self.scoped({}, otherwise)

    def looped(self, node: Node) -> tuple[Chain | None, Unwritten]:
        """The chain that a loop runs over, and whether it takes items or pairs."""
        last = node.parts[1:][-1:]
        if node.kind == "pipe" and len(node.parts) == 2 and last[0].text in ("items", "dictsort"):  # noqa: PLR2004
            return self.whole(node.parts[0]), Unwritten.VALUE
        over = self.chain(node)
        if over is not None and over.method is not None and over.method.value == "items":
            return (over if over.path and last[0].kind == "call" else None), Unwritten.VALUE
        return self.whole(node), Unwritten.ELEMENT

    def whole(self, node: Node) -> Chain | None:
        """The chain that is all that an expression says."""
        chain = self.chain(node)
        width = max(1, len(node.parts))
        return chain if chain and chain.path and chain.method is None and len(chain.marks) == width else None

    def on_set(self, node: Node) -> None:
        bind, *others = node.parts
        self.assign(bind)
        self.visit(*others[:-1])
        self.scoped({}, *others[-1:])

    def on_with(self, node: Node) -> None:
        self.scopes.append({})
        for bind in node.parts[:-1]:
            self.assign(bind)
        self.visit(node.parts[-1])
        self.scopes.pop()

    def assign(self, bind: Node) -> None:
        self.visit(*bind.parts)
        chain = self.whole(bind.parts[0]) if bind.parts and len(bind.names) == 1 else None
        known = chain is not None and len(chain.path) <= _LONGEST_BOUND
        plain = len(bind.names) == 1 and bool(bind.parts) and _is_no_function(bind.parts[0])
        stands_for = chain.path if chain and known else bind.parts[0] if plain else _UNKNOWN
        self.bind(dict.fromkeys(bind.names, stands_for))

    def on_macro(self, node: Node) -> None:
        name, *binds, body = node.parts
        self.bind({name.names[0]: node})
        self.with_parameters(binds, {"caller": _UNKNOWN}, body)

    def on_call_block(self, node: Node) -> None:
        *binds, call, body = node.parts
        before = len(self.reading.calls)
        self.visit(call)
        if call.kind == "chain" and [part.kind for part in call.parts] == ["name", "call"]:
            self.reading.calls[before] = replace(self.reading.calls[before], block=True)
        self.with_parameters(binds, {}, body)

    def with_parameters(self, binds: Sequence[Node], scope: dict[str, Bound], body: Node) -> None:
        self.visit(*(value for bind in binds for value in bind.parts))
        self.scoped(scope | {name: _UNKNOWN for bind in binds for name in bind.names}, body)

    def on_block(self, node: Node) -> None:
        self.scoped({}, *node.parts)

    def on_filter_block(self, node: Node) -> None:
        self.visit(node.parts[0])
        self.scoped({}, node.parts[1])

    on_autoescape = on_filter_block

    # --- expressions ---------------------------------------------------------------------------

    def on_name(self, node: Node) -> None:
        self.note(node)

    def on_chain(self, node: Node) -> None:
        base, *steps = node.parts
        if base.kind != "name":
            self.visit(base)
        elif steps[0].kind == "call":
            self.reading.calls.append(Call(name=base, bound=self.lookup(base.text), arguments=steps[0].parts))
        else:
            self.note(node)
        self.visit(*steps)

    def note(self, node: Node) -> None:
        chain = self.chain(node)
        if chain is not None:
            self.reading.chains.append(chain)

    def chain(self, node: Node) -> Chain | None:
        """The chain that an expression begins with."""
        base, *steps = node.parts if node.kind == "chain" else (node,)
        if base.kind != "name" or (steps and steps[0].kind == "call"):
            return None
        written = next((at for at, step in enumerate(steps) if step.kind != "key"), len(steps))
        called = steps[written] if written < len(steps) and steps[written].kind == "call" else None
        method = steps[written - 1] if called else None
        keys = steps[: written - 1 if called else written]
        bound = self.lookup(base.text)
        known = bound if isinstance(bound, tuple) else (base.text,)
        return Chain(
            path=(*known, *(key.value for key in keys)) if known else (),
            marks=(base, *keys),
            bound=bound,
            method=method,
            arguments=called.parts if called else (),
        )

    def lookup(self, name: str) -> Bound | None:
        return next((scope[name] for scope in reversed(self.scopes) if name in scope), None)


def _is_macro(bound: Bound) -> bool:
    return isinstance(bound, Node) and bound.kind == "macro"


def _is_no_function(node: Node) -> bool:
    """Whether what an expression gives can surely not be called."""
    last = node.parts[-1] if node.parts else node
    return (
        node.kind in ("constant", "array", "object")
        or (node.kind == "operation" and not {"and", "or"}.intersection(node.names))
        or (node.kind == "pipe" and not (last.kind == "filter" and last.text in _GIVE_ITEMS))
    )


def _has_plain_items(node: Node) -> bool:
    """Whether a loop over an expression gives items that can surely not be called."""
    if node.kind == "chain" and [part.kind for part in node.parts] == ["name", "call"]:
        return node.parts[0].text == "range"
    return node.is_literal
