"""The tables of control data, as today's edition has them; `migrations/` brings older ones to this form."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    func,
)

EDITION = "0003"
"""The newest revision in `migrations/versions`: an opening that finds it need not load Alembic."""


class UtcTime(TypeDecorator[datetime]):
    """An instant: aware in and out, UTC in between. SQLite has no zones and keeps the text of UTC, which sorts."""

    impl = DateTime(timezone=True)  # type: ignore[mutable-override]  # SQLAlchemy's own way
    cache_ok = True  # type: ignore[mutable-override]

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant has a zone")
        in_utc = value.astimezone(UTC)
        return in_utc.replace(tzinfo=None) if dialect.name == "sqlite" else in_utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
_NUMBER = BigInteger().with_variant(Integer(), "sqlite")  # only INTEGER counts by itself there


def _connection_id() -> Column[str]:
    """Return the column of what hangs on a connection, and goes with it."""
    return Column("connection_id", Text, ForeignKey("connections.id", ondelete="CASCADE"), nullable=False)


def _index_of_some(name: str, *columns: Column[Any], where: ColumnElement[bool], is_unique: bool = False) -> None:
    """Add an index of those rows of a table for which something holds."""
    Index(name, *columns, unique=is_unique, sqlite_where=where, postgresql_where=where)


DATA_KEYS = Table(
    "data_keys",
    METADATA,
    Column("owner", Text, primary_key=True),
    Column("key_id", Text, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
)
"""Who owns a data key (a connection, a webhook, or `root`), the key of the ring that wraps it, and it, wrapped."""

SEALED_VALUES = Table(
    "sealed_values",
    METADATA,
    Column("owner", Text, ForeignKey("data_keys.owner", ondelete="CASCADE"), primary_key=True),
    Column("field", Text, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
)

CONNECTIONS = Table(
    "connections",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("tenant", Text),
    Column("provider", Text, nullable=False),
    Column("settings", JSON, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("is_paused", Boolean, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("next_sync_at", UtcTime),
    Column("last_sync_at", UtcTime),
)
Index("uq_connections_tenant_name", func.coalesce(CONNECTIONS.c.tenant, ""), CONNECTIONS.c.name, unique=True)

API_KEYS = Table(
    "api_keys",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("reach", Text, nullable=False),  # named, tenant or all: a key whose last connection went must not reach all
    Column("tenant", Text),
    Column("permissions", JSON, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime),
    Column("last_used_at", UtcTime),
    Column("revoked_at", UtcTime),
)

API_KEY_CONNECTIONS = Table(
    "api_key_connections",
    METADATA,
    Column("api_key_id", Text, ForeignKey("api_keys.id", ondelete="CASCADE"), primary_key=True),
    Column("connection_id", Text, ForeignKey("connections.id", ondelete="CASCADE"), primary_key=True, index=True),
)

LINK_TOKENS = Table(
    "link_tokens",
    METADATA,
    Column("digest", LargeBinary, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("connection_id", Text, ForeignKey("connections.id", ondelete="CASCADE"), index=True),
    Column("redirect_uri", Text),
    Column("expires_at", UtcTime, nullable=False),
    Column("used_at", UtcTime),
)

ACCOUNT_TOKENS = Table(
    "account_tokens",
    METADATA,
    Column("digest", LargeBinary, primary_key=True),
    _connection_id(),
    Column("permissions", JSON, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Index(None, "connection_id"),
)

SYNC_RUNS = Table(
    "sync_runs",
    METADATA,
    Column("number", _NUMBER, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    _connection_id(),
    Column("cause", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("counts", JSON, nullable=False),
    Column("reason", Text),
    Column("created_at", UtcTime, nullable=False),
    Column("started_at", UtcTime),
    Column("ended_at", UtcTime),
    Index(None, "connection_id", "number"),
)
"""Of a connection's runs, at most one waits and one goes on."""
for _status in ("created", "running"):
    _index_of_some(
        f"uq_sync_runs_{_status}", SYNC_RUNS.c.connection_id, where=SYNC_RUNS.c.status == _status, is_unique=True
    )

INBOX = Table(
    "inbox",
    METADATA,
    Column("number", _NUMBER, primary_key=True),
    _connection_id(),
    Column("event_id", Text, nullable=False),
    Column("is_readable", Boolean, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("received_at", UtcTime, nullable=False),
    Column("done_at", UtcTime),
    UniqueConstraint("connection_id", "event_id"),
    sqlite_autoincrement=True,
)
_index_of_some("ix_inbox_pending", INBOX.c.connection_id, INBOX.c.number, where=INBOX.c.done_at.is_(None))

WEBHOOKS = Table(
    "webhooks",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("tenant", Text),
    Column("target_url", Text, nullable=False),
    Column("event_types", JSON, nullable=False),
    Column("is_active", Boolean, nullable=False),
    Column("reason", Text),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
)

OUTBOX = Table(
    "outbox",
    METADATA,
    Column("number", _NUMBER, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("webhook_id", Text, ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False),
    Column("connection_id", Text, nullable=False),  # no foreign key: that a connection went is an event too
    Column("event", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_try_at", UtcTime, nullable=False),
    Column("failing_since", UtcTime),
    Column("last_error", Text),
    Column("delivered_at", UtcTime),
    Column("given_up_at", UtcTime),
    Index(None, "connection_id"),
    sqlite_autoincrement=True,
)
_index_of_some(
    "ix_outbox_pending",
    OUTBOX.c.webhook_id,
    OUTBOX.c.connection_id,
    OUTBOX.c.number,
    where=OUTBOX.c.delivered_at.is_(None),
)

SENT_CHANGES = Table(
    "sent_changes",
    METADATA,
    Column("connection_id", Text, ForeignKey("connections.id", ondelete="CASCADE"), primary_key=True),
    Column("copy", Text, nullable=False),
    Column("number", BigInteger, nullable=False),
)
"""Up to which change of which local copy the changes of a connection stand in the outbox."""

ROSTERS = Table(
    "rosters",
    METADATA,
    Column("connection_id", Text, ForeignKey("connections.id", ondelete="CASCADE"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("options", JSON, nullable=False),
    Column("accounts", Integer),
    Column("received_at", UtcTime),
    Column("tried_at", UtcTime),
    Column("reason", Text),
    Column("created_at", UtcTime, nullable=False),
)
"""The user lists of applications, which lie in the folder of a connection: where each comes from, and when it did."""

SCHEDULES = Table(
    "schedules",
    METADATA,
    Column("id", Text, primary_key=True),
    _connection_id(),
    Column("kind", Text, nullable=False),
    Column("cron", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("arguments", JSON, nullable=False),
    Column("is_active", Boolean, nullable=False),
    Column("next_at", UtcTime, nullable=False, index=True),
    Column("ran_at", UtcTime),
    Column("outcome", Text),
    Column("summary", Text),
    Column("found", LargeBinary),
    Column("created_at", UtcTime, nullable=False),
    Index(None, "connection_id"),
)
"""What is done by the hour for a connection, when next, and what came of it; `found` is sealed."""

FIRST_ANSWERS = Table(
    "first_answers",
    METADATA,
    Column("digest", LargeBinary, primary_key=True),
    _connection_id(),
    Column("request", LargeBinary, nullable=False),
    Column("answer", LargeBinary),
    Column("created_at", UtcTime, nullable=False, index=True),
    Index(None, "connection_id"),
)
"""Requests with an Idempotency-Key: digests of the key and of the request, and what was answered, sealed."""
