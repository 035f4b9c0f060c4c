"""What is read of one environment for one sync: who is there, who is gone and how that is known, who is in what.

One thing that cannot be read (a user, a group, a list) is left out, stays as it was, and is named in `coverage`; what
ends the reading is only what concerns everything.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

from pingone_mcp.directory.changes import Evidence
from pingone_mcp.directory.models import Group, JsonObject, MembershipType, RoleAssignment, User
from pingone_mcp.directory.nesting import Nesting, above_each
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.errors import FilterRefused, NotFound, NotPermitted, Problem, RequestRefused, UnexpectedAnswer
from pingone_mcp.replica.asking.snapshot import UNREADABLE
from pingone_mcp.replica.evidence import Control, Shortfall, Vanished, examples, masses
from pingone_mcp.replica.merge import Findings, Gone
from pingone_mcp.replica.source import KINDS, EnvironmentSource, Pair, ShortList, Source
from pingone_mcp.replica.store import looks, schema
from pingone_mcp.replica.store.rows import Row, group_row
from pingone_mcp.replica.store.staging import BEGAN, Staging
from pingone_mcp.replica.store.store import Store, told
from pingone_mcp.replica.watermark import EVENTS_OVERLAP, UPDATES_OVERLAP, Watermark
from pingone_mcp.sqlite_files import remove_database
from pingone_mcp.tasks import each, in_thread


def longest_gap(source: Source) -> timedelta:
    """Return how long ago the last sync may be: not all the time for which events are kept, to be sure."""
    return source.keeps_events - timedelta(days=1)


def why_unread(problem: Problem) -> str:
    """Say that something may not be read, or could not be."""
    return "may not be read (403)" if isinstance(problem, NotPermitted) else f"could not be read ({problem.code})"


Report = Callable[[str, int, int | None], None]
"""Told of progress: the stage, how much of it is done, and how much it is about in all, where that is known."""

# What a killed sync has left is taken up again for so long.
RESUMED_FOR = timedelta(hours=6)
# Who was created so long before the last look and is new in the copy was hidden from it; else PingOne showed it late.
LATE = timedelta(minutes=10)
# A list that came back short, or a group that could not be read, is tried again so often before the next full sync.
_TRIES = 2
_RETRIED_GROUPS = 20
# So many of those who were not found, or were called removed by a 404, are looked for again in an incremental sync.
_LOOKED_FOR_AGAIN = 500
_ASKED_AGAIN = 50
# Beyond so many who are missing, lists are asked first, and then no more than these before a person is.
_MANY = 50
_CONTROLS = 10
_ENTERED_ONE_BY_ONE = 200
_PAST_PAGES = 40
_NAMED = "named in events"
# What one thing that is broken for good answers with.
_ONE_FAILS = (NotPermitted, NotFound, FilterRefused, RequestRefused, UnexpectedAnswer)
_T = TypeVar("_T")


class Incomplete(Problem):
    """A walk did not find everybody for certain, so that nothing was taken over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What the reading of every environment of one sync has in common.

    `share` is what share of users may be gone without an event; `by_counts` says that the `userCount` of populations is
    to be believed; `accepted` are users and groups that a person has said to be gone; `coverage` is what the last sync
    noted, by environment.
    """

    source: Source
    store: Store
    staging: Staging
    report: Report
    now: Callable[[], datetime]
    all_roles: bool
    remote_data: bool
    share: float
    by_counts: bool
    accepted: frozenset[str]
    coverage: Mapping[str, JsonObject]

    def ledger(self, environment: str) -> Path:
        return self.store.path.with_suffix(f".{environment}.ledger")

    async def look(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Return what `work` makes of the local copy, with what is staged attached as `staged`."""

        def looked() -> _T:
            with self.store.writer() as connection:
                connection.execute("ATTACH DATABASE ? AS staged", (str(self.staging.path),))
                return work(connection)

        return await in_thread(looked, pool="copy")


