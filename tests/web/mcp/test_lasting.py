"""What lasts: streams, sessions, endpoints and running calls, until they end, and how they do."""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import anyio
import anyio.lowlevel
import httpx
import pytest
from mcp.server.connection import Connection

from pingone_mcp.server.subscriptions import CHANGES
from pingone_mcp.web.mcp.endpoints import UNUSED_SECONDS
from pingone_mcp.web.mcp.sessions import OpenSessions
from tests.web.mcp.serving import BOTH, Script, Served, call, said, stateless
from tests.world import NOW, Time

ONE = call("list_users", limit=1)
LISTEN = {
    "jsonrpc": "2.0",
    "id": 3,
    "method": "subscriptions/listen",
    "params": {"notifications": {"resourceSubscriptions": [CHANGES]}},
}
ERAS = ("session", "stateless")


@dataclass
class Turns(Time):
    """A clock that tests turn on: who sleeps is woken when the time has come."""

    sleepers: list[tuple[float, anyio.Event]] = field(default_factory=list[tuple[float, anyio.Event]])

    async def nap(self, seconds: float) -> None:
        woken = anyio.Event()
        self.sleepers.append((self.passed + seconds, woken))
        await woken.wait()

    async def turn(self, seconds: float) -> None:
        await self.passes(self.passed + seconds)
        for at, woken in self.sleepers:
            if at <= self.passed:
                woken.set()
        self.sleepers = [(at, woken) for at, woken in self.sleepers if not woken.is_set()]
        await settled()


async def settled() -> None:
    """Let everybody go on who can.

    anyio's own `wait_all_tasks_blocked` looks every 0.1 seconds, and uvicorn ticks as often: it may wait for ever.
    """
    for _ in range(200):
        await anyio.lowlevel.checkpoint()


@pytest.fixture
def served(tmp_path: Path) -> Served:
    return Served(tmp_path)


@asynccontextmanager
async def stream(http: httpx.AsyncClient, era: str, script: Script) -> AsyncIterator[AsyncIterator[str]]:
    """Open a stream of either era; gives its lines."""
    if era == "session":
        await script.open()
        opening = http.stream("GET", script.path, headers={"accept": BOTH, **script.session})
    else:
        body, headers = stateless(LISTEN)
        opening = http.stream("POST", script.path, json=body, headers={"accept": BOTH, **headers})
    async with opening as answer:
        assert answer.status_code == 200
        yield answer.aiter_lines()


async def rest_of(lines: AsyncIterator[str]) -> list[str]:
    with anyio.fail_after(30):
        return [line async for line in lines if line]


@pytest.mark.parametrize("era", ERAS)
async def test_streams_end_in_good_order_when_the_process_is_asked_to_end(served: Served, era: str) -> None:
    async with served.listening(), served.http("acme") as http:
        script = Script(http, "/c/acme/mcp")
        async with stream(http, era, script) as lines:
            served.face.stop()
            await rest_of(lines)
        refused = await script.ask(ONE)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("change", ["expires", "revoked", "elsewhere", "removed", "another", "guesses"])
async def test_a_stream_ends_when_its_caller_may_not_have_it_any_more(served: Served, era: str, change: str) -> None:
    time = Turns()
    served.clock = time.clock()
    until = NOW + timedelta(seconds=90)
    served.callers["acme"] = dataclasses.replace(
        served.callers["acme"], expires_at=until if change == "expires" else None
    )
    async with (
        served.listening(),
        served.http("acme") as http,
        stream(http, era, Script(http, "/c/acme/mcp")) as lines,
    ):
        await settled()
        await time.turn(61)
        match change:
            case "revoked":
                del served.callers["acme"]
            case "elsewhere":
                served.callers["acme"] = served.callers["globex"]
            case "removed":
                served.reached.ids.remove("acme")
            case "guesses":  # so many that it cannot be asked whether the credential is still good
                await time.turn(59)
                failures = served.authenticator.failures
                for number in range(10_001):
                    failures.succeeded(f"another {number}")
                for _ in range(50):
                    failures.failed("127.0.0.1")
                await time.turn(2)
            case "another":
                await served.connections.add("acme", served.opening("acme"))
        await time.turn(61)
        await rest_of(lines)


