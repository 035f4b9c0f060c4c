"""The user lists of applications, of one connection: when each came, pulled again, and uploaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
from starlette.datastructures import UploadFile

from pingone_mcp.errors import Refused
from pingone_mcp.service.rosters.pulling import NotPulled
from pingone_mcp.web.pages.keeping.back import back
from pingone_mcp.web.pages.page import SYNCS, LeadsTo, PageForm

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pingone_mcp.service.rosters.desk import RosterDesk
    from pingone_mcp.web.pages.page import Visit

_PATH = "/c/{connection}/settings/rosters"
_PULL_SECONDS = 10.0  # of an answer; a pull that takes longer goes on


class RosterPages:
    """The section of the settings, and its forms, over the use cases."""

    def __init__(self, desk: RosterDesk) -> None:
        self._desk = desk

    async def section(self, visit: Visit) -> Mapping[str, object]:
        """Return what the settings show; nothing to who may not read the directory."""
        if not visit.reads:
            return {"rosters": None}
        rosters = await self._desk.keeping.listed(visit.connection.id)
        return {"rosters": rosters, "may_push": not visit.caller.lacks(SYNCS)}

    def forms(self) -> list[PageForm]:
        """Return the forms."""
        return [
            PageForm(path=_PATH, act=self._push, needs=SYNCS),
            PageForm(path=f"{_PATH}/{{name}}/pull", act=self._pull, needs=SYNCS),
        ]

    async def _push(self, visit: Visit) -> LeadsTo:
        given = None if visit.form is None else visit.form.get("list")
        content = await given.read() if isinstance(given, UploadFile) else b""
        if not content:
            raise Refused("No file was chosen, or an empty one.", "Go back, and choose one.", code="NO_FILE")
        pushed = await self._desk.keeping.push(visit.connection.id, visit.entered("name"), "csv", content)
        notes = " ".join(pushed.notes[:5])
        said = (
            f"The roster {pushed.roster.name} is kept, with {pushed.roster.accounts or 0:,} accounts. {notes}".rstrip()
        )
        return back(visit, said, "rosters")

    async def _pull(self, visit: Visit) -> LeadsTo:
        name = visit.path["name"]
        with anyio.move_on_after(_PULL_SECONDS):
            try:
                pulled = await self._desk.pulls.pull(visit.connection.id, name)
            except NotPulled as problem:  # the list says so from now on
                return back(visit, f"{problem.what} {problem.next_step}", "rosters")
            return back(visit, f"The roster {name} was read: {pulled.roster.accounts or 0:,} accounts.", "rosters")
        return back(visit, f"The roster {name} is still being read. Load this page again in a while.", "rosters")
