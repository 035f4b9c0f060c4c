"""A server on its pipes, spoken to from several threads: each waits for its own answer, and for nobody else's."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

_CLIENT = {"name": "benchmark", "version": "1"}
_STEP = 0.020  # seconds between two looks at the memory
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_MEBIBYTE = 1024 * 1024


class Gone(Exception):
    """The server has ended."""


class Answer(NamedTuple):
    """When an answer came (`time.perf_counter`), and the message; none when the server has ended."""

    at: float
    message: dict[str, Any]

    @property
    def result(self) -> dict[str, Any]:
        result: dict[str, Any] = self.message.get("result", self.message)
        return result

    @property
    def facts(self) -> dict[str, Any]:
        """What a tool says, or `error` with its text."""
        facts: dict[str, Any] | None = self.result.get("structuredContent")
        return facts if facts is not None else {"error": json.dumps(self.result)}


class Spoken:
    """A server that has been greeted. `peak` is the most memory so far in MiB, that of its children included.

    It is known where there is a /proc (Linux), and 0 elsewhere.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._writing, self._numbering = threading.Lock(), threading.Lock()
        self._number = 0
        self._waiting: dict[int, queue.SimpleQueue[Answer]] = {}
        self._ended = threading.Event()
        self.peak = 0.0
        for work in (self._hear, self._watch):
            threading.Thread(target=work, daemon=True).start()

    def greet(self) -> None:
        self.ask("initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=_CLIENT)
        self._tell({"method": "notifications/initialized"})

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Return the result. Raises Gone when the server ends first."""
        return self._answer(self._begin(method, params)).result

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Return what a tool answers, or `error` with its text."""
        return self.ask_tools([(tool, arguments)])[0].facts

    def ask_tools(self, calls: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Answer]:
        """Call tools, all at once; return the answers in the order of the calls. Raises Gone."""
        begun = [self._begin("tools/call", {"name": tool, "arguments": arguments}) for tool, arguments in calls]
        return [self._answer(answers) for answers in begun]

    def _begin(self, method: str, params: Mapping[str, Any]) -> queue.SimpleQueue[Answer]:
        with self._numbering:
            self._number += 1
            number = self._number
        answers = self._waiting[number] = queue.SimpleQueue[Answer]()
        self._tell({"id": number, "method": method, "params": params})
        return answers

    def _answer(self, answers: queue.SimpleQueue[Answer]) -> Answer:
        answer = answers.get()
        if not answer.message:
            raise Gone
        return answer

    def _tell(self, message: dict[str, Any]) -> None:
        line = json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"
        assert self._process.stdin is not None
        with self._writing:
            try:
                self._process.stdin.write(line)
                self._process.stdin.flush()
            except (OSError, ValueError):
                raise Gone from None

    def _hear(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message = json.loads(line)
            if (answers := self._waiting.pop(message.get("id"), None)) is not None:
                answers.put(Answer(time.perf_counter(), message))
        self._ended.set()
        for answers in list(self._waiting.values()):
            answers.put(Answer(time.perf_counter(), {}))

    def _watch(self) -> None:
        while not self._ended.wait(_STEP):
            self.peak = max(self.peak, _resident(self._process.pid))


def _resident(process: int) -> float:
    """Return the memory of a process and of all below it."""
    folder = Path(f"/proc/{process}")
    with suppress(OSError, ValueError, IndexError):  # it has just ended
        pages = int((folder / "statm").read_text().split()[1])
        children = [int(child) for task in (folder / "task").glob("*/children") for child in task.read_text().split()]
        return pages * _PAGE / _MEBIBYTE + sum(map(_resident, children))
    return 0.0


@contextmanager
def speaking(variables: Mapping[str, str]) -> Iterator[Spoken]:
    """Start and greet a server; whatever it is at, it is gone at the end."""
    with subprocess.Popen(
        [sys.executable, "-m", "pingone_mcp"],
        env=plain_environment() | dict(variables),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=-1,
    ) as process:
        try:
            server = Spoken(process)
            server.greet()
            yield server
        finally:
            process.kill()
            process.wait()
            with suppress(OSError):  # what could not be written to it any more
                process.__exit__(None, None, None)


def plain_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PINGONE_")}
