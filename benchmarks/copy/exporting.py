"""One export of everybody in a process of its own, which loads nothing beside the program: what it took is printed."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measuring.own_process import peak_memory


def main() -> None:
    """Export everybody; print the processor seconds and the peak memory in MiB."""
    os.environ |= json.load(sys.stdin)
    from pingone_mcp.cli import main as command_line  # noqa: PLC0415 - loading it counts

    with TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()) as said:
        status = command_line(["export", "users", "--out", str(Path(folder, "users.csv"))])
    assert status == 0, said.getvalue()
    print(json.dumps([time.process_time(), peak_memory()]))


if __name__ == "__main__":
    main()
