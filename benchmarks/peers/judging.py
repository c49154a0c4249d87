"""What each contender does with an answer that cannot be used, and what it sends."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from measuring import PATIENCE, Ended, Provider, Seat, start

SCENARIOS = ("good", "misfit", "almost", "busy")
COUNT = (
    "import json, sys, litellm; "
    "print(json.dumps([litellm.token_counter(model='gpt-4o-mini', text=text) for text in json.load(sys.stdin)]))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What came of one scenario.

    Attributes:
        ended: the process.
        bodies: the requests it made, in order.
    """

    ended: Ended
    bodies: tuple[Any, ...]

    @property
    def verdict(self) -> str:
        """How it ended, in a word."""
        if self.ended.status:
            return "fails"
        return "answers" if self.ended.fits else "prints the wrong answer"

    @property
    def told(self) -> str:
        """What the last request says to the model after a wrong answer; empty where it does not ask again."""
        if len(self.bodies) < 2:
            return ""
        first, last = self.bodies[0]["messages"], self.bodies[-1]["messages"]
        return "\n".join(_words(message) for message in last[len(first) :] if message["role"] != "assistant")


def judge(seat: Seat, provider: Provider) -> dict[str, Judged]:
    """Each scenario once."""
    found: dict[str, Judged] = {}
    for scenario in SCENARIOS:
        provider.play(scenario)
        ended = start(seat.command, seat.variables)
        found[scenario] = Judged(ended=ended, bodies=tuple(provider.requests()))
    provider.play("good")
    return found


def tokens(judged: Sequence[Judged], counter: Seat) -> list[int]:
    """Estimated tokens of all that the requests of each say to the model, schema included."""
    texts = ["\n".join(map(sent, one.bodies)) for one in judged]
    done = subprocess.run(
        [counter.python, "-c", COUNT],
        input=json.dumps(texts),
        env=counter.variables,
        check=True,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    return json.loads(done.stdout)


def sent(body: dict[str, Any]) -> str:
    """What a request says to the model: its messages, and the schema, as a form or as a tool."""
    schema = body.get("tools") or body.get("response_format", {}).get("json_schema")
    return "\n".join([*map(_words, body["messages"]), json.dumps(schema) if schema else ""])


def channel(body: dict[str, Any]) -> str:
    """How the schema is given to the provider."""
    return "tool" if body.get("tools") else "response format"


def _words(message: dict[str, Any]) -> str:
    calls = "".join(call["function"]["arguments"] for call in message.get("tool_calls") or ())
    content = message.get("content") or ""
    text = content if isinstance(content, str) else json.dumps(content)
    return text + calls
