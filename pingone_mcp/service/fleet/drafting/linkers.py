"""Who links a connection: somebody with a link token, or somebody who has signed in and manages connections."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from pydantic import JsonValue

from pingone_mcp.current_connection import DEFAULT
from pingone_mcp.errors import Refused
from pingone_mcp.service.fleet.drafting.drafts import Invitation
from pingone_mcp.service.fleet.linking import Add, LinkRequest, MadeByVariables

if TYPE_CHECKING:
    from pydantic import SecretStr

    from pingone_mcp.control.control import ControlData
    from pingone_mcp.control.linked import LinkedConnection
    from pingone_mcp.service.callers import Caller
    from pingone_mcp.service.checks import Heard
    from pingone_mcp.service.fleet.accounts import CallerAccounts
    from pingone_mcp.service.fleet.linking import Linking


class NoInvitation(Refused):
    """A link token has been used, has ended, or never was: nobody can tell the one from the other."""

    def __init__(self) -> None:
        super().__init__(
            "This link is not good: it was used, it is older than seven days, or it never was.",
            "Ask whoever sent it to you for another one.",
            code="NO_INVITATION",
        )


class Linker(Protocol):
    """Somebody who links. `owner` names them, and nobody else."""

    @property
    def owner(self) -> str: ...

    async def invitation(self) -> Invitation:
        """Return what they may link now. Raises NoInvitation, NoSuchConnection, and Refused."""
        ...

    async def keep(
        self, invitation: Invitation, values: Mapping[str, JsonValue], name: str | None, heard: Heard
    ) -> LinkedConnection:
        """Link it, once it works. Raises as `Linking.connect` does, and as `invitation`."""
        ...


class Guest:
    """The holder of a link token, which is used up in the transaction in which the connection is kept."""

    def __init__(self, control: ControlData, linking: Linking, token: SecretStr) -> None:
        self._control, self._linking, self._token = control, linking, token

    @property
    def owner(self) -> str:
        return f"guest {hashlib.sha256(self._token.get_secret_value().encode()).hexdigest()}"

    async def invitation(self) -> Invitation:
        token = await self._control.tokens.link(self._token.get_secret_value())
        if token is None:
            raise NoInvitation
        connection = None
        if token.connection_id is not None:
            connection = await self._control.connections.get(token.connection_id)
            if connection is None:
                raise NoInvitation
        return Invitation(tenant=token.tenant or None, connection=connection, redirect_uri=token.redirect_uri)

    async def keep(
        self, invitation: Invitation, values: Mapping[str, JsonValue], name: str | None, heard: Heard
    ) -> LinkedConnection:
        if invitation.connection is not None:
            return await self._linking.reconnect(invitation.connection.id, values, heard, self._once)
        request = LinkRequest(values=values, name=name, tenant=invitation.tenant)
        return await self._linking.connect(request, heard, self._once)

    async def _once(self, add: Add) -> LinkedConnection:
        async with self._control.transaction():
            if await self._control.tokens.use_link(self._token.get_secret_value()) is None:
                raise NoInvitation
            return await add()


class SignedIn:
    """A caller that manages connections: adds one, or gives new values to one that it reaches."""

    def __init__(
        self, accounts: CallerAccounts, linking: Linking, caller: Caller, connection: str | None = None
    ) -> None:
        self._accounts, self._linking, self._caller, self._connection = accounts, linking, caller, connection

    @property
    def owner(self) -> str:
        return f"caller {self._caller.principal}\x00{self._connection or ''}"

    async def invitation(self) -> Invitation:
        if self._connection is None:
            return Invitation(tenant=self._accounts.tenant_for(self._caller, None))
        linked = await self._accounts.find(self._caller, self._connection)
        if linked.id == DEFAULT:
            raise MadeByVariables
        return Invitation(tenant=linked.tenant, connection=linked)

    async def keep(
        self, invitation: Invitation, values: Mapping[str, JsonValue], name: str | None, heard: Heard
    ) -> LinkedConnection:
        if invitation.connection is not None:
            return await self._linking.reconnect(invitation.connection.id, values, heard)
        return await self._linking.connect(LinkRequest(values=values, name=name, tenant=invitation.tenant), heard)
