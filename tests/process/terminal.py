"""A terminal of a certain width, with `pingone-mcp` in it."""

from __future__ import annotations

import os
import pty
import threading
from collections.abc import Sequence

from tests.process.fork_server import can_fork
from tests.process.programs import PATIENCE, Ended, Variables, begun, in_process

END_OF_INPUT = b"\x04"
"""What Ctrl-D sends."""


CTRL_C = b"\x03"
_OWNED = in_process("import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)")


def in_terminal(
    *arguments: str,
    env: Variables,
    columns: int = 80,
    typed: bytes = b"",
    answers: Sequence[tuple[str, bytes]] = (),
    program: Sequence[str] | None = None,
    is_owned: bool = False,
) -> Ended:
    """Run a command in a terminal, into which somebody types; `out` is what is seen there, colours included.

    `answers` are typed one after the other, each once its question is seen. A terminal that `is_owned` is what that of
    a person's shell is: Ctrl-C is sent to the program from there.
    """
    controller, terminal = pty.openpty()
    shape = {"COLUMNS": str(columns), "LINES": "50", "TERM": "xterm-256color"}
    process = begun(
        *arguments,
        env={**env, **shape},
        program=_OWNED if is_owned and not can_fork(env) else program,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=is_owned,
    )
    os.close(terminal)
    os.write(controller, typed)
    watchdog = threading.Timer(PATIENCE, process.kill)
    watchdog.start()
    seen, place, waiting = b"", 0, list(answers)
    try:
        while piece := os.read(controller, 65_536):
            seen += piece
            while waiting and (found := seen.find(waiting[0][0].encode(), place)) >= 0:
                question, answer = waiting.pop(0)
                place = found + len(question.encode())
                os.write(controller, answer)
    except OSError:
        pass  # Linux says so when the last process has left the terminal
    finally:
        watchdog.cancel()
        os.close(controller)
    return Ended(status=process.wait(PATIENCE), out=seen.decode(), err="")
