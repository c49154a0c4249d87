"""The first file of somebody who has none yet: small, valid, and meant to be changed."""

from __future__ import annotations

import json
import re
from importlib.resources import files

DEFAULT_MODEL = "local/smollm2-135m"
_LONGEST_NAME = 100


def starter(stem: str, *, author: str, model: str = DEFAULT_MODEL) -> str:
    """The text of a new app.

    Args:
        stem: the name of its file, without the suffix; the app is named after it.
        author: who writes it.
        model: what it calls.
    """
    text = files("runllm").joinpath("starter.rllm").read_text(encoding="utf-8")
    plain = re.fullmatch(r"[\w./:-]+/[\w./-]+", model) is not None
    quoted = {"AUTHOR": json.dumps(author, ensure_ascii=False), "MODEL": model if plain else json.dumps(model)}
    said = {"NAME": slug(stem), **quoted}
    return re.sub("NAME|AUTHOR|MODEL", lambda found: said[found[0]], text)


def slug(stem: str) -> str:
    """A name for an app that resembles the name of a file: lower-case letters, digits, and `_` between them."""
    return re.sub(r"[^a-z0-9]+", "_", stem.lower()).strip("_")[:_LONGEST_NAME].rstrip("_") or "app"
