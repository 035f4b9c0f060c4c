"""Who asks, where callers sign in: what their credential lets them do, and which connections it reaches."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

from pingone_mcp.errors import Refused

if TYPE_CHECKING:
    from pingone_mcp.service.connections import ServedConnection

Permission = Literal["directory.read", "directory.sync", "directory.write", "connections.manage", "events.manage"]
"""A scope in OAuth's sense: what a credential may be used for."""
CredentialKind = Literal["api_key", "access_token", "account_token", "session"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The holder of a credential, as it was verified.

    `client_id`, `issuer` and `subject` together tell one principal from every other (an API key is a client of its
    own). `connections` are the ids it reaches; None stands for all connections of `tenant`, and that being None too,
    for all there are. `expires_at` is None where the credential does not end.
    """

    kind: CredentialKind
    client_id: str
    issuer: str
    subject: str
    permissions: frozenset[Permission]
    connections: frozenset[str] | None = None
    tenant: str | None = None
    expires_at: datetime | None = None

    @property
    def principal(self) -> str:
        """One text that names this principal and no other."""
        return f"{self.issuer}\x00{self.subject}\x00{self.client_id}"

    @property
    def only_connection(self) -> str | None:
        """The one connection that it reaches, where it names one alone."""
        return next(iter(self.connections)) if self.connections is not None and len(self.connections) == 1 else None

    def reaches(self, connection: str, tenant: str | None) -> bool:
        """Say whether a connection, which belongs to a tenant (None: to nobody in particular), is one of its own."""
        if self.connections is not None:
            return connection in self.connections
        return self.tenant is None or self.tenant == tenant

    def lacks(self, needed: Collection[Permission]) -> frozenset[Permission]:
        """Return what it would need as well."""
        return frozenset(needed) - self.permissions


class LacksScope(Refused):
    """A credential is good for less than what is asked; `needed` are all permissions that this takes."""

    def __init__(self, needed: Collection[Permission], what: str = "", next_step: str = "") -> None:
        super().__init__(
            what or f"The credential lacks a permission; this needs: {', '.join(sorted(needed))}.",
            next_step or "Use a credential that has these scopes.",
            code="INSUFFICIENT_SCOPE",
        )
        self.needed = frozenset(needed)


class ServedToCallers(Protocol):
    """Connections, each given to those only who reach it."""

    async def served(self, caller: Caller, connection: str | None) -> ServedConnection:
        """Return a connection by its id; None names the only one that the caller reaches.

        Raises NoSuchConnection, also for one that the caller does not reach, and Refused where None could be several.
        """
        ...
