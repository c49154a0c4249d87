"""The wiring of apps, as cases: see wiring.yaml."""

import json
from pathlib import Path
from typing import Any

import pytest

from runllm import project as projects
from runllm.documents import read
from runllm.program import Plan

CASES = read(Path(__file__).with_name("wiring.yaml").read_text(encoding="utf-8"))[0].value
HEAD = {"description": "A test.", "version": "1.0.0", "author": "me", "max_context_window": 4096}
LLM = {"llm": {"model": "openai/m"}, "llm_params": {}}


def schema(properties: dict[str, Any], optional: Any = (), **more: Any) -> dict[str, Any]:
    """An object schema with these properties, all required but the optional ones, closed unless it says otherwise."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False, **more}


def text(keys: dict[str, Any], body: str) -> str:
    return "\n".join(
        ["---", *(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in keys.items()), "---", body]
    )


def project(case: dict[str, Any], folder: Path) -> Path:
    """Write the files of a case: `top` uses `a`, and also `b` where the case has it."""
    gives = {"gives": {"out": {"type": "string"}}}
    uses: list[dict[str, Any]] = []
    for name in ("b", "a"):
        child = {**gives, **case[name]} if name in case else None
        if child is None:
            continue
        contract = {
            "input_schema": schema(child.get("takes", {}), child.get("optional", ()), **child.get("more", {})),
            "output_schema": child.get("returns") or schema(child["gives"], child.get("not_always", ())),
        }
        keys = {"name": name, **HEAD, **contract, **LLM, **child.get("keys", {})}
        (folder / f"{name}.rllm").write_text(text(keys, "Say something of {{ input }}."), encoding="utf-8")
        uses.append({"name": name, "path": f"./{name}.rllm"})
    uses[-1] |= {key: case[key] for key in ("for_each", "on_error", "with") if key in case}
    taken = case.get("input", {"properties": {}})
    contract = {
        "input_schema": schema(taken["properties"], taken.get("optional", ()), **taken.get("more", {})),
        "output_schema": schema(case["result"]) if "result" in case else case.get("returns", {"type": "object"}),
    }
    built = {"output": case["output"]} if "output" in case else LLM
    path = folder / "top.rllm"
    body = case.get("body", "" if "output" in case else "Say it to {{ input }}.")
    path.write_text(
        text({"name": "top", **case.get("top", {}), **HEAD, **contract, "uses": uses, **built}, body), encoding="utf-8"
    )
    return path


def found_in(case: dict[str, Any], folder: Path) -> tuple[Plan | None, list[dict[str, str]]]:
    """What is found, each with the text that its caret marks."""
    loaded = projects.load(project(case, folder))
    found: list[dict[str, str]] = []
    for problem in loaded.problems:
        assert problem.span is not None
        marked = problem.span.text[problem.span.column - 1 :][: problem.span.length]
        one = {problem.severity: problem.message, "marks": marked}
        found.append({**one, **({"hint": problem.hint} if problem.hint else {})})
    return loaded.plan, found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_wiring(case: dict[str, Any], tmp_path: Path) -> None:
    plan, found = found_in(case, tmp_path)
    assert found == case.get("finds", [])
    assert (plan is None) == any("error" in one for one in found)
