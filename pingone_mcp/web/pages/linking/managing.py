"""What people who have signed in do with connections: add, reconnect, check, pause, rename and remove them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from pingone_mcp.errors import Refused
from pingone_mcp.service.fleet.accounts import AccountChange
from pingone_mcp.service.fleet.drafting.drafts import NoDraft
from pingone_mcp.service.fleet.linking import CannotLink
from pingone_mcp.web.pages.linking.steps import LinkSteps, Stand
from pingone_mcp.web.pages.page import MANAGES, LeadsTo, PageForm, PageView, SitePage
from pingone_mcp.web.pages.site import path_in

if TYPE_CHECKING:
    from starlette.datastructures import FormData
    from starlette.responses import Response

    from pingone_mcp.service.fleet.accounts import CallerAccounts
    from pingone_mcp.service.fleet.drafting.desk import LinkingDesk
    from pingone_mcp.web.pages.page import Visit

ADD = "/connections/add"
_OF_ONE = "/c/{connection}/link"


class Managing:
    """The pages and forms, over the use cases."""

    def __init__(self, accounts: CallerAccounts, desk: LinkingDesk, steps: LinkSteps) -> None:
        self._accounts, self._desk, self._steps = accounts, desk, steps

    def pages(self) -> list[SitePage]:
        """Return the pages."""
        shows: list[tuple[str, Callable[[Visit], Awaitable[PageView | Response | LeadsTo]]]] = [
            (f"{_OF_ONE}/rename", self._show("linking/rename.html")),
            (f"{_OF_ONE}/remove", self._show("linking/remove.html")),
        ]
        for root in (ADD, f"{_OF_ONE}/reconnect"):
            shows += [(root, self._enter), (f"{root}/{{draft}}", self._draft)]
        return [SitePage(path=path, show=show, needs=MANAGES, shows_directory=False) for path, show in shows]

    def forms(self) -> list[PageForm]:
        """Return the forms."""
        acts: list[tuple[str, Callable[[Visit], Awaitable[LeadsTo | PageView | Response]]]] = [
            (f"{_OF_ONE}/check", self._check),
            (f"{_OF_ONE}/pause", self._pause),
            (f"{_OF_ONE}/resume", self._resume),
            (f"{_OF_ONE}/rename", self._rename),
            (f"{_OF_ONE}/remove", self._remove),
        ]
        for root in (ADD, f"{_OF_ONE}/reconnect"):
            acts += [(root, self._entered), (f"{root}/{{draft}}", self._keep), (f"{root}/{{draft}}/again", self._again)]
        return [PageForm(path=path, act=act, needs=MANAGES) for path, act in acts]

    def _show(self, template: str) -> Callable[[Visit], Awaitable[PageView]]:
        async def show(visit: Visit) -> PageView:
            return PageView(template=template, values={"linked": visit.connection, "csrf": visit.session.csrf_token})

        return show

    async def _enter(self, visit: Visit) -> PageView:
        return await self._steps.enter(self._stand(visit), visit.query.get("draft"))

    async def _entered(self, visit: Visit) -> PageView | LeadsTo:
        return await self._steps.entered(self._stand(visit), _form(visit))

    async def _draft(self, visit: Visit) -> PageView | LeadsTo:
        return await _unless_gone(self._steps.draft(self._stand(visit), visit.path["draft"]), self._stand(visit))

    async def _again(self, visit: Visit) -> PageView | LeadsTo:
        return await _unless_gone(self._steps.again(self._stand(visit), visit.path["draft"]), self._stand(visit))

    async def _keep(self, visit: Visit) -> PageView | LeadsTo:
        stand = self._stand(visit)
        return await _unless_gone(self._steps.keep(stand, visit.path["draft"], _form(visit)), stand)

    async def _check(self, visit: Visit) -> LeadsTo:
        try:
            linked = await self._accounts.check(visit.caller, visit.connection.id)
        except CannotLink as problem:
            return LeadsTo(path="/", said=f"{visit.connection.name}: {problem.what} {problem.next_step}")
        return LeadsTo(path="/", said=f"{linked.name} works.")

    async def _pause(self, visit: Visit) -> LeadsTo:
        await self._change(visit, AccountChange(is_paused=True))
        return LeadsTo(
            path="/", said=f"{visit.connection.name} is paused: nothing is asked for it until you resume it."
        )

    async def _resume(self, visit: Visit) -> LeadsTo:
        await self._change(visit, AccountChange(is_paused=False))
        return LeadsTo(path="/", said=f"{visit.connection.name} is served again.")

    async def _rename(self, visit: Visit) -> LeadsTo | PageView:
        values = {"linked": visit.connection, "csrf": visit.session.csrf_token}
        try:
            await self._change(visit, AccountChange(name=visit.entered("name")))
        except Refused as problem:
            if problem.code not in ("NO_NAME", "NAME_TAKEN"):
                raise
            why = f"{problem.what} {problem.next_step}"
            return PageView(template="linking/rename.html", values={**values, "why": why})
        return LeadsTo(path="/", said=f"{visit.connection.name} is called {visit.entered('name')} now.")

    async def _remove(self, visit: Visit) -> LeadsTo:
        removed = await self._accounts.remove(visit.caller, visit.connection.id)
        return LeadsTo(path="/", said=f"{removed.name} is removed, with all that was kept of it here.")

    async def _change(self, visit: Visit, change: AccountChange) -> None:
        await self._accounts.change(visit.caller, visit.connection.id, change)

    def _stand(self, visit: Visit) -> Stand:
        linked = visit.linked
        return Stand(
            linker=self._desk.signed_in(visit.caller, None if linked is None else linked.id),
            root=ADD if linked is None else path_in(linked.id, "link", "reconnect"),
            csrf=visit.session.csrf_token,
            offers=frozenset({"pingone", "sample"}),
        )


async def _unless_gone(answer: Awaitable[PageView | LeadsTo], stand: Stand) -> PageView | LeadsTo:
    """Lead back to the beginning where what was entered is gone."""
    try:
        return await answer
    except NoDraft as gone:
        return LeadsTo(path=stand.path(), said=f"{gone.what} {gone.next_step}")


def _form(visit: Visit) -> FormData:
    assert visit.form is not None, "a form that was sent"
    return visit.form
