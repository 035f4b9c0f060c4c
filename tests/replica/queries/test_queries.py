"""A query does to its process what it wants; the server goes on, the next query is answered, nothing is left over."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any, Literal

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from pingone_mcp.errors import NoReplica, Problem, Refused
from pingone_mcp.replica.queries.processes import AT_ONCE, Queries
from pingone_mcp.replica.queries.query import Answer
from pingone_mcp.replica.store.store import ReplicaProblem, Store, transaction
from tests.process.fork_server import is_server

ROOT = Path(__file__).resolve().parents[2]
ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"
HUNGRY = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT json_group_array(printf('%9000d', x)) FROM c"
PLENTY = 60.0  # seconds for what is not to end because its time is over

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return copy_of(tmp_path, "Main")


def copy_of(folder: Path, environment: str) -> Path:
    store = Store(folder / "replica" / f"{environment}.db")
    with store.writer() as connection, transaction(connection):
        connection.execute("INSERT INTO environments_ VALUES ('e1', ?, 'PRODUCTION', 'EU')", (environment,))
    return store.path


@pytest.fixture
async def queries() -> AsyncIterator[Queries]:
    async with aclosing(Queries()) as opened:
        yield opened
    assert processes() == []


def processes(parent: int | Literal["self"] = "self") -> list[int]:
    """Return the children of a process, dead ones that nobody has taken note of included."""
    if sys.platform != "linux":
        return []
    tasks = Path(f"/proc/{parent}/task").glob("*/children")
    children = [int(child) for task in tasks for child in task.read_text().split()]
    return [child for child in children if not is_server(child)]


async def ask(queries: Queries, path: Path, sql: str = "SELECT name FROM environments", **more: Any) -> Answer:
    answer, _ = await queries.answer(path, sql, **{"seconds": PLENTY, **more})
    return answer


async def is_answered(queries: Queries, path: Path) -> bool:
    return (await ask(queries, path)).rows == [["Main"]]


async def refusal(asked: Callable[[], Any]) -> str | None:
    try:
        await asked()
    except Refused as problem:
        return problem.code
    raise AssertionError("it was answered")


# ---------------------------------------------------------------------------------------------------------- processes


@linux
async def test_a_process_is_started_by_the_first_query_and_kept_for_the_next(queries: Queries, path: Path) -> None:
    assert processes() == []
    assert await is_answered(queries, path)
    first = processes()
    assert len(first) == 1
    for _ in range(3):
        assert await is_answered(queries, path)
    assert processes() == first


@linux
async def test_a_process_that_does_not_end_a_query_is_ended_and_replaced(queries: Queries, path: Path) -> None:
    assert await is_answered(queries, path)
    (process,) = processes()
    os.kill(process, signal.SIGSTOP)  # as deaf as one that is inside a long step of SQLite
    with pytest.raises(Refused, match=r"did not end within 0\.2 s"):
        await ask(queries, path, seconds=0.2)
    assert processes() == []
    assert await is_answered(queries, path)


@linux
async def test_a_process_that_dies_at_a_query_is_told_and_replaced(queries: Queries, path: Path) -> None:
    assert await is_answered(queries, path)
    (process,) = processes()
    async with anyio.create_task_group() as tasks:

        async def asking() -> None:
            with pytest.raises(Refused, match="The query broke off: it used up the memory"):
                await ask(queries, path, ENDLESS)

        tasks.start_soon(asking)
        await anyio.sleep(0.2)  # it has taken the question long before
        os.kill(process, signal.SIGKILL)  # as the system does where memory is short
    assert await is_answered(queries, path)


@linux
async def test_a_process_that_died_between_two_queries_is_replaced(queries: Queries, path: Path) -> None:
    assert await is_answered(queries, path)
    (process,) = processes()
    os.kill(process, signal.SIGKILL)
    with anyio.fail_after(PLENTY):
        while processes():  # noqa: ASYNC110 - the event loop says to nobody when it has taken note
            await anyio.sleep(0.01)
    assert await is_answered(queries, path)


@linux
async def test_a_query_that_a_dying_process_has_not_taken_is_answered_by_the_next(queries: Queries, path: Path) -> None:
    assert await is_answered(queries, path)
    (process,) = processes()
    os.kill(process, signal.SIGSTOP)  # so that it takes nothing
    async with anyio.create_task_group() as tasks:

        async def asking() -> None:
            assert await is_answered(queries, path)

        tasks.start_soon(asking)
        await anyio.wait_all_tasks_blocked()
        os.kill(process, signal.SIGKILL)


@linux
async def test_a_caller_who_leaves_ends_the_query_and_its_process(queries: Queries, path: Path) -> None:
    assert await is_answered(queries, path)
    with anyio.move_on_after(0.1):
        await ask(queries, path, ENDLESS)
    assert processes() == []
    assert await is_answered(queries, path)


@pytest.mark.parametrize("steps", range(12))
async def test_a_caller_may_leave_while_a_process_starts(queries: Queries, path: Path, steps: int) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(ask, queries, path))
        for _ in range(steps * 3):
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    assert len(processes()) <= 1
    assert await is_answered(queries, path)


async def test_a_query_that_is_hungry_is_refused_and_its_memory_is_given_back(queries: Queries, path: Path) -> None:
    for _ in range(3):
        assert await refusal(partial(ask, queries, path, HUNGRY)) == "SQL_TOO_LARGE"
    for process in processes():
        peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
        assert peak is not None
        assert int(peak[1]) < 350 * 1024
    assert await is_answered(queries, path)


async def test_what_queries_may_use_of_memory_is_not_taken_from_anybody_else(queries: Queries, path: Path) -> None:
    """SQLite's limit is one for a process: hungry queries have ended syncs."""
    store = Store(path)
    full = partial(ask, queries, path, HUNGRY)

    def write(connection: Any) -> int:
        connection.execute("PRAGMA temp_store = memory")
        connection.execute("CREATE TEMP TABLE t AS SELECT printf('%9000d', value) AS v FROM json_each('[1,2,3]')")
        limit: int = connection.execute("PRAGMA hard_heap_limit").fetchone()[0]
        return limit

    async with anyio.create_task_group() as tasks:
        for _ in range(AT_ONCE):
            tasks.start_soon(refusal, full)
        assert await store.write(write) == 0  # there is no limit


