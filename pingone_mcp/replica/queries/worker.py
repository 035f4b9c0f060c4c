"""The process that runs queries for `queries.py`: a question in each line of stdin, two lines of stdout for it.

The first says that the question was taken, the second is the answer: who asked knows whether an end has to do with it.

What neither ends when SQLite is asked to, nor fits into memory, ends this process and nothing else.
"""

from __future__ import annotations

import dataclasses
import faulthandler
import json
import os
import signal
import sqlite3
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from pingone_mcp.errors import Problem, Refused
from pingone_mcp.replica.queries.query import run_query
from pingone_mcp.replica.store.store import NoReplica, ReplicaProblem, Store

PROBLEMS: tuple[type[Problem], ...] = (NoReplica, Refused, ReplicaProblem, Problem)
"""What a Problem is for whoever asks: the first of these."""

# SQLite sorts and materializes in memory, and refuses a query that needs more; the whole process is refused the second.
_MOST_HEAP = 256 * 1024 * 1024
_MOST_ADDRESSES = 768 * 1024 * 1024
# Nobody waits so long after the time of a query: whoever asked ends this process before, unless it has itself gone.
_ABANDONED_SECONDS = 2.0
_NICER = 10  # by so much, whoever talks to a person comes first


def main() -> None:
    """Answer until stdin ends."""
    _confine()
    try:
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
            _tell(b"ready\n")
            for line in sys.stdin.buffer:
                _tell(b"taken\n")
                question: dict[str, Any] = json.loads(line)
                left = question["seconds"] - question["waited"]
                # A timer of its own that asks neither Python nor SQLite.
                faulthandler.dump_traceback_later(left + _ABANDONED_SECONDS, exit=True, file=nowhere)
                answer = json.dumps(_answered(**question)).encode() + b"\n"
                faulthandler.cancel_dump_traceback_later()
                _tell(answer)
    except BrokenPipeError:
        os._exit(0)  # whoever asked has gone; Python would complain about what it could not write


def _answered(*, path: str, **question: Any) -> dict[str, Any]:
    """Return the members of an Answer, or `problem`: its place in PROBLEMS and what it is made of."""
    try:
        with Store(Path(path)).reader() as connection:
            return dataclasses.asdict(run_query(connection, **question))
    except Problem as problem:
        kind = next(place for place, kind in enumerate(PROBLEMS) if isinstance(problem, kind))
        return {"problem": [kind, problem.what, problem.next_step, problem.code]}


def _confine() -> None:
    """Take from this process what a query needs not."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # from a terminal, where it is meant for whoever asks
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"PRAGMA hard_heap_limit = {_MOST_HEAP}")  # for all connections of the process
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 - is not everywhere

    os.nice(_NICER)
    for kind, most in ((resource.RLIMIT_AS, _MOST_ADDRESSES), (resource.RLIMIT_CORE, 0)):
        with suppress(ValueError, OSError):  # it is less already, or the system does not know it
            resource.setrlimit(kind, (most, most))


def _tell(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
