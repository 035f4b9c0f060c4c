"""An access review as somebody looks through it: its cover, and its rows, some at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.paging.cursor import Mark
from pingone_mcp.directory.provider import AccessQuestion
from pingone_mcp.replica.asking.accesses import Accesses, Roles
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.reviewing.entitlements import Entitlements, EntitlementsPage
from pingone_mcp.replica.state import State
from pingone_mcp.reports.audit.cover import Cover
from pingone_mcp.reports.review import Row
from pingone_mcp.service.answering import asked
from pingone_mcp.service.backend import Backend
from pingone_mcp.service.jobs import JobProgress
from pingone_mcp.service.reviews.access import CopiedReview, reviewed
from pingone_mcp.service.reviews.access_file import cover_of

ROWS = 25
_CHARACTERS = 12_000  # of the rows of one page, before they are marked up
_WORST = 10
_LISTING = "review_rows"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewCover:
    """The cover of a review, the people with most flags, and the state of the copy.

    `roles` were read beside the copy: with them rows and files say the same of people as the cover.
    """

    cover: Cover
    worst: tuple[Row, ...]
    state: State
    roles: Roles


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewRows:
    """Rows of a review as its file has them, behind those that have `passed`.

    Behind `next_cursor` there are more (None: that was all).
    """

    rows: Sequence[JsonObject]
    passed: int
    next_cursor: str | None


async def cover_of_access(
    backend: Backend, question: AccessQuestion, *, seconds: float, progress: JobProgress | None = None
) -> ReviewCover:
    """Return what stands on the cover of a review. Raises Refused for names that are not there, and NoReplica."""

    def made(review: CopiedReview) -> tuple[Cover, tuple[Row, ...], Roles]:
        entitlements = Entitlements(review.accesses)
        cover = cover_of(review, entitlements, question, application=backend.application, operator=None)
        return cover, review.worst(_WORST), review.roles

    (cover, worst, roles), state = await reviewed(backend, question, made, seconds=seconds, progress=progress)
    return ReviewCover(cover=cover, worst=worst, state=state, roles=roles)


async def rows_of_access(backend: Backend, question: AccessQuestion, cursor: str | None, roles: Roles) -> ReviewRows:
    """Return some rows of a review, with the roles that its cover was made with.

    Raises as `cover_of_access` does, and Refused for a cursor that is not good.
    """
    wanted, now = asked(backend, _LISTING, asdict(question), cursor), backend.replica.now()

    def read(copy: Snapshot) -> EntitlementsPage:
        accesses = Accesses(copy, question, now, roles)
        return Entitlements(accesses).page(wanted.mark.position, most=ROWS, characters=_CHARACTERS)

    page, _ = await backend.replica.read(read)
    passed = wanted.mark.taken
    mark = Mark(position=page.next, taken=passed + len(page.rows))
    following = backend.cursors.seal(_LISTING, wanted.question, mark) if page.next else None
    return ReviewRows(rows=page.rows, passed=passed, next_cursor=following)