@linux
async def test_a_process_knows_no_secret_and_leaves_no_core(
    queries: Queries, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PINGONE_CLIENT_SECRET", "hush-hush")
    monkeypatch.setenv("pingone_client_secret", "hush-hush")
    assert await is_answered(queries, path)
    (process,) = processes()
    told = Path(f"/proc/{process}/environ").read_bytes() + Path(f"/proc/{process}/cmdline").read_bytes()
    assert b"hush" not in told
    limits = {
        line[:26].strip(): line[26:].split()[:2] for line in Path(f"/proc/{process}/limits").read_text().splitlines()
    }
    assert limits["Max core file size"] == ["0", "0"]
    assert all(int(most) <= 2**30 for most in limits["Max address space"])


async def test_a_process_imports_nothing_from_the_current_folder(
    queries: Queries, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("sqlite3", "json", "anyio", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("import os\nos._exit(7)\n")
    monkeypatch.chdir(tmp_path)
    assert await is_answered(queries, path)


async def test_where_no_process_can_be_started_a_sentence_says_so(
    queries: Queries, path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(sys, "executable", str(path))
        with pytest.raises(ReplicaProblem, match="cannot be started"):
            await ask(queries, path)
    with monkeypatch.context() as broken:
        broken.setattr(sys, "path", ["/nowhere"])
        with pytest.raises(ReplicaProblem, match="cannot be started"):
            await ask(queries, path)
    assert "ModuleNotFoundError" in capfd.readouterr().err  # in the log of the server
    assert await is_answered(queries, path)


# ------------------------------------------------------------------------------------------------------------- copies


@linux
async def test_one_process_answers_about_every_copy_and_mixes_none(
    queries: Queries, path: Path, tmp_path: Path
) -> None:
    other, broken = copy_of(tmp_path, "Other"), copy_of(tmp_path, "Broken")
    broken.write_bytes(broken.read_bytes()[:4096] + b"\xff" * 4096)
    sql = "SELECT name FROM environments"
    for _ in range(2):
        assert (await ask(queries, path, sql)).rows == [["Main"]]
        with pytest.raises(ReplicaProblem, match="damaged"):
            await ask(queries, broken, sql)
        assert await refusal(partial(ask, queries, path, HUNGRY)) == "SQL_TOO_LARGE"
        assert (await ask(queries, other, sql)).rows == [["Other"]]
        with pytest.raises(NoReplica):
            await ask(queries, tmp_path / "replica" / "none.db", sql)
    assert len(processes()) == 1


# -------------------------------------------------------------------------------------------------------------- turns


async def test_two_run_and_the_others_are_told_that_they_do(queries: Queries, path: Path) -> None:
    outcomes: list[str | None] = []

    async def asking() -> None:
        outcomes.append(await refusal(partial(ask, queries, path, ENDLESS, seconds=0.5)))

    async with anyio.create_task_group() as tasks:
        for _ in range(AT_ONCE):  # both processes are there
            tasks.start_soon(is_answered, queries, path)
    async with anyio.create_task_group() as tasks:
        for _ in range(30):
            tasks.start_soon(asking)
    assert outcomes.count("SQL_TOO_SLOW") == AT_ONCE
    assert outcomes.count("QUERIES_BUSY") == 30 - AT_ONCE
    with pytest.raises(Problem):  # nobody is kept from the next turn
        await ask(queries, path, ENDLESS, seconds=0.1)
    assert await is_answered(queries, path)


async def test_many_short_ones_are_all_answered(queries: Queries, path: Path) -> None:
    answered: list[bool] = []

    async def asking() -> None:
        answered.append(await is_answered(queries, path))

    async with anyio.create_task_group() as tasks:
        for _ in range(40):
            tasks.start_soon(asking)
    assert answered == [True] * 40
    assert len(processes()) <= AT_ONCE


# Stands in the place of a module that a process imports, and is that one once a door has been opened.
HELD = """
open({door!r}).close()
import sys
sys.path.remove({folder!r})
del sys.modules["difflib"]
import difflib
"""


@linux
async def test_a_process_that_is_slow_to_start_is_kept_for_the_next_query(
    queries: Queries, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = tmp_path / "door"
    os.mkfifo(door)
    (tmp_path / "difflib.py").write_text(HELD.format(door=str(door), folder=str(tmp_path)))
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(Refused, match=r"still starting\. Ask again in a moment\. \[QUERIES_BUSY\]"):
        await ask(queries, path, seconds=0.3)
    begun = processes()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.to_thread.run_sync, door.write_bytes, b"")
        assert await is_answered(queries, path)
    assert processes() == begun


# ------------------------------------------------------------------------------------------------- whoever asked, gone

STUCK = """
from pingone_mcp.replica.queries import functions, worker as query_worker
functions._check_widths = lambda pattern: None  # so that SQLite is busy for a minute without asking anybody
query_worker._ABANDONED_SECONDS = 0.1
query_worker.main()
"""


def worker(code: str = "from pingone_mcp.replica.queries.worker import main; main()") -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def question(path: Path, sql: str, seconds: float) -> bytes:
    bounds = {"limit": 1, "characters": 100, "seconds": seconds, "waited": 0}
    return json.dumps({"path": str(path), "sql": sql, **bounds}).encode() + b"\n"


def test_a_stuck_process_ends_itself_when_nobody_does(path: Path) -> None:
    with worker(STUCK) as process:
        assert process.stdin is not None
        process.stdin.write(question(path, "SELECT printf('%.2000000000c', 'x')", 0.1))
        process.stdin.flush()  # and nothing is closed: it must not depend on anybody
        assert process.wait(PLENTY / 2) == 1
        process.stdin.close()


@pytest.mark.parametrize("asked", [False, True])
def test_a_process_ends_quietly_when_whoever_asked_has_gone(path: Path, *, asked: bool) -> None:
    with worker() as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"ready\n"
        if asked:
            process.stdin.write(question(path, ENDLESS, 0.1))
            process.stdin.flush()
        process.stdout.close()
        process.stdin.close()
        assert process.stderr.read() == b""
        assert process.wait(PLENTY) == 0


def test_a_process_is_small_and_starts_soon() -> None:
    code = "import sys, pingone_mcp.replica.queries.worker\nprint(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    heavy = ("pydantic", "httpx", "aiohttp", "mcp", "rich", "cryptography", "asyncio", "multiprocessing")
    assert {name for name in loaded.stdout.split() if name.split(".")[0] in heavy} == set()
