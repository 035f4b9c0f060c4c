"""A process that is killed at any file that it touches leaves the old list or the new one, and says nothing else."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from pingone_mcp.control.control import ControlPlace, open_control
from pingone_mcp.errors import NotFound
from pingone_mcp.service.rosters.desk import RosterDesk
from pingone_mcp.service.rosters.pulling import Applications, ReadList
from pingone_mcp.service.rosters.shelf import Shelf, shelf_in
from pingone_mcp.tasks import background
from pingone_mcp.wiring.fleet import LinkedFiles, rosters_of
from tests.depth import sampled

ROOT = Path(__file__).resolve().parents[3]
MOST = 40
OLD = b"email\n" + b"\n".join(b"old%d@example.com" % number for number in range(3))
OLD_JSON = json.dumps([{"email": f"old{number}@example.com"} for number in range(3)]).encode()
NEW = json.dumps([{"email": f"new{number}@example.com"} for number in range(5)]).encode()
CHILD = """
import os, signal, sys
from pathlib import Path
import anyio, anyio._backends._asyncio, aiosqlite, filelock, sqlalchemy.dialects.sqlite.aiosqlite
from tests.service.rosters.test_sudden_ends import NEW, opened
import pingone_mcp.reports.rosters.files

folder, connection, act = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
left = [0]

def count(event, arguments):
    if event in {"open", "os.rename", "os.remove", "os.mkdir", "os.chmod", "os.listdir", "os.scandir"}:
        if "/rosters" in os.fsdecode(arguments[0] if isinstance(arguments[0], (str, bytes, os.PathLike)) else ""):
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1

async def main():
    async with opened(folder) as (desk, _):
        sys.addaudithook(count)
        if act == "push":
            await desk.keeping.push(connection, "crm", "json", NEW)
        else:
            await desk.keeping.remove(connection, "crm")

for line in sys.stdin:
    left[0] = int(line)
    child = os.fork()
    if child == 0:
        anyio.run(main)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Does something in a process of its own for each line that it reads, killed at the n-th file of a list it touches."""


@contextmanager
def mortal(folder: Path, connection: str, act: str) -> Iterator[Callable[[int], bool]]:
    """Give what lets a process do something and be killed at the n-th file; it says whether that came so far."""
    command = [sys.executable, "-c", CHILD, str(folder), connection, act]
    process = subprocess.Popen(
        command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    given, said = process.stdin, process.stdout

    def die(at: int) -> bool:
        print(at, file=given, flush=True)
        status = int(said.readline())
        assert status in (0, -signal.SIGKILL)
        return status != 0

    with process:
        yield die
        given.close()


async def no_users(_: str, __: object) -> ReadList:
    raise AssertionError("nothing is pulled here")


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[tuple[RosterDesk, LinkedFiles]]:
    place, files = ControlPlace(folder=folder), LinkedFiles(folder)
    async with open_control(place) as control, background() as tasks:
        applications = Applications(read_users=no_users, may_read=lambda _: False, tasks=tasks)
        yield rosters_of(control, files, applications), files


async def connection_in(folder: Path) -> str:
    async with open_control(ControlPlace(folder=folder)) as control:
        added = await control.connections.add(name="one", settings={}, credentials={})
    return added.id


def lies(shelf: Shelf) -> bytes | None:
    found = shelf.read("crm")
    return None if found is None else found[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("act", "before"),
    [("push", OLD), ("push", OLD_JSON), ("push", None), ("remove", OLD)],
    ids=["csv by json", "json by json", "the first", "removed"],
)
@sampled(3)
async def test_the_old_list_or_the_new_one_is_there(tmp_path: Path, act: str, before: bytes | None) -> None:
    connection = await connection_in(tmp_path)
    after = NEW if act == "push" else None
    seen, points = set[bytes | None](), 0
    with mortal(tmp_path, connection, act) as die:
        for at in range(MOST):
            async with opened(tmp_path) as (desk, _):
                if before is not None:
                    await desk.keeping.push(connection, "crm", "csv" if before == OLD else "json", before)
                elif at:
                    await desk.keeping.remove(connection, "crm")
            points += (was_killed := die(at))
            async with opened(tmp_path) as (desk, files):
                seen.add(await what_is_there(desk, shelf_in(files.own(connection)), connection))
                await desk.keeping.push(connection, "crm", "json", NEW)
                folder = shelf_in(files.own(connection)).folder.path
                assert {path.name for path in folder.iterdir()} == {"crm.json", ".lock"}
            if not was_killed:
                break
    assert 3 < points < MOST
    assert seen == {before, after}


async def what_is_there(desk: RosterDesk, shelf: Shelf, connection: str) -> bytes | None:
    """Return the list that lies there; fail where something else is said of it."""
    there = lies(shelf)
    try:
        shown = await desk.keeping.find(connection, "crm")
    except NotFound:
        assert there is None, "no list is left without its row"
        return None
    accounts = {OLD: 3, OLD_JSON: 3, NEW: 5, None: 0}[there]
    assert shown.accounts in (None, accounts)
    assert (shown.received_at is None) == (shown.accounts is None)
    return there
