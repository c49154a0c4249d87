"""An app and those it uses, drawn: each app a node of its own, each value that flows an arrow."""

import re
from typing import Any

import pytest

from runllm.diagrams import mermaid, tree

FIELD = {"name": "text", "type": "string", "required": True}


def app(
    name: str, *uses: dict[str, Any], reads: tuple[str, ...] = (), builds: Any = None, **more: Any
) -> dict[str, Any]:
    """A description, as far as it is drawn."""
    model = None if builds is not None else "openai/m"
    base = {"name": name, "version": "1.0.0", "model": model, "input": [FIELD], "output": [], "repeated": False}
    return {**base, "uses": list(uses), "reads": list(reads), "builds": builds, **more}


def wire(name: str, value: str) -> dict[str, Any]:
    return {"name": name, "value": value, "from": [value]}


def use(
    name: str, child: dict[str, Any], *wires: dict[str, Any], over: str | None = None, on_error: str = "stop"
) -> dict[str, Any]:
    each = {"for_each": over, "on_error": on_error, "for_each_from": [over] if over else []}
    return {"name": name, "path": f"./{child['name']}.rllm", "with": list(wires), "app": child, **each}


def nodes(chart: str) -> list[str]:
    """The id of every node and subgraph that is declared."""
    return re.findall(r"^ *(?:subgraph )?(\w+)[\[(]", chart, re.MULTILINE)


def test_a_chart_shows_each_app_and_what_flows() -> None:
    top = app(
        "top",
        use("split", app("cut", builds=[]), wire("text", "input.text")),
        use("parts", app("summary"), wire("text", "item"), over="uses.split.parts"),
        reads=("uses.parts", "input.text"),
    )
    assert mermaid(top).split("\n") == [
        "flowchart LR",
        '  subgraph app["top"]',
        '    app_in(["input"])',
        '    app_out(["output"])',
        '    app_split["split<br/>no model"]',
        '    app_parts["parts, for each of uses.split.parts<br/>openai/m"]',
        '    app_in -->|"text"| app_split',
        '    app_split -->|"parts → item"| app_parts',
        '    app_body["top<br/>openai/m"]',
        "    app_body --> app_out",
        "    app_parts --> app_body",
        '    app_in -->|"text"| app_body',
        "  end",
    ]


def test_a_chart_of_one_app_is_one_node() -> None:
    assert mermaid(app("top")) == 'flowchart LR\n  app["top<br/>openai/m"]'


def test_an_app_inside_another_is_drawn_inside_it() -> None:
    inner = app("middle", use("c", app("leaf"), wire("text", "input.text")), builds=[wire("out", "uses.c.out")])
    chart = mermaid(app("top", use("m", inner, wire("text", "input.text")), builds=[wire("said", "uses.m.out")]))
    assert '      app_m_in -->|"text"| app_m_c' in chart
    assert '      app_m_c -->|"out"| app_m_out' in chart
    assert '    app_in -->|"text"| app_m_in' in chart
    assert '    app_m_out -->|"out → said"| app_out' in chart


@pytest.mark.parametrize("names", [("in", "out", "body", "in_"), ("a_b", "a", "a_"), ("a_in", "a", "a_in_c")])
def test_no_two_nodes_are_one_whatever_the_names(names: tuple[str, ...]) -> None:
    """Each uses `c` and `b_c`: names put together come out the same, and so do names and `in`, `out`, `body`."""
    uses = [use(name, app("leaf", use("c", app("leaf")), use("b_c", app("leaf")))) for name in names]
    found = nodes(mermaid(app("top", *uses)))
    assert len(found) == len(set(found)) == 4 + 6 * len(names)


def test_what_a_label_says_is_not_taken_for_mermaid() -> None:
    chart = mermaid(app("top", use("a", app("leaf"), over='"<b>#1&\n"')))
    assert 'app_a["a, for each of &quot;&lt;b>#35;1&amp; &quot;<br/>openai/m"]' in chart


def test_a_tree_shows_what_is_used_below_what_uses_it() -> None:
    inner = app("middle", use("c", app("leaf"), wire("text", "input.text")))
    again = {**app("middle"), "repeated": True}
    top = app(
        "top", use("m", inner, wire("text", "input.text")), use("n", again, wire("text", "item"), over="input.all")
    )
    assert tree(top) == [
        "├─ m = middle 1.0.0 (./middle.rllm)",
        "│  │  (text: string) → ()",
        "│  │  text ← input.text",
        "│  └─ c = leaf 1.0.0 (./leaf.rllm)",
        "│        (text: string) → ()",
        "│        text ← input.text",
        "└─ n = middle 1.0.0 (./middle.rllm, as above) for each of input.all",
        "      (text: string) → ()",
        "      text ← item",
    ]


@pytest.mark.parametrize(
    ("on_error", "said"), [("stop", ""), ("skip", ", without those that fail"), ("keep", ", null where it fails")]
)
def test_a_tree_says_what_becomes_of_an_item_that_fails(on_error: str, said: str) -> None:
    line, *_ = tree(app("top", use("a", app("leaf"), over="input.all", on_error=on_error)))
    assert line == f"└─ a = leaf 1.0.0 (./leaf.rllm) for each of input.all{said}"


def test_what_pre_blocks_make_has_a_node_with_its_arrows() -> None:
    top = app("top", use("part", app("child"), wire("text", "vars.short")), reads=("uses.part.out", "vars.short"))
    chart = mermaid(top)
    assert '    app_vars(["vars"])' in chart.split("\n")
    assert '    app_vars -->|"short → text"| app_part' in chart.split("\n")
    assert '    app_vars -->|"short"| app_body' in chart.split("\n")
    assert "app_vars" not in mermaid(app("top", use("part", app("child"), wire("text", "input.vars"))))
