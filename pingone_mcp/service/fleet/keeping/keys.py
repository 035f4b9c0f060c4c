"""The keys that a caller may look after: those that reach nothing which the caller does not reach itself."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import TYPE_CHECKING

from pingone_mcp.errors import NotFound, Refused
from pingone_mcp.service.fleet.linking import check_label

if TYPE_CHECKING:
    from pingone_mcp.control.api_keys import ApiKey, NewApiKey
    from pingone_mcp.control.control import ControlData
    from pingone_mcp.control.linked import LinkedConnection
    from pingone_mcp.service.callers import Caller, Permission
    from pingone_mcp.service.fleet.fleet import Fleet

LONGEST_DAYS = 3_650


class CallerKeys:
    """The use cases. A key that reaches further is none of the caller's, and not shown: others live by it."""

    def __init__(self, control: ControlData, fleet: Fleet) -> None:
        self._keys, self._clock, self._fleet = control.api_keys, control.clock, fleet

    async def listed(self, caller: Caller) -> list[ApiKey]:
        """Return the keys that a caller may look after and that were not revoked, the oldest first."""
        own = {one.id for one in await self._fleet.reached(caller)}
        keys = await self._keys.listed()
        return [key for key in keys if key.revoked_at is None and _is_within(key, caller, own)]

    async def of_connection(self, caller: Caller, connection: str) -> list[ApiKey]:
        """Return those of them that reach a connection. Raises NoSuchConnection."""
        linked = await self._fleet.find(caller, connection)
        return [key for key in await self.listed(caller) if reaches(key, linked)]

    async def create(
        self,
        caller: Caller,
        connection: str,
        name: str,
        permissions: Collection[Permission],
        days: int | None,
    ) -> NewApiKey:
        """Make a key of one connection, that may do no more than the caller; it ends after so many days (None: never).

        Raises NoSuchConnection, and Refused for what the caller may not do itself, and for what is no key.
        """
        linked = await self._fleet.find(caller, connection)
        check_label(name, "The name of a key")
        if not permissions:
            raise Refused("A key without a permission opens nothing.", "Choose one at least.", code="NO_SCOPE")
        if lacking := caller.lacks(permissions):
            raise Refused(
                f"A key that you make cannot have: {', '.join(sorted(lacking))}.",
                "Leave that out, or sign in with a credential that has it.",
                code="INSUFFICIENT_SCOPE",
            )
        if days is not None and not 1 <= days <= LONGEST_DAYS:
            raise Refused(f"A key is good for 1 to {LONGEST_DAYS:,} days, or always.", code="BAD_SPAN")
        ends = None if days is None else self._clock.now() + timedelta(days=days)
        if caller.expires_at is not None and (ends is None or ends > caller.expires_at):
            ends = caller.expires_at  # whoever may come in for a while makes nobody who may for longer
        return await self._keys.create(
            name=name.strip(), permissions=permissions, connections=[linked.id], expires_at=ends
        )

    async def find(self, caller: Caller, connection: str, key: str) -> ApiKey:
        """Return a key that a caller may look after, of those that reach a connection. Raises NotFound."""
        for one in await self.of_connection(caller, connection):
            if one.id == key:
                return one
        raise NotFound("There is no such key.", "It was revoked already, perhaps.", code="NO_KEY")

    async def revoke(self, caller: Caller, connection: str, key: str) -> ApiKey:
        """Let a key be valid no more; return what it was. Raises NotFound."""
        found = await self.find(caller, connection, key)
        await self._keys.revoke(found.id)
        return found


def reaches(key: ApiKey, linked: LinkedConnection) -> bool:
    """Say whether a key reaches a connection."""
    if key.connections is not None:
        return linked.id in key.connections
    return key.tenant is None or key.tenant == linked.tenant


def _is_within(key: ApiKey, caller: Caller, own: Collection[str]) -> bool:
    """Say whether a caller reaches all that a key reaches, now and later."""
    if key.connections is not None:
        return bool(key.connections) and key.connections <= set(own)
    if caller.connections is not None:
        return False
    return caller.tenant is None or key.tenant == caller.tenant
