"""Work in a process of its own, so that its time and its memory are those of the work alone."""

from __future__ import annotations

import gc
import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_MEBIBYTE = 1 << 20


def in_own_process(module: str, *arguments: str, given: object) -> Any:
    """Run `python -m module` with the given JSON on its stdin; return the JSON that it prints.

    Raises CalledProcessError when it fails; what it says about that is on our stderr.
    """
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        input=json.dumps(given),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def begin() -> None:
    """Set the garbage collector as the server sets it; what was loaded so far is not looked through."""
    from pingone_mcp.heavy_work import calm_collector  # noqa: PLC0415 - some processes are not to carry our modules

    gc.freeze()
    calm_collector()


def peak_memory() -> float:
    """Return the largest resident memory of this process so far in MiB.

    Linux counts the memory of the parent into the `ru_maxrss` of a child that it started (getrusage(2): the value
    outlives execve), and the parent here grows; `VmHWM` is of this program alone (proc_pid_status(5)).
    """
    if platform.system() == "Linux":
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / _MEBIBYTE
    import resource  # noqa: PLC0415 - Windows has none

    unit = 1 if platform.system() == "Darwin" else 1024  # bytes there, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / _MEBIBYTE
