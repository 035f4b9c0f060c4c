"""The keys of programs that reach a connection: listed without their texts, made, and revoked."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from pingone_mcp.errors import Refused
from pingone_mcp.service.callers import Permission
from pingone_mcp.web.pages.keeping.back import back
from pingone_mcp.web.pages.keeping.once import ShownOnce, show_once
from pingone_mcp.web.pages.page import MANAGES, LeadsTo, PageForm, PageView, SitePage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pingone_mcp.service.fleet.keeping.keys import CallerKeys
    from pingone_mcp.web.pages.page import Visit

_PATH = "/c/{connection}/settings/keys"
_DAYS: Mapping[str, str] = {"30": "30 days", "90": "90 days", "365": "a year", "": "until it is revoked"}
_SCOPE_WORDS: Mapping[Permission, str] = {
    "directory.read": "read the directory",
    "directory.sync": "have it synced, and say who is gone",
    "directory.write": "write, where that is allowed",
    "connections.manage": "look after connections and keys",
    "events.manage": "look after webhooks",
}


class KeyPages:
    """The section of the settings, its pages and forms, over the use cases."""

    def __init__(self, keys: CallerKeys) -> None:
        self._keys = keys

    async def section(self, visit: Visit) -> Mapping[str, object]:
        """Return what the settings show; no keys to who may not look after any."""
        caller = visit.caller
        if caller.lacks(MANAGES):
            return {"keys": None}
        return {
            "keys": await self._keys.of_connection(caller, visit.connection.id),
            "sees_all_keys": caller.connections is None and caller.tenant is None,
            "scopes": {name: words for name, words in _SCOPE_WORDS.items() if name in caller.permissions},
            "scope_words": _SCOPE_WORDS,
            "spans": _DAYS,
        }

    def pages(self) -> list[SitePage]:
        """Return the page that asks whether a key is to be revoked."""
        path = f"{_PATH}/{{key}}/revoke"
        return [SitePage(path=path, show=self._ask, needs=MANAGES, shows_directory=False)]

    def forms(self) -> list[PageForm]:
        """Return the forms."""
        return [
            PageForm(path=_PATH, act=self._create, needs=MANAGES),
            PageForm(path=f"{_PATH}/{{key}}/revoke", act=self._revoke, needs=MANAGES),
        ]

    async def _ask(self, visit: Visit) -> PageView:
        key = await self._keys.find(visit.caller, visit.connection.id, visit.path["key"])
        values = {"linked": visit.connection, "csrf": visit.session.csrf_token, "key": key}
        return PageView(template="keeping/revoke.html", values=values)

    async def _create(self, visit: Visit) -> LeadsTo:
        assert visit.form is not None, "a form that was sent"
        named = {str(one) for one in visit.form.getlist("scope")}
        permissions = [one for one in get_args(Permission) if one in named]
        days = visit.entered("days")
        if days not in _DAYS or len(permissions) != len(named):
            raise Refused("Something was chosen that cannot be.", "Go back, and choose again.", code="NOT_THERE")
        linked = visit.connection
        made = await self._keys.create(
            visit.caller, linked.id, visit.entered("name"), permissions, int(days) if days else None
        )
        shown = ShownOnce(
            connection=linked.id,
            heading=f"The key {made.key.name}",
            use="Programs send it in a header: Authorization: Bearer, and behind it the key.",
            secret=made.text,
        )
        return show_once(visit, shown)

    async def _revoke(self, visit: Visit) -> LeadsTo:
        revoked = await self._keys.revoke(visit.caller, visit.connection.id, visit.path["key"])
        return back(visit, f"The key {revoked.name} is valid no more.", "keys")
