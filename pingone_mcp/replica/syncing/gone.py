"""Users who could not be found: who is gone and how that is known, who is hidden, and when a person is asked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress

from pingone_mcp.directory.changes import Evidence
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.directory.user_columns import UserRow
from pingone_mcp.replica.evidence import Control, Vanished, masses
from pingone_mcp.replica.findings import GoneUser
from pingone_mcp.replica.store import looks
from pingone_mcp.replica.syncing.populations import by_population, counts_now
from pingone_mcp.replica.syncing.task import ONE_FAILS, EnvironmentSync
from pingone_mcp.tasks import each

# Beyond so many who are missing, lists are asked first, and then no more than these before a person is.
_MANY = 50
_CONTROLS = 10


async def find_missing(here: EnvironmentSync) -> None:
    """Find out about everybody whom the copy has and the walk did not meet."""
    await settle_missing(here, await here.task.look(looks.not_staged, here.id))


async def settle_missing(here: EnvironmentSync, missing: Iterable[str]) -> None:
    """Note who is gone by an event, or by a 404 that a control confirms; all others stay."""
    asked = _without_event(here, missing)
    if len(asked) > _MANY:
        asked = await _not_listed(here, asked)
    absent = await _absent(here, asked[:_MANY])
    rest = asked[_MANY:]
    # Where nobody of some dozens is there and a person will be asked anyway, the others are not asked for.
    if rest and len(absent) == _MANY and masses(await _vanishing(here, asked), here.task.options.held_share):
        absent |= set(rest)
    else:
        absent |= await _absent(here, rest)
    if absent:
        await _judge(here, absent)


async def settle_absent(here: EnvironmentSync, absent: Iterable[str]) -> None:
    """Note the same of users who have answered 404 already."""
    if rest := _without_event(here, absent):
        await _judge(here, set(rest))


def _without_event(here: EnvironmentSync, missing: Iterable[str]) -> list[str]:
    """Note who is gone by an event, and return the others."""
    removed, gone = here.found.wanted.removed, here.found.gone
    others: list[str] = []
    for user in missing:
        if user in removed:
            gone[user] = GoneUser(at=removed[user].at, evidence="event", actor=removed[user].actor)
        else:
            others.append(user)
    return others


async def _not_listed(here: EnvironmentSync, users: list[str]) -> list[str]:
    """Return who of these no list shows: lists say of some dozens at once who is there after all."""
    try:
        there = await here.source.users_by_id(users)
    except ONE_FAILS:
        return users
    for user in there.values():
        await _keep(here, user)
    return [user for user in users if user not in there]


async def _absent(here: EnvironmentSync, users: Sequence[str]) -> set[str]:
    """Ask for users one by one; return who answers 404. Who is there is staged, who may not be read is unseen."""
    done = 0
    absent: set[str] = set()

    async def ask(identity: str) -> None:
        nonlocal done
        try:
            user = await here.source.user(identity)
        except ONE_FAILS:
            here.found.unseen.add(identity)
        else:
            if user is None:
                absent.add(identity)
            else:
                await _keep(here, user)
        done += 1
        here.report("removals", done, len(users))

    await each(ask, users)
    return absent


async def _keep(here: EnvironmentSync, user: UserRow) -> None:
    """Stage a user who is there; who was moved out of the populations served has left."""
    if here.serves(user):
        await here.task.staging.put_users((user,))
    else:
        here.found.gone[user.id] = GoneUser(at=timestamp(here.task.now()), evidence="read", left=True)


async def _judge(here: EnvironmentSync, absent: set[str]) -> None:
    """Decide about users who answer 404 without an event: gone, not known, or too many to be either."""
    accepted = here.task.accepted
    here.hold(await _vanishing(here, absent), absent - accepted)
    counts = await counts_now(here)
    now = timestamp(here.task.now())
    for population, users in (await by_population(here, absent)).items():
        control = await _control(here, population, users, counts.get(population or ""))
        how: Evidence = "read" if control.answers else "accepted"
        gone = users if control.answers else users & accepted
        here.found.gone.update((user, GoneUser(at=now, evidence=how)) for user in gone)
        here.found.unseen |= users - gone


async def _vanishing(here: EnvironmentSync, absent: Iterable[str]) -> list[Vanished]:
    """Return how many would be gone of the environment and of each population, beside whom a person accepted."""
    known = await here.task.look(looks.known_by_population, here.id)
    doubtful = set(absent) - here.task.accepted
    return [
        here.counts_vanished("users", doubtful, sum(known.values())),
        *(
            here.counts_vanished("users", users, known.get(place, 0), place)
            for place, users in (await by_population(here, doubtful)).items()
            if place is not None
        ),
    ]


async def _control(here: EnvironmentSync, population: str | None, missing: set[str], counted: int | None) -> Control:
    """Look whether somebody else of a population can still be seen, now that these could not be found.

    That somebody was read before says nothing: a role may have been narrowed since.
    """
    gone = missing | here.found.gone.keys()
    others = await here.task.look(looks.others_in, here.id, population, gone, _CONTROLS)
    visible = await _sees_any(here, others)
    held = await here.task.look(looks.held_by_population, here.id, gone)
    return Control(visible=visible, left=held.get(population, 0), counted=counted)


async def _sees_any(here: EnvironmentSync, users: Iterable[str]) -> bool:
    for user in users:
        with suppress(*ONE_FAILS):
            if await here.source.user(user) is not None:
                return True
    return False


async def find_hidden(here: EnvironmentSync, users: set[str]) -> set[str]:
    """Return who of these cannot be seen, now that a membership of theirs was not: of them nothing is known."""
    asked = users - here.found.gone.keys() - here.found.unseen
    try:
        hidden = await _not_visible(here, asked)
    except ONE_FAILS:
        hidden = asked
    here.found.unseen |= hidden
    return hidden


async def _not_visible(here: EnvironmentSync, users: Collection[str]) -> set[str]:
    """Return who of these no list shows.

    Roles reach over populations: where some dozens of one are seen, so are the others.
    """
    places = (await by_population(here, users)).values()
    each_place = max(1, _MANY // max(1, len(places)))  # one question in all, as long as places are no more than that
    some = {user for inside in places for user in sorted(inside)[:each_place]}
    hidden = some - (await here.source.users_by_id(some)).keys()
    rest = set[str]().union(*(inside - some for inside in places if inside & hidden))
    return hidden | (rest - (await here.source.users_by_id(rest)).keys())
