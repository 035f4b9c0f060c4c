"""All pages of reviews, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pingone_mcp.service.reviews.made_files import ReviewFiles
from pingone_mcp.web.pages.reviewing.access import AccessPage
from pingone_mcp.web.pages.reviewing.drift import DriftPages
from pingone_mcp.web.pages.reviewing.files import saved_file
from pingone_mcp.web.pages.reviewing.roles import RolesPage

if TYPE_CHECKING:
    from pingone_mcp.service.rosters.keeping import RosterKeeping
    from pingone_mcp.web.pages.page import SitePage


class ReviewPages:
    """The pages over the use cases, with the files that they make."""

    def __init__(self, rosters: RosterKeeping) -> None:
        files = ReviewFiles()
        self._parts = (AccessPage(files), DriftPages(files, rosters), RolesPage(files))

    def pages(self) -> list[SitePage]:
        """Return the pages."""
        return [saved_file(), *(page for part in self._parts for page in part.pages())]
