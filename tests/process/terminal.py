"""A terminal of a certain width, with `pingone-mcp` in it."""

from __future__ import annotations

import os
import pty
import subprocess
import threading

from tests.process.programs import PATIENCE, PROGRAM, Ended, Variables

END_OF_INPUT = b"\x04"
"""What Ctrl-D sends."""


def in_terminal(*arguments: str, env: Variables, columns: int = 80, typed: bytes = b"") -> Ended:
    """Run a command in a terminal, into which somebody types; `out` is what is seen there, colours included."""
    controller, terminal = pty.openpty()
    shape = {"COLUMNS": str(columns), "LINES": "50", "TERM": "xterm-256color"}
    process = subprocess.Popen(
        [*PROGRAM, *arguments], env={**env, **shape}, stdin=terminal, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    os.write(controller, typed)
    watchdog = threading.Timer(PATIENCE, process.kill)
    watchdog.start()
    seen = b""
    try:
        while piece := os.read(controller, 65_536):
            seen += piece
    except OSError:
        pass  # Linux says so when the last process has left the terminal
    finally:
        watchdog.cancel()
        os.close(controller)
    return Ended(status=process.wait(PATIENCE), out=seen.decode(), err="")
