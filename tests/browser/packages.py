"""Packages of others that pages meet in the browser: got from npm once, and kept beside the checkout."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest

_FOLDER = Path(__file__).resolve().parents[2] / ".browser"
_SECONDS = 120
_ESBUILD = "esbuild@0.28.2"


def npm_bundle(name: str, packages: tuple[str, ...], source: str) -> str:
    """Return a script for pages, made by esbuild of a source that imports packages with all that they depend on.

    Skips the test where they cannot be had.
    """
    made = "+".join(one.replace("/", "+") for one in packages)
    kept = _FOLDER / f"{name}-{hashlib.sha256(f'{made} {source}'.encode()).hexdigest()[:12]}.js"
    if kept.is_file():
        return kept.read_text(encoding="utf-8")
    if (npm := shutil.which("npm")) is None or shutil.which("node") is None:
        pytest.skip(f"there is no npm here to make {name} with")
    _FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_FOLDER) as folder:
        Path(folder, "package.json").write_text("{}", encoding="utf-8")
        Path(folder, "source.js").write_text(source, encoding="utf-8")
        esbuild = Path(folder, "node_modules", ".bin", "esbuild")
        for command in (
            [npm, "install", "--silent", "--no-audit", "--no-fund", _ESBUILD, *packages],
            [str(esbuild), "source.js", "--bundle", "--format=iife", "--outfile=made.js", "--log-level=error"],
        ):
            done = subprocess.run(command, cwd=folder, check=False, capture_output=True, timeout=_SECONDS)
            if done.returncode:
                pytest.skip(f"npm does not give {name}: {done.stderr.decode(errors='replace')[-300:]}")
        Path(folder, "made.js").replace(kept)
    return kept.read_text(encoding="utf-8")


def npm_package(name: str, version: str) -> Path:
    """Return the folder of a package, without those that it depends on. Skips the test where it cannot be had."""
    kept = _FOLDER / f"{name.replace('/', '+')}@{version}"
    if kept.is_dir():
        return kept
    if (npm := shutil.which("npm")) is None:
        pytest.skip(f"there is no npm here to get {name} with")
    _FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_FOLDER) as folder:
        command = [npm, "pack", f"{name}@{version}", "--silent", "--pack-destination", folder]
        done = subprocess.run(command, cwd=folder, check=False, capture_output=True, timeout=_SECONDS)
        if done.returncode:
            pytest.skip(f"npm does not give {name}: {done.stderr.decode(errors='replace')[-300:]}")
        [archive] = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
        if not kept.is_dir():  # another worker may have been faster
            (Path(folder) / "package").rename(kept)
    return kept
