"""The access review as a page: counts and charts first, who has what, the files of it, and the manifest at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from pingone_mcp.directory.provider import AccessQuestion
from pingone_mcp.errors import Refused
from pingone_mcp.reports.audit.glance import figures_of
from pingone_mcp.reports.audit.tickets import entitlement_facts, in_line, ticket
from pingone_mcp.service.jobs import JobProgress
from pingone_mcp.service.reviews.access import may_read_roles
from pingone_mcp.service.reviews.access_file import has_sections, write_review
from pingone_mcp.service.reviews.access_page import ReviewCover, cover_of_access, rows_of_access
from pingone_mcp.service.reviews.made_files import WAITED_SECONDS, FileWanted
from pingone_mcp.service.reviews.sections import beside
from pingone_mcp.web.pages.browsing.copied import given, of_copy, query_of
from pingone_mcp.web.pages.charts import bar_charts
from pingone_mcp.web.pages.page import PageView, SitePage
from pingone_mcp.web.pages.reviewing.files import file_pages
from pingone_mcp.web.pages.reviewing.looking import Looking, looking

if TYPE_CHECKING:
    from pingone_mcp.directory.models import JsonObject
    from pingone_mcp.reports.audit.cover import Cover
    from pingone_mcp.reports.export import FileFormat, Manifest
    from pingone_mcp.reports.review import Row
    from pingone_mcp.service.reviews.finding_files import Put
    from pingone_mcp.service.reviews.made_files import ReviewFiles
    from pingone_mcp.web.pages.page import Visit

_PATH = "/c/{connection}/reviews"
_FORMATS: tuple[FileFormat, ...] = ("csv", "xlsx", "html")
_STEM = "access-review"
_ROLE_SECONDS = 2.0
"""How long roles of a small group are read that the copy does not hold, while somebody waits for the page."""
_LONGEST = 256  # characters of what is asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class EntitlementRow:
    """A row of the table: what the file has, cut to what a line of a page holds, and the text for a ticket."""

    person: str
    person_id: str
    beside: str
    status: str
    has: str
    how: str
    seen: Sequence[str]
    flags: str
    ticket: str


class AccessPage:
    """Shows who has access, out of the local copy."""

    def __init__(self, files: ReviewFiles) -> None:
        self._files = files

    def pages(self) -> list[SitePage]:
        """Return the page, and those that make its files."""
        return [
            SitePage(path=_PATH, show=of_copy(self._show)),
            *file_pages(self._files, f"{_PATH}/access", _FORMATS, self._wanted),
        ]

    async def _show(self, visit: Visit) -> PageView:
        at = await looking(visit)
        question = _question(visit)
        looked = await at.found(_named(question), partial(_cover, at, question))
        if isinstance(looked, JobProgress):
            return at.under_way(looked, "Everybody is being reviewed")
        found = looked.outcome
        cursor = given(visit, "after")
        page = await rows_of_access(at.backend, question, cursor, found.roles)
        cover = found.cover
        asked = {"group": question.group, "role": question.role, "population": question.population}
        values: dict[str, object] = {
            **at.values(),
            "cover": cover,
            "asked": asked,
            "is_narrowed": question != AccessQuestion(),
            "charts": bar_charts(figures_of(cover)),
            "worst": [_worst(row, cover) for row in found.worst],
            "rows": [_row(row, cover) for row in page.rows],
            "first": page.passed + 1,
            "total": cover.rows,
            "is_further": cursor is not None,
            "query": query_of(asked),
            "more": None if page.next_cursor is None else query_of(asked, after=page.next_cursor),
            "formats": _FORMATS,
            "made": await self._files.made(at.served, await _files_of(at, question), _FORMATS, looked.edition),
            "copy": at.note(looked, found.state.synced_at, is_held=found.state.held),
        }
        return PageView(template="reviewing/access.html", values=values)

    async def _wanted(self, at: Looking) -> FileWanted | JobProgress:
        """Return what writes a file: with the roles that the page shows, or will show, where it reads any."""
        question = _question(at.visit)
        if not may_read_roles(question):
            return await _wanted(at, question, None)
        looked = await at.found(_named(question), partial(_cover, at, question), seconds=WAITED_SECONDS)
        return looked if isinstance(looked, JobProgress) else await _wanted(at, question, looked.outcome)


async def _cover(at: Looking, question: AccessQuestion, progress: JobProgress) -> ReviewCover:
    return await cover_of_access(at.backend, question, seconds=_ROLE_SECONDS, progress=progress)


async def _wanted(at: Looking, question: AccessQuestion, shown: ReviewCover | None) -> FileWanted:
    roles = None if shown is None else shown.roles

    async def write(format_: FileFormat, put: Put, progress: JobProgress) -> Manifest:
        manifest, _ = await write_review(
            at.backend, question, format_, put, seconds=_ROLE_SECONDS, progress=progress, roles=roles
        )
        return manifest

    return FileWanted(stem=_STEM, question=await _files_of(at, question), write=write)


def _named(question: AccessQuestion) -> tuple[str, AccessQuestion]:
    return "access", question


async def _files_of(at: Looking, question: AccessQuestion) -> tuple[str, AccessQuestion, str | None]:
    """Return what is another one when the files of a review are: they may have what stands beside the directory."""
    return *_named(question), await beside(at.backend) if has_sections(question) else None


def _question(visit: Visit) -> AccessQuestion:
    """Return whose access somebody wants to see. Raises Refused for what is too long to be a name."""
    names = [given(visit, name) for name in ("group", "role", "population")]
    if any(len(name or "") > _LONGEST for name in names):
        raise Refused("That is longer than any name.", "Enter an id, or a name.", code="UNKNOWN_NAME")
    group, role, population = names
    return AccessQuestion(group=group, role=role, population=population)


def _row(row: JsonObject, cover: Cover) -> EntitlementRow:
    has = "nothing that is known" if row["kind"] == "none" else in_line(row["entitlement"] or row["entitlement_id"])
    scope = " ".join(filter(None, (row["scope_type"], row["scope"] or row["scope_id"])))
    through = f"through {in_line(row['through'])}" if row["through"] else ""
    on = f"on {in_line(scope)}" if scope else ""
    name = in_line(row["name"] or row["username"] or row["email"] or row["user_id"])
    return EntitlementRow(
        person=name,
        person_id=row["user_id"],
        beside=in_line([one for one in (row["username"] if row["name"] else None, row["department"]) if one]),
        status=in_line([row["status"], *row["status_reasons"]]),
        has=has if row["kind"] == "none" else f"{row['kind']} {has}",
        how=" ".join(filter(None, (row["how"], through, on))),
        seen=(f"MFA {row['mfa']}", f"privileged {row['privileged']}"),
        flags=_flags(row["flags"]),
        ticket=ticket(f"Access review: {name}, {has}", (*_about(cover), *entitlement_facts(row))),
    )


def _worst(row: Row, cover: Cover) -> EntitlementRow:
    name = in_line(row.name or row.username or row.email or row.id)
    facts = (
        ("Person", f"{name} ({row.id})"),
        ("Username", row.username),
        ("Department", row.department),
        ("Manager", row.manager),
        ("Status", [row.status, *row.status_reasons]),
        ("MFA", row.mfa),
        ("Has", row.how),
        ("Last sign-on", row.last_sign_on or "none is known"),
        ("Deserves a look", _flags(row.flags)),
    )
    return EntitlementRow(
        person=name,
        person_id=row.id,
        beside=in_line([one for one in (row.username if row.name else None, row.department) if one]),
        status=in_line([row.status, *row.status_reasons]),
        has=in_line(row.how),
        how="",
        seen=(f"MFA {row.mfa}",),
        flags=_flags(row.flags),
        ticket=ticket(f"Access review: {name}", (*_about(cover), *facts)),
    )


def _about(cover: Cover) -> tuple[tuple[str, object], ...]:
    return (("Question", cover.query.words), ("Data as of", cover.data_as_of), ("Review", cover.status()))


def _flags(flags: Sequence[str]) -> str:
    return ", ".join(flag.replace("_", " ") for flag in flags)
