"""Effective memberships: worked out where they may have changed, held where too many would be lost, and taken over.

Whoever is in a group itself, or in one nested in it at any depth, is in it: directly, or else indirectly.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pingone_mcp.directory.changes import ChangeKind
from pingone_mcp.directory.nesting import above_each
from pingone_mcp.replica.evidence import HELD_FROM, Held, Vanished, examples, masses
from pingone_mcp.replica.merging.takeover import ChangeRow, KnownTrace, Takeover, as_json, chunks
from pingone_mcp.replica.source import Trace

LOSING = "users who lose a membership"
_MEMBERSHIP = "group_id TEXT, user_id TEXT, type TEXT, PRIMARY KEY (group_id, user_id)"
_HERE = "SELECT 1 FROM memberships_ WHERE group_id IN (SELECT id FROM groups_ WHERE environment_id = ?) LIMIT 1"
_NOT_VERIFIED = """NOT EXISTS (
    SELECT 1 FROM staged.verified v WHERE v.group_id = m.group_id AND v.user_id = m.user_id)"""
_OWN = "(type = 'direct' OR group_id IN (SELECT id FROM temp.opaque))"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Beyond what share (0..1) of memberships lost at once without an event a person is asked.

    So many users who lose one, by environment, a person has `accepted`.
    """

    share: float
    accepted: Mapping[str, int] = field(default_factory=dict[str, int])


class _Turned(NamedTuple):
    """A membership that is another than it was: its type before and after, None where there is none."""

    group_id: str
    user_id: str
    before: str | None
    after: str | None
    username: str | None
    email: str | None
    group_name: str | None


def merge_memberships(takeover: Takeover, bounds: Bounds) -> None:
    """Take over who is in what. Raises Held where too many would lose memberships without evidence."""
    database, found = takeover.database, takeover.found
    _list_ids(takeover)
    _find_own(takeover)
    if found.quiet and not database.execute(_HERE, (found.id,)).fetchone():
        _work_out(takeover, into="main.memberships_")
        return
    takeover.make_table("effective", _MEMBERSHIP)
    _work_out(takeover, into="temp.effective")
    _find_turned(takeover)
    _hold_lost(takeover, bounds)
    if not found.quiet:
        _note_turned(takeover)
    database.execute(
        """DELETE FROM memberships_ WHERE (group_id, user_id) IN
        (SELECT group_id, user_id FROM temp.turned WHERE after IS NULL)"""
    )
    database.execute(
        """INSERT OR REPLACE INTO memberships_ (user_id, group_id, type)
        SELECT user_id, group_id, after FROM temp.turned WHERE after IS NOT NULL"""
    )


def _list_ids(takeover: Takeover) -> None:
    """Put down in temporary tables which groups and users are concerned, and which groups are above which."""
    found = takeover.found
    above = above_each(found.nestings)
    below = defaultdict[str, set[str]](set)
    for group, ancestors in above.items():
        for ancestor in ancestors:
            below[ancestor].add(group)
    takeover.list_ids("whole", found.whole)
    takeover.list_ids("needed", set(found.whole).union(*(below[group] for group in found.whole)))
    takeover.list_ids("reread", found.reread)
    takeover.list_ids("short", found.short_of_members)
    takeover.list_ids("entered", takeover.entered)
    takeover.list_ids("left_scope", (user for user, gone in found.gone.items() if gone.left))
    takeover.list_ids("touched", found.touched | found.gone.keys())
    takeover.list_ids("present", (group.id for group in found.groups))
    takeover.list_ids("opaque", found.opaque)
    takeover.make_table("above", "group_id TEXT, ancestor_id TEXT, PRIMARY KEY (group_id, ancestor_id)")
    takeover.database.executemany(
        "INSERT INTO temp.above VALUES (?, ?)",
        ((group, ancestor) for group, ancestors in above.items() for ancestor in ancestors),
    )


