"""The hook of a connection, for a caller: what to enter at the provider, what came, and another secret for it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from pingone_mcp.errors import NoSuchConnection, Refused
from pingone_mcp.service.fleet.hook_form import HookPlace, header_of, path_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import SecretStr

    from pingone_mcp.control.control import ControlData
    from pingone_mcp.control.inbox import InboxState
    from pingone_mcp.control.receiving.hook_secrets import RefusedDeliveries
    from pingone_mcp.service.callers import Caller
    from pingone_mcp.service.fleet.fleet import Fleet

HEADER = "Authorization"
"""The name of the header that holds the secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownHook:
    """A hook as anybody may see it who looks after its connection: never with its secret.

    `edition` tells this secret from any other (empty: none was made yet). `last_received_at` is when the last event
    came (None: none did), `refused` which deliveries showed another secret.
    """

    url: str
    action_types: tuple[str, ...]
    is_public: bool
    edition: str
    inbox: InboxState
    last_received_at: datetime | None
    refused: RefusedDeliveries | None


class OtherSecret(Refused):
    """The secret of a hook is not the one any more that a person wanted another one for."""

    def __init__(self) -> None:
        super().__init__(
            "The secret of this hook was changed since the page was shown, so it was left as it is now.",
            "Load the page again. Who made the new one has seen it; if that was nobody you know, make another one.",
            code="SECRET_CHANGED",
        )


class CallerHooks:
    """The use cases. Raises NoSuchConnection for a connection that the caller does not reach."""

    def __init__(self, control: ControlData, fleet: Fleet, place: HookPlace) -> None:
        self._control, self._fleet, self._place = control, fleet, place

    async def shown(self, caller: Caller, connection: str) -> ShownHook:
        """Return the hook of a connection; no secret is made."""
        linked = await self._fleet.find(caller, connection)
        control = self._control
        secret = await control.hook_secrets.known(linked.id)
        return ShownHook(
            url=self._place.base + path_of(linked.id),
            action_types=self._place.action_types,
            is_public=self._place.is_public,
            edition="" if secret is None else _edition(secret),
            inbox=await control.inbox.state(linked.id),
            last_received_at=await control.inbox.last_received_at(linked.id),
            refused=await control.hook_secrets.refused_deliveries(linked.id),
        )

    async def renew(self, caller: Caller, connection: str, edition: str) -> Mapping[str, SecretStr]:
        """Make another secret in the place of that of an edition, which holds for a day; return the header, this once.

        Raises OtherSecret where that has been done already: the one before would not hold any more.
        """
        linked = await self._fleet.find(caller, connection)
        secrets = self._control.hook_secrets
        try:
            async with self._control.transaction():
                await secrets.hold(linked.id)
                known = await secrets.known(linked.id)
                if edition != ("" if known is None else _edition(known)):
                    raise OtherSecret
                return header_of(await secrets.get(linked.id, rotate=True))
        except LookupError:
            raise NoSuchConnection from None


def _edition(secret: SecretStr) -> str:
    """Return what tells a secret of 256 random bits from others, and nothing else of it."""
    return hashlib.sha256(f"edition of a hook {secret.get_secret_value()}".encode()).hexdigest()[:32]
