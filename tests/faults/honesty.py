"""One property for all that is read: it is the truth, or it says that it is not; and it tells no credential."""

from __future__ import annotations

import base64
import logging
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote_plus

import httpx

from pingone_mcp.pingone.api.auth import REQUEST_SECONDS
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.endpoints.calls import PageFaults
from pingone_mcp.sandbox.faults import Fault
from pingone_mcp.sandbox.options import Options
from tests.world import NOW, Time, World

SIZE = 60

Members = Callable[[Sandbox], set[str]]


def everybody(sandbox: Sandbox) -> set[str]:
    return {user["id"] for user in sandbox.users()}


@dataclass
class Truth:
    """Who belonged to the answer all the time (`always`), and who did at some moment (`ever`)."""

    members: Members
    always: set[str]
    ever: set[str]


class Observed(Sandbox):
    """A sandbox whose every change is seen by the truths that are watched."""

    truths: list[Truth]

    def watch(self, members: Members = everybody) -> Truth:
        now = members(self)
        truth = Truth(members, now, set(now))
        self.truths = [*getattr(self, "truths", []), truth]
        return truth

    def befall(self, fault: Fault, page: PageFaults) -> None:
        super().befall(fault, page)
        for truth in getattr(self, "truths", []):
            now = truth.members(self)
            truth.always = truth.always & now
            truth.ever = truth.ever | now


@dataclass
class Reading:
    """What somebody was given, in the order in which it came; `told` is what it said was missing."""

    ids: list[str] = field(default_factory=list[str])
    told: list[str] = field(default_factory=list[str])


def judge(reading: Reading, truth: Truth, *, twice: frozenset[str] = frozenset()) -> None:
    """Fail unless the reading is the truth, or less than it and says so; `twice` may come more often than once."""
    often = {identity for identity, times in Counter(reading.ids).items() if times > 1} - twice
    assert not often, f"came more than once: {often}"
    made_up = set(reading.ids) - truth.ever
    assert not made_up, f"never were there: {made_up}"
    if not reading.told:
        missing = truth.always - set(reading.ids)
        assert not missing, f"left out without a word: {missing}"


@dataclass
class OneTime(Time):
    """The time of client and sandbox together; `slow` is what the sandbox took of it."""

    sandbox: Sandbox | None = None
    slow: float = 0.0

    async def nap(self, seconds: float) -> None:
        await super().nap(seconds)
        if self.sandbox is not None:
            self.sandbox.clock.advance(seconds)

    async def dawdle(self, seconds: float) -> None:
        self.slow += seconds
        await self.nap(seconds)


class Ear(httpx.AsyncBaseTransport):
    """Pass requests on, and remember the credentials in them and in their answers."""

    def __init__(self, inner: httpx.AsyncBaseTransport, heard: set[str]) -> None:
        self.inner, self.heard = inner, heard

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.heard.add(request.headers.get("authorization", "").partition(" ")[2])
        return await self.inner.handle_async_request(request)


class Records(logging.Handler):
    """Keep every log record as a person would read it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{self.format(record)} {record.args!r}")


@dataclass
class Trial:
    """A small company, a connection to it, and all that was said about it."""

    sandbox: Observed
    world: World
    time: OneTime
    heard: set[str] = field(default_factory=set[str])
    said: list[str] = field(default_factory=list[str])

    def ear(self, inner: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncBaseTransport:
        return Ear(inner or self.sandbox.transport(), self.heard)

    def hear(self, problem: BaseException) -> str:
        """Keep what a failure says in every form it has; return its sentence."""
        self.said += [str(problem), repr(problem), "".join(traceback.format_exception(problem))]
        return str(problem)

    def plan(self, *faults: Fault) -> None:
        for fault in faults:
            self.sandbox.faults.add(fault)

    def patience(self) -> float:
        """Return the seconds that all requests so far may have waited: each has its own budget.

        One that was repeated with a new token has it twice, and a renewal also waits for that of another process.
        """
        log, budget = self.sandbox.requests, self.world.connection().pace.retry_seconds
        apart = {one.headers.get("x-ping-external-transaction-id", "") for one in log}
        repeated = sum(one.status == httpx.codes.UNAUTHORIZED for one in log)
        tokens = sum(one.path.endswith("/as/token") for one in log)
        return budget * (len(apart) + repeated) + (2 * budget + REQUEST_SECONDS) * tokens

    async def rest(self, seconds: float) -> None:
        """Let time pass that no request is to blame for."""
        self.time.slow += seconds
        await self.time.nap(seconds)

    def leaks(self) -> list[str]:
        secret = self.sandbox.client_secret
        pair = f"{quote_plus(self.sandbox.client_id)}:{quote_plus(secret)}"
        hidden = {secret, secret[8:], quote_plus(secret), base64.b64encode(pair.encode()).decode(), *self.heard}
        everything = "\0".join(self.said)
        return [one for one in hidden if one and one in everything]


@contextmanager
def trial(options: Options | None = None, *, size: int = SIZE) -> Iterator[Trial]:
    """Open a company in a time of its own; at its end nothing waited beyond its budget, and no credential is out."""
    records, root = Records(), logging.getLogger()
    level = root.level
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        time = OneTime()
        sandbox = Observed(size, options=options, now=NOW, customers=5)
        time.sandbox = sandbox
        opened = Trial(sandbox, World(sandbox=sandbox, cache=Path(folder), time=time), time)
        root.addHandler(records)
        root.setLevel(logging.DEBUG)
        try:
            yield opened
        finally:
            root.setLevel(level)
            root.removeHandler(records)
        opened.said += [*records.lines, repr(opened.world.connection())]
        assert records.lines, "the logs were silent, so that nothing was looked for in them"
    assert opened.leaks() == []
    assert time.passed - time.slow <= opened.patience()
