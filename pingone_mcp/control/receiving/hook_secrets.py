"""The secret that a provider shows with each delivery of events: one for each connection, made when first asked for."""

from __future__ import annotations

import hmac
import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pydantic import SecretStr
from sqlalchemy import select

from pingone_mcp.control.sealing import Seals, of_hook
from pingone_mcp.control.tables import CONNECTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pingone_mcp.clock import Clock
    from pingone_mcp.control.database import Database

BEFORE_HOLDS = timedelta(days=1)
"""So long the secret before a rotation holds: somebody must enter the new one at the provider."""
_PREFIX = "phk_"
_CURRENT, _BEFORE, _BEFORE_UNTIL = "secret", "secret before", "secret before: until"


class HookSecrets:
    """The hook secrets of one database, sealed by a key of their own for each connection."""

    def __init__(self, database: Database, seals: Seals, clock: Clock) -> None:
        self._database, self._seals, self._clock = database, seals, clock

    async def get(self, connection_id: str, *, rotate: bool = False) -> SecretStr:
        """Return the secret of a connection: made where there is none, or where it is to be another one.

        Raises LookupError for a connection that there is not.
        """
        owner = of_hook(connection_id)
        async with self._database.write() as connection:
            here = select(CONNECTIONS.c.id).where(CONNECTIONS.c.id == connection_id).with_for_update()
            if await connection.scalar(here) is None:
                raise LookupError("no such connection")
            try:
                key = await self._seals.key_of(owner)
                known = await self._seals.values(owner)
            except LookupError:
                key, known = await self._seals.add_owner(owner), {}
            current = known.get(_CURRENT)
            if current is not None and not rotate:
                return current
            made = SecretStr(_PREFIX + secrets.token_urlsafe(32))
            values = {_CURRENT: made}
            if current is not None:
                until = self._clock.now() + BEFORE_HOLDS
                values |= {_BEFORE: current, _BEFORE_UNTIL: SecretStr(until.isoformat())}
            await self._seals.put(key, values)
        return made

    async def opens(self, connection_id: str, shown: str) -> bool:
        """Say whether what was shown is the secret of a connection, or the one before it in its last day.

        It takes as long for a connection that there is not. Raises ControlUnavailable.
        """
        known = await self._seals.values_evenly(of_hook(connection_id))
        given = self._seals.digest(shown)
        is_current = self._is(known.get(_CURRENT), given)
        is_before = self._is(known.get(_BEFORE), given) and self._holds(known)
        return is_current or is_before

    def _is(self, secret: SecretStr | None, given: bytes) -> bool:
        expected = self._seals.digest(secret.get_secret_value() if secret is not None else "")
        return hmac.compare_digest(expected, given) and secret is not None

    def _holds(self, known: Mapping[str, SecretStr]) -> bool:
        until = known.get(_BEFORE_UNTIL)
        return until is not None and self._clock.now() < datetime.fromisoformat(until.get_secret_value())
