"""The provider of the tests, in a process of its own, told over its standard input what to answer.

A line is the name of a scenario, which starts it afresh, or `requests`, which prints the bodies that came in since
as one line of JSON. It serves until its standard input closes.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.integration.provider import Provider, Received, Reply, answer, failure

POINTS = '["built in 1871", "electric since 1934", "automatic since 1986"]'
GOOD = f'{{"summary": "Grey Point has had a lighthouse since 1871.", "key_points": {POINTS}}}'
MISFIT = '{"summary": "Grey Point has had a lighthouse since 1871.", "key_points": ["built in 1871"]}'
ALMOST = GOOD.replace('"]}', '",]}')


def said(text: str) -> Reply:
    """An answer with this text: the arguments of the tool that a request forces, else the message."""
    plain = answer(text, prompt_tokens=250, completion_tokens=60)

    def body(received: Received) -> Any:
        reply = plain.body(received)
        tools = received.body.get("tools")
        if tools:
            function = {"name": tools[0]["function"]["name"], "arguments": text}
            calls = [{"id": "call_1", "type": "function", "function": function}]
            message = {"role": "assistant", "content": None, "tool_calls": calls}
            reply["choices"] = [{"index": 0, "message": message, "finish_reason": "tool_calls"}]
        return reply

    return replace(plain, body=body)


SCENARIOS = {
    "good": (said(GOOD),),
    "misfit": (said(MISFIT), said(GOOD)),
    "almost": (said(ALMOST), said(GOOD)),
    "busy": (failure(503, "overloaded"), said(GOOD)),
}


def main() -> None:
    with Provider(*SCENARIOS["good"]) as provider:
        print(provider.base, flush=True)
        for line in sys.stdin:
            if line.strip() == "requests":
                print(json.dumps([received.body for received in provider.chats]), flush=True)
            else:
                provider.script(*SCENARIOS[line.strip()])
                provider.requests.clear()
                print("ready", flush=True)


if __name__ == "__main__":
    main()
