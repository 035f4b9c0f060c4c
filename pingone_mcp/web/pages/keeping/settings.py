"""The settings of a connection: one page, made of the sections that the other modules here know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from pingone_mcp.web.pages.page import PageView, SitePage

if TYPE_CHECKING:
    from pingone_mcp.web.pages.page import Visit


class Section(Protocol):
    """A section of the settings, which shows to each what they may see: the page itself is anybody's."""

    async def section(self, visit: Visit) -> Mapping[str, object]:
        """Return the values that it shows to this visitor, under names of its own."""
        ...


class SettingsPage:
    """The page."""

    def __init__(self, sections: Sequence[Section]) -> None:
        self._sections = sections

    def pages(self) -> list[SitePage]:
        """Return the page."""
        path = "/c/{connection}/settings"
        return [SitePage(path=path, show=self._show, needs=frozenset(), shows_directory=False)]

    async def _show(self, visit: Visit) -> PageView:
        values: dict[str, object] = {"linked": visit.connection, "csrf": visit.session.csrf_token}
        for one in self._sections:
            values |= await one.section(visit)
        return PageView(template="keeping/settings.html", values=values)
