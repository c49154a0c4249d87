"""The picture of the README shows what its commands print today."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "capture.py"


@pytest.fixture(scope="module")
def capture() -> ModuleType:
    spec = importlib.util.spec_from_file_location("capture", TOOL)
    assert spec
    assert spec.loader
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_the_picture_is_what_the_commands_print(capture: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer of the model, below, is not asked for again."""
    picture = capture.PICTURE.read_text("utf-8")
    assert not capture.stale(picture)
    assert "Did you mean `message`?" in picture
    assert "Two red curtains" in picture
    monkeypatch.setattr(capture, "FILE", capture.FILE.replace("name: subject", "name: other"))
    assert capture.stale(picture)
