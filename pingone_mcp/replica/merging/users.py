"""Users that are taken over: who is new or different, who is gone, and what was before the first sync."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from pingone_mcp.directory.changes import ChangeKind, changes_between
from pingone_mcp.directory.user_columns import UserRow
from pingone_mcp.directory.user_row import as_unicode
from pingone_mcp.replica.findings import GoneUser
from pingone_mcp.replica.merging.managers import find_all_managers, note_names
from pingone_mcp.replica.merging.takeover import ChangeRow, KnownTrace, Takeover, as_json, chunks
from pingone_mcp.replica.store import schema
from pingone_mcp.replica.store.rows import record_of

_USERS = ", ".join(schema.USER_COLUMNS)
_STAGED, _COPIED = (", ".join(f"{table}.{name}" for name in schema.USER_COLUMNS) for table in "su")
_UPDATE = ", ".join(f"{name} = excluded.{name}" for name in schema.USER_COLUMNS if name != "id")
_FILL = f"""INSERT INTO main.users_ ({_USERS}, manager_id) SELECT {_STAGED}, m.id
    FROM staged.users_ s LEFT JOIN temp.meant m ON m.reference = s.manager WHERE s.environment_id = ?"""  # noqa: S608 - our names
_COMPARE = f"""INSERT INTO temp.differing SELECT s.id, {schema.ALTERED}
    FROM staged.users_ s LEFT JOIN main.users_ u ON u.id = s.id
    WHERE s.environment_id = ? AND s.id NOT IN (SELECT id FROM temp.alone)
    AND ({schema.ALTERED} OR {schema.SIGNED_ON})"""  # noqa: S608 - our names
_TAKE_OVER = f"""INSERT INTO main.users_ ({_USERS}) SELECT {_USERS} FROM staged.users_
    WHERE environment_id = ? AND id IN (SELECT id FROM temp.differing)
    ON CONFLICT (id) DO UPDATE SET {_UPDATE}, removed_at = NULL, removed_evidence = NULL"""  # noqa: S608 - our names
_PUT_REMOVED = f"""INSERT INTO users_ ({_USERS}, removed_at, removed_evidence)
    VALUES ({", ".join("?" * len(schema.USER_COLUMNS))}, ?, 'event') ON CONFLICT (id) DO NOTHING"""  # noqa: S608 - our names
# What must be so now for a thing of the past to be worth showing.
_STILL: Mapping[str, str] = {
    "user.removed": "u.status = 'deleted'",
    "user.deactivated": "u.removed_at IS NULL AND u.enabled = 0",
    "user.locked": "u.removed_at IS NULL AND u.account_status = 'LOCKED'",
}


class _AlteredUser(NamedTuple):
    """Who is new or different: as `read`, and as the copy has them (`known`), removed there at a time."""

    read: UserRow
    known: UserRow | None
    removed_at: str | None


def merge_users(takeover: Takeover) -> None:
    """Take over who was read, and note what changed; `temp.altered` and `temp.moved` list them then.

    Of a first sync nobody is listed: all are new.
    """
    database, found = takeover.database, takeover.found
    takeover.list_ids("altered", ())
    takeover.list_ids("moved", ())
    takeover.make_table("named", "name TEXT PRIMARY KEY")
    takeover.is_first = found.quiet and database.execute("SELECT 1 FROM main.users_ LIMIT 1").fetchone() is None
    if takeover.is_first:
        _fill(takeover)
        return
    takeover.make_table("differing", "id TEXT PRIMARY KEY, is_altered")
    database.execute(_COMPARE, (found.id,))
    database.execute("INSERT INTO temp.altered SELECT id FROM temp.differing WHERE is_altered")
    database.execute(
        """INSERT INTO temp.moved SELECT s.id FROM temp.altered CROSS JOIN staged.users_ s USING (id)
        CROSS JOIN main.users_ u USING (id) WHERE s.population_id IS NOT u.population_id"""
    )
    note_names(takeover)
    if not found.quiet:
        _note_changed(takeover)
    database.execute(f"{schema.DROP_WORDS} id IN (SELECT id FROM temp.altered)")  # noqa: S608 - our names
    database.execute(_TAKE_OVER, (found.id,))
    database.execute(f"{schema.PUT_WORDS} WHERE id IN (SELECT id FROM temp.altered) ORDER BY number")  # noqa: S608 - our names


def _fill(takeover: Takeover) -> None:
    """Take over everybody into a copy of nobody; indexes are made afterwards, which takes half as long."""
    database = takeover.database
    find_all_managers(takeover)
    for name in schema.USER_INDEXES:
        database.execute(f"DROP INDEX main.{name}")
    database.execute(_FILL, (takeover.found.id,))
    for name, columns in schema.USER_INDEXES.items():
        database.execute(f"CREATE INDEX main.{name} ON users_ {columns}")
    database.execute(f"{schema.PUT_WORDS} ORDER BY number")


def _note_changed(takeover: Takeover) -> None:
    rows = takeover.database.execute(
        f"""SELECT {_STAGED}, {_COPIED}, u.removed_at FROM temp.altered CROSS JOIN staged.users_ s USING (id)
        LEFT JOIN main.users_ u USING (id) ORDER BY s.updated_at"""  # noqa: S608 - our names
    )
    for chunk in chunks(rows):
        takeover.note(change for row in chunk for change in _changes_of(takeover, _altered(row)))


def _altered(row: tuple[Any, ...]) -> _AlteredUser:
    width = len(schema.USER_COLUMNS)
    known = UserRow._make(row[width:-1])
    return _AlteredUser(UserRow._make(row[:width]), known if row[width] is not None else None, row[-1])


def _changes_of(takeover: Takeover, user: _AlteredUser) -> Iterator[ChangeRow]:
    read = user.read
    before = user.known if user.removed_at is None else None
    entered = before is None and _was_hidden(takeover, user)
    if before is None:
        (takeover.entered if entered else takeover.created).add(read.id)
    for change in changes_between(None if before is None else record_of(before), record_of(read)):
        trace = _trace(takeover, read, change.kind, is_new=before is None, entered=entered)
        yield ChangeRow(
            at=min(trace.at, takeover.now),  # no clock knows more
            seen_at=takeover.now,
            kind="user.entered_scope" if entered else change.kind,
            user_id=read.id,
            username=read.username,
            email=read.email,
            environment_id=takeover.found.id,
            before=as_json(change.before),
            after=as_json(change.after),
            evidence=trace.evidence,
            actor=trace.actor,
        )


def _trace(takeover: Takeover, user: UserRow, kind: ChangeKind, *, is_new: bool, entered: bool) -> KnownTrace:
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
    if takeover.found.wanted.trace("user.created", user.read.id) is not None:
        return False
    return takeover.found.existed_before(user.read.created_at) is True


def remove_users(takeover: Takeover) -> None:
    """Take over who is gone, and note it. Who left the scope keeps the status: scope is not state."""
    gone = {user: replace(one, at=min(one.at, takeover.now)) for user, one in takeover.found.gone.items()}
    for chunk in chunks(gone):
        known = _known(takeover, chunk)
        if not takeover.found.quiet:
            takeover.note(_removal(takeover, user, gone[user.id]) for user in known)
        _mark_removed(takeover, [(user.id, gone[user.id]) for user in known])


def _known(takeover: Takeover, users: Sequence[str]) -> list[UserRow]:
    marks = ", ".join("?" * len(users))
    rows = takeover.database.execute(
        f"SELECT {schema.USER} FROM users_ u WHERE u.id IN ({marks}) AND u.removed_at IS NULL",  # noqa: S608 - marks
        users,
    )
    return [UserRow._make(row) for row in rows]


def _removal(takeover: Takeover, user: UserRow, gone: GoneUser) -> ChangeRow:
    kind: ChangeKind = "user.left_scope" if gone.left else "user.removed"
    return ChangeRow(
        at=gone.at,
        seen_at=takeover.now,
        kind=kind,
        user_id=user.id,
        username=user.username,
        email=user.email,
        environment_id=takeover.found.id,
        before=as_json(record_of(user)),
        evidence=gone.evidence,
        actor=gone.actor,
    )


def _mark_removed(takeover: Takeover, gone: Sequence[tuple[str, GoneUser]]) -> None:
    many, ids = takeover.database.executemany, [(user,) for user, _ in gone]
    many(f"{schema.DROP_WORDS} id = ?", ids)
    many(
        """UPDATE users_ SET status = 'deleted', status_reasons = 'removed', removed_at = ?, removed_evidence = ?
        WHERE id = ?""",
        [(one.at, one.evidence, user) for user, one in gone if not one.left],
    )
    many(
        "UPDATE users_ SET removed_at = ?, removed_evidence = 'scope' WHERE id = ?",
        [(one.at, user) for user, one in gone if one.left],
    )
    many("DELETE FROM role_assignments_ WHERE user_id = ?", ids)
    many("INSERT OR IGNORE INTO temp.altered VALUES (?)", ids)


def note_past(takeover: Takeover) -> None:
    """Write down what the audit says of the time before the first sync, of those of whom it still holds."""
    changes: list[ChangeRow] = []
    for past in takeover.found.past:
        at = min(past.trace.at, takeover.now)
        if past.removed is not None:
            row = as_unicode(past.removed)
            takeover.database.execute(_PUT_REMOVED, (*row, at))
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
