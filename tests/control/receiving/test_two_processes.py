"""The inbox and the outbox of two processes at once, and of one whose database goes away in the middle."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, event

from pingone_mcp.control.announcing.sent_changes import SentUntil
from pingone_mcp.control.control import ControlData, ControlPlace, open_control
from pingone_mcp.control.database import ControlUnavailable
from pingone_mcp.control.inbox import IncomingEvent
from pingone_mcp.control.linked import LinkedConnection
from pingone_mcp.control.outbox import NewEvent
from tests.control.conftest import Hands

MANY = 60


@pytest.fixture
async def other(
    control: ControlData, database_url: SecretStr | None, tmp_path: Path, hands: Hands
) -> AsyncIterator[ControlData]:
    """Give the same control data as another process has them open."""
    assert control.clock is hands.clock
    place = ControlPlace(folder=tmp_path / "state", database_url=database_url)
    async with open_control(place, hands.clock) as opened:
        yield opened


def events(numbers: range) -> list[IncomingEvent]:
    return [IncomingEvent(event_id=f"e{number}", body=b"{}") for number in numbers]


async def test_what_two_receive_while_two_work_is_kept_once_and_done(
    control: ControlData, other: ControlData, linked: LinkedConnection
) -> None:
    kept: list[int] = []

    async def receive(data: ControlData) -> None:
        for start in range(0, MANY, 6):
            count = await data.inbox.add(linked.id, events(range(start, start + 12)))
            kept.append(count)

    async def work(data: ControlData) -> None:
        while sum(kept) < MANY + 6 or await data.inbox.pending(linked.id):
            await data.inbox.done([one.number for one in await data.inbox.pending(linked.id, limit=7)])
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        for data in (control, other):
            tasks.start_soon(receive, data)
            tasks.start_soon(work, data)
    assert sum(kept) == MANY + 6
    assert await control.inbox.depth() == {}


async def test_what_two_pass_on_at_once_is_written_once(
    control: ControlData, other: ControlData, linked: LinkedConnection
) -> None:
    await control.webhooks.create(target_url="https://example.com/in")

    async def pass_on(data: ControlData) -> None:
        """Write ten changes at a time, from wherever the place is."""
        while (place := await data.sent_changes.until(linked.id)) is None or place.number < MANY:
            number = place.number if place else 0
            new = [NewEvent(event="record:updated", payload={"n": n}, name=str(n)) for n in range(number, number + 10)]
            async with data.sent_changes.moving(linked.id, place, SentUntil("copy", number + 10)) as is_there:
                if is_there:
                    await data.outbox.add_all(new, connection_id=linked.id, tenant=linked.tenant)

    async with anyio.create_task_group() as tasks:
        for data in (control, other, control, other):
            tasks.start_soon(pass_on, data)
    sent: list[object] = []
    while (heads := await other.outbox.heads()) and (found := await other.outbox.read(heads[0].id)):
        sent.append(found.payload["n"])
        await other.outbox.delivered(found.id)
    assert sent == list(range(MANY)), "in order, each once"


def end_all(server: str) -> None:
    """End all connections that we have to a database, as a restart does."""
    query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pingone-mcp'"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(query)


@contextmanager
def restarted_at(statement: str, server: str) -> Iterator[list[str]]:
    """Let the database end all that we have open, as in a restart, once it is to carry out a statement."""
    ended: list[str] = []

    def restart(_: object, __: object, asked: str, *___: object) -> None:
        if not ended and asked.startswith(statement):
            ended.append(asked)
            end_all(server)

    event.listen(Engine, "before_cursor_execute", restart)
    try:
        yield ended
    finally:
        event.remove(Engine, "before_cursor_execute", restart)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_database_that_is_restarted_in_the_middle_has_all_or_nothing_and_is_used_again(
    control: ControlData, linked: LinkedConnection, postgres: str
) -> None:
    webhook, _ = await control.webhooks.create(target_url="https://example.com/in")
    end_all(postgres)
    assert await control.inbox.depth() == {}, "where nothing went on nobody hears of it"
    with restarted_at("INSERT INTO inbox", postgres) as ended, pytest.raises(ControlUnavailable):
        await control.inbox.add(linked.id, events(range(3)))
    assert ended
    assert await control.inbox.depth() == {}
    assert await control.inbox.add(linked.id, events(range(3))) == 3
    with restarted_at("UPDATE inbox", postgres) as ended, pytest.raises(ControlUnavailable):
        await control.inbox.done([one.number for one in await control.inbox.pending(linked.id)])
    assert ended
    assert await control.inbox.depth() == {linked.id: 3}

    async def pass_on() -> None:
        async with control.sent_changes.moving(linked.id, None, SentUntil("copy", 1)) as is_there:
            assert is_there
            new = NewEvent(event="record:updated", payload={}, name="one")
            await control.outbox.add_all([new], connection_id=linked.id, tenant=linked.tenant)

    with restarted_at("INSERT INTO sent_changes", postgres) as ended, pytest.raises(ControlUnavailable):
        await pass_on()
    assert ended
    assert (await control.outbox.heads(), await control.sent_changes.until(linked.id)) == ([], None)
    await pass_on()
    [head] = await control.outbox.heads()
    with restarted_at("UPDATE outbox", postgres) as ended, pytest.raises(ControlUnavailable):
        await control.outbox.delivered(head.id)
    assert ended
    assert [one.id for one in await control.outbox.heads()] == [
        NewEvent(event="", payload={}, name="one").id_for(webhook.id)
    ]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_whoever_holds_a_secret_lets_no_other_process_change_it_meanwhile(
    control: ControlData, linked: LinkedConnection, database_url: SecretStr
) -> None:
    with psycopg.connect(database_url.get_secret_value(), autocommit=True) as another:
        async with control.database.write():
            await control.hook_secrets.hold(linked.id)
            with pytest.raises(psycopg.errors.LockNotAvailable):
                another.execute("SELECT id FROM connections FOR UPDATE NOWAIT")
        assert another.execute("SELECT id FROM connections FOR UPDATE NOWAIT").fetchall() == [(linked.id,)]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_connection_that_is_removed_just_then_is_none(
    control: ControlData, linked: LinkedConnection, database_url: SecretStr
) -> None:
    def remove(_: object, __: object, asked: str, *___: object) -> None:
        if "FROM connections" in asked and asked.endswith("FOR UPDATE"):
            with psycopg.connect(database_url.get_secret_value(), autocommit=True) as another:
                another.execute("DELETE FROM connections")

    event.listen(Engine, "before_cursor_execute", remove)
    try:
        with pytest.raises(LookupError):
            await control.inbox.add(linked.id, events(range(3)))
    finally:
        event.remove(Engine, "before_cursor_execute", remove)
