"""Requests that are sent again with the same Idempotency-Key: the first answer is kept, and nothing is done twice."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from pingone_mcp.clock import Clock
from pingone_mcp.control.database import Database
from pingone_mcp.control.sealing import Seals, of_connection
from pingone_mcp.control.tables import FIRST_ANSWERS
from pingone_mcp.errors import Refused

ANSWERS_ARE_KEPT = timedelta(hours=24)
_MAY_TAKE = timedelta(minutes=15)  # longer than any request goes on


class StillInFlight(Refused):
    """The first request with this key has no answer yet."""

    def __init__(self) -> None:
        super().__init__(
            "A request with this Idempotency-Key is under way.", "Send it again in a moment.", code="IN_FLIGHT"
        )


class UnknownOutcome(Refused):
    """The first request with this key was cut off, so nobody knows what it did."""

    def __init__(self) -> None:
        super().__init__(
            "The first request with this Idempotency-Key was cut off: it may have been carried out, or not.",
            "Look whether it was, and then send it with a new key if it is still needed.",
            code="UNKNOWN_OUTCOME",
        )


class AnotherRequest(Refused):
    """The key was sent with another request before."""

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key was sent with another request before.",
            "Use a new key for each request, and the same one only to repeat it.",
            code="KEY_REUSED",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedRequest:
    """A request that may come again.

    `principal` names who sends it, `path` what for (method, path and query), `key` is the header's text, and `body`
    what must be the same each time.
    """

    principal: str
    connection_id: str
    path: str
    key: str
    body: bytes = field(repr=False)

    @property
    def name(self) -> str:
        return json.dumps([self.principal, self.connection_id, self.path, self.key])


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnswer:
    """The first answer."""

    status: int
    media_type: str
    body: bytes = field(repr=False)


class Idempotency:
    """The first answers of one database, for 24 hours. They are sealed by their connection's key."""

    def __init__(self, database: Database, seals: Seals, clock: Clock) -> None:
        self._database, self._seals, self._clock = database, seals, clock

    async def begin(self, request: KeyedRequest) -> KeptAnswer | None:
        """Return the first answer; None where this request is the first: carry it out, then `finish` or `drop` it.

        Raises StillInFlight, UnknownOutcome and AnotherRequest, and LookupError for no connection.
        """
        digest, now = self._seals.digest(request.name), self._clock.now()
        values = {
            "digest": digest,
            "connection_id": request.connection_id,
            "request": hashlib.sha256(request.body).digest(),
            "created_at": now,
        }
        old = FIRST_ANSWERS.c.created_at <= now - ANSWERS_ARE_KEPT
        try:
            async with self._database.write() as connection:
                await connection.execute(delete(FIRST_ANSWERS).where(old))
                await connection.execute(insert(FIRST_ANSWERS).values(values))
        except IntegrityError:
            async with self._database.read() as connection:
                here = select(FIRST_ANSWERS).where(FIRST_ANSWERS.c.digest == digest)
                row = (await connection.execute(here)).one_or_none()
            if row is None:
                raise LookupError("no such connection") from None
            return await self._first(request, row)
        return None

    async def finish(self, request: KeyedRequest, answer: KeptAnswer) -> None:
        """Keep the answer to the first request."""
        text = json.dumps([answer.status, answer.media_type]).encode() + b"\n" + answer.body
        async with self._database.write() as connection:
            sealed = (await self._seals.key_of(of_connection(request.connection_id))).seal(_field(request), text)
            await connection.execute(update(FIRST_ANSWERS).where(self._is(request)).values(answer=sealed))

    async def drop(self, request: KeyedRequest) -> None:
        """Forget a first request that certainly did nothing: it may be sent again."""
        async with self._database.write() as connection:
            await connection.execute(delete(FIRST_ANSWERS).where(self._is(request), FIRST_ANSWERS.c.answer.is_(None)))

    async def _first(self, request: KeyedRequest, row: Row[*tuple[Any, ...]]) -> KeptAnswer:
        if row.request != hashlib.sha256(request.body).digest():
            raise AnotherRequest
        if row.answer is None:
            raise StillInFlight if self._clock.now() - row.created_at < _MAY_TAKE else UnknownOutcome
        text = (await self._seals.key_of(of_connection(request.connection_id))).open(_field(request), row.answer)
        head, _, body = text.partition(b"\n")
        status, media_type = json.loads(head)
        return KeptAnswer(status=status, media_type=media_type, body=body)

    def _is(self, request: KeyedRequest) -> ColumnElement[bool]:
        return FIRST_ANSWERS.c.digest == self._seals.digest(request.name)


def _field(request: KeyedRequest) -> str:
    return f"answer: {request.name}"
