"""What the expressions of a block come from: which function a call calls, which texts a name may hold."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Collection, Iterator

from runllm.blocks.lacks import Names, bound_by

_DEEPEST = 4  # names that stand for names
_MOST_LOOPS = 4  # over which one name goes
_MOST = 100  # items of each


class Sources:
    """The bindings of one block, followed from a name to what it was given."""

    def __init__(self, tree: ast.Module, names: Names, numbers: Collection[str]) -> None:
        self.numbers = numbers
        self._names = names
        self._nodes = list(ast.walk(tree))
        self._within = {id(child): node for node in self._nodes for child in ast.iter_child_nodes(node)}
        self._imported = {
            alias.asname or alias.name: f"{node.module}.{alias.name}"
            for node in self._nodes
            if isinstance(node, ast.ImportFrom) and node.module
            for alias in node.names
        }
        self._times = Counter(name for node in self._nodes for name in bound_by(node))
        self._reads: dict[str, list[ast.Name]] = {}
        self._known: dict[tuple[str, int], bool] = {}
        self._given: dict[str, list[ast.expr]] = {}
        self._items: dict[str, list[ast.expr]] = {}
        for node in self._nodes:
            match node:
                case (
                    ast.Assign(targets=[ast.Name(id=name)], value=value)
                    | ast.NamedExpr(target=ast.Name(id=name), value=value)
                ):
                    self._given.setdefault(name, []).append(value)
                case (
                    ast.For(target=ast.Name(id=name), iter=each)
                    | ast.comprehension(target=ast.Name(id=name), iter=each)
                ):
                    self._items.setdefault(name, []).append(each)
                case ast.Name(id=name, ctx=ast.Load()):
                    self._reads.setdefault(name, []).append(node)
                case _:
                    pass

    def value(self, node: ast.AST, depth: int = 0) -> ast.AST:
        """What `node` was given, where it is a name that is bound once; else itself."""
        if isinstance(node, ast.Name) and self._times[node.id] == 1 and depth < _DEEPEST:
            return next((self.value(given, depth + 1) for given in self._given.get(node.id, ())), node)
        return node

    def items(self, node: ast.AST) -> list[ast.expr]:
        """The values that a name goes through in a loop over what is written out, names left out."""
        loops = self._items.get(node.id, []) if isinstance(node, ast.Name) else []
        shown = [self.value(each) for each in loops[:_MOST_LOOPS]]
        items = [item for one in shown if isinstance(one, ast.List | ast.Tuple | ast.Set) for item in one.elts[:_MOST]]
        return [item for item in items if not isinstance(item, ast.Name)]

    def module(self, node: ast.AST) -> str:
        """The module that a name stands for, or nothing."""
        return self._names.modules.get(node.id, "") if isinstance(node, ast.Name) else ""

    def function(self, node: ast.AST) -> str:
        """What a call calls: `list`, `re.sub`, `value.sub`; nothing for what is no call, or a function of the block."""
        match node:
            case ast.Call(func=ast.Name(id=name)):
                return self._imported.get(name, "" if name in self._names.own else name)
            case ast.Call(func=ast.Attribute(value=value, attr=attr)):
                if isinstance(value, ast.Name):
                    return f"{self.module(value) or self._imported.get(value.id, 'value')}.{attr}"
                inner = self.module(value.value) if isinstance(value, ast.Attribute) else ""
                return f"{inner}.{value.attr}.{attr}" if isinstance(value, ast.Attribute) and inner else f"value.{attr}"
            case _:
                return ""

    def imports(self, module: str) -> bool:
        """Whether the block imports `module`, in whatever way."""
        return module in self._names.imported

    def known(self, question: str, node: ast.AST, answer: Callable[[], bool]) -> bool:
        """The answer about a node, asked for once; no while it is being asked for, since names may go in circles."""
        key = (question, id(node))
        if key not in self._known:
            self._known[key] = False
            self._known[key] = answer()
        return self._known[key]

    def methods_of(self, call: ast.Call) -> set[str]:
        """The methods that are called of the value of `call`, directly or through its name."""
        outer = self._within.get(id(call))
        if isinstance(outer, ast.Attribute):
            return {outer.attr}
        return {node.attr for node in self._nodes if isinstance(node, ast.Attribute) and self.value(node.value) is call}

    def is_within(self, node: ast.AST, functions: Collection[str]) -> bool:
        """Whether `node` is an argument of one of `functions`."""
        outer = self._within.get(id(node))
        return outer is not None and self.function(outer).rpartition(".")[2] in functions

    def is_text_of(self, node: ast.AST, name: str) -> bool:
        """Whether `node` is `str(name)` or `{name}` in an f-string."""
        match node:
            case ast.Call(func=ast.Name(id="str" | "repr"), args=[ast.Name(id=given)]):
                return given == name
            case ast.FormattedValue(value=ast.Name(id=given)):
                return given == name
            case _:
                return False

    def read_twice(self, wanted: Callable[[ast.AST, Sources], bool]) -> Iterator[ast.AST]:
        """The values that are `wanted`, get a name of their own, and are read by it more than once."""
        for name, given in self._given.items():
            if self._times[name] == 1 and wanted(given[0], self):
                reads = self._reads.get(name, [])
                inside = isinstance(self._within.get(id(given[0])), ast.NamedExpr)  # which is a read itself
                if len(reads) + inside > 1 or any(self._repeats(read) for read in reads):
                    yield given[0]

    def _repeats(self, node: ast.AST) -> bool:
        """Whether `node` asks for the truth of a value or its length."""
        match self._within.get(id(node)):
            case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test) | ast.Assert(test=test):
                return test is node
            case ast.UnaryOp(op=ast.Not()):
                return True
            case ast.Call(func=ast.Name(id="len" | "bool")) | ast.Subscript():
                return True
            case _:
                return False


def called(node: ast.AST) -> str:
    """The last name of what a call calls."""
    match node:
        case ast.Call(func=ast.Name(id=name)) | ast.Call(func=ast.Attribute(attr=name)):
            return name
        case _:
            return ""


def texts(node: ast.AST, sources: Sources, depth: int = 0) -> Iterator[tuple[ast.AST, str]]:
    """The texts that `node` may be, as far as they are written out: what is filled in is an `x`."""
    match node:
        case ast.Constant(value=str(text)):
            yield node, text
        case ast.JoinedStr(values=values):
            yield node, "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in values)
        case ast.BinOp(op=ast.Add()):
            yield node, "".join(_parts(node, sources, depth))
        case ast.Name() if depth < _DEEPEST:
            value = sources.value(node)
            given = [value] if value is not node else sources.items(node)
            for one in given:
                yield from texts(one, sources, depth + 1)
        case _:
            pass


def _parts(node: ast.AST, sources: Sources, depth: int) -> Iterator[str]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        yield from _parts(node.left, sources, depth)
        yield from _parts(node.right, sources, depth)
    else:
        found = list(texts(node, sources, depth + 1))
        yield found[0][1] if len(found) == 1 else "x"
