"""Drift as pages: the rosters of a connection, and what an application says that the directory does not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from pingone_mcp.errors import Refused
from pingone_mcp.reports.audit.charts import Bar, Figure
from pingone_mcp.reports.drift import KINDS
from pingone_mcp.reports.finding_rows import DRIFT_MEANS, drift_row_count, drift_rows
from pingone_mcp.service.browsing.words import ago
from pingone_mcp.service.jobs import JobProgress
from pingone_mcp.service.reviews.finding_files import SheetFormat, write_drift
from pingone_mcp.service.reviews.found import DriftFound, look_at_drift
from pingone_mcp.service.reviews.made_files import FileWanted
from pingone_mcp.tasks import in_thread
from pingone_mcp.web.pages.browsing.copied import given, of_copy
from pingone_mcp.web.pages.charts import bar_charts
from pingone_mcp.web.pages.page import PageView, SitePage
from pingone_mcp.web.pages.reviewing.files import file_pages
from pingone_mcp.web.pages.reviewing.findings import begins, shown_rows
from pingone_mcp.web.pages.reviewing.looking import Looking, looking

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pingone_mcp.reports.drift import Drift, Kind
    from pingone_mcp.reports.export import FileFormat, Manifest
    from pingone_mcp.service.files.rosters import Accounts
    from pingone_mcp.service.reviews.finding_files import Put
    from pingone_mcp.service.reviews.made_files import ReviewFiles
    from pingone_mcp.service.rosters.keeping import RosterKeeping
    from pingone_mcp.web.pages.page import Visit

_PATH = "/c/{connection}/reviews/drift"
_FORMATS: tuple[FileFormat, ...] = ("csv", "xlsx")
_LONGEST_STEM = 40
_MOST_LISTED = 200


class DriftPages:
    """Shows rosters and their drift; `rosters` knows those that were pushed or pulled."""

    def __init__(self, files: ReviewFiles, rosters: RosterKeeping) -> None:
        self._files, self._rosters = files, rosters

    def pages(self) -> list[SitePage]:
        """Return the pages."""
        roster = f"{_PATH}/{{roster}}"
        return [
            SitePage(path=_PATH, show=of_copy(self._list)),
            SitePage(path=roster, show=of_copy(self._show)),
            *file_pages(self._files, f"{roster}/drift", _FORMATS, self._wanted),
        ]

    async def _list(self, visit: Visit) -> PageView:
        at = await looking(visit)
        names = await in_thread(at.backend.rosters.names, pool="disk")
        kept = {one.name: one for one in await self._rosters.listed(visit.connection.id)}
        rosters = [(name, kept.get(name)) for name in sorted({*names, *kept})]
        values = {
            **at.values(),
            "rosters": rosters[:_MOST_LISTED],
            "total": len(rosters),
            "with": set(names),
            "ago": ago,
        }
        return PageView(template="reviewing/rosters.html", values=values)

    async def _show(self, visit: Visit) -> PageView:
        at = await looking(visit)
        accounts = await _accounts(at)
        question = ("drift", accounts.name, accounts.fingerprint)

        async def look(progress: JobProgress) -> DriftFound:
            return await look_at_drift(at.backend, accounts, progress=progress)

        looked = await at.found(question, look)
        if isinstance(looked, JobProgress):
            return at.under_way(looked, f"The roster {accounts.name} is being compared")
        found = looked.outcome
        drift, kind = found.drift, _kind(visit, found.drift)
        about = [("Roster", accounts.name), ("Checked at", drift.checked_at), ("Data as of", found.state.synced_at)]
        rows = None
        if kind is not None:
            means = DRIFT_MEANS[kind]
            title, of = f"Drift of {accounts.name}: {means}", drift_row_count(drift.of(kind))
            rows = shown_rows(drift_rows(drift.of(kind)), begins(visit), title, about, of=of)
        chart = [Figure("Findings by kind", [Bar(one.replace("_", " "), drift.counts[one]) for one in KINDS])]
        roster_age = None if found.roster_at is None else at.backend.replica.age_of(found.roster_at)
        values: dict[str, object] = {
            **at.values(),
            "here": at.path("drift", accounts.name),
            "roster": accounts.name,
            "roster_at": found.roster_at,
            "roster_age": "" if roster_age is None else ago(roster_age),
            "found": found,
            "news": "" if found.news is None else _news(found.news.counts),
            "drift": drift,
            "kinds": KINDS,
            "means": DRIFT_MEANS,
            "kind": kind,
            "kept": 0 if kind is None else len(drift.of(kind)),
            "rows": rows,
            "charts": bar_charts(chart),
            "formats": _FORMATS,
            "made": await self._files.made(at.served, question, _FORMATS, looked.edition),
            "copy": at.note(looked, found.state.synced_at, is_held=found.state.held, gaps=drift.gaps),
        }
        return PageView(template="reviewing/roster.html", values=values)

    async def _wanted(self, at: Looking) -> FileWanted:
        accounts = await _accounts(at)

        async def write(format_: FileFormat, put: Put, progress: JobProgress) -> Manifest:
            return await write_drift(at.backend, accounts, cast(SheetFormat, format_), put, progress=progress)

        name = re.sub("[^a-z0-9]+", "-", accounts.name.lower())[:_LONGEST_STEM].strip("-")
        stem = f"drift-{name}" if name else "drift"
        return FileWanted(stem=stem, question=("drift", accounts.name, accounts.fingerprint), write=write)


async def _accounts(at: Looking) -> Accounts:
    """Return the roster that the path names. Raises Refused."""
    return await in_thread(at.backend.rosters.find, at.visit.path["roster"], pool="disk")


def _news(counts: Mapping[str, int]) -> str:
    """Say how many findings of which kind are new, and how many are resolved; nothing where none is."""
    sides = (("new", "new_"), ("resolved", "resolved_"))
    said = [
        f"{side}: {', '.join(some)}"
        for side, prefix in sides
        if (some := [f"{counts[prefix + kind]:,} {kind.replace('_', ' ')}" for kind in KINDS if counts[prefix + kind]])
    ]
    return "; ".join(said)


def _kind(visit: Visit, drift: Drift) -> Kind | None:
    """Return the kind of finding to be shown: the one asked for, else the first of which there is any."""
    asked = given(visit, "kind")
    for kind in KINDS:
        if kind == asked or (asked is None and drift.counts[kind]):
            return kind
    if asked is not None:
        raise Refused("There is no such kind of finding.", "Choose one of the list.", code="NO_SUCH_KIND")
    return None
