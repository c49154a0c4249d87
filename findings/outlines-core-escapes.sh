#!/usr/bin/env bash
# outlines-core 0.2.14: two schemas lead to answers that are no JSON, and never to those that are meant.
#
# The regular expression for `format: time` has the point before the fraction of a second escaped twice. So a model that
# is held to it cannot write "10:00:00.5"; it may write a backslash there, which no JSON reader takes. `format: date-time`
# has it right, with exactly three digits, and neither lets an offset such as +01:00 pass. And the name of a property is
# put into the expression without JSON's escapes: one with a quotation mark, such as `size 5"`, can only be written bare.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet outlines-core==0.2.14
"$folder/venv/bin/python" - <<'PYTHON' | tee "$folder/seen"
import json
import re

from outlines_core.json_schema import build_regex_from_schema


def tell(schema, *texts):
    held = build_regex_from_schema(json.dumps(schema))
    for text in texts:
        try:
            json.loads(text)
            kind = "JSON"
        except ValueError:
            kind = "no JSON"
        print("may be written" if re.fullmatch(held, text) else "may not be written", kind, text)


tell({"type": "string", "format": "time"}, '"10:00:00"', '"10:00:00.5"', '"10:00:00\\.5"', '"10:00:00+01:00"')
tell({"type": "string", "format": "date-time"}, '"2026-12-01T10:00:00.500"', '"2026-12-01T10:00:00+01:00"')
size = {"type": "object", "properties": {'size 5"': {"type": "null"}}, "required": ['size 5"']}
tell(size, '{"size 5\\"": null}', '{"size 5"": null}')
PYTHON
diff - "$folder/seen" <<'SEEN'
may be written JSON "10:00:00"
may not be written JSON "10:00:00.5"
may be written no JSON "10:00:00\.5"
may not be written JSON "10:00:00+01:00"
may be written JSON "2026-12-01T10:00:00.500"
may not be written JSON "2026-12-01T10:00:00+01:00"
may not be written JSON {"size 5\"": null}
may be written no JSON {"size 5"": null}
SEEN
echo "as described"
