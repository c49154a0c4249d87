"""What is wrong with a template before it is rendered: its syntax, its names, and the paths it reads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from itertools import islice
from typing import Any

from runllm.diagnostics import clip, did_you_mean, nearest
from runllm.errors import TemplateError
from runllm.schema import (
    Found,
    Impossible,
    Step,
    Undeclared,
    Unwritten,
    declared_properties,
    declared_types,
    enter,
    mapping_in,
    object_of,
    resolve,
)
from runllm.template.environment import check_source
from runllm.template.reads import Call, Chain, Reading, read
from runllm.template.signatures import (
    FUNCTIONS,
    LOOP,
    METHODS,
    Finding,
    finding,
    function,
    macro,
    method_of,
    misgiven,
    misused,
    of_loop,
    unknown,
)
from runllm.template.tree import Node
from runllm.values import frozen

MAX_FINDINGS = 100
_NOTHING = object_of({})
_LOOKED_AROUND = 200

Scope = Mapping[str, Mapping[str, Any] | None]


@frozen
class Reference:
    """A path that a template reads.

    Attributes:
        path: the root name, then keys and indexes, up to the first step that is computed.
        offset: where it is written, in code points from the start of the source.
        length: how many code points are written there.
    """

    path: tuple[str | int, ...]
    offset: int
    length: int


def references(source: str) -> list[Reference]:
    """Every path that a template reads, in the order they are written.

    A name that the template binds stands for what it is bound to: in `{% for x in input.list %}`, `x.name`
    reads `input.list`. A name bound to something computed is left out.

    Raises:
        TemplateError: the syntax is wrong.
    """
    found: list[Reference] = []
    for chain in read(check_source(source)).chains:
        if path := _written(chain.path):
            start, end = chain.marks[0].at, chain.marks[-1].end
            found.append(Reference(path=path, offset=start, length=end - start))
    return found


def _written(path: Sequence[Step]) -> tuple[str | int, ...]:
    """The steps up to the first that is not written in the template."""
    found: list[str | int] = []
    for step in path:
        if isinstance(step, Unwritten):
            break
        found.append(step)
    return tuple(found)


def findings(source: str, scope: Scope) -> list[Finding]:
    """What is wrong with a template, at most `MAX_FINDINGS`, in the order of the source; empty when nothing is.

    Args:
        source: Jinja2 syntax.
        scope: what each root name holds, as a JSON Schema, or None for anything. A key with a dot, such as
            `uses.child`, gives a property of a root a schema of its own, in which its `$ref`s are followed.
    """
    try:
        tree = check_source(source)
    except TemplateError as error:
        where = {"offset": 0, "length": min(1, len(source))} | error.details
        hint = _unspelt(source, where["offset"], scope)
        return [Finding(offset=where["offset"], length=where["length"], message=error.message, hint=hint, unread=True)]
    found = islice(_Check(source=source, tree=tree, reading=read(tree), scope=scope).all(), MAX_FINDINGS)
    return sorted(found, key=lambda finding: finding.offset)


def _unspelt(source: str, offset: int, scope: Scope) -> str:
    """A hint for a property of the input whose name is no word, and is written as if it were, around an offset."""
    names = mapping_in(resolve(scope.get("input") or {}, scope.get("input")), "properties")
    around = source[max(0, offset - _LOOKED_AROUND) : offset + _LOOKED_AROUND]
    found = (name for name in names if not name.isidentifier() and f"input.{name}" in around)
    return next((f'Write `input["{name}"]`.' for name in found), "")


def entrance(scope: Scope, path: Sequence[str | int]) -> tuple[str, int]:
    """The key of a scope that the longest beginning of a path spells, and how many steps that is; empty for none."""
    for length in range(len(path), 0, -1):
        key = ".".join(str(step) for step in path[:length])
        if key in scope:
            return key, length
    return "", 0


_WHOLE = "A `.rllm` file is whole: what two files share goes into a third, under `uses`."
_REFUSED = {
    **dict.fromkeys(("include", "import", "from", "extends"), _WHOLE),
    "autoescape": "A prompt is never escaped; write `| escape` where you want it.",
}
_BUILT_IN = (*FUNCTIONS, "caller", "loop", "self")


@frozen
class _Check:
    source: str
    tree: Node
    reading: Reading
    scope: Scope
    told: list[int] = field(default_factory=lambda: [0])
    """How far what is wrong with a name reaches, whose rest reads like other names."""

    def all(self) -> Iterator[Finding]:
        for node in self.tree.inside():
            if node.kind in _REFUSED:
                yield finding(node, f"`{{% {node.kind} %}}` is not available here", _REFUSED[node.kind])
            elif node.kind == "pipe":
                for value, use in zip(node.parts, node.parts[1:], strict=False):
                    yield from misused(use, value, self.source)
            elif node.kind == "set":
                yield from self.of_set(node.parts[0])
            elif node.kind == "chain" and node.parts[0].kind in ("constant", "array", "object"):
                yield from self.of_literal(node)
        yield from self.loops_outside()
        for call in self.reading.calls:
            yield from self.call(call)
        for chain in self.reading.chains:
            yield from self.chain(chain)
        for chain in self.reading.loops:
            yield from self.loop(chain)

    def loops_outside(self) -> Iterator[Finding]:
        """Each `loop` that no loop is around: it would be nothing."""
        bound = any(node.kind == "bind" and "loop" in node.names for node in self.tree.inside())
        if not bound and "loop" not in self.roots():
            called = {id(call.name) for call in self.reading.calls}  # told with the other functions
            around = called | {id(part) for node in self.tree.inside() if node.kind == "for" for part in node.inside()}
            for node in self.tree.inside():
                if node.kind == "name" and node.text == "loop" and id(node) not in around:
                    hint = "Write it between `{% for x in xs %}` and `{% endfor %}`."
                    yield finding(node, "`loop` is there within a loop alone", hint)

    def of_set(self, bind: Node) -> Iterator[Finding]:
        """A `set` of a part of what is given, which no template changes."""
        for owner in bind.parts[1:] if not bind.names else ():
            if owner.kind == "name" and owner.text in self.roots() and owner.text not in self.reading.assigned:
                said = f"a template does not change `{owner.text}`"
                yield finding(owner, said, "Write a name of your own: `{% set x = 1 %}`.")

    def of_literal(self, chain: Node) -> Iterator[Finding]:
        """What is wrong with a call of a literal, or of its method."""
        literal, key, *others = chain.parts
        if key.kind == "call":
            yield finding(literal, "this is no function")
        elif key.kind == "key" and literal.text in ("integer", "number") and not (others and others[0].kind == "call"):
            yield finding(literal, "this is a number, and has no parts", "Numbers in a row are `range(1, 6)`.")
        elif key.kind == "key" and others and others[0].kind == "call":
            yield from self.method("this", {literal.text or literal.kind}, key, others[0].parts)

    def call(self, call: Call) -> Iterator[Finding]:
        name, bound = call.name, call.bound
        if isinstance(bound, Node) and bound.kind == "macro":
            yield from misgiven(macro(bound, block=call.block), name, call.arguments, self.source)
        elif isinstance(bound, Node) and bound.kind == "for" and name.text == "loop":
            if all(part.kind != "recursive" for part in bound.parts):
                yield finding(name, "this loop cannot call itself", "Write `recursive` at its end.")
            yield from misgiven(of_loop(""), name, call.arguments, self.source)
        elif bound is None and name.text in FUNCTIONS:
            yield from misgiven(function(name.text, block=call.block), name, call.arguments, self.source)
        elif bound is None:
            yield from unknown("function", name, FUNCTIONS, self.reading.assigned)
        elif name.text not in self.reading.callable and not (
            isinstance(bound, tuple) and bound and self.is_own(bound[0])
        ):
            yield finding(name, f"`{name.text}` is no function")

    def chain(self, chain: Chain) -> Iterator[Finding]:
        if isinstance(chain.bound, Node) and chain.bound.kind == "for" and chain.marks[0].text == "loop":
            yield from self.of_loop(chain)
        elif chain.marks[0].text == "self" and not chain.bound and "self" not in self.roots():
            if chain.method is not None:
                yield from unknown("block", _named(chain.method), self.blocks())
            else:
                after = re.match(r"\.(\w+)", self.source[chain.marks[0].end :])
                yield finding(chain.marks[0], "there is no `self` here", self.where_else(after[1]) if after else "")
        elif chain.marks[0].text in FUNCTIONS and chain.bound is None:
            for step in map(_named, chain.marks[1:2]):
                yield finding(step, f"`{chain.marks[0].text}` is a function: it has no `{step.text}`")
        if not chain.path or self.is_own(chain.path[0]) or chain.marks[0].at < self.told[-1]:
            return
        if split := self.split_name(chain):
            yield split
            return
        reached = self.follow(chain)
        if isinstance(reached, Finding):
            yield reached
        elif reached is not None and chain.method is not None:
            types = declared_types(*reached) - {"null"}
            yield from self.of_property(chain, chain.method, reached)
            yield from self.method(f"`{_spelt(chain.path)}`", types, chain.method, chain.arguments)

    def of_property(self, chain: Chain, key: Node, owner: tuple[Mapping[str, Any], Any]) -> Iterator[Finding]:
        """What is wrong with a method of an object in view of its properties: one has its name, or `get` finds none."""
        named, names = _named(key), declared_properties(*owner)
        if named.text in names and named.text in METHODS["object"]:
            spelt = _spelt([*chain.path, named.text])
            said = f"`{spelt}()` is the method: there is a property of this name, too"
            yield replace(finding(named, said, f"The property is read as `{spelt}`."), severity="warning")
            return
        given = chain.arguments[0].parts[0] if named.text == "get" and chain.arguments else None
        if given is None or given.text != "string" or not isinstance(given.value, str):
            return
        if isinstance(missing := enter(*owner, given.value), Undeclared):
            said = f"`{_spelt(chain.path)}` has no property `{clip(given.value, 40)}`"
            yield finding(given, said, did_you_mean(given.value, missing.names))

    def split_name(self, chain: Chain) -> Finding | None:
        """What is wrong with a chain whose last name goes on behind a hyphen, as that of a property does."""
        last = chain.marks[-1]
        if len(chain.marks) < 2 or self.source[last.end : last.end + 1] != "-":  # noqa: PLR2004 - a name and a step
            return None
        reached = self.follow(replace(chain, path=chain.path[:-1], marks=chain.marks[:-1]))
        names = declared_properties(*reached) if isinstance(reached, tuple) else ()
        longer = [name for name in names if "-" in name and self.source.startswith(name, last.at)]
        if not longer:
            return None
        name = max(longer, key=len)
        self.told.append(last.at + len(name))
        message = f"this subtracts: `{name}` is no word, and is read in brackets"
        spelt = _spelt([*chain.path[:-1], name])
        return Finding(offset=last.at, length=len(name), message=message, hint=f"Write `{spelt}`.")

    def blocks(self) -> set[str]:
        return {node.parts[0].names[0] for node in self.tree.inside() if node.kind == "block"}

    def of_loop(self, chain: Chain) -> Iterator[Finding]:
        """What is wrong with a step from `loop`."""
        if step := (*chain.marks[1:], *([chain.method] if chain.method else []))[:1]:
            named = _named(step[0])
            if named.text not in LOOP:
                yield finding(named, f"`loop` has no `{named.text}`", did_you_mean(named.text, tuple(LOOP)))
            elif chain.method is step[0]:
                yield from misgiven(of_loop(named.text), named, chain.arguments, self.source)

    def method(self, owner: str, types: set[str], key: Node, given: Sequence[Node]) -> Iterator[Finding]:
        """What is wrong with a call of a method of a value of these types, or of any."""
        named = _named(key)
        tables = {kind: table for kind, table in METHODS.items() if not types or kind in types}
        if kinds := [kind for kind, table in tables.items() if named.text in table]:
            if named.text != "format":  # a text may name any arguments
                yield from misgiven(method_of(kinds, named.text), named, given, self.source)
        else:
            what = f"{owner} is {_one_of(sorted(types))}: it has" if types else "there is"
            known = [name for table in tables.values() for name in table]
            yield finding(named, f"{what} no method `{named.text}`", did_you_mean(named.text, known))

    def is_own(self, root: Step) -> bool:
        """Whether a root is a name of the template itself, met where its binding is not in sight."""
        return (root in self.reading.assigned or root in _BUILT_IN) and root not in self.roots()

    def loop(self, chain: Chain) -> Iterator[Finding]:
        reached = None if self.is_own(chain.path[0]) else self.follow(chain)
        if isinstance(reached, tuple) and isinstance(found := enter(*reached, Unwritten.ELEMENT), Impossible):
            place = Node(kind="chain", at=chain.marks[0].at, end=chain.marks[-1].end)
            yield finding(place, f"`{_spelt(chain.path)}` is {_one_of(found.types)}: a loop cannot run over it")

    def roots(self) -> list[str]:
        return list(dict.fromkeys(key.partition(".")[0] for key in self.scope))

    def follow(self, chain: Chain) -> tuple[Mapping[str, Any], Any] | Finding | None:
        """The schema at the end of a path, with the schema that its references are followed in.

        None where it ends in something that was found wrong already, where its local name was bound.
        """
        root, at = self.entered(chain.path)
        inherited = len(chain.path) - len(chain.marks)
        if root is None:
            return self.no_entrance(chain, at, inherited)
        schema: Any = root
        for index in range(at, len(chain.path)):
            verdict = enter(root, schema, chain.path[index])
            if not isinstance(verdict, Found):
                return _broken(chain, index, verdict) if index > inherited else None
            schema = verdict.schema
        return root, schema

    def entered(self, path: Sequence[Step]) -> tuple[Mapping[str, Any] | None, int]:
        """The schema that the longest known beginning of a path holds, and how long that is; None for no such name."""
        key, length = entrance(self.scope, _written(path))
        if key:
            return self.scope[key] or {}, length
        if path[0] in self.roots():
            return (None, 1) if len(path) > 1 else ({}, 1)
        return None, 0

    def no_entrance(self, chain: Chain, at: int, inherited: int) -> Finding | None:
        if inherited > 0 and at <= inherited:
            return None
        step = str(chain.path[at])
        if at == 0:
            roots = self.roots()
            known = ", ".join(f"`{name}`" for name in roots)
            message = f"there is no `{step}` here" + (f": a template reads {known}" if known else "")
            near = nearest(step, [root for root in roots if self.scope.get(root) != _NOTHING])
            hint = self.where_else(step) or (f"Did you mean `{near}`?" if near else self.elsewhere(chain.path))
            return replace(finding(chain.marks[0], message, hint), unread=not hint)
        names = [key.split(".")[1] for key in self.scope if key.startswith(f"{chain.path[0]}.")]
        return finding(chain.marks[at - inherited], f"`{chain.path[0]}` has no `{step}`", did_you_mean(step, names))

    def elsewhere(self, path: Sequence[Step]) -> str:
        """A hint for a property that is read under a root that there is not: `params.text`."""
        return self.where_else(path[1]) if len(path) > 1 and isinstance(path[1], str) else ""

    def where_else(self, name: str) -> str:
        """A hint for a property that is read without the root it stands under."""
        for root, schema in self.scope.items():
            if schema and name in resolve(schema, schema).get("properties", {}):
                return f"Did you mean `{root}.{name}`?"
        return ""


def _named(key: Node) -> Node:
    """A key as a name."""
    return Node(kind="name", at=key.at, end=key.end, text=str(key.value))


def _broken(chain: Chain, index: int, verdict: Undeclared | Impossible) -> Finding:
    step, before = chain.path[index], _spelt(chain.path[:index])
    mark = chain.marks[index - (len(chain.path) - len(chain.marks))]
    if isinstance(verdict, Impossible):
        is_list = "array" in verdict.types and isinstance(step, str)
        hint = "Read one item with `[0]`, or loop over it." if is_list else ""
        return finding(mark, f"`{before}` is {_one_of(verdict.types)}: it has no `{step}`", hint)
    if isinstance(step, int):
        return finding(mark, f"`{before}` has no item {step}: it is not that long")
    return finding(mark, f"`{before}` has no property `{step}`", did_you_mean(str(step), verdict.names))


def _spelt(path: Sequence[Step]) -> str:
    """A path as an author writes it."""
    parts = [str(path[0])]
    for step in path[1:]:
        if isinstance(step, str):
            parts.append(f".{step}" if step.isidentifier() else f'["{step}"]')
        else:
            parts.append(f"[{step}]" if isinstance(step, int) else "[…]")
    return "".join(parts)


def _one_of(types: Sequence[str]) -> str:
    names = [name if name == "null" else f"an {name}" if name[0] in "aoi" else f"a {name}" for name in types]
    return " or ".join(names) or "nothing"
