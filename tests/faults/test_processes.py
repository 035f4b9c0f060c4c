"""Processes that are killed, short of disk or many: what they leave behind does not harm those who come after."""

from __future__ import annotations

import random
import signal
import sys
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pingone_mcp.sandbox.app import Sandbox
from tests.depth import long, often, soaked
from tests.process.programs import PATIENCE, Running, Served, in_process, run, serving, started

CALL = ("call", "list_users", "limit=1")
PEOPLE = 3_000

WALKER = (
    sys.executable,
    "-c",
    textwrap.dedent("""
        import sys
        from pathlib import Path

        import anyio

        from pingone_mcp.pingone.directory import open_directory
        from pingone_mcp.pingone.connection import connection_of
        from pingone_mcp.settings import Settings

        async def main() -> None:
            connection = connection_of(Settings())
            async with (
                open_directory(connection) as directory,
                directory.walk(connection.credentials.environment_id, ledger=Path(sys.argv[1])) as walk,
            ):
                async for page in walk:
                    print("page", *(user.id for user in page.users), flush=True)
                    sys.stdin.readline()  # the reader says when it has the page
                    walk.kept()
                print("verdict", walk.verdict.complete, walk.verdict.reason, flush=True)

        anyio.run(main)
    """),
)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(Sandbox(size=PEOPLE), tmp_path) as served:
        yield served


def variables(served: Served) -> dict[str, str]:
    return served.variables(PINGONE_PAGE_SIZE="50", PINGONE_RETRY_SECONDS="30")


def take(walker: Running, pages: int | None) -> tuple[list[list[str]], str]:
    """Take so many pages (None: all), each acknowledged but the last; return them and the verdict, if it came."""
    taken: list[list[str]] = []
    while line := walker.line().split():
        if line[0] == "verdict":
            return taken, " ".join(line[1:])
        taken.append(line[1:])
        if len(taken) == pages:
            break
        assert walker.process.stdin is not None
        walker.process.stdin.write("\n")
        walker.process.stdin.flush()
    return taken, ""


def kill(process: Running) -> None:
    process.process.send_signal(signal.SIGKILL)
    assert process.process.wait(PATIENCE) == -signal.SIGKILL


@pytest.mark.slow
@soaked
@pytest.mark.parametrize("seed", range(often(1, soak=1)))
def test_a_walk_that_is_killed_goes_on_where_it_was(served: Served, seed: int) -> None:
    """A page counts as delivered once it is kept: of the last one before a kill, nobody knows."""
    dice, ledger = random.Random(seed), str(served.home / "walk.db")
    there = {user["id"] for user in served.sandbox.users()}
    sure: list[str] = []
    unsure: set[str] = set()
    for pages in [dice.randint(1, 25), dice.randint(1, 25)]:
        with started(ledger, env=variables(served), program=WALKER) as walker:
            taken, verdict = take(walker, pages)
            assert (len(taken), verdict) == (pages, ""), walker.rest()
            kill(walker)
        sure += [identity for page in taken[:-1] for identity in page]
        unsure |= set(taken[-1])
    with started(ledger, env=variables(served), program=WALKER) as walker:
        taken, verdict = take(walker, None)
        assert (verdict, walker.rest().status) == ("True None", 0)
    rest = [identity for page in taken for identity in page]
    assert len(set(sure + rest)) == len(sure + rest), "nobody comes twice"
    assert set(sure + rest) == there
    assert unsure <= there
    assert not Path(ledger).exists(), "a walk that came to its end leaves no notes"


@long
def test_a_kill_while_a_page_is_on_its_way_loses_nobody(served: Served) -> None:
    """Killed at any moment, not only between pages: by a random number of requests that the sandbox has seen."""
    dice, ledger = random.Random(4711), str(served.home / "walk.db")
    there = {user["id"] for user in served.sandbox.users()}
    sure: list[str] = []
    given: set[str] = set()
    for _ in range(often(1, soak=2)):
        with started(ledger, env=variables(served), program=WALKER) as walker:
            taken, verdict = take(walker, dice.randint(1, 12))
            assert walker.process.stdin is not None
            walker.process.stdin.write("\n")  # the last page is acknowledged, and the next one begins: or does not
            walker.process.stdin.flush()
            kill(walker)
        sure += [identity for page in taken[:-1] for identity in page]
        last = taken[-1] if taken and not verdict else []
        with started(ledger, env=variables(served), program=WALKER) as walker:
            first, verdict = take(walker, 1)
            kill(walker)
        given |= {identity for page in (*taken, *first) for identity in page}
        again = set(last) & {identity for page in first for identity in page}
        assert again in (set(), set(last)), "a page comes again as a whole, or not at all"
    with started(ledger, env=variables(served), program=WALKER) as walker:
        taken, verdict = take(walker, None)
        assert verdict == "True None", walker.rest()
    rest = [identity for page in taken for identity in page]
    assert len(set(sure) & set(rest)) == 0, "who was acknowledged does not come again"
    assert len(set(rest)) == len(rest)
    assert given | set(rest) == there


