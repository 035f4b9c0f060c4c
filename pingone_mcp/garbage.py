"""Python's search for garbage, kept from stopping the event loop while something large is in memory."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_NEVER = 2**31 - 1
_turn = threading.Lock()
_held = 0
_usual = gc.get_threshold()


@contextmanager
def no_full_search() -> Iterator[None]:
    """Let nobody look through everything for cycles meanwhile; what is young is looked through as ever.

    Such a search touches every object, all threads wait for it, and it comes again and again while objects are added:
    with the accounts of a large application and their users in memory, a second each time. Cycles that grew old
    meanwhile are found afterwards (https://docs.python.org/3/library/gc.html#gc.set_threshold).
    """
    global _held, _usual  # noqa: PLW0603 - the collector is one for the process, and so is its setting
    with _turn:
        if _held == 0:
            _usual = gc.get_threshold()
            gc.set_threshold(*_usual[:2], _NEVER)
        _held += 1
    try:
        yield
    finally:
        with _turn:
            _held -= 1
            if _held == 0:
                gc.set_threshold(*_usual)
