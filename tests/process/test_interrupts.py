"""Ctrl-C ends a command at any moment, quietly, with 130; `make presses` presses much more often."""

from __future__ import annotations

import collections
import ctypes
import functools
import operator
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import anyio
import pytest

from pingone_mcp.interrupts import INTERRUPTED, asking_a_person, run_interruptible
from tests.depth import often, soaked
from tests.process.presses import COMMANDS, company, presses
from tests.process.programs import PATIENCE, bare, in_process, run, started

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with company(tmp_path_factory.mktemp("home"), 200) as env:
        assert run("sync", env=env).status == 0
        yield env


@soaked
@pytest.mark.parametrize(
    "words", [COMMANDS["sync"], COMMANDS["query"], COMMANDS["demo"]], ids=["sync", "query", "demo"]
)
def test_ctrl_c_at_any_moment_ends_a_command_quietly(env: dict[str, str], tmp_path: Path, words: Sequence[str]) -> None:
    made = list(presses(words, env, tmp_path, often(3, soak=3)))
    assert [one for one in made if not one.is_quiet and not one.met_python] == []


# A press that comes while this module is imported, of which there are hundreds; what is interrupted there makes another
# failure of it, as pydantic does.
IN_AN_IMPORT = """
import signal, sys
sys.argv = ["pingone-mcp", "sync"]
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                if name != "pingone_mcp.interrupts":
                    raise ValueError
                raise
sys.meta_path.insert(0, Finder())
import runpy
runpy.run_module("pingone_mcp", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    "module",
    [
        "pingone_mcp.interrupts",
        "pingone_mcp.cli",
        "argparse",
        "pydantic",
        "rich.table",
        "pingone_mcp.doors",
        "pingone_mcp.wiring",
    ],
)
def test_a_press_in_the_middle_of_an_import_is_quiet(tmp_path: Path, module: str) -> None:
    program = (sys.executable, "-c", IN_AN_IMPORT.format(module=module))
    end = run(env=bare(tmp_path, PINGONE_SANDBOX="1", PINGONE_CACHE_DIR=str(tmp_path)), program=program)
    assert (end.status, end.out, end.err) == (130, "", "")


# A worker thread is at work with what its task closes in the end: by asyncio's own Ctrl-C it would be closed at once.
# The thread has the event loop take a few turns before it ends, so that a press has done what it does.
AT_WORK = """
import sys
import anyio, anyio.from_thread
from pingone_mcp import interrupts
from pingone_mcp.tasks import in_thread
async def act():
    done = []
    def work():
        print("at work", flush=True)
        sys.stdin.readline()
        for _ in range(5):
            anyio.from_thread.run_sync(int)
        done.append(True)
    try:
        await in_thread(work, pool="disk")
        await anyio.sleep(0)
    finally:
        print("closed after the work" if done else "closed meanwhile", flush=True)
    return 0
interrupts._PATIENCE = float(sys.argv[1])
sys.exit(interrupts.run_interruptible(act))
"""


def test_what_a_thread_works_with_is_not_closed_before_it_has_ended(tmp_path: Path) -> None:
    """A copy whose file was closed while SQLite committed in another thread crashed the process (status 139)."""
    with started("600", env=bare(tmp_path), program=(sys.executable, "-c", AT_WORK)) as working:
        assert working.line() == "at work\n"
        working.process.send_signal(signal.SIGINT)
        assert working.process.stdin is not None
        working.process.stdin.write("\n")
        working.process.stdin.flush()
        end = working.rest()
    assert (end.status, end.out, end.err) == (130, "closed after the work\n", "")


def test_one_press_waits_for_so_long_and_no_longer(tmp_path: Path) -> None:
    with started("0.1", env=bare(tmp_path), program=(sys.executable, "-c", AT_WORK)) as working:
        assert working.line() == "at work\n"
        working.process.send_signal(signal.SIGINT)
        assert (working.process.wait(PATIENCE), working.rest().err) == (130, "")


def test_a_signal_wakes_the_loop_that_is_about_to_wait() -> None:
    """Else a press between its last look at signals and its wait is heard when something else comes, if ever."""
    inside: list[int] = []

    async def act() -> int:
        inside.append(signal.set_wakeup_fd(-1))
        signal.set_wakeup_fd(inside[0])
        signal.raise_signal(signal.SIGINT)
        await anyio.sleep_forever()
        return 0

    before = signal.set_wakeup_fd(-1)
    try:
        assert run_interruptible(act) == INTERRUPTED
        assert signal.set_wakeup_fd(-1) == -1
    finally:
        signal.set_wakeup_fd(before)
    assert inside[0] >= 0


def test_a_second_press_waits_for_nothing(tmp_path: Path) -> None:
    with started("600", env=bare(tmp_path), program=(sys.executable, "-c", AT_WORK)) as working:
        assert working.line() == "at work\n"
        while working.process.poll() is None:
            working.process.send_signal(signal.SIGINT)
        assert (working.process.returncode, working.rest().err) == (130, "")


def test_who_is_started_to_ignore_ctrl_c_goes_on(tmp_path: Path) -> None:
    program = in_process("import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)")
    with started("sandbox", "--port", "0", "--size", "20", env=bare(tmp_path), program=program) as sandbox:
        while "Ctrl-C" not in sandbox.line():
            pass
        sandbox.process.send_signal(signal.SIGINT)
        sandbox.process.send_signal(signal.SIGTERM)
        assert sandbox.process.wait(PATIENCE) == -signal.SIGTERM


@pytest.mark.skipif(sys.platform == "win32", reason="signals of a thread")
def test_a_press_that_comes_just_before_a_read_waits_is_heard() -> None:
    """Between the two calls below, of C both, no line of Python runs, and so no handler either."""
    libc = ctypes.CDLL(None)
    there, here = os.pipe()
    asleep = functools.partial(libc.usleep, 500_000)
    reading = functools.partial(libc.read, there, ctypes.create_string_buffer(1), 1)
    press = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    otherwise = threading.Timer(PATIENCE / 12, os.write, (here, b"x"))
    press.start()
    otherwise.start()
    with pytest.raises(KeyboardInterrupt), asking_a_person():
        collections.deque(map(operator.call, (asleep, reading)), maxlen=0)
    assert otherwise.is_alive(), "it was heard only after the read"
    otherwise.cancel()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert [one.name for one in threading.enumerate() if "send_again" in one.name] == []
