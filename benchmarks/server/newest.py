"""An environment with the newest versions that `pyproject.toml` allows, as somebody gets them who installs today."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks.measuring.own_process import ROOT

_SHOWN = ("mcp", "pydantic")


class NotMade(Exception):
    """There is no such environment: why, as a sentence."""


class Newest(NamedTuple):
    """Its Python, and the versions of the packages that start-up depends on most."""

    python: Path
    versions: str


@contextmanager
def newest_environment() -> Iterator[Newest]:
    """Make one in a temporary folder, by uv, with compiled files. Raises NotMade, where packages cannot be fetched."""
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        raise NotMade("there is no uv (a development dependency).")
    with TemporaryDirectory() as folder:
        home = Path(folder) / "environment"
        python = home / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
        _run(uv, "venv", "--quiet", "--python", sys.executable, str(home))
        _run(uv, "pip", "install", "--quiet", "--compile-bytecode", "--upgrade", "--python", str(python), str(ROOT))
        listed = json.loads(_run(uv, "pip", "list", "--quiet", "--format", "json", "--python", str(python)))
        versions = {one["name"]: one["version"] for one in listed}
        yield Newest(python, ", ".join(f"{name} {versions[name]}" for name in _SHOWN))


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [""]
        raise NotMade(f"uv {command[1]} failed: {lines[0]}")
    return done.stdout
