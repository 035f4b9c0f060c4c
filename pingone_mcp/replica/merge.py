"""Taking over what a sync has read: one transaction that changes the local copy and writes down what changed.

The connection has the staging database attached as `staged`. What is compared is compared by SQLite, so that memory
stays small; a user who changed passes through `changes_between`, once.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pingone_mcp.directory.changes import ChangeKind, Evidence, changes_between
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.nesting import Nesting, above_each
from pingone_mcp.replica.evidence import Held, Shortfall, Vanished, examples, masses
from pingone_mcp.replica.source import PastEvent, Trace, Wanted
from pingone_mcp.replica.store import schema
from pingone_mcp.replica.store.rows import Row, as_written, storable, user_row

Mode = Literal["full", "incremental"]

LOSING = "users who lose a membership"
_CHUNK = 500
_USERS = ", ".join(schema.USER_COLUMNS)
_USERS_THERE, _USERS_READ = (
    ", ".join(f"{table}.{name}" for name in schema.USER_COLUMNS) for table in ("users_", "excluded")
)
_GROUPS = ", ".join(schema.GROUP_COLUMNS)
_CHANGE = """INSERT INTO changes_ (at, seen_at, kind, user_id, username, email, environment_id, group_id, group_name, before, after,
    evidence, actor) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """Who is not in the copy any more, when that happened or was first seen, and how it is known.

    `left` tells who still exists, in a population that is not served.
    """

    at: str
    evidence: Evidence
    actor: str | None = None
    left: bool = False


@dataclass(slots=True, kw_only=True)
class Findings:
    """What a sync found out about one environment, beside the users and members that are staged.

    `reread` are the groups whose members were read whole, `whole` those whose effective members are to be worked out
    anew, and `touched` the users for whom that is to be done in all groups. `short` are the groups that were not read
    whole after all, and `unseen` the users who may be there although they were not found: both lose no membership.
    `roles` are those of the users for whom they were read, and `all_roles` says that nobody else has any. `populations`
    and `with_groups` say where they could not be read, so that they stay as they were. `seen_before` is up to when
    everybody had been read before: who was created earlier and is new here was hidden until now. `quiet` writes down no
    changes but those of the `past`: there is nothing that they could be changes of.
    """

    environment: Row
    mode: Mode = "full"
    populations: list[Row] | None = field(default_factory=list[Row])
    groups: list[Row] = field(default_factory=list[Row])
    with_groups: bool = True
    short: dict[str, Shortfall] = field(default_factory=dict[str, Shortfall])
    unseen: set[str] = field(default_factory=set[str])
    refiltered: set[str] = field(default_factory=set[str])
    seen_before: str | None = None
    past: list[PastEvent] = field(default_factory=list[PastEvent])
    nestings: set[Nesting] = field(default_factory=set[Nesting])
    gone: dict[str, Gone] = field(default_factory=dict[str, Gone])
    reread: set[str] = field(default_factory=set[str])
    whole: set[str] = field(default_factory=set[str])
    touched: set[str] = field(default_factory=set[str])
    roles: dict[str, list[Row]] = field(default_factory=dict[str, list[Row]])
    all_roles: bool = False
    wanted: Wanted = field(default_factory=Wanted)
    quiet: bool = False

    @property
    def id(self) -> str:
        return str(self.environment[0])

    @property
    def dynamic(self) -> set[str]:
        """The groups that have members by a filter."""
        return {row[0] for row in self.groups if row[_FILTER] is not None}