def stepping(moment: int) -> tuple[str, ...]:
    """Return a program that dies at the n-th step of SQLite's machine, and says how many there were if it did not."""
    return in_process(
        textwrap.dedent(f"""
            import atexit, os, signal, sqlite3, sys

            steps, connect = 0, sqlite3.connect

            def step():
                global steps
                steps += 1
                if steps == {moment}:
                    os.kill(os.getpid(), signal.SIGKILL)
                return 0

            def watched(*args, **settings):
                database = connect(*args, **settings)
                database.set_progress_handler(step, 1)
                return database

            sqlite3.connect = watched
            atexit.register(lambda: print("steps", steps, file=sys.stderr))
        """)
    )


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Served]:
    with serving(Sandbox(size=20), tmp_path) as served:
        yield served


@pytest.mark.slow
@soaked
def test_a_kill_while_the_token_is_written_costs_a_token_request_and_nothing_else(small: Served) -> None:
    steps = int(run(*CALL, env=small.variables(), program=stepping(0)).err.split()[-1])
    assert steps > 500, "a database was written"
    for moment in random.Random(steps).sample(range(1, steps), often(1, soak=2)):
        env = small.variables(PINGONE_CACHE_DIR=str(small.home / f"killed-{moment}"))
        assert run(*CALL, env=env, program=stepping(moment)).status == -signal.SIGKILL, moment
        sent = small.sandbox.token_requests
        for _ in range(2):
            end = run(*CALL, env=env)
            assert (end.json()["result_count"], end.err) == (1, ""), moment
        assert small.sandbox.token_requests <= sent + 1, moment


def full_at(size: int) -> str:
    """Return code after which no file may grow beyond so many bytes: a disk that is full.

    Python's own cache of compiled modules is switched off: it would keep what it could write of them.
    """
    return (
        "import resource, sys\n"
        "sys.dont_write_bytecode = True\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))\n"
    )


posix = pytest.mark.skipif(sys.platform == "win32", reason="there is no limit to the size of files to set")


@posix
@pytest.mark.slow
@pytest.mark.parametrize("size", [0, 20_000])
def test_a_full_disk_costs_token_requests_and_is_told_once(small: Served, size: int) -> None:
    end = run(*CALL, env=small.variables(), program=in_process(full_at(size)))
    assert end.json()["result_count"] == 1
    assert end.err.count("Tokens are kept in memory only") == 1
    assert small.sandbox.client_secret not in end.err
    end = run(*CALL, env=small.variables())
    assert (end.json()["result_count"], end.err) == (1, ""), "with room on the disk all is well again"


@posix
@pytest.mark.slow
@pytest.mark.parametrize("size", [0, 60_000])
def test_a_walk_whose_notes_find_no_room_says_so(served: Served, size: int) -> None:
    full = (*WALKER[:2], full_at(size) + WALKER[2])
    there = {user["id"] for user in served.sandbox.users()}
    with started(str(served.home / "walk.db"), env=variables(served), program=full) as walker:
        taken, verdict = take(walker, None)
        end = walker.rest()
    assert "NOTES_NOT_KEPT" in verdict + end.err
    assert not verdict.startswith("True")
    sure = [identity for page in taken[:-1] for identity in page]
    with started(str(served.home / "walk.db"), env=variables(served), program=WALKER) as walker:
        taken, verdict = take(walker, None)
        assert verdict == "True None", walker.rest()
    rest = [identity for page in taken for identity in page]
    assert set(sure) | set(rest) == there, "with room on the disk the walk goes on"
    assert len(set(sure + rest)) == len(sure + rest)


@long
def test_eight_servers_whose_token_is_revoked_renew_it_once_in_all(small: Served) -> None:
    with ExitStack() as stack:
        servers = [stack.enter_context(started(env=small.variables())) for _ in range(8)]
        for server in servers:
            server.greet()
        for revoked in range(2):
            calls = [(server, server.call("list_users", limit=1)) for server in servers]
            answers = [server.answer(number)["result"] for server, number in calls]
            assert [answer["isError"] for answer in answers] == [False] * 8
            assert small.sandbox.token_requests == 1 + revoked
            small.sandbox.revoke_tokens()
