"""Role rules in the light of the directory: who has roles that exclude each other, and which rules are odd."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, cast

from pingone_mcp.advice import spelled
from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.errors import Refused
from pingone_mcp.reports.audit.charts import Bar, Figure
from pingone_mcp.reports.finding_rows import RULES_KINDS, RULES_MEANS, rules_row_count, rules_rows
from pingone_mcp.service.jobs import JobProgress
from pingone_mcp.service.reviews.finding_files import SheetFormat, write_rules_review
from pingone_mcp.service.reviews.found import RulesFound, look_at_rules
from pingone_mcp.service.reviews.made_files import FileWanted
from pingone_mcp.service.reviews.rules import read_rules
from pingone_mcp.web.pages.browsing.copied import given, of_copy
from pingone_mcp.web.pages.charts import bar_charts
from pingone_mcp.web.pages.page import PageView, SitePage
from pingone_mcp.web.pages.reviewing.files import file_pages
from pingone_mcp.web.pages.reviewing.findings import begins, shown_rows
from pingone_mcp.web.pages.reviewing.looking import Looking, looking

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pingone_mcp.reports.export import FileFormat, Manifest
    from pingone_mcp.reports.finding_rows import RulesKind
    from pingone_mcp.reports.role_rules import Rules
    from pingone_mcp.service.reviews.finding_files import Put
    from pingone_mcp.service.reviews.made_files import ReviewFiles
    from pingone_mcp.web.pages.page import Visit

_PATH = "/c/{connection}/reviews/roles"
_FORMATS: tuple[FileFormat, ...] = ("csv", "xlsx")
_MOST_ROLES = 10


class RolesPage:
    """Shows what is odd about the rules of a connection."""

    def __init__(self, files: ReviewFiles) -> None:
        self._files = files

    def pages(self) -> list[SitePage]:
        """Return the page, and those that make its files."""
        return [
            SitePage(path=_PATH, show=of_copy(self._show)),
            *file_pages(self._files, _PATH, _FORMATS, self._wanted),
        ]

    async def _show(self, visit: Visit) -> PageView:
        at = await looking(visit)
        try:
            rules = await read_rules(at.backend.rules)
        except Refused as lacking:
            values = {**at.values(), "what": spelled(lacking.what), "next_step": spelled(lacking.next_step)}
            values["is_empty"] = lacking.code == "NO_RULES"
            return PageView(template="reviewing/no_rules.html", values=values)

        async def look(progress: JobProgress) -> RulesFound:
            return await look_at_rules(at.backend, rules, progress=progress)

        looked = await at.found(_named(rules), look)
        if isinstance(looked, JobProgress):
            return at.under_way(looked, "The rules are being compared with everybody")
        found = looked.outcome
        review, kind = found.review, _kind(visit, found.review.counts)
        rows = None
        if kind is not None:
            about = [("Checked at", found.checked_at), ("Data as of", found.state.synced_at)]
            title, of = f"Role rules: {RULES_MEANS[kind]}", rules_row_count(review, kind)
            rows = shown_rows(rules_rows(review, kind), begins(visit), title, about, of=of)
        values = {
            **at.values(),
            "here": at.path("roles"),
            "found": found,
            "counts": review.counts,
            "exclusive": len(rules.exclusive),
            "kinds": RULES_KINDS,
            "means": RULES_MEANS,
            "kind": kind,
            "kept": 0 if kind is None else len(getattr(review, kind)),
            "rows": rows,
            "charts": bar_charts(_charts(review.counts)),
            "formats": _FORMATS,
            "made": await self._files.made(at.served, _named(rules), _FORMATS, looked.edition),
            "copy": at.note(looked, found.state.synced_at, is_held=found.state.held, gaps=review.gaps),
        }
        return PageView(template="reviewing/roles.html", values=values)

    async def _wanted(self, at: Looking) -> FileWanted:
        rules = await read_rules(at.backend.rules)

        async def write(format_: FileFormat, put: Put, progress: JobProgress) -> Manifest:
            return await write_rules_review(at.backend, rules, cast(SheetFormat, format_), put, progress=progress)

        return FileWanted(stem="role-rules", question=_named(rules), write=write)


def _named(rules: Rules) -> tuple[str, str]:
    """Return what is another one when anything in the rules has changed."""
    return "roles", sha256(repr(rules).encode(errors="replace")).hexdigest()


def _charts(counts: Mapping[str, int]) -> list[Figure]:
    roles = [(name.removeprefix("role."), number) for name, number in counts.items() if name.startswith("role.")]
    most = sorted(roles, key=lambda one: (-one[1], one[0]))[:_MOST_ROLES]
    charts = [Figure("Findings by kind", [Bar(kind.replace("_", " "), counts[kind]) for kind in RULES_KINDS])]
    if most:
        charts.append(Figure("People by role, by the rules", [Bar(harmless(name), number) for name, number in most]))
    return charts


def _kind(visit: Visit, counts: Mapping[str, int]) -> RulesKind | None:
    """Return the kind of finding to be shown: the one asked for, else the first of which there is any."""
    asked = given(visit, "kind")
    for kind in RULES_KINDS:
        if kind == asked or (asked is None and counts[kind]):
            return kind
    if asked is not None:
        raise Refused("There is no such kind of finding.", "Choose one of the list.", code="NO_SUCH_KIND")
    return None
