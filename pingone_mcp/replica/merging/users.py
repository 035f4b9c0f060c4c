"""Users that are taken over: who is new or different, who is gone, and what was before the first sync."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from pingone_mcp.directory.changes import ChangeKind, changes_between
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.replica.findings import GoneUser
from pingone_mcp.replica.merging.takeover import ChangeRow, KnownTrace, Takeover, as_json, chunks
from pingone_mcp.replica.store import schema
from pingone_mcp.replica.store.rows import as_written, storable, user_row

_USERS = ", ".join(schema.USER_COLUMNS)
_USERS_THERE, _USERS_READ = (
    ", ".join(f"{table}.{name}" for name in schema.USER_COLUMNS) for table in ("users_", "excluded")
)
_UPDATE = ", ".join(f"{name} = excluded.{name}" for name in schema.USER_COLUMNS if name != "id")
_TAKE_OVER = f"""INSERT INTO main.users_ ({_USERS}) SELECT {_USERS} FROM staged.users_ WHERE environment_id = ?
    ON CONFLICT (id) DO UPDATE SET {_UPDATE}, removed_at = NULL, removed_evidence = NULL
    WHERE ({_USERS_THERE}) IS NOT ({_USERS_READ}) OR users_.removed_at IS NOT NULL"""  # noqa: S608 - our names
_PUT_REMOVED = f"""INSERT INTO users_ ({_USERS}, removed_at, removed_evidence)
    VALUES ({", ".join("?" * len(schema.USER_COLUMNS))}, ?, 'event') ON CONFLICT (id) DO NOTHING"""  # noqa: S608 - our names
# What must be so now for a thing of the past to be worth showing.
_STILL: Mapping[str, str] = {
    "user.removed": "u.status = 'deleted'",
    "user.deactivated": "u.removed_at IS NULL AND u.enabled = 0",
    "user.locked": "u.removed_at IS NULL AND u.account_status = 'LOCKED'",
}


class _AlteredUser(NamedTuple):
    """Who is new or different: as read (`record`) and as the copy has them (`known`), removed there at a time."""

    id: str
    username: str | None
    email: str | None
    created_at: str | None
    updated_at: str | None
    record: str
    known: str | None
    removed_at: str | None


class _KnownUser(NamedTuple):
    id: str
    username: str | None
    email: str | None
    record: str


def merge_users(takeover: Takeover) -> None:
    """Take over who was read, and note what changed; `temp.altered` and `temp.moved` list them then."""
    database, found = takeover.database, takeover.found
    here = (found.id,)
    database.execute(
        """INSERT INTO temp.altered SELECT s.id FROM staged.users_ s LEFT JOIN main.users_ u ON u.id = s.id
        WHERE s.environment_id = ?
        AND (u.id IS NULL OR u.removed_at IS NOT NULL OR u.digest IS NOT s.digest)""",
        here,
    )
    takeover.list_ids("moved", ())
    database.execute(
        """INSERT INTO temp.moved SELECT s.id FROM staged.users_ s JOIN main.users_ u ON u.id = s.id
        WHERE s.environment_id = ? AND s.population_id IS NOT u.population_id""",
        here,
    )
    if not found.quiet:
        _note_changed(takeover)
    database.execute(
        "DELETE FROM people WHERE rowid IN (SELECT number FROM users_ WHERE id IN (SELECT id FROM temp.altered))"
    )
    is_first = database.execute("SELECT 1 FROM main.users_ LIMIT 1").fetchone() is None
    if is_first:
        for name in schema.USER_INDEXES:
            database.execute(f"DROP INDEX main.{name}")
    database.execute(_TAKE_OVER, here)
    if is_first:
        for name, columns in schema.USER_INDEXES.items():
            database.execute(f"CREATE INDEX main.{name} ON users_ {columns}")
    database.execute(
        """INSERT INTO people (rowid, id, username, name, email, title, department)
        SELECT number, id, username, name, email, title, department FROM users_
        WHERE id IN (SELECT id FROM temp.altered) ORDER BY number"""
    )


def _note_changed(takeover: Takeover) -> None:
    rows = takeover.database.execute(
        """SELECT s.id, s.username, s.email, s.created_at, s.updated_at, s.record, u.record, u.removed_at
        FROM temp.altered JOIN staged.users_ s USING (id) LEFT JOIN main.users_ u USING (id) ORDER BY s.updated_at"""
    )
    for chunk in chunks(rows):
        takeover.note(change for row in chunk for change in _changes_of(takeover, _AlteredUser(*row)))


def _changes_of(takeover: Takeover, user: _AlteredUser) -> Iterator[ChangeRow]:
    before = user.known if user.removed_at is None else None
    entered = before is None and _was_hidden(takeover, user)
    if entered:
        takeover.entered.add(user.id)
    with as_written():
        changes = changes_between(None if before is None else json.loads(before), json.loads(user.record))
    for change in changes:
        trace = _trace(takeover, user, change.kind, is_new=before is None, entered=entered)
        yield ChangeRow(
            at=min(trace.at, takeover.now),  # no clock knows more
            seen_at=takeover.now,
            kind="user.entered_scope" if entered else change.kind,
            user_id=user.id,
            username=user.username,
            email=user.email,
            environment_id=takeover.found.id,
            before=as_json(change.before),
            after=as_json(_unified(change.after)),
            evidence=trace.evidence,
            actor=trace.actor,
        )


def _trace(takeover: Takeover, user: _AlteredUser, kind: ChangeKind, *, is_new: bool, entered: bool) -> KnownTrace:
    """Return when a change was made and how that is known: by an event, else as the user itself says."""
    if entered:
        return takeover.unseen(None)
    event = takeover.found.wanted.trace(kind, user.id)
    if event is not None:
        return KnownTrace(event.at, "event", event.actor)
    return takeover.unseen(user.created_at if is_new else user.updated_at)


def _was_hidden(takeover: Takeover, user: _AlteredUser) -> bool:
    """Say whether who is new in the copy is not new in the directory: ids are not given twice."""
    if user.known is not None:
        return True
    if takeover.found.wanted.trace("user.created", user.id) is not None:
        return False
    return takeover.found.existed_before(user.created_at) is True


def remove_users(takeover: Takeover) -> None:
    """Take over who is gone, and note it. Who left the scope keeps the status: scope is not state."""
    gone = {user: replace(one, at=min(one.at, takeover.now)) for user, one in takeover.found.gone.items()}
    for chunk in chunks(gone):
        known = _known(takeover, chunk)
        if not takeover.found.quiet:
            takeover.note(_removal(takeover, user, gone[user.id]) for user in known)
        _mark_removed(takeover, [(user.id, gone[user.id]) for user in known])


def _known(takeover: Takeover, users: Sequence[str]) -> list[_KnownUser]:
    marks = ", ".join("?" * len(users))
    rows = takeover.database.execute(
        f"SELECT id, username, email, record FROM users_ WHERE id IN ({marks}) AND removed_at IS NULL",  # noqa: S608 - marks
        users,
    )
    return [_KnownUser(*row) for row in rows]


def _removal(takeover: Takeover, user: _KnownUser, gone: GoneUser) -> ChangeRow:
    kind: ChangeKind = "user.left_scope" if gone.left else "user.removed"
    return ChangeRow(
        at=gone.at,
        seen_at=takeover.now,
        kind=kind,
        user_id=user.id,
        username=user.username,
        email=user.email,
        environment_id=takeover.found.id,
        before=as_json(_unified(json.loads(user.record))),
        evidence=gone.evidence,
        actor=gone.actor,
    )


def _mark_removed(takeover: Takeover, gone: Sequence[tuple[str, GoneUser]]) -> None:
    many, ids = takeover.database.executemany, [(user,) for user, _ in gone]
    many(
        """UPDATE users_ SET status = 'deleted', status_reasons = 'removed', removed_at = ?, removed_evidence = ?
        WHERE id = ?""",
        [(one.at, one.evidence, user) for user, one in gone if not one.left],
    )
    many(
        "UPDATE users_ SET removed_at = ?, removed_evidence = 'scope' WHERE id = ?",
        [(one.at, user) for user, one in gone if one.left],
    )
    many("DELETE FROM people WHERE rowid = (SELECT number FROM users_ WHERE id = ?)", ids)
    many("DELETE FROM role_assignments_ WHERE user_id = ?", ids)
    many("INSERT OR IGNORE INTO temp.altered VALUES (?)", ids)


def note_past(takeover: Takeover) -> None:
    """Write down what the audit says of the time before the first sync, of those of whom it still holds."""
    changes: list[ChangeRow] = []
    for past in takeover.found.past:
        at = min(past.trace.at, takeover.now)
        if past.removed is not None:
            row = user_row(past.removed, takeover.found.id)
            takeover.database.execute(_PUT_REMOVED, (*storable(row), at))
        query = f"SELECT username, email FROM users_ u WHERE u.id = ? AND {_STILL[past.kind]}"  # noqa: S608 - our text
        changes += [
            ChangeRow(
                at=at,
                seen_at=takeover.now,
                kind=past.kind,
                user_id=past.user,
                username=username,
                email=email,
                environment_id=takeover.found.id,
                evidence="event",
                actor=past.trace.actor,
            )
            for username, email in takeover.database.execute(query, (past.user,)).fetchall()
        ]
    takeover.note(changes, counted=False)


def find_managers(takeover: Takeover) -> None:
    """Find the managers that are meant: by id, by username, or by an address that one user has."""
    database, here = takeover.database, (takeover.found.id,)
    if not database.execute("SELECT 1 FROM temp.altered LIMIT 1").fetchone():
        return
    # Many users have the same manager: each reference is looked up once.
    takeover.make_table("meant", "reference TEXT PRIMARY KEY, id TEXT")
    database.execute(
        """INSERT INTO temp.meant SELECT reference, coalesce(
            (SELECT m.id FROM users_ m WHERE m.id = lower(trim(reference))
                AND m.environment_id = ?1 AND m.removed_at IS NULL),
            (SELECT CASE WHEN count(*) = 1 THEN min(m.id) END FROM users_ m
                WHERE m.username = trim(reference) COLLATE NOCASE AND m.environment_id = ?1 AND m.removed_at IS NULL),
            (SELECT CASE WHEN count(*) = 1 THEN min(m.id) END FROM users_ m
                WHERE m.email = trim(reference) COLLATE NOCASE AND m.environment_id = ?1 AND m.removed_at IS NULL)
        ) FROM (SELECT DISTINCT manager AS reference FROM users_ WHERE environment_id = ?1 AND manager IS NOT NULL)""",
        here,
    )
    database.execute(
        """UPDATE users_ SET manager_id = (SELECT id FROM temp.meant WHERE reference = manager)
        WHERE environment_id = ? AND manager_id IS NOT (SELECT id FROM temp.meant WHERE reference = manager)""",
        here,
    )


def _unified(record: JsonObject | None) -> JsonObject | None:
    """Return a record without what the provider sent, which is kept once and not with every change."""
    return None if record is None else {name: value for name, value in record.items() if name != "remote_data"}
