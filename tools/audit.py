"""Check the pinned dependencies for known vulnerabilities, with pip-audit.

    python tools/audit.py

Exits with 0 where none is known, 1 where one is, 2 where pip-audit is missing or fails otherwise, and 3 where its
advisory service cannot be reached or does not know a package: then nothing is known, which is not the same as
nothing being wrong.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "requirements.lock"
CLEAN, VULNERABLE, FAILED, UNREACHABLE = 0, 1, 2, 3
_PATIENCE = 600
_MOST_NAMES = 5
_NO_NETWORK = re.compile(
    r"(?i)connection ?error|connect timeout|timed? ?out|max retries|name resolution|unreachable|connection refused"
    r"|proxyerror|sslerror|HTTPError|HTTP Error|service ?error|forbidden|bad gateway"
)


def main() -> int:
    """Audit the lock, print what is found, and return the exit status."""
    command = _command()
    if command is None:
        print("audit: pip-audit is not installed: `uv tool install pip-audit`, or `pip install pip-audit`")
        return FAILED
    # The lock is complete and hashed: nothing is resolved, downloaded or built.
    arguments = [
        "--requirement",
        str(LOCK),
        "--require-hashes",
        "--disable-pip",
        "--format",
        "json",
        "--progress-spinner",
        "off",
    ]
    try:
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        print(f"audit: the advisory service did not answer within {_PATIENCE} seconds: nothing is known")
        return UNREACHABLE
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return _failed(done.stderr)
    return report(packages)


def report(packages: list[dict[str, Any]]) -> int:
    """Print the vulnerabilities among packages as pip-audit lists them, and return the exit status."""
    flaws = [(package, flaw) for package in packages for flaw in package.get("vulns", ())]
    for package, flaw in flaws:
        fixed = ", ".join(flaw.get("fix_versions", ())) or "no release"
        print(f"{package['name']} {package.get('version')}: {flaw['id']}, fixed in {fixed}")
    skipped = [package for package in packages if "skip_reason" in package]
    print(f"audit: {len(packages) - len(skipped)} packages checked, {len(flaws)} known vulnerabilities")
    if skipped or not packages:
        names = ", ".join(package["name"] for package in skipped[:_MOST_NAMES])
        reason = skipped[0]["skip_reason"] if skipped else "no package was listed"
        print(f"audit: the service knew nothing of {len(skipped)}, which are not checked: {names} ... ({reason})")
    return VULNERABLE if flaws else UNREACHABLE if skipped or not packages else CLEAN


def _failed(said: str) -> int:
    last = said.strip().splitlines()[-1] if said.strip() else "no reason given"
    if _NO_NETWORK.search(said):
        print(f"audit: the advisory service cannot be reached: nothing is known ({last[:300]})")
        return UNREACHABLE
    print(f"audit: pip-audit failed: {last[:300]}")
    return FAILED


def _command() -> list[str] | None:
    if find_spec("pip_audit") is not None:
        return [sys.executable, "-m", "pip_audit"]
    found = shutil.which("pip-audit")
    return [found] if found else None


if __name__ == "__main__":
    sys.exit(main())