def _find_own(takeover: Takeover) -> None:
    """Find who is in which group itself (`temp.base`), beside those in groups nested in it."""
    execute = takeover.database.execute
    takeover.make_table("base", _MEMBERSHIP)
    for scope in ("user_id IN (SELECT id FROM temp.touched)", "group_id IN (SELECT id FROM temp.needed)"):
        execute(
            f"""INSERT OR IGNORE INTO temp.base SELECT group_id, user_id, type FROM memberships_ m
            WHERE {scope} AND group_id IN (SELECT id FROM temp.present) AND group_id NOT IN (SELECT id FROM temp.reread)
            AND {_OWN} AND {_NOT_VERIFIED}"""  # noqa: S608 - our names
        )
    execute(
        """INSERT OR IGNORE INTO temp.base SELECT group_id, user_id, type FROM staged.members
        WHERE group_id IN (SELECT id FROM temp.reread)"""
    )
    # Who was not read, and what was not read whole, keeps what there was.
    execute(
        f"""INSERT OR IGNORE INTO temp.base SELECT group_id, user_id, type FROM memberships_ m
        WHERE group_id IN (SELECT id FROM temp.reread)
        AND (group_id IN (SELECT id FROM temp.short) OR user_id IN (SELECT id FROM temp.unseen))
        AND {_OWN} AND {_NOT_VERIFIED}"""  # noqa: S608 - our names
    )
    execute(
        """INSERT OR IGNORE INTO temp.base SELECT group_id, user_id, type FROM staged.verified
        WHERE type IS NOT NULL AND group_id IN (SELECT id FROM temp.present)
        AND (group_id NOT IN (SELECT id FROM temp.reread) OR group_id IN (SELECT id FROM temp.short))"""
    )
    execute(
        """DELETE FROM temp.base WHERE NOT EXISTS (
            SELECT 1 FROM users_ u WHERE u.id = base.user_id AND +u.removed_at IS NULL)"""
    )


def _work_out(takeover: Takeover, *, into: str) -> None:
    """Work out who is in which group at all: directly, or else indirectly."""
    takeover.database.execute(
        f"INSERT INTO {into} (group_id, user_id, type) SELECT group_id, user_id, type FROM temp.base"  # noqa: S608 - our names
    )
    takeover.database.execute(
        f"""INSERT OR IGNORE INTO {into} (group_id, user_id, type)
        SELECT a.ancestor_id, b.user_id, 'indirect' FROM temp.base b JOIN temp.above a ON a.group_id = b.group_id"""  # noqa: S608 - our names
    )


def _find_turned(takeover: Takeover) -> None:
    """Find the memberships that are others than they were (`temp.turned`)."""
    scopes = "({0}.group_id IN (SELECT id FROM temp.whole) OR {0}.user_id IN (SELECT id FROM temp.touched))"
    takeover.make_table(
        "turned", "group_id TEXT, user_id TEXT, before TEXT, after TEXT, PRIMARY KEY (group_id, user_id)"
    )
    takeover.database.execute(
        f"""INSERT INTO temp.turned SELECT e.group_id, e.user_id, m.type, e.type
        FROM temp.effective e LEFT JOIN memberships_ m ON m.group_id = e.group_id AND m.user_id = e.user_id
        WHERE m.type IS NOT e.type AND {scopes.format("e")}"""  # noqa: S608 - our names
    )
    for scope in ("m.group_id IN (SELECT id FROM temp.whole)", "m.user_id IN (SELECT id FROM temp.touched)"):
        takeover.database.execute(
            f"""INSERT OR IGNORE INTO temp.turned SELECT m.group_id, m.user_id, m.type, NULL FROM memberships_ m
            WHERE {scope} AND NOT EXISTS (
                SELECT 1 FROM temp.effective e WHERE e.group_id = m.group_id AND e.user_id = m.user_id)"""  # noqa: S608 - our names
        )


def _hold_lost(takeover: Takeover, bounds: Bounds) -> None:
    """Raise Held where too many users would lose direct memberships that no event says have ended."""
    here, losing = takeover.found.id, _losing(takeover)
    if len(losing) <= max(HELD_FROM, bounds.accepted.get(here, 0)):
        return
    known: dict[str | None, int] = dict(
        takeover.database.execute(
            "SELECT population_id, count(*) FROM users_ WHERE environment_id = ? AND removed_at IS NULL GROUP BY 1",
            (here,),
        )
    )
    whole = Vanished(
        what=LOSING, environment=here, missing=len(losing), known=sum(known.values()), examples=examples(losing)
    )
    parts = [
        Vanished(what=LOSING, environment=here, population=place, missing=number, known=known.get(place, 0))
        for place, number in Counter(losing.values()).items()
        if place is not None
    ]
    if held := masses([whole, *parts], bounds.share):
        raise Held([whole, *(one for one in held if one is not whole)], ())


