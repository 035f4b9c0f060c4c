"""Queries of an assistant, each in a process apart: what it does to time and memory, it does to that process alone.

SQLite asks for the time between two steps of its machine, and a single step may take minutes; its limit of memory is
one for the whole process, every sync of every copy included. So queries run in processes of `worker`, which are kept
for the next query, of whichever copy, and ended when one does not end by itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from pingone_mcp.errors import Refused
from pingone_mcp.replica.queries.query import Answer, Query
from pingone_mcp.replica.queries.sentences import too_slow
from pingone_mcp.replica.queries.worker import read_reply
from pingone_mcp.replica.store.store import ReplicaProblem

AT_ONCE = 2
_GRACE_SECONDS = 0.25  # beyond the time of a query, in which its process says so itself
_KILLED_SECONDS = 5.0  # so long for a process to be gone once it was killed
# Imports come from where they do here, never from the current folder, where anybody may have put a module. `site` takes
# as long as the rest, and has nothing to add.
_PROGRAM = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from pingone_mcp.replica.queries.worker import main; main()"
_NO_WINDOW = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # on Windows


class _Ended(Exception):
    """The process has ended without a word."""


class Queries:
    """At most two queries at once, of all copies together; no process is started before the first query.

    The owner closes it (`aclose`).
    """

    def __init__(self) -> None:
        self._turns = anyio.Semaphore(AT_ONCE)
        self._free: list[_Worker] = []
        self._closed = False

    async def answer(
        self, path: Path, sql: str, *, limit: int = 100, characters: int = 20_000, seconds: float = 2.0
    ) -> tuple[Answer, str]:
        """Answer one SELECT from the local copy at a path; return of which `edition_of` the copy the answer is, too.

        A query gets at most `limit` rows and `characters` of compact JSON. It takes `seconds` at most, half of which
        may be spent waiting for a process; a caller who is cancelled ends it. Raises Refused for what cannot be
        answered (while other queries run, too), NoReplica and ReplicaProblem.
        """
        query = Query(path=str(path), sql=sql, limit=limit, characters=characters, seconds=seconds)
        begun = anyio.current_time()
        while True:
            with suppress(_Ended):  # while it was kept for the next query: there is another one
                return await self._answer(query, begun)

    async def _answer(self, query: Query, begun: float) -> tuple[Answer, str]:
        """Answer a query that was asked at `begun`. Raises _Ended when the process was gone before the query."""
        async with AsyncExitStack() as stack:
            worker: _Worker | None = None
            with anyio.move_on_after(begun + query.seconds / 2 - anyio.current_time()) as waiting:
                await stack.enter_async_context(self._turns)
                worker = await stack.enter_async_context(self._worker())
                await worker.ready()
            if worker is None or waiting.cancelled_caught:
                raise _starting() if worker else _busy(query.seconds / 2)
            waited = anyio.current_time() - begun
            with anyio.move_on_after(query.seconds - waited + _GRACE_SECONDS):
                return await worker.ask(replace(query, waited=waited))
        raise too_slow(query.seconds)

    async def aclose(self) -> None:
        """End the processes; one that is at work is ended by the call that waits for it."""
        self._closed = True
        while self._free:
            await self._free.pop().end()

    @asynccontextmanager
    async def _worker(self) -> AsyncIterator[_Worker]:
        """Give a process that nobody else asks meanwhile; it is kept unless it owes an answer then."""
        worker = await self._next()
        try:
            yield worker
        finally:
            if worker.owes_nothing and not self._closed:
                self._free.append(worker)
            else:
                await worker.end()

    async def _next(self) -> _Worker:
        while self._free:
            worker = self._free.pop()
            if worker.lives:
                return worker
            await worker.end()
        return await _start()


class _Worker:
    """One process, and whether it still has to answer."""

    def __init__(self, process: Process) -> None:
        self._process = process
        assert process.stdin is not None
        assert process.stdout is not None
        self._questions = process.stdin
        self._answers = BufferedByteReceiveStream(process.stdout)
        self._is_ready = False
        self.owes_nothing = True

    @property
    def lives(self) -> bool:
        return self._process.returncode is None

    async def ready(self) -> None:
        """Wait until it has started. Raises ReplicaProblem when it does not."""
        if self._is_ready:
            return
        try:
            await self._line(100)
        except _Ended:
            raise _unavailable() from None
        self._is_ready = True

    async def ask(self, query: Query) -> tuple[Answer, str]:
        """Return the answer. Raises Refused when the query ends the process instead, _Ended when that had ended before.

        Raises what `read_reply` raises.
        """
        self.owes_nothing = False
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):  # which reading finds out as well
            await self._questions.send(json.dumps(asdict(query)).encode() + b"\n")
        await self._line(100)
        try:
            line = await self._line(12 * query.characters + 100_000)
        except _Ended:
            raise _broken_off() from None
        self.owes_nothing = True
        return read_reply(line)

    async def end(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        with anyio.move_on_after(_KILLED_SECONDS, shield=True):
            await self._process.aclose()

    async def _line(self, most: int) -> bytes:
        try:
            return await self._answers.receive_until(b"\n", most)
        except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, anyio.DelimiterNotFound):
            self.owes_nothing = False
            raise _Ended from None


async def _start() -> _Worker:
    """Start a process. It knows no secret: of the environment it gets what is not our configuration."""
    environment = {
        name: value for name, value in os.environ.items() if not name.upper().startswith(("PINGONE_", "PINGCLI_"))
    }
    command = [sys.executable, "-P", "-S", "-c", _PROGRAM, json.dumps(sys.path)]
    try:
        process = await anyio.open_process(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None,
            env=environment,
            creationflags=_NO_WINDOW,
            start_new_session=True,  # Ctrl-C in a terminal is meant for us, also while it is only starting
        )
    except OSError:
        raise _unavailable() from None
    return _Worker(process)


def _busy(seconds: float) -> Refused:
    return Refused(
        f"{AT_ONCE} other queries are running, and none ended within {seconds:g} s.",
        "Ask again in a moment, one query after the other.",
        code="QUERIES_BUSY",
    )


def _starting() -> Refused:
    return Refused("The process that runs queries is still starting.", "Ask again in a moment.", code="QUERIES_BUSY")


def _broken_off() -> Refused:
    return Refused(
        "The query broke off: it used up the memory that it may use, or met a fault of SQLite.",
        "Ask for less at once, or in another way.",
        code="SQL_BROKEN_OFF",
    )


def _unavailable() -> ReplicaProblem:
    return ReplicaProblem(
        "The process that runs queries cannot be started on this machine.",
        "The log of this server may say why; the other tools work without it.",
        code="QUERIES_UNAVAILABLE",
    )
