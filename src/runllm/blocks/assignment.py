"""Which names a block has certainly given a value to when it ends, and which perhaps.

The analysis follows every path through the statements. Where it cannot know, it takes a name for assigned.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence

Names = frozenset[str]
_State = Names | None  # None: this place is never reached


def bindings(tree: ast.Module) -> list[tuple[str, ast.AST]]:
    """Each name bound at the module level, or by a function through `global`, with the node that binds it."""
    shared = [(name, node) for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names]
    return [*_bindings(tree.body), *shared]


def _bindings(roots: Iterable[ast.AST]) -> Iterator[tuple[str, ast.AST]]:
    for node in _inside(roots):
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                yield name, node
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node
            case ast.alias():
                yield (node.asname or node.name.partition(".")[0]), node
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name, node
            case ast.MatchMapping(rest=str(name)):
                yield name, node
            case _:
                pass


def certain(tree: ast.Module) -> Names | None:
    """The names that every path to the end of the block assigns; None when the end is never reached."""
    return _Flow().body(tree.body, frozenset())


def _inside(roots: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """The nodes of this scope: functions, classes and lambdas are seen, but not what they contain."""
    todo = list(roots)
    while todo:
        node = todo.pop()
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            continue
        if isinstance(node, ast.comprehension):  # its target is its own, but a `:=` inside is not
            todo += [node.iter, *node.ifs]
            continue
        todo += ast.iter_child_nodes(node)


def _names(*nodes: ast.AST) -> Names:
    """What running or matching these binds."""
    return frozenset(name for name, _ in _bindings(nodes))


def _compared(test: ast.expr) -> str | None:
    """What a test compares with a constant, as a text that is the same for the same expression."""
    match test:
        case ast.Compare(left=left, ops=[ast.Eq()], comparators=[ast.Constant()]):
            return ast.dump(left)
        case _:
            return None


def _is_choice(node: ast.If, subject: str | None) -> bool:
    return subject is not None and _compared(node.test) == subject


def _meet(states: Iterable[_State]) -> _State:
    """What holds whichever of these is reached."""
    reached = [state for state in states if state is not None]
    return reached[0].intersection(*reached[1:]) if reached else None


class _Flow:
    """One walk over the statements; the loops around the current one keep the states of their `break`s."""

    def __init__(self) -> None:
        self._breaks: list[list[_State]] = []
        self._subject: str | None = None

    def body(self, statements: Sequence[ast.stmt], state: _State) -> _State:
        for statement in statements:
            if state is None:
                return None
            state = self._statement(statement, state)
        return state

    def _statement(self, node: ast.stmt, state: Names) -> _State:  # noqa: C901, PLR0912 - one case per kind of statement
        match node:
            case ast.If():
                return self._if(node, state)
            case ast.For() | ast.AsyncFor() | ast.While():
                return self._loop(node, state)
            case ast.Try() | ast.TryStar():
                return self._try(node, state)
            case ast.With() | ast.AsyncWith():
                return self.body(node.body, state | _names(*node.items))
            case ast.Match():
                return self._match(node, state)
            case ast.Raise() | ast.Return() | ast.Continue():
                return None
            case ast.Break():
                if self._breaks:
                    self._breaks[-1].append(state)
                return None
            case ast.Assert(test=ast.Constant(value=False)):
                return None
            case ast.AnnAssign(value=None):
                return state
            case ast.Delete():
                return state - {target.id for target in node.targets if isinstance(target, ast.Name)}
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                everywhere = {name for sub in ast.walk(node) if isinstance(sub, ast.Global) for name in sub.names}
                return state | {node.name} | everywhere
            case _:
                return state | _names(node)

    def _if(self, node: ast.If, state: Names) -> _State:
        state |= _names(node.test)
        if isinstance(node.test, ast.Constant):
            return self.body(node.body if node.test.value else node.orelse, state)
        first = self.body(node.body, state)
        if not node.orelse and _is_choice(node, self._subject):
            return first  # the values of one thing, one by one: taken for all of them
        before, self._subject = self._subject, _compared(node.test)
        other = self.body(node.orelse, state)
        self._subject = before
        return _meet((first, other))

    def _loop(self, node: ast.For | ast.AsyncFor | ast.While, state: Names) -> _State:
        forever = isinstance(node, ast.While) and isinstance(node.test, ast.Constant) and bool(node.test.value)
        first = state | (_names(node.test) if isinstance(node, ast.While) else _names(node.iter))
        self._breaks.append([])
        inside = first if isinstance(node, ast.While) else first | _names(node.target)
        self.body(node.body, inside)
        ends = self._breaks.pop()
        if not forever:
            ends.append(self.body(node.orelse, first))
        return _meet(ends)

    def _try(self, node: ast.Try | ast.TryStar, state: Names) -> _State:
        whole = self.body(node.body, state)
        whole = self.body(node.orelse, whole) if whole is not None else None
        ends = [whole, *(self.body(handler.body, state) for handler in node.handlers)]
        joined = _meet(ends)
        if not node.finalbody:
            return joined
        last = self.body(node.finalbody, joined if joined is not None else state)
        return None if joined is None else last

    def _match(self, node: ast.Match, state: Names) -> _State:
        state |= _names(node.subject)
        ends = [self.body(case.body, state | _names(case.pattern)) for case in node.cases]
        last = node.cases[-1]
        open_ended = last.guard is not None or not (
            isinstance(last.pattern, ast.MatchAs) and last.pattern.pattern is None
        )
        return _meet([*ends, state] if open_ended else ends)
