"""`make dist-test`: what people get, installed where nothing of this checkout is, and used.

The wheel in every Python that is there with the oldest and the newest packages, the first ten minutes as README.md tells
them, the container image, and the bundle for desktop clients. `python -m tests.dist versions` does one part.
"""
# ruff: noqa: T201 - it prints a report

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.dist.artefacts import Artefacts, built_and_compared
from tests.dist.desktop_bundle import check_bundle
from tests.dist.first_minutes import check_first_minutes
from tests.dist.image import check_image
from tests.dist.versions import check_versions

PARTS: dict[str, tuple[str, Callable[[Artefacts, Path], None]]] = {
    "versions": ("The wheel, installed", lambda built, folder: check_versions(built.wheel, folder)),
    "minutes": ("The first ten minutes", lambda _, folder: check_first_minutes(folder)),
    "image": ("The container image", lambda _, folder: check_image(folder)),
    "bundle": ("The bundle for desktop clients", lambda built, folder: check_bundle(built.wheel, folder)),
}


def main(names: list[str]) -> int:
    """Check the parts that are named, or all; return the exit status."""
    failed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="pingone-mcp-dist-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary).resolve()
        built = built_and_compared(folder / "built")
        print(f"Built twice, the same bytes: {built.wheel.name}, {built.sdist.name}", flush=True)
        for name in names or PARTS:
            title, check = PARTS[name]
            begun = time.monotonic()
            print(f"{title}:", flush=True)
            try:
                check(built, folder / name)
            except (AssertionError, subprocess.SubprocessError) as error:
                print(f"  FAILED: {error}", flush=True)
                failed.append(name)
            print(f"  {time.monotonic() - begun:.0f} s", flush=True)
    print(f"{len(names or PARTS) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
