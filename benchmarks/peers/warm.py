"""Call one app again and again in one process; runs in the environment of the peer.

    python warm.py APP

Says the seconds of the first call, then answers each number N on standard input with the seconds of N calls, as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module
from pathlib import Path

APPS = Path(__file__).parent / "apps"


def main() -> None:
    sys.path.insert(0, str(APPS))
    text = (APPS / "text.txt").read_text(encoding="utf-8")
    app = import_module(sys.argv[1])

    def taken() -> float:
        start = time.perf_counter()
        app.summarise(text)
        return time.perf_counter() - start

    out = sys.stdout
    sys.stdout = sys.stderr  # what a library prints is not a measurement
    print(json.dumps([taken()]), file=out, flush=True)
    for line in sys.stdin:
        print(json.dumps([taken() for _ in range(int(line))]), file=out, flush=True)


if __name__ == "__main__":
    main()
