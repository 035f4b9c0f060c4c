"""A sync that is killed at any moment leaves the old state or the new one, and the next sync ends at the truth."""

from __future__ import annotations

import json
import random
import shutil
import signal
import sqlite3
import sys
import textwrap
from contextlib import closing, suppress
from pathlib import Path
from uuid import UUID

import anyio
import pytest

from pingone_mcp.errors import NoReplica
from pingone_mcp.replica.store.store import Store
from pingone_mcp.sandbox.app import Sandbox
from tests.depth import SOAK, often, soaked
from tests.process.programs import PATIENCE, Served, serving, started
from tests.replica.happenings import KINDS, Happening, happen
from tests.replica.truth import Copy, State, copied, sent, truth
from tests.world import NOW, World, replica_path

PEOPLE = 400
# Prints a line whenever something was done, so that it can be killed at any of them. In the midst of the merge it kills
# itself, after so many hundred steps of SQLite.
SYNCER = (
    sys.executable,
    "-c",
    textwrap.dedent("""
        import json
        import os
        import signal
        import sys
        from contextlib import contextmanager

        import anyio

        from pingone_mcp.pingone.api.client import open_client
        from pingone_mcp.clock import Clock
        from pingone_mcp.pingone.feed.source import PingOneSource
        from pingone_mcp.pingone.served import Served
        from pingone_mcp.replica.store.store import Store, copy_path
        from pingone_mcp.replica.sync import Sync
        from pingone_mcp.pingone.connection import connection_of
        from pingone_mcp.settings import Settings

        mode, left, *events = sys.argv[1], *map(int, sys.argv[2:3]), *sys.argv[3:]
        merging = mode == "reread"

        def step():
            global left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        class MortalStore(Store):
            @contextmanager
            def writer(self):
                with super().writer() as connection:
                    if merging:
                        connection.set_progress_handler(step, 100)
                    yield connection

        def report(stage, done, about):
            global merging
            merging = stage == "merge"
            print(stage, done, flush=True)

        async def main():
            connection = connection_of(Settings())
            store = MortalStore(copy_path(connection.cache_dir, connection.key))
            async with open_client(connection) as client:
                sync = Sync(PingOneSource(Served(client, Clock())), store, report=report)
                if mode == "reread":
                    print("ended", not (await sync.reread(json.loads(events[0]))).held, flush=True)
                else:
                    print("ended", (await sync.run(mode)).complete, flush=True)

        anyio.run(main)
    """),
)


def held(path: Path) -> State | None:
    """Return what the copy holds, None when there is none yet; fail where it cannot be read."""

    async def read() -> State | None:
        with suppress(NoReplica):
            return await Store(path).read(copied)
        return None

    return anyio.run(read)


def sync(served: Served, mode: str, *given: str, lines: int | None = None, steps: int = 0) -> bool:
    """Sync in a process of its own, killed after so many lines or steps of its merge; say whether it ended."""
    variables = served.variables(PINGONE_PAGE_SIZE="20", PINGONE_RETRY_SECONDS="30")
    with started(mode, str(steps), *given, env=variables, program=SYNCER) as process:
        heard = 0
        while lines is None or heard < lines:
            line = process.line()
            heard += 1
            if line.startswith("ended"):
                ended = process.rest()
                assert ended.status == 0, ended
                return line.split()[1] == "True"
            if not line:
                ended = process.rest()
                assert ended.status == -signal.SIGKILL, ended
                return False
        process.process.send_signal(signal.SIGKILL)
        process.process.wait(PATIENCE)
    return False


def kill_and_look(served: Served, dice: random.Random, mode: str, kills: int) -> None:
    """Change something, be killed so often, and come to the end."""
    path = replica_path(World(sandbox=served.sandbox, cache=served.cache).connection(api_url=f"{served.base_url}/v1"))
    before = held(path)
    for _ in range(kills):
        script = [Happening(dice.choice(KINDS), *(dice.randrange(1000) for _ in range(3))) for _ in range(4)]
        anyio.run(happen, served.sandbox, script)
        now = truth(served.sandbox)
        if dice.random() < 0.5:
            sync(served, mode, steps=dice.randint(1, 1_200 if mode == "full" else 300))
        else:
            sync(served, mode, lines=dice.randint(1, 60 if mode == "full" else 8))
        after = held(path)
        assert after in (before, now) or (before is None and after == State())
        before = after
    assert sync(served, mode)
    assert held(path) == truth(served.sandbox)


