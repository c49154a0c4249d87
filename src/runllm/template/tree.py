"""A template as a tree: what its tags say, each part with its place in the source."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runllm.values import frozen


@frozen
class Node:
    """A part of a template.

    | kind | parts | text, names, value |
    |---|---|---|
    | `constant` | | its type; the value, or None where only the type is known |
    | `name` | | the name |
    | `array`, `object` | items; keys and values in turn | |
    | `chain` | a value, then its steps | |
    | `key`, `index`, `call` | what is computed; arguments | of a `key`: its type and value, as it is written |
    | `pipe` | a value, then `filter`s and `test`s | |
    | `filter`, `test` | arguments | the name |
    | `argument` | its value | its name, `*` or `**`; empty where it is given by place |
    | `operation` | operands | the signs between them; one sign before a single operand |
    | `choice` | the values, then the tests | `else` where one is always chosen |
    | `bind` | the value, if it is known | the names that stand for it |
    | `output`, `body` | an expression; statements | |
    | `for` | bind, conditions, a `recursive` if it is, body, body of `else` | |
    | `if` | all its tests and bodies | |
    | `set`, `with` | binds, other values, the body of a block | |
    | `macro`, `block` | a bind of its name, those of the parameters, a body | |
    | `call_block`, `filter_block` | binds of the parameters and the call, or a pipe; a body | |
    | other words | expressions, a body | |

    `at` and `end` enclose it in the source, in code points; of a statement its word, of a filter or test its name.
    """

    kind: str
    at: int
    end: int
    parts: tuple[Node, ...] = ()
    text: str = ""
    names: tuple[str, ...] = ()
    value: Any = None

    def inside(self) -> Iterator[Node]:
        """This part and all that it is made of."""
        yield self
        for part in self.parts:
            yield from part.inside()

    @property
    def is_literal(self) -> bool:
        """Whether it is a value that is written out."""
        if self.kind in ("array", "object") or (self.kind == "operation" and self.names == ("-",)):
            return all(part.is_literal for part in self.parts)
        return self.kind == "constant"
