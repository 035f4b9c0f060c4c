"""What SQL says of people in an access review is what a plain reading of the same rows says."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pingone_mcp.directory.matching.identity import folded
from pingone_mcp.directory.models import RoleAssignment
from pingone_mcp.directory.provider import AccessQuestion
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.directory.scope import Scope
from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.directory.user_row import as_json_text
from pingone_mcp.replica.asking.accesses import Accesses
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.store.letters import teach
from pingone_mcp.reports.review import Row, counts_of
from pingone_mcp.sandbox.app import Sandbox
from tests.replica.truth import Copy
from tests.world import NOW as SYNCED
from tests.world import World

NOW = datetime(2026, 3, 1, 9, 30, 0, 500, tzinfo=UTC)  # half a millisecond: times are kept in whole ones
IDLE = (NOW - timedelta(days=90)).replace(microsecond=0)
MILLISECOND = timedelta(milliseconds=1)
SIZE = 8
USERS, GROUPS, ROLES = ([str(UUID(int=kind << 64 | one)) for one in range(SIZE)] for kind in (1, 2, 3))
POPULATIONS = [str(UUID(int=4 << 64 | one)) for one in range(2)]
FLAGS = "inactive_with_access never_signed_in no_sign_in_for_90_days no_mfa privileged".split()


@dataclass(frozen=True)
class Somebody:
    """A user as the test puts it into the copy; `beside` says of what roles were read beside it, None for not read."""

    id: str
    username: str | None
    status: str
    seen: datetime | None
    mfa: bool | None
    population: str
    removed: bool
    groups: dict[str, str]
    roles: frozenset[str]
    beside: bool | None


def somebody(identity: str) -> st.SearchStrategy[Somebody]:
    names = [
        "ann",
        "Ann",
        "bo",
        "zoë",
        "Zoë",
        "Ä",
        "  bo",
        "b  o",
        "a\x00b",
        "ab",
        "ﬁn",
        "\u202eann",
        "ann\ud800",
        "",
        None,
    ]
    return st.builds(
        Somebody,
        id=st.just(identity),
        username=st.sampled_from(names),
        status=st.sampled_from(["active", "inactive", "deleted", "invited", "od\u200bd"]),
        seen=st.sampled_from([None, IDLE - MILLISECOND, IDLE, IDLE + MILLISECOND, NOW]),
        mfa=st.sampled_from([True, False, None]),
        population=st.sampled_from(POPULATIONS),
        removed=st.booleans() if identity == USERS[0] else st.just(value=False),
        groups=st.dictionaries(st.sampled_from(GROUPS[:3]), st.sampled_from(["direct", "indirect"])),
        roles=st.frozensets(st.sampled_from(ROLES[:2])),
        beside=st.sampled_from([None, None, True, False]),
    )


@dataclass(frozen=True)
class Nobody:
    """The file of a copy in which there is nobody yet, and whether the roles of everybody were read."""

    path: Path
    roles_read: bool


@pytest.fixture(scope="module", params=[True, False], ids=["roles read", "roles not read"])
def nobody(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Nobody:
    return Nobody(copied(tmp_path_factory.mktemp("copy"), roles=request.param), request.param)


def copied(folder: Path, *, roles: bool) -> Path:
    """Return the file of a copy of one environment, with two populations and some groups, and nobody in it."""
    kept = Copy(World(sandbox=Sandbox(5, now=SYNCED), cache=folder))

    async def sync() -> None:
        assert (await kept.sync("full", roles=roles)).complete

    anyio.run(sync)
    with closing(sqlite3.connect(kept.path)) as database:
        for table in ("users_", "groups_", "memberships_", "role_assignments_", "populations_", "changes_"):
            database.execute(f"DELETE FROM {table}")  # noqa: S608 - a name of ours
        (place,) = database.execute("SELECT id FROM environments_").fetchone()
        database.executemany(
            "INSERT INTO populations_ (id, environment_id, name) VALUES (?, ?, ?)",
            [(population, place, f"population {at}") for at, population in enumerate(POPULATIONS)],
        )
        database.executemany(
            "INSERT INTO groups_ (id, environment_id, name, created_at) VALUES (?, ?, ?, ?)",
            [(group, place, f"group {at}", timestamp(NOW)) for at, group in enumerate(GROUPS)],
        )
        database.commit()
        database.execute("PRAGMA journal_mode = DELETE")
    return kept.path


def put(database: sqlite3.Connection, people: Sequence[Somebody]) -> None:
    (place,) = database.execute("SELECT id FROM environments_").fetchone()
    for one in people:
        exact = one.username is not None and not one.username.isascii() and "\ud800" in one.username
        database.execute(
            "INSERT INTO users_ (id, environment_id, population_id, username, status, status_reasons, is_2fa_enabled, "
            "last_login_at, removed_at, custom_attributes, more) VALUES (?, ?, ?, ?, ?, '', ?, ?, ?, '{}', ?)",
            (
                one.id,
                place,
                one.population,
                one.username.encode("utf-8", "replace").decode() if one.username is not None else None,
                one.status,
                one.mfa,
                timestamp(one.seen) if one.seen is not None else None,
                timestamp(NOW) if one.removed else None,
                as_json_text({"exact": {"username": one.username}}) if exact else None,
            ),
        )
        memberships = [(one.id, group, kind) for group, kind in one.groups.items()]
        database.executemany("INSERT INTO memberships_ (user_id, group_id, type) VALUES (?, ?, ?)", memberships)
        database.executemany(
            "INSERT INTO role_assignments_ (user_id, role_id, role_name) VALUES (?, ?, ?)",
            [(one.id, role, f"role {ROLES.index(role)}") for role in one.roles],
        )


class Plain:
    """The people of a question, read one by one."""

    def __init__(self, people: Sequence[Somebody], question: AccessQuestion, *, roles_read: bool) -> None:
        self._question = question
        self._roles_read = roles_read
        self._by_group_only = question.group is not None and question.role is None
        self.people = {one.id: one for one in people if not one.removed and self._asked(one)}

    def _asked(self, one: Somebody) -> bool:
        question = self._question
        if question == AccessQuestion():
            return bool(one.groups or one.roles)
        return (
            (question.group is None or question.group in one.groups)
            and (question.role is None or question.role in one.roles)
            and (question.population is None or question.population == one.population)
        )

    def beside(self) -> dict[str, tuple[RoleAssignment, ...]]:
        """Return the roles that were read beside the copy: of members of a group only."""
        if not self._by_group_only:
            return {}
        read = {True: (RoleAssignment(id=ROLES[2], name="another"),), False: ()}
        return {one.id: read[one.beside] for one in self.people.values() if one.beside is not None}

    def flags(self, one: Somebody) -> tuple[str, ...]:
        beside = one.beside if self._by_group_only else None
        privileged = bool(one.roles) if beside is None else beside
        unknown = beside is None and not self._roles_read and not one.roles
        holds = [
            one.status in ("inactive", "deleted"),
            one.seen is None,
            one.seen is not None and NOW - one.seen > timedelta(days=90),
            one.mfa is False,
            privileged,
        ]
        found = [flag for flag, so in zip(FLAGS, holds, strict=True) if so]
        return (*found, "roles_unknown") if unknown else tuple(found)

    def ways(self, one: Somebody) -> set[str]:
        question, found = self._question, set[str]()
        if question.group is not None or question.role is None:
            found |= {kind for group, kind in one.groups.items() if question.group in (None, group)}
        if question.role is not None or (question.group is None and one.roles):
            found.add("role")
        return found

    def counts(self) -> dict[str, int | None]:
        people = self.people.values()
        flags = Counter(flag for one in people for flag in self.flags(one))
        ways = Counter(way for one in people for way in self.ways(one))
        statuses = Counter(harmless(one.status) for one in people)
        mfa_unknown = sum(one.mfa is None for one in people)
        unknown = {"no_mfa": mfa_unknown, "privileged": flags["roles_unknown"]}
        return {
            "people": len(people),
            **{f"flag.{flag}": flags[flag] or (None if unknown.get(flag) else 0) for flag in FLAGS},
            "mfa_unknown": mfa_unknown,
            "roles_unknown": flags["roles_unknown"],
            **{f"how.{way}": count for way, count in sorted(ways.items())},
            **{f"status.{status}": count for status, count in sorted(statuses.items())},
        }

    def worst(self) -> list[str]:
        def place(one: Somebody) -> tuple[int, str, str]:
            # What is no Unicode is in its place by what the copy keeps in its stead.
            username = (one.username or "").replace("\ud800", "?")
            return -len(set(self.flags(one)) - {"roles_unknown"}), folded(username), one.id

        return [one.id for one in sorted(self.people.values(), key=place)]


def ways_of(row: Row) -> Iterator[str]:
    for way in row.how:
        yield "role" if way.startswith("role ") else "indirect" if ", not directly" in way else "direct"


QUESTIONS = st.builds(
    AccessQuestion,
    group=st.sampled_from([None, GROUPS[0]]),
    role=st.sampled_from([None, ROLES[0]]),
    population=st.sampled_from([None, POPULATIONS[0]]),
)


@given(people=st.tuples(*map(somebody, USERS)), question=QUESTIONS, most=st.integers(0, SIZE + 1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_sql_says_of_people_what_their_rows_say(
    nobody: Nobody, people: tuple[Somebody, ...], question: AccessQuestion, most: int
) -> None:
    plain = Plain(people, question, roles_read=nobody.roles_read)
    with closing(sqlite3.connect(":memory:")) as database:
        database.deserialize(nobody.path.read_bytes())
        teach(database)
        put(database, people)
        if question.role is not None and all(question.role not in one.roles for one in people):
            return  # nobody is known to have a role of this name
        copy = Snapshot(database, Scope(), NOW)
        assert copy.has_roles == nobody.roles_read
        accesses = Accesses(copy, question, NOW, plain.beside())
        facts = accesses.facts()
        rows = {row.id: row for row in accesses.rows()}
        worst = accesses.worst(most, facts)
        assert accesses.count() == len(plain.people)
    assert counts_of(facts) == plain.counts()
    assert {row.id: (row.flags, set(ways_of(row))) for row in rows.values()} == {
        one.id: (plain.flags(one), plain.ways(one)) for one in plain.people.values()
    }
    assert [row.id for row in worst] == plain.worst()[:most]
    assert all(row == rows[row.id] for row in worst)
    assert {row.id: row.username for row in rows.values()} == {
        one.id: None if one.username is None else harmless(one.username) for one in plain.people.values()
    }
