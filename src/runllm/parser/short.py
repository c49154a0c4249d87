"""A short contract, under `input` or `returns`, as JSON Schema: its maps and lists, and what `words` reads in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from runllm.diagnostics import clip, pointer
from runllm.documents import Mark, Node
from runllm.parser import slips
from runllm.parser.slips import Spot
from runllm.parser.words import NoTypeError, is_type, read_type
from runllm.values import frozen

MAX_FAULTS = 100
MAX_NAMES = 1000
"""Of all properties together: whether an object of many names can be made at all takes long to tell."""
MAX_CHARACTERS = 1 << 20
"""Of all types together, each counted as often as an alias repeats it: as many as a whole file may have."""
_SHOWN = 40


@frozen
class Fault:
    """What is wrong with a short contract: where in the YAML text, and what to write."""

    message: str
    mark: Mark
    hint: str


@frozen
class Expanded:
    """A short contract as JSON Schema.

    Attributes:
        schema: sound where nothing is at fault; a type that is at fault is any value in it.
        places: where the root, each property and the items of each list stand in the YAML text, by JSON Pointer.
        faults: in the order of the text, at most 100.
    """

    schema: dict[str, Any]
    places: Mapping[str, Mark]
    faults: tuple[Fault, ...] = ()

    def place(self, at: str) -> Mark:
        """Where what stands at a JSON Pointer in the schema comes from: itself, or the nearest thing around it."""
        while at not in self.places:
            at = at.rpartition("/")[0]
        return self.places[at]


def expand(node: Node, *, one_type: bool) -> Expanded:
    """Read what stands under `input` or `returns`.

    Args:
        node: the value of the key.
        one_type: whether it may be a single TYPE, as under `returns`; `input` is a map.
    """
    reader = _Reader(one_type=one_type)
    reader.places[""] = node.mark
    schema: dict[str, Any] = {}
    if one_type or node.mapping is not None:
        schema = reader.type(node, "", "", node.mark)
    else:
        hint = "Write `text: string` on a line below it, indented, without a `-`: a name and its type."
        reader.fault("`input` must be a map of names to types", node.mark, hint)
    return Expanded(schema=schema, places=reader.places, faults=tuple(reader.faults))


class _Reader:
    """Walks the nodes. `at` is the pointer in the schema, `name` the property around, empty in the root."""

    def __init__(self, *, one_type: bool) -> None:
        self.one_type = one_type
        self.long = "output_schema" if one_type else "input_schema"
        self.places: dict[str, Mark] = {}
        self.faults: list[Fault] = []
        self.names = 0
        self.left = MAX_CHARACTERS

    @property
    def full(self) -> bool:
        """Whether enough has been read to say no more."""
        return len(self.faults) >= MAX_FAULTS or self.left < 0 or self.names > MAX_NAMES

    def fault(self, message: str, mark: Mark, hint: str) -> None:
        """Add what is wrong, unless that is too much already."""
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(Fault(message=message, mark=mark, hint=hint))

    def type(self, node: Node, at: str, name: str, mark: Mark) -> dict[str, Any]:
        """The schema of a TYPE that stands at `mark`; that of any value where it is at fault."""
        self.places[at] = mark
        if self.full:
            return {}
        if isinstance(node.value, dict):
            return self._map(node, at, name)
        if isinstance(node.value, list):
            return self._list(node, at, name)
        if isinstance(node.value, str) and node.value.strip():
            return self._words(node, node.value, name)
        self._no_type(node, name, mark)
        return {}

    def _map(self, node: Node, at: str, name: str) -> dict[str, Any]:
        if key := slips.schema_key(node, is_type):
            hint = slips.from_schema(node, name, self.long)
            self.fault("this is JSON Schema, not a short contract", node.keys[key], hint)
            return {}
        if self.one_type and not name and slips.is_schema_of_one_key(node):
            hint = slips.from_schema_of_one_key(node)
            self.fault("this is JSON Schema, not a short contract", node.keys["type"], hint)
            return {}
        if not node.keys and (name or self.one_type):
            hint = f"Write what is in it, or `any` for any value; an object of any names is written in `{self.long}`."
            self.fault("the map is empty: it says nothing of the object", node.mark, hint)
        properties: dict[str, Any] = {}
        required: list[str] = []
        before: Any = None
        for key, mark in node.keys.items():
            inner = key.removesuffix("?")
            if self.full or self._unnamed(node, key, mark, before):
                continue
            before = node.value[key]
            self.names += 1
            if self.names > MAX_NAMES:
                self.fault(f"the contract has more than {MAX_NAMES:,} names", mark, "Say less in one app.")
            if inner in properties:
                self.fault(f"`{inner}` stands twice, with `?` and without", mark, "Keep one of them.")
            properties[inner] = self.type(node.children[key], at + pointer(["properties", inner]), inner, mark)
            required += [inner] if inner == key else []
        needs = {"required": required} if required else {}
        return {"type": "object", "properties": properties, **needs, "additionalProperties": False}

    def _unnamed(self, node: Node, key: str, mark: Mark, before: Any) -> bool:
        """Say what is wrong with a key that is no name of a property, after a value; false for one that is."""
        shown = clip(key, _SHOWN)
        in_braces = node.mark[:2] != next(iter(node.keys.values()))[:2]  # others begin with their first key
        if in_braces and node.value[key] is None and isinstance(before, str):
            whole = clip(f"{before}, {key}", _SHOWN)
            hint = f'Inside braces a comma ends the type. Quote one that has a description: `"{whole}"`.'
            self.fault(f"`{shown}` has no type", mark, hint)
        elif not key.removesuffix("?").isidentifier():
            self.fault(f"`{shown}` is no name that a template can read", mark, slips.named(key))
        else:
            return False
        return True

    def _list(self, node: Node, at: str, name: str) -> dict[str, Any]:
        items = cast("list[Any]", node.value)
        if len(items) == 1:
            first = node.children[0]
            return {"type": "array", "items": self.type(first, f"{at}/items", name, first.mark)}
        if items:
            hint = slips.BESIDE.get(name) or slips.several(items, Spot(name, self.long), is_type)
            self.fault(f"a list has one type, and here are {len(items)}", node.children[1].mark, hint)
        else:
            self.fault("the list does not say what it is a list of", node.mark, "Write `[string]`, or `string[]`.")
        return {}

    def _words(self, node: Node, text: str, name: str) -> dict[str, Any]:
        self.left -= len(text)
        if self.left < 0:
            message = f"the types have more than {MAX_CHARACTERS:,} characters together, aliases included"
            self.fault(message, node.mark, "Repeat less.")
            return {}
        try:
            return read_type(text, Spot(name, self.long))
        except NoTypeError as wrong:
            self.fault(wrong.message, _inside(node, text, wrong), wrong.hint)
            return {}

    def _no_type(self, node: Node, name: str, mark: Mark) -> None:
        """Say that a number, a truth value or nothing is no TYPE."""
        value, here = node.value, name or "returns"
        if value is None or isinstance(value, str):
            self.fault(f"`{here}` has no type", mark, f"Write `{here}: string`, or another type.")
            return
        noun = "boolean" if isinstance(value, bool) else "number"
        kind = "integer" if noun == "number" and isinstance(value, int) else noun
        hint = slips.BESIDE.get(name) or f"Write the type of such a value: `{here}: {kind}`."
        self.fault(f"a {noun} is not a type", node.mark, hint)


def _inside(node: Node, text: str, wrong: NoTypeError) -> Mark:
    """The place of a stretch of a scalar; the whole of it where its characters do not stand in the text as they are."""
    if node.literal is None:
        return node.mark
    before = text[: wrong.start]
    column = node.literal.column + wrong.start - (before.rfind("\n") + 1)
    length = len(text[wrong.start : wrong.start + wrong.length].partition("\n")[0])
    return Mark(node.literal.line + before.count("\n"), column, max(1, length))
