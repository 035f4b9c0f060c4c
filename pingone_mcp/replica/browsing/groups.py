"""Groups of the local copy by name, and one of them with who is in it and how."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pingone_mcp.directory.matching.references import as_id
from pingone_mcp.directory.models import Group, Named, User
from pingone_mcp.directory.nesting import chains_to
from pingone_mcp.directory.paging.page import Page
from pingone_mcp.directory.paging.position import Counted, Position
from pingone_mcp.directory.text.harmless import unaccented
from pingone_mcp.errors import NotFound, Refused
from pingone_mcp.replica.asking.conditions import Condition, bindable, both, one_of
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.asking.users import EXISTS, listed
from pingone_mcp.replica.browsing.counts import served_groups
from pingone_mcp.replica.browsing.people import served
from pingone_mcp.replica.browsing.person import HowInGroup
from pingone_mcp.replica.store import schema
from pingone_mcp.replica.store.rows import group_of
from pingone_mcp.replica.store.schema import USER

_COLUMNS = ", ".join(f"u.{name}" for name in schema.GROUP_COLUMNS)
_MEMBERS = "(SELECT count(*) FROM memberships_ m WHERE m.group_id = u.id)"
_SHORT = "(SELECT s.counted FROM short_groups_ s WHERE s.group_id = u.id)"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedGroup:
    """A group, and how many people of the copy are in it in any way (None where that is not to be shown).

    `is_short` says that the provider counts more than could be read.
    """

    group: Group
    members: int | None
    is_short: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberOfGroup:
    """Somebody in a group, and how: directly, by its filter, or `through` groups nested in it, the own one first."""

    user: User
    how: HowInGroup
    through: tuple[Named, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMembers(Page[MemberOfGroup]):
    """A page of the people in a group, the group itself, and the groups directly below and above it."""

    group: ListedGroup
    below: tuple[Named, ...]
    above: tuple[Named, ...]


def groups_page(copy: Snapshot, query: str | None, at: Position | None, page_size: int) -> Page[ListedGroup]:
    """Return groups by name, those with all words in it. Raises Refused for a place that is gone, and NotHeld."""
    copy.need_memberships()
    words = unaccented(query or "").split()
    named = (Condition("instr(unaccented(coalesce(u.name, u.id)), ?)", (bindable(word),)) for word in words)
    where = both(served_groups(copy), *named)
    (total,) = copy.database.execute(f"SELECT count(*) FROM groups_ u WHERE {where.sql}", where.values).fetchone()  # noqa: S608 - our own text; what a question holds is bound
    behind = _behind_group(copy, at)
    ids = copy.database.execute(
        f"SELECT u.id FROM groups_ u WHERE {where.sql} AND {behind.sql} "  # noqa: S608 - as above
        "ORDER BY coalesce(u.name, '') COLLATE NOCASE, u.id LIMIT ?",
        (*where.values, *behind.values, page_size + 1),
    ).fetchall()
    kept = [identity for (identity,) in ids[:page_size]]
    found = _groups(copy, kept)
    position = at or Position(source="replica")
    more = len(ids) > page_size
    following = dataclasses.replace(position, after=kept[-1], counted=Counted(said=total)) if more else None
    items = tuple(found[identity] for identity in kept)
    return Page(items=items, at=position, next=following, scanned=len(items), total=int(total), gaps=copy.gaps(None))


def group_members(
    copy: Snapshot, reference: str, query: str | None, at: Position | None, page_size: int
) -> GroupMembers:
    """Return the people in a group of an id, the direct members first. Raises NotFound, Refused, and NotHeld."""
    copy.need_memberships()
    identity = as_id(reference) or reference.strip()
    found = _groups(copy, [identity])
    if identity not in found:
        raise NotFound("The local copy knows no group with this id in what is served.", "Look for it by name.")
    group = found[identity]
    words = [unaccented(bindable(word)) for word in (query or "").split()]
    named = (Condition(f"instr(unaccented({_CALLED}), ?)", (word,)) for word in words)
    where = both(Condition("m.group_id = ?", (identity,)), served(copy), EXISTS, *named)
    source = "memberships_ m CROSS JOIN users_ u ON u.id = m.user_id"
    total = at.counted.said if at is not None and at.counted.version == copy.version else None
    if total is None:
        (total,) = copy.database.execute(f"SELECT count(*) FROM {source} WHERE {where.sql}", where.values).fetchone()  # noqa: S608 - as above
    kind, after = (at.label, at.after) if at is not None and at.after is not None else ("", "")
    rows: list[tuple[Any, ...]] = []
    for one in ("direct", "indirect"):
        if kind == "indirect" and one == "direct":
            continue
        rows += copy.database.execute(
            f"SELECT m.type, u.id, {USER} FROM {source} WHERE {where.sql} AND m.type = ? AND m.user_id > ? "  # noqa: S608 - as above
            "ORDER BY m.user_id LIMIT ?",
            (*where.values, one, after if one == kind else "", page_size + 1 - len(rows)),
        ).fetchall()
        if len(rows) > page_size:
            break
    kept = rows[:page_size]
    position = at or Position(source="replica")
    following = (
        dataclasses.replace(
            position, label=kept[-1][0], after=kept[-1][1], counted=Counted(said=total, version=copy.version)
        )
        if len(rows) > page_size
        else None
    )
    return GroupMembers(
        items=_members(copy, group.group, kept),
        at=position,
        next=following,
        scanned=len(kept),
        total=total,
        gaps=copy.gaps(None),
        group=group,
        below=_beside(copy, "n.group_id", "n.parent_id", identity),
        above=_beside(copy, "n.parent_id", "n.group_id", identity),
    )


_CALLED = "coalesce(u.name, '') || ' ' || coalesce(u.username, '') || ' ' || coalesce(u.email, '')"


def _groups(copy: Snapshot, ids: Sequence[str]) -> dict[str, ListedGroup]:
    where = both(one_of("u.id", ids), served_groups(copy))
    rows = copy.database.execute(
        f"SELECT {_COLUMNS}, {_MEMBERS}, {_SHORT} FROM groups_ u WHERE {where.sql}",  # noqa: S608 - our own text; what a question holds is bound
        where.values,
    )
    found: dict[str, ListedGroup] = {}
    for *columns, members, short in rows:
        group = group_of(
            tuple(columns),
            environments=copy.places.environment_names,
            populations=copy.places.population_names,
        )
        hidden = bool(copy.places.scope.populations) and group.workspace is None
        found[group.id] = ListedGroup(group=group, members=None if hidden else members, is_short=short is not None)
    return found


def _behind_group(copy: Snapshot, at: Position | None) -> Condition:
    if at is None or at.after is None:
        return Condition("1")
    row = copy.database.execute("SELECT coalesce(name, '') FROM groups_ WHERE id = ?", (at.after,)).fetchone()
    if row is None:
        raise Refused("The group where this page began is gone.", "Begin the list anew.", code="STALE_CURSOR")
    (name,) = row
    return Condition(
        "(coalesce(u.name, '') > ? COLLATE NOCASE OR (coalesce(u.name, '') = ? COLLATE NOCASE AND u.id > ?))",
        (name, name, at.after),
    )


def _members(copy: Snapshot, group: Group, rows: Sequence[tuple[Any, ...]]) -> tuple[MemberOfGroup, ...]:
    chains = chains_to(group.id, copy.database.execute("SELECT group_id, parent_id FROM nestings_"))
    ids = [identity for kind, identity, *_ in rows if kind != "direct"]
    own: dict[str, list[str]] = {}
    if chains and ids:
        who, below = one_of("user_id", ids), one_of("group_id", sorted(chains))
        for user, held in copy.database.execute(
            f"SELECT user_id, group_id FROM memberships_ WHERE {who.sql} AND {below.sql} ORDER BY type, group_id",  # noqa: S608 - our own text
            (*who.values, *below.values),
        ):
            own.setdefault(user, []).append(held)
    names = dict(copy.database.execute("SELECT id, name FROM groups_")) if own else {}

    def member(kind: str, identity: str, values: Sequence[Any]) -> MemberOfGroup:
        user = listed(copy, values)
        if kind == "direct":
            return MemberOfGroup(user=user, how="direct")
        ways = own.get(identity)
        if not ways:
            return MemberOfGroup(user=user, how="dynamic" if group.user_filter is not None else "nested")
        chain = max((chains[one] for one in ways), key=len)
        return MemberOfGroup(
            user=user, how="nested", through=tuple(Named(id=one, name=names.get(one)) for one in chain)
        )

    return tuple(member(kind, identity, values) for kind, identity, *values in rows)


def _beside(copy: Snapshot, wanted: str, known: str, group: str) -> tuple[Named, ...]:
    where = served_groups(copy)
    rows = copy.database.execute(
        f"SELECT u.id, u.name FROM nestings_ n JOIN groups_ u ON u.id = {wanted} "  # noqa: S608 - our own text
        f"WHERE {known} = ? AND {where.sql} ORDER BY u.name COLLATE NOCASE, u.id",
        (group, *where.values),
    )
    return tuple(Named(id=identity, name=name) for identity, name in rows)
