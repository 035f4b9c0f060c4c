"""One person of the local copy with all that it knows of them, those who are gone included."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pingone_mcp.directory.changes import Change, ChangeQuestion, Evidence
from pingone_mcp.directory.matching.references import as_id
from pingone_mcp.directory.models import GroupMembership, Named, User
from pingone_mcp.directory.nesting import above_each
from pingone_mcp.directory.user_columns import UserRow
from pingone_mcp.errors import NotFound
from pingone_mcp.replica.asking.changes import newest_changes
from pingone_mcp.replica.asking.conditions import Condition, both
from pingone_mcp.replica.asking.one_user import manager_of
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.asking.users import EXISTS, completed
from pingone_mcp.replica.browsing.people import served
from pingone_mcp.replica.store.rows import user_of
from pingone_mcp.replica.store.schema import USER

HowInGroup = Literal["direct", "nested", "dynamic"]
REPORTS = 100
CHANGES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class InGroup:
    """A group that somebody is in, and how: directly, by its filter (`dynamic`), or `through` groups nested in it."""

    group: GroupMembership
    how: HowInGroup
    through: tuple[Named, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPerson:
    """Somebody as the copy knows them.

    `gone_at` is since when they are not there any more, `removed` that they were removed then and did not move to where
    nobody looks; `evidence` is how that is known. `groups`, and `roles` of the user, are None where the copy does not
    hold them. `reports` are the first of `report_count`, `changes` the newest of `change_count`.
    """

    user: User
    groups: tuple[InGroup, ...] | None
    reports: tuple[User, ...]
    report_count: int
    changes: tuple[Change, ...]
    change_count: int
    known_since: datetime
    gone_at: str | None = None
    removed: bool = False
    evidence: Evidence | None = None


def known_person(copy: Snapshot, reference: str) -> KnownPerson:
    """Return the person of an id. Raises NotFound."""
    identity = as_id(reference) or reference.strip()
    row = copy.database.execute(
        f"SELECT u.manager_id, u.removed_at, u.removed_evidence, u.status_reasons, {USER} FROM users_ u "  # noqa: S608 - our own text
        f"WHERE u.id = ? AND {(who := served(copy)).sql}",
        (identity, *who.values),
    ).fetchone()
    if row is None:
        raise NotFound(
            "The local copy knows nobody with this id in what is served.",
            "Look for them by name; who is new is in the copy after the next sync.",
            code="NOT_FOUND",
        )
    manager_id, gone_at, evidence, reasons, *values = row
    removed = gone_at is not None and reasons == "removed"
    user = user_of(
        values,
        environments=copy.places.environment_names,
        populations=copy.places.population_names,
        manager=manager_of(copy, UserRow._make(values), manager_id),
        removed=removed,
    )
    if gone_at is None:
        user = completed(copy, [user], ("groups", "roles"))[0]
    reports, report_count = _reports(copy, user.id)
    found = newest_changes(copy.database, ChangeQuestion(user=user.id), CHANGES)
    return KnownPerson(
        user=user,
        groups=None if user.groups is None else _held(copy, user.groups),
        reports=reports,
        report_count=report_count,
        changes=found.items,
        change_count=found.total or 0,
        known_since=copy.since.watched,
        gone_at=gone_at,
        removed=removed,
        evidence=evidence,
    )


def _held(copy: Snapshot, memberships: tuple[GroupMembership, ...]) -> tuple[InGroup, ...]:
    """Return how somebody is in each group: of one who is there by nesting, the groups of theirs below it."""
    kinds = dict(copy.database.execute("SELECT id, group_type FROM groups_ WHERE user_filter IS NOT NULL"))
    nestings = copy.database.execute("SELECT group_id, parent_id FROM nestings_").fetchall()
    above = above_each(nestings) if nestings else {}
    found: list[InGroup] = []
    for one in memberships:
        if one.type == "direct":
            found.append(InGroup(group=one, how="direct"))
            continue
        below = [other for other in memberships if one.id in above.get(other.id, ())]
        own = [other for other in below if other.type == "direct" or other.id in kinds] or below
        if own:
            through = tuple(Named(id=other.id, name=other.name) for other in own)
            found.append(InGroup(group=one, how="nested", through=through))
        else:
            found.append(InGroup(group=one, how="dynamic" if one.id in kinds else "nested"))
    return tuple(sorted(found, key=lambda held: (held.group.name or held.group.id).casefold()))


def _reports(copy: Snapshot, identity: str) -> tuple[tuple[User, ...], int]:
    which = both(Condition("u.manager_id = ?", (identity,)), served(copy), EXISTS)
    (count,) = copy.database.execute(f"SELECT count(*) FROM users_ u WHERE {which.sql}", which.values).fetchone()  # noqa: S608 - our own text
    rows = copy.database.execute(
        f"SELECT {USER} FROM users_ u WHERE {which.sql} "  # noqa: S608 - our own text
        "ORDER BY u.last_name COLLATE NOCASE, u.first_name COLLATE NOCASE, u.number LIMIT ?",
        (*which.values, REPORTS),
    )
    return tuple(user_of(row, populations=copy.places.population_names) for row in rows), int(count)
