"""The gallery: apps to begin with, each a few files of this package, under the name of the file that they become."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import partial
from importlib.resources import files

MODEL = "local/smollm2-135m"
"""The model that all of them name, and that answered what they have recorded."""
NAMES: Mapping[str, str] = {
    "classify": "sort a message by what it is about",
    "extract": "take the facts out of a message",
    "summarise": "sum up a text, with its key points",
    "draft": "draft a reply from what it must say",
    "translate": "translate a text",
    "route": "find out what a message is about, and have the app for that answer",
    "judge": "judge an answer to a question",
}
"""What there is, and what each does."""
_LONGEST_NAME = 100


def files_of(name: str, stem: str, *, model: str = MODEL) -> dict[str, str]:
    """The files of an app of the gallery: the name of each, and its text. The app itself comes last.

    What was recorded is left out where another model is named: it answered none of that.

    Args:
        name: one of `NAMES`.
        stem: of the file that the app becomes, without its suffix; the others are named after it.
        model: what the app, and those that it uses, call.
    """
    found: dict[str, str] = {}
    for file in files("runllm.gallery").iterdir():
        mine = re.match(rf"{name}(?=[._])", file.name)
        if mine and (model == MODEL or not file.name.endswith(".cassette.yaml")):
            text = file.read_text(encoding="utf-8")
            found[stem + file.name[mine.end() :]] = _renamed(text, name, stem, model) if _is_app(file.name) else text
    return dict(sorted(found.items(), key=lambda one: (one[0] == f"{stem}.rllm", one[0])))


def starter(stem: str, *, model: str = MODEL) -> str:
    """The text of a small app, alone in its file; see `files_of`."""
    text = files("runllm.making").joinpath("starter.rllm").read_text(encoding="utf-8")
    return _renamed(text, "starter", stem, model)


def slug(stem: str) -> str:
    """A name for an app that resembles the name of a file: lower-case letters, digits, and `_` between them."""
    return re.sub(r"[^a-z0-9]+", "_", stem.lower()).strip("_")[:_LONGEST_NAME].rstrip("_") or "app"


def calling(model: str) -> str:
    """The lines of a file that say which model it calls, the same way each time where the model can be told so."""
    said = model if re.fullmatch(r"[\w./:-]+/[\w./-]+", model) else json.dumps(model, ensure_ascii=False)
    return f"llm: {said}\n" + ("llm_params: { temperature: 0 }\n" if _takes_temperature(model) else "")


def _is_app(file: str) -> bool:
    return file.endswith(".rllm")


def _renamed(text: str, name: str, stem: str, model: str) -> str:
    """An app of the gallery under another name; those that it uses are called after it."""
    text = re.sub(rf"(?m)^name: {name}(\w*)$", lambda found: f"name: {slug(stem + found[1])}", text)
    text = re.sub(rf"(?m)(?<=path: )\./{name}(_\w+\.rllm)$", partial(_path, stem), text)
    if model == MODEL:
        return text
    said, *params = calling(model).splitlines()
    text = text.replace(f"llm: {MODEL}", said)
    return text if params else re.sub(r"(?m)^llm_params: .*\n", "", text)


def _path(stem: str, found: re.Match[str]) -> str:
    path = f"./{stem}{found[1]}"
    return path if re.fullmatch(r"[\w./-]+", path) else json.dumps(path, ensure_ascii=False)


def _takes_temperature(model: str) -> bool:
    if model.startswith("local/"):
        return True
    from runllm.engines.parameters import fit  # few name another model
    from runllm.results import Endpoint, Request

    return not fit(Request(endpoint=Endpoint(model=model), messages=(), params={"temperature": 0})).misfits