@pytest.mark.slow
@soaked
@pytest.mark.parametrize("seed", range(often(1, soak=1)))
@pytest.mark.parametrize(("mode", "kills"), [("full", 4 if SOAK else 2), ("incremental", 3 if SOAK else 1)])
def test_a_sync_that_is_killed_harms_nothing(tmp_path: Path, mode: str, kills: int, seed: int) -> None:
    """A soak of seven and more kills fifty times (PINGONE_SOAK)."""
    dice = random.Random(f"{seed} {mode}")
    with serving(Sandbox(size=PEOPLE, customers=5), tmp_path) as served:
        if mode == "incremental":
            assert sync(served, "full")
        kill_and_look(served, dice, mode, kills)


@pytest.mark.slow
@soaked
@pytest.mark.parametrize("seed", range(often(1, soak=2)))
def test_a_reread_that_is_killed_harms_nothing(tmp_path: Path, seed: int) -> None:
    """At any step of SQLite from its first look at the copy on: by its end all of it is there, or nothing."""
    dice = random.Random(seed)
    with serving(Sandbox(size=PEOPLE, customers=5), tmp_path) as served:
        assert sync(served, "full")
        path = replica_path(
            World(sandbox=served.sandbox, cache=served.cache).connection(api_url=f"{served.base_url}/v1")
        )
        killed = 0
        for _ in range(3):
            before, seen = held(path), len(served.sandbox.state().events)
            script = [Happening(dice.choice(KINDS), *(dice.randrange(1000) for _ in range(3))) for _ in range(4)]
            anyio.run(happen, served.sandbox, script)
            events, now = json.dumps(sent(served.sandbox, seen)), truth(served.sandbox)
            killed += not sync(served, "reread", events, steps=dice.randint(1, 200))
            assert held(path) in (before, now)
            assert sync(served, "reread", events)
            assert held(path) == now
        assert killed
        assert sync(served, "incremental")
        assert held(path) == truth(served.sandbox)


def seen_and_staged(folder: Path) -> tuple[set[str], set[str]]:
    """Return whom the notes of a walk speak of, and whom the staged users hold, as both lie on the disk."""
    found: list[set[str]] = []
    for pattern, query in (("*.ledger", "SELECT id FROM seen"), ("*.staged", "SELECT id FROM users_")):
        ids: set[str] = set()
        for path in folder.glob(pattern):
            with closing(sqlite3.connect(path)) as database:
                ids |= {str(UUID(bytes=one)) if isinstance(one, bytes) else one for (one,) in database.execute(query)}
        found.append(ids)
    return found[0], found[1]


def copy_if_there(source: str, target: str) -> None:
    """Copy a file, unless it has gone: the log of a copy goes when a thread that has looked into it closes it."""
    with suppress(FileNotFoundError):
        shutil.copy2(source, target)


async def test_whenever_it_is_killed_the_notes_of_a_walk_speak_of_nobody_who_is_not_staged(tmp_path: Path) -> None:
    """As the disk is after each page: in transactions of several pages, most of it is not kept yet."""
    kept = Copy(World(sandbox=Sandbox(PEOPLE, customers=5, now=NOW), cache=tmp_path / "cache"), page_size=10)
    left: list[tuple[int, int]] = []

    def report(stage: str, done: int, about: int | None) -> None:
        if stage != "users":
            return
        folder = tmp_path / f"killed {len(left)}" / "replica"
        shutil.copytree(kept.path.parent, folder, copy_function=copy_if_there)
        seen, staged = seen_and_staged(folder)
        assert seen <= staged
        left.append((len(seen), done))

    assert (await kept.sync("full", report=report)).complete
    assert sum(seen == 0 for seen, _ in left) > 10, "several pages at a time"
    assert len({seen for seen, _ in left}) > 2
    whole = len(kept.world.api_requests())
    for number in (0, len(left) // 2, len(left) - 1):
        after = Copy(World(sandbox=kept.sandbox, cache=tmp_path / f"killed {number}"), page_size=10)
        kept.sandbox.requests.clear()
        assert (await after.sync("full")).complete
        assert await after.state() == truth(kept.sandbox)
        seen, _ = left[number]
        assert len(kept.world.api_requests()) <= whole - seen // 10
