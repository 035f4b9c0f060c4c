"""What no client should send gets a 4xx or an error of JSON-RPC, in both eras: no failure of ours, and no silence."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from pingone_mcp.clock import Clock
from tests.web.mcp.serving import BOTH, Script, Served, call, said, stateless

PATH = "/c/acme/mcp"
ERAS = ("session", "stateless", "none", "odd")
LIST: dict[str, Any] = {"jsonrpc": "2.0", "id": 7, "method": "tools/list"}


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    """Serve on a port: what an application forgets to answer is a 500 of the server there."""
    often = Clock(monotonic=lambda: time.monotonic() * 1_000)  # the limits of requests never hold
    async with Served(tmp_path, clock=often).listening() as served:
        yield served


async def headers_of(script: Script, era: str) -> dict[str, str]:
    """Return what a client of an era sends with each request; `odd` has a version that there never was."""
    kind = {"content-type": "application/json", "accept": script.accept}
    if era == "stateless":
        return kind | stateless(LIST)[1]
    if era == "none":
        return kind
    await script.open()
    return kind | script.session | ({"mcp-protocol-version": "1999-01-01"} if era == "odd" else {})


def message(identity: str, method: str = '"tools/list"', params: str | None = None) -> str:
    envelope = json.dumps(stateless(LIST)[0]["params"])
    return f'{{"jsonrpc":"2.0","id":{identity},"method":{method},"params":{params or envelope}}}'


ODD_IDS = ["null", "1.5", "true", "{}", "[]", '"\\ud800"', "1e400", "1" * 5_000]
BODIES = [
    *map(message, ODD_IDS),
    message("1", "5"),
    message("1", '"\\ud800"'),
    message("1", '""'),
    message("1", '"tools/call"', "[1]"),
    message("1", '"tools/call"', '{"name":"list_users","arguments":' + "[" * 300 + "]" * 300 + "}"),
    message("1", '"tools/call"', '{"name":"list_users","arguments":{"query":' + "[" * 900 + "]" * 900 + "}}"),
    message("1", '"tools/call"', '{"name":"list_users","_meta":{"progressToken":[]}}'),
    message("1", '"tools/call"', '{"name":"list_users","_meta":5}'),
    message("1", '"resources/read"', '{"uri":"\\ud800"}'),
    message("1", '"resources/read"', '{"uri":5}'),
    message("1", '"completion/complete"', '{"ref":1}'),
    message("1", '"initialize"', '{"protocolVersion":5}'),
    '{"jsonrpc":"2.0","id":null,"result":{}}',
    '{"jsonrpc":"2.0","id":5,"error":{"code":"x","message":1}}',
    '{"jsonrpc":"2.0","id":1}',
    '{"jsonrpc":"1.0","id":1,"method":"ping"}',
    *("{}", "null", "[]", "[1]", "1", '"text"', "no json", "", "[" * 100_000, "[]" * 10),
    '\ufeff{"jsonrpc":"2.0","id":1,"method":"ping"}',
]


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("accept", [BOTH, "application/json"], ids=["stream", "json"])
async def test_every_wrong_body_gets_an_error(served: Served, era: str, accept: str) -> None:
    async with served.http("acme") as http:
        headers = await headers_of(Script(http, PATH, accept), era)
        for body in BODIES:
            with anyio.fail_after(20):
                answer = await http.post(PATH, content=body.encode(), headers=headers)
            assert answer.status_code == 200 or 400 <= answer.status_code < 500, body[:200]
            assert "error" in said(answer), body[:200]
            assert not any(word in answer.text for word in ("Traceback", "pydantic", 'File "')), body[:200]
        if era == "session":
            assert said(await http.post(PATH, json=LIST, headers=headers))["result"]["tools"], "the session goes on"


HEADERS: list[tuple[dict[str, bytes], set[int]]] = [
    ({"content-type": b"text/plain"}, {415}),
    ({"content-type": b""}, {415}),
    ({"accept": b"text/html"}, {406}),
    ({"accept": b"text/event-stream"}, {406}),
    ({"mcp-protocol-version": b""}, {400}),
    ({"mcp-protocol-version": b"\xff"}, {400}),
    ({"mcp-protocol-version": b"2026-07-29"}, {400}),
]


@pytest.mark.parametrize("era", ["session", "stateless"])
@pytest.mark.parametrize(("more", "statuses"), HEADERS, ids=[str(more) for more, _ in HEADERS])
async def test_wrong_headers_are_named(served: Served, era: str, more: dict[str, bytes], statuses: set[int]) -> None:
    async with served.http("acme") as http:
        headers = {name: value.encode() for name, value in (await headers_of(Script(http, PATH), era)).items()}
        answer = await http.post(
            PATH, content=message("1"), headers=[(name.encode(), value) for name, value in {**headers, **more}.items()]
        )
    assert answer.status_code in statuses
    assert said(answer)["error"]["message"]


@pytest.mark.parametrize("session", [b"\xe9", b"x" * 10_000, b"0" * 32, b"../..", b""])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_a_session_that_there_cannot_be_is_not_found(served: Served, session: bytes, method: str) -> None:
    headers = [(b"accept", BOTH.encode()), (b"content-type", b"application/json"), (b"mcp-session-id", session)]
    async with served.http("acme") as http:
        answer = await http.request(method, PATH, content=json.dumps(LIST), headers=headers)
    assert (answer.status_code, "error" in answer.json()) == (404, True)


async def test_a_body_that_is_too_long_is_refused(served: Served) -> None:
    async with served.http("acme") as http:
        answer = await Script(http, PATH).post({**LIST, "params": {"x": "y" * (4 * 1024 * 1024)}})
    assert answer.status_code == 413


async def test_headers_that_come_twice_are_read_as_one(served: Served) -> None:
    async with served.http("acme") as http:
        script = Script(http, PATH)
        await script.open()
        twice = [("accept", "application/json"), ("accept", "text/event-stream"), *script.session.items()]
        del http.headers["accept"]
        answer = await http.post(PATH, json=LIST, headers=twice)
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/event-stream")


class Stopped:
    """Calls that reach the company and wait there; `goes_on` lets them all go on."""

    def __init__(self, served: Served) -> None:
        self.answers: list[httpx.Response] = []
        self.goes_on = anyio.Event()
        self.began = anyio.Event()
        sandbox = served.worlds["acme"].sandbox
        sandbox.sleep = self.sleep
        sandbox.faults.add("slow", path="/users", times=None)

    async def sleep(self, _: float) -> None:
        self.began.set()
        await self.goes_on.wait()

    @asynccontextmanager
    async def waiting(self, script: Script, body: dict[str, Any], **headers: str) -> AsyncIterator[None]:
        """Let a call wait while the block goes on; behind it, it is answered."""

        async def ask() -> None:
            self.answers.append(await script.post(body, **headers))

        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask)
                await self.began.wait()
                yield


@pytest.mark.parametrize("accept", [BOTH, "application/json"], ids=["stream", "json"])
@pytest.mark.parametrize("identity", [2, "2"], ids=["number", "text"])
async def test_an_id_that_is_in_use_is_refused_and_neither_waits_for_ever(
    served: Served, accept: str, identity: Any
) -> None:
    stopped = Stopped(served)
    async with served.http("acme") as http:
        script = Script(http, PATH, accept)
        await script.open()
        async with stopped.waiting(script, call("list_users", limit=1)):
            second = await script.post({**LIST, "id": identity})
            stopped.goes_on.set()
        assert (second.status_code, "id" in said(second)["error"]["message"]) == (400, True)
        assert said(stopped.answers[0])["result"]["structuredContent"]["result_count"] == 1
        assert said(await script.post({**LIST, "id": identity}))["result"]["tools"], "it may be used again"


async def test_a_header_of_the_other_era_makes_no_session_of_requests_without_one(served: Served) -> None:
    stopped = Stopped(served)
    async with served.http("acme") as http:
        script = Script(http, PATH)
        await script.open()
        body, headers = stateless(call("list_users", limit=1))
        async with stopped.waiting(script, body, **headers):
            other, more = stateless({**LIST, "id": body["id"]})
            assert said(await script.post(other, **more))["result"]["tools"]
            stopped.goes_on.set()
    assert said(stopped.answers[0])["result"]["structuredContent"]["result_count"] == 1


async def test_what_many_ask_at_once_in_one_session_each_gets_its_answer(served: Served) -> None:
    found: dict[int, int] = {}
    async with served.http("acme") as http:
        script = Script(http, PATH)
        await script.open()

        async def ask(number: int) -> None:
            answer = said(await script.post({**call("list_users", limit=number + 1), "id": number}))
            assert answer["id"] == number
            found[number] = answer["result"]["structuredContent"]["result_count"]

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                for number in range(40):
                    tasks.start_soon(ask, number)
    assert found == {number: number + 1 for number in range(40)}


async def test_a_stream_cannot_be_taken_up_again_and_begins_anew(served: Served) -> None:
    async with served.http("acme") as http:
        script = Script(http, PATH)
        await script.open()
        headers = {"accept": "text/event-stream", "last-event-id": "5", **script.session}
        async with http.stream("GET", PATH, headers=headers) as answer:
            assert answer.status_code == 200
        called = await script.post(call("list_users", limit=1))
    assert not [line for line in called.text.splitlines() if line.startswith("id:")], "no id promises that one can"


@pytest.mark.parametrize("accept", [BOTH, "application/json"], ids=["stream", "json"])
async def test_a_session_that_is_deleted_while_it_is_asked_is_no_failure_of_ours(served: Served, accept: str) -> None:
    stopped = Stopped(served)
    async with served.http("acme") as http:
        script = Script(http, PATH, accept)
        await script.open()
        async with stopped.waiting(script, call("list_users", limit=1)):
            assert (await http.delete(PATH, headers=script.session)).status_code == 200
    assert stopped.answers[0].status_code == (200 if accept == BOTH else 404)


def test_every_wrong_body_is_another_one() -> None:
    assert not [one for one, other in itertools.combinations(BODIES, 2) if one == other]
