"""Who could not be found: held, shown to a person, and released as shown; nobody else is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from pingone_mcp.control.sync_runs import RunRecord
from pingone_mcp.errors import NoSuchConnection
from pingone_mcp.sandbox.faults import Fault
from pingone_mcp.service.fleet.attention.removals import NAMED, OtherRemovals
from pingone_mcp.service.fleet.fleet import Paused
from pingone_mcp.service.fleet.syncs import RELEASE_MINUTES
from tests.fleets import caller
from tests.service.fleet.attention.attending import EVERYBODY, Attended


async def test_nobody_waits_while_everybody_is_found(at: Attended) -> None:
    assert await at.desk.removals.shown(EVERYBODY, at.acme.id) is None
    assert await at.kinds() == []


async def test_who_is_held_is_shown_by_name_and_released_as_shown(at: Attended) -> None:
    hidden = at.hide(30)
    assert (await at.sync()).status == "completed", "an incremental sync looks for nobody"
    await at.estate.control.sync_runs.request(at.acme.id, "full_sync")
    assert (await at.sync()).status == "held"
    [matter] = await at.matters()
    assert (matter.kind, matter.act, matter.needs) == ("removals", "decide", "directory.sync")
    assert "30 of 40 users" in matter.what
    assert matter.since is not None

    found = await at.desk.removals.shown(EVERYBODY, at.acme.id)
    assert found is not None
    assert (found.users, found.groups, len(found.named)) == (30, 0, 30)
    assert {one.id for one in found.named} == set(hidden)
    assert all(one.username and one.place for one in found.named)
    assert sum(one.name is not None for one in found.named) > 20
    assert found.held_at is not None
    assert await at.users() == 40

    run = await at.ended(await at.desk.removals.release(EVERYBODY, at.acme.id, found.edition))
    assert run.status == "completed"
    assert await at.users() == 10
    assert await at.kinds() == []
    assert await at.desk.removals.shown(EVERYBODY, at.acme.id) is None


async def test_who_answers_again_stays_whatever_was_said(at: Attended) -> None:
    at.hide(30)
    await at.estate.control.sync_runs.request(at.acme.id, "full_sync")
    await at.sync()
    found = await at.desk.removals.shown(EVERYBODY, at.acme.id)
    assert found is not None
    at.show()
    await at.ended(await at.desk.removals.release(EVERYBODY, at.acme.id, found.edition))
    assert await at.users() == 40
    assert await at.kinds() == []


async def test_it_goes_away_by_itself_when_they_are_found_again(at: Attended) -> None:
    at.hide(30)
    await at.estate.control.sync_runs.request(at.acme.id, "full_sync")
    await at.sync()
    assert await at.kinds() == ["removals"]
    at.show()
    await at.sync()
    assert await at.kinds() == []


async def test_the_same_ones_that_are_held_once_more_are_the_edition_that_was_shown(at: Attended) -> None:
    at.hide(30)
    await at.estate.control.sync_runs.request(at.acme.id, "full_sync")
    await at.sync()
    first = await at.desk.removals.shown(EVERYBODY, at.acme.id)
    since = (await at.matters())[0].since
    at.passes(900)
    await at.sync()
    again = await at.desk.removals.shown(EVERYBODY, at.acme.id)
    assert first is not None
    assert again is not None
    assert first.edition == again.edition
    assert (await at.matters())[0].since == since, "it began with the first of them"


async def test_nothing_is_released_of_others_than_those_who_were_shown(at: Attended) -> None:
    at.hide(25)
    await at.estate.control.sync_runs.request(at.acme.id, "full_sync")
    await at.sync()
    shown = await at.desk.removals.shown(EVERYBODY, at.acme.id)
    assert shown is not None
    at.hide(35)
    await at.sync()
    with pytest.raises(OtherRemovals):
        await at.desk.removals.release(EVERYBODY, at.acme.id, shown.edition)
    assert await at.users() == 40
    assert await at.kinds() == ["removals"]


async def test_a_sync_that_finds_others_after_the_word_was_given_releases_nobody(at: Attended) -> None:
    """The word is looked at when its sync begins, behind whatever ran before it."""
    at.hide(25)
    await at.estate.control.sync_runs.request(at.acme.id, "full_sync")
    await at.sync()
    shown = await at.desk.removals.shown(EVERYBODY, at.acme.id)
    assert shown is not None
    at.hide(35)
    backend = await (await at.estate.fleet.current(at.acme)).backend()
    before = await backend.replica.sync("full", report=lambda *_: None)
    assert before.held
    run = await at.ended(await at.syncs.release(at.acme, shown.edition))
    assert (run.status, "nothing was released" in (run.reason or "")) == ("failed", True)
    assert await at.users() == 40


async def test_a_word_is_good_for_one_sync(at: Attended) -> None:
    at.hide(30)
    await at.estate.control.sync_runs.request(at.acme.id, "full_sync")
    await at.sync()
    shown = await at.desk.removals.shown(EVERYBODY, at.acme.id)
    assert shown is not None
    with at.estate.another_secret("acme"):
        at.estate.company("acme").sandbox.revoke_tokens()
        run = await at.ended(await at.desk.removals.release(EVERYBODY, at.acme.id, shown.edition))
        assert run.status == "failed"
    assert (await at.sync()).status == "held"
    assert await at.users() == 40


async def shown_edition(at: Attended) -> str:
    """Hide 30 users, hold their removal, and return the edition in which they are shown."""
    at.hide(30)
    await at.estate.control.sync_runs.request(at.acme.id, "full_sync")
    await at.sync()
    shown = await at.desk.removals.shown(EVERYBODY, at.acme.id)
    assert shown is not None
    return shown.edition


@asynccontextmanager
async def held_back(at: Attended) -> AsyncIterator[None]:
    """Let a sync of the company be under way until the block ends, or somebody cuts it off."""
    sandbox, arrived, let_go = at.estate.company("acme").sandbox, anyio.Event(), anyio.Event()

    async def hold(_: float) -> None:
        arrived.set()
        await let_go.wait()

    sandbox.sleep = hold
    sandbox.faults.add(Fault("slow", path="/users"))
    await at.estate.control.sync_runs.request(at.acme.id, "full_sync")
    await at.syncs.request(at.acme)
    with anyio.fail_after(30):
        await arrived.wait()
    try:
        yield
    finally:
        let_go.set()


async def test_what_was_said_is_not_good_when_its_sync_could_not_be_asked_for(at: Attended) -> None:
    edition = await shown_edition(at)
    async with at.estate.control.database.read():
        with pytest.raises(RuntimeError):  # nothing can be written inside
            await at.syncs.release(at.acme, edition)
    assert (await at.sync()).status == "held"
    assert await at.users() == 40


async def check_held(at: Attended, run: RunRecord) -> None:
    """Let a run that was asked for begin; fail where it takes anybody away."""
    await at.syncs.begin_due()
    assert (await at.ended(run)).status == "held"
    assert await at.users() == 40


async def test_what_was_said_behind_another_sync_is_good_for_the_next_one(at: Attended) -> None:
    edition = await shown_edition(at)
    async with held_back(at):
        run = await at.syncs.release(at.acme, edition)
        await at.syncs.begin_due()
    await settled(at)
    await at.syncs.begin_due()
    assert (await at.ended(run)).status == "completed"
    assert await at.users() == 10


async def test_what_was_said_before_a_pause_is_not_good_after_it(at: Attended) -> None:
    edition = await shown_edition(at)
    async with held_back(at):
        run = await at.syncs.release(at.acme, edition)
        await at.estate.administration.linking.pause(at.acme.id)
    await settled(at)
    await at.estate.administration.linking.resume(at.acme.id)
    await check_held(at, run)


async def test_what_was_said_before_another_process_paused_is_not_good_after_it(at: Attended) -> None:
    edition = await shown_edition(at)
    async with held_back(at):
        run = await at.syncs.release(at.acme, edition)
        await at.estate.control.connections.update(at.acme.id, is_paused=True)
        await at.syncs.begin_due()
        await at.estate.control.connections.update(at.acme.id, is_paused=False)
    await settled(at)
    await check_held(at, run)


async def test_what_was_said_is_good_for_its_own_run_alone(at: Attended) -> None:
    edition = await shown_edition(at)
    async with held_back(at):
        run = await at.syncs.release(at.acme, edition)
    await settled(at)
    await at.estate.control.sync_runs.start(run.id)
    await at.estate.control.sync_runs.end(run.id, "failed", reason="Another process gave it up.")
    assert (await at.sync()).status == "held"
    assert await at.users() == 40


async def test_what_was_said_is_good_for_so_many_minutes(at: Attended) -> None:
    edition = await shown_edition(at)
    async with held_back(at):
        run = await at.syncs.release(at.acme, edition)
        at.passes(RELEASE_MINUTES * 60)
    await settled(at)
    await check_held(at, run)


async def settled(at: Attended) -> None:
    """Wait until no sync is under way."""
    with anyio.fail_after(60):
        while at.syncs._under_way:  # noqa: SLF001, ASYNC110 - nobody says so
            await anyio.sleep(0.005)


async def test_a_few_who_are_hidden_wait_for_a_word_too(at: Attended) -> None:
    hidden = at.hide(3)
    await at.estate.control.sync_runs.request(at.acme.id, "full_sync")
    await at.sync()
    found = await at.desk.removals.shown(EVERYBODY, at.acme.id)
    assert found is not None
    assert {one.id for one in found.named} == set(hidden)
    assert found.held_at is None
    assert "3 users could not be found" in (await at.matters())[0].what
    await at.ended(await at.desk.removals.release(EVERYBODY, at.acme.id, found.edition))
    assert (await at.users(), await at.kinds()) == (37, [])


async def test_a_connection_of_others_shows_nobody_and_releases_nothing(at: Attended) -> None:
    other = await at.estate.link("globex", tenant="other")
    stranger = caller(other.id, permissions=("directory.read", "directory.sync"))
    at.hide(30)
    await at.estate.control.sync_runs.request(at.acme.id, "full_sync")
    await at.sync()
    shown = await at.desk.removals.shown(EVERYBODY, at.acme.id)
    assert shown is not None
    with pytest.raises(NoSuchConnection):
        await at.desk.removals.shown(stranger, at.acme.id)
    with pytest.raises(NoSuchConnection):
        await at.desk.removals.release(stranger, at.acme.id, shown.edition)
    assert await at.users() == 40


async def test_nothing_is_asked_for_a_connection_that_is_paused(at: Attended) -> None:
    at.hide(30)
    await at.estate.control.sync_runs.request(at.acme.id, "full_sync")
    await at.sync()
    shown = await at.desk.removals.shown(EVERYBODY, at.acme.id)
    assert shown is not None
    await at.estate.administration.linking.pause(at.acme.id)
    with pytest.raises(Paused):
        await at.desk.removals.release(EVERYBODY, at.acme.id, shown.edition)
    assert await at.kinds() == []


def test_so_many_are_named_that_a_page_stays_small() -> None:
    assert NAMED * 300 < 150_000


async def test_a_process_that_has_not_opened_the_copy_yet_knows_that_a_sync_is_held(at: Attended) -> None:
    at.hide(30)
    await at.estate.control.sync_runs.request(at.acme.id, "full_sync")
    await at.sync()
    await at.estate.fleet.forget(at.acme.id)
    at.passes(100_000)
    [matter] = await at.desk.attention.everywhere(EVERYBODY)
    assert (matter.kind, matter.act) == ("removals", "decide")
    assert matter.of is not None
    assert matter.of.id == at.acme.id
    assert matter.since is not None
    at.show()
    await at.estate.control.sync_runs.request(at.acme.id, "full_sync")
    await at.sync()
    await at.estate.fleet.forget(at.acme.id)
    assert await at.desk.attention.everywhere(EVERYBODY) == []
