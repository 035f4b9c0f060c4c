"""What happens in a session stays there: what its person is asked, who may answer, and when it all ends."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from anyio.abc import TaskGroup

from pingone_mcp.service.fleet.fleet import Paused
from pingone_mcp.web.mcp.sessions import OpenSessions
from tests.web.mcp.serving import BOTH, INITIALIZE, Script, Served, call, said, stateless
from tests.web.mcp.test_bad_input import Stopped
from tests.web.mcp.test_clients import disabling
from tests.web.mcp.test_lasting import LISTEN, Turns, rest_of

PATH = "/c/acme/mcp"
ONE = call("list_users", limit=1)


@pytest.fixture
def served(tmp_path: Path) -> Served:
    return Served(tmp_path)


@dataclass
class Asking:
    """A session in which a person is being asked whether to write, and has not answered."""

    script: Script
    question: dict[str, Any] = field(default_factory=dict[str, Any])
    is_asked: anyio.Event = field(default_factory=anyio.Event)
    answers: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    has_ended: anyio.Event = field(default_factory=anyio.Event)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)

    async def ask(self, write: dict[str, Any]) -> None:
        """Call the tool, and read what comes until the stream ends."""
        headers = {"accept": BOTH, **self.script.session}
        message = call("proxy_request", **write)
        with self.scope:
            async with self.script.http.stream("POST", PATH, json=message, headers=headers) as answer:
                async for line in answer.aiter_lines():
                    if line.startswith("data: "):
                        self._hear(json.loads(line.removeprefix("data: ")))
        self.has_ended.set()

    def _hear(self, message: dict[str, Any]) -> None:
        if message.get("method") == "elicitation/create":
            self.question = message
            self.is_asked.set()
        elif message.get("id") == 2:
            self.answers.append(message)

    def yes(self) -> dict[str, Any]:
        """Return the answer to the question."""
        accepted = {"action": "accept", "content": {"confirm": True}}
        return {"jsonrpc": "2.0", "id": self.question["id"], "result": accepted}


def is_enabled(served: Served) -> bool:
    enabled: bool = served.worlds["acme"].sandbox.state().user(10)["enabled"]
    return enabled


@asynccontextmanager
async def asking(served: Served, http: httpx.AsyncClient) -> AsyncIterator[Asking]:
    """Have a person asked in a session of `http`."""
    script = Script(http, PATH)
    await script.open()
    asked = Asking(script)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(asked.ask, disabling(served.worlds["acme"]))
        with anyio.fail_after(30):
            await asked.is_asked.wait()
        yield asked
        tasks.cancel_scope.cancel()


async def test_a_question_is_answered_in_its_session_by_its_caller_only(served: Served) -> None:
    async with (
        served.listening(),
        served.http("acme") as http,
        served.http("colleague") as colleague,
        served.http("both") as both,
        asking(served, http) as asked,
    ):
        own = Script(http, PATH)
        await own.open()
        others = Script(colleague, PATH)
        await others.open()
        elsewhere = Script(both, "/c/globex/mcp")
        await elsewhere.open()
        stolen = [Script(one, path, session=asked.script.session) for one, path in ((colleague, PATH), (both, PATH))]
        answers = [await one.post(asked.yes()) for one in (own, others, elsewhere, *stolen)]
        stolen_elsewhere = Script(both, "/c/globex/mcp", session=asked.script.session)
        answers.append(await stolen_elsewhere.post(asked.yes()))
        assert [answer.status_code for answer in answers] == [202, 202, 202, 404, 404, 404]
        assert is_enabled(served)
        assert not asked.has_ended.is_set()
        assert (await asked.script.post(asked.yes())).status_code == 202
        with anyio.fail_after(30):
            await asked.has_ended.wait()
        assert asked.answers[0]["result"]["structuredContent"]["status"] == 200
    assert not is_enabled(served)


async def test_another_credential_of_the_same_person_is_another_caller(served: Served) -> None:
    served.callers["second"] = dataclasses.replace(served.callers["acme"], client_id="key:second")
    async with (
        served.listening(),
        served.http("acme") as http,
        served.http("second") as second,
        asking(served, http) as asked,
    ):
        stolen = Script(second, PATH, session=asked.script.session)
        assert (await stolen.post(asked.yes())).status_code == 404
        assert (await second.delete(PATH, headers=asked.script.session)).status_code == 404
        assert not asked.has_ended.is_set()


def revoke(served: Served) -> None:
    del served.callers["acme"]


def take_away(served: Served) -> None:
    served.reached.ids.remove("acme")


def pause(served: Served) -> None:
    async def paused(*_: object) -> None:
        raise Paused

    served.reached.served = paused  # type: ignore[method-assign, assignment] # as the fleet says it


CHANGES: list[Callable[[Served], None]] = [revoke, take_away, pause]


@pytest.mark.parametrize("change", CHANGES)
async def test_a_session_that_waits_for_an_answer_ends_when_its_caller_may_not_have_it(
    served: Served, change: Callable[[Served], None]
) -> None:
    time = Turns()
    served.clock = time.clock()
    async with served.listening(), served.http("acme") as http, asking(served, http) as asked:
        await time.turn(61)
        assert not asked.has_ended.is_set()
        endpoint = next(iter(served.face._endpoints))  # noqa: SLF001 - whether it has a session, nobody else asks
        assert endpoint.has(asked.script.session["mcp-session-id"])
        change(served)
        await time.turn(61)
        with anyio.fail_after(30):
            await asked.has_ended.wait()
        assert not endpoint.has(asked.script.session["mcp-session-id"])
        assert not asked.answers
    assert is_enabled(served)


async def test_a_stream_of_a_paused_connection_ends(served: Served) -> None:
    time = Turns()
    served.clock = time.clock()
    body, headers = stateless(LISTEN)
    async with (
        served.listening(),
        served.http("acme") as http,
        http.stream("POST", PATH, json=body, headers={"accept": BOTH, **headers}) as answer,
    ):
        pause(served)
        await time.turn(61)
        await rest_of(answer.aiter_lines())
        refused = await Script(http, PATH).ask(ONE)
    assert (refused.status_code, "[CONNECTION_PAUSED]" in said(refused)["error"]["message"]) == (409, True)
    assert "retry-after" not in refused.headers


async def test_nothing_is_asked_any_more_for_a_client_that_has_left_its_question(served: Served) -> None:
    async with served.listening(), served.http("acme") as http, asking(served, http) as asked:
        asked.scope.cancel()
        with anyio.fail_after(30):  # its id is in use until the server has noticed
            while (await asked.script.post(ONE)).status_code != 200:  # noqa: ASYNC110 - nothing says when
                await anyio.sleep(0.01)
        assert (await asked.script.post(asked.yes())).status_code == 202
        assert is_enabled(served), "the question has ended with the call"


@pytest.mark.parametrize("era", ["session", "stateless"])
@pytest.mark.parametrize("accept", [BOTH, "application/json"], ids=["stream", "json"])
async def test_a_client_that_leaves_frees_what_is_asked_for_it(served: Served, era: str, accept: str) -> None:
    ended = anyio.Event()
    stopped = Stopped(served)

    async def until_freed(_: float) -> None:
        stopped.began.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    served.worlds["acme"].sandbox.sleep = until_freed
    async with served.listening(), served.http("acme") as http:
        script = Script(http, PATH, accept)
        await script.open()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(script.post if era == "session" else script.ask, ONE)
            with anyio.fail_after(30):
                await stopped.began.wait()
            tasks.cancel_scope.cancel()
        with anyio.fail_after(30):
            await ended.wait()
        served.worlds["acme"].sandbox.faults.clear()
        served.worlds["acme"].sandbox.sleep = anyio.sleep
        tools = {"jsonrpc": "2.0", "id": 3, "method": "tools/list"}
        assert said(await script.post(tools))["result"]["tools"], "the session goes on"


async def test_a_session_is_answered_in_json_where_a_request_takes_nothing_else(served: Served) -> None:
    async with served.running(), served.http("acme") as http:
        script = Script(http, PATH)
        await script.open()
        progress = {**ONE, "params": {**ONE["params"], "_meta": {"progressToken": 1}}}
        kinds = []
        for accept in ("application/json", BOTH, "application/json"):
            answer = await script.post(progress, accept=accept)
            assert said(answer)["result"]["structuredContent"]["result_count"] == 1
            kinds.append((answer.headers["content-type"].partition(";")[0], "notifications/progress" in answer.text))
        asks = await script.post(call("proxy_request", **disabling(served.worlds["acme"])), accept="application/json")
    assert kinds == [("application/json", False), ("text/event-stream", True), ("application/json", False)]
    assert "[CANNOT_ASK]" in said(asks)["result"]["content"][0]["text"]


async def test_ids_of_sessions_cannot_be_guessed(served: Served) -> None:
    async with served.running(), served.http("acme") as http:
        ids = [(await Script(http, PATH).open()).headers["mcp-session-id"] for _ in range(20)]
    digits = {(position, digit) for one in ids for position, digit in enumerate(one)}
    assert {len(one) for one in ids} == {32}
    # Of a random digit 20 draws show about 11 values; two of the 32 digits of a UUID are not random.
    assert sum(len({digit for at, digit in digits if at == position}) > 4 for position in range(32)) >= 30


async def test_no_trick_with_headers_lets_a_caller_have_more_sessions(served: Served) -> None:
    served.made["sessions"] = sessions = OpenSessions(most_of_one=2)
    body, later = stateless({"jsonrpc": "2.0", "id": 1, "method": "no/such"})
    async with served.running(), served.http("acme") as http:
        scripts = [Script(http, PATH) for _ in range(4)]
        for script in scripts:
            await script.open()
            assert (await script.post(body, **later)).status_code == 404
            version = {**script.session, "mcp-protocol-version": "2026-07-28"}
            assert (await http.delete(PATH, headers=version)).status_code == 405
        assert len(sessions) == 2
        assert [(await script.post(ONE)).status_code for script in scripts] == [404, 404, 200, 200]


async def test_a_caller_asks_only_so_much_at_once(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pingone_mcp.web.mcp.face.MOST_AT_ONCE", 2)
    body, headers = stateless(LISTEN)
    async with served.listening(), served.http("acme") as http, served.http("colleague") as other:

        async def listen(tasks: TaskGroup) -> None:
            async def one(*, task_status: anyio.abc.TaskStatus[None]) -> None:
                async with http.stream("POST", PATH, json=body, headers={"accept": BOTH, **headers}) as answer:
                    assert answer.status_code == 200
                    task_status.started()
                    await anyio.sleep_forever()

            await tasks.start(one)

        async with anyio.create_task_group() as tasks:
            await listen(tasks)
            await listen(tasks)
            refused = await Script(http, PATH).ask(ONE)
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
            assert (await Script(other, PATH).ask(ONE)).status_code == 200
            tasks.cancel_scope.cancel()


async def test_a_session_that_nobody_uses_is_collected(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pingone_mcp.web.mcp.endpoint.IDLE_SECONDS", 0.5)
    async with served.running(), served.http("acme") as http:
        script = Script(http, PATH)
        await script.open()
        endpoint = next(iter(served.face._endpoints))  # noqa: SLF001 - as above
        with anyio.fail_after(30):
            while endpoint.has(script.session["mcp-session-id"]):  # noqa: ASYNC110 - the SDK's timer ends it
                await anyio.sleep(0.01)
        assert (await script.post(ONE)).status_code == 404
        assert (await script.post(INITIALIZE)).status_code == 404, "the client opens another one without its id"
