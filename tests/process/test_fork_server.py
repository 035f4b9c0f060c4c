"""What is forked is what is loaded: the same words, the same status, the same end, and nobody's child but ours."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.process.fork_server import ForkedPopen, can_fork
from tests.process.programs import PATIENCE, PIPES, PROGRAM, bare, begun, run, started
from tests.process.terminal import in_terminal

ONLY_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can hand a child on")


@ONLY_LINUX
@pytest.mark.parametrize("words", ["--version", "--help", "check", "nonsense", "guide settings", "query --views"])
def test_it_says_what_a_loaded_one_says(words: str, tmp_path: Path) -> None:
    env = bare(tmp_path, PINGONE_SANDBOX="1") if words == "check" else bare(tmp_path)
    forked, loaded = (run(*words.split(), env=env, cwd=tmp_path, program=one) for one in (None, PROGRAM))
    assert forked == loaded


@ONLY_LINUX
def test_a_terminal_is_one_for_it_too(tmp_path: Path) -> None:
    forked, loaded = (in_terminal("guide", "settings", env=bare(tmp_path), program=one) for one in (None, PROGRAM))
    assert forked == loaded


@ONLY_LINUX
def test_what_it_writes_in_a_terminal_is_seen_line_by_line(tmp_path: Path) -> None:
    controller, terminal = pty.openpty()
    env = bare(tmp_path, PINGONE_SANDBOX="1")
    with begun("sandbox", "--port", "0", env=env, stdin=terminal, stdout=terminal, stderr=terminal) as process:
        try:
            os.close(terminal)
            assert select.select([controller], [], [], PATIENCE)[0], "it says something before it ends"
        finally:
            process.kill()
            os.close(controller)


@ONLY_LINUX
def test_it_is_a_child_of_ours_where_it_was_asked_to_be(tmp_path: Path) -> None:
    env = bare(tmp_path, PINGONE_SANDBOX="1")
    with begun("sandbox", "--port", "0", env=env, cwd=tmp_path, start_new_session=True, **PIPES) as process:
        try:
            assert isinstance(process, ForkedPopen)
            assert process.stdout is not None
            assert process.stdout.readline()
            facts = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
            assert f"PPid:\t{os.getpid()}\n" in facts
            assert os.getsid(process.pid) == process.pid
            assert Path(f"/proc/{process.pid}/cwd").resolve() == tmp_path
            streams = (process.stdin, process.stdout, process.stderr)
            ours = {str(Path(f"/proc/self/fd/{pipe.fileno()}").readlink()) for pipe in streams if pipe}
            its = {str(one.readlink()) for one in Path(f"/proc/{process.pid}/fd").iterdir()}
            assert {end for end in its if end.startswith("pipe:")} == ours
        finally:
            process.kill()
    assert process.returncode == -signal.SIGKILL
    assert not Path(f"/proc/{process.pid}").exists()


@ONLY_LINUX
def test_ctrl_c_ends_it_as_it_ends_a_loaded_one(tmp_path: Path) -> None:
    ends: list[tuple[int, str]] = []
    for program in (None, PROGRAM):
        with started("sandbox", "--port", "0", env=bare(tmp_path), program=program) as sandbox:
            assert sandbox.line()
            sandbox.process.send_signal(signal.SIGINT)
            ends.append((sandbox.process.wait(PATIENCE), sandbox.rest().err))
    assert ends == [(130, "")] * 2


def test_what_python_reads_at_its_start_is_not_read_by_a_fork(tmp_path: Path) -> None:
    for name in ("PYTHONUTF8", "LC_ALL", "LANG"):
        env = bare(tmp_path, **{name: "0"})
        assert not can_fork(env)
        with begun("--version", env=env, stdout=subprocess.DEVNULL) as process:
            assert not isinstance(process, ForkedPopen)
