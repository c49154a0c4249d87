"""Check the Python blocks of a program before they run: what they see, what they give, and their types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runllm import templates
from runllm.blocks import checking
from runllm.blocks.phases import returned
from runllm.diagnostics import Problem, did_you_mean
from runllm.program import Block, Program, vars_schema
from runllm.schema import Scope, inlined, schema_at

_RESULT = {"type": "object"}


def block_problems(program: Program, uses: Scope, *, trusted: bool = False) -> list[Problem]:
    """Every problem of the blocks, each with its place in the file.

    Args:
        program: whose blocks are checked.
        uses: what they may read of the apps that are used: each `uses.NAME` with its schema.
        trusted: whether they will run in real Python, of which the sandbox's checker knows only a part: then
            what they see and give is checked, and not their code.
    """
    found: list[Problem] = []
    for index, block in enumerate(program.blocks):
        scope = _scope(program, uses, program.blocks[:index], block)
        paths = list(_path_problems(program, block, scope))
        found += paths
        found += _output_problems(program, block)
        if not paths and not trusted:
            found += _type_problems(program, block, scope)
    return found


def _scope(program: Program, uses: Scope, before: Sequence[Block], block: Block) -> Scope:
    """What a block may see: each name with the schema of what it holds."""
    earlier = before if block.phase == "pre" else program.blocks
    scope: Scope = {"input": program.input.schema, **uses, "vars": vars_schema(earlier)}
    if block.phase != "pre":
        scope["output"] = program.output_contract.schema
    return scope


def _path_problems(program: Program, block: Block, scope: Scope) -> Iterator[Problem]:
    """Declared inputs that cannot exist, each at its place in the fence."""
    for path in block.inputs or ():
        for finding in templates.findings(f"{{{{ {path} }}}}", scope):
            yield _at_fence(program, block, finding.message, f"inputs={path}", finding.hint)


def _output_problems(program: Program, block: Block) -> Iterator[Problem]:
    """Declared outputs that the phase has no use for."""
    schema = program.output_contract.schema
    for name in block.outputs or ():
        if block.phase == "check":
            yield _at_fence(program, block, f"a check block gives nothing: `{name}` is not read", f"outputs={name}",
                            "State what must hold with `assert`.")  # fmt: skip
        elif (
            block.phase == "post" and schema_at(schema, [name]) is None and schema.get("additionalProperties") is False
        ):
            known = list(program.output_contract.properties)
            message = f"`output_schema` has no property `{name}`"
            yield _at_fence(program, block, message, f"outputs={name}", did_you_mean(name, known))


def _at_fence(program: Program, block: Block, message: str, setting: str, hint: str) -> Problem:
    """A problem at one name of a setting of the fence, given as `inputs=NAME` or `outputs=NAME`."""
    number = block.line - 1
    line = program.source.line(number)
    key, _, name = setting.partition("=")
    start = line.find(f"{key}=") if f"{key}=" in line else line.find(key)
    at = line.find(name, start + len(key))
    while at >= 0 and not _stands_alone(line, at, at + len(name)):
        at = line.find(name, at + 1)
    span = program.source.span(number, max(1, at + 1), len(name))
    return Problem(message=message, keyword="python", kind="PythonBlockExecutionError", span=span, hint=hint)


def _stands_alone(line: str, start: int, end: int) -> bool:
    """Whether what stands there is a whole name or path, and no part of a longer one."""
    around = line[max(0, start - 1) : start] + line[end : end + 1]
    return not any(char in {".", "_"} or char.isalnum() for char in around)


def _type_problems(program: Program, block: Block, scope: Scope) -> Iterator[Problem]:
    for finding in checking.check(block.code, _names(block, scope), _outputs(program, block), name=block.name):
        yield Problem(
            message=f"{block.phase} block `{block.name}`: {finding.message}",
            keyword="python",
            kind="PythonBlockExecutionError",
            span=program.source.span(block.line + finding.line - 1, finding.column, finding.length),
            hint=finding.hint,
            severity=finding.severity,
        )


def _names(block: Block, scope: Scope) -> Scope:
    """The locals of the block with their schemas."""
    if block.inputs is not None:
        return {path.rpartition(".")[2]: _schema_of(path, scope) for path in block.inputs}
    whole: dict[str, Mapping[str, Any]] = {name: inlined(schema or {}) for name, schema in scope.items()}
    used = {name.partition(".")[2]: whole.pop(name) for name in list(whole) if name.startswith("uses.")}
    if used:
        whole["uses"] = _object_of(used)
    context = _object_of(whole)
    return {"context": context, **({"result": _RESULT} if returned(block) == ("result",) else {})}


def _object_of(parts: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": parts, "required": list(parts), "additionalProperties": False}


def _schema_of(path: str, scope: Scope) -> Mapping[str, Any] | None:
    steps = path.split(".")
    name = next((name for name in (".".join(steps[:2]), steps[0]) if name in scope), "")
    schema = scope.get(name)
    return None if schema is None else schema_at(schema, steps[name.count(".") + 1 :])


def _outputs(program: Program, block: Block) -> Scope:
    """What is read back, each with the schema that it must fit."""
    if block.phase != "post" or block.outputs is None:
        return dict.fromkeys(returned(block))
    return {name: _required(program, name) for name in block.outputs}


def _required(program: Program, name: str) -> Mapping[str, Any] | None:
    """The schema of an output property that is given: present, so never null for being absent."""
    schema = program.output_contract.schema
    return schema_at({**schema, "required": [*schema.get("required", ()), name]}, [name])
