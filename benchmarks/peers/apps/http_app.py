"""A summary with nothing but the standard library: the floor that the others stand on."""

import http.client
import json
import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

SYSTEM = "You are a careful editor. You never add facts that are not in the text."
PROMPT = "Summarise the text below in two sentences, in plain words. Then list its key points.\n\nText:\n{text}"
SCHEMA = json.loads(Path(__file__).with_name("summary.schema.json").read_text(encoding="utf-8"))

base = urlsplit(os.environ["OPENAI_BASE_URL"])
connection = http.client.HTTPConnection(base.netloc)
headers = {"Content-Type": "application/json", "Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}


def summarise(text: str) -> Any:
    body = {
        "model": "gpt-4o-mini",
        "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT.format(text=text)}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "Summary", "schema": SCHEMA}},
        "temperature": 0,
        "max_tokens": 400,
    }
    connection.request("POST", f"{base.path}/chat/completions", json.dumps(body), headers)
    reply = json.loads(connection.getresponse().read())
    return json.loads(reply["choices"][0]["message"]["content"])


if __name__ == "__main__":
    print(json.dumps(summarise(sys.stdin.read())))
