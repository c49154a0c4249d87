"""An app as a tool: what another model is told of it, and its contract as the protocol wants it.

What a file says of itself is read by that model, and nobody looks at it before: its words are shown as they are, but
they hold nothing that a reader does not see, and come to an end.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from mcp_types import CallToolResult, TextContent, Tool, ToolAnnotations

from runllm.app import App
from runllm.schema import VALUE, is_object, object_of, reworded
from runllm.terminal import visible

_LONGEST_NAME = 64  # clients take no longer one


def name_of(app: App) -> str:
    """The name of an app as clients take it: `^[a-zA-Z0-9_-]{1,64}$`."""
    if len(app.name) <= _LONGEST_NAME:
        return app.name
    return f"{app.name[: _LONGEST_NAME - 9]}-{sha256(app.name.encode()).hexdigest()[:8]}"


def tool_of(app: App, *, trusted: bool = False) -> Tool:
    """An app as a tool.

    Args:
        app: what it runs.
        trusted: whether its Python runs without the sandbox, and so may change what it likes.
    """
    said = visible((app.program.description or "").strip())
    return Tool(
        name=name_of(app),
        title=app.name.replace("-", " ").replace("_", " ").capitalize(),
        description=said or f"Runs the LLM app `{app.name}`.",
        input_schema=_told(app.program.input.schema),
        output_schema=_told(app.program.output_contract.schema),
        annotations=ToolAnnotations(read_only_hint=not trusted, open_world_hint=True),
    )


def _told(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema whose root says that it is of an object; what is none stands in one."""
    found = reworded(schema, visible)
    return {"type": "object", **found} if is_object(schema) else dict(object_of({VALUE: found}))


def answered(app: App, output: Any) -> CallToolResult:
    """What a run gave, as the result of its tool: as JSON, and as text for who takes no other."""
    text = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)
    structured = output if is_object(app.program.output_contract.schema) else {VALUE: output}
    return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=structured)


def failed(problem: Mapping[str, Any]) -> CallToolResult:
    """Why there is no output, as a model reads it.

    Args:
        problem: as `runllm.serve.refusals` makes it.
    """
    faults = [f"- {one['pointer'] or '(the whole)'}: {one['message']}" for one in problem.get("problems", ())]
    hint = problem.get("hint", "")
    lines = [f"{problem['code']}: {problem['message']}", *faults, "" if "`runllm " in hint else hint]  # no shell there
    text = "\n".join(filter(None, lines))
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)
