"""What stands in the file of a review beside who has what: the drift of an application, or what is odd about rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pingone_mcp.reports.audit.charts import Figure
from pingone_mcp.reports.audit.tickets import FindingLine


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingsShown:
    """Findings of one kind: what they mean, how many there are in all, and the first lines, or all (`is_whole`).

    A finding may have several lines.
    """

    means: str
    total: int
    lines: Sequence[FindingLine]
    is_whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewSection:
    """A part of the file: its title, sentences about it, what is not known, a chart, and findings by kind."""

    title: str
    said: Sequence[str]
    gaps: Sequence[str] = ()
    figures: Sequence[Figure] = ()
    findings: Sequence[FindingsShown] = ()
