"""What came of tests, as one page for a browser: no script, nothing fetched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from runllm.evals.figures import figures
from runllm.redaction import redact_text
from runllm.report.columns import shown
from runllm.report.markup import Markup, tag
from runllm.report.page import document
from runllm.report.tests import FIGURES, Found, cells_of, models_of, state, totals

if TYPE_CHECKING:
    from runllm.evals.figures import Tried
    from runllm.evals.groups import Group


def as_page(found: Found, made: float) -> str:
    """A whole HTML page: no script, nothing fetched.

    Args:
        found: what came of the tests.
        made: now, in Unix seconds.
    """
    ended = str(totals(found))
    header = tag("header", tag("p", "runllm test", class_="kind"), tag("h1", ended))
    return document(f"{ended} · runllm test", header, tag("main", [_section(*one) for one in found]), made)


def _section(group: Group, tried: Sequence[Tried]) -> Markup:
    models, cells = models_of(tried), cells_of(tried)
    head = tag("tr", tag("th", "case"), [tag("th", shown(name)) for name in models.values()])
    rows = [
        tag("tr", tag("th", shown(case.name)), [tag("td", _page_cell(cells.get((case.name, m), []))) for m in models])
        for case in group.cases
    ]
    sums = [figures([one for one in tried if one.model == model]) for model in models]
    rows += [tag("tr", tag("th", name), [tag("td", show(one)) for one in sums]) for name, show in FIGURES.items()]
    wrong = [tag("p", shown(str(problem)), class_="note") for problem in group.problems]
    return tag("section", tag("h2", shown(group.path)), wrong, tag("table", head, rows))


def _page_cell(runs: Sequence[Tried]) -> list[Markup]:
    misses = dict.fromkeys(miss for one in runs for miss in one.misses)
    return [tag("p", state(runs)), *(tag("pre", shown(redact_text(miss))) for miss in misses)]
