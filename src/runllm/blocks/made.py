"""What `pre` blocks make, as far as their code says it: the schema of `vars`."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence

from runllm.program import Block
from runllm.schema import Schema, object_of


def vars_schema(blocks: Iterable[Block]) -> Schema | None:
    """The schema of `vars` after these blocks: their `pre` outputs; None where one does not declare them."""
    before = [block for block in blocks if block.phase == "pre"]
    if any(block.outputs is None and block.inputs is None for block in before):
        return None
    made: dict[str, list[Block]] = {}
    for block in before:
        for name in block.outputs or ():
            made.setdefault(name, []).append(block)
    return object_of({name: _literals(name, makers) for name, makers in made.items()})


def _literals(name: str, blocks: Sequence[Block]) -> Schema:
    """The types of the literals that a name holds after these blocks; anything where it may hold something else."""
    kinds: set[str] = set()
    for block in blocks:
        try:
            nodes = list(ast.walk(ast.parse(block.code)))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return {}
        held = [node.value for node in nodes if isinstance(node, ast.Assign) and _is_only(node.targets, name)]
        names = [node for node in nodes if isinstance(node, ast.Name) and node.id == name]
        stored = sum(isinstance(node.ctx, ast.Store) for node in names)
        others = {getattr(node, field, None) for node in nodes for field in ("name", "asname", "rest")}
        if name in block.bound or name in others or not held or len(held) != stored:
            return {}
        kinds |= {_kind(value) for value in held}
    return {"type": sorted(kinds)} if "" not in kinds else {}


def _is_only(targets: Sequence[object], name: str) -> bool:
    return len(targets) == 1 and getattr(targets[0], "id", None) == name


def _kind(value: object) -> str:
    """The JSON type of a literal of Python; empty for another expression. What is in a list or a dict may change."""
    if isinstance(value, ast.Constant):
        return _CONSTANTS.get(type(value.value).__name__, "")
    return _DISPLAYS.get(type(value).__name__, "")


_CONSTANTS = {"str": "string", "bool": "boolean", "int": "integer", "float": "number", "NoneType": "null"}
_DISPLAYS = {"JoinedStr": "string", "List": "array", "ListComp": "array", "Dict": "object", "DictComp": "object"}
