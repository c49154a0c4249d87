"""How large the code is: code lines and files of each part, long functions, long modules, circles of imports.

A code line holds something other than a comment, a docstring or a blank. `core` is all but the doors (`cli` and
`report`). `--check` fails where a bound of `BOUNDS` is passed.
"""

from __future__ import annotations

import argparse
import ast
import io
import sys
import tokenize
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from statistics import quantiles

import grimp

ROOT = Path(__file__).parents[1]
DOORS = ("cli", "report")
BOUNDS = {"core": 13_500, "cli": 1_300, "files": 110, "functions over 60": 0, "function p90": 20, "modules over 400": 0}
_BLANK = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
LONG_FUNCTION, LONG_MODULE, LONGEST_MODULE = 60, 350, 400
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def code_lines(text: str) -> int:
    """Lines of a module without blanks, comments and docstrings."""
    said = {line for node in ast.walk(ast.parse(text)) for line in _docstring(node)}
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return len({line for t in tokens if t.type not in _BLANK for line in range(t.start[0], t.end[0] + 1)} - said)


def _docstring(node: ast.AST) -> range:
    if isinstance(node, (ast.Module, ast.ClassDef, *_FUNCTIONS)) and ast.get_docstring(node, clean=False) is not None:
        return range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)
    return range(0)


def functions(text: str) -> Iterator[tuple[str, int]]:
    """The name and the raw lines of each function of a module."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, _FUNCTIONS):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def circle(package: str) -> list[str]:
    """Modules that import one another in a circle; empty where none do."""
    graph = grimp.build_graph(package)
    try:
        TopologicalSorter({m: graph.find_modules_directly_imported_by(m) for m in graph.modules}).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def main() -> int:
    """Print the figures; with `--check`, 1 where a bound is passed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="fail where a bound is passed")
    parser.add_argument("--root", type=Path, default=ROOT, help="another checkout")
    asked = parser.parse_args()
    source = asked.root / "src" / "runllm"
    texts = {path.relative_to(source): path.read_text(encoding="utf-8") for path in sorted(source.rglob("*.py"))}
    tests = [path.read_text(encoding="utf-8") for path in (asked.root / "tests").rglob("*.py")]
    lines = {path: code_lines(text) for path, text in texts.items()}
    parts: dict[str, list[int]] = {}
    for path, count in lines.items():
        parts.setdefault(path.parts[0].removesuffix(".py"), []).append(count)
    for name, counts in parts.items():
        print(f"{sum(counts):7,} lines {len(counts):4} files  {name}")
    long = {f"{path}:{name}": count for path, text in texts.items() for name, count in functions(text)}
    modules = {str(path): text.count("\n") for path, text in texts.items()}
    found = {
        "core": sum(count for path, count in lines.items() if path.parts[0] not in DOORS),
        **{door: sum(count for path, count in lines.items() if path.parts[0] == door) for door in DOORS},
        "all": sum(lines.values()),
        "files": len(texts),
        "tests": sum(map(code_lines, tests)),
        "functions over 60": sum(count > LONG_FUNCTION for count in long.values()),
        "function p90": round(quantiles(long.values(), n=10)[-1]),
        "modules over 350": sum(count > LONG_MODULE for count in modules.values()),
        "modules over 400": sum(count > LONGEST_MODULE for count in modules.values()),
    }
    print()
    passed = [name for name, most in BOUNDS.items() if found[name] > most]
    for name, count in found.items():
        bound = f"  (at most {BOUNDS[name]:,}{', passed' if name in passed else ''})" if name in BOUNDS else ""
        print(f"{count:7,} {name}{bound}")
    print(f"{found['tests'] / found['all']:7.2f} lines of tests for a line of source")
    for most, counts in ((LONG_FUNCTION, long), (LONG_MODULE, modules)):
        for name, count in counts.items():
            if count > most:
                print(f"        {name} has {count} lines")
    sys.path.insert(0, str(asked.root / "src"))
    round_trip = circle("runllm")
    print(f"        a circle of imports: {' -> '.join(round_trip)}" if round_trip else "        no circle of imports")
    return 1 if asked.check and (passed or round_trip) else 0


if __name__ == "__main__":
    sys.exit(main())
