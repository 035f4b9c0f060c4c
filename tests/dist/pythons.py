"""The Pythons on this machine that the package allows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

OLDEST = (3, 11)
_ASKED = """
import json, sys, sysconfig
usual = sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED")
final = sys.version_info.releaselevel == "final"
print(json.dumps([sys.version_info[:3], usual and final and sys.prefix == sys.base_prefix]))
"""


class Python(NamedTuple):
    """An interpreter that is no virtual environment."""

    version: tuple[int, ...]
    path: Path

    def __str__(self) -> str:
        return f"Python {'.'.join(map(str, self.version))}"


def pythons(uv: Path) -> list[Python]:
    """Return one interpreter for each version from 3.11 on: those on the PATH, pyenv's and uv's."""
    found: dict[tuple[int, ...], Python] = {}
    for path in dict.fromkeys(_candidates(uv)):
        if (python := _asked(path)) is not None and python.version >= OLDEST:
            found.setdefault(python.version, python)
    return [found[version] for version in sorted(found)]


def _candidates(uv: Path) -> Iterator[Path]:
    yield Path(sys.base_prefix) / "bin" / "python3"
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    theirs = subprocess.run([uv, "python", "dir"], capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    for folder in (pyenv, Path(theirs)):
        yield from sorted(folder.glob("*/bin/python3"))
    for place in os.environ["PATH"].split(os.pathsep):
        yield from sorted(Path(place).glob("python3.[1-9][0-9]"))


def _asked(path: Path) -> Python | None:
    """Return what an interpreter says of itself; None for one that does not start (pyenv's shims), or is another kind."""
    try:
        said = subprocess.run([path, "-c", _ASKED], capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    version, usual = json.loads(said)
    return Python(tuple(version), path) if usual else None
