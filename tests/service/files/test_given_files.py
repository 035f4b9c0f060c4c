"""Files that a person named: too large, of the wrong kind or made to take long, they are a sentence."""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
from pathlib import Path

import pytest

from pingone_mcp.sandbox.app import Sandbox
from tests.world import NOW, World, error_text, facts


@pytest.fixture
def world(tmp_path: Path) -> World:
    rosters, roles = tmp_path / "rosters", tmp_path / "roles.toml"
    rosters.mkdir()
    return World(sandbox=Sandbox(size=20, now=NOW), cache=tmp_path / "cache", rosters=rosters, roles_file=roles)


async def refusal(world: World, tool: str, **arguments: str) -> str:
    async with world.client() as client:
        facts(await client.call_tool("sync_directory", {}))
        result = await client.call_tool(tool, arguments)
    assert result.is_error
    return error_text(result)


async def test_rules_that_are_too_large_are_not_read(world: World) -> None:
    assert world.roles_file is not None
    with world.roles_file.open("wb") as file:
        file.truncate(2**40)  # a hole: it takes no room on the disk
    told = await refusal(world, "map_roles")
    assert told == (
        "The file that PINGONE_ROLES_FILE names is larger than 1 MiB. Keep what is needed of it. [TOO_LARGE]"
    )


async def test_rules_with_a_key_of_many_parts_are_refused(world: World) -> None:
    assert world.roles_file is not None
    world.roles_file.write_text(f"{'.'.join('a' * 20_000)} = 1")
    assert "a key has more than 16 parts" in await refusal(world, "map_roles")
    async with world.client() as client:
        told = facts(await client.call_tool("describe_directory", {"topic": "roles"}))
    assert "a key has more than 16 parts" in told["note"]


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes among files")
async def test_a_pipe_to_which_nobody_writes_is_not_waited_for(world: World) -> None:
    assert world.roles_file is not None
    os.mkfifo(world.roles_file)
    assert "cannot be read" in await refusal(world, "map_roles")


@pytest.mark.parametrize("kind", ["csv", "json"])
async def test_a_roster_that_is_too_large_is_not_read(world: World, kind: str) -> None:
    assert world.rosters is not None
    with (world.rosters / f"ledger.{kind}").open("wb") as file:
        file.truncate(2**40)
    told = await refusal(world, "check_drift", roster="ledger")
    assert told == "The roster is larger than 64 MiB. Keep what is needed of it. [TOO_LARGE]"


@pytest.mark.parametrize("kind", ["csv", "json"])
async def test_a_large_roster_stops_nobody_and_little_is_kept_of_it(world: World, kind: str) -> None:
    assert world.rosters is not None
    accounts = [{"email": f"user{number}@example.com", "name": f"User {number}"} for number in range(30_000)]
    accounts.append({"email": next(iter(world.sandbox.users()))["email"], "name": ""})
    rows = "".join(f"{one['email']},{one['name']}\n" for one in accounts)
    (world.rosters / f"ledger.{kind}").write_text(json.dumps(accounts) if kind == "json" else f"email,name\n{rows}")
    usual_turn = sys.getswitchinterval()
    searches: list[int] = []

    def note(phase: str, told: dict[str, int]) -> None:
        # One that was due before the long work began is as long as what was in memory then.
        if phase == "start" and sys.getswitchinterval() < usual_turn / 5:
            searches.append(told["generation"])

    async with world.client() as client:
        facts(await client.call_tool("sync_directory", {}))
        before = gc.get_threshold()
        gc.set_threshold(700, 10, 10)  # Python's own; another test may have left those of the server
        gc.callbacks.append(note)
        try:
            told = facts(await client.call_tool("check_drift", {"roster": "ledger"}))
            after = gc.get_threshold(), sys.getswitchinterval()
        finally:
            gc.callbacks.remove(note)
            gc.set_threshold(*before)
    assert told["counts"]["missing"] == 30_000
    assert 1 in searches, "whoever needs the interpreter has turns often meanwhile"
    assert 2 not in searches, "everything was looked through for garbage, while all threads wait"
    assert after == ((700, 10, 10), usual_turn)
    (kept,) = (world.cache / "drift").iterdir()
    assert kept.stat().st_size < 30_000 * 80


async def test_what_a_person_named_is_read_beside_the_loop(world: World) -> None:
    assert world.rosters is not None
    assert world.roles_file is not None
    (world.rosters / "ledger.csv").write_text("email\nann@example.com\n")
    world.roles_file.write_text('[[rule]]\nrole = "caller"\ngroup = "VPN*"\n')
    loop, read = threading.get_ident(), dict[str, int]()

    def listening(event: str, arguments: tuple[object, ...]) -> None:
        name = str(arguments[0]) if event == "open" else ""
        if name.endswith(("ledger.csv", "roles.toml")) and not done:
            read[Path(name).name] = threading.get_ident()

    done: list[bool] = []
    sys.addaudithook(listening)  # it stays, and hears nothing any more
    try:
        async with world.client() as client:
            facts(await client.call_tool("sync_directory", {}))
            facts(await client.call_tool("check_drift", {"roster": "ledger"}))
            facts(await client.call_tool("map_roles", {}))
            facts(await client.call_tool("describe_directory", {"topic": "roles"}))
    finally:
        done.append(True)
    assert read.keys() == {"ledger.csv", "roles.toml"}
    assert loop not in read.values()
