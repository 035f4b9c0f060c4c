"""What every provider keeps to when a sync reads it: one function for each rule of `Source`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import get_args

from pingone_mcp.directory.models import MembershipType
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.directory.user_columns import UserRow
from pingone_mcp.directory.user_row import user_of
from pingone_mcp.replica.source import EnvironmentSource, Pair, Source
from tests.contract.rules import NOBODY
from tests.contract.truth import Doing, Subject, Truth

KINDS: tuple[MembershipType, ...] = get_args(MembershipType)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTrial:
    """A source under contract; `folder` is where walks may keep their notes."""

    source: Source
    subject: Subject
    folder: Path

    @property
    def truth(self) -> Truth:
        return self.subject.truth()

    @property
    def doing(self) -> Doing:
        return self.subject.doing

    def environment(self, identity: str) -> EnvironmentSource:
        return self.source.environment(identity, remote_data=False)

    async def walked(self, environment: str) -> list[UserRow]:
        """Return everybody of an environment, each once, and whoever changed meanwhile not again."""
        async with self.environment(environment).walk(ledger=self.folder / "walk.jsonl") as walk:
            found: list[UserRow] = []
            async for page in walk:
                found += page.users
                walk.kept()
            assert walk.verdict.complete, walk.verdict.reason
            assert walk.verdict.problem is None
            assert walk.delivered == len(found)
        return found


SourceRule = Callable[[SourceTrial], Awaitable[None]]
READS: list[SourceRule] = []
CHANGES: list[SourceRule] = []


def reads(check: SourceRule) -> SourceRule:
    """Add a rule that changes nothing."""
    READS.append(check)
    return check


def changes(check: SourceRule) -> SourceRule:
    """Add a rule for which something is done at the provider."""
    CHANGES.append(check)
    return check


@reads
async def environments_are_those_that_are_served(trial: SourceTrial) -> None:
    truth = trial.truth
    found = await trial.source.environments()
    assert {place.id: place.name for place in found} == truth.environments
    assert set(trial.source.scope.environments or ()) <= {place.id for place in found}


@reads
async def a_walk_hands_everybody_over_once(trial: SourceTrial) -> None:
    truth = trial.truth
    for environment in truth.environments:
        found = [user.id for user in await trial.walked(environment)]
        assert sorted(found) == sorted(people_of(truth, environment))


@reads
async def a_walk_shows_people_as_they_are(trial: SourceTrial) -> None:
    truth = trial.truth
    for environment in truth.environments:
        for user in await trial.walked(environment):
            person = truth.people[user.id]
            shown = (user.username, user.email, user.status, tuple(filter(None, user.status_reasons.split(","))))
            assert shown == (person.username, person.email, person.status, person.reasons)
            assert (user.population_id, user.environment_id) == (person.population, environment)
            assert [place.id for place in user_of(user).organizations] == [environment]


@reads
async def one_user_is_read_as_the_walk_shows_it(trial: SourceTrial) -> None:
    truth = trial.truth
    for environment in truth.environments:
        reading = trial.environment(environment)
        walked = {user.id: user for user in await trial.walked(environment)}
        for one in sorted(walked)[:5]:
            assert await reading.user(one) == walked[one]
        several = await reading.users_by_id([*sorted(walked)[:5], NOBODY])
        assert several == {one: walked[one] for one in sorted(walked)[:5]}
        assert await reading.user(NOBODY) is None


@reads
async def populations_are_counted_right_or_not_at_all(trial: SourceTrial) -> None:
    truth = trial.truth
    for environment in truth.environments:
        found = {one.id: one for one in await trial.environment(environment).populations()}
        there = {one: name for one, (home, name) in truth.populations.items() if home == environment}
        assert {identity: one.name for identity, one in found.items()} == there
        for identity, one in found.items():
            count = sum(person.population == identity for person in truth.people.values())
            assert one.user_count in (None, count)


@reads
async def groups_have_their_parents_children_and_members(trial: SourceTrial) -> None:
    truth = trial.truth
    for environment in truth.environments:
        reading = trial.environment(environment)
        listed = await reading.groups()
        there = {one.id: one for one in truth.groups.values() if one.environment == environment}
        assert listed.is_whole
        assert {group.id: group.name for group in listed.groups} == {one.id: one.name for one in there.values()}
        for group in listed.groups:
            children = {one.id for one in there.values() if group.id in one.parents}
            assert await reading.children(group.id) == children
            assert group.group_count == len(children)
            assert await reading.parents(group.id) == there[group.id].parents
            whole = await reading.group(group.id)
            assert whole is not None
            assert whole.total_member_count is not None
            beyond = whole.total_member_count - len(truth.members(group.id))
            assert beyond >= 0 if trial.source.scope.populations else beyond == 0
            for kind in KINDS:
                found = await members_of(reading, group.id, kind)
                assert found == truth.members(group.id, kind), (group.name, kind)
        assert await reading.group(NOBODY) is None
        assert await reading.parents(NOBODY) == set()


@reads
async def memberships_agree_from_both_ends(trial: SourceTrial) -> None:
    truth = trial.truth
    for environment in truth.environments:
        reading = trial.environment(environment)
        people = [truth.people[one] for one in sorted(people_of(truth, environment))[:8]]
        for person in people:
            assert {one.id: one.type for one in await reading.memberships(person.id)} == person.groups
        groups = [one.id for one in truth.groups.values() if one.environment == environment]
        pairs = [Pair(person.id, group) for person in people for group in groups]
        for kind in KINDS:
            held = await reading.holding(pairs, kind)
            assert held.unsure == set()
            assert held.pairs == {pair for pair in pairs if truth.people[pair.user].groups.get(pair.group) == kind}
        assert list(await reading.memberships(NOBODY)) == []
        assert (await reading.role_assignments(NOBODY)).assignments == ()


@reads
async def time_passes_as_at_the_provider(trial: SourceTrial) -> None:
    await trial.source.settle_time()
    assert abs(trial.source.ahead()) < 3600
    assert trial.source.now().tzinfo is not None
    assert trial.source.page_size > 0
    assert trial.source.keeps_events > timedelta()


@reads
async def whose_view_it_is_stays_the_same(trial: SourceTrial) -> None:
    async with trial.subject.open() as again:
        assert again.source.identity == trial.source.identity
        assert again.source.scope == trial.source.scope


@changes
async def who_has_changed_is_found_since(trial: SourceTrial) -> None:
    truth = trial.truth
    environment, victim = _somebody(truth)
    await trial.source.settle_time()
    before = trial.source.now()
    assert before is not None
    await trial.doing.disable(victim)
    reading = trial.environment(environment)
    found = {user.id: user async for page in reading.users_since(before) for user in page}
    assert found[victim].status_reasons.startswith("disabled")
    assert len(found) < len(truth.people)


@changes
async def events_name_what_is_to_be_read_again(trial: SourceTrial) -> None:
    truth = trial.truth
    environment, victim = _somebody(truth)
    others = sorted(people_of(truth, environment) - {victim})
    group = _group_without(truth, environment, others[0])
    await trial.source.settle_time()
    since = trial.source.now()
    await trial.doing.disable(others[1])
    await trial.doing.join(others[0], group)
    await trial.doing.remove(victim)
    wanted = await trial.environment(environment).happened(since, ())
    assert others[1] in wanted.users
    assert Pair(others[0], group) in wanted.memberships
    assert victim in wanted.removed
    assert wanted.removed[victim].at >= timestamp(since)
    again = await trial.environment(environment).happened(since, wanted.seen.keys())
    assert (again.users, again.memberships, again.removed) == (set(), set(), {})
    assert await trial.environment(environment).user(victim) is None


@changes
async def the_past_names_who_is_gone(trial: SourceTrial) -> None:
    truth = trial.truth
    environment, victim = _somebody(truth)
    await trial.source.settle_time()
    await trial.doing.remove(victim)
    past = await trial.environment(environment).past(trial.source.now() + timedelta(seconds=1))
    [gone] = [event for event in past.events if event.user == victim]
    assert (gone.kind, gone.removed is not None) == ("user.removed", True)
    assert past.since < trial.source.now()


async def members_of(reading: EnvironmentSource, group: str, kind: MembershipType) -> set[str]:
    """Return the members of a group, as they are handed over."""
    found: set[str] = set()

    async def keep(users: Sequence[str]) -> int:
        before = len(found)
        found.update(users)
        return len(found) - before

    await reading.members(group, kind, keep)
    return found


def people_of(truth: Truth, environment: str) -> set[str]:
    return {person.id for person in truth.people.values() if person.environment == environment}


def _somebody(truth: Truth) -> tuple[str, str]:
    """Return an active person of the environment in which things are done."""
    environment = max(truth.environments, key=lambda one: sum(p.environment == one for p in truth.people.values()))
    people = [person for person in truth.people.values() if person.environment == environment]
    return environment, next(person.id for person in people if person.status == "active")


def _group_without(truth: Truth, environment: str, user: str) -> str:
    """Return a group of a name of its own that a user is in by no way, and into which people are put one by one."""
    return next(
        group.id
        for group in truth.groups.values()
        if group.environment == environment
        and user not in truth.members(group.id)
        and truth.members(group.id, "direct")
    )
