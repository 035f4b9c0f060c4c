"""A page of a review out of what was found, or one that says how far that is."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

from pingone_mcp.directory.gaps import sentences
from pingone_mcp.service.browsing.copied import read_copy
from pingone_mcp.service.browsing.words import CopyNote, ago
from pingone_mcp.service.looks import WAITED_SECONDS
from pingone_mcp.web.pages.page import PageView
from pingone_mcp.web.pages.site import path_in

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Sequence
    from datetime import datetime

    from pingone_mcp.directory.gaps import Gap
    from pingone_mcp.service.backend import Backend
    from pingone_mcp.service.connections import ServedConnection
    from pingone_mcp.service.jobs import JobProgress
    from pingone_mcp.service.looks import Looked
    from pingone_mcp.web.pages.page import Visit

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Looking:
    """A visit to a page of reviews: the connection, what answers for it, and the edition of its copy."""

    visit: Visit
    served: ServedConnection
    backend: Backend
    edition: str

    @property
    def asker(self) -> str:
        """Who asks, so that whoever was asked to come again gets what they waited for: a browser that has signed in."""
        return self.visit.session.csrf_token

    def path(self, *segments: str) -> str:
        return path_in(self.visit.connection.id, "reviews", *segments)

    def values(self) -> dict[str, object]:
        """Return what every page of reviews shows."""
        connection = self.visit.connection.id
        return {
            "root": self.path(),
            "people": path_in(connection, "people"),
            "live": path_in(connection, "live"),
        }

    async def found(
        self,
        question: Hashable,
        work: Callable[[JobProgress], Awaitable[T]],
        *,
        seconds: float = WAITED_SECONDS,
    ) -> Looked[T] | JobProgress:
        """Return what was found for a question, or how far it is. Raises as `Looks.of` does."""
        return await self.served.looks.of(question, self.edition, work, asker=self.asker, seconds=seconds)

    def note(self, looked: Looked[object], synced_at: datetime, *, is_held: bool, gaps: Sequence[Gap] = ()) -> CopyNote:
        """Return what is said of the copy that something was found in."""
        return CopyNote(
            synced_at=synced_at,
            age=ago(self.backend.replica.age_of(synced_at)),
            lacks=tuple(sentences(gaps)),
            is_held=is_held,
            edition=looked.edition,
            has_changed=looked.edition != self.edition,
        )

    def under_way(self, progress: JobProgress, what: str) -> PageView:
        """Return the page that says how far something is, and asks again by itself."""
        values = {**self.values(), "what": what, "progress": progress}
        return PageView(template="reviewing/under_way.html", values=values, status=HTTPStatus.ACCEPTED)


async def looking(visit: Visit) -> Looking:
    """Return what a page answers from. Raises NoReplica before the first sync."""
    assert visit.served is not None, "a page that shows a directory"
    backend = await visit.backend()
    _, copy = await read_copy(backend, lambda _: None)
    return Looking(visit=visit, served=visit.served, backend=backend, edition=copy.edition)
