"""Secrets that are shown once: a form leads to a page that shows one, and never shows it again."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pingone_mcp.web.pages.page import LeadsTo, PageView, SitePage
from pingone_mcp.web.pages.site import path_in

if TYPE_CHECKING:
    from pydantic import SecretStr

    from pingone_mcp.web.pages.page import Visit

_NAME_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownOnce:
    """A secret of a connection: what it is called, what to do with it, and the text."""

    connection: str
    heading: str
    use: str
    secret: SecretStr = field(repr=False)


def show_once(visit: Visit, shown: ShownOnce) -> LeadsTo:
    """Return the page that shows a secret to this session, the first time that it is opened."""
    name = secrets.token_hex(_NAME_BYTES)
    visit.session.once[name] = shown
    return LeadsTo(path=path_in(shown.connection, "settings", "shown", name))


class OncePages:
    """The page."""

    def pages(self) -> list[SitePage]:
        """Return the page."""
        path = "/c/{connection}/settings/shown/{name}"  # whoever could make a secret is shown it
        return [SitePage(path=path, show=self._show, needs=frozenset(), shows_directory=False)]

    async def _show(self, visit: Visit) -> PageView:
        found = visit.session.once.pop(visit.path["name"], None)
        is_own = isinstance(found, ShownOnce) and found.connection == visit.connection.id
        values = {"linked": visit.connection, "shown": found if is_own else None}
        return PageView(template="keeping/once.html", values=values)
