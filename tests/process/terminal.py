"""A terminal of a certain width, with `pingone-mcp` in it."""

from __future__ import annotations

import os
import pty
import threading
from collections.abc import Sequence

from tests.process.programs import PATIENCE, Ended, Variables, begun, in_process

END_OF_INPUT = b"\x04"
"""What Ctrl-D sends."""


CTRL_C = b"\x03"
OWNED = in_process("import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)")
"""The program in a terminal that is its own, as that of a person's shell is: Ctrl-C is sent to it from there."""


def in_terminal(
    *arguments: str,
    env: Variables,
    columns: int = 80,
    typed: bytes = b"",
    answers: Sequence[tuple[str, bytes]] = (),
    program: Sequence[str] | None = None,
) -> Ended:
    """Run a command in a terminal, into which somebody types; `out` is what is seen there, colours included.

    `answers` are typed one after the other, each once its question is seen.
    """
    controller, terminal = pty.openpty()
    shape = {"COLUMNS": str(columns), "LINES": "50", "TERM": "xterm-256color"}
    process = begun(
        *arguments,
        env={**env, **shape},
        program=program,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=program is OWNED,
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
