"""The process that runs queries for `processes.py`: a query in each line of stdin, two lines of stdout for it, in JSON.

The first line says that the query was taken, the second is its answer. So the parent process knows, when this one ends,
whether the query ended it.

It answers about any copy, and keeps nothing of one query for the next: each opens the file of its own copy anew. A
query that SQLite does not interrupt, or that does not fit into memory, ends this process and nothing else.
"""

from __future__ import annotations

import dataclasses
import faulthandler
import json
import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from pingone_mcp.errors import NoReplica, Problem, Refused
from pingone_mcp.replica.queries.query import Answer, Query, run_query
from pingone_mcp.replica.store.edition import edition_of
from pingone_mcp.replica.store.store import ReplicaProblem, Store

PROBLEMS: tuple[type[Problem], ...] = (NoReplica, Refused, ReplicaProblem, Problem)
"""A Problem is raised in the parent process as the first of these that it is."""

# SQLite sorts and materializes in memory, and refuses a query that needs more; the whole process is refused the second.
_MOST_HEAP = 256 * 1024 * 1024
_MOST_ADDRESSES = 768 * 1024 * 1024
# The parent process ends this one earlier, unless it is gone itself.
_ABANDONED_SECONDS = 2.0
_NICER = 10  # the server, which talks to people, comes first


def main() -> None:
    """Answer until stdin ends."""
    _confine()
    try:
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
            _write(b"ready\n")
            for line in sys.stdin.buffer:
                _write(b"taken\n")
                query = Query(**json.loads(line))
                left = query.seconds - query.waited
                # A timer of its own that asks neither Python nor SQLite.
                faulthandler.dump_traceback_later(left + _ABANDONED_SECONDS, exit=True, file=nowhere)
                reply = reply_to(query).encode() + b"\n"
                faulthandler.cancel_dump_traceback_later()
                _write(reply)
    except BrokenPipeError:
        os._exit(0)  # the parent process is gone; Python would complain about what it could not write


def reply_to(query: Query, run: Callable[[sqlite3.Connection, Query], Answer] = run_query) -> str:
    """Return what `run` answers, or its Problem, and of which edition of the copy: both from one transaction, in JSON.

    `read_reply` reads it.
    """
    try:
        with Store(Path(query.path)).reader() as connection:
            connection.execute("BEGIN")
            edition = edition_of(connection)
            answer = run(connection, query)
        return json.dumps({"answer": dataclasses.asdict(answer), "edition": edition})
    except Problem as problem:
        kind = next(place for place, kind in enumerate(PROBLEMS) if isinstance(problem, kind))
        return json.dumps({"problem": [kind, problem.what, problem.next_step, problem.code]})


def read_reply(line: bytes) -> tuple[Answer, str]:
    """Return the answer in a line of such a process, and of which edition of the copy it is. Raises its Problem."""
    reply: dict[str, Any] = json.loads(line)
    if problem := reply.get("problem"):
        kind, what, next_step, code = problem
        raise PROBLEMS[kind](what, next_step, code=code)
    return Answer(**reply["answer"]), reply["edition"]


def _confine() -> None:
    """Take from this process what no query needs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is meant for the parent process
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"PRAGMA hard_heap_limit = {_MOST_HEAP}")  # for all connections of the process
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 - is not everywhere

    os.nice(_NICER)
    for kind, most in ((resource.RLIMIT_AS, _MOST_ADDRESSES), (resource.RLIMIT_CORE, 0)):
        with suppress(ValueError, OSError):  # it is less already, or the system does not know it
            resource.setrlimit(kind, (most, most))


def _write(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
