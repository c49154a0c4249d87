"""Any template is found wrong, fails as a template, or gives text; an input is a schema, a line `---`, the template."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any

from fuzz.harness import text_of
from fuzz.specimens import specimens
from runllm.diagnostics import errors_in
from runllm.errors import TemplateError
from runllm.schema import Contract, schema_problems
from runllm.template import evaluate, findings, form, references, render
from runllm.template.environment import check_source
from runllm.template.rendering import builds_values
from runllm.template.types import infer

TOKENS = (
    "\n---\n", "{{ ", " }}", "{% ", " %}", "{#", "#}", "{{-", "-}}", "{%+", "-%}", "input", "input.a",
    "input['a']", "input.items", "input.o.a", "{{ input.a }}", "{% for x in input.l %}", "{% endfor %}",
    "{% if input.a %}", "{% elif ", "{% else %}", "{% endif %}", "{% set x = ", "{% set x %}", "{% endset %}",
    "{% with x = ", "{% endwith %}", "{% macro m(y) %}", "{% endmacro %}", "{% call ", "{% endcall %}",
    "{% filter upper %}", "{% endfilter %}", "{% raw %}", "{% endraw %}", "loop.index", "loop(x)", " recursive",
    "namespace()", "range(9)", "dict(a=1)", " | ", "upper", "length", "join(',')", "default(1)", "tojson",
    "map(attribute='a')", "select('odd')", "sort", "first", "last", "batch(2)", "slice(2)", "truncate(3)",
    "indent(9)", "replace('a', 'aa')", "round(2)", "int", "float", "string", "list", "items", "groupby('a')",
    "sum", "min", "format", "'%s'|format(1)", "center(9)", "urlencode", "wordwrap(1)", " is defined",
    " is none", " is not ", " in ", " and ", " or ", "not ", " if ", " else ", "==", "<", "~", "+", "-", "*",
    "**", "//", "%", "[0]", "[-1]", "[::2]", "[:3]", "(", ")", "[", "]", "{", "}", ".", ",", ":", "'", '"',
    "\\", "0", "1.5", "1e400", "9", "true", "none", "x", "\u00e9", "\u00b7", "\U0001d54f", "\ud800", "\x00",
    "\u2028", "\n", "`", ".get('a')", ".items()", ".upper()", ".split()",
)  # fmt: skip

_MOST_VALUES = 6
_ONE_IN = 16
_UNKNOWN = re.compile(r"(filter|test) \S+ is unknown|^\w+ is unknown|unexpected|syntax error")


def seeds() -> Iterator[bytes]:
    """None but the corpus."""
    return iter(())


@lru_cache(maxsize=256)
def _values(line: str) -> tuple[dict[str, Any], list[Any]] | None:
    """A schema, and some values that fit it, defaults filled."""
    try:
        schema = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if errors_in(schema_problems(schema)):
        return None
    contract = Contract(schema)
    filled = (contract.with_defaults(value) for value in specimens(schema))
    return schema, list(islice((value for value in filled if contract.accepts(value)), _MOST_VALUES))


def check(data: bytes) -> None:
    """What findings call clean meets no unknown name when it is rendered, and gives a value of the inferred type."""
    line, _, source = text_of(data).partition("\n---\n")
    known = _values(line)
    if known is None:
        return
    schema, values = known
    scope = {"input": schema}
    found = findings(source, scope)
    for finding in found:
        assert finding.message
        assert 0 <= finding.offset <= finding.offset + finding.length <= len(source), finding
        assert finding.length or not source
    assert form(source)
    if not _is_read(source):
        assert found
        return
    contract = Contract(infer(source, scope).schema)
    if builds_values(check_source(source)) and zlib.crc32(data) % _ONE_IN:
        return  # each rendering takes a process of its own
    for value in values:
        before = json.dumps(value)
        _check_rendered(source, value, contract, clean=not found)
        assert json.dumps(value) == before


def _is_read(source: str) -> bool:
    try:
        for reference in references(source):
            assert 0 <= reference.offset < reference.offset + reference.length <= len(source), reference
    except TemplateError:
        return False
    return True


def _check_rendered(source: str, value: Any, contract: Contract, *, clean: bool) -> None:
    names = {"input": value}
    text = _outcome(render, source, names, clean=clean)
    result = _outcome(evaluate, source, names, clean=clean)
    if isinstance(text, str):
        text.encode("utf-8", "surrogatepass")
    if not isinstance(result, TemplateError):
        json.dumps(result).encode()
        if clean:
            assert contract.accepts(result), (value, result, contract)
    if form(source) != "expression":
        assert str(result) == str(text)


def _outcome(function: Any, source: str, names: dict[str, Any], *, clean: bool) -> Any:
    try:
        return function(source, names)
    except TemplateError as error:
        assert str(error)
        assert not (clean and _UNKNOWN.search(str(error))), error
        return error
