"""What changed, in the order in which the syncs found it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from pingone_mcp.directory.changes import Change, ChangedUser, ChangeKind, ChangePage, ChangeQuestion, Evidence
from pingone_mcp.directory.models import JsonObject, Named
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.errors import Refused
from pingone_mcp.replica.store.retention import KEPT_CHANGES, change_ids

if TYPE_CHECKING:
    import sqlite3

_PAGE = 200


def changes_page(
    connection: sqlite3.Connection, question: ChangeQuestion, at: Position | None, page_size: int | None
) -> ChangePage:
    """Return the changes behind a position, oldest first, as one transaction that the caller has begun sees them.

    Numbers are given inside the transaction of a sync, so that behind a position there is never one that was not seen.
    Raises Refused for a position behind which some have been forgotten.
    """
    oldest, newest = change_ids(connection)
    behind = int(at.after) if at is not None and at.after is not None else oldest - 1
    size = min(page_size or _PAGE, _PAGE)
    if behind < oldest - 1:
        raise Refused(
            f"Changes behind this cursor have been forgotten: the local copy keeps them for {KEPT_CHANGES.days} days.",
            "Start again without `cursor` for those that are kept; list_users tells who is there now.",
            code="CHANGES_FORGOTTEN",
        )
    where, values = where_of(question)
    (total,) = connection.execute(f"SELECT count(*) FROM changes_ WHERE {where}", values).fetchone()  # noqa: S608 - our own text
    rows = connection.execute(
        f"SELECT {SHOWN_CHANGE} FROM changes_ WHERE {where} AND id > ? ORDER BY id LIMIT ?",  # noqa: S608
        (*values, behind, size + 1),
    ).fetchall()
    found = tuple(ShownChange(*row).change() for row in rows[:size])
    return ChangePage(
        items=found,
        at=_behind(behind),
        next=_behind(found[-1].id) if len(rows) > size else None,
        scanned=len(found),
        total=total,
        newest=_behind(max(newest, behind)),
    )


def newest_changes(connection: sqlite3.Connection, question: ChangeQuestion, limit: int) -> ChangePage:
    """Return the newest changes, newest first, with how many there are in all."""
    where, values = where_of(question)
    (total,) = connection.execute(f"SELECT count(*) FROM changes_ WHERE {where}", values).fetchone()  # noqa: S608 - our own text
    rows = connection.execute(
        f"SELECT {SHOWN_CHANGE} FROM changes_ WHERE {where} ORDER BY id DESC LIMIT ?",  # noqa: S608
        (*values, limit),
    ).fetchall()
    found = tuple(ShownChange(*row).change() for row in rows)
    newest = _behind(found[0].id if found else 0)
    return ChangePage(items=found, at=_behind(0), next=None, scanned=len(found), total=total, newest=newest)


def _behind(change: int) -> Position:
    """Return the position behind a change, by its number."""
    return Position(source="replica", after=str(change))


def where_of(question: ChangeQuestion) -> tuple[str, Sequence[str]]:
    """Return the condition on changes_ that a question means, of our own making, and the values bound to it."""
    terms, values = ["1"], list[str]()
    if question.since is not None:
        terms.append("at >= ?")
        values.append(timestamp(question.since))
    if question.kinds:
        terms.append(f"kind IN ({', '.join('?' * len(question.kinds))})")
        values += question.kinds
    if question.user is not None:
        terms.append("(user_id = ? OR username = ? COLLATE NOCASE OR email = ? COLLATE NOCASE)")
        values += [question.user.strip()] * 3
    return " AND ".join(terms), values


class ShownChange(NamedTuple):
    """What is shown of a change, as the copy holds it: times and objects as texts."""

    id: int
    at: str
    kind: ChangeKind
    user_id: str
    username: str | None
    email: str | None
    group_id: str | None
    group_name: str | None
    before: str | None
    after: str | None
    evidence: Evidence
    actor: str | None

    def change(self) -> Change:
        return Change(
            id=self.id,
            at=datetime.fromisoformat(self.at),
            kind=self.kind,
            user=ChangedUser(id=self.user_id, username=self.username, email=self.email),
            before=_object(self.before),
            after=_object(self.after),
            evidence=self.evidence,
            group=Named(id=self.group_id, name=self.group_name) if self.group_id is not None else None,
            actor=self.actor,
        )


SHOWN_CHANGE = ", ".join(ShownChange._fields)


def _object(text: str | None) -> JsonObject | None:
    value: JsonObject | None = None if text is None else json.loads(text)
    return value
