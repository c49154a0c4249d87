"""What `docs/reliability.md` promises is shown by tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent.parent
PAGE = (TESTS.parent / "docs" / "reliability.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)


def test_each_row_names_a_test_that_exists() -> None:
    assert len(NAMED) > 30
    for file, name in NAMED:
        assert f"def {name}(" in (TESTS / file).read_text(encoding="utf-8"), f"{file}::{name}"


def test_each_fault_has_its_test() -> None:
    rows = [line for line in PAGE.split("## What each bound costs")[0].splitlines() if line.startswith("| ")]
    assert all("::test_" in row for row in rows if not row.startswith("| fault |"))
