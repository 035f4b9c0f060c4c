"""A company whose copy is watched: what goes wrong there, and what may then be said of its people.

Beside the script runs the oracle: who exists in truth, and who is in which group. What only looks like a removal is
none; and whoever is left out of an answer has a gap there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mcp import Client

from pingone_mcp.directory.provider import MemberQuestion
from pingone_mcp.errors import NoReplica, Problem
from pingone_mcp.replica.asking.directory import ReplicaDirectory
from pingone_mcp.replica.syncing.run import SyncReport
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.company.people import value_at
from pingone_mcp.sandbox.endpoints.calls import PageFaults
from pingone_mcp.sandbox.faults import Fault, Faults
from pingone_mcp.sandbox.options import Options
from tests.replica.happenings import Happening, happen
from tests.replica.truth import Copy, State, truth
from tests.world import NOW, World, error_text, facts

_STARTS_WITHIN = 10  # questions

Mode = Literal["auto", "full", "incremental"]

_ASKED = 3
"""About so many of those who are left out the slower questions are asked."""


@dataclass
class Moment:
    """What is true at a time.

    `homes` are environment and population of everybody; `state` is what is served of it, all environments together;
    `listed` are the groups that the role shows.
    """

    homes: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    listed: set[str] = field(default_factory=set[str])
    state: State = field(default_factory=State)


@dataclass
class Watched:
    """A sandbox of two environments, the copy of it, and what was true of it when."""

    kept: Copy
    once: set[str] = field(default_factory=set[str])
    """Who has ever been in the copy."""
    groups: set[str] = field(default_factory=set[str])
    """The groups that have ever been in the copy."""
    excused: set[str] = field(default_factory=set[str])
    """Who cannot be told from somebody who was deleted, by anybody."""
    last: int = 0
    """The last change that was judged."""
    first: int | None = None
    """The last change of the first sync: what was so before."""

    @property
    def sandbox(self) -> Sandbox:
        return self.kept.sandbox

    @property
    def places(self) -> list[str]:
        return [one.id for one in self.sandbox.company.environments]

    @property
    def populations(self) -> Collection[str]:
        """The only populations that the connection serves; none: all."""
        scope: Collection[str] = self.kept.served.get("populations", ())
        return scope

    def pass_time(self, seconds: float) -> None:
        self.sandbox.clock.advance(seconds)
        self.kept.world.time.passed += seconds

    # What is true

    def serves(self, population: str | None) -> bool:
        return not self.populations or population in self.populations

    def moment(self) -> Moment:
        now = Moment()
        for place in self.places:
            there = truth(self.sandbox, place)
            homes = {user["id"]: user["population"]["id"] for user in self.sandbox.users(place)}
            now.homes |= {user: (place, population) for user, population in homes.items()}
            of = {one.id: value_at(one.record, "population.id") for one in self.sandbox.state(place).groups.values()}
            groups = {group for group, population in of.items() if population is None or self.serves(str(population))}
            now.listed |= {group for group in groups if self.lists(place, of[group])}
            users = {user: record for user, record in there.users.items() if self.serves(homes[user])}
            now.state.users |= users
            now.state.groups |= {group: record for group, record in there.groups.items() if group in groups}
            now.state.nestings |= {pair for pair in there.nestings if groups.issuperset(pair)}
            now.state.memberships |= {
                (user, group): kind
                for (user, group), kind in there.memberships.items()
                if user in users and group in groups
            }
        return now

    def sees(self, place: str, population: str) -> bool:
        """Say whether the role reaches a population."""
        sample = self.sandbox.state(place).sample
        reach = self.sandbox.world.reach(sample, "read identities")
        return reach is True or (reach is not False and population in reach)

    def lists(self, place: str, population: object) -> bool:
        """Say whether the role shows the groups of a population, or (None) of the environment."""
        reach = self.sandbox.world.reach(self.sandbox.state(place).sample, "read places")
        if isinstance(reach, bool):
            return reach or self.sandbox.options.places_without_users
        return self.sandbox.options.unreachable_groups_listed or population in reach

    def seen(self, now: Moment) -> set[str]:
        """Return who may be read now, whatever else goes wrong."""
        hidden = frozenset[str]().union(*(one.hidden for one in self.sandbox.world.narrowed.values()))
        return {user for user, home in now.homes.items() if user not in hidden and self.sees(*home)}

    # What happens

    @contextmanager
    def administrator(self) -> Iterator[None]:
        """Let somebody act whose role is whole, and to whom nothing goes wrong."""
        narrowed, self.sandbox.world.narrowed = self.sandbox.world.narrowed, {}
        faults, self.sandbox.faults = self.sandbox.faults, Faults()
        try:
            yield
        finally:
            self.sandbox.world.narrowed, self.sandbox.faults = narrowed, faults

    async def happen(self, script: list[Happening]) -> None:
        with self.administrator():
            await happen(self.sandbox, script)

    def delete(self, place: str, users: Collection[str], *, told: bool) -> None:
        """Delete users, with events or behind the back of the audit."""
        state = self.sandbox.state(place)
        for user in users:
            position = state.position(user)
            assert position is not None
            if told:
                self.sandbox.befall(Fault("user_deleted", user_id=user), PageFaults(environment_id=place))
            else:
                state.remove_user(position)

    def there(self, place: str) -> list[str]:
        return [user["id"] for user in self.sandbox.users(place)]

    def heal(self) -> None:
        """Make everything readable again."""
        self.sandbox.faults.clear()
        self.sandbox.world.narrowed.clear()
        for place in self.places:
            self.sandbox.state(place).spoiled.clear()
            self.sandbox.state(place).unrecorded.clear()

    # Syncs, and what may be said after them

    async def copied(self, query: str) -> list[tuple[Any, ...]]:
        try:
            return await self.kept.rows(query)
        except NoReplica:
            return []

    async def state(self) -> State:
        """Return what is in the copy; nothing while there is none."""
        try:
            return await self.kept.state()
        except NoReplica:
            return State()

    async def sync(self, mode: Mode, *, accept: bool = False) -> SyncReport | Problem:
        """Sync; return the report, or the problem that ended it."""
        async with self.kept.syncing() as sync:
            try:
                return await sync.run(mode, accept_removals=accept)
            except Problem as problem:
                return problem

    async def synced(self, client: Client, mode: Mode) -> SyncReport | Problem:
        """Sync, and judge what the copy says of its people then."""
        await self._excuse(mode)
        before = await self.state()
        outcome = await self.sync(mode)
        now = self.moment()
        await self._judge_changes(now)
        if isinstance(outcome, Problem) or not outcome.taken_over:
            assert await self.state() == before, "nothing of it is taken over"
            if not isinstance(outcome, Problem) and outcome.held:
                assert await gaps_of(client), "a sync that is held is said everywhere"
        else:
            assert outcome.complete or await gaps_of(client), "what is not complete is said everywhere"
            await self._judge_answers(client, now, mode)
        self.once |= {row[0] for row in await self.copied("SELECT id FROM users")}
        self.groups |= {row[0] for row in await self.copied("SELECT id FROM groups")}
        if self.first is None and self.once:
            [(self.first,)] = await self.copied("SELECT coalesce(max(id), 0) FROM changes")
        return outcome

    async def changes(self) -> dict[str, int]:
        """Count what has changed since the first sync, by kind."""
        query = f"SELECT kind, count(*) FROM changes WHERE id > {self.first} GROUP BY kind"  # noqa: S608 - a number
        return dict(await self.copied(query))

    async def removed(self) -> set[str]:
        """Return who was removed since the first sync."""
        query = f"SELECT user_id FROM changes WHERE id > {self.first} AND kind = 'user.removed'"  # noqa: S608 - a number
        return {row[0] for row in await self.copied(query)} & {
            row[0] for row in await self.copied("SELECT id FROM removed_users")
        }

    async def _excuse(self, mode: Mode) -> None:
        """Note whom nobody could tell from somebody who was deleted.

        Whoever was moved to a population out of reach is missing from one that answers, where no event could be read
        that says where to. And of many who are hidden one by one, an incremental sync asks only for those whom events
        name.
        """
        now = self.moment()
        seen, narrowed = self.seen(now), self.sandbox.world.narrowed
        for user, population in await self.copied("SELECT id, population_id FROM users"):
            if user in seen or user not in now.homes:
                continue
            place, home = now.homes[user]
            moved = population != home and self.sees(place, population)
            some = place in narrowed and user in narrowed[place].hidden
            if moved or (some and mode != "full" and self.sandbox.options.user_counts_narrowed):
                self.excused.add(user)

    async def _judge_changes(self, now: Moment) -> None:
        changes = await self.copied(
            f"SELECT id, kind, user_id, group_id, json_extract(after, '$.type') FROM changes WHERE id > {self.last} "  # noqa: S608 - a number
            "AND kind IN ('user.removed', 'user.left_scope', 'membership.removed') ORDER BY id"
        )
        for number, kind, user, group, after in changes:
            self.last = number
            if user in self.excused:
                continue
            match kind:
                case "user.removed":
                    assert user not in now.homes, f"called removed, and is there: {user}"
                case "user.left_scope":
                    assert self.populations, f"called out of scope, and there is none: {user}"
                    assert user not in now.state.users, f"called out of scope, and is in it: {user}"
                case _:
                    held = now.state.memberships.get((user, group))
                    assert held is None or held == after, f"called out of a group, and is in it: {user} {group}"
        gone = {row[0] for row in await self.copied("SELECT id FROM removed_users WHERE status = 'deleted'")}
        assert not (gone & now.homes.keys()) - self.excused, "deleted in the copy, and there"

    async def _judge_answers(self, client: Client, now: Moment, mode: Mode) -> None:
        """Fail where an answer leaves out somebody who could be known, and has no gap."""
        seen = self.seen(now)
        knowable = (seen | (self.once if mode == "full" else set())) - self.excused
        users = await queried(client, "SELECT id FROM users")
        missing = {user for user in now.state.users if user in knowable} - {row[0] for row in users}
        pairs = {tuple(row) for row in await queried(client, "SELECT user_id, group_id FROM memberships")}
        unheld = {
            (user, group)
            for user, group in now.state.memberships
            if user in knowable and group in now.listed | self.groups
        } - pairs
        if missing or unheld:
            told = await gaps_of(client)
            assert told or not missing, f"left out without a word: {missing}"
            assert told or not unheld, f"memberships left out without a word: {unheld}"
        await self._judge_deactivated(client, now, knowable)
        for group in sorted({group for _, group in unheld})[:_ASKED]:
            await self._judge_group(client, group, {user for user, other in unheld if other == group})
        active = [user for user in sorted(missing) if now.state.users[user]["status"] == "active"][:_ASKED]
        if active:
            entries = [{"username": now.state.users[user]["username"], "status": "active"} for user in active]
            drift = facts(await client.call_tool("check_drift", {"entries": entries}))
            assert drift.get("gaps"), f"a drift without a gap, of users who are not in the copy: {active}"

    async def _judge_deactivated(self, client: Client, now: Moment, knowable: set[str]) -> None:
        found, coverage, source = await deactivated(client)
        if source != "replica":
            return
        for reason, is_so in (("disabled", _disabled), ("locked", _locked)):
            out = {user for user, record in now.state.users.items() if user in knowable and is_so(record)}
            missing = out - found
            assert not missing or not coverage[reason]["complete"], f"{reason}, and not found: {missing}"

    async def _judge_group(self, client: Client, group: str, lacking: set[str]) -> None:
        """Ask about a group of which the copy lacks some members: a list without them says so, and the review does."""
        world, served = self.kept.world, self.kept.served
        listed: set[str] = set()
        async with world.directory(**served) as live:
            copy = ReplicaDirectory(self.kept.store, live, live.profile, world.time.clock().now)
            at = None
            while True:
                try:
                    page = await copy.members(MemberQuestion(group=group), at)
                except Problem:  # the group itself is not in the copy, and says so
                    return
                listed |= {member.user.id for member in page.items}
                if page.gaps or page.next is None:
                    break
                at = page.next
        # A group that is not in the copy is asked of PingOne itself, which may know everybody by now.
        assert page.gaps or lacking <= listed, f"a list of members without a gap: {group} {lacking - listed}"
        answer = await client.call_tool("access_review", {"group": group})
        if "NOT_IN_REPLICA" not in error_text(answer):
            assert facts(answer)["gaps"], f"a review without a gap: {group}"

    async def equal(self, client: Client) -> None:
        """Fail unless the copy is the truth, and says of no gap."""
        now, held = self.moment(), await self.state()
        assert held.users == now.state.users
        assert held.memberships == now.state.memberships
        assert held.groups == now.state.groups
        assert held.nestings == now.state.nestings
        assert await gaps_of(client) == []
        found, coverage, _ = await deactivated(client)
        assert {user for user, one in now.state.users.items() if _disabled(one) or _locked(one)} == found
        assert coverage["disabled"]["complete"], coverage


def watched(
    folder: Path, options: Options | None = None, *, size: int = 120, customers: int = 60, **served: Any
) -> Watched:
    """Open a company of two environments; `served` limits what the connection serves."""
    sandbox = Sandbox(size, options=options, now=NOW, customers=customers)
    places = tuple(sorted(one.id for one in sandbox.company.environments))
    connection = {"environments": places, "retry_seconds": 0.0} | served
    return Watched(Copy(World(sandbox=sandbox, cache=folder / "cache"), page_size=40, served=connection))


def _disabled(record: Any) -> bool:
    return "disabled" in record.get("status_reasons", ())


def _locked(record: Any) -> bool:
    return "locked" in record.get("status_reasons", ())


async def queried(client: Client, sql: str) -> list[Any]:
    """Ask by SQL; on a slow machine the process that answers may start longer than one question waits."""
    answer = await client.call_tool("query_directory", {"sql": sql, "limit": 1000})
    for _ in range(_STARTS_WITHIN):
        if "QUERIES_BUSY" not in error_text(answer):
            break
        answer = await client.call_tool("query_directory", {"sql": sql, "limit": 1000})
    found = facts(answer)
    assert not found["truncated"]
    rows: list[Any] = found["rows"]
    return rows


async def gaps_of(client: Client) -> list[str]:
    """Return the gaps of an answer about users and memberships."""
    sql = "SELECT count(*) FROM users LEFT JOIN memberships ON user_id = id"
    gaps: list[str] = facts(await client.call_tool("query_directory", {"sql": sql})).get("gaps", [])
    return gaps


async def deactivated(client: Client) -> tuple[set[str], dict[str, Any], str]:
    """Return who cannot sign in, how that was found, and whether from the copy."""
    found: set[str] = set()
    arguments: dict[str, Any] = {"limit": 1000, "reasons": ["disabled", "locked"]}
    while True:
        page = facts(await client.call_tool("find_deactivated", arguments))
        found |= {row["id"] for row in page["result"]}
        if page["next_cursor"] is None:
            return found, page["coverage"], page["source"]["kind"]
        arguments["cursor"] = page["next_cursor"]
