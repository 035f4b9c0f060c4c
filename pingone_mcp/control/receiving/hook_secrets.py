"""The secret that a provider shows with each delivery of events: one for each connection, made when first asked for."""

from __future__ import annotations

import hmac
import secrets
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from pydantic import SecretStr
from sqlalchemy import Select, select

from pingone_mcp.control.sealing import Seals, of_hook
from pingone_mcp.control.tables import CONNECTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pingone_mcp.clock import Clock
    from pingone_mcp.control.database import Database

BEFORE_HOLDS = timedelta(days=1)
"""So long a secret holds after its rotation: somebody must enter the new one at the provider."""
_MOST_BEFORE = 8
_PREFIX = "phk_"
NEW_SERIES_AFTER = timedelta(days=1)
"""What shows another secret after so long a time without any is the first of a new series."""
_CURRENT, _BEFORE = "secret", "secrets before"
_REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedDeliveries:
    """How many deliveries to a hook showed another secret than its own, or none; since when, and when the last came."""

    count: int
    since: datetime
    last: datetime


class HookSecrets:
    """The hook secrets of one database, sealed by a key of their own for each connection."""

    def __init__(self, database: Database, seals: Seals, clock: Clock) -> None:
        self._database, self._seals, self._clock = database, seals, clock
        self._refused = Counter[str]()

    async def get(self, connection_id: str, *, rotate: bool = False) -> SecretStr:
        """Return the secret of a connection: made where there is none, or where it is to be another one.

        Raises LookupError for a connection that there is not.
        """
        owner = of_hook(connection_id)
        async with self._database.write() as connection:
            if await connection.scalar(_held(connection_id)) is None:
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
                now = self._clock.now()
                held = [one for one in _before(known) if now < one.until]
                values[_BEFORE] = _as_text([*held, _Before(current, now + BEFORE_HOLDS)][-_MOST_BEFORE:])
            await self._seals.put(key, values)
        return made

    async def hold(self, connection_id: str) -> None:
        """Let nobody else change the secret of a connection until the transaction ends in which this is called.

        Raises LookupError for a connection that there is not.
        """
        async with self._database.write() as connection:
            if await connection.scalar(_held(connection_id)) is None:
                raise LookupError("no such connection")

    async def known(self, connection_id: str) -> SecretStr | None:
        """Return the secret of a connection where one has been made; none is made now."""
        try:
            return (await self._seals.values(of_hook(connection_id))).get(_CURRENT)
        except LookupError:
            return None

    async def opens(self, connection_id: str, shown: str) -> bool:
        """Say whether what was shown is the secret of a connection, or one before it in its last day.

        It takes as long for a connection that there is not. Raises ControlUnavailable.
        """
        known = await self._seals.values_evenly(of_hook(connection_id))
        given = self._seals.digest(shown)
        is_current = self._is(known.get(_CURRENT), given)
        now = self._clock.now()
        held = [self._is(one.secret, given) and now < one.until for one in _before(known)]
        is_right = is_current or any(held)
        self._refused[connection_id if known else ""] += not is_right  # the same work for a connection that is not
        return is_right

    def refused(self) -> dict[str, int]:
        """Count what was shown to this process and was not the secret, by connection; only of those that have one."""
        return {connection: count for connection, count in self._refused.items() if connection and count}

    async def note_refused(self, connection_id: str, count: int) -> RefusedDeliveries | None:
        """Note that so many deliveries more were refused; return all of their series. None: the secret is gone.

        A new secret begins a new series.
        """
        owner = of_hook(connection_id)
        async with self._database.write() as connection:
            if await connection.scalar(_held(connection_id)) is None:
                return None
            try:
                known = await self._seals.values(owner)
            except LookupError:
                return None
            now, before = self._clock.now(), _series(known)
            if before is None or now - before.last >= NEW_SERIES_AFTER:
                before = RefusedDeliveries(count=0, since=now, last=now)
            series = RefusedDeliveries(count=before.count + count, since=before.since, last=now)
            await self._seals.put(await self._seals.key_of(owner), {**known, _REFUSED: _sealable(series)})
        return series

    async def refused_deliveries(self, connection_id: str) -> RefusedDeliveries | None:
        """Return the last series of refused deliveries that was noted, since the secret was made."""
        try:
            return _series(await self._seals.values(of_hook(connection_id)))
        except LookupError:
            return None

    def _is(self, secret: SecretStr | None, given: bytes) -> bool:
        expected = self._seals.digest(secret.get_secret_value() if secret is not None else "")
        return hmac.compare_digest(expected, given) and secret is not None


def _held(connection_id: str) -> Select[tuple[str]]:
    """Return what finds a connection, and lets nobody else change its hook until the transaction ends."""
    return select(CONNECTIONS.c.id).where(CONNECTIONS.c.id == connection_id).with_for_update()


class _Before(NamedTuple):
    """A secret before, and until when it holds."""

    secret: SecretStr
    until: datetime


def _before(known: Mapping[str, SecretStr]) -> list[_Before]:
    """Return the secrets before, the oldest first; some of them may not hold any more."""
    text = known[_BEFORE].get_secret_value() if _BEFORE in known else ""
    lines = (line.split() for line in text.splitlines())
    return [_Before(SecretStr(secret), datetime.fromisoformat(until)) for secret, until in lines]


def _as_text(before: Sequence[_Before]) -> SecretStr:
    """Return secrets as one text: each that is sealed by itself is opened with every delivery."""
    return SecretStr("\n".join(f"{one.secret.get_secret_value()} {one.until.isoformat()}" for one in before))


def _series(known: Mapping[str, SecretStr]) -> RefusedDeliveries | None:
    if _REFUSED not in known:
        return None
    count, since, last = known[_REFUSED].get_secret_value().split()
    return RefusedDeliveries(count=int(count), since=datetime.fromisoformat(since), last=datetime.fromisoformat(last))


def _sealable(series: RefusedDeliveries) -> SecretStr:
    """Return a series as one text: each that is sealed beside the secret is opened with it."""
    return SecretStr(f"{series.count} {series.since.isoformat()} {series.last.isoformat()}")
