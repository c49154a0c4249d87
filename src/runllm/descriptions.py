"""What a plan says, as JSON for people and programs to read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, cast

from runllm import template
from runllm.diagnostics import pointer
from runllm.errors import TemplateError
from runllm.program import Dependency, Plan, Program, Section, ValueTemplate
from runllm.project.flow import expression
from runllm.schema import Contract, Schema, is_object, resolve

_DEEPEST = 4  # lists within lists that a type names


def description(plan: Plan) -> dict[str, Any]:
    """A program, its contract and its parts; each app that it uses in the same form, with what flows into it.

    What an app uses is described where the app is met first; elsewhere its `repeated` is true and its `uses` empty.
    """
    return _described(plan, set())


def _described(plan: Plan, met: set[Plan]) -> dict[str, Any]:
    program = plan.program
    repeated = plan in met and bool(plan.children)
    met.add(plan)
    model = program.model
    return {
        "name": program.name,
        "version": program.version,
        "description": program.description,
        "author": program.author,
        "path": str(program.path) if program.path else None,
        "digest": program.digest,
        "model": model.model if model and program.output is None else None,
        "fallbacks": list(model.fallbacks) if model else [],
        "llm_params": dict(program.params),
        "max_context_window": program.max_context_window,
        "input_schema": program.input.schema,
        "output_schema": program.output_contract.schema,
        "input": fields(program.input),
        "output": fields(program.output_contract),
        "builds": _wires(program.output) if program.output else None,
        "reads": _reads(_sections(program).values()),
        "uses": [] if repeated else [_used(dependency, plan, met) for dependency in program.uses],
        "repeated": repeated,
        "blocks": [{"phase": b.phase, "name": b.name, "line": b.line} for b in program.blocks],
        "examples": len(program.examples),
        "sections": [name for name, part in _sections(program).items() if part and part.text],
        "tags": list(program.tags),
        "recommended_models": list(program.recommended_models),
        "metadata": dict(program.metadata),
    }


def fields(contract: Contract) -> list[dict[str, Any]]:
    """Each declared property of a contract: name, type, whether it is required, default, description.

    A contract of other values than objects has one without a name.
    """
    whole = contract.schema
    if not is_object(whole):
        node = resolve(whole, whole)
        said = node.get("description", node.get("title", ""))
        kind = _type_of(whole, node)
        return [{"name": "", "type": kind, "required": True, "default": None, "description": said}]
    return [
        {
            "name": name,
            "type": _type_of(contract.schema, schema),
            "required": name in contract.required,
            "default": schema.get("default"),
            "description": schema.get("description", schema.get("title", "")),
        }
        for name, schema in contract.properties.items()
    ]


def _used(dependency: Dependency, plan: Plan, met: set[Plan]) -> dict[str, Any]:
    over = dependency.for_each
    return {
        "name": dependency.name,
        "path": dependency.path,
        "for_each": _shown(over.value) if over else None,
        "on_error": dependency.on_error if over else None,
        "for_each_from": _reads(over.sections.values()) if over else [],
        "with": _wires(dependency.arguments),
        "needs": sorted(plan.needs[dependency.name]),
        "app": _described(plan.children[dependency.name], met),
    }


def _wires(template: ValueTemplate) -> list[dict[str, Any]]:
    """What each key gets: the value as it is written, and the paths that it is made of."""
    value: Any = template.value
    if not isinstance(value, dict):
        return [{"name": "output", "value": _shown(value), "from": _reads(template.sections.values())}]
    wires: list[dict[str, Any]] = []
    for name, inner in cast("dict[str, Any]", value).items():
        under = [section for at, section in template.sections.items() if f"{at}/".startswith(f"{pointer([name])}/")]
        wires.append({"name": name, "value": _shown(inner), "from": _reads(under)})
    return wires


def _shown(value: Any) -> str:
    """A value as its author would say it: an expression without its braces, anything else as JSON."""
    if isinstance(value, str) and template.form(value) == "expression":
        return expression(value)
    return json.dumps(value, ensure_ascii=False)


def _reads(sections: Iterable[Section | None]) -> list[str]:
    """The paths that templates read, each once; a list is left where its items are read."""
    found: dict[str, None] = {}
    for section in sections:
        try:
            references = template.references(section.text) if section else []
        except TemplateError:
            references = []
        for reference in references:
            steps = [str(step) for step in reference.path if isinstance(step, str)]
            found[".".join(steps)] = None
    return list(found)


def _type_of(root: Schema, schema: Schema, depth: int = 0) -> str:
    if "enum" in schema:
        return " | ".join(v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for v in schema["enum"])
    declared = schema.get("type", "any")
    if declared == "array" and "items" in schema and depth < _DEEPEST:
        return f"list of {_type_of(root, resolve(root, schema['items']), depth + 1)}"
    return declared if isinstance(declared, str) else " | ".join(declared)


def _sections(program: Program) -> dict[str, Section | None]:
    return {"SYSTEM": program.system, "USER": program.prompt, "RECOVERY": program.recovery}
