"""What is sealed opens in its place and with its ring only, and a rotation may end anywhere."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from pydantic import SecretStr
from sqlalchemy import delete, select, update

from pingone_mcp.control.database import Database, open_postgres, open_sqlite
from pingone_mcp.control.key_ring import KeyFile
from pingone_mcp.control.sealing import BrokenSeal, DataKey, Seals, open_seals
from pingone_mcp.control.tables import DATA_KEYS, SEALED_VALUES
from pingone_mcp.errors import Unconfigured
from tests.process.programs import PATIENCE

VALUES = {"client_secret": SecretStr("s3cr3t-Ω"), "other": SecretStr("0ther")}


async def sealed(seals: Seals, owner: str) -> None:
    await seals.put(await seals.add_owner(owner), VALUES)


async def key_ids(database: Database) -> set[str]:
    async with database.read() as connection:
        return set(await connection.scalars(select(DATA_KEYS.c.key_id)))


async def test_what_was_sealed_is_there_and_nothing_shows_it(database: Database, seals: Seals) -> None:
    await sealed(seals, "a")
    assert await seals.values("a") == VALUES
    assert "s3cr3t" not in repr(await seals.key_of("a")) + repr(await seals.values("a"))
    async with database.read() as connection:
        rows = [*await connection.execute(select(SEALED_VALUES)), *await connection.execute(select(DATA_KEYS))]
    assert b"s3cr3t" not in b"".join(value for row in rows for value in row if isinstance(value, bytes))


async def test_values_are_replaced_together(seals: Seals) -> None:
    await sealed(seals, "a")
    await seals.put(await seals.key_of("a"), {"client_secret": SecretStr("new")})
    assert await seals.values("a") == {"client_secret": SecretStr("new")}


async def test_who_is_forgotten_has_no_values(database: Database, seals: Seals) -> None:
    await sealed(seals, "a")
    await seals.forget_owner("a")
    with pytest.raises(LookupError):
        await seals.values("a")
    async with database.read() as connection:
        assert (await connection.execute(select(SEALED_VALUES))).all() == []


async def test_rows_cannot_be_swapped_between_owners_or_fields(database: Database, seals: Seals) -> None:
    await sealed(seals, "a")
    await sealed(seals, "b")
    of = {"client_secret": "other", "other": "client_secret"}
    async with database.read() as connection:
        values = {(row.owner, row.field): row.sealed for row in await connection.execute(select(SEALED_VALUES))}
        keys = {row.owner: row.wrapped for row in await connection.execute(select(DATA_KEYS))}

    async def put(owner: str, field: str, value: bytes) -> None:
        here = (SEALED_VALUES.c.owner == owner) & (SEALED_VALUES.c.field == field)
        async with database.write() as connection:
            await connection.execute(update(SEALED_VALUES).where(here).values(sealed=value))

    for owner, field, value in (
        ("a", "other", values["b", "other"]),
        ("a", "other", values["a", of["other"]]),
        ("a", "other", b""),
    ):
        await put(owner, field, value)
        with pytest.raises(BrokenSeal):
            await seals.values("a")
    await put("a", "other", values["a", "other"])
    assert await seals.values("a") == VALUES
    async with database.write() as connection:
        await connection.execute(update(DATA_KEYS).where(DATA_KEYS.c.owner == "a").values(wrapped=keys["b"]))
    with pytest.raises(BrokenSeal):
        await seals.values("a")


async def test_derived_keys_survive_an_opening_and_a_rotation(
    database: Database, seals: Seals, key_file: KeyFile
) -> None:
    before = seals.derive("cursors")
    await seals.rotate(forget_old=True)
    again = await open_seals(database, key_file)
    assert again.derive("cursors") == seals.derive("cursors") == before
    assert before != seals.derive("sessions")


@pytest.mark.parametrize("how", ["lost", "another"])
async def test_a_lost_key_file_is_one_sentence_and_none_is_made(
    database: Database, seals: Seals, key_file: KeyFile, how: str
) -> None:
    await sealed(seals, "a")
    key_file.path.unlink()
    if how == "another":
        key_file.make()
    before = [path.name for path in key_file.path.parent.iterdir()]
    with pytest.raises(Unconfigured, match=r"is missing, or is not the one that these control data were made with"):
        await open_seals(database, key_file)
    assert [path.name for path in key_file.path.parent.iterdir()] == before


@pytest.mark.parametrize("how", ["lost", "another"])
async def test_a_look_at_the_ring_finds_that_its_file_went_while_all_is_open(
    seals: Seals, key_file: KeyFile, how: str
) -> None:
    await seals.check()
    await seals.rotate(forget_old=True)
    await seals.check()
    away = key_file.path.rename(key_file.path.with_name("away"))
    if how == "another":
        key_file.make()
    with pytest.raises(Unconfigured, match="is missing, or is not the one"):
        await seals.check()
    away.replace(key_file.path)
    await seals.check()


async def test_a_rotation_wraps_all_keys_anew_and_keeps_the_old_key(
    database: Database, seals: Seals, key_file: KeyFile
) -> None:
    await sealed(seals, "a")
    before = await key_ids(database)
    assert await seals.rotate() == 2
    ring = key_file.read()
    assert ring is not None
    assert await key_ids(database) == {ring.current}
    assert set(ring.keys) == before | {ring.current}
    assert await seals.values("a") == VALUES
    await seals.rotate(forget_old=True)
    ring = key_file.read()
    assert ring is not None
    assert len(ring.keys) == 1
    assert await (await open_seals(database, key_file)).values("a") == VALUES


async def test_rotations_at_once_that_forget_old_keys_lose_none_that_is_needed(
    database: Database, seals: Seals, key_file: KeyFile
) -> None:
    await sealed(seals, "a")
    several = [await open_seals(database, key_file) for _ in range(5)]

    async def rotate(one: Seals) -> None:
        for _ in range(6):
            await one.rotate(forget_old=True)

    async with anyio.create_task_group() as tasks:
        for one in several:
            tasks.start_soon(rotate, one)
    assert await (await open_seals(database, key_file)).values("a") == VALUES
    ring = key_file.read()
    assert ring is not None
    assert await key_ids(database) <= ring.keys.keys()


async def test_who_was_overtaken_by_another_rotation_wraps_by_the_key_of_today(
    database: Database, seals: Seals, key_file: KeyFile
) -> None:
    await sealed(seals, "a")
    other = await open_seals(database, key_file)
    await seals.rotate()
    for _ in range(2):
        await other.rotate(forget_old=True)
    assert await seals.wrap_by_current() == 2
    ring = key_file.read()
    assert ring is not None
    assert await key_ids(database) == {ring.current}
    assert await seals.values("a") == VALUES


async def test_another_process_that_is_open_meanwhile_goes_on(
    database: Database, seals: Seals, key_file: KeyFile
) -> None:
    other = await open_seals(database, key_file)
    await sealed(seals, "a")
    await seals.rotate(forget_old=True)
    assert await other.values("a") == VALUES
    await sealed(other, "b")
    ring = key_file.read()
    assert ring is not None
    assert await key_ids(database) == {ring.current}
    third = await open_seals(database, key_file)
    await other.rotate(forget_old=True)
    await sealed(third, "c")
    assert [await seals.values(owner) for owner in "abc"] == [VALUES] * 3


async def test_a_key_put_first_by_hand_is_the_current_one_at_the_next_opening(
    database: Database, seals: Seals, key_file: KeyFile
) -> None:
    await sealed(seals, "a")
    key_file.change(lambda ring: [b"n" * 32, *ring.keys.values()])
    # Not yet: whoever is open wraps by what the database knows.
    await sealed(seals, "b")
    assert len(await key_ids(database)) == 1
    again = await open_seals(database, key_file)
    ring = key_file.read()
    assert ring is not None
    assert await key_ids(database) == {ring.current}
    assert [await again.values(owner) for owner in "ab"] == [VALUES] * 2


async def test_a_rotation_that_ended_after_its_new_key_is_gone_on_with(
    database: Database, seals: Seals, key_file: KeyFile
) -> None:
    await sealed(seals, "a")
    key_file.change(lambda ring: [b"n" * 32, *ring.keys.values()])
    await seals.rotate()
    ring = key_file.read()
    assert ring is not None
    assert len(ring.keys) == 2
    assert await key_ids(database) == {ring.current}


async def test_a_copied_database_opens_nothing_without_its_ring(tmp_path: Path, key_file: KeyFile) -> None:
    original = tmp_path / "state" / "control.db"
    async with open_sqlite(original) as database:
        await sealed(await open_seals(database, key_file), "a")
    thief = tmp_path / "thief"
    thief.mkdir(mode=0o700)
    shutil.copy(original, thief / "control.db")
    async with open_sqlite(thief / "control.db") as copy:
        with pytest.raises(Unconfigured):
            await open_seals(copy, KeyFile(thief / "keys"))
        async with copy.write() as connection:
            await connection.execute(delete(DATA_KEYS).where(DATA_KEYS.c.owner == "root"))
        # The thief makes himself a ring, and a root in the place of ours.
        seals = await open_seals(copy, KeyFile(thief / "keys"))
        with pytest.raises(Unconfigured):
            await seals.values("a")


ROTATES = """
import anyio, sys
from pathlib import Path
from pydantic import SecretStr
from pingone_mcp.control.database import open_postgres, open_sqlite
from pingone_mcp.control.key_ring import KeyFile
from pingone_mcp.control.sealing import open_seals

