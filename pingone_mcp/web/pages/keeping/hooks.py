"""The hook of a connection: what to enter at PingOne, what came, and another secret, which is shown once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pingone_mcp.service.fleet.keeping.hooks import HEADER
from pingone_mcp.web.pages.keeping.once import ShownOnce, show_once
from pingone_mcp.web.pages.page import MANAGES, LeadsTo, PageForm, PageView, SitePage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pingone_mcp.service.fleet.keeping.hooks import CallerHooks
    from pingone_mcp.web.pages.page import Visit

_PATH = "/c/{connection}/settings/hook/secret"


class HookPages:
    """The section of the settings, its page and form, over the use cases."""

    def __init__(self, hooks: CallerHooks) -> None:
        self._hooks = hooks

    async def section(self, visit: Visit) -> Mapping[str, object]:
        """Return what the settings show; nothing to who may not look after connections."""
        if visit.caller.lacks(MANAGES):
            return {"hook": None}
        return {"hook": await self._hooks.shown(visit.caller, visit.connection.id), "header": HEADER}

    def pages(self) -> list[SitePage]:
        """Return the page that asks whether another secret is to be made."""
        return [SitePage(path=_PATH, show=self._ask, needs=MANAGES, shows_directory=False)]

    def forms(self) -> list[PageForm]:
        """Return the form."""
        return [PageForm(path=_PATH, act=self._renew, needs=MANAGES)]

    async def _ask(self, visit: Visit) -> PageView:
        hook = await self._hooks.shown(visit.caller, visit.connection.id)
        values = {"linked": visit.connection, "csrf": visit.session.csrf_token, "hook": hook}
        return PageView(template="keeping/hook_secret.html", values=values)

    async def _renew(self, visit: Visit) -> LeadsTo:
        linked = visit.connection
        header = await self._hooks.renew(visit.caller, linked.id, visit.entered("edition"))
        shown = ShownOnce(
            connection=linked.id,
            heading="The secret of the hook",
            use=f"Enter it in PingOne, at the webhook that leads here, as the value of the header {HEADER}.",
            secret=header[HEADER],
        )
        return show_once(visit, shown)
