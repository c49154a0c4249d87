#!/usr/bin/env bash
# Picoschema (dotprompt 1.1.2, dotpromptz 0.2.0): an object with a field called `type` stops being an object.
#
# Picoschema writes the fields of an object as keys and their types as values. Where there is a key `type` whose value is
# the bare name of a type, the mapping is taken for JSON Schema as it stands: `{type: string, title: string}` is the
# schema of one string, and `title` a keyword of it. A description behind the type (`type: string, of the ticket`) makes
# it a field again. A field called `properties` that is an object is taken for JSON Schema as well. No fault is told.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet dotpromptz==0.2.0
npm init --yes >/dev/null
npm install --silent dotprompt@1.1.2 >/dev/null
cat > schemas.json <<'JSON'
[
  {"kind": "string", "title": "string"},
  {"type": "string", "title": "string"},
  {"type": "string, of the ticket", "title": "string"},
  {"properties": {"area": "number"}}
]
JSON
cat > read.mjs <<'JS'
import { readFileSync } from "node:fs";
import { picoschema } from "dotprompt";
for (const one of JSON.parse(readFileSync("schemas.json", "utf-8"))) console.log(JSON.stringify(await picoschema(one)));
JS
cat > read.py <<'PYTHON'
import asyncio
import json
from pathlib import Path

from dotpromptz.picoschema import picoschema_to_json_schema

for one in json.loads(Path("schemas.json").read_text()):
    print(json.dumps(asyncio.run(picoschema_to_json_schema(one)), separators=(",", ":")))
PYTHON
node read.mjs | tee seen
venv/bin/python read.py | diff seen -
diff - seen <<'SEEN'
{"type":"object","properties":{"kind":{"type":"string"},"title":{"type":"string"}},"required":["kind","title"],"additionalProperties":false}
{"type":"string","title":"string"}
{"type":"object","properties":{"type":{"type":"string","description":"of the ticket"},"title":{"type":"string"}},"required":["type","title"],"additionalProperties":false}
{"properties":{"area":"number"},"type":"object"}
SEEN
echo "as described"
