"""Events that could not be delivered are kept, and the place in the change feed up to which events were written."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("outbox", sa.Column("failing_since", _TIME, nullable=True))
    op.add_column("outbox", sa.Column("given_up_at", _TIME, nullable=True))
    op.create_table(
        "sent_changes",
        sa.Column("connection_id", sa.Text(), nullable=False),
        sa.Column("copy", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connections.id"], name="fk_sent_changes_connection_id_connections", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("connection_id", name="pk_sent_changes"),
    )
