"""A summary with the Python API of runllm."""

import json
import sys
from pathlib import Path
from typing import Any

import runllm

app = runllm.load(Path(__file__).with_name("summary.rllm"))


def summarise(text: str) -> dict[str, Any]:
    return app(text=text)


if __name__ == "__main__":
    print(json.dumps(summarise(sys.stdin.read())))