class Reading:
    """Read one environment for one sync, fully or what has changed.

    `coverage` is what was read and what was not; `vanished` are those who are too many to be called gone without a
    person, with their ids in `held`.
    """

    def __init__(self, task: Task, upstream: EnvironmentSource, found: Findings) -> None:
        self._task = task
        self._upstream = upstream
        self._found = found
        self._staging = task.staging
        self._environment = found.id
        self._counted: int | None = None
        self._user_counts: dict[str, int | None] = {}
        self._left_out = 0
        self._opened = task.source.clock.monotonic()
        self._listed: set[str] = set()
        self._short_before: dict[str, tuple[Shortfall, int]] = {}
        self.notes: list[str] = []
        self.vanished: list[Vanished] = []
        self.held: set[str] = set()
        self._known: JsonObject = task.coverage.get(found.id, {})
        self.coverage: JsonObject = {
            "memberships": "all",
            "roles": self._known.get("roles", _NAMED),
            "events": True,
        }
        if "audited_since" in self._known:
            self.coverage["audited_since"] = self._known["audited_since"]

    @staticmethod
    def is_to_be_full(coverage: JsonObject) -> bool:
        """Say whether everybody is to be read again although what has changed would be enough: some were missed."""
        short = coverage.get("users_short")
        populations: JsonObject = coverage.get("populations_short", {})
        return (short is not None and short["tries"] < _TRIES) or any(
            one["tries"] == _TRIES for one in populations.values()
        )

    async def populations(self) -> None:
        """Read the populations; where they cannot be read whole, they stay as they were."""
        try:
            found = await self._upstream.populations()
        except _ONE_FAILS as problem:
            self._found.populations = None
            self.coverage["populations"] = UNREADABLE
            self.notes.append(f"The populations of {self._environment} could not be read ({problem.code}).")
        else:
            self._found.populations = [(one.id, self._environment, one.name, one.is_default) for one in found]
            self._user_counts = {one.id: one.user_count for one in found}

    # A full sync

    async def full(self, mark: Watermark | None) -> Watermark:
        """Stage everybody who is there and every membership; find out who is gone."""
        began, resumed = await self._began()
        await self._walk(resumed=resumed)
        await self._events(self._since(mark, began), mark, began)
        await self._deleted()
        await self._missing()
        await self._count_users()
        groups = await self._list_groups()
        if groups is not None:
            old_nestings = await self._task.look(partial(looks.nestings_known, environment=self._environment))
            self._found.nestings = self._kept_nestings(old_nestings, {group.id for group in groups})
            await self._children_of([group for group in groups if group.group_count != 0], old_nestings)
            self._found.reread = {group.id for group in groups}
            old_groups = await self._task.look(partial(looks.groups_known, environment=self._environment))
            self._found.whole = {row[0] for row in self._found.groups} | old_groups.keys()
            await self._read_members(groups)
            await self._lost(groups)
        if mark is None or began - datetime.fromisoformat(mark.events) > longest_gap(self._task.source):
            self.coverage["roles"] = _NAMED  # nobody knows who has got a role before the audit begins
        await self._roles(everybody=self._task.all_roles)
        self._note_unseen()
        await self._count_populations()
        return self._mark(mark, began)

    async def _began(self) -> tuple[datetime, bool]:
        """Return when the reading of users began, and whether a sync that was killed has already walked to the end."""
        began, walked = await self._staging.fact(f"{self._environment}{BEGAN}"), False
        if began is not None:
            at = datetime.fromisoformat(began)
            walked = bool(await self._staging.fact(f"{self._environment} walked"))
            if -UPDATES_OVERLAP <= self._task.now() - at <= RESUMED_FOR:
                return at, walked
        await self._start_over()
        now = self._task.now()
        await self._staging.note(f"{self._environment}{BEGAN}", timestamp(now))
        return now, False

    async def _start_over(self) -> None:
        with told():
            await in_thread(remove_database, self._task.ledger(self._environment), pool="copy")
        await self._staging.forget_users(self._environment)
        await self._staging.note(f"{self._environment} walked", False)

    async def _walk(self, *, resumed: bool) -> None:
        """Stage all users. Raises Incomplete."""
        environment = self._environment
        if resumed:
            await self._staging_since(datetime.fromisoformat(await self._staging.fact(f"{environment}{BEGAN}")))
            return
        for _ in range(2):
            async with self._upstream.walk(ledger=self._task.ledger(environment)) as walk:
                staged = await self._staging.count_users(environment)
                agreed = staged >= walk.delivered  # else a crash of the machine has lost what the notes speak of
                if agreed and not walk.delivered:
                    await self._staging.forget_users(environment)
                if agreed:
                    async for page in walk:
                        await self._staging.put_users((*page.users, *page.changed), environment)
                        self._task.report("users", walk.delivered, walk.about)
                    verdict, self._left_out = walk.verdict, walk.left_out
                    if verdict.complete or verdict.counted is not None:
                        self._counted = verdict.counted
                        await self._staging.note(f"{environment} walked", True)
                        return
                    if isinstance(verdict.problem, NotPermitted):
                        raise verdict.problem
                    raise Incomplete(
                        verdict.reason or "The walk was not complete.", "Sync again.", code="WALK_INCOMPLETE"
                    )
            await self._start_over()
        raise Incomplete(
            "The notes of the walk do not agree with what was kept.", "Sync again.", code="WALK_INCOMPLETE"
        )

    async def _staging_since(self, at: datetime) -> None:
        done = 0
        async for users in self._upstream.users_since(at - UPDATES_OVERLAP):
            await self._staging.put_users(users, self._environment)
            done += len(users)
            self._task.report("users", done, None)

    async def _deleted(self) -> None:
        """Take out who was deleted after having been read; an event about somebody who is there is none."""
        removed = self._found.wanted.removed
        staged = await self._staging.user_ids(self._environment) if removed else set[str]()
        there: list[User] = []

        async def ask(user: str) -> None:
            try:
                found = await self._upstream.user(user)
            except NotPermitted:
                return
            if found is not None:
                del removed[user]
                if self._serves(found):
                    there.append(found)

        await each(ask, sorted(staged & removed.keys()))
        await self._staging.drop_users(removed)
        await self._staging.put_users(there, self._environment)

    async def _count_users(self) -> None:
        """Note how many users PingOne counts, where they are more than could be found in the end."""
        if self._counted is None:
            return
        found = await self._staging.count_users(self._environment)
        if found + len(self._found.unseen) < self._counted:
            tries = (self._known.get("users_short") or {"tries": 0})["tries"] + 1
            self.coverage["users_short"] = {"counted": self._counted, "found": found, "tries": tries}

    async def _missing(self) -> None:
        """Find out about everybody whom the copy has and the walk did not meet."""
        missing = await self._task.look(partial(looks.not_staged, environment=self._environment))
        await self._settle_missing(missing)

    async def _settle_missing(self, missing: Iterable[str]) -> None:
        """Note who is gone by an event, or by a 404 that a control confirms; all others stay."""
        removed = self._found.wanted.removed
        asked: list[str] = []
        for user in missing:
            if user in removed:
                self._found.gone[user] = Gone(at=removed[user].at, evidence="event", actor=removed[user].actor)
            else:
                asked.append(user)
        if len(asked) > _MANY:  # lists tell of some dozens at once who is there after all
            with suppress(*_ONE_FAILS):
                there = await self._upstream.users_by_id(asked)
                for one in there.values():
                    await self._settle(one)
                asked = [user for user in asked if user not in there]
        absent = await self._absent(asked[:_MANY])
        rest = asked[_MANY:]
        # Where nobody of some dozens is there and a person will be asked anyway, the others are not asked for.
        if rest and len(absent) == _MANY and masses(await self._vanishing(asked), self._task.share):
            absent |= set(rest)
        else:
            absent |= await self._absent(rest)
        if absent:
            await self._judge(absent)

    async def _absent(self, users: Sequence[str]) -> set[str]:
        """Ask for users one by one; return who answers 404. Who is there is staged, who may not be read is unseen."""
        done = 0
        absent: set[str] = set()

        async def ask(user: str) -> None:
            nonlocal done
            try:
                found = await self._upstream.user(user)
            except _ONE_FAILS:
                self._found.unseen.add(user)
            else:
                if found is None:
                    absent.add(user)
                else:
                    await self._settle(found)
            done += 1
            self._task.report("removals", done, len(users))

        await each(ask, users)
        return absent

    async def _settle(self, user: User) -> None:
        """Stage a user who is there; who was moved out of the populations served has left."""
        if self._serves(user):
            await self._staging.put_users((user,), self._environment)
        else:
            self._found.gone[user.id] = Gone(at=timestamp(self._task.now()), evidence="read", left=True)

    async def _judge(self, absent: set[str]) -> None:
        """Decide about users who answer 404 without an event: gone, not known, or too many to be either."""
        self._hold(await self._vanishing(absent), absent - self._task.accepted)
        counts = await self._counts_of_populations()
        now = timestamp(self._task.now())
        for population, users in (await self._by_population(absent)).items():
            control = await self._control(population, users, counts.get(population or ""))
            accepted = users & self._task.accepted
            how: Evidence = "read" if control.answers else "accepted"
            gone = users if control.answers else accepted
            self._found.gone.update((user, Gone(at=now, evidence=how)) for user in gone)
            self._found.unseen |= users - gone

    async def _by_population(self, users: Iterable[str]) -> dict[str | None, set[str]]:
        """Return users by the population in which an event has named them last, or else the copy has them."""
        populations = await self._task.look(partial(looks.populations_of, ids=users))
        populations |= self._homes()
        found = defaultdict[str | None, set[str]](set)
        for user in users:
            found[populations.get(user)].add(user)
        return found

    def _homes(self) -> dict[str, str]:
        """Return where events say that users are, those of earlier syncs who could not be found since included."""
        told: dict[str, str] = dict(self._known.get("homes", {}))
        return told | self._found.wanted.homes

    async def _vanishing(self, absent: Iterable[str]) -> list[Vanished]:
        """Return how many would be gone of the environment and of each population, beside whom a person accepted."""
        known = await self._task.look(partial(looks.known_by_population, environment=self._environment))
        doubtful = set(absent) - self._task.accepted
        return [
            self._vanished("users", doubtful, sum(known.values())),
            *(
                self._vanished("users", users, known.get(place, 0), place)
                for place, users in (await self._by_population(doubtful)).items()
                if place is not None
            ),
        ]

    def _vanished(self, what: str, ids: set[str], known: int, population: str | None = None) -> Vanished:
        return Vanished(
            what=what,
            environment=self._environment,
            population=population,
            missing=len(ids),
            known=known,
            examples=examples(ids),
        )

    def _hold(self, vanished: Sequence[Vanished], ids: set[str]) -> None:
        if found := masses(vanished, self._task.share):
            self.vanished += found
            self.held |= ids

    async def _count_populations(self) -> None:
        """Note the populations of which PingOne counts more users than the copy will hold: some are not seen."""
        look = partial(looks.held_by_population, environment=self._environment, gone=list(self._found.gone))
        held = await self._task.look(look) if self._user_counts and self._task.by_counts else {}

        def more(counts: Mapping[str, int | None]) -> set[str]:
            return {place for place, count in counts.items() if count is not None and count > held.get(place, 0)}

        if not self._task.by_counts or not more(self._user_counts):
            return
        now = await self._counts_of_populations()  # somebody may have been removed since they were read
        before: JsonObject = self._known.get("populations_short", {})
        found: JsonObject = {}
        for place in sorted(more(self._user_counts) & more(now)):
            counted, there = now[place], held.get(place, 0)
            # A number that changes is none to begin anew for: of a population that is hidden, it does so all the time.
            tries = before.get(place, {"tries": 0})["tries"] + 1
            found[place] = {"counted": counted, "found": there, "tries": tries}
        if found:
            self.coverage["populations_short"] = found

    async def _counts_of_populations(self) -> dict[str, int | None]:
        """Return how many users PingOne counts in each population, as it is now; nothing where it does not say."""
        if not self._task.by_counts:
            return {}
        try:
            return {place.id: place.user_count for place in await self._upstream.populations()}
        except _ONE_FAILS:
            return {}

    async def _control(self, population: str | None, missing: set[str], counted: int | None) -> Control:
        """Look whether somebody else of a population can still be seen, now that these could not be found.

        That somebody was read before says nothing: a role may have been narrowed since.
        """
        here, gone = self._environment, missing | self._found.gone.keys()
        look = partial(looks.others_in, environment=here, population=population, ids=gone, most=_CONTROLS)
        visible = await self._sees_any(await self._task.look(look))
        held = await self._task.look(partial(looks.held_by_population, environment=here, gone=gone))
        return Control(visible=visible, left=held.get(population, 0), counted=counted)

    async def _sees_any(self, users: Iterable[str]) -> bool:
        for user in users:
            with suppress(*_ONE_FAILS):
                if await self._upstream.user(user) is not None:
                    return True
        return False

    def _note_unseen(self) -> None:
        if left_out := self._left_out + self._upstream.left_out:
            self.coverage["without_id"] = left_out
        if self._found.unseen:
            self.coverage["unseen"] = sorted(self._found.unseen)
            homes = self._homes()
            if moved := {user: homes[user] for user in self.coverage["unseen"] if user in homes}:
                self.coverage["homes"] = moved
            self.notes.append(
                f"{len(self._found.unseen)} users could not be found or read, and nothing proves that they were removed; "
                "they stay as they were."
            )

    def _serves(self, user: User) -> bool:
        scope = self._task.source.scope
        return not scope.populations or any(scope.has_population(place.id) for place in user.workspaces)

    # An incremental sync

    async def incremental(self, mark: Watermark) -> Watermark:
        """Stage who has changed since the last sync, and verify the memberships that may have changed."""
        began = self._task.now()
        self._task.report("users", 0, None)
        await self._staging_since(datetime.fromisoformat(mark.updated))
        await self._events(self._since(mark, began), mark, began)
        await self._deleted()
        await self._named()
        await self._changed_groups()
        await self._roles(everybody=False)
        self._note_unseen()
        await self._count_populations()
        self.coverage |= {name: self._known[name] for name in ("users_short",) if name in self._known}
        return self._mark(mark, began)

    async def _named(self) -> None:
        """Read again who is named in events and was not among those changed, and who could not be found before."""
        wanted, environment = self._found.wanted, self._environment
        staged = await self._staging.user_ids(environment)
        in_groups = {user for user, _ in wanted.memberships}
        unseen = set(self._known.get("unseen", ())) - staged - wanted.removed.keys()
        again = set(sorted(unseen)[:_LOOKED_FOR_AGAIN])
        since = timestamp(self._task.now() - self._task.source.keeps_events)
        returned = await self._task.look(
            partial(looks.removed_without_event, environment=environment, since=since, most=_LOOKED_FOR_AGAIN)
        )
        known = await self._task.look(
            partial(looks.existing, ids=wanted.users | in_groups | wanted.removed.keys() | unseen)
        )
        named = (wanted.users | (in_groups - known) | again | set(returned)) - staged - wanted.removed.keys()
        raws = await self._upstream.users_by_id(named)
        there = {user: one for user, one in raws.items() if self._serves(one)}
        await self._staging.put_users(list(there.values()), environment)
        now = timestamp(self._task.now())
        elsewhere = {user for user in raws if user in known and user not in there}
        self._found.gone.update((user, Gone(at=now, evidence="read", left=True)) for user in elsewhere)
        absent = (named - raws.keys()) & known
        # Of those who were looked for in vain before, some are asked for one by one; the others stay as they were.
        asked = (absent - again) | set(sorted(absent & again)[:_ASKED_AGAIN])
        self._found.unseen |= (unseen & known) - raws.keys() - asked
        await self._settle_missing(sorted(asked | (wanted.removed.keys() & known)))

    async def _changed_groups(self) -> None:
        """Find the groups, nestings and memberships that may have changed, and read them again."""
        found, wanted = self._found, self._found.wanted
        old = await self._task.look(partial(looks.groups_known, environment=self._environment))
        old_nestings = await self._task.look(partial(looks.nestings_known, environment=self._environment))
        groups = await self._list_groups()
        if groups is None:
            return
        now = {row[0]: row for row in found.groups}
        listed = {group.id for group in groups}
        created, deleted = listed - old.keys(), old.keys() - now.keys()
        named = wanted.groups & listed
        if not self.coverage["events"]:  # then only its `updatedAt` can tell of a group
            named = {group for group in listed if group in old and now[group][_UPDATED] != old[group][_UPDATED]}
            found.reread |= named
        await self._renest(groups, named | created, old_nestings)
        found.refiltered = {group for group in listed & old.keys() if now[group][_FILTER] != old[group][_FILTER]}
        found.reread |= found.refiltered
        found.reread |= {group.id for group in groups if group.id in created and group.member_count != 0}
        short = self._short_before
        tried_again = sorted(group for group, (one, _) in short.items() if one.tries < _TRIES and group in listed)
        found.reread |= set(tried_again[:_RETRIED_GROUPS])
        await self._verify()
        if not self._task.source.scope.populations:
            found.reread |= await self._miscounted(groups, short)
        moved = {parent for _, parent in old_nestings ^ found.nestings}
        seeds = found.reread | moved | deleted
        above, above_before = above_each(found.nestings), above_each(old_nestings)
        found.whole = seeds.union(*(above.get(seed, set()) | above_before.get(seed, set()) for seed in seeds))
        found.reread |= found.whole & found.dynamic & listed
        found.short |= {group: one for group, (one, _) in short.items() if group in now and group not in found.reread}
        await self._read_members(groups)
        await self._lost(groups)

    async def _renest(self, groups: Sequence[Group], named: set[str], old: set[Nesting]) -> None:
        """Find the nestings: of groups that are named, and in groups that hold another number of groups than before."""
        present = {row[0] for row in self._found.groups}
        self._found.nestings = {
            Nesting(group, parent) for group, parent in old if group in present and parent in present
        }
        children = Counter(parent for _, parent in self._found.nestings)
        recounted = [
            group for group in groups if group.group_count is not None and group.group_count != children[group.id]
        ]
        holders = [group for group in groups if group.group_count != 0]
        if len(named) + len(recounted) >= len(holders):
            self._found.nestings = self._kept_nestings(old, {group.id for group in groups})
            await self._children_of(holders, old)
            return
        await self._children_of(recounted, old)

        async def read(group: str) -> None:
            try:
                parents = await self._upstream.parents(group)
            except _ONE_FAILS as problem:
                self._fall_short(group, None, None, why=problem.code)
                return
            unseen = {parent for child, parent in old if child == group} - self._listed
            self._found.nestings = {nesting for nesting in self._found.nestings if nesting[0] != group}
            self._found.nestings |= {Nesting(group, parent) for parent in (parents | unseen) & present}

        await each(read, sorted(named))

    async def _verify(self) -> None:
        """Ask of users who changed, or whom events of memberships name, whether they are in the groups in question."""
        found, wanted = self._found, self._found.wanted
        changed = await self._task.look(partial(looks.changed, environment=self._environment))
        # Of a group that is not listed any more nothing can be asked: its members stay, but for whom events tell of.
        present = {row[0]: row for row in found.groups if row[0] in self._listed}
        told_of = {pair for pair in wanted.memberships if pair.group in present and pair.user not in found.gone}
        ended = {pair for pair in wanted.memberships if pair[1] not in present and wanted.left_group(*pair)}
        moved = {
            one.id for one in changed if one.population_before is not None and one.population != one.population_before
        }
        held = await self._task.look(
            partial(looks.held_memberships, ids={user for user, _ in told_of} | {one.id for one in changed})
        )
        # Who moves to another population leaves the groups of the old one, and no event tells.
        left = {
            pair
            for pair, kind in held.items()
            if kind == "direct"
            and pair[0] in moved
            and pair[1] in present
            and present[pair[1]][_POPULATION] is not None
        }
        touched = {one.id for one in changed} | {user for user, _ in told_of | ended}
        found.touched |= touched - found.gone.keys()
        entered = {one.id for one in changed if one.is_new and self._was_hidden(one)}
        joined = await self._groups_of(entered)
        direct = {pair for pair in told_of | left if pair[1] not in found.reread}
        dynamic = found.dynamic & self._listed
        found.reread |= {group for group in dynamic if await self._better_whole(group, len(found.touched))}
        indirect = {Pair(user, group) for group in dynamic - found.reread for user in found.touched}
        self._task.report("memberships", 0, len(direct) + len(indirect))
        directly, doubtful = await self._upstream.holding(direct, "direct")
        indirectly, unsure = await self._upstream.holding(indirect, "indirect")
        missing = {pair for pair in direct - directly if held.get(pair) == "direct" and not wanted.left_group(*pair)}
        missing |= {pair for pair in indirect - indirectly - unsure if held.get(pair) == "indirect"}
        hidden = await self._hidden({user for user, _ in missing})
        doubtful |= {pair for pair in missing if pair[0] in hidden}
        unsure |= {pair for pair in indirect - indirectly if pair[0] in hidden}
        rows: dict[Pair, str | None] = {
            pair: "direct" if pair in directly else None for pair in direct if pair in directly or pair not in doubtful
        }
        rows |= dict.fromkeys(joined, "direct") | dict.fromkeys(ended, None)
        for pair in indirect - unsure:
            if rows.get(pair) is None and (pair in rows or held.get(pair) != "direct"):
                rows[pair] = "indirect" if pair in indirectly else None
        await self._staging.put_verified((group, user, kind) for (user, group), kind in rows.items())

    def _was_hidden(self, user: looks.ChangedUser) -> bool:
        before = self._found.seen_before
        return user.created is None or before is None or user.created < before

    async def _groups_of(self, users: set[str]) -> set[Pair]:
        """Return the direct memberships of users who came into scope: no event tells of them."""
        if len(users) > _ENTERED_ONE_BY_ONE:
            self._found.reread |= self._listed
            return set()
        present = self._listed
        found: set[Pair] = set()

        async def read(user: str) -> None:
            try:
                memberships = await self._upstream.memberships(user)
            except _ONE_FAILS:
                self._found.reread |= present
                return
            found.update(Pair(user, one.id) for one in memberships if one.type == "direct" and one.id in present)

        await each(read, sorted(users))
        return found

    async def _hidden(self, users: set[str]) -> set[str]:
        """Return who of these cannot be seen, now that a membership of theirs was not: of them nothing is known."""
        asked = users - self._found.gone.keys() - self._found.unseen
        try:
            hidden = await self._not_visible(asked)
        except _ONE_FAILS:
            hidden = asked
        self._found.unseen |= hidden
        return hidden

    async def _not_visible(self, users: set[str]) -> set[str]:
        """Return who of these no list shows.

        Roles reach over populations: where some dozens of one are seen, so are the others.
        """
        places = (await self._by_population(users)).values()
        each_place = max(
            1, _MANY // max(1, len(places))
        )  # one question in all, as long as places are no more than that
        some = {user for inside in places for user in sorted(inside)[:each_place]}
        hidden = some - (await self._upstream.users_by_id(some)).keys()
        rest = set[str]().union(*(inside - some for inside in places if inside & hidden))
        return hidden | (rest - (await self._upstream.users_by_id(rest)).keys())

    async def _lost(self, groups: Sequence[Group]) -> None:
        """Look again at memberships that would end because a group's list lacks the user."""
        found = self._found
        whole = found.reread & self._listed - found.short.keys()
        lost = await self._task.look(partial(looks.lost_memberships, groups=whole, dynamic=found.dynamic & whole))
        gone = found.gone.keys() | found.unseen
        ended = {pair for pair, kind in lost.items() if kind == "direct" and found.wanted.left_group(*pair)}
        doubtful = {pair for pair in lost.keys() - ended if pair[0] not in gone}
        by_filter = {group for user, group in doubtful if lost[Pair(user, group)] == "indirect"}
        counted: dict[MembershipType, set[str]] = {"direct": set(), "indirect": set()}
        if not self._task.source.scope.populations:  # PingOne counts the members of all of them
            counted["direct"] = {group.id for group in groups if group.member_count is not None}
            counted["indirect"] = {group for group in by_filter if await self._is_whole(group)}
        for kind in KINDS:
            pairs = {pair for pair in doubtful if lost[pair] == kind and pair[1] not in counted[kind]}
            holding, unsure = await self._upstream.holding(pairs, kind)
            for user, group in holding | unsure:
                await self._staging.put_members(group, (user,), kind)
            for group in {group for _, group in unsure}:
                self._fall_short(group, None, None, why="MEMBERS_UNSURE")
            doubtful -= holding | unsure
        await self._hidden({user for user, _ in doubtful})

    async def _is_whole(self, group: str) -> bool:
        """Say whether as many members of a group were read, directly in it or not, as PingOne counts in all."""
        try:
            fresh = await self._upstream.group(group)
        except _ONE_FAILS:
            return False
        total = fresh.total_member_count if fresh is not None else None
        return total is not None and await self._staging.count_members(group) >= total

    async def _better_whole(self, group: str, users: int) -> bool:
        """Say whether all members of a group are fewer pages than so many users are questions."""
        members = await self._task.look(partial(looks.count_members, group=group))
        return users / _USERS_PER_QUESTION > members / self._task.source.page_size + 2

    async def _miscounted(self, groups: Sequence[Group], short: Mapping[str, tuple[Shortfall, int]]) -> set[str]:
        """Return the groups of which PingOne counts more or fewer direct members than there would be in the copy.

        Where the same number was missing the last time, reading them once more would tell nothing new.
        """

        def is_known(group: Group, held: int) -> bool:
            one, in_copy = short.get(group.id, (None, 0))
            return one is not None and (one.counted, in_copy) == (group.member_count, held)

        counts = await self._task.look(partial(looks.direct_counts, gone=list(self._found.gone)))
        return {
            group.id
            for group in groups
            if group.member_count is not None
            and group.id not in self._found.reread
            and group.member_count != counts.get(group.id, 0)
            and not is_known(group, counts.get(group.id, 0))
        }

    # Both

    def _since(self, mark: Watermark | None, began: datetime) -> datetime:
        """Return from when on events are wanted: since the last one seen, or since a first sync began to read."""
        return (datetime.fromisoformat(mark.events) if mark is not None else began) - EVENTS_OVERLAP

    async def _events(self, since: datetime, mark: Watermark | None, began: datetime) -> None:
        """Read the events, those that were seen before aside."""
        seen = mark.seen if mark is not None else {}
        self._task.report("events", 0, None)
        try:
            wanted = await self._upstream.happened(since, seen)
            if mark is None:  # what is known of the time before: who has got a role, who was deactivated
                past = await self._upstream.past(began)
                wanted.roles |= past.roles
                self._found.past = list(past.events)
                self.coverage["audited_since"] = timestamp(past.since)
        except _ONE_FAILS as problem:
            self.coverage["events"] = False
            why = why_unread(problem)
            self.notes.append(f"The audit of {self._environment} {why}: between full syncs, removals are not seen.")
            return
        self._found.wanted = wanted

    def _mark(self, before: Watermark | None, began: datetime) -> Watermark:
        seen = {**(before.seen if before is not None else {}), **self._found.wanted.seen}
        # By all that is known of PingOne's time now. Behind a mark in the future nothing would be read any more.
        source, now = self._task.source, self._task.now()
        updated = min(began, now - timedelta(seconds=source.clock.monotonic() - self._opened))
        times = (at for at in self._found.wanted.seen.values() if at <= timestamp(now))
        last = max([*times, min(before.events if before is not None else timestamp(began), timestamp(updated))])
        edge = timestamp(datetime.fromisoformat(last) - EVENTS_OVERLAP)
        return Watermark(
            updated=timestamp(updated),
            events=last,
            seen={event: at for event, at in seen.items() if at >= edge},
            ahead=source.ahead(),
        )

    async def _list_groups(self) -> list[Group] | None:
        """Return the groups that PingOne lists, and note those that stay as they were; None where there is no list."""
        self._task.report("groups", 0, None)
        try:
            groups, whole = await self._upstream.groups()
        except _ONE_FAILS as problem:
            self._found.with_groups = False
            self.coverage["memberships"] = UNREADABLE
            self.notes.append(
                f"The groups of {self._environment} could not be read ({problem.code}); they stay as they were."
            )
            return None
        self._short_before = await self._task.look(partial(looks.shortfalls_known, environment=self._environment))
        old = await self._task.look(partial(looks.groups_known, environment=self._environment))
        missing = old.keys() - {group.id for group in groups} - self._found.wanted.removed_groups
        there, kept = await self._settle_groups(missing, old, groups)
        groups += there
        self._listed = {group.id for group in groups}
        self._found.groups = [group_row(group, self._environment) for group in groups]
        self._found.groups += [old[group] for group in sorted(kept)]
        for group in kept:
            self._fall_short(group, None, None, why="NOT_LISTED")
        if not whole:
            self.coverage["groups_short"] = True
        return groups

    async def _settle_groups(
        self, missing: set[str], known: Mapping[str, Row], listed: Sequence[Group]
    ) -> tuple[list[Group], set[str]]:
        """Return the groups that are there although they were not listed, and those of which nothing is known.

        A 404 is believed while another group of the same population, or of the environment, can be read.
        """
        there: list[Group] = []
        absent: set[str] = set()
        kept: set[str] = set()
        allowed = self._task.source.scope.populations

        async def ask(identity: str) -> None:
            try:
                group = await self._upstream.group(identity)
            except _ONE_FAILS:
                kept.add(identity)
                return
            if group is None:
                absent.add(identity)
            elif not allowed or group.workspace is None or group.workspace.id in allowed:
                there.append(group)

        await each(ask, sorted(missing))
        doubtful = absent - self._task.accepted
        self._hold([self._vanished("groups", doubtful, len(known))], doubtful)
        controls = {group.workspace and group.workspace.id: group.id for group in listed}
        visible: dict[str | None, bool] = {}
        for place in {known[group][_POPULATION] for group in doubtful} & controls.keys():
            with suppress(*_ONE_FAILS):
                visible[place] = await self._upstream.group(controls[place]) is not None
        unseen = {group for group in doubtful if not visible.get(known[group][_POPULATION])}
        if unseen:
            self.coverage["unseen_groups"] = sorted(unseen)
        return there, kept | unseen

    def _kept_nestings(self, old: set[Nesting], listed: set[str]) -> set[Nesting]:
        """Return the nestings in groups that were not listed: they stay as they were."""
        present = {row[0] for row in self._found.groups}
        return {Nesting(group, parent) for group, parent in old if group in present and parent in present - listed}

    async def _children_of(self, groups: Sequence[Group], old: set[Nesting]) -> None:
        present = {row[0] for row in self._found.groups}

        listed = self._listed

        async def read(group: Group) -> None:
            before = {child for child, parent in old if parent == group.id}
            try:
                children = await self._upstream.children(group.id)
                if group.group_count is not None and len(children) < group.group_count:
                    fresh = await self._upstream.group(group.id)
                    children = await self._upstream.children(group.id)
                    if fresh is not None and fresh.group_count is not None and len(children) < fresh.group_count:
                        children |= before
                        self._fall_short(group.id, None, None, why="NESTED_GROUPS")
            except _ONE_FAILS as problem:
                self._fall_short(group.id, None, None, why=problem.code)
                children = before
            children |= before - listed  # a group that is not listed is not seen here either
            kept = {nesting for nesting in self._found.nestings if nesting[1] != group.id}
            self._found.nestings = kept | {Nesting(child, group.id) for child in children & present}

        await each(read, groups)

    def _fall_short(
        self, group: str, counted: int | None, found: int | None, *, total: int | None = None, why: str | None = None
    ) -> None:
        """Note that not all members of a group were read, and in how many syncs that was so."""
        before, _ = self._short_before.get(group, (None, 0))
        tries = before.tries + 1 if before is not None else 1
        self._found.short[group] = Shortfall(counted=counted, found=found, total=total, why=why, tries=tries)

    async def _read_members(self, groups: Sequence[Group]) -> None:
        """Stage the members of the groups that are to be read whole, several groups at a time."""
        reread = [group for group in groups if group.id in self._found.reread]
        done = 0

        async def read(group: Group) -> None:
            nonlocal done
            try:
                counted, found = await self._members_of(group)
                if counted is not None and found < counted:  # somebody may have left meanwhile: both once more
                    fresh = await self._upstream.group(group.id)
                    counted, found = await self._members_of(fresh if fresh is not None else group)
                    if counted is not None and found < counted:
                        total = fresh.total_member_count if fresh is not None else None
                        self._fall_short(group.id, counted, found, total=total)
            except ShortList as short:
                narrowed = bool(self._task.source.scope.populations) or group.member_count is None
                self._fall_short(group.id, short.counted if narrowed else group.member_count, short.found)
            except _ONE_FAILS as problem:
                self._fall_short(group.id, group.member_count, None, why=problem.code)
            done += 1
            self._task.report("memberships", done, len(reread))

        await each(read, reread)

    async def _members_of(self, group: Group) -> tuple[int | None, int]:
        """Stage the members of one group; return how many PingOne counts of those that were read, and how many came."""
        await self._staging.forget_members(group.id)
        if group.member_count != 0:
            async for users in self._upstream.members(group.id, "direct"):
                await self._staging.put_members(group.id, users, "direct")
        found = await self._staging.count_members(group.id)
        if group.user_filter is not None:
            async for users in self._upstream.members(group.id, "indirect"):
                await self._staging.put_members(group.id, users, "indirect")
        narrowed = bool(self._task.source.scope.populations)  # PingOne counts those of all populations
        return (None if narrowed else group.member_count), found

    async def _roles(self, *, everybody: bool) -> None:
        found = self._found
        wanted = found.wanted.roles - found.gone.keys()
        users = await self._staging.user_ids(self._environment) if everybody else wanted
        if not users:
            return
        unread = False
        done = 0

        async def read(user: str) -> None:
            nonlocal done, unread
            try:
                assignments, whole = await self._upstream.role_assignments(user)
            except (FilterRefused, RequestRefused, UnexpectedAnswer):
                unread = True
                return
            unread = unread or not whole
            rows = [_role_row(user, held) for held in assignments]
            if rows or not everybody:
                found.roles[user] = rows
            done += 1
            self._task.report("roles", done, len(users))

        try:
            await each(read, sorted(users))
        except NotPermitted:
            self.coverage["roles"] = UNREADABLE
            found.roles.clear()
            self.notes.append("Role assignments may not be read (403).")
        else:
            found.all_roles = everybody and not unread
            self.coverage["roles"] = "all" if found.all_roles else _NAMED if unread else self.coverage["roles"]


_USERS_PER_QUESTION = 40
_FILTER, _POPULATION, _UPDATED = (
    schema.GROUP_COLUMNS.index(name) for name in ("user_filter", "population_id", "updated_at")
)


def _role_row(user: str, held: RoleAssignment) -> Row:
    scope = held.scope
    return (user, held.id, held.name, scope and scope.type, scope and scope.id, scope and scope.name)