class Slow:
    """A call that runs until it is let go on, while the process ends."""

    def __init__(self, served: Served) -> None:
        self.time = Turns()
        self.began, self.goes_on = anyio.Event(), anyio.Event()
        self.answers: list[httpx.Response] = []
        served.clock = self.time.clock()
        sandbox = served.worlds["acme"].sandbox
        sandbox.sleep = self.sleep
        sandbox.faults.add("slow", path="/users", times=None)

    async def sleep(self, _: float) -> None:
        self.began.set()
        await self.goes_on.wait()

    async def ask(self, script: Script, era: str) -> None:
        self.answers.append(await (script.post(ONE) if era == "session" else script.ask(ONE)))

    async def while_the_process_waits(self, act: Callable[[], Awaitable[None]]) -> None:
        while not self.time.ends:  # noqa: ASYNC110 - it is waited for from the end of the block on
            await anyio.sleep(0.005)
        await act()

    async def go_on(self) -> None:
        self.goes_on.set()

    async def run_out_of_patience(self) -> None:
        await self.time.turn(31)


@pytest.mark.parametrize("era", ERAS)
async def test_calls_that_run_may_end_before_the_process_does(served: Served, era: str) -> None:
    slow = Slow(served)
    async with anyio.create_task_group() as tasks, served.running(), served.http("acme") as http:
        script = Script(http, "/c/acme/mcp")
        await script.open()
        tasks.start_soon(slow.ask, script, era)
        await slow.began.wait()
        tasks.start_soon(slow.while_the_process_waits, slow.go_on)
    (answer,) = slow.answers
    assert said(answer)["result"]["structuredContent"]["result_count"] == 1


async def test_calls_that_never_end_are_ended_after_a_while(served: Served) -> None:
    slow = Slow(served)
    async with anyio.create_task_group() as tasks:
        async with served.running(), served.http("acme") as http:
            tasks.start_soon(slow.ask, Script(http, "/c/acme/mcp"), "stateless")
            await slow.began.wait()
            tasks.start_soon(slow.while_the_process_waits, slow.run_out_of_patience)
        assert not slow.answers
        tasks.cancel_scope.cancel()


async def test_a_caller_that_opens_too_many_sessions_ends_its_own_oldest(served: Served) -> None:
    served.made["sessions"] = OpenSessions(most_of_one=2)
    async with served.running(), served.http("acme") as http, served.http("colleague") as other:
        colleague = Script(other, "/c/acme/mcp")
        await colleague.open()
        scripts = [Script(http, "/c/acme/mcp") for _ in range(3)]
        for script in scripts[:2]:
            await script.open()
        assert (await scripts[0].post(ONE)).status_code == 200, "it is the one that was used last now"
        await scripts[2].open()
        assert [(await script.post(ONE)).status_code for script in (*scripts, colleague)] == [200, 404, 200, 200]


async def test_who_has_the_most_sessions_makes_room_for_others(served: Served) -> None:
    served.made["sessions"] = OpenSessions(most=4)
    async with served.running(), served.http("acme") as http, served.http("colleague") as other:
        scripts = [Script(http, "/c/acme/mcp") for _ in range(4)]
        for script in scripts:
            await script.open()
        colleague = Script(other, "/c/acme/mcp")
        await colleague.open()
        assert [(await script.post(ONE)).status_code for script in (*scripts, colleague)] == [404, 200, 200, 200, 200]


async def test_an_endpoint_that_nobody_uses_ends_and_is_made_anew(served: Served) -> None:
    time, sessions = Turns(), OpenSessions()
    served.clock, served.made["sessions"] = time.clock(), sessions
    async with served.running(), served.http("acme") as http:
        script = Script(http, "/c/acme/mcp")
        await script.open()
        await time.turn(UNUSED_SECONDS - 1)
        assert (await script.post(ONE)).status_code == 200
        await time.turn(UNUSED_SECONDS - 1)
        assert len(sessions) == 1
        await time.turn(61)
        assert len(sessions) == 0
        assert (await script.post(ONE)).status_code == 404
        script.session = {}
        await script.open()
        assert (await script.post(ONE)).status_code == 200


async def test_a_connection_that_was_made_anew_has_no_session_of_before(served: Served) -> None:
    async with served.running(), served.http("acme") as http:
        script = Script(http, "/c/acme/mcp")
        await script.open()
        assert (await script.post(ONE)).status_code == 200
        await served.connections.add("acme", served.opening("acme"))
        assert (await script.post(ONE)).status_code == 404
        assert said(await script.ask(ONE))["result"]["structuredContent"]["result_count"] == 1


async def test_nothing_is_left_of_sessions_that_have_ended(served: Served) -> None:
    async with served.running(), served.http("acme") as http:
        for _ in range(5):
            script = Script(http, "/c/acme/mcp")
            await script.open()
            await script.post({"jsonrpc": "2.0", "id": 5, "method": "resources/subscribe", "params": {"uri": CHANGES}})
            await http.delete(script.path, headers=script.session)
        await anyio.wait_all_tasks_blocked()
        gc.collect()
        assert not [one for one in gc.get_objects() if isinstance(one, Connection) and one.session_id is not None]
