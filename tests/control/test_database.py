"""Control data are opened, brought to today's form, and changed one whole transaction at a time."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import anyio
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from pydantic import SecretStr
from sqlalchemy import Connection, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError

import pingone_mcp.control.database as module
from pingone_mcp.control.control import ControlData
from pingone_mcp.control.database import ControlUnavailable, Database, open_postgres, open_sqlite
from pingone_mcp.control.tables import DATA_KEYS, EDITION, LINK_TOKENS, METADATA, OUTBOX, SENT_CHANGES, WEBHOOKS
from pingone_mcp.errors import Unconfigured
from tests.process.programs import PATIENCE

Opening = Callable[[], AbstractAsyncContextManager[Database]]


@pytest.fixture
def opening(database_url: SecretStr | None, tmp_path: Path) -> Opening:
    path = tmp_path / "state" / "control.db"
    return lambda: open_sqlite(path) if database_url is None else open_postgres(database_url)


async def add(database: Database, owner: str) -> None:
    async with database.write() as connection:
        await connection.execute(insert(DATA_KEYS).values(owner=owner, key_id="k", wrapped=b"s3cr3t"))


async def owners(database: Database) -> list[str]:
    async with database.read() as connection:
        return list(await connection.scalars(select(DATA_KEYS.c.owner).order_by(DATA_KEYS.c.owner)))


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, METADATA))


@pytest.mark.filterwarnings("ignore:.*expression-based index")
async def test_the_steps_lead_to_the_tables_that_the_code_knows(database: Database) -> None:
    async with database.read() as connection:
        assert await connection.run_sync(differences) == []


def test_the_newest_step_is_the_edition() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(module.__file__).with_name("migrations")))
    assert ScriptDirectory.from_config(config).get_heads() == [EDITION]


async def test_what_was_written_is_there_at_the_next_opening(opening: Opening) -> None:
    async with opening() as database:
        await add(database, "a")
    async with opening() as database:
        assert await owners(database) == ["a"]


async def test_events_that_waited_in_the_first_edition_wait_on(
    opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    webhook = {"id": "w", "target_url": "https://example.com", "event_types": [], "is_active": True}
    event = {"id": "e", "webhook_id": "w", "connection_id": "c", "event": "test", "payload": b"x", "attempts": 3}
    with monkeypatch.context() as before:
        before.setattr(module, "EDITION", "0001")
        async with opening() as database, database.write() as connection:
            await connection.execute(insert(WEBHOOKS).values(webhook | {"created_at": at, "updated_at": at}))
            await connection.execute(insert(OUTBOX).values(event | {"created_at": at, "next_try_at": at}))
    async with opening() as database, database.read() as connection:
        row = (await connection.execute(select(OUTBOX))).one()
        assert (row.id, row.attempts, row.next_try_at) == ("e", 3, at)
        assert (row.failing_since, row.given_up_at) == (None, None)
        assert (await connection.execute(select(SENT_CHANGES))).all() == []


async def test_control_data_of_a_newer_edition_are_refused_and_left_alone(opening: Opening) -> None:
    async with opening() as database, database.write() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Unconfigured, match=r"newer edition .* Install that edition"):
        async with opening():
            pass
    with pytest.raises(Unconfigured) as refused:
        async with opening():
            pass
    assert refused.value.code == "NEWER_CONTROL_DATA"


async def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    async def fail() -> None:
        async with database.write():
            await add(database, "a")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await owners(database) == []


async def test_a_smaller_use_case_inside_a_larger_one_fails_alone(database: Database) -> None:
    await add(database, "a")
    async with database.write():
        await add(database, "b")
        with pytest.raises(IntegrityError):
            await add(database, "a")
        assert await owners(database) == ["a", "b"]
    assert await owners(database) == ["a", "b"]


async def test_nothing_is_written_in_a_transaction_that_reads(database: Database) -> None:
    """SQLite refuses a reader who turns into a writer, when another one has written meanwhile."""
    async with database.read():
        with pytest.raises(RuntimeError, match="begin one that writes instead"):
            await add(database, "a")


async def test_a_caller_who_is_cancelled_in_the_middle_leaves_it_whole(database: Database) -> None:
    async def both() -> None:
        async with database.write():
            await add(database, "a")
            scope.cancel()
            await add(database, "b")

    with anyio.CancelScope() as scope:
        await both()
    assert await owners(database) == ["a", "b"]


async def test_fifty_writers_and_readers_at_once_are_all_served(database: Database) -> None:
    async def one(number: int) -> None:
        await add(database, f"{number:02}")
        assert f"{number:02}" in await owners(database)

    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(one, number)
    assert len(await owners(database)) == 50


async def test_a_task_does_not_join_the_transaction_of_another(database: Database) -> None:
    begun, go_on = anyio.Event(), anyio.Event()

    async def long() -> None:
        async with database.write():
            await add(database, "a")
            begun.set()
            await go_on.wait()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(long)
        await begun.wait()
        assert await owners(database) == []
        go_on.set()


@pytest.mark.parametrize("text", ["a\0b", "a\udcffb"])
async def test_what_no_text_of_a_database_holds_is_found_nowhere(control: ControlData, text: str) -> None:
    assert await control.connections.get(text) is None
    assert await control.connections.listed(ids=[text], tenant=text) == []
    assert await control.sync_runs.listed(connections=[text]) == []
    assert not await control.api_keys.revoke(text)


async def test_an_instant_comes_back_as_the_same_in_utc(database: Database) -> None:
    here = datetime(2026, 3, 1, 1, 30, 0, 5, tzinfo=timezone(timedelta(hours=5)))
    row = {"digest": b"d", "tenant": "t", "expires_at": here}
    async with database.write() as connection:
        await connection.execute(insert(LINK_TOKENS).values(row))
    async with database.read() as connection:
        found = (await connection.scalars(select(LINK_TOKENS.c.expires_at))).one()
        before = select(func.count()).where(LINK_TOKENS.c.expires_at <= here - timedelta(microseconds=1))
        assert (await connection.scalars(before)).one() == 0
    assert (found, found.tzinfo) == (here, UTC)
    with pytest.raises(Exception, match="an instant has a zone"):
        async with database.write() as connection:
            await connection.execute(update(LINK_TOKENS).values(expires_at=here.replace(tzinfo=None)))


async def test_a_failure_of_the_database_is_one_sentence_without_its_values(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ControlUnavailable) as failure:
        async with database.write() as connection:
            await connection.execute(text("SELECT * FROM no_table WHERE x = :secret"), {"secret": "s3cr3t"})
    assert str(failure.value).startswith("The control data cannot be read or written just now.")
    assert "no_table" in caplog.text
    await add(database, "a")
    with pytest.raises(IntegrityError) as conflict:
        await add(database, "a")
    assert "s3cr3t" not in caplog.text + str(conflict.value)


PROCESS = """
import anyio, sys
from pathlib import Path
from pydantic import SecretStr
from pingone_mcp.control.control import ControlData
from pingone_mcp.control.database import open_postgres, open_sqlite
from tests.control.test_database import add

