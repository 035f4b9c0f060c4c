"""What `make dist` builds: a wheel and an sdist, the same bytes each time, and the same wheel out of the sdist."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Artefacts(NamedTuple):
    """A wheel and an sdist of the same tree."""

    wheel: Path
    sdist: Path

    def digests(self) -> list[str]:
        return [hashlib.sha256(path.read_bytes()).hexdigest() for path in self]


def build(tree: Path, folder: Path) -> Artefacts:
    """Build both from a tree into a folder, without the network."""
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=tree, check=True, capture_output=True, timeout=120)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return Artefacts(wheel, sdist)


def built_and_compared(folder: Path) -> Artefacts:
    """Build from this tree, from a copy of it with other times and rights, and from its sdist. All are the same."""
    first = build(ROOT, folder / "first")
    copy = copied_tree(folder / "copy")
    for path in copy.rglob("*"):
        if path.is_file():
            path.chmod(0o600)
            os.utime(path, (1, 1))
    second = build(copy, folder / "second")
    with tarfile.open(first.sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    third = build(unpacked, folder / "third")
    assert first.digests() == second.digests(), "a build of the same files is another one"
    assert first.digests()[0] == third.digests()[0], "the sdist makes another wheel"
    return first


def copied_tree(folder: Path) -> Path:
    """Copy what a clone of this tree would hold, with what is not committed yet."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def requirements(wheel: Path) -> list[str]:
    """Return what a wheel says that it needs, without its extras."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        needed = message_from_bytes(archive.read(name)).get_all("Requires-Dist") or []
    return [line for line in needed if "extra ==" not in line]
