"""`make browser`: the pages in a real browser, Debian's Chromium, by Playwright.

Where there is none, it is installed as far as nobody has to be asked: by root, on Debian. Otherwise it says so.
`--pictures` takes the pictures of the guides anew instead.
"""
# ruff: noqa: T201 - it prints a report

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.browser import pictures
from tests.browser.walking import VARIABLE, find_chromium

_DEBIAN = Path("/etc/debian_version")
_INSTALL_SECONDS = 600


def main() -> int:
    chromium = find_chromium() or _installed()
    if chromium is None:
        print("Skipped: there is no Chromium here, and it is no Debian where root could install it.")
        return 0
    if sys.argv[1:] == ["--pictures"]:
        for file in asyncio.run(pictures.take(chromium)):
            print(f"{file.name}: {file.stat().st_size:,} bytes")
        return 0
    environment = {**os.environ, VARIABLE: chromium}
    command = [sys.executable, "-m", "pytest", "-n", "auto", "--dist", "loadfile", str(Path(__file__).parent)]
    return subprocess.run([*command, *sys.argv[1:]], env=environment, check=False).returncode


def _installed() -> str | None:
    if not _DEBIAN.exists() or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return None
    print("Installing chromium, once; it takes about a minute.")
    for command in (["apt-get", "update", "-q"], ["apt-get", "install", "-qy", "--no-install-recommends", "chromium"]):
        done = subprocess.run(command, check=False, capture_output=True, timeout=_INSTALL_SECONDS)
        if done.returncode:
            print(done.stderr.decode(errors="replace")[-500:])
            return None
    return find_chromium()


if __name__ == "__main__":
    sys.exit(main())
