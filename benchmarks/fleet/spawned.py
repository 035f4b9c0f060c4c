"""A server in a process of its own: when it answers, how much memory it has, and how much of a processor it takes."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

_STEP = 0.005
_MEBIBYTE = 1 << 20
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


@dataclass(frozen=True, slots=True)
class Spawned:
    """A server that answers at `url`, and did so `seconds` after it was spawned."""

    process: int
    url: str
    seconds: float

    def memory(self) -> float:
        """Return its resident memory in MiB, and that of the processes that it has started."""
        return _resident(self.process)

    def processor(self) -> float:
        """Return the processor seconds that it has taken so far."""
        fields = Path(f"/proc/{self.process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS


@contextmanager
def spawned(arguments: Sequence[str], log: Path, env: Mapping[str, str], *, ready: str) -> Iterator[Spawned]:
    """Run `python` with these arguments for as long as the block lasts; gives it when a GET of `ready` is answered 200.

    The first line that it writes on stderr is JSON and says its `url`; all of them are in `log`.
    """
    begun = time.perf_counter()
    with (
        log.open("wb") as file,
        subprocess.Popen([sys.executable, *arguments], env=env, stderr=file) as process,
    ):
        try:
            url = _url(process, log)
            while not _answers(url, ready):
                time.sleep(_STEP)
            yield Spawned(process.pid, url, time.perf_counter() - begun)
        finally:
            process.kill()


def _url(process: subprocess.Popen[bytes], log: Path) -> str:
    while process.poll() is None:
        first, end, _ = log.read_text(encoding="utf-8").partition("\n")
        if end:
            url: str = json.loads(first)["url"]
            return url
        time.sleep(_STEP)
    raise RuntimeError(log.read_text(encoding="utf-8"))


def _answers(url: str, path: str) -> bool:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()


def _resident(process: int) -> float:
    with suppress(OSError):  # it has just ended
        lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()
        kibibytes = sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        children = [
            int(child)
            for task in Path(f"/proc/{process}/task").glob("*/children")
            for child in task.read_text(encoding="ascii").split()
        ]
        return kibibytes * 1024 / _MEBIBYTE + sum(map(_resident, children))
    return 0.0
