#!/usr/bin/env bash
# Dotprompt: the default inputs of a file hold in the Python library (dotpromptz 0.2.0), not in the JavaScript one (1.1.2).
#
# A `.prompt` file may name values under `input.default` for what its caller leaves out. `Dotprompt.render(source, data)`
# in JavaScript merges the data only with defaults that the caller passes as a third argument, so that the file's own are
# lost and the place in the prompt is empty, without a warning. In Python the same call fills them in. One file is thus
# two prompts, and the model of one of them is asked to greet nobody.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet dotpromptz==0.2.0
npm init --yes >/dev/null
npm install --silent dotprompt@1.1.2 >/dev/null
cat > greet.prompt <<'PROMPT'
---
model: some/model
input:
  default:
    name: Ann
    tone: kindly
---
Greet {{name}} {{tone}}.
PROMPT
cat > greet.mjs <<'JS'
import { readFileSync } from "node:fs";
import { Dotprompt } from "dotprompt";
const source = readFileSync("greet.prompt", "utf-8");
for (const input of [{}, { name: "Bob" }]) {
  const found = await new Dotprompt().render(source, { input });
  console.log("js", found.messages[0].content[0].text);
}
const told = await new Dotprompt().render(source, { input: {} }, { input: { default: { name: "Ann", tone: "kindly" } } });
console.log("js, told again", told.messages[0].content[0].text);
JS
cat > greet.py <<'PYTHON'
import asyncio
from pathlib import Path

from dotpromptz.dotprompt import Dotprompt
from dotpromptz.typing import DataArgument

for given in ({}, {"name": "Bob"}):
    found = asyncio.run(Dotprompt().render(Path("greet.prompt").read_text(), DataArgument(input=given)))
    print("python", found.messages[0].content[0].text)
PYTHON
{ node greet.mjs; venv/bin/python greet.py; } | tee seen
diff - seen <<'SEEN'
js Greet  .
js Greet Bob .
js, told again Greet Ann kindly.
python Greet Ann kindly.
python Greet Bob kindly.
SEEN
echo "as described"
