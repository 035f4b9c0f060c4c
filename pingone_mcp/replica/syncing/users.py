"""Users who are there: everybody by a walk, or those who have changed; staged as they were read last."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from pingone_mcp.ahead import Awaited
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.directory.user_columns import UserRow
from pingone_mcp.errors import NotPermitted
from pingone_mcp.replica.evidence import Shortage
from pingone_mcp.replica.findings import GoneUser
from pingone_mcp.replica.source import UserWalk
from pingone_mcp.replica.store import looks
from pingone_mcp.replica.store.store import as_problems
from pingone_mcp.replica.syncing.gone import settle_missing
from pingone_mcp.replica.syncing.populations import UserCounts, homes
from pingone_mcp.replica.syncing.task import EnvironmentSync, Incomplete
from pingone_mcp.replica.watermark import UPDATES_OVERLAP
from pingone_mcp.sqlite_files import remove_database
from pingone_mcp.tasks import each, in_thread

# What a killed sync has left is taken up again for so long.
_RESUMED_FOR = timedelta(hours=6)
# So many of those who were not found, or were called removed by a 404, are looked for again in an incremental sync.
_LOOKED_FOR_AGAIN = 500
_ASKED_AGAIN = 50


class Begun(NamedTuple):
    """When the reading of users began: in a sync that came to nothing (`resumed`), which may have walked to the end."""

    at: datetime
    resumed: bool = False
    has_walked: bool = False


class Walked(NamedTuple):
    """What a walk leaves open: how many users the provider counts where it met fewer, and how many had no id."""

    counted: int | None = None
    left_out: int = 0


async def begin(here: EnvironmentSync) -> Begun:
    """Take up what a sync that was killed has left, or begin anew."""
    found = await here.task.staging.begun(here.id)
    if found is not None and -UPDATES_OVERLAP <= here.task.now() - found.at <= _RESUMED_FOR:
        return Begun(found.at, resumed=True, has_walked=found.has_walked)
    began = await _start_over(here)
    await here.task.begin_anew(here.id)  # behind that: what was staged before knows nothing of rereads since
    return Begun(began)


async def _start_over(here: EnvironmentSync) -> datetime:
    """Throw away what was read before, and return when it is begun anew."""
    with as_problems():
        await in_thread(remove_database, here.ledger, pool="copy")
    now = here.task.now()
    await here.task.staging.begin(here.id, now)
    return now


async def read_everybody(here: EnvironmentSync, begun: Begun, counted: Awaited[UserCounts]) -> Walked:
    """Stage all users; what was taken up is held against how many are `counted`. Raises Incomplete."""
    walked = await _resume(here, begun) if begun.has_walked else await _walk(here)
    if not begun.resumed:
        return walked
    counts = await counted.taken() if here.task.options.by_counts else {}
    if await here.task.staging.count_users(here.id) >= sum(filter(None, counts.values())):
        return walked
    await _start_over(here)  # some may have been hidden from what was read before
    return await _walk(here)


async def _resume(here: EnvironmentSync, begun: Begun) -> Walked:
    await read_changed(here, begun.at)
    return Walked()


async def _walk(here: EnvironmentSync) -> Walked:
    for _ in range(2):
        async with here.source.walk(ledger=here.ledger) as walk:
            # Else a crash of the machine has lost what the notes of the walk speak of.
            if await here.task.staging.count_users(here.id) >= walk.delivered:
                return await _stage(here, walk)
        await _start_over(here)
    raise Incomplete("The notes of the walk do not agree with what was kept.", "Sync again.", code="WALK_INCOMPLETE")


async def _stage(here: EnvironmentSync, walk: UserWalk) -> Walked:
    staging = here.task.staging
    if not walk.delivered:
        await staging.forget_users(here.id)
    async for page in walk:
        await staging.put_users((*page.users, *page.changed))
        if staging.is_due:
            await _keep(here, walk)
        here.report("users", walk.delivered, walk.about)
    await _keep(here, walk)
    verdict = walk.verdict
    if verdict.complete or verdict.counted is not None:
        await staging.note_walked(here.id)
        return Walked(verdict.counted, walk.left_out)
    if isinstance(verdict.problem, NotPermitted):
        raise verdict.problem
    if (why := verdict.problem) is not None and why.next_step:  # that helps, and to sync again perhaps not
        raise Incomplete(why.what, why.next_step, code=why.code, correlation_id=why.correlation_id)
    raise Incomplete(verdict.reason or "The walk was not complete.", "Sync again.", code="WALK_INCOMPLETE")


async def _keep(here: EnvironmentSync, walk: UserWalk) -> None:
    """Keep what was staged, and let the notes of the walk speak of it: in this order, so that a kill loses nobody."""
    await here.task.staging.keep()
    walk.kept()


async def read_changed(here: EnvironmentSync, since: datetime) -> None:
    """Stage who has changed since a time. Raises FilterRefused where the provider cannot tell."""
    done = 0
    async for users in here.source.users_since(since - UPDATES_OVERLAP):
        await here.task.staging.put_users(users)
        done += len(users)
        here.report("users", done, None)


async def drop_deleted(here: EnvironmentSync) -> None:
    """Take out who was deleted after having been read; an event about somebody who is there is none."""
    removed, staging = here.found.wanted.removed, here.task.staging
    staged = await staging.staged(here.id, removed)
    there: list[UserRow] = []

    async def ask(identity: str) -> None:
        try:
            user = await here.source.user(identity)
        except NotPermitted:
            return
        if user is not None:
            del removed[identity]
            if here.serves(user):
                there.append(user)

    await each(ask, sorted(staged))
    await staging.drop_users(removed)
    await staging.put_users(there)


async def read_named(here: EnvironmentSync) -> None:
    """Read again who is named in events and was not among those changed, and who could not be found before."""
    wanted, found, staging = here.found.wanted, here.found, here.task.staging
    in_groups = {pair.user for pair in wanted.memberships}
    staged = await staging.staged(here.id, {*here.known.unseen, *wanted.users, *in_groups})
    unseen = set(here.known.unseen) - staged - wanted.removed.keys()
    again = set(sorted(unseen)[:_LOOKED_FOR_AGAIN])
    since = timestamp(here.task.now() - here.task.source.keeps_events)
    returned = await here.task.look(looks.removed_without_event, here.id, since, _LOOKED_FOR_AGAIN)
    known = await here.task.look(looks.existing, wanted.users | in_groups | wanted.removed.keys() | unseen)
    staged |= await staging.staged(here.id, returned)
    named = (wanted.users | (in_groups - known) | again | set(returned)) - staged - wanted.removed.keys()
    there = await here.source.users_by_id(named)
    await staging.put_users([user for user in there.values() if here.serves(user)])
    now = timestamp(here.task.now())
    elsewhere = {identity for identity, user in there.items() if identity in known and not here.serves(user)}
    found.gone.update((user, GoneUser(at=now, evidence="read", left=True)) for user in elsewhere)
    absent = (named - there.keys()) & known
    # Of those who were looked for in vain before, some are asked for one by one; the others stay as they were.
    asked = (absent - again) | set(sorted(absent & again)[:_ASKED_AGAIN])
    found.unseen |= (unseen & known) - there.keys() - asked
    await settle_missing(here, sorted(asked | (wanted.removed.keys() & known)))


async def note_shortage(here: EnvironmentSync, counted: int | None) -> None:
    """Note how many users the provider counts, where they are more than could be found in the end."""
    if counted is None:
        return
    found = await here.task.staging.count_users(here.id)
    if found + len(here.found.unseen) < counted:
        before = here.known.users_short
        here.coverage.users_short = Shortage(counted, found, before.tries + 1 if before is not None else 1)


def note_unseen(here: EnvironmentSync, left_out: int) -> None:
    """Note who could not be found or read, and how many could not be told apart."""
    here.coverage.without_id = left_out + here.source.left_out
    unseen = sorted(here.found.unseen)
    if not unseen:
        return
    known = homes(here)
    here.coverage.unseen = unseen
    here.coverage.homes = {user: known[user] for user in unseen if user in known}
    here.notes.append(
        f"{len(unseen)} users could not be found or read, and nothing proves that they were removed; "
        "they stay as they were."
    )
