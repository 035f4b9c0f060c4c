"""Writes fail closed: nothing leaves the process unless settings allow it and a person has confirmed it, once."""

from __future__ import annotations

import json
import os
import random
import re
import stat
from pathlib import Path
from typing import Any, Literal

import anyio
import httpx
import pytest
from mcp import Client
from mcp.client.session import ClientRequestContext
from mcp.shared.exceptions import MCPError
from mcp.types import ElicitRequestParams, ElicitResult, ErrorData, InputRequiredResult

from pingone_mcp.errors import Refused
from pingone_mcp.service.journal import Journal
from pingone_mcp.service.questions import Questions
from pingone_mcp.service.writes import WriteRules
from tests.world import World, error_text, facts

Answer = Literal["yes", "no", "decline", "cancel"]
MODES = ("legacy", "auto")


class Person:
    """Who is asked, and what was asked."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[str] = []

    async def __call__(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult | ErrorData:
        self.asked.append(params.message)
        if self.answer in ("yes", "no"):
            return ElicitResult(action="accept", content={"confirm": self.answer == "yes"})
        return ElicitResult(action="decline" if self.answer == "decline" else "cancel")


class Watching(httpx.AsyncBaseTransport):
    """Note every request that is not a read, the token's aside."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self.inner = inner
        self.writes: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method not in ("GET", "HEAD") and not request.url.path.endswith("/as/token"):
            self.writes.append(request)
        return await self.inner.handle_async_request(request)