def _losing(takeover: Takeover) -> dict[str, str | None]:
    """Return who would lose a direct membership without an event that says so, with their populations."""
    wanted = takeover.found.wanted
    lost = takeover.database.execute(
        """SELECT t.user_id, t.group_id, (SELECT population_id FROM users_ u WHERE u.id = t.user_id)
        FROM temp.turned t WHERE t.before = 'direct' AND t.after IS NULL
        AND EXISTS (SELECT 1 FROM users_ u WHERE u.id = t.user_id AND +u.removed_at IS NULL)
        AND t.user_id NOT IN (SELECT id FROM temp.moved)"""
    )
    return {
        user: population
        for user, group, population in lost
        if group not in wanted.removed_groups and not wanted.left_group(user, group)
    }


def _note_turned(takeover: Takeover) -> None:
    """Write down who is in a group or not any more; that something comes into sight, or leaves scope, is none such."""
    names = {group.id: group.name for group in takeover.found.groups}
    rows = takeover.database.execute(
        """SELECT t.group_id, t.user_id, t.before, t.after, u.username, u.email, g.name
        FROM temp.turned t JOIN users_ u ON u.id = t.user_id LEFT JOIN groups_ g ON g.id = t.group_id
        WHERE t.user_id NOT IN (SELECT id FROM temp.left_scope)
        AND NOT (t.before IS NULL AND t.user_id IN (SELECT id FROM temp.entered))
        ORDER BY t.group_id, t.user_id"""
    )
    revealed, unveiled = _revealed_groups(takeover), takeover.found.unveiled
    joined = _joined_below(takeover, revealed, unveiled) if unveiled else set[tuple[str, str]]()
    added = takeover.found.wanted.trace

    def was_so(one: _Turned) -> bool:
        """Say whether somebody had been in a group before that was seen."""
        is_unveiled = one.group_id in unveiled and (one.group_id, one.user_id) not in joined
        in_sight = one.group_id in revealed or (one.after == "indirect" and is_unveiled)
        if one.before is not None or not in_sight or one.user_id in takeover.created:
            return False
        return added("membership.added", one.user_id, one.group_id) is None

    for chunk in chunks(rows):
        turned = (_Turned(*row) for row in chunk)
        takeover.note(
            _change(takeover, one, names.get(one.group_id, one.group_name)) for one in turned if not was_so(one)
        )


def _joined_below(takeover: Takeover, revealed: set[str], unveiled: set[str]) -> set[tuple[str, str]]:
    """Return who is in which groups (group, user) through others nested in them that they have joined now."""
    rows = takeover.database.execute(
        """SELECT a.ancestor_id, t.user_id, t.group_id, t.after FROM temp.turned t
        JOIN temp.above a ON a.group_id = t.group_id WHERE t.before IS NULL"""
    )
    return {
        (above, user)
        for above, user, group, after in rows
        if group not in (revealed if after == "direct" else revealed | unveiled)
    }


def _revealed_groups(takeover: Takeover) -> set[str]:
    """Return the groups that are new in the copy and not in the directory: their members were so before."""
    found = takeover.found
    rows = takeover.database.execute("SELECT id FROM groups_ WHERE environment_id = ?", (found.id,))
    known = {identity for (identity,) in rows}
    return {group.id for group in found.groups if group.id not in known and found.existed_before(group.created_at)}


def _change(takeover: Takeover, turned: _Turned, group_name: str | None) -> ChangeRow:
    found, user, group = takeover.found, turned.user_id, turned.group_id
    gained = turned.after == "direct" or turned.before is None
    kind: ChangeKind = "membership.added" if gained else "membership.removed"
    trace = _trace(takeover, turned, kind)
    return ChangeRow(
        at=min(trace.at, takeover.now),
        seen_at=takeover.now,
        kind=kind,
        user_id=user,
        username=turned.username,
        email=turned.email,
        environment_id=found.id,
        group_id=group,
        group_name=group_name,
        before=as_json(turned.before and {"type": turned.before}),
        after=as_json(turned.after and {"type": turned.after}),
        evidence=trace.evidence,
        actor=trace.actor,
    )


def _trace(takeover: Takeover, turned: _Turned, kind: ChangeKind) -> KnownTrace:
    """Return when a membership began or ended and how that is known: by an event, or because the user is gone."""
    found, user = takeover.found, turned.user_id
    is_direct = "direct" in (turned.before, turned.after)
    event = found.wanted.trace(kind, user, turned.group_id) if is_direct else None
    gone = found.gone.get(user)
    if gone is not None:
        known = event or Trace(gone.at, gone.actor)
        return KnownTrace(known.at, gone.evidence, known.actor)
    if event is not None:
        return KnownTrace(event.at, "event", event.actor)
    return takeover.unseen(None)