async def main(where, url, name):
    sys.stdin.readline()
    async with (open_postgres(SecretStr(url)) if url else open_sqlite(Path(where))) as database:
        await add(database, name)
        if name == "killed":
            async with database.write():
                await add(database, "half")
                print("half", flush=True)
                await anyio.sleep_forever()

anyio.run(main, *sys.argv[1:])
"""


def process(where: Path, url: SecretStr | None, name: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROCESS, str(where), url.get_secret_value() if url else "", name]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_processes_that_start_at_once_make_the_tables_once(
    database_url: SecretStr | None, tmp_path: Path, opening: Opening
) -> None:
    started = [process(tmp_path / "state" / "control.db", database_url, f"{number}") for number in range(3)]
    ends = []
    for one in started:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    for one in started:
        _, errors = one.communicate(timeout=PATIENCE)
        ends.append((one.returncode, errors))
    assert ends == [(0, "")] * 3

    async def found() -> list[str]:
        async with opening() as database:
            return await owners(database)

    assert anyio.run(found) == ["0", "1", "2"]


def test_a_process_that_is_killed_leaves_nothing_half_done(
    database_url: SecretStr | None, tmp_path: Path, opening: Opening
) -> None:
    with process(tmp_path / "state" / "control.db", database_url, "killed") as one:
        assert one.stdin is not None
        assert one.stdout is not None
        one.stdin.write("\n")
        one.stdin.flush()
        assert one.stdout.readline() == "half\n"
        one.send_signal(signal.SIGKILL)

    async def found() -> list[str]:
        async with opening() as database:
            await add(database, "next")
            return await owners(database)

    assert anyio.run(found) == ["killed", "next"]


# --- Files


async def test_files_are_for_this_user_only(tmp_path: Path) -> None:
    path = tmp_path / "state" / "control.db"
    async with open_sqlite(path) as database:
        await add(database, "a")
        modes = {one.name: one.stat().st_mode & 0o777 for one in path.parent.iterdir()}
    assert modes == {"control.db": 0o600, "control.db-wal": 0o600, "control.db-shm": 0o600, "control.lock": 0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("linked", ["state", "state/control.db"])
async def test_a_link_in_the_place_of_ours_is_refused(tmp_path: Path, linked: str) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (tmp_path / linked).parent.mkdir(exist_ok=True)
    (tmp_path / linked).symlink_to(victim)
    with pytest.raises(Unconfigured, match=r"is a link\. Remove that, or name another folder with PINGONE_STATE_DIR"):
        async with open_sqlite(tmp_path / "state" / "control.db"):
            pass
    assert list(victim.iterdir()) == []


async def test_a_file_that_is_no_database_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "state" / "control.db"
    path.parent.mkdir()
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(Unconfigured, match=r"are damaged, or are none\. Put a backup"):
        async with open_sqlite(path):
            pass


# --- Addresses of PostgreSQL


@pytest.mark.parametrize("url", ["", "mysql://u:pw@h/d", "nonsense pw", "sqlite:///pw"])
async def test_an_address_of_something_else_is_refused_without_its_text(url: str) -> None:
    with pytest.raises(Unconfigured, match="PINGONE_DATABASE_URL is no address of a PostgreSQL database") as refused:
        async with open_postgres(SecretStr(url)):
            pass
    assert "pw" not in str(refused.value)


async def test_a_postgres_that_does_not_answer_is_a_sentence_without_the_password() -> None:
    with pytest.raises(Unconfigured, match=r"The control data in PostgreSQL cannot be opened: ") as refused:
        async with open_postgres(SecretStr("postgres://someone:s3cr3t@127.0.0.1:1/none")):
            pass
    assert "s3cr3t" not in str(refused.value)
    assert "PINGONE_DATABASE_URL" in str(refused.value)
