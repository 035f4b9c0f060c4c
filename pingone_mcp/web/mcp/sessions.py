"""How many sessions there may be: a fair share for each caller, so that none of them can shut out the others.

Clients before 2026-07-28 open a session, and many never close theirs; what is unused ends by itself after a while. A
caller that opens more than its share ends the one of its own that was used longest ago.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser

if TYPE_CHECKING:
    from pingone_mcp.web.mcp.endpoint import McpEndpoint

MOST_OF_ONE = 50
"""OpenSessions of one caller on one connection."""
MOST = 1_000
"""OpenSessions of a process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSession:
    """A session by its id, the endpoint that serves it, and its principal, who is `user` to the SDK."""

    id: str
    endpoint: McpEndpoint
    principal: str
    user: AuthenticatedUser = field(compare=False)


class OpenSessions:
    """The sessions of a process, which belong to a principal on a connection each."""

    def __init__(self, *, most_of_one: int = MOST_OF_ONE, most: int = MOST) -> None:
        self._most_of_one = most_of_one
        self._most = most
        self._owned: dict[tuple[McpEndpoint, str], OrderedDict[OpenSession, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def opened(self, session: OpenSession) -> list[OpenSession]:
        """Count a session that was opened now. Returns those that have to end for it, which are forgotten."""
        own = self._owned.setdefault((session.endpoint, session.principal), OrderedDict())
        own[session] = None
        self._count += 1
        too_many: list[OpenSession] = []
        if len(own) > self._most_of_one:
            too_many.append(next(iter(own)))
        elif self._count > self._most:
            largest = max(self._owned, key=lambda owner: len(self._owned[owner]))
            too_many.append(next(iter(self._owned[largest])))
        for one in too_many:
            self.ended(one)
        return too_many

    def used(self, session: OpenSession) -> None:
        """Note that a session is used now, if it is one."""
        own = self._owned.get((session.endpoint, session.principal))
        if own is not None and session in own:
            own.move_to_end(session)

    def ended(self, session: OpenSession) -> None:
        """Forget a session, which may be forgotten already."""
        owner = session.endpoint, session.principal
        own = self._owned.get(owner)
        if own is None or own.pop(session, 0) is not None:
            return
        self._count -= 1
        if not own:
            del self._owned[owner]

    def left(self, endpoint: McpEndpoint) -> None:
        """Forget all sessions of an endpoint."""
        for owner in [owner for owner in self._owned if owner[0] is endpoint]:
            self._count -= len(self._owned.pop(owner))
