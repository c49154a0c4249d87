"""Findings of a block, and places in its code: lines and columns from 1, columns in code points."""

from __future__ import annotations

import ast
from typing import Any

from runllm.diagnostics import Severity
from runllm.values import frozen

_LONGEST_MESSAGE = 300


@frozen
class BlockFinding:
    """One thing that is wrong with a block.

    Attributes:
        line: of the block's code, counted from 1.
        column: counted from 1, in code points.
        length: how many code points of that line it covers; at least 1.
        message: what is wrong.
        hint: what to write instead.
        severity: a `warning` may go wrong for some input.
    """

    line: int
    column: int
    length: int
    message: str
    hint: str = ""
    severity: Severity = "error"


class Text:
    """The lines of a block, and places in them."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.lines = code.split("\n")
        self._columns: dict[int, list[int]] = {}

    def finding(
        self, line: int, column: int, length: int, message: str, hint: str = "", severity: Severity = "error"
    ) -> BlockFinding:
        """A finding whose place is within the block, its message no longer than a few lines."""
        if len(message) > _LONGEST_MESSAGE:
            message = message[: _LONGEST_MESSAGE - 1] + "…"
        line = max(1, min(line, len(self.lines)))
        width = len(self.lines[line - 1])
        column = max(1, min(column, width + 1))
        length = max(1, min(length, width - column + 1))
        return BlockFinding(line=line, column=column, length=length, message=message, hint=hint, severity=severity)

    def place(self, node: ast.AST) -> tuple[int, int, int]:
        """Line, column and length of a node, on its first line; of the name alone for an attribute or a definition."""
        line, column, end_line, end_column = self.extent(node)
        if isinstance(node, ast.Attribute):
            return end_line, end_column - len(node.attr), len(node.attr)
        if isinstance(node, ast.keyword):
            return line, column, len(node.arg or "**")
        if isinstance(node, ast.stmt) and not isinstance(node, ast.Expr | ast.Assign | ast.Delete):
            return line, column, len(self.lines[line - 1].split("#")[0].rstrip()) - column + 1
        length = end_column - column if end_line == line else len(self.lines[line - 1]) - column + 1
        return line, column, length

    def extent(self, node: ast.AST) -> tuple[int, int, int, int]:
        """Where a node begins and ends, counted from 1 in code points, the end exclusive."""
        at: Any = node
        end_line = at.end_lineno or at.lineno
        return (
            at.lineno,
            self._column(at.lineno, at.col_offset),
            end_line,
            self._column(end_line, at.end_col_offset or 0),
        )

    def _column(self, line: int, offset: int) -> int:
        """The column of a byte offset in UTF-8, as the syntax tree counts."""
        text = self.lines[line - 1] if line <= len(self.lines) else ""
        if text.isascii():
            return offset + 1
        if line not in self._columns:
            widths = (len(c.encode("utf-8", "surrogatepass")) for c in text)
            self._columns[line] = [column for column, width in enumerate(widths, 1) for _ in range(width)]
        columns = self._columns[line]
        return columns[offset] if offset < len(columns) else len(text) + 1
