"""Environments of Python for programs of others, which need other packages than we do, each in a folder of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.dist.pythons import Python, pythons

UV = Path(sys.executable).with_name("uv")


class NotToBeHad(Exception):
    """An environment that cannot be made here; it says why."""


def environment(folder: Path, requirement: str, *, oldest: tuple[int, ...] = (3, 11)) -> Path:
    """Return the Python of an environment with a package, made where it is not. Raises NotToBeHad."""
    place = folder / requirement
    python = place / "bin" / "python"
    if (place / "installed").is_file():
        return python
    shutil.rmtree(place, ignore_errors=True)
    made = ((_fitting(oldest), "-m", "venv", str(place)), (str(python), "-m", "pip", "install", "-qq", requirement))
    for command in made:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotToBeHad(f"{requirement} cannot be installed: {done.stderr.strip().splitlines()[-1:]}")
    (place / "installed").touch()
    return python


def _fitting(oldest: tuple[int, ...]) -> str:
    """Return a Python that is new enough: ours, or the oldest other one on this machine."""
    if sys.version_info[:2] >= oldest:
        return sys.executable
    found: list[Python] = [one for one in pythons(UV) if one.version >= oldest]
    if not found:
        raise NotToBeHad(f"There is no Python from {'.'.join(map(str, oldest))} on this machine.")
    return str(found[0].path)