_FILTER = schema.GROUP_COLUMNS.index("user_filter")
_NAME = schema.GROUP_COLUMNS.index("name")
_CREATED = schema.GROUP_COLUMNS.index("created_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Beyond what share of memberships lost at once without an event a person is asked (`share`).

    So many users who lose one, by environment, a person has `accepted`.
    """

    share: float
    accepted: Mapping[str, int] = field(default_factory=dict[str, int])


def merge(connection: sqlite3.Connection, findings: Findings, bounds: Bounds, now: str) -> Counter[str]:
    """Bring the local copy of one environment up to what was found; return the number of changes by kind.

    Raises Held, inside the transaction, where too many would lose memberships without evidence.
    """
    return _Merge(connection, findings, bounds, now).run()


class _Merge:
    def __init__(self, connection: sqlite3.Connection, findings: Findings, bounds: Bounds, now: str) -> None:
        self._do = connection.execute
        self._many = connection.executemany
        self._found = findings
        self._bounds = bounds
        self._now = now
        self._kinds = Counter[str]()
        self._entered: set[str] = set()

    def run(self) -> Counter[str]:
        self._do("DROP TABLE IF EXISTS temp.altered")
        self._do("CREATE TEMP TABLE altered (id TEXT PRIMARY KEY) WITHOUT ROWID")
        self._list("unseen", self._found.unseen)
        self._places()
        self._users()
        self._gone()
        self._past()
        self._managers()
        if self._found.with_groups:
            self._memberships()
            self._groups()
            self._shortfalls()
        else:
            self._do("DELETE FROM memberships_ WHERE user_id IN (SELECT id FROM users_ WHERE removed_at IS NOT NULL)")
        self._roles()
        return self._kinds

    def _places(self) -> None:
        found = self._found
        self._do("INSERT OR REPLACE INTO environments_ VALUES (?, ?, ?, ?)", storable(found.environment))
        if found.populations is None:
            return
        self._do("DELETE FROM populations_ WHERE environment_id = ?", (found.id,))
        self._many("INSERT OR REPLACE INTO populations_ VALUES (?, ?, ?, ?)", map(storable, found.populations))

    # Users

    def _users(self) -> None:
        here = (self._found.id,)
        self._do(
            """INSERT INTO temp.altered SELECT s.id FROM staged.users_ s LEFT JOIN main.users_ u ON u.id = s.id
            WHERE s.environment_id = ?
            AND (u.id IS NULL OR u.removed_at IS NOT NULL OR u.digest IS NOT s.digest)""",
            here,
        )
        self._do("DROP TABLE IF EXISTS temp.moved")
        self._do("CREATE TEMP TABLE moved (id TEXT PRIMARY KEY) WITHOUT ROWID")
        self._do(
            """INSERT INTO temp.moved SELECT s.id FROM staged.users_ s JOIN main.users_ u ON u.id = s.id
            WHERE s.environment_id = ? AND s.population_id IS NOT u.population_id""",
            here,
        )
        if not self._found.quiet:
            self._note_changed_users()
        self._do(
            "DELETE FROM people WHERE rowid IN (SELECT number FROM users_ WHERE id IN (SELECT id FROM temp.altered))"
        )
        update = ", ".join(f"{name} = excluded.{name}" for name in schema.USER_COLUMNS if name != "id")
        first = self._do("SELECT 1 FROM main.users_ LIMIT 1").fetchone() is None
        if first:
            for name in schema.USER_INDEXES:
                self._do(f"DROP INDEX main.{name}")
        self._do(
            f"""INSERT INTO main.users_ ({_USERS}) SELECT {_USERS} FROM staged.users_ WHERE environment_id = ?
            ON CONFLICT (id) DO UPDATE SET {update}, removed_at = NULL, removed_evidence = NULL
            WHERE ({_USERS_THERE}) IS NOT ({_USERS_READ}) OR users_.removed_at IS NOT NULL""",  # noqa: S608 - our names
            here,
        )
        if first:
            for name, columns in schema.USER_INDEXES.items():
                self._do(f"CREATE INDEX main.{name} ON users_ {columns}")
        self._do(
            """INSERT INTO people (rowid, id, username, name, email, title, department)
            SELECT number, id, username, name, email, title, department FROM users_
            WHERE id IN (SELECT id FROM temp.altered) ORDER BY number"""
        )

    def _note_changed_users(self) -> None:
        rows = self._do(
            """SELECT s.id, s.username, s.email, s.created_at, s.updated_at, s.record, u.record, u.removed_at
            FROM temp.altered JOIN staged.users_ s USING (id) LEFT JOIN main.users_ u USING (id) ORDER BY s.updated_at"""
        )
        for chunk in _chunks(rows):
            self._note(change for row in chunk for change in self._changes_of(row))

    def _changes_of(self, row: Row) -> Iterator[Row]:
        user, username, email, created, updated, record, known, removed = row
        before = known if removed is None else None
        entered = before is None and self._was_hidden(user, created, known)
        if entered:
            self._entered.add(user)
        with as_written():
            changes = changes_between(None if before is None else json.loads(before), json.loads(record))
        for change in changes:
            trace = None if entered else self._found.wanted.trace(change.kind, user)
            at = (trace.at if trace else None) or (created if before is None and not entered else None)
            at = min(at or (updated if before is not None else None) or self._now, self._now)  # no clock knows more
            how: Evidence = "event" if trace else "walk" if self._found.mode == "full" else "read"
            kind: ChangeKind = "user.entered_scope" if entered else change.kind
            yield (
                *(at, self._now, kind, user, username, email, self._found.id, None, None),
                *(_json(change.before), _json(_told(change.after)), how, trace.actor if trace else None),
            )

    def _was_hidden(self, user: str, created: str | None, known: str | None) -> bool:
        """Say whether who is new in the copy is not new in the directory: ids are not given twice."""
        if known is not None:
            return True
        before = self._found.seen_before
        if before is None or created is None or self._found.wanted.trace("user.created", user) is not None:
            return False
        return bool(created < before)

    def _gone(self) -> None:
        gone = {user: replace(one, at=min(one.at, self._now)) for user, one in self._found.gone.items()}
        for chunk in _chunks(gone):
            known = self._known(chunk)
            if not self._found.quiet:
                self._note(
                    (
                        *(gone[user].at, self._now, _how_gone(gone[user]), user, username, email, self._found.id),
                        *(None, None, _json(_told(json.loads(record))), None, gone[user].evidence, gone[user].actor),
                    )
                    for user, username, email, record in known
                )
            self._many(
                """UPDATE users_ SET status = 'deleted', status_reasons = 'removed', removed_at = ?, removed_evidence = ?
                WHERE id = ?""",
                [(gone[row[0]].at, gone[row[0]].evidence, row[0]) for row in known if not gone[row[0]].left],
            )
            # Who left keeps the status: scope is not state.
            self._many(
                "UPDATE users_ SET removed_at = ?, removed_evidence = 'scope' WHERE id = ?",
                [(gone[row[0]].at, row[0]) for row in known if gone[row[0]].left],
            )
            self._many(
                "DELETE FROM people WHERE rowid = (SELECT number FROM users_ WHERE id = ?)",
                [(row[0],) for row in known],
            )
            self._many("DELETE FROM role_assignments_ WHERE user_id = ?", [(row[0],) for row in known])
            self._many("INSERT OR IGNORE INTO temp.altered VALUES (?)", [(row[0],) for row in known])

    def _known(self, users: Sequence[str]) -> list[Row]:
        marks = ", ".join("?" * len(users))
        return self._do(
            f"SELECT id, username, email, record FROM users_ WHERE id IN ({marks}) AND removed_at IS NULL",  # noqa: S608 - marks
            users,
        ).fetchall()

    def _past(self) -> None:
        """Write down what the audit tells of the time before the first sync, of those of whom it still holds."""
        marks = ", ".join("?" * len(schema.USER_COLUMNS))
        told: list[Row] = []
        for past in self._found.past:
            at = min(past.trace.at, self._now)
            if past.removed is not None:
                self._do(
                    f"""INSERT INTO users_ ({_USERS}, removed_at, removed_evidence) VALUES ({marks}, ?, 'event')
                    ON CONFLICT (id) DO NOTHING""",  # noqa: S608 - our names
                    (*storable(user_row(past.removed, self._found.id)), at),
                )
            query = f"SELECT username, email FROM users_ u WHERE u.id = ? AND {_STILL[past.kind]}"  # noqa: S608 - our text
            told += [
                storable(
                    (
                        *(at, self._now, past.kind, past.user, username, email, self._found.id),
                        *(None, None, None, None, "event", past.trace.actor),
                    )
                )
                for username, email in self._do(query, (past.user,)).fetchall()
            ]
        self._many(_CHANGE, told)  # not counted: they are no changes since the last sync

    def _managers(self) -> None:
        """Find the managers that are meant: by id, by username, or by an address that one user has."""
        if not self._do("SELECT 1 FROM temp.altered LIMIT 1").fetchone():
            return
        # Many users have the same manager: each reference is looked up once.
        self._do("DROP TABLE IF EXISTS temp.meant")
        self._do("CREATE TEMP TABLE meant (reference TEXT PRIMARY KEY, id TEXT) WITHOUT ROWID")
        self._do(
            """INSERT INTO temp.meant SELECT reference, coalesce(
                (SELECT m.id FROM users_ m WHERE m.id = lower(trim(reference))
                    AND m.environment_id = ?1 AND m.removed_at IS NULL),
                (SELECT CASE WHEN count(*) = 1 THEN min(m.id) END FROM users_ m
                    WHERE m.username = trim(reference) COLLATE NOCASE AND m.environment_id = ?1 AND m.removed_at IS NULL),
                (SELECT CASE WHEN count(*) = 1 THEN min(m.id) END FROM users_ m
                    WHERE m.email = trim(reference) COLLATE NOCASE AND m.environment_id = ?1 AND m.removed_at IS NULL)
            ) FROM (SELECT DISTINCT manager AS reference FROM users_ WHERE environment_id = ?1 AND manager IS NOT NULL)""",
            (self._found.id,),
        )
        self._do(
            """UPDATE users_ SET manager_id = (SELECT id FROM temp.meant WHERE reference = manager)
            WHERE environment_id = ? AND manager_id IS NOT (SELECT id FROM temp.meant WHERE reference = manager)""",
            (self._found.id,),
        )

    # Memberships

    def _memberships(self) -> None:
        """Work out effective memberships where they may have changed, and take them over.

        Whoever is in a group itself, or in one nested in it at any depth, is in it: directly, or else indirectly.
        """
        found = self._found
        above = above_each(found.nestings)
        below = defaultdict[str, set[str]](set)
        for group, ancestors in above.items():
            for ancestor in ancestors:
                below[ancestor].add(group)
        needed = set(found.whole).union(*(below[group] for group in found.whole))
        self._list("whole", found.whole)
        self._list("needed", needed)
        self._list("reread", found.reread)
        self._list("short", found.short)
        self._list("entered", self._entered)
        self._list("left_scope", (user for user, gone in found.gone.items() if gone.left))
        self._list("touched", found.touched | found.gone.keys())
        self._list("present", (row[0] for row in found.groups))
        self._list("dynamic", found.dynamic)
        self._do("DROP TABLE IF EXISTS temp.above")
        self._do(
            "CREATE TEMP TABLE above (group_id TEXT, ancestor_id TEXT, PRIMARY KEY (group_id, ancestor_id)) WITHOUT ROWID"
        )
        self._many(
            "INSERT INTO temp.above VALUES (?, ?)",
            ((group, ancestor) for group, ancestors in above.items() for ancestor in ancestors),
        )
        self._work_out()
        if found.quiet and not self._do(_HERE, (found.id,)).fetchone():
            self._do(
                "INSERT INTO memberships_ (user_id, group_id, type) SELECT user_id, group_id, type FROM temp.effective"
            )
        else:
            self._take_over()

    def _list(self, name: str, ids: Iterable[str]) -> None:
        self._do(f"DROP TABLE IF EXISTS temp.{name}")
        self._do(f"CREATE TEMP TABLE {name} (id TEXT PRIMARY KEY) WITHOUT ROWID")
        self._many(f"INSERT OR IGNORE INTO temp.{name} VALUES (?)", ((identity,) for identity in ids))  # noqa: S608 - our names

    def _work_out(self) -> None:
        for name in ("base", "effective"):
            self._do(f"DROP TABLE IF EXISTS temp.{name}")
            self._do(
                f"""CREATE TEMP TABLE {name} (
                    group_id TEXT, user_id TEXT, type TEXT, PRIMARY KEY (group_id, user_id)) WITHOUT ROWID"""
            )
        for scope in (
            "user_id IN (SELECT id FROM temp.touched)",
            "group_id IN (SELECT id FROM temp.needed)",
        ):
            self._do(
                f"""INSERT OR IGNORE INTO temp.base SELECT group_id, user_id, type FROM memberships_ m
                WHERE {scope} AND group_id IN (SELECT id FROM temp.present) AND group_id NOT IN (SELECT id FROM temp.reread)
                AND (type = 'direct' OR group_id IN (SELECT id FROM temp.dynamic))
                AND NOT EXISTS (SELECT 1 FROM staged.verified v WHERE v.group_id = m.group_id AND v.user_id = m.user_id)"""  # noqa: S608 - our names
            )
        self._do(
            """INSERT OR IGNORE INTO temp.base SELECT group_id, user_id, type FROM staged.members
            WHERE group_id IN (SELECT id FROM temp.reread)"""
        )
        # Who was not read, and what was not read whole, keeps what there was.
        self._do(
            """INSERT OR IGNORE INTO temp.base SELECT group_id, user_id, type FROM memberships_ m
            WHERE group_id IN (SELECT id FROM temp.reread)
            AND (group_id IN (SELECT id FROM temp.short) OR user_id IN (SELECT id FROM temp.unseen))
            AND (type = 'direct' OR group_id IN (SELECT id FROM temp.dynamic))
            AND NOT EXISTS (SELECT 1 FROM staged.verified v WHERE v.group_id = m.group_id AND v.user_id = m.user_id)"""
        )
        self._do(
            """INSERT OR IGNORE INTO temp.base SELECT group_id, user_id, type FROM staged.verified
            WHERE type IS NOT NULL AND group_id NOT IN (SELECT id FROM temp.reread)
            AND group_id IN (SELECT id FROM temp.present)"""
        )
        there = "user_id IN (SELECT id FROM users_ WHERE removed_at IS NULL)"
        self._do(f"INSERT INTO temp.effective SELECT group_id, user_id, type FROM temp.base WHERE {there}")  # noqa: S608 - our names
        self._do(
            f"""INSERT OR IGNORE INTO temp.effective SELECT a.ancestor_id, b.user_id, 'indirect'
            FROM temp.above a JOIN temp.base b USING (group_id) WHERE {there}"""  # noqa: S608 - our names
        )

    def _take_over(self) -> None:
        scopes = "({0}.group_id IN (SELECT id FROM temp.whole) OR {0}.user_id IN (SELECT id FROM temp.touched))"
        self._do("DROP TABLE IF EXISTS temp.turned")
        self._do(
            "CREATE TEMP TABLE turned (group_id TEXT, user_id TEXT, before TEXT, after TEXT, PRIMARY KEY (group_id, user_id)) WITHOUT ROWID"
        )
        self._do(
            f"""INSERT INTO temp.turned SELECT e.group_id, e.user_id, m.type, e.type
            FROM temp.effective e LEFT JOIN memberships_ m ON m.group_id = e.group_id AND m.user_id = e.user_id
            WHERE m.type IS NOT e.type AND {scopes.format("e")}"""  # noqa: S608 - our names
        )
        for scope in ("m.group_id IN (SELECT id FROM temp.whole)", "m.user_id IN (SELECT id FROM temp.touched)"):
            self._do(
                f"""INSERT OR IGNORE INTO temp.turned SELECT m.group_id, m.user_id, m.type, NULL FROM memberships_ m
                WHERE {scope} AND NOT EXISTS (
                    SELECT 1 FROM temp.effective e WHERE e.group_id = m.group_id AND e.user_id = m.user_id)"""  # noqa: S608 - our names
            )
        self._hold_lost_memberships()
        if not self._found.quiet:
            self._note_memberships()
        self._do(
            """DELETE FROM memberships_ WHERE (group_id, user_id) IN
            (SELECT group_id, user_id FROM temp.turned WHERE after IS NULL)"""
        )
        self._do(
            """INSERT OR REPLACE INTO memberships_ (user_id, group_id, type)
            SELECT user_id, group_id, after FROM temp.turned WHERE after IS NOT NULL"""
        )

    def _hold_lost_memberships(self) -> None:
        """Raise Held where too many users would lose direct memberships that no event says have ended."""
        lost = self._do(
            """SELECT t.user_id, t.group_id, u.population_id FROM temp.turned t JOIN users_ u ON u.id = t.user_id
            WHERE t.before = 'direct' AND t.after IS NULL AND u.removed_at IS NULL
            AND t.user_id NOT IN (SELECT id FROM temp.moved)"""
        ).fetchall()
        wanted = self._found.wanted
        losing = {
            user: population
            for user, group, population in lost
            if group not in wanted.removed_groups and not wanted.left_group(user, group)
        }
        if len(losing) <= self._bounds.accepted.get(self._found.id, 0):
            return
        here, what = self._found.id, LOSING
        query = "SELECT population_id, count(*) FROM users_ WHERE environment_id = ? AND removed_at IS NULL GROUP BY 1"
        known: dict[str | None, int] = dict(self._do(query, (here,)))
        by_population = Counter(losing.values())
        found = [
            Vanished(what=what, environment=here, population=place, missing=number, known=known.get(place, 0))
            for place, number in by_population.items()
            if place is not None
        ]
        whole = Vanished(
            what=what,
            environment=here,
            population=None,
            missing=len(losing),
            known=sum(known.values()),
            examples=examples(losing),
        )
        if held := masses([whole, *found], self._bounds.share):
            raise Held([whole, *(one for one in held if one is not whole)], ())

    def _note_memberships(self) -> None:
        """Write down who is in a group or not any more; that a user or a group enters or leaves scope is none such."""
        names = {row[0]: row[_NAME] for row in self._found.groups}
        rows = self._do(
            """SELECT t.group_id, t.user_id, t.before, t.after, u.username, u.email, g.name
            FROM temp.turned t JOIN users_ u ON u.id = t.user_id LEFT JOIN groups_ g ON g.id = t.group_id
            WHERE t.user_id NOT IN (SELECT id FROM temp.left_scope)
            AND NOT (t.before IS NULL AND t.user_id IN (SELECT id FROM temp.entered))
            ORDER BY t.group_id, t.user_id"""
        )
        revealed = self._revealed_groups()
        added = self._found.wanted.trace
        for chunk in _chunks(rows):
            self._note(
                self._membership_change(row, names)
                for row in chunk
                if row[0] not in revealed or row[2] is not None or added("membership.added", row[1], row[0]) is not None
            )

    def _revealed_groups(self) -> set[str]:
        """Return the groups that are new in the copy and not in the directory: their members were so before."""
        before = self._found.seen_before
        if before is None:
            return set()
        known = {row[0] for row in self._do("SELECT id FROM groups_ WHERE environment_id = ?", (self._found.id,))}
        return {
            row[0] for row in self._found.groups if row[0] not in known and row[_CREATED] and row[_CREATED] < before
        }

    def _membership_change(self, row: Row, names: Mapping[str, str | None]) -> Row:
        group, user, before, after, username, email, old_name = row
        gained = after == "direct" or before is None
        kind: Literal["membership.added", "membership.removed"] = "membership.added" if gained else "membership.removed"
        trace = self._found.wanted.trace(kind, user, group) if "direct" in (before, after) else None
        gone = self._found.gone.get(user)
        if trace is None and gone is not None:
            trace = Trace(gone.at, gone.actor)
        how = "event" if trace else "walk" if self._found.mode == "full" else "read"
        return (
            *(min(trace.at, self._now) if trace else self._now, self._now, kind, user, username, email, self._found.id),
            *(group, names.get(group, old_name), _json(before and {"type": before}), _json(after and {"type": after})),
            *(gone.evidence if gone else how, trace.actor if trace else None),
        )

    # The rest

    def _groups(self) -> None:
        found = self._found
        self._do("DELETE FROM groups_ WHERE environment_id = ?", (found.id,))
        marks = ", ".join("?" * len(schema.GROUP_COLUMNS))
        self._many(f"INSERT OR REPLACE INTO groups_ ({_GROUPS}) VALUES ({marks})", map(storable, found.groups))  # noqa: S608 - our names
        # Of groups that are gone too, wherever they were: no environment shares its groups.
        self._do("DELETE FROM nestings_ WHERE group_id NOT IN (SELECT id FROM groups_)")
        self._do("DELETE FROM nestings_ WHERE group_id IN (SELECT id FROM temp.present)")
        self._many("INSERT OR REPLACE INTO nestings_ VALUES (?, ?)", sorted(found.nestings))

    def _shortfalls(self) -> None:
        """Note whose members are not all in the copy; of what has come since, nothing stays noted."""
        self._do(
            """DELETE FROM short_groups_ WHERE group_id NOT IN (SELECT id FROM groups_)
            OR group_id IN (SELECT id FROM temp.present)"""
        )
        self._many(
            """INSERT INTO short_groups_ SELECT ?1, ?2, ?3, ?4, ?5, ?6,
            (SELECT count(*) FROM memberships_ WHERE group_id = ?1 AND type = 'direct')""",
            [
                (group, short.counted, short.found, short.total, short.why, short.tries)
                for group, short in sorted(self._found.short.items())
            ],
        )

    def _roles(self) -> None:
        if self._found.all_roles:
            self._do(
                """DELETE FROM role_assignments_ WHERE user_id IN (SELECT id FROM users_ WHERE environment_id = ?)
                AND user_id NOT IN (SELECT id FROM temp.unseen)""",
                (self._found.id,),
            )
        for user, rows in self._found.roles.items():
            self._do("DELETE FROM role_assignments_ WHERE user_id = ?", (user,))
            self._many("INSERT INTO role_assignments_ VALUES (?, ?, ?, ?, ?, ?)", map(storable, rows))

    def _note(self, changes: Iterable[Row]) -> None:
        rows = [storable(row) for row in changes]
        self._kinds.update(row[2] for row in rows)
        self._many(_CHANGE, rows)


# What must be so now for a thing of the past to be worth telling.
_STILL: Mapping[str, str] = {
    "user.removed": "u.status = 'deleted'",
    "user.deactivated": "u.removed_at IS NULL AND u.enabled = 0",
    "user.locked": "u.removed_at IS NULL AND u.account_status = 'LOCKED'",
}
_HERE = "SELECT 1 FROM memberships_ WHERE group_id IN (SELECT id FROM groups_ WHERE environment_id = ?) LIMIT 1"


def _how_gone(gone: Gone) -> ChangeKind:
    return "user.left_scope" if gone.left else "user.removed"


def _chunks(rows: Iterable[Any]) -> Iterator[list[Any]]:
    chunk: list[Any] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _told(record: JsonObject | None) -> JsonObject | None:
    """Return a record without what the provider sent, which is kept once and not with every change."""
    return None if record is None else {name: value for name, value in record.items() if name != "remote_data"}


def _json(value: JsonObject | str | None) -> str | None:
    return None if not value else json.dumps(value, separators=(",", ":"))