async def main(where, url):
    async with (open_postgres(SecretStr(url)) if url else open_sqlite(Path(where) / "control.db")) as database:
        seals = await open_seals(database, KeyFile(Path(where) / "keys"))
        print("rotating", flush=True)
        while True:
            await seals.rotate(forget_old=True)

anyio.run(main, *sys.argv[1:])
"""


def test_a_rotation_may_be_killed_at_any_moment(database_url: SecretStr | None, tmp_path: Path) -> None:
    where = tmp_path / "state"
    where.mkdir(mode=0o700)
    file = KeyFile(where / "keys")

    async def check(*, first: bool) -> None:
        opening = open_sqlite(where / "control.db") if database_url is None else open_postgres(database_url)
        async with opening as database:
            seals = await open_seals(database, file)
            if first:
                for owner in range(20):
                    await sealed(seals, f"{owner}")
            assert [await seals.values(f"{owner}") for owner in range(20)] == [VALUES] * 20

    anyio.run(lambda: check(first=True))
    command = [sys.executable, "-c", ROTATES, str(where), database_url.get_secret_value() if database_url else ""]
    for milliseconds in (0, 3, 17, 41, 88):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "rotating\n"
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(milliseconds / 1000)
            process.send_signal(signal.SIGKILL)
            process.wait(PATIENCE)
        anyio.run(lambda: check(first=False))


def test_what_one_owner_has_sealed_opens_for_no_other_by_the_same_key_either() -> None:
    sealed_here = DataKey("a", b"k" * 32).seal("client_secret", b"x")
    assert DataKey("a", b"k" * 32).open("client_secret", sealed_here) == b"x"
    with pytest.raises(BrokenSeal):
        DataKey("b", b"k" * 32).open("client_secret", sealed_here)
