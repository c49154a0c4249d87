#!/usr/bin/env bash
# Daft 0.7.26, native runner: `batch_size` of a batch method is the most rows of a call, and not how many it gets.
#
# Of JSON Lines, a method with `batch_size=8` is called with one row at a time; the same rows of a CSV come eight at a
# time. So what is done once for a call (a request for many rows, a journal, a connection) is done as often as there are
# rows, and which rows come together cannot be counted on.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet daft==0.7.26
cat > "$folder/sizes.py" <<'PYTHON'
import collections
import json
import pathlib
import sys

import daft

folder = pathlib.Path(sys.argv[1])
(folder / "rows.jsonl").write_text("".join(json.dumps({"id": n}) + "\n" for n in range(64)))
(folder / "rows.csv").write_text("id\n" + "".join(f"{n}\n" for n in range(64)))


@daft.cls
class Sizes:
    @daft.method.batch(return_dtype=daft.DataType.int64(), batch_size=8)
    def size(self, ids):
        return [len(ids)] * len(ids)


for name, table in (
    ("jsonl", daft.read_json(str(folder / "rows.jsonl"))),
    ("csv", daft.read_csv(str(folder / "rows.csv"))),
):
    sizes = table.select(Sizes().size(daft.col("id")).alias("size")).to_pydict()["size"]
    print(name, dict(sorted(collections.Counter(sizes).items())))
PYTHON
DO_NOT_TRACK=1 DAFT_PROGRESS_BAR=0 "$folder/venv/bin/python" "$folder/sizes.py" "$folder" | tee "$folder/seen"
grep -qx 'jsonl {1: 64}' "$folder/seen"
grep -qx 'csv {8: 64}' "$folder/seen"
echo "as described"
