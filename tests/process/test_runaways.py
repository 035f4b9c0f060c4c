"""Queries that never end, a hundred at once: the server hears and answers all the same, and none outlives it."""

from __future__ import annotations

import json
import os
import select
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.programs import PATIENCE, Running, bare, run, started

CALLS = 100
ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"
HUNGRY = ENDLESS.replace("count(*)", "json_group_array(printf('%9000d', x))")
DEAF = "SELECT printf('%.*c', 2000000000, 'x')"
SECONDS_OF_A_PING = 0.5

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Make a copy of the sample company; return what a server is started with that answers from it."""
    home = tmp_path_factory.mktemp("home")
    own = {"PINGONE_SANDBOX": "1", "PINGONE_CACHE_DIR": str(home / "cache")}
    assert run("sync", env=bare(home, **own)).status == 0
    return bare(home, **own, PINGONE_ANSWER_SECONDS="0.5")


@pytest.fixture
def server(variables: dict[str, str]) -> Iterator[Running]:
    with started(env=variables) as running:
        running.greet()
        yield running


def asked(server: Running, sql: str) -> int:
    return server.call("query_directory", sql=sql)


def test_a_hundred_runaway_queries_keep_no_ping_waiting_and_are_all_answered(server: Running) -> None:
    assert "result" in server.answer(asked(server, "SELECT count(*) FROM users"))
    waiting = {asked(server, (ENDLESS, HUNGRY, DEAF)[number % 3]) for number in range(CALLS)}
    told: list[str] = []
    pings: list[float] = []
    while waiting:
        begun, ping = time.monotonic(), server.ask("ping")
        while (message := json.loads(server.line()))["id"] != ping:
            waiting.remove(message["id"])
            told.append(message["result"]["content"][0]["text"])
        pings.append(time.monotonic() - begun)
    later = pings[1:]  # the first comes behind a hundred calls that are to be read
    assert not later or statistics.median_low(later) < SECONDS_OF_A_PING, pings
    assert max(pings) < PATIENCE, pings
    codes = {text.rpartition("[")[2] for text in told}
    assert codes <= {"SQL_TOO_SLOW]", "SQL_TOO_LARGE]", "SQL_INVALID]", "QUERIES_BUSY]"}
    assert not server.answer(asked(server, "SELECT count(*) FROM users"))["result"]["isError"]


@linux
@pytest.mark.parametrize("ending", ["closed stdin", "SIGTERM", "SIGKILL"])
@pytest.mark.parametrize("busy", [False, True])
def test_no_process_of_a_query_outlives_the_server(server: Running, ending: str, *, busy: bool) -> None:
    server.answer(asked(server, "SELECT count(*) FROM users"))
    children = [os.pidfd_open(child) for child in processes_of(server.process.pid)]
    assert len(children) == 1
    if busy:
        asked(server, ENDLESS)
        server.answer(server.ask("ping"))
    if ending == "closed stdin":
        server.leave()
    else:
        server.process.send_signal(signal.Signals[ending])
    for child in children:
        assert select.select([child], [], [], PATIENCE)[0] == [child]
        os.close(child)
    assert "Traceback" not in server.rest().err


def processes_of(parent: int) -> list[int]:
    tasks = Path(f"/proc/{parent}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]
