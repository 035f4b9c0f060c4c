"""Clients of every protocol version, as raw lines: sessions, the stateless era, and looks around before either."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pingone_mcp.sandbox.app import Sandbox
from tests.depth import sampled
from tests.process.conftest import Held
from tests.process.programs import PATIENCE, Running, Served, bare, serving, started

HANDSHAKES = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
STATELESS = "2026-07-28"
CLIENT = {"name": "test", "version": "1"}
INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, UNSUPPORTED_VERSION = -32600, -32601, -32602, -32022

Era = Literal["handshake", "stateless"]
pytestmark = sampled(3)

ERAS = pytest.mark.parametrize("era", ["handshake", "stateless"])


def envelope(
    version: str = STATELESS, client: dict[str, str] = CLIENT, capabilities: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return what every stateless request carries."""
    told = {"protocolVersion": version, "clientCapabilities": capabilities or {}, "clientInfo": client}
    return {f"io.modelcontextprotocol/{name}": value for name, value in told.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """A connection of either era: the same words, with or without the envelope."""

    server: Running
    era: Era

    def ask(self, method: str, *, token: str | None = None, **params: Any) -> int:
        meta = envelope() if self.era == "stateless" else {}
        if token is not None:
            meta["progressToken"] = token
        return self.server.ask(method, **params, **({"_meta": meta} if meta else {}))

    def call(self, tool: str, **arguments: Any) -> int:
        return self.ask("tools/call", name=tool, arguments=arguments)

    def facts(self, number: int) -> Any:
        return self.server.answer(number)["result"]["structuredContent"]


@contextmanager
def talking(era: Era, env: dict[str, str]) -> Iterator[Talk]:
    with started(env=env) as server:
        if era == "handshake":
            server.greet()
        yield Talk(server=server, era=era)
        end = server.rest()
    assert (end.status, end.err) == (0, "")
    assert all(json.loads(line)["jsonrpc"] == "2.0" for line in [*server.heard, *end.out.splitlines()])


def initialized(server: Running, version: str) -> Any:
    number = server.ask("initialize", protocolVersion=version, capabilities={}, clientInfo=CLIENT)
    result = server.answer(number)["result"]
    server.tell(method="notifications/initialized")
    return result


def names(answer: Any) -> set[str]:
    return {tool["name"] for tool in answer["result"]["tools"]}


# --- Versions


@pytest.mark.parametrize("version", HANDSHAKES)
def test_a_handshake_is_answered_with_its_own_version(served: Served, version: str) -> None:
    with started(env=served.variables()) as server:
        told = initialized(server, version)
        assert told["protocolVersion"] == version
        assert told["serverInfo"]["name"] == "pingone-mcp"
        assert "list_users" in names(server.answer(server.ask("tools/list")))
        result = server.answer(server.call("list_users", limit=2))["result"]
        assert json.loads(result["content"][0]["text"])["result_count"] == 2
        assert server.answer(server.ask("ping"))["result"] == {}


@pytest.mark.parametrize("version", ["2024-10-07", STATELESS, "2099-01-01", ""])
def test_a_handshake_with_another_version_gets_a_counter_offer(tmp_path: Path, version: str) -> None:
    with started(env=bare(tmp_path)) as server:
        assert initialized(server, version)["protocolVersion"] == HANDSHAKES[-1]
        assert "list_users" in names(server.answer(server.ask("tools/list")))


def test_the_stateless_era_needs_no_handshake(served: Served) -> None:
    with talking("stateless", served.variables()) as talk:
        assert talk.facts(talk.call("list_users", limit=2))["result_count"] == 2
        listed = talk.server.answer(talk.ask("tools/list"))
        assert "list_users" in names(listed)
        assert listed["result"]["resultType"] == "complete"
        refused = talk.server.answer(talk.server.ask("tools/list", _meta=envelope("2099-01-01")))["error"]
        assert (refused["code"], refused["data"]["supported"]) == (UNSUPPORTED_VERSION, [STATELESS])


def test_what_the_server_offers_may_be_kept_and_shared_and_what_is_read_may_not(tmp_path: Path) -> None:
    with talking("stateless", bare(tmp_path)) as talk:
        offers = ("server/discover", "tools/list", "prompts/list", "resources/list", "resources/templates/list")
        kept = [talk.server.answer(talk.ask(method))["result"] for method in offers]
        read = talk.server.answer(talk.ask("resources/read", uri="pingone://schema/user"))["result"]
    # Tools are not shared: which there are depends on what the client shows.
    scopes = ["public", "private", "public", "public", "public"]
    assert [(result["cacheScope"], result["ttlMs"]) for result in kept] == [(scope, 300_000) for scope in scopes]
    assert (read["cacheScope"], read["ttlMs"]) == ("private", 0)


# --- One era tried before the other, on the same pipe


def look_around(server: Running) -> None:
    assert server.answer(server.ask("server/discover", _meta=envelope()))["result"]["supportedVersions"] == [STATELESS]


def look_twice(server: Running) -> None:
    look_around(server)
    look_around(server)


def look_ahead(server: Running) -> None:
    """Look around as a client of a later version."""
    number = server.ask("server/discover", _meta=envelope("2099-01-01"))
    assert server.answer(number)["error"]["data"]["supported"] == [STATELESS]


def look_without_envelope(server: Running) -> None:
    assert server.answer(server.ask("server/discover"))["error"]["code"] == METHOD_NOT_FOUND


def look_and_stammer(server: Running) -> None:
    look_around(server)
    assert server.process.stdin is not None
    server.process.stdin.write('garbage\n\n{"jsonrpc": "2.0"}\n')
    server.tell(method="notifications/cancelled", params={"requestId": 1})


PROBES = pytest.mark.parametrize(
    "probe", [look_around, look_twice, look_ahead, look_without_envelope, look_and_stammer]
)


@PROBES
def test_a_client_that_looked_around_may_still_shake_hands(served: Served, probe: Any) -> None:
    with started(env=served.variables()) as server:
        probe(server)
        assert initialized(server, "2025-06-18")["protocolVersion"] == "2025-06-18"
        assert "list_users" in names(server.answer(server.ask("tools/list")))
        assert not server.answer(server.call("list_users", limit=1))["result"]["isError"]
        end = server.rest()
    assert (end.status, end.err) == (0, "")


@PROBES
def test_a_client_that_looked_around_may_go_on_without_a_handshake(served: Served, probe: Any) -> None:
    with talking("stateless", served.variables()) as talk:
        probe(talk.server)
        assert talk.facts(talk.call("list_users", limit=1))["result_count"] == 1
        look_around(talk.server)


def test_looks_and_a_handshake_sent_in_one_breath_are_answered_in_order(tmp_path: Path) -> None:
    with started(env=bare(tmp_path)) as server:
        looks = [server.ask("server/discover", _meta=envelope()) for _ in range(5)]
        shake = server.ask("initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=CLIENT)
        server.tell(method="notifications/initialized")
        listing = server.ask("tools/list")
        answered = [json.loads(server.line())["id"] for _ in range(7)]
    assert answered == [*looks, shake, listing]


def test_a_session_does_not_become_stateless(tmp_path: Path) -> None:
    with started(env=bare(tmp_path)) as server:
        server.greet()
        refused = server.answer(server.ask("server/discover", _meta=envelope()))["error"]
        assert refused["code"] == INVALID_REQUEST
        assert "list_users" in names(server.answer(server.ask("tools/list")))


def test_a_stateless_connection_does_not_become_a_session(tmp_path: Path) -> None:
    with talking("stateless", bare(tmp_path)) as talk:
        talk.server.answer(talk.ask("tools/list"))
        number = talk.server.ask("initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=CLIENT)
        assert talk.server.answer(number)["error"]["code"] == UNSUPPORTED_VERSION
        assert "list_users" in names(talk.server.answer(talk.ask("tools/list")))


def test_a_client_that_only_looks_around_leaves_a_server_that_ends_well(tmp_path: Path) -> None:
    with started(env=bare(tmp_path)) as server:
        look_around(server)
        end = server.rest()
    assert (end.status, end.out, end.err) == (0, "", "")


@pytest.mark.parametrize("looks", [1, 2, 3, 8])
def test_a_client_that_vanishes_while_it_looks_around_ends_the_server(tmp_path: Path, looks: int) -> None:
    with started(env=bare(tmp_path)) as server:
        look_around(server)
        for _ in range(looks):
            server.ask("server/discover", _meta=envelope())
        server.leave()
        end = server.rest()
    assert (end.status, end.err) == (0, "")


# --- Wrong requests


@ERAS
def test_a_wrong_request_is_told_by_code_and_a_sentence(served: Served, era: Era) -> None:
    environment = served.sandbox.environment_id
    cases: list[tuple[str, dict[str, Any], int, str]] = [
        ("prompts/get", {"name": "nope"}, INVALID_PARAMS, "The prompts are: "),
        ("prompts/get", {"name": "find_people"}, INVALID_PARAMS, "The prompt find_people needs the argument who."),
        ("prompts/get", {"name": "find_people", "arguments": {"who": 1}}, INVALID_PARAMS, "Invalid"),
        ("resources/read", {"uri": "pingone://nope"}, INVALID_PARAMS, "Unknown resource"),
        ("resources/read", {"uri": "pingone://environments/nope/users/ann"}, INVALID_PARAMS, "no environment of this"),
        ("resources/read", {"uri": f"pingone://environments/{environment}/users/nope"}, INVALID_PARAMS, "no such user"),
        ("tools/call", {"nam": "list_users"}, INVALID_PARAMS, "Invalid"),
        ("nope/nope", {}, METHOD_NOT_FOUND, "Method not found"),
    ]
    with talking(era, served.variables()) as talk:
        for method, params, code, words in cases:
            error = talk.server.answer(talk.ask(method, **params))["error"]
            assert error["code"] == code, (method, params, error)
            assert words.lower() in error["message"].lower(), (method, params, error)
            assert not any(word in json.dumps(error) for word in ("Traceback", "Error(", ".py", "pydantic"))
        unknown = talk.server.answer(talk.call("nope"))["result"]
        assert unknown["isError"]
        assert unknown["content"][0]["text"].startswith("Unknown tool: nope. The tools are: list_users, get_user, ")


# --- While a call runs


@ERAS
def test_progress_reaches_whoever_asked_for_it_before_the_answer(served: Served, era: Era) -> None:
    with talking(era, served.variables()) as talk:
        asked = talk.ask("tools/call", token="mine", name="list_users", arguments={"limit": 60})
        assert talk.facts(asked)["result_count"] == 60
        heard = [json.loads(line) for line in talk.server.heard]
        progress = [message["params"] for message in heard if message.get("method") == "notifications/progress"]
        assert {params["progressToken"] for params in progress} == {"mine"}
        steps = [params["progress"] for params in progress]
        assert steps == sorted(set(steps))
        assert "users" in progress[-1]["message"]
        before = len(talk.server.heard)
        talk.facts(talk.call("list_users", limit=60))
        assert len(talk.server.heard) == before + 1, "who did not ask hears nothing"


class Door:
    """What stands before a sandbox and sees a caller leave that waits for users."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.left = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not scope.get("path", "").endswith("/users"):
            await self._app(scope, receive, send)
            return
        first = await receive()

        async def once() -> Message:
            return first

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            self.left.set()
            tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            await self._app(scope, once, send)
            tasks.cancel_scope.cancel()


@pytest.fixture
def door(tmp_path: Path, held: Held) -> Iterator[tuple[Served, Door]]:
    sandbox = Sandbox(size=60, sleep=held)
    sandbox.app = door = Door(sandbox.app)
    with serving(sandbox, tmp_path) as served:
        yield served, door


@ERAS
def test_a_cancelled_call_takes_its_request_to_pingone_back(door: tuple[Served, Door], held: Held, era: Era) -> None:
    served, watched = door
    with talking(era, served.variables()) as talk:
        served.sandbox.faults.add("slow", path="/users")
        waiting = talk.call("list_users", limit=1)
        assert held.arrived.wait(PATIENCE)
        assert not watched.left.is_set()
        talk.server.tell(method="notifications/cancelled", params={"requestId": waiting, "reason": "changed my mind"})
        assert watched.left.wait(PATIENCE)
        assert talk.facts(talk.call("list_users", limit=1))["result_count"] == 1


@ERAS
def test_a_call_that_waits_holds_up_no_other(served: Served, held: Held, era: Era) -> None:
    with talking(era, served.variables()) as talk:
        served.sandbox.faults.add("slow", path="/users")
        talk.call("list_users", limit=1)
        assert held.arrived.wait(PATIENCE)
        asked = {talk.call("list_users", limit=limit): limit for limit in range(1, 9)}
        messages = [json.loads(talk.server.line()) for _ in asked]
        counts = {message["id"]: message["result"]["structuredContent"]["result_count"] for message in messages}
        assert counts == asked


# --- Confirmed writes


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """A client of the stateless era that asks its person, and sends what it likes."""

    served: Served
    server: Running

    @property
    def path(self) -> str:
        user = next(iter(self.served.sandbox.users()))
        return f"/environments/{self.served.sandbox.environment_id}/users/{user['id']}/enabled"

    def call(self, *, client: dict[str, str] = CLIENT, **more: Any) -> int:
        meta = envelope(client=client, capabilities={"elicitation": {"form": {}}})
        write = {"method": "PUT", "path": self.path, "body": {"enabled": False}}
        return self.server.ask("tools/call", name="proxy_request", arguments=write, _meta=meta, **more)

    def question(self) -> dict[str, Any]:
        """Return what a second call carries that says yes to a new question."""
        asked = self.server.answer(self.call())["result"]
        yes = {"action": "accept", "content": {"confirm": True}}
        return {"requestState": asked["requestState"], "inputResponses": dict.fromkeys(asked["inputRequests"], yes)}

    def told(self, numbers: list[int]) -> list[str]:
        """Return what came of calls, as a code: "" for what was sent."""
        waited, codes = set(numbers), list[str]()
        while waited:
            message = json.loads(self.server.line())
            waited.discard(message["id"])
            result = message["result"]
            codes.append(result["content"][0]["text"].rpartition("[")[2].rstrip("]") if result["isError"] else "")
        return sorted(codes)

    def writes(self) -> int:
        return sum(entry.method == "PUT" for entry in self.served.sandbox.requests)


@contextmanager
def asking(served: Served) -> Iterator[Asking]:
    with started(env=served.variables(PINGONE_ALLOW_WRITES="1")) as server:
        yield Asking(served=served, server=server)


def test_thirty_copies_of_one_confirmed_call_on_a_pipe_send_one_write(served: Served) -> None:
    with asking(served) as client:
        for writes in range(1, 4):
            yes = client.question()
            assert client.told([client.call(**yes) for _ in range(30)]) == ["", *["CONFIRMATION_USED"] * 29]
            assert client.told([client.call(**yes) for _ in range(2)]) == ["CONFIRMATION_USED"] * 2
            assert client.writes() == writes


def test_a_question_is_answered_by_the_client_that_was_asked(served: Served) -> None:
    with asking(served) as client:
        yes = client.question()
        assert client.told([client.call(client={"name": "another", "version": "1"}, **yes)]) == ["CONFIRMATION_USED"]
        assert client.told([client.call(**yes)]) == [""]


def test_a_confirmation_does_not_outlive_the_server_that_asked(served: Served) -> None:
    with asking(served) as client:
        yes = client.question()
    with asking(served) as client:
        assert client.server.answer(client.call(**yes))["error"]["code"] == INVALID_PARAMS
        client.question()
        assert client.server.answer(client.call(**yes))["error"]["code"] == INVALID_PARAMS
    assert client.writes() == 0


# --- Lines


@pytest.mark.parametrize(
    ("before", "after"), [("", "\r\n"), ("\ufeff", "\n"), ("\n \n", " \n")], ids=["windows", "mark", "blanks"]
)
def test_lines_as_other_systems_write_them_are_read(tmp_path: Path, before: str, after: str) -> None:
    told = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": CLIENT}
    with started(env=bare(tmp_path)) as server:
        assert server.process.stdin is not None
        for number, (method, params) in enumerate([("initialize", told), ("tools/list", {})]):
            message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            server.process.stdin.write(before + json.dumps(message) + after)
            server.process.stdin.flush()
            assert server.answer(number)["result"]
        assert server.rest().err == ""


def test_an_argument_that_is_no_text_in_unicode_gets_an_answer(served: Served) -> None:
    with started(env=served.variables()) as server:
        server.greet()
        # Half an emoji, as JavaScript writes it: \ud83d.
        found = server.answer(server.call("list_users", query="Ann \ud83d"))["result"]
        assert found["structuredContent"]["result_count"] == 0
        assert server.rest().err == ""


@pytest.mark.parametrize(
    "value",
    ["9" * 5_000, "[" * 300 + "]" * 300, "[" * 100_000 + "]" * 100_000],
    ids=["digits", "nested", "very nested"],
)
def test_a_request_that_is_beyond_reading_gets_an_answer(served: Served, value: str) -> None:
    with started(env=served.variables()) as server:
        server.greet()
        assert server.process.stdin is not None
        call = {"jsonrpc": "2.0", "id": 77, "method": "tools/call", "params": {"name": "list_users", "arguments": {}}}
        server.process.stdin.write(json.dumps(call).replace("{}", f'{{"limit": {value}}}') + "\n")
        server.process.stdin.flush()
        refused = server.answer(77)["error"]
        assert (refused["code"], "nested too deeply" in refused["message"]) == (-32700, True)
        assert server.answer(server.call("list_users", limit=1))["result"]["isError"] is False
        assert server.rest().err == ""


def test_a_line_of_a_million_letters_is_read(served: Served) -> None:
    with started(env=served.variables()) as server:
        server.greet()
        refused = server.answer(server.call("list_users", cursor="x" * 1_000_000))["result"]
        assert refused["isError"]
        assert len(json.dumps(refused)) < 1_000, "what was sent is not sent back"
        assert server.rest().err == ""
