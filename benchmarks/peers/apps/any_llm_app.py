"""A summary with `any-llm`."""

import sys

from any_llm import completion
from pydantic import BaseModel, Field

SYSTEM = "You are a careful editor. You never add facts that are not in the text."
PROMPT = "Summarise the text below in two sentences, in plain words. Then list its key points.\n\nText:\n{text}"


class Summary(BaseModel):
    """The summary of a text."""

    summary: str = Field(min_length=1, description="What the text says, in plain words.")
    key_points: list[str] = Field(min_length=2, max_length=4, description="The facts a reader must not miss.")


def summarise(text: str) -> Summary:
    reply = completion(
        model="openai:gpt-4o-mini",
        messages=[{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT.format(text=text)}],
        response_format=Summary,
        temperature=0,
        max_tokens=400,
    )
    return Summary.model_validate_json(reply.choices[0].message.content)


if __name__ == "__main__":
    print(summarise(sys.stdin.read()).model_dump_json())
