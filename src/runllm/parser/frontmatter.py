"""The frontmatter as values with their places, and as the typed parts of a program."""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from operator import itemgetter
from typing import Any

from runllm.diagnostics import Span, pointer
from runllm.documents import Mark, Node
from runllm.program import Dependency, Example, ModelSettings, Section, Source, ValueTemplate


class Frontmatter:
    """A frontmatter that has been read. Its typed parts are there once `definition` finds nothing wrong."""

    def __init__(self, source: Source, first_line: int, root: Node) -> None:
        self.source = source
        self.first_line = first_line
        self.root = root
        self.values = dict(root.mapping or {})

    @property
    def format(self) -> str | None:
        """The version of the format that the file names, if it does."""
        stated = self.values.get("rllm")
        return None if stated is None else str(stated)

    def span(self, path: str, *, key: str | None = None) -> Span:
        """Where the value at a JSON Pointer stands in the file, or its `key`."""
        return self.span_of(self.root.mark_of(path, key=key))

    def spans(self, path: str) -> dict[str, Span]:
        """Where each value at and below a JSON Pointer stands, by the pointer from there."""
        top = self.root.at(path)
        return {at: self.span(path + at) for at, _ in top.walk()} if top else {}

    def span_of(self, mark: Mark) -> Span:
        """A mark of the YAML text as a stretch of the file."""
        return self.source.span(self.first_line + mark.line, mark.column + 1, mark.length)

    def key_at(self, line: int) -> str:
        """The top-level key that stands on a line of the file or, before it, nearest to it; empty before the first."""
        return self._top[at - 1][1] if (at := bisect_right(self._top, line, key=itemgetter(0))) else ""

    @cached_property
    def _top(self) -> list[tuple[int, str]]:
        """The line of each top-level key, in the order of the file."""
        return [(self.first_line + mark.line, key) for key, mark in self.root.keys.items()]

    def model_settings(self) -> ModelSettings | None:
        """The `llm` mapping, None when there is none."""
        llm: dict[str, Any] | str | None = self.values.get("llm")
        if llm is None:
            return None
        if isinstance(llm, str):
            return ModelSettings(model=llm, spans={"": self.span("/llm"), "/model": self.span("/llm")})
        instruction = llm.get("schema_instruction", "on")
        known = {key: value for key, value in llm.items() if key not in ("schema_instruction", "fallbacks")}
        return ModelSettings(
            **known,
            fallbacks=tuple(llm.get("fallbacks", ())),
            schema_instruction=instruction in ("on", True),
            spans=self.spans("/llm"),
        )

    def params(self) -> dict[str, Any]:
        """`llm_params`, with compatible spellings translated."""
        params = dict(self.values.get("llm_params") or {})
        if params.pop("format", None) == "json":
            params.setdefault("response_format", {"type": "json_object"})
        return params

    def param_spans(self) -> dict[str, Span]:
        """Where each parameter is named, by its name after translation."""
        node = self.root.at("/llm_params")
        written = {name: self.span_of(mark) for name, mark in node.keys.items()} if node else {}
        return {"response_format" if name == "format" else name: span for name, span in written.items()}

    def dependencies(self) -> tuple[Dependency, ...]:
        """The entries of `uses`, in order."""
        return tuple(
            Dependency(
                name=entry["name"],
                path=entry["path"],
                arguments=self.value_template(f"/uses/{index}/with"),
                for_each=self.value_template(f"/uses/{index}/for_each") if "for_each" in entry else None,
                on_error=entry.get("on_error", "stop"),
                span=self.span(f"/uses/{index}/name"),
                path_span=self.span(f"/uses/{index}/path"),
            )
            for index, entry in enumerate(self.values.get("uses", ()))
        )

    def examples(self) -> tuple[Example, ...]:
        """The few-shot pairs, in order."""
        return tuple(Example(input=e["input"], output=e["output"]) for e in self.values.get("examples", ()))

    def template(self, key: str) -> Section | None:
        """The text of a top-level key as a template, each line with its place."""
        node = self.root.children.get(key)
        return None if node is None or not isinstance(node.value, str) else self._section(node, node.value.rstrip())

    def value_template(self, path: str) -> ValueTemplate:
        """The value at a JSON Pointer, with the place of everything in it; an empty mapping where there is none."""
        top = self.root.at(path)
        inside = list(top.walk()) if top else []
        return ValueTemplate(
            value=top.value if top else {},
            sections={at: self._section(node, node.value) for at, node in inside if isinstance(node.value, str)},
            spans=self.spans(path),
            keys={
                f"{at}{pointer([key])}": self.span_of(mark) for at, node in inside for key, mark in node.keys.items()
            },
        )

    def _section(self, node: Node, text: str) -> Section:
        mark = node.literal or node.mark
        step = 1 if node.literal else 0
        lines = range(text.count("\n") + 1)
        places = tuple((self.first_line + mark.line + n * step, mark.column + 1) for n in lines)
        return Section(text=text, places=places, verbatim=node.literal is not None)
