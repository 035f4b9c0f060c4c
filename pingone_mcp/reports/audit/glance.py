"""An access review at a glance: what its charts show, on a page and in a file."""

from __future__ import annotations

from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.reports.audit.charts import Bar, Figure
from pingone_mcp.reports.audit.cover import Cover


def figures_of(cover: Cover) -> list[Figure]:
    """Return the charts of a review, the widest view first."""
    totals = cover.totals
    access = [
        Bar("with access", totals["people_with_access"]),
        Bar(cover.without_access, totals["people_without_access"]),
        *[Bar("outside the question", totals["people_outside_question"])][: totals["people_outside_question"] > 0],
    ]
    flags = [Bar(name, count, note) for name, count, note in cover.flags_in_words()]
    ways = [
        Bar("group, directly", totals["entitlements.group_direct"]),
        Bar("group, indirectly or by filter", totals["entitlements.group_indirect"]),
        Bar("administrator role", totals["entitlements.role"]),
    ]
    largest = [Bar(harmless(held.what.name or held.what.id), held.people, held.kind) for held in cover.largest]
    return [
        Figure("People of the directory", access, whole=True),
        Figure("Deserves a look, people", flags),
        Figure("Entitlements by way", ways),
        *[Figure("Most people have", largest)][: len(largest)],
    ]
