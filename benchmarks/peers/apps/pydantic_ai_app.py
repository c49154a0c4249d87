"""A summary with `pydantic-ai`."""

import sys

from pydantic import BaseModel, Field
from pydantic_ai import Agent

SYSTEM = "You are a careful editor. You never add facts that are not in the text."
PROMPT = "Summarise the text below in two sentences, in plain words. Then list its key points.\n\nText:\n{text}"


class Summary(BaseModel):
    """The summary of a text."""

    summary: str = Field(min_length=1, description="What the text says, in plain words.")
    key_points: list[str] = Field(min_length=2, max_length=4, description="The facts a reader must not miss.")


agent = Agent(
    "openai-chat:gpt-4o-mini",
    output_type=Summary,
    instructions=SYSTEM,
    model_settings={"temperature": 0, "max_tokens": 400},
)


def summarise(text: str) -> Summary:
    return agent.run_sync(PROMPT.format(text=text)).output


if __name__ == "__main__":
    print(summarise(sys.stdin.read()).model_dump_json())
