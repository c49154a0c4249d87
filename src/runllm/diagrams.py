"""Draw an app and those it uses, from their description: as a tree of text, and as a Mermaid flow chart."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

Description: TypeAlias = "Mapping[str, Any]"
_NOT_MERMAID = re.compile(r'[\x00-\x1f#&"<]')
_FAILED = {"stop": "", "skip": ", without those that fail", "keep": ", null where it fails"}
_WRITTEN = {"#": "#35;", "&": "&amp;", '"': "&quot;", "<": "&lt;"}


def tree(app: Description) -> list[str]:
    """The apps that an app uses, each with its contract and with what flows into it, one line each."""
    return list(_branches(app, ""))


def _branches(app: Description, margin: str) -> Iterator[str]:
    uses = app["uses"]
    for number, used in enumerate(uses):
        last = number == len(uses) - 1
        inner = margin + ("   " if last else "│  ")
        child = used["app"]
        times = f" for each of {used['for_each']}{_FAILED[used['on_error']]}" if used["for_each"] else ""
        branch = f"{margin}{'└─' if last else '├─'} {used['name']}"
        again = ", as above" if child["repeated"] else ""
        yield f"{branch} = {child['name']} {child['version']} ({used['path']}{again}){times}"
        below = inner + ("│  " if child["uses"] else "   ")
        yield f"{below}{_signature(child)}"
        for wire in used["with"]:
            yield f"{below}{wire['name']} ← {wire['value']}"
        yield from _branches(child, inner)


def _signature(app: Description) -> str:
    def side(fields: list[dict[str, Any]]) -> str:
        named = ((f"{f['name']}{'' if f['required'] else '?'}: " if f["name"] else "", f["type"]) for f in fields)
        return ", ".join(f"{name}{kind}" for name, kind in named)

    return f"({side(app['input'])}) → ({side(app['output'])})"


def mermaid(app: Description) -> str:
    """A flow chart in Mermaid's language: what flows from the input through each app to the output."""
    lines = ["flowchart LR"]
    chart = _Chart()
    lines += [f"  {line}" for line in chart.app(app, chart.key("app"), app["name"])]
    return "\n".join(lines)


class _Chart:
    """Writes the nodes and arrows of one app inside another."""

    def __init__(self) -> None:
        self.taken: set[str] = set()

    def key(self, wanted: str) -> str:
        """What a node is called: as wanted, unless names that are put together come out the same."""
        nodes = {wanted, *(f"{wanted}_{own}" for own in ("in", "vars", "out", "body"))}
        if not nodes.isdisjoint(self.taken):
            return self.key(f"{wanted}_")
        self.taken |= nodes
        return wanted

    def app(self, app: Description, key: str, title: str) -> Iterator[str]:
        if not app["uses"]:
            yield f'{key}["{_label(title)}<br/>{_label(_model(app))}"]'
            return
        yield f'subgraph {key}["{_label(title)}"]'
        yield f'  {key}_in(["input"])'
        yield f'  {key}_out(["output"])'
        yield from [f'  {key}_vars(["vars"])'] if _reads_vars(app) else []
        inside = {used["name"]: self.key(f"{key}_{used['name']}") for used in app["uses"]}
        for used in app["uses"]:
            for line in self.app(used["app"], inside[used["name"]], _title(used)):
                yield f"  {line}"
        for used in app["uses"]:
            over: Description = {"name": "item", "from": used["for_each_from"]}
            for wire in (over, *used["with"]):
                for line in self.arrows(wire["from"], inside, app, key, _entry(used, inside), wire["name"]):
                    yield f"  {line}"
        body = f"{key}_out" if app["builds"] is not None else f"{key}_body"
        if app["builds"] is None:
            yield f'  {body}["{_label(app["name"])}<br/>{_label(_model(app))}"]'
            yield f"  {body} --> {key}_out"
        for path, name in self.outputs(app):
            for line in self.arrows([path], inside, app, key, body, name):
                yield f"  {line}"
        yield "end"

    def outputs(self, app: Description) -> Iterator[tuple[str, str]]:
        """Each path that the app itself reads, with what it makes of it."""
        if app["builds"] is not None:
            yield from ((path, wire["name"]) for wire in app["builds"] for path in wire["from"])
        else:
            yield from ((path, "") for path in app["reads"])

    def arrows(
        self, paths: list[str], inside: Mapping[str, str], app: Description, key: str, target: str, name: str
    ) -> Iterator[str]:
        for path in paths:
            root, _, rest = path.partition(".")
            used, _, field = rest.partition(".")
            if root == "uses" and used in inside:
                child = next(one for one in app["uses"] if one["name"] == used)
                source, said = _exit(child, inside), field
            elif root in ("input", "vars"):
                source, said = f"{key}_{'in' if root == 'input' else root}", rest
            else:
                continue
            label = f"{said} → {name}" if name and said and said != name else name or said
            yield f'{source} -->|"{_label(label)}"| {target}' if label else f"{source} --> {target}"


def _reads_vars(app: Description) -> bool:
    """Whether an app reads what its `pre` blocks make, for itself or for those it uses."""
    paths: list[str] = [path for wire in app["builds"] for path in wire["from"]] if app["builds"] else [*app["reads"]]
    for used in app["uses"]:
        paths += [*used["for_each_from"], *(path for wire in used["with"] for path in wire["from"])]
    return any(path.partition(".")[0] == "vars" for path in paths)


def _entry(used: Description, inside: Mapping[str, str]) -> str:
    key = inside[used["name"]]
    return f"{key}_in" if used["app"]["uses"] else key


def _exit(used: Description, inside: Mapping[str, str]) -> str:
    key = inside[used["name"]]
    return f"{key}_out" if used["app"]["uses"] else key


def _title(used: Description) -> str:
    return f"{used['name']}, for each of {used['for_each']}" if used["for_each"] else used["name"]


def _model(app: Description) -> str:
    return app["model"] or ("your own model" if app["builds"] is None else "no model")


def _label(text: str) -> str:
    """Text that Mermaid cannot take for its own signs."""
    return _NOT_MERMAID.sub(lambda found: _WRITTEN.get(found[0], " "), text)
