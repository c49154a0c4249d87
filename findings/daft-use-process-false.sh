#!/usr/bin/env bash
# Daft 0.7.26, native runner: a class with `use_process=False` and `max_concurrency=3` still runs in other processes.
#
# Each instance is made in a process of its own, none of them the one that asks. Without `max_concurrency` the same class
# runs in this process. So what its methods are to share with the program (a limiter of calls, a cache, an open
# connection, a counter) is not shared, though `use_process=False` says that there is no other process.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet daft==0.7.26
cat > "$folder/pids.py" <<'PYTHON'
import os
import time

import daft


class Pids:
    @daft.method.batch(return_dtype=daft.DataType.int64(), batch_size=1)
    def pid(self, ids):
        time.sleep(0.2)
        return [os.getpid()] * len(ids)


table = daft.from_pydict({"id": list(range(9))})
for given in ({}, {"max_concurrency": 3}):
    pids = set(table.select(daft.cls(Pids, use_process=False, **given)().pid(daft.col("id")).alias("pid")).to_pydict()["pid"])
    print(given, "processes", len(pids), "this one", os.getpid() in pids)
PYTHON
DO_NOT_TRACK=1 DAFT_PROGRESS_BAR=0 "$folder/venv/bin/python" "$folder/pids.py" | tee "$folder/seen"
grep -qx '{} processes 1 this one True' "$folder/seen"
grep -qx "{'max_concurrency': 3} processes 3 this one False" "$folder/seen"
echo "as described"
