"""Write a JSON value as YAML that means the same to every reader."""

from __future__ import annotations

import re
from typing import Any

_YAML_NUMBER = r"(?:0o[0-7]+|[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)\Z"
_YAML_BREAK = r"[\x85\u2028\u2029]"


def as_yaml(value: Any) -> str:
    """A JSON value as YAML, keys in their order. Read as YAML 1.1 or 1.2, it is the same value."""
    import yaml  # only for those who ask for YAML

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            del data
            return True  # what stands twice is written twice

    def text(dumper: yaml.SafeDumper, data: str) -> yaml.Node:
        style = "|" if "\n" in data and not data.endswith((" ", "\t")) else None
        if re.search(_YAML_BREAK, data):
            style = '"'
        return dumper.represent_scalar("tag:yaml.org,2002:str", data, style=style)  # pyright: ignore[reportUnknownMemberType]

    Dumper.add_representer(str, text)
    resolvers: Any = Dumper
    resolvers.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(_YAML_NUMBER), list("+-.0123456789"))
    return (
        yaml.dump(value, Dumper=Dumper, allow_unicode=True, sort_keys=False, width=100)
        .rstrip("\n")
        .removesuffix("\n...")
    )
