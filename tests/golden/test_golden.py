"""What a person reads: the report on files with many problems, compared with a reviewed copy.

`UPDATE_GOLDEN=1 pytest tests/golden` writes the copies anew; the change is reviewed as a diff.
"""

from pathlib import Path

import pytest
from tests.golden.copies import HERE, same

from runllm import api
from runllm.rendering import Paint, problems_report


@pytest.mark.parametrize("path", sorted(HERE.glob("*.rllm")), ids=lambda path: path.stem)
def test_report(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE)
    report = problems_report(api.validate(path.name).problems, Paint(colour=False)) + "\n"
    same(report, path.with_suffix(".txt"))
