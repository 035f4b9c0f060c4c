"""Ctrl-C: whenever it is pressed, the process ends quietly, with the status that shells give to it.

Python's own way is an exception in whatever line runs just then: in an import, in a callback that swallows it, in what
others have written. asyncio's is to cancel a task whatever it waits for: also for a thread that works with a database,
which is then closed under it, and the process crashes. Here it ends the process at once while nothing has been begun,
and cancels what a command does as everything else is cancelled, so that whoever must wait for a thread waits.
Nothing is lost where the process ends at once: files are written whole, and a sync goes on where it was.

It runs before anything else is loaded.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    import asyncio

    import anyio

INTERRUPTED = 130
_PATIENCE = 5.0  # seconds in which what was begun is brought to an end
_AGAIN = 0.05  # seconds after which a press is sent again that was not heard
_SHOW_CURSOR = b"\x1b[?25h"


def end_at_once(*_: object) -> NoReturn:
    """End the process here and now: no thread is waited for, and none can still be at work while Python goes down."""
    try:
        if os.isatty(2):
            os.write(2, _SHOW_CURSOR)  # which a bar of progress has hidden
    finally:
        os._exit(INTERRUPTED)


def quiet_from_here() -> None:
    """Let Ctrl-C end this process at once, and no more when all is done: then the status is that of what was done."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        return  # whoever started it wants that it goes on, as `nohup` does
    signal.signal(signal.SIGINT, end_at_once)
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)


def run_interruptible(act: Callable[[], Awaitable[int]]) -> int:
    """Run what a command does on an event loop, and return its status, or INTERRUPTED where Ctrl-C has cancelled it.

    Pressed once more, or when it has not come to an end after a few seconds, the process ends at once.
    """
    import anyio  # noqa: PLC0415 - it takes long, and a press meanwhile should end the process at once

    presses: list[float] = []

    async def cancelled_by_a_press() -> int:
        with anyio.CancelScope() as scope, _pressed(scope, presses):
            return await act()
        return INTERRUPTED

    try:
        return anyio.run(cancelled_by_a_press)
    except BaseException:
        if presses:  # whatever it is, it comes of that: a process or a connection that has gone too
            return INTERRUPTED
        raise


@contextmanager
def _pressed(scope: anyio.CancelScope, presses: list[float]) -> Iterator[None]:
    """Cancel a scope when Ctrl-C is pressed in the block."""
    import asyncio  # noqa: PLC0415 - as above

    loop = asyncio.get_running_loop()

    def press(*_: object) -> None:
        if presses:
            end_at_once()
        presses.append(loop.time())
        loop.call_soon_threadsafe(cancel)

    def cancel() -> None:
        scope.cancel()
        loop.call_later(_PATIENCE, end_at_once)

    with _wakes(loop), pressing(press):
        yield


@contextmanager
def _wakes(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Let a signal wake a loop, also one that comes when it is just about to wait (signal.set_wakeup_fd).

    Python's handler runs between two lines of the main thread; without this, that is when something else has come. The
    loop of Windows sees to it by itself.
    """
    import socket  # noqa: PLC0415 - as above

    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        yield
        return
    there, here = socket.socketpair()
    with there, here:
        there.setblocking(False)
        here.setblocking(False)
        loop.add_reader(here, here.recv, 4096)
        before = signal.set_wakeup_fd(there.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            loop.remove_reader(here)


@contextmanager
def asking_a_person() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt in the block, which reads from a terminal, and leaves it as it was.

    Python's handler runs between two lines. A press that comes behind the last one, when the read is about to wait,
    would be heard after it; so it is sent again until it was heard.
    """
    import socket  # noqa: PLC0415 - as above

    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        with pressing(signal.default_int_handler):
            yield
        return
    heard, reader = threading.Event(), threading.get_ident()
    there, here = socket.socketpair()
    there.setblocking(False)

    def press(*_: object) -> None:
        if not heard.is_set():
            heard.set()
            raise KeyboardInterrupt

    def send_again() -> None:
        while signals := here.recv(64):
            while signal.SIGINT in signals and not heard.wait(_AGAIN):
                signal.pthread_kill(reader, signal.SIGINT)

    again = threading.Thread(target=send_again, daemon=True)
    with here, pressing(press):
        before = signal.set_wakeup_fd(there.fileno(), warn_on_full_buffer=False)
        again.start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            heard.set()
            there.close()
            again.join()


@contextmanager
def pressing(act: Callable[..., object]) -> Iterator[None]:
    """Let Ctrl-C do this in the block, where it does anything and this is the thread that it reaches."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield
        return
    before = signal.signal(signal.SIGINT, act)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
