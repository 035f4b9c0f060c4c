"""Long work in a worker thread, kept from holding up the event loop: shorter turns, and no full search for garbage.

And the longest of a short command: loading what it needs.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_NEVER = 2**31 - 1
_TURN_SECONDS = 0.0005  # a small answer needs the interpreter some hundred times, and stands in line each time
_turn = threading.Lock()
_held = 0
_usual = gc.get_threshold(), sys.getswitchinterval()


@contextmanager
def heavy_work() -> Iterator[None]:
    """Let others have their turn ten times as often meanwhile, and nobody look through everything for cycles.

    Such a search touches every object, all threads wait for it, and it comes again and again while objects are added:
    with the accounts of a large application and their users in memory, a second each time. What is young is looked
    through as ever, and cycles that grew old meanwhile are found afterwards
    (https://docs.python.org/3/library/gc.html#gc.set_threshold, …/sys.html#sys.setswitchinterval).
    """
    global _held, _usual  # noqa: PLW0603 - both are one for the process, and so are their settings
    with _turn:
        if _held == 0:
            _usual = gc.get_threshold(), sys.getswitchinterval()
            gc.set_threshold(*_usual[0][:2], _NEVER)
            sys.setswitchinterval(_TURN_SECONDS)
        _held += 1
    try:
        yield
    finally:
        with _turn:
            _held -= 1
            if _held == 0:
                gc.set_threshold(*_usual[0])
                sys.setswitchinterval(_usual[1])


def take_short_turns() -> None:
    """Let threads take turns ten times as often from now on, as beside heavy work: where there is always some."""
    sys.setswitchinterval(_TURN_SECONDS)


@contextmanager
def loading(*hidden: str) -> Iterator[None]:
    """Load modules in the block without looking for garbage: what is made there is a thousand classes, and stays.

    Packages that others load where they find them, for logs and command lines that nobody uses here, are `hidden`.
    """
    gc.disable()
    unseen = [name for name in hidden if sys.modules.setdefault(name, None) is None]  # type: ignore[arg-type] # None says: not to be imported
    try:
        yield
    finally:
        for name in unseen:
            del sys.modules[name]
        gc.freeze()
        calm_collector()
        gc.enable()


def calm_collector() -> None:
    """Look for garbage less often than Python does, from now on.

    A page of users is thousands of objects that go by themselves; to look for circles among them takes a fifth of the
    time of a walk.
    """
    gc.set_threshold(20_000, 50, 100)
