"""The wheel in clean environments: each Python that is there, with the oldest and the newest packages it allows."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement
from packaging.version import Version

from tests.dist.artefacts import requirements
from tests.dist.main_job import do_the_main_job
from tests.dist.pythons import Python, pythons

Age = Literal["oldest", "newest"]
UV = Path(sys.executable).with_name("uv")
_RESOLUTIONS: dict[Age, str] = {"oldest": "lowest-direct", "newest": "highest"}
_LONGEST = 300


def check_versions(wheel: Path, folder: Path) -> None:
    """Do the main job everywhere, two at a time. Raises the first failure, which says where it was."""
    found = pythons(UV)
    assert found, "no Python from 3.11 on"
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(_checked, python, age, wheel, folder) for python in found for age in _RESOLUTIONS]
        for each in running:
            print(f"  {each.result()}", flush=True)


def _checked(python: Python, age: Age, wheel: Path, folder: Path) -> str:
    begun = time.monotonic()
    place = folder / f"{'.'.join(map(str, python.version))}-{age}"
    try:
        env = _installed(python, age, wheel, place)
        do_the_main_job([str(env / "bin" / "pingone-mcp")], place / "home")
    except (AssertionError, subprocess.SubprocessError) as error:
        shown = getattr(error, "stderr", None) or error
        raise AssertionError(f"{python} with the {age} packages: {shown}") from error
    shutil.rmtree(place)
    return f"{python} with the {age} packages: works ({time.monotonic() - begun:.0f} s)"


def _installed(python: Python, age: Age, wheel: Path, place: Path) -> Path:
    env = place / "env"
    place.mkdir(parents=True)
    needed = place / "requirements.txt"
    needed.write_text("\n".join(requirements(wheel)), encoding="utf-8")
    _uv("venv", "--python", str(python.path), str(env))
    # Named as requirements of their own, so that they are direct ones; what is not there as a wheel is passed over.
    options = ("--resolution", _RESOLUTIONS[age], "--no-build", "-r", str(needed))
    _uv("pip", "install", "--python", str(env / "bin" / "python"), *options, str(wheel))
    if age == "oldest":
        _see_that_bounds_are_true(env, requirements(wheel))
    return env


def _see_that_bounds_are_true(env: Path, needed: list[str]) -> None:
    """A lower bound that nobody can have says that something works which was never tried."""
    listed = json.loads(_uv("pip", "list", "--python", str(env / "bin" / "python"), "--format", "json"))
    installed = {one["name"].lower().replace("_", "-"): Version(one["version"]) for one in listed}
    for requirement in map(Requirement, needed):
        if requirement.marker is None or requirement.marker.evaluate():
            bound = max(Version(one.version) for one in requirement.specifier if one.operator in (">=", "=="))
            got = installed[requirement.name.lower().replace("_", "-")]
            assert got == bound, f"{requirement} gives {got}: pyproject.toml should say so"


def _uv(*arguments: str) -> str:
    command = [str(UV), "--quiet", "--no-config", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=_LONGEST).stdout
