"""What reading an answer costs, beside the standard library's parser.

Run: `python benchmarks/extraction.py`. Prints one line per answer: its size, the time of `json.loads`
on the bare JSON, of `json.loads` with the schema check, of `extract`, and the ratio of the last to
the first two. Times are the best of several rounds, in microseconds.
"""

from __future__ import annotations

import json
import timeit
from collections.abc import Callable
from typing import Any

from runllm.reading import extract
from runllm.schema import Contract

SMALL = {"title": "A walk", "score": 0.5, "tags": ["park", "dog"], "done": True, "count": 3}
LARGE = {
    "items": [
        {"title": f"item number {n}", "score": n * 1.25 + 0.1, "tags": ["red", "green"], "done": n % 2 == 0, "count": n}
        for n in range(2_000)
    ]
}
ITEM: dict[str, Any] = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "score": {"type": "number"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "done": {"type": "boolean"},
        "count": {"type": "integer"},
    },
    "required": ["title", "score", "tags", "done", "count"],
    "additionalProperties": False,
}
LIST: dict[str, Any] = {
    "type": "object",
    "properties": {"items": {"type": "array", "items": ITEM}},
    "required": ["items"],
}


def fenced(value: Any) -> str:
    return f"Here is the result.\n\n```json\n{json.dumps(value, indent=2)}\n```\n\nAnything else?"


def tolerant(value: Any) -> str:
    text = json.dumps(value, indent=2).replace('"title":', "title:").replace("true", "True")
    return text[: text.rindex("}")].rstrip() + ",  // the end\n}"


def coerced(value: Any) -> str:
    return json.dumps(value).replace("true", '"True"').replace("false", '"False"')


def best(work: Callable[[], object]) -> float:
    """Microseconds of one call: the best of five rounds of about a tenth of a second."""
    once = max(min(timeit.repeat(work, number=1, repeat=3)), 1e-7)
    number = max(1, int(0.1 / once))
    return min(timeit.repeat(work, number=number, repeat=5)) / number * 1e6


def measure(name: str, text: str, value: Any, contract: Contract) -> None:
    if extract(text, contract).value != value:
        raise AssertionError(name)
    plain = json.dumps(value)
    parsed = best(lambda: json.loads(plain))
    checked = best(lambda: contract.accepts(json.loads(plain)))
    ours = best(lambda: extract(text, contract))
    print(
        f"{name:<18}{len(text):>9,} chars {parsed:>10.1f} {checked:>10.1f} {ours:>10.1f} µs"
        f"{ours / parsed:>8.1f}x {ours / checked:>6.1f}x"
    )


def main() -> None:
    print(f"{'':<18}{'':>15} {'loads':>10} {'+ check':>10} {'extract':>10}    {'/loads':>8} {'/check':>6}")
    for size, value, schema in (("small", SMALL, ITEM), ("large", LARGE, LIST)):
        contract = Contract(schema)
        for form in (json.dumps, fenced, tolerant, coerced):
            name = f"{size} {'plain' if form is json.dumps else form.__name__}"
            measure(name, form(value), value, contract)
    for name, text in {
        "open brackets": "[" * 200_000,
        "closed objects": '{"a": 1} ' * 22_000,
        "broken objects": "{'a': b} " * 22_000,
        "fences": "```json\n" * 25_000,
        "open quotes": '{"a": \'' * 28_000,
    }.items():
        contract = Contract(ITEM)
        print(f"{'200 KB of ' + name:<43}{best(lambda text=text, c=contract: refused(text, c)) / 1000:>21.1f} ms")


def refused(text: str, contract: Contract) -> None:
    from runllm.errors import OutputSchemaError  # beside its only use

    try:
        extract(text, contract)
    except OutputSchemaError:
        return
    raise AssertionError(text[:40])


if __name__ == "__main__":
    main()
