"""Which connection the code that runs now works for: named in what is logged.

It is set where a connection's work begins, and holds for the tasks and the threads that are started from there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

DEFAULT = "default"
"""The id of the connection that the environment variables make."""

_CONNECTION: ContextVar[str | None] = ContextVar("connection", default=None)


@contextmanager
def working_for(connection: str) -> Iterator[None]:
    """Work for the connection of an id for as long as the block lasts."""
    token = _CONNECTION.set(connection)
    try:
        yield
    finally:
        _CONNECTION.reset(token)


def current_connection() -> str | None:
    """Return the id of the connection that is worked for; None for what is done for all or none."""
    return _CONNECTION.get()
