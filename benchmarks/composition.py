"""What composing costs beside the model calls: loading and running graphs of apps, with an engine that answers at once.

    python benchmarks/composition.py

Graphs: `chain` (each app feeds the next), `fan` (one app uses all others), `layers` (each app of a layer uses all
of the layer below). Medians of interleaved rounds, in milliseconds, in one process; nothing is cached between rounds.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from runllm import project
from runllm.executor import run
from runllm.routing import Options
from runllm.runtime import Runtime
from runllm.testing import ScriptedEngine

ROUNDS = 15
NODES = 50
HEAD = """---
name: {name}
description: One of many.
version: 1.0.0
author: me
max_context_window: 8192
input_schema:
  type: object
  properties:
    text: {{type: string, minLength: 1, description: What to read.}}
    limit: {{type: integer, minimum: 1, maximum: 20, default: 5}}
  required: [text]
  additionalProperties: false
output_schema:
  type: object
  properties: {{out: {{type: string, minLength: 1}}, points: {{type: array, items: {{type: string}}}}}}
  required: [out, points]
  additionalProperties: false
"""
ANSWER = '{"out": "one", "points": ["a", "b"]}'


def app(folder: Path, name: str, uses: list[str], *, chained: bool = False) -> Path:
    """An app that uses others, side by side or each fed by the one before."""
    entries: list[str] = []
    for n, used in enumerate(uses):
        text = f"uses.d{n - 1}.out" if chained and n else "input.text"
        entries.append(
            f'  - {{name: d{n}, path: ./{used}.rllm, with: {{text: "{{{{ {text} }}}}", limit: {n % 20 + 1}}}}}'
        )
    listed = "uses:\n" + "\n".join(entries) + "\n" if uses else ""
    reads = "".join(f"{{{{ uses.d{n}.out }}}}" for n in range(len(uses)))
    body = f"llm: {{model: openai/m}}\nllm_params: {{temperature: 0}}\n---\nRead {{{{ input.text }}}} {reads}\n"
    path = folder / f"{name}.rllm"
    path.write_text(HEAD.format(name=name) + listed + body, encoding="utf-8")
    return path


def graphs(folder: Path) -> dict[str, Path]:
    """Three graphs of `NODES` apps each, by their first file."""
    leaves = [app(folder, f"leaf{n}", []).stem for n in range(NODES - 1)]
    chain = app(folder, "chain", leaves, chained=True)
    fan = app(folder, "fan", leaves)
    below: list[str] = []
    for layer in range(7):
        below = [app(folder, f"l{layer}n{n}", below).stem for n in range(7)]
    return {"chain": chain, "fan": fan, "layers": app(folder, "layers", below)}


def milliseconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def main() -> None:
    """Print a table."""
    with tempfile.TemporaryDirectory() as name, Runtime(engine=ScriptedEngine(lambda _: ANSWER)) as runtime:
        paths = graphs(Path(name))
        single = app(Path(name), "single", [])
        times: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            for kind, path in {**paths, "one app": single}.items():
                loaded = project.load(path)
                plan = loaded.plan
                if plan is None:
                    raise SystemExit(str(loaded.problems))
                times.setdefault(f"{kind}: load", []).append(milliseconds(lambda path=path: project.load(path)))
                ran = milliseconds(lambda plan=plan: run(plan, {"text": "a"}, Options(), runtime))
                times.setdefault(f"{kind}: run", []).append(ran)
        for what, found in times.items():
            print(f"{what:<16} {statistics.median(found):8.2f} ms   (fastest {min(found):.2f})")


if __name__ == "__main__":
    main()
