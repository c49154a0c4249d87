"""What came of tests as JUnit XML, for CI services: a suite for each file and model, a test case for each run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, SubElement, tostring

from runllm.diagnostics import errors_in
from runllm.redaction import redact_text
from runllm.report.tests import Found, models_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runllm.evals.figures import Tried
    from runllm.evals.groups import Group

_UNFIT = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold: https://www.w3.org/TR/xml/#charsets"""


def as_junit(found: Found) -> str:
    """The document, secrets masked."""
    root = Element("testsuites")
    for group, tried in found:
        for model, name in (models_of(tried) or {"": ""}).items():
            _suite(root, group, name, [one for one in tried if one.model == model])
    for total in ("tests", "failures", "errors", "skipped"):
        root.set(total, str(sum(int(one.get(total, "0")) for one in root)))
    return tostring(root, encoding="utf-8", xml_declaration=True).decode() + "\n"


def _suite(root: Element, group: Group, model: str, ran: Sequence[Tried]) -> None:
    suite = SubElement(root, "testsuite", name=_fit(f"{group.path} {model}".strip()))
    for one in ran:
        name = f"{one.case.name} [{one.number}]" if one.number > 1 else one.case.name
        case = _case(suite, group, name, one.took)
        if one.result is None:
            SubElement(case, "error", message=_fit(f"not run: {one.misses[0]}"))
        elif not one.passed:
            SubElement(case, "failure", message=_fit(one.misses[0])).text = _fit("\n".join(one.misses))
    for skipped in group.skipped:
        SubElement(_case(suite, group, skipped.name), "skipped", message=_fit(skipped.skip))
    wrong = errors_in(group.problems)
    if wrong:
        SubElement(_case(suite, group, "validate"), "error", message=_fit(str(wrong[0])))
    unrun = sum(one.result is None for one in ran)
    counts = {"tests": len(suite), "failures": sum(not one.passed for one in ran) - unrun}
    counts |= {"errors": int(bool(wrong)) + unrun, "skipped": len(group.skipped)}
    for total, count in counts.items():
        suite.set(total, str(count))
    suite.set("time", f"{sum(one.took for one in ran):.3f}")


def _case(suite: Element, group: Group, name: str, took: float = 0.0) -> Element:
    return SubElement(suite, "testcase", classname=_fit(group.path), name=_fit(name), time=f"{took:.3f}")


def _fit(text: str) -> str:
    """What XML may hold of a text, secrets masked."""
    return _UNFIT.sub("\ufffd", redact_text(text))