class Scene:
    """A user of the sandbox, and rules for changing it."""

    def __init__(self, world: World, tmp_path: Path) -> None:
        self.world = world
        self.journal = tmp_path / "state" / "writes.jsonl"
        self.watch: Watching | None = None
        self.user = next(user for user in world.sandbox.users() if user["enabled"])
        self.path = f"/environments/{world.sandbox.environment_id}/users/{self.user['id']}"

    def rules(self, **more: Any) -> WriteRules:
        return WriteRules(
            journal=Journal(self.journal, connection="default"),
            questions=Questions(now=lambda: self.world.time.passed),
            **more,
        )

    def watching(self, inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        self.watch = Watching(inner)
        return self.watch

    @property
    def sent(self) -> list[httpx.Request]:
        return self.watch.writes if self.watch else []

    def recorded(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.journal.read_text().splitlines()] if self.journal.exists() else []

    def write(self) -> dict[str, Any]:
        return {"method": "PUT", "path": f"{self.path}/enabled", "body": {"enabled": False}}

    async def disable(self, client: Client) -> Any:
        return await client.call_tool("proxy_request", self.write())

    def is_enabled(self) -> bool:
        user = self.world.sandbox.user(None, self.user["id"])
        assert user is not None
        return bool(user["enabled"])


@pytest.fixture
def scene(world: World, tmp_path: Path) -> Scene:
    return Scene(world, tmp_path)


async def test_without_the_setting_only_reads_are_offered(scene: Scene) -> None:
    async with scene.world.client(wrap=scene.watching, answers=Person("yes")) as client:
        tool = next(tool for tool in (await client.list_tools()).tools if tool.name == "proxy_request")
        result = await scene.disable(client)
    assert tool.input_schema["properties"]["method"]["enum"] == ["GET", "HEAD"]
    assert tool.annotations is not None
    assert tool.annotations.read_only_hint is True
    assert result.is_error
    assert scene.sent == []


@pytest.mark.parametrize("mode", MODES)
async def test_a_confirmed_write_is_sent_once_and_recorded(scene: Scene, mode: str) -> None:
    person = Person("yes")
    async with scene.world.client(mode=mode, wrap=scene.watching, answers=person, writes=scene.rules()) as client:
        tool = next(tool for tool in (await client.list_tools()).tools if tool.name == "proxy_request")
        answer = facts(await scene.disable(client))
    assert (answer["status"], answer["body"]["enabled"]) == (200, False)
    assert not scene.is_enabled()
    assert [request.method for request in scene.sent] == ["PUT"]
    assert tool.annotations is not None
    assert (tool.annotations.read_only_hint, tool.annotations.destructive_hint) == (False, True)
    assert "confirmation" not in tool.input_schema["properties"]
    (question,) = person.asked
    for part in ("PUT", scene.path, '"Workforce" (SANDBOX)', '{"enabled":false}'):
        assert part in question
    sending, answered = scene.recorded()
    assert (sending["event"], answered["event"], answered["status"]) == ("sending", "answered", 200)
    assert sending["id"] == answered["id"]
    assert sending["client"]["name"]
    assert sending["connection"] == answered["connection"] == "default"
    assert answered["correlation_id"] == answer["correlation_id"]
    assert sending["body_members"] == ["enabled"]
    assert stat.S_IMODE(scene.journal.stat().st_mode) == 0o600


async def test_the_person_is_asked_about_the_path_that_is_sent(scene: Scene) -> None:
    person, path = Person("yes"), f"/v1/environments/{{id}}/users/{scene.user['id']}/enabled"
    async with scene.world.client(wrap=scene.watching, answers=person, writes=scene.rules()) as client:
        write = {"method": "PUT", "path": path, "body": {"enabled": False}}
        assert facts(await client.call_tool("proxy_request", write))["status"] == 200
    assert f"PUT {scene.path}/enabled" in person.asked[0]
    assert {line["path"] for line in scene.recorded()} == {f"{scene.path}/enabled"}
    assert [request.url.path for request in scene.sent] == [f"/v1{scene.path}/enabled"]


@pytest.mark.parametrize(("body", "sent"), [({}, b"{}"), ([], b"[]"), ("", b""), (None, b"")])
async def test_an_empty_object_or_list_is_a_body_and_an_empty_text_is_none(
    scene: Scene, body: Any, sent: bytes
) -> None:
    async with scene.world.client(wrap=scene.watching, answers=Person("yes"), writes=scene.rules()) as client:
        await client.call_tool("proxy_request", {"method": "PUT", "path": f"{scene.path}/enabled", "body": body})
    assert [request.content for request in scene.sent] == [sent]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("answer", ["no", "decline", "cancel"])
async def test_what_the_person_does_not_confirm_is_not_sent(scene: Scene, mode: str, answer: Answer) -> None:
    async with scene.world.client(
        mode=mode, wrap=scene.watching, answers=Person(answer), writes=scene.rules()
    ) as client:
        result = await scene.disable(client)
    assert "nothing was sent" in error_text(result)
    assert scene.sent == []
    assert [event["event"] for event in scene.recorded()] == ["cancelled" if answer == "cancel" else "declined"]


ODD: dict[str, ElicitResult | ErrorData] = {
    "accepted without content": ElicitResult(action="accept"),
    "an empty content": ElicitResult(action="accept", content={}),
    "yes as a text": ElicitResult(action="accept", content={"confirm": "true"}),
    "yes as a number": ElicitResult(action="accept", content={"confirm": 1}),
    "another name": ElicitResult(action="accept", content={"confirmed": True}),
    "the error that there is no such method": ErrorData(
        code=-32601, message="Method not found: elicitation/create at /srv/secret.py"
    ),
    "an error of its own": ErrorData(code=-1, message="boom at /srv/secret.py"),
}


# A client of the newest protocol asks by itself: it comes back with an answer, or not at all.
@pytest.mark.parametrize(
    ("mode", "odd"), [(mode, odd) for mode in MODES for odd in ODD if mode == "legacy" or "error" not in odd]
)
async def test_an_odd_answer_is_one_sentence_and_one_line_that_nothing_was_sent(
    scene: Scene, mode: str, odd: str
) -> None:
    async def answers(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult | ErrorData:
        return ODD[odd]

    async with scene.world.client(mode=mode, wrap=scene.watching, answers=answers, writes=scene.rules()) as client:
        for _ in range(2):
            result = await scene.disable(client)
            assert result.is_error
            assert error_text(result) == (
                "The question was not answered with a yes, so nothing was sent. Do not repeat the request unasked. "
                "[NO_CONFIRMATION]"
            )
    assert scene.sent == []
    assert scene.is_enabled()
    assert [(event["event"], event["code"]) for event in scene.recorded()] == [("refused", "NO_CONFIRMATION")] * 2


async def test_a_client_that_asks_by_itself_and_fails_sends_nothing(scene: Scene) -> None:
    async def fails(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult | ErrorData:
        return ErrorData(code=-32601, message="Method not found")

    async with scene.world.client(mode="auto", wrap=scene.watching, answers=fails, writes=scene.rules()) as client:
        with pytest.raises(MCPError):
            await scene.disable(client)
    assert scene.sent == []


@pytest.mark.parametrize("mode", MODES)
async def test_an_odd_answer_uses_up_its_question(scene: Scene, mode: str) -> None:
    person = Person("yes")

    async def first_nothing(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult | ErrorData:
        answer = await person(context, params)
        return answer if len(person.asked) > 1 else ElicitResult(action="accept")

    async with scene.world.client(
        mode=mode, wrap=scene.watching, answers=first_nothing, writes=scene.rules()
    ) as client:
        assert (await scene.disable(client)).is_error
        assert facts(await scene.disable(client))["status"] == 200
    first, second = person.asked
    assert first != second
    assert len(scene.sent) == 1


async def test_a_failure_behind_a_confirmation_is_told_as_itself(scene: Scene) -> None:
    nobody = "3f5f7c1e-8a54-4d0e-9f0a-6c1f2b7d9e10"
    path = scene.path.replace(scene.user["id"], nobody)
    async with scene.world.client(answers=Person("yes"), writes=scene.rules()) as client:
        result = await client.call_tool("proxy_request", {"method": "DELETE", "path": path})
    assert result.is_error
    assert "NO_CONFIRMATION" not in error_text(result)
    assert [event["event"] for event in scene.recorded()] == ["sending", "failed"]


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_that_cannot_ask_is_refused(scene: Scene, mode: str) -> None:
    async with scene.world.client(mode=mode, wrap=scene.watching, writes=scene.rules()) as client:
        result = await scene.disable(client)
    assert "CANNOT_ASK" in error_text(result)
    assert scene.sent == []
    (event,) = scene.recorded()
    assert (event["event"], event["code"], event["path"]) == ("refused", "CANNOT_ASK", f"{scene.path}/enabled")


@pytest.mark.parametrize("mode", MODES)
async def test_a_question_that_is_never_answered_sends_nothing(scene: Scene, mode: str) -> None:
    asked = anyio.Event()

    async def never(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult | ErrorData:
        asked.set()
        await anyio.sleep_forever()
        raise AssertionError

    async with (
        scene.world.client(mode=mode, wrap=scene.watching, answers=never, writes=scene.rules()) as client,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(scene.disable, client)
        with anyio.fail_after(60):
            await asked.wait()
        tasks.cancel_scope.cancel()
    assert scene.sent == []
    assert scene.is_enabled()


@pytest.mark.parametrize("mode", MODES)
async def test_production_needs_its_own_setting(scene: Scene, mode: str) -> None:
    production = next(e for e in scene.world.sandbox.company.environments if e.type == "PRODUCTION")
    user = next(scene.world.sandbox.users(production.id))
    arguments = {
        "method": "PUT",
        "path": f"/environments/{production.id}/users/{user['id']}/enabled",
        "body": {"enabled": False},
    }
    person = Person("yes")
    for allow in (False, True):
        async with scene.world.client(
            mode=mode,
            wrap=scene.watching,
            answers=person,
            writes=scene.rules(allow_production=allow),
            environments=(production.id,),
        ) as client:
            result = await client.call_tool("proxy_request", arguments)
            assert result.is_error is not allow
            assert len(scene.sent) == int(allow)
            assert len(person.asked) == int(allow)
    events = [(event["event"], event.get("code")) for event in scene.recorded()]
    assert events == [("refused", "PRODUCTION_WRITES_OFF"), ("sending", None), ("answered", None)]


async def test_an_environment_of_unknown_type_counts_as_production(scene: Scene) -> None:
    class Unreadable(Watching):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith(f"/environments/{scene.world.sandbox.environment_id}"):
                return httpx.Response(403, json={"code": "ACCESS_FAILED"}, request=request)
            return await super().handle_async_request(request)

    def wrap(inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        scene.watch = Unreadable(inner)
        return scene.watch

    async with scene.world.client(wrap=wrap, answers=Person("yes"), writes=scene.rules()) as client:
        assert "PRODUCTION_WRITES_OFF" in error_text(await scene.disable(client))
    assert scene.sent == []


async def test_a_write_that_cannot_be_recorded_is_not_sent(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    async with scene.world.client(wrap=scene.watching, answers=Person("yes"), writes=scene.rules()) as client:
        assert "NO_AUDIT" in error_text(await scene.disable(client))
    assert scene.sent == []


@pytest.mark.parametrize(
    "path",
    [
        "/environments/{env}",
        "/environments",
        "/roles/x",
        "/organizations/x",
        "/environments/3f5f7c1e-8a54-4d0e-9f0a-6c1f2b7d9e10/users/x",
        "https://evil.example.net/v1/environments/{env}/users/x",
        "/environments/{env}/../{env}/users/x",
    ],
)
async def test_writes_that_lead_elsewhere_are_not_even_asked_about(scene: Scene, path: str) -> None:
    person = Person("yes")
    async with scene.world.client(wrap=scene.watching, answers=person, writes=scene.rules()) as client:
        path = path.replace("{env}", scene.world.sandbox.environment_id)
        result = await client.call_tool("proxy_request", {"method": "DELETE", "path": path})
    assert result.is_error
    assert person.asked == []
    assert scene.sent == []
    (event,) = scene.recorded()
    assert (event["event"], event["environment"]) == ("refused", None)
    assert event["code"] in error_text(result)


@pytest.mark.parametrize("kind", ["dropped_connection", "server_error", "bad_gateway_html", "drip", "false_length"])
async def test_a_write_that_may_have_happened_is_not_repeated(scene: Scene, kind: Any) -> None:
    scene.world.sandbox.faults.add(kind, method="PUT", times=None)
    async with scene.world.client(wrap=scene.watching, answers=Person("yes"), writes=scene.rules()) as client:
        result = await scene.disable(client)
    assert result.is_error
    assert len(scene.sent) == 1
    assert "may have happened" in error_text(result)
    assert [event["event"] for event in scene.recorded()] == ["sending", "unknown"]
    assert scene.world.time.passed < 60


async def test_a_write_that_was_refused_unprocessed_is_repeated(scene: Scene) -> None:
    scene.world.sandbox.faults.add("rate_limited_seconds", method="PUT")
    async with scene.world.client(wrap=scene.watching, answers=Person("yes"), writes=scene.rules()) as client:
        facts(await scene.disable(client))
    assert len(scene.sent) == 2
    assert not scene.is_enabled()


async def test_a_lock_is_sent_with_its_media_type(scene: Scene) -> None:
    async with scene.world.client(wrap=scene.watching, answers=Person("yes"), writes=scene.rules()) as client:
        locked = facts(
            await client.call_tool(
                "proxy_request",
                {
                    "method": "POST",
                    "path": scene.path,
                    "content_type": "application/vnd.pingidentity.account.lock+json",
                    "body": {},
                },
            )
        )
        seen = facts(await client.call_tool("get_user", {"user": scene.user["id"]}))
    assert locked["body"]["account"]["status"] == "LOCKED"
    assert seen["status_reasons"] == ["locked"]
    (request,) = scene.sent
    assert request.headers["content-type"] == "application/vnd.pingidentity.account.lock+json"
    assert request.headers["x-ping-external-transaction-id"]
    assert request.headers["x-ping-external-session-id"]


async def test_secrets_in_a_body_are_neither_shown_nor_recorded(scene: Scene) -> None:
    person = Person("decline")
    body = {"value": "hunter2hunter2", "password": {"value": "hunter2hunter2"}, "newPassword": "hunter2hunter2"}
    async with scene.world.client(answers=person, writes=scene.rules()) as client:
        await client.call_tool(
            "proxy_request",
            {
                "method": "PUT",
                "path": f"{scene.path}/password",
                "content_type": "application/vnd.pingidentity.password.set+json",
                "body": body,
            },
        )
    assert "hunter2" not in person.asked[0]
    assert "hunter2" not in scene.journal.read_text()


async def test_reads_need_no_confirmation_where_writes_are_allowed(scene: Scene) -> None:
    person = Person("yes")
    async with scene.world.client(answers=person, writes=scene.rules()) as client:
        answer = facts(await client.call_tool("proxy_request", {"path": scene.path}))
        page = facts(
            await client.call_tool("proxy_request", {"path": scene.path.rpartition("/")[0], "query": {"limit": 5}})
        )
    assert answer["body"]["id"] == scene.user["id"]
    assert len(page["result"]) == 5
    assert person.asked == []


YES = ElicitResult(action="accept", content={"confirm": True})


class Replay:
    """A client of the modern era that answers as it likes: with old answers, other requests, no questions."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def ask(self, arguments: dict[str, Any]) -> InputRequiredResult:
        result = await self.client.session.call_tool("proxy_request", arguments, allow_input_required=True)
        assert isinstance(result, InputRequiredResult)
        return result

    async def answer(
        self, arguments: dict[str, Any], asked: InputRequiredResult, answer: ElicitResult = YES, *, state: bool = True
    ) -> Any:
        assert asked.input_requests is not None
        yes: dict[str, Any] = dict.fromkeys(asked.input_requests, answer)
        return await self.client.session.call_tool(
            "proxy_request",
            arguments,
            input_responses=yes,
            request_state=asked.request_state if state else None,
            allow_input_required=True,
        )


async def test_a_confirmation_is_good_for_one_request_and_for_no_other(scene: Scene) -> None:
    disable = scene.write()
    enable = {**disable, "body": {"enabled": True}}
    async with scene.world.client(wrap=scene.watching, answers=Person("yes"), writes=scene.rules()) as client:
        replay = Replay(client)
        first = await replay.ask(disable)
        assert isinstance(await replay.answer(disable, first, state=False), InputRequiredResult)
        with pytest.raises(MCPError):  # the SDK binds its state to the arguments
            await replay.answer(enable, first)
        assert scene.sent == []
        assert not (await replay.answer(disable, first)).is_error
        assert len(scene.sent) == 1
        assert "CONFIRMATION_USED" in error_text(await replay.answer(disable, first))
        second = await replay.ask(disable)
        assert "CONFIRMATION_USED" in error_text(await replay.answer(disable, first)), "it answers an older question"
        assert len(scene.sent) == 1
        assert not (await replay.answer(disable, second)).is_error
    assert len(scene.sent) == 2
    events = [(event["event"], event.get("code"), event["path"]) for event in scene.recorded()]
    assert events.count(("refused", "CONFIRMATION_USED", disable["path"])) == 2


async def test_thirty_copies_of_one_confirmed_call_send_one_write(scene: Scene) -> None:
    disable = scene.write()
    async with scene.world.client(wrap=scene.watching, answers=Person("yes"), writes=scene.rules()) as client:
        replay = Replay(client)
        for writes in range(1, 6):
            asked = await replay.ask(disable)
            results: list[Any] = []

            async def answer(asked: InputRequiredResult = asked, results: list[Any] = results) -> None:
                results.append(await replay.answer(disable, asked))

            async with anyio.create_task_group() as tasks:
                for _ in range(30):
                    tasks.start_soon(answer)
            assert [result.is_error for result in results].count(False) == 1
            assert sum("CONFIRMATION_USED" in error_text(result) for result in results) == 29
            assert len(scene.sent) == writes


@pytest.mark.parametrize("mode", MODES)
async def test_two_questions_about_one_request_are_each_good_for_one_write(scene: Scene, mode: str) -> None:
    both = anyio.Event()
    person = Person("yes")

    async def together(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult | ErrorData:
        answer = await person(context, params)
        if len(person.asked) == 2:
            both.set()
        with anyio.fail_after(60):
            await both.wait()
        return answer

    async with (
        scene.world.client(mode=mode, wrap=scene.watching, answers=together, writes=scene.rules()) as client,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(scene.disable, client)
        tasks.start_soon(scene.disable, client)
    first, second = person.asked
    assert first != second
    assert len(scene.sent) == 2


async def test_of_two_questions_about_one_request_the_refused_one_sends_nothing(scene: Scene) -> None:
    disable = scene.write()
    async with scene.world.client(wrap=scene.watching, answers=Person("yes"), writes=scene.rules()) as client:
        replay = Replay(client)
        first, second = await replay.ask(disable), await replay.ask(disable)
        assert "DECLINED" in error_text(await replay.answer(disable, first, ElicitResult(action="decline")))
        for _ in range(2):
            assert "CONFIRMATION_USED" in error_text(await replay.answer(disable, first))
        assert scene.sent == []
        assert not (await replay.answer(disable, second)).is_error
        assert "CONFIRMATION_USED" in error_text(await replay.answer(disable, second))
    assert len(scene.sent) == 1


@pytest.mark.parametrize(
    "answer",
    [
        ElicitResult(action="decline"),
        ElicitResult(action="cancel"),
        ElicitResult(action="accept"),
        ElicitResult(action="accept", content={"confirm": False}),
        ElicitResult(action="accept", content={"confirm": "true"}),
    ],
)
async def test_any_answer_uses_up_its_question(scene: Scene, answer: ElicitResult) -> None:
    disable = scene.write()
    async with scene.world.client(wrap=scene.watching, answers=Person("yes"), writes=scene.rules()) as client:
        replay = Replay(client)
        asked = await replay.ask(disable)
        assert "nothing was sent" in error_text(await replay.answer(disable, asked, answer))
        assert "CONFIRMATION_USED" in error_text(await replay.answer(disable, asked))
    assert scene.sent == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("seconds", "writes"), [(600, 1), (601, 0)])
async def test_a_yes_that_comes_after_ten_minutes_is_none(scene: Scene, mode: str, seconds: float, writes: int) -> None:
    async def thinks(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult | ErrorData:
        scene.world.time.passed += seconds
        return YES

    async with scene.world.client(mode=mode, wrap=scene.watching, answers=thinks, writes=scene.rules()) as client:
        result = await scene.disable(client)
    assert len(scene.sent) == writes
    assert ("CONFIRMATION_USED" in error_text(result)) is (writes == 0)


async def test_questions_that_nobody_answers_are_forgotten_the_oldest_first(scene: Scene) -> None:
    disable = scene.write()
    async with scene.world.client(wrap=scene.watching, answers=Person("yes"), writes=scene.rules()) as client:
        replay = Replay(client)
        first, second = [await replay.ask(disable) for _ in range(201)][:2]
        assert "CONFIRMATION_USED" in error_text(await replay.answer(disable, first))
        assert not (await replay.answer(disable, second)).is_error
    assert len(scene.sent) == 1


class Bell:
    """Time that ends when somebody says so, however long it was to be."""

    def __init__(self) -> None:
        self.scopes: list[tuple[float, anyio.CancelScope]] = []

    def within(self, seconds: float) -> anyio.CancelScope:
        self.scopes.append((seconds, anyio.CancelScope()))
        return self.scopes[-1][1]

    def ring(self) -> None:
        self.scopes[-1][1].cancel()


@pytest.mark.parametrize("mode", MODES)
async def test_a_write_whose_answer_does_not_come_is_told_as_unknown_within_a_minute(scene: Scene, mode: str) -> None:
    bell = Bell()

    class Stuck(Watching):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.method != "PUT":
                return await super().handle_async_request(request)
            self.writes.append(request)
            bell.ring()
            await anyio.sleep_forever()
            raise AssertionError

    def wrap(inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        scene.watch = Stuck(inner)
        return scene.watch

    async with scene.world.client(
        mode=mode, wrap=wrap, answers=Person("yes"), writes=scene.rules(within=bell.within)
    ) as client:
        with anyio.fail_after(60):
            result = await scene.disable(client)
    assert "may have happened" in error_text(result)
    assert "TOO_SLOW" in error_text(result)
    assert len(scene.sent) == 1
    assert [(event["event"], event.get("code")) for event in scene.recorded()] == [
        ("sending", None),
        ("unknown", "TOO_SLOW"),
    ]
    # A client of the sessions waits for its first check before it asks its person, and counts anew behind that.
    last_call = bell.scopes[1:] if mode == "auto" else bell.scopes[-2:]
    assert sum(seconds for seconds, _ in last_call) <= 55


async def test_what_is_read_before_a_question_is_waited_for_within_bounds(scene: Scene) -> None:
    bell, person = Bell(), Person("yes")

    class Stuck(Watching):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith(f"/environments/{scene.world.sandbox.environment_id}"):
                bell.ring()
                await anyio.sleep_forever()
            return await super().handle_async_request(request)

    def wrap(inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        scene.watch = Stuck(inner)
        return scene.watch

    async with scene.world.client(wrap=wrap, answers=person, writes=scene.rules(within=bell.within)) as client:
        with anyio.fail_after(60):
            result = await scene.disable(client)
    assert "Nothing was sent" in error_text(result)
    assert (person.asked, scene.sent) == ([], [])
    assert [(event["event"], event["code"]) for event in scene.recorded()] == [("refused", "TOO_SLOW")]


async def test_an_environment_that_became_production_while_the_person_thought_is_left_alone(scene: Scene) -> None:
    kinds = iter(["SANDBOX", "PRODUCTION"])

    class Turning(Watching):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            response = await super().handle_async_request(request)
            if request.url.path.endswith(f"/environments/{scene.world.sandbox.environment_id}"):
                body = json.loads(await response.aread()) | {"type": next(kinds)}
                return httpx.Response(200, json=body, request=request)
            return response

    def wrap(inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        scene.watch = Turning(inner)
        return scene.watch

    async with scene.world.client(mode="legacy", wrap=wrap, answers=Person("yes"), writes=scene.rules()) as client:
        assert "PRODUCTION_WRITES_OFF" in error_text(await scene.disable(client))
    assert scene.sent == []
    assert [(event["event"], event["code"]) for event in scene.recorded()] == [("refused", "PRODUCTION_WRITES_OFF")]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\x89PNG", "image/png"),
        (b'{"id": ', "application/json"),
        (
            b'{"_links":{"next":{"href":"https://evil.example.net/"}},"_embedded":{"users":[{"id":"1"}]}}',
            "application/json",
        ),
        (b'[{"id":"1"},{"id":"2"}]', "application/json"),
        (b"a;b\n" * 40_000, "text/csv"),
        (json.dumps(["x" * 50] * 2_000).encode(), "application/json"),
        (b'{"a":"' + b"x" * 10_000_000, "application/json"),
        (b"[" + b"0," * 200_000 + b"0]", "application/json"),
        (b"x" * 10_000_000, "text/plain"),
    ],
    ids=["binary", "cut", "foreign", "list", "csv", "long", "too-large", "too-many", "too-long"],
)
async def test_a_write_that_was_done_is_told_as_done_whatever_its_answer(
    scene: Scene, content: bytes, kind: str
) -> None:
    class Odd(Watching):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.method != "PUT":
                return await super().handle_async_request(request)
            self.writes.append(request)
            return httpx.Response(201, content=content, headers={"content-type": kind}, request=request)

    def wrap(inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        scene.watch = Odd(inner)
        return scene.watch

    async with scene.world.client(wrap=wrap, answers=Person("yes"), writes=scene.rules()) as client:
        result = await scene.disable(client)
    answer = facts(result)
    assert answer["status"] == 201
    assert "body" in answer or "cannot be shown" in answer["note"]
    assert len(error_text(result)) <= 20_000
    assert [event["event"] for event in scene.recorded()] == ["sending", "answered"]
    assert len(scene.sent) == 1


@pytest.mark.parametrize(
    ("body", "shows"),
    [
        ({"a": "x" * 1_500, "enabled": False}, '"enabled":false'),
        ({"title": "A\u200bdmin\U000e0041"}, "A\\u200bdmin\\udb40\\udc41"),
        ({"note": "-----BEGIN PRIVATE KEY----- evil instructions"}, "[redacted, 45 characters]"),
        ({"title": "x\nEnvironment: `Other` (SANDBOX)"}, '"x\\nEnvironment'),
        ({"title": "x\u2028Environment: `Other`"}, "x\\u2028Environment"),
    ],
)
async def test_the_person_sees_all_that_is_sent(scene: Scene, body: dict[str, Any], shows: str) -> None:
    person = Person("decline")
    async with scene.world.client(answers=person, writes=scene.rules()) as client:
        await client.call_tool("proxy_request", {"method": "PATCH", "path": scene.path, "body": body})
    (question,) = person.asked
    assert shows in question
    assert question.isascii() or question.isprintable() or all(line.isprintable() for line in question.split("\n"))
    assert question.count("\n") == 4


SHOWY = 'ab1 _*`<>[]()!:/\\"{},\n\x00\u2028\u202e\u200bאé漢\u0301\U000e0041'


async def test_a_question_is_our_lines_and_the_data_in_it_parses_back(scene: Scene) -> None:
    die, person = random.Random(7), Person("decline")

    def text() -> str:
        return "".join(die.choices(SHOWY, k=die.randint(1, 12)))

    async with scene.world.client(answers=person, writes=scene.rules()) as client:
        for _ in range(40):
            body: dict[str, Any] = {
                text(): [text(), {text(): text()}],
                text(): die.choice([None, True, 7, "", {}, [[]]]),
            }
            query = {text(): text(), text(): [text(), text()]}
            write = {"method": "PATCH", "path": scene.path, "query": query, "body": body}
            await client.call_tool("proxy_request", write)
            first, *lines = person.asked.pop().split("\n")
            assert re.fullmatch(r"Send this to PingOne\? \([0-9a-f]{16}\)", first)
            assert [line.partition(" ")[0] for line in lines] == ["PATCH", "Environment:", "User:", "Query:", "Body:"]
            assert json.loads(lines[3].removeprefix("Query: ")) == query
            assert json.loads(lines[4].removeprefix("Body: ")) == body
            assert all(line.isprintable() and not set(line) & set("*`~|#&<>") for line in lines)


async def question_about(scene: Scene, method: str, path: str, body: Any = None, **client: Any) -> str:
    """Return what the person is asked about a write below the environment of the scene."""
    person = Person("decline")
    given = {"method": method, "path": f"/environments/{scene.world.sandbox.environment_id}{path}", "body": body}
    async with scene.world.client(answers=person, writes=scene.rules(), **client) as opened:
        assert "nothing was sent" in error_text(await opened.call_tool("proxy_request", given))
    (question,) = person.asked
    return question


async def test_the_question_names_whom_it_is_about(scene: Scene) -> None:
    user, state = scene.user, scene.world.sandbox.state()
    group = next(group.id for group in state.groups.values() if group.record["name"] == "Sales")
    population = user["population"]["id"]
    person = f'User: "Amara Eriksen", username "{user["username"]}", {user["id"]}'
    asked = await question_about(scene, "PUT", f"/users/{user['id']}/enabled", {"enabled": False})
    assert person in asked
    asked = await question_about(scene, "POST", f"/users/{user['id']}/memberOfGroups", {"id": group})
    assert (person in asked, f'Group: "Sales", {group}' in asked) == (True, True)
    asked = await question_about(scene, "DELETE", f"/users/{user['id']}/memberOfGroups/{group}")
    assert (person in asked, 'Group: "Sales"' in asked) == (True, True)
    asked = await question_about(scene, "DELETE", f"/groups/{group}")
    assert 'Group: "Sales"' in asked
    asked = await question_about(scene, "PUT", f"/users/{user['id']}/population", {"id": population})
    assert (person in asked, f'Population: "Employees", {population}' in asked) == (True, True)
    role = (await scene.world.native("/roles"))["_embedded"]["roles"][0]
    asked = await question_about(scene, "POST", f"/users/{user['id']}/roleAssignments", {"role": {"id": role["id"]}})
    assert f'Role: "{role["name"]}", {role["id"]}' in asked
    scope = {"id": population, "type": "POPULATION"}
    given = [{"role": {"id": role["id"]}, "scope": scope}]
    asked = await question_about(scene, "POST", f"/users/{user['id']}/roleAssignments", given)
    assert f'Role: "{role["name"]}", {role["id"]}\nPopulation: "Employees", {population}' in asked
    nobody = "3f5f7c1e-8a54-4d0e-9f0a-6c1f2b7d9e10"
    asked = await question_about(scene, "DELETE", f"/users/{nobody}")
    assert f"User: there is none of this id, {nobody}" in asked


async def test_the_question_about_a_role_that_is_taken_names_the_role(scene: Scene) -> None:
    home, names = f"/environments/{scene.world.sandbox.environment_id}", {}
    for role in (await scene.world.native("/roles"))["_embedded"]["roles"]:
        names[role["id"]] = role["name"]
    for user in scene.world.sandbox.users():
        held = await scene.world.native(f"{home}/users/{user['id']}/roleAssignments")
        for one in held["_embedded"]["roleAssignments"]:
            asked = await question_about(scene, "DELETE", f"/users/{user['id']}/roleAssignments/{one['id']}")
            assert f'Role assignment: "{names[one["role"]["id"]]}", {one["id"]}' in asked
            return
    raise AssertionError("nobody has a role")


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("scope", ["ORGANIZATION", "organization", "another environment", "unknown", "nothing said"])
async def test_a_role_over_more_than_the_environment_needs_the_second_setting(
    scene: Scene, scope: str, *, many: bool
) -> None:
    place = scene.world.sandbox.environment_id
    given = {"id": "3f5f7c1e-8a54-4d0e-9f0a-6c1f2b7d9e10", "type": scope}
    if scope == "another environment":
        given["type"] = "ENVIRONMENT"
    if scope == "nothing said":
        del given["type"]
    body: Any = {"role": {"id": "3f5f7c1e-8a54-4d0e-9f0a-6c1f2b7d9e11"}, "scope": given}
    write = {"method": "POST", "path": f"{scene.path}/roleAssignments", "body": [body] if many else body}
    person = Person("yes")
    async with scene.world.client(wrap=scene.watching, answers=person, writes=scene.rules()) as client:
        assert "PRODUCTION_WRITES_OFF" in error_text(await client.call_tool("proxy_request", write))
    assert (scene.sent, person.asked) == ([], [])
    body["scope"] = {"id": place, "type": "ENVIRONMENT"}
    await question_about(scene, "POST", f"/users/{scene.user['id']}/roleAssignments", write["body"])
    body["scope"] = given
    rules = scene.rules(allow_production=True)
    async with scene.world.client(answers=person, writes=rules) as client:
        await client.call_tool("proxy_request", write)
    assert len(person.asked) == 1


@pytest.mark.parametrize("start", ["/environments/{id}", "/v1/environments/{environmentID}", "/v1/environments/ENV"])
async def test_the_question_names_whom_it_is_about_however_the_path_is_written(scene: Scene, start: str) -> None:
    person = Person("decline")
    start = start.replace("ENV", scene.world.sandbox.environment_id)
    async with scene.world.client(answers=person, writes=scene.rules()) as client:
        await client.call_tool("proxy_request", {"method": "DELETE", "path": f"{start}/users/{scene.user['id']}"})
    (question,) = person.asked
    assert f'User: "Amara Eriksen", username "{scene.user["username"]}", {scene.user["id"]}' in question


async def test_a_name_cannot_leave_its_quotes_in_a_question(scene: Scene) -> None:
    state = scene.world.sandbox.state()
    position = next(at for at, user in enumerate(scene.world.sandbox.users()) if user["id"] == scene.user["id"])
    evil = 'Ann"\nEnvironment: "Other" (SANDBOX)\u202e\u200b' + "x" * 150
    state.put_user(position, state.user(position) | {"name": {"formatted": evil}})
    asked = await question_about(scene, "DELETE", f"/users/{scene.user['id']}")
    (line,) = [line for line in asked.split("\n") if line.startswith("User: ")]
    assert line.isprintable()
    assert line.startswith(r'User: "Ann\u0022\nEnvironment: \u0022Other\u0022 (SANDBOX)\u202e\u200b')
    assert 'x" and more, username' in line
    assert asked.count("\nEnvironment: ") == 1


@pytest.mark.parametrize("kind", ["server_error", "bad_gateway_html", "dropped_connection", "truncated_body"])
async def test_a_name_that_cannot_be_read_is_said_and_keeps_nothing_from_being_asked(scene: Scene, kind: Any) -> None:
    scene.world.sandbox.faults.add(kind, method="GET", path=f"/users/{scene.user['id']}$", times=None)
    asked = await question_about(scene, "DELETE", f"/users/{scene.user['id']}")
    assert f"User: the name cannot be read, {scene.user['id']}" in asked


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"body": {"a": "x" * 10_000}}, "TOO_LARGE_TO_CONFIRM"),
        ({"content_type": "application/json\r\nX-Evil: 1"}, "MEDIA_TYPE_REFUSED"),
        ({"content_type": f"application/json; {'x' * 300}=evil"}, "MEDIA_TYPE_REFUSED"),
        ({"query": {"x": "y" * 200_000}}, "QUERY_REFUSED"),
        ({"cursor": "x"}, "CURSOR_REFUSED"),
        ({"body": "[" * 400 + "]" * 400}, "BODY_REFUSED"),
        ({"body": {"x": "\ud800"}}, "BODY_REFUSED"),
    ],
)
async def test_what_would_be_refused_later_is_not_asked_about(
    scene: Scene, arguments: dict[str, Any], says: str
) -> None:
    person = Person("yes")
    async with scene.world.client(wrap=scene.watching, answers=person, writes=scene.rules()) as client:
        given = {"method": "PATCH", "path": scene.path, "body": {"title": "x"}} | arguments
        assert says in error_text(await client.call_tool("proxy_request", given))
    assert scene.sent == []
    assert person.asked == []
    (event,) = scene.recorded()
    assert (event["event"], event["code"], event["method"]) == ("refused", says, "PATCH")


async def test_what_is_refused_is_recorded_within_bounds(scene: Scene) -> None:
    names = [f"{number}{'x' * 5_000}" for number in range(150)]
    async with scene.world.client(answers=Person("yes"), writes=scene.rules()) as client:
        write = {"method": "PATCH", "path": scene.path, "body": dict.fromkeys(names, 1), "content_type": "x" * 100_000}
        assert (await client.call_tool("proxy_request", write)).is_error
    (event,) = scene.recorded()
    assert len(event["body_members"]) == 100
    assert scene.journal.stat().st_size < 20_000


async def test_secrets_in_query_and_path_are_neither_shown_nor_recorded(scene: Scene) -> None:
    person = Person("decline")
    async with scene.world.client(answers=person, writes=scene.rules()) as client:
        await client.call_tool(
            "proxy_request",
            {
                "method": "PATCH",
                "path": f"{scene.path}?password=hunter2",
                "query": {"access_token": "hunter2"},
                "body": {},
            },
        )
    assert "hunter2" not in person.asked[0]
    assert "hunter2" not in scene.journal.read_text()
    assert scene.recorded()[0]["query"] == ["access_token", "password"]


@pytest.mark.parametrize(
    "part", ["status", "type", "Type", "BillOfMaterials", "%62illOfMaterials", "type/", "type.json"]
)
async def test_the_environment_itself_is_not_written(scene: Scene, part: str) -> None:
    person = Person("yes")
    async with scene.world.client(wrap=scene.watching, answers=person, writes=scene.rules()) as client:
        path = f"/environments/{scene.world.sandbox.environment_id}/{part}"
        result = await client.call_tool("proxy_request", {"method": "PUT", "path": path, "body": {}})
    assert (person.asked, scene.sent) == ([], [])
    assert "PATH_REFUSED" in error_text(result)


async def test_no_spelling_of_an_id_hides_whom_a_write_is_about(scene: Scene) -> None:
    person, home = Person("yes"), scene.world.sandbox.environment_id
    async with scene.world.client(wrap=scene.watching, answers=person, writes=scene.rules()) as client:
        for given in (home, scene.user["id"]):
            path = f"{scene.path}/enabled".replace(given, given.upper())
            result = await client.call_tool("proxy_request", {"method": "PUT", "path": path, "body": {}})
            assert f"PingOne writes `{given}` with other capitals." in error_text(result)
    assert (person.asked, scene.sent) == ([], [])


async def test_what_was_made_is_found_at_once(scene: Scene) -> None:
    root = f"/environments/{scene.world.sandbox.environment_id}/groups"
    async with scene.world.client(answers=Person("yes"), writes=scene.rules()) as client:
        assert (await client.call_tool("list_members", {"group": "Brand New"})).is_error
        made = await client.call_tool("proxy_request", {"method": "POST", "path": root, "body": {"name": "Brand New"}})
        assert facts(made)["status"] == 201
        assert facts(await client.call_tool("list_members", {"group": "Brand New"}))["result"] == []
        assert facts(await client.call_tool("describe_directory", {}))["writes"] is True


def test_the_journal_goes_on_behind_a_line_that_was_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "writes.jsonl"
    path.write_text('{"half":')
    path.chmod(0o644)
    Journal(path, connection="default").write({"event": "sending"})
    assert path.read_text() == '{"half":\n{"event":"sending","connection":"default"}\n'
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_pipe_is_no_journal(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Refused, match="so nothing was sent"):
        Journal(tmp_path / "pipe", connection="default").write({"event": "sending"})


def test_a_link_is_no_journal(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").touch()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refused):
        Journal(tmp_path / "link", connection="default").write({"event": "sending"})
