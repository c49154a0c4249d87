"""A summary with the Python API of `llm`."""

import json
import sys
from pathlib import Path
from typing import Any

import llm

SYSTEM = "You are a careful editor. You never add facts that are not in the text."
PROMPT = "Summarise the text below in two sentences, in plain words. Then list its key points.\n\nText:\n{text}"
SCHEMA = json.loads(Path(__file__).with_name("summary.schema.json").read_text(encoding="utf-8"))

model = llm.get_model("loopback")


def summarise(text: str) -> Any:
    reply = model.prompt(
        PROMPT.format(text=text), system=SYSTEM, schema=SCHEMA, stream=False, temperature=0, max_tokens=400
    )
    return json.loads(reply.text())


if __name__ == "__main__":
    print(json.dumps(summarise(sys.stdin.read())))
