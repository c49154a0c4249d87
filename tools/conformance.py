# /// script
# requires-python = ">=3.11"
# dependencies = ["schemathesis>=4.32,<5"]
# ///
"""Ask a service of `runllm serve` what its OpenAPI document allows, and what it forbids: `uv run tools/conformance.py`.

The apps are the examples, and one of every odd kind of input; their model is a script. It fails where an answer is off
its schema, or is a fault of the service.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ODD = """---
name: odd
description: Odd inputs.
input_schema:
  type: object
  properties:
    node: {$ref: "#/$defs/node"}
    when: {type: string, format: date}
    pick: {enum: [a, b, 3, null]}
    pair: {type: array, prefixItems: [{type: integer}, {type: string}], minItems: 2, items: false}
    map: {type: object, additionalProperties: {type: number, minimum: 0}}
    either:
      anyOf:
        - {type: integer}
        - {type: object, properties: {x: {type: string, pattern: "^[a-z]+$"}}, required: [x]}
  required: [node]
  additionalProperties: false
  $defs:
    node:
      type: object
      properties: {name: {type: string, minLength: 1}, of: {type: array, items: {$ref: "#/$defs/node"}, maxItems: 3}}
      required: [name]
output_schema: {type: array, items: {type: integer}}
llm: openai/gpt-4o-mini
---
{{ input.node }} {{ input.when }} {{ input.pick }} {{ input.pair }} {{ input.map }} {{ input.either }}
"""
SERVICE = """
import json, sys
from fuzz.specimens import specimens
from runllm import Runtime, load
from runllm.schema import Contract
from runllm.serve import Access, House, Limits, serve
from runllm.serve.catalog import Catalog
from runllm.serve.server import address_of, listen
from runllm.testing import ScriptedEngine
def oblige(request):
    accepts = Contract(request.schema or {}).accepts
    fitting = [value for value in specimens(request.schema) if accepts(value)] if request.schema else ["some words"]
    return json.dumps(max(fitting, key=lambda value: len(json.dumps(value))))
runtime = Runtime(engine=ScriptedEngine(oblige))
house = House(Catalog(sys.argv[1:], lambda path: load(path, runtime=runtime)), runtime, Limits())
listening = listen("127.0.0.1", 0)
print(address_of(listening), flush=True)
serve(house, Access(), listening)
"""


CHECKS = """
[[operations]]
include-path-regex = "/batches"
# What stands in a table no schema says: most tables that it makes up are rightly refused.
checks.positive_data_acceptance.enabled = false
"""


def main() -> int:
    """Serve, ask, and end with the status of the one that asks."""
    with tempfile.TemporaryDirectory() as folder:
        odd = Path(folder, "odd.rllm")
        odd.write_text(ODD, encoding="utf-8")
        checks = Path(folder, "schemathesis.toml")
        checks.write_text(CHECKS, encoding="utf-8")
        python = ROOT / ".venv" / "bin" / "python"
        command = [str(python), "-c", SERVICE, "examples", str(odd)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as service:
            address = next(iter(service.stdout or ())).strip()
            try:
                asking = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(checks)]
                asking += ["run", f"{address}openapi.json"]
                return subprocess.run(asking, cwd=folder, check=False).returncode
            finally:
                service.terminate()


if __name__ == "__main__":
    raise SystemExit(main())
