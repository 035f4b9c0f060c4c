"""The container image: built and run where docker is; elsewhere its steps are taken by hand in a folder."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.dist.artefacts import ROOT, copied_tree
from tests.dist.main_job import answer_as_a_server, bare, do_the_main_job

_LONGEST = 900
_TAG = "pingone-mcp:dist-test"


class Instruction(NamedTuple):
    """One line of a Dockerfile: FROM, RUN …, and what follows."""

    name: str
    value: str


def instructions(text: str) -> list[Instruction]:
    """Return the instructions of a Dockerfile, without comments."""
    lines = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    return [Instruction(*line.split(maxsplit=1)) for line in lines if line.strip()]


def check_image(folder: Path) -> None:
    """Do the main job in the image, with a root that cannot be written to and no rights."""
    folder.mkdir()
    tree = copied_tree(folder / "src")
    if (docker := _usable_docker()) is None:
        print("  docker is not usable: the steps of the Dockerfile that build the program are taken by hand")
        _take_steps(tree, folder)
        return
    subprocess.run([docker, "build", "--quiet", "--tag", _TAG, str(tree)], check=True, timeout=_LONGEST)
    run = [docker, "run", "--rm", "--interactive", "--read-only", "--cap-drop=ALL", "--env=PINGONE_SANDBOX=1", _TAG]
    do_the_main_job(run, folder / "home")
    print("  built, and it does the main job with a root that cannot be written to")


def _usable_docker() -> str | None:
    docker = shutil.which("docker")
    if docker is None:
        return None
    said = subprocess.run([docker, "info"], capture_output=True, timeout=60, check=False)
    return docker if said.returncode == 0 else None


def _take_steps(tree: Path, folder: Path) -> None:
    """Run each step of the first stage with its folders moved, then the program with the second stage's variables."""
    found = instructions((ROOT / "Dockerfile").read_text(encoding="utf-8"))
    moved = {"/app": folder / "app", "/packages": folder / "packages"}
    second = [number for number, one in enumerate(found) if one.name == "FROM"][1]
    python = Path(sys.base_prefix) / "bin"
    for step in (one.value for one in found[:second] if one.name == "RUN"):
        print(f"  $ {step}", flush=True)
        command = re.sub(r"(?<![\w/])/(?:app|packages)\b", lambda place: str(moved[place[0]]), step)
        (folder / "bin").mkdir(exist_ok=True)
        (folder / "bin" / "python").unlink(missing_ok=True)
        (folder / "bin" / "python").symlink_to(python / "python3")
        env = os.environ | {"PATH": f"{folder / 'bin'}:/usr/bin:/bin"}
        end = subprocess.run(
            shlex.split(command), cwd=tree, env=env, capture_output=True, text=True, timeout=_LONGEST, check=False
        )
        assert end.returncode == 0, f"{step}: {end.stdout}{end.stderr}"
    data = folder / "data"
    data.mkdir(mode=0o700)
    variables = {"TMPDIR": str(data), "PYTHONDONTWRITEBYTECODE": "1", "PINGONE_SANDBOX": "1"}
    answer_as_a_server([str(folder / "app" / "bin" / "pingone-mcp")], bare(data, **variables))
    print("  what they make answers")
