"""A server that has loaded `pingone-mcp` once and forks it, for tests to which it does not matter how a process starts.

Loading takes a second or two of processor time, and that a thousand times over is most of what `make test` takes. What
comes of a fork is a process like any other: its parent is who asked for it, its three streams are its own, and it
runs `python -m pingone_mcp` from the first line to the interpreter's end. Only Linux can hand a child on.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import inspect
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
_LONGEST = 1 << 20  # bytes of one request
_PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>
# What functions load when they are called, so that it is not found by loading every module.
_LOADED_LATE = (
    "anyio._backends._asyncio",
    "mcp.client",
    "mcp.server.lowlevel",
    "mcp.server.stdio",
    "uvicorn",
    "uvicorn.protocols.http.h11_impl",
)


class _Request(NamedTuple):
    arguments: list[str]
    env: dict[str, str]
    cwd: str
    is_session: bool


class ForkedPopen(subprocess.Popen[Any]):
    """A process that is forked instead of loaded, with all that `subprocess.Popen` can do to one."""

    def _execute_child(self, *given: Any) -> None:
        named = _PARAMETERS.bind(self, *given).arguments
        pipes = [named[name] for name in ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")]
        streams = (named["p2cread"], named["c2pwrite"], named["errwrite"])
        cwd = os.fspath(named["cwd"] or Path.cwd())
        request = _Request(list(named["args"]), dict(named["env"]), cwd, named["start_new_session"])
        self.pid = _server().forked(request, [number if fd < 0 else fd for number, fd in enumerate(streams)])
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined] # what Popen does itself at the end of this method


_PARAMETERS = inspect.signature(subprocess.Popen._execute_child)  # type: ignore[attr-defined] # noqa: SLF001 - the one place where a process begins


def can_fork(env: Mapping[str, str]) -> bool:
    """Say whether a process with this environment is the same forked as loaded: what Python reads at its start."""
    own = {name: value for name, value in env.items() if name.startswith(("PYTHON", "LC_", "LANG"))}
    return sys.platform == "linux" and own == {"PYTHONPATH": str(ROOT)}


def is_server(process: int) -> bool:
    """Say whether a child of this process is the server, which it has for as long as it lives."""
    return _server.cache_info().currsize > 0 and process == _server().process.pid


class _Server:
    """The end of it that asks."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (self._socket, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LONGEST)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.process.fork_server", str(theirs.fileno())],
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
                cwd=ROOT,
                # Python finds out at its start what its streams are.
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
            )

    def forked(self, request: _Request, streams: Sequence[int]) -> int:
        """Begin a process, a child of this one; return its id."""
        with self._turn, _adopting():
            socket.send_fds(self._socket, [json.dumps(request).encode()], streams)
            answer = self._socket.recv(_LONGEST)
        assert answer, self.process.communicate()[1].decode()
        return int(answer)


@cache
def _server() -> _Server:
    return _Server()


@contextmanager
def _adopting() -> Iterator[None]:
    """Become the parent of what descendants leave behind, for as long as it takes to ask for that."""
    libc = ctypes.CDLL(None)
    assert libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    try:
        yield
    finally:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def _load() -> None:
    import pingone_mcp

    for module in pkgutil.walk_packages(pingone_mcp.__path__, "pingone_mcp."):
        if not module.name.endswith(".__main__") and ".migrations" not in module.name:
            importlib.import_module(module.name)
    for name in _LOADED_LATE:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


def _child(asked: socket.socket) -> _Request:
    """Serve requests for as long as somebody asks; return only in a process that was asked for, as its request."""
    while True:
        message, streams, _, _ = socket.recv_fds(asked, _LONGEST, 3)
        if not message:
            os._exit(0)
        told, tell = os.pipe()
        between = os.fork()
        if between == 0:
            child = os.fork()
            if child == 0:
                for number, stream in enumerate(streams):
                    os.dup2(stream, number)
                asked.close()
                os.closerange(3, max(*streams, told, tell) + 1)
                return _Request(*json.loads(message))
            os.write(tell, str(child).encode())
            os._exit(0)  # the child is handed on to who asked
        os.waitpid(between, 0)
        asked.send(os.read(told, 32))
        for done in (*streams, told, tell):
            os.close(done)


def _become(request: _Request) -> None:
    """Be what `python -m pingone_mcp` is when its first line runs."""
    import fcntl  # where there is no fork, there is no such thing
    import termios

    if request.is_session:
        os.setsid()
        if os.isatty(0):
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # the terminal of a person's shell, from which Ctrl-C is sent
    os.chdir(request.cwd)
    os.environ.clear()
    os.environ.update(request.env)
    time.tzset()
    sys.argv[1:] = request.arguments
    sys.path[0] = request.cwd
    signal.signal(signal.SIGINT, signal.default_int_handler)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with who started it
    _load()
    _become(_child(socket.socket(fileno=int(sys.argv[1]))))
    runpy.run_module("pingone_mcp", run_name="__main__", alter_sys=True)
