#!/usr/bin/env bash
# lm-format-enforcer 0.11.3: a value of an `enum` that needs an escape in JSON is lost, or written so that it is no JSON.
#
# The values are compared with what a model writes letter by letter, as they are. Of one that holds a quotation mark
# neither the JSON text nor the bare one can be finished, so that the model is led to the other values without a word.
# One that holds a line end can only be written with the line end itself, which no JSON reader takes inside a string.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet lm-format-enforcer==0.11.3
"$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' | tee "$folder/seen"
from lmformatenforcer import JsonSchemaParser

SCHEMA = {
    "type": "object",
    "properties": {"size": {"type": "string", "enum": ["plain", '5" pipe', "one\ntwo"]}},
    "required": ["size"],
}


def may_write(text):
    parser = JsonSchemaParser(SCHEMA)
    for letter in text:
        if letter not in parser.get_allowed_characters():
            return False
        parser = parser.add_character(letter)
    return parser.can_end()


for size in ("plain", '5\\" pipe', '5" pipe', "one\\ntwo", "one\ntwo"):
    print(may_write('{"size": "%s"}' % size), repr(size))
PYTHON
diff - "$folder/seen" <<'SEEN'
True 'plain'
False '5\\" pipe'
False '5" pipe'
False 'one\\ntwo'
True 'one\ntwo'
SEEN
echo "as described"
