"""Any project is found wrong, or its run ends in a result or a catalogued error.

An input is some files, each after a line `>>> NAME`: the keys that every file needs may be left out.
"""

from __future__ import annotations

import atexit
import json
import random
import re
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from fuzz.harness import text_of
from fuzz.specimens import specimens
from runllm import executor
from runllm import project as projects
from runllm.diagnostics import errors_in
from runllm.errors import FileAccessError, InternalError, RunllmError, catalogue, class_of
from runllm.program import Plan
from runllm.results import Request, RunResult
from runllm.routing import Options
from runllm.runtime import Runtime
from runllm.schema import Contract
from runllm.testing import ScriptedEngine

TOKENS = (
    ">>> main.rllm\n", ">>> a.rllm\n", ">>> b.rllm\n", "---\n", "uses:\n",
    "- {name: a, path: ./a.rllm, with: {text: x}}\n",
    "- {name: b, path: ./b.rllm, with: {text: '{{ uses.a.out }}'}}\n", "name: a", "name: b", "path: ./a.rllm",
    "path: ./b.rllm", "path: ./main.rllm", "path: ../a.rllm", "path: /etc/passwd", "with: ",
    "with: {text: '{{ item }}'}", "text: ", "for_each: ", "for_each: [1, 2]", "for_each: '{{ input.items }}'",
    "for_each: '{{ vars.x }}'", "on_error: skip", "on_error: keep", "'{{ run.date }}'", "rllm: '0.1'\n",
    "output: {out: x}\n", "output:\n  out: ", "'{{ input.text }}'", "'{{ uses.a.out }}'", "'{{ uses.a }}'",
    "'{{ uses.a[0].out }}'", "'{{ uses.b.out }}'", "'{{ item }}'", "'{{ vars.x }}'", "{{ input.text }}",
    "{{ uses.a.out }}", "{{ uses.a | length }}", "{% for x in uses.a %}{{ x.out }}{% endfor %}",
    "input_schema: ", "output_schema: ", "{type: object, properties: {text: {type: string}}, required: [text]}",
    "{type: object, properties: {out: {type: integer}}, required: [out]}", "type: array, items: {type: string}",
    "type: [string, 'null']", "default: ", "enum: [a, b]", "additionalProperties: false", "minLength: 1",
    "maxItems: 2", "$ref: '#'", "examples: [{input: {text: a}, output: {out: b}}]\n", "max_context_window: 9\n",
    "llm_params: {max_tokens: 5}\n", "```rllm-python pre inputs=input.text outputs=x\nx = text * 2\n```\n",
    "```rllm-python check inputs=output.out\nassert out\n```\n",
    "```rllm-python post outputs=out\nout = 'a'\n```\n", "<<<SYSTEM>>>\n", "<<<RECOVERY>>>\n", "null", "true",
    "1", "1.5", "1e400", "[]", "{}", "[a, b]", "x", '"\\0"', "'", "{", "}", "[", "]", ",", ": ", "\n",
)  # fmt: skip

_HEAD = {
    "name": "app", "description": "A test.", "version": "1.0.0", "author": "me", "max_context_window": "1000000",
    "input_schema": "{type: object, properties: {text: {type: string}}, required: [text]}",
    "output_schema": "{type: object, properties: {out: {type: string}}, required: [out]}",
    "llm": "{model: openai/m, num_retries: 0}", "llm_params": "{}",
}  # fmt: skip
_FILE = re.compile(r"^>>> (?P<name>[a-z]{1,8}(?:/[a-z]{1,8})?\.rllm)\n", re.MULTILINE)
_MOST_FILES = 6
_MOST_INPUTS = 3
_MOST_REQUESTS = 60
_WRONG = ("", "{}", '{"out": 1}', "no", '{"out": "a"')


def seeds() -> Iterator[bytes]:
    """None but the corpus."""
    return iter(())


def check(data: bytes) -> None:
    """A plan exactly where there is no error; no run of it ends in an error that is a bug."""
    first = written(text_of(data), folder())
    if first is None:
        return
    try:
        loaded = projects.load(first)
    except FileAccessError:
        return
    for problem in loaded.problems:
        assert class_of(problem.kind).code
        assert problem.message
        assert problem.span is not None
    assert (loaded.plan is None) == bool(errors_in(loaded.problems))
    if loaded.plan is not None:
        _check_runs(loaded.plan, zlib.crc32(data))


@lru_cache(maxsize=1)
def folder() -> Path:
    """One for all inputs: to make and remove one takes longer than to load a project."""
    made = Path(tempfile.mkdtemp(prefix="runllm-fuzz-")).resolve()
    atexit.register(shutil.rmtree, made)
    return made


def written(text: str, folder: Path, *, most: int = _MOST_FILES) -> Path | None:
    """Write the files of an input, instead of those there; the first one is run."""
    for path in folder.rglob("*.rllm"):
        path.unlink()
    _, *parts = _FILE.split(text)
    first: Path | None = None
    for name, written in list(zip(parts[::2], parts[1::2], strict=True))[:most]:
        header, _, body = written.partition("---\n")
        keys = {
            key: f"{key}: {value}" for key, value in _HEAD.items() if not re.search(rf"^{key}:", header, re.MULTILINE)
        }
        if "output:" in header:
            keys = {key: line for key, line in keys.items() if not key.startswith("llm")}
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes("\n".join(["---", *keys.values(), f"{header}---", body]).encode("utf-8", "surrogatepass"))
        first = first or path
    return first


@lru_cache(maxsize=256)
def _values_of(schema: str) -> list[Any]:
    contract = Contract(json.loads(schema))
    return [value for value in islice(specimens(contract.schema), 20) if contract.accepts(value)]


class _Model:
    """Answers with values of the schema, now and then with something else."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def __call__(self, request: Request) -> str:
        values = _values_of(json.dumps(request.schema)) if request.schema is not None else []
        if not values or self._chance.randrange(4) == 0:
            return self._chance.choice(_WRONG)
        return json.dumps(self._chance.choice(values))


def _check_runs(plan: Plan, seed: int) -> None:
    engine = ScriptedEngine(_Model(seed))
    inputs = [*_values_of(json.dumps(plan.program.input.schema))[:_MOST_INPUTS], {}, None]
    with Runtime(engine=engine, sleep=lambda _: None, jitter=lambda: 0.0) as runtime:
        for given in inputs:
            if len(engine.requests) < _MOST_REQUESTS:
                checked_result(plan, executor.run(plan, given, Options(stats=False), runtime))


def checked_result(plan: Plan, result: RunResult) -> None:
    """A result fits its contract, and a failure is one of the catalogue and no bug."""
    if result.error is None:
        assert plan.program.output_contract.accepts(result.output), result.output
        json.dumps(result.output, ensure_ascii=False).encode()
        return
    error: RunllmError = result.error
    assert type(error) in catalogue()
    assert not isinstance(error, InternalError), error.payload()
    json.dumps(error.payload())
