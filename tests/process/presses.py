"""Presses of Ctrl-C at moments spread evenly over the life of each command: `python -m tests.process.presses 600`.

A press before the first line of ours runs meets Python itself, which says what it likes (its `site` is imported with a
traceback, 1): such presses are counted apart. Any other ends the process quietly, with 130, or 0 where all was done.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pingone_mcp.console import say
from pingone_mcp.sandbox.app import Sandbox
from tests.process.programs import PATIENCE, PROGRAM, serving

COMMANDS: Mapping[str, Sequence[str]] = {
    "check": ("check",),
    "call": ("call", "list_users", "limit=200"),
    "query": ("call", "query_directory", "sql=SELECT count(*) FROM users"),
    "sync": ("sync", "--full"),
    "review": ("review", "--out", "review.csv", "--force"),
    "changes": ("changes",),
    "demo": ("demo", "--size", "100"),
    "help": ("--help",),
}
_ENDED = (130, 0)
# What Python prints when it is broken off before it has come to us.
_PYTHONS_OWN = ("init_import_site", "frozen runpy", "frozen site")


@dataclass(frozen=True, slots=True, kw_only=True)
class Press:
    """One press: after how many seconds, whether it went to the whole group as in a terminal, and what came of it."""

    after: float
    to_group: bool
    status: int
    err: str
    seconds: float

    @property
    def is_quiet(self) -> bool:
        noise = ("Traceback", "Fatal", "Exception ignored", "Error")
        return self.status in _ENDED and not any(word in self.err for word in noise)

    @property
    def met_python(self) -> bool:
        """Say whether Python itself was met: ended by the signal, or broken off before our first line."""
        if self.status == -signal.SIGINT and not self.err:
            return True
        return any(word in self.err for word in _PYTHONS_OWN) and "pingone_mcp/" not in self.err


def pressed(words: Sequence[str], env: Mapping[str, str], folder: Path, after: float, *, to_group: bool) -> Press:
    """Start a command in a folder, press after so many seconds, and return how it ended; one that hangs is ended."""
    process = subprocess.Popen(
        [*PROGRAM, *words],
        env=dict(env),
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    )
    time.sleep(after)
    begun = time.monotonic()
    with suppress(ProcessLookupError):
        (os.killpg if to_group else os.kill)(process.pid, signal.SIGINT)
    try:
        _, err = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)  # so that faulthandler shows where every thread stands
        _, err = process.communicate()
    return Press(after=after, to_group=to_group, status=process.returncode, err=err, seconds=time.monotonic() - begun)


def presses(words: Sequence[str], env: Mapping[str, str], folder: Path, number: int) -> Iterator[Press]:
    """Press so often, from the start of a command to a little after its end, every other time to its whole group."""
    begun = time.monotonic()
    subprocess.run([*PROGRAM, *words], env=dict(env), cwd=folder, capture_output=True, check=True)
    whole = 1.1 * (time.monotonic() - begun)
    for place in range(number):
        yield pressed(words, env, folder, whole * (place + 0.5) / number, to_group=bool(place % 2))


@contextmanager
def company(folder: Path, size: int) -> Iterator[dict[str, str]]:
    """Serve a sample company from a thread of this process; give the environment of a command that asks it."""
    with serving(Sandbox(size=size), folder) as served:
        yield served.variables(PINGONE_ANSWER_SECONDS="60", PINGONE_REPLICA_ROLES="1", PYTHONFAULTHANDLER="1")


def main(number: int) -> int:
    """Press so often in all; print what came of it for each command, and return 1 where anything was not quiet."""
    noisy = 0
    with tempfile.TemporaryDirectory() as place, company(Path(place), 2_000) as env:
        subprocess.run([*PROGRAM, "sync"], env=env, capture_output=True, check=True)
        for name, words in COMMANDS.items():
            made = list(presses(words, env, Path(place), -(-number // len(COMMANDS))))
            bad = [one for one in made if not one.is_quiet and not one.met_python]
            noisy += len(bad)
            ends = Counter(f"Python ({one.status})" if one.met_python else str(one.status) for one in made)
            counts = ", ".join(f"{status}: {count}" for status, count in sorted(ends.items()))
            slowest = max(one.seconds for one in made)
            say(f"{name:<8} {len(made)} presses; {counts}; the slowest end took {slowest:.1f} s")
            for one in bad:
                say(f"  after {one.after:.3f} s: {one.status}\n{one.err}")
    say(f"{noisy} were not quiet.")
    return int(noisy > 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 600))
