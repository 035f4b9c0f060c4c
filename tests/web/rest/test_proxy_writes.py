"""Writes through `/proxy`: allowed by permission and switches, recorded, and with a key done once."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from pingone_mcp.sandbox.faults import Fault
from tests.web.rest.offices import Office

KEY = {"Idempotency-Key": "6f1d6f0e-1"}


@pytest.fixture
async def acme(desk: Office) -> str:
    linked = await desk.estate.link("acme", allow_writes=True, retry_seconds=0)
    desk.is_for(linked.id)
    return linked.id


def user_of(desk: Office) -> dict[str, Any]:
    return next(user for user in desk.estate.company("acme").sandbox.users() if user["enabled"])


def enabled(desk: Office) -> str:
    return f"/proxy/users/{user_of(desk)['id']}/enabled"


def writes(desk: Office, name: str = "acme") -> list[str]:
    requests = desk.estate.company(name).sandbox.requests
    return [one.method for one in requests if one.method != "GET" and one.path.startswith("/v1/")]


def recorded(desk: Office) -> list[dict[str, Any]]:
    path = desk.estate.folder / "state" / "writes.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


async def test_a_write_is_sent_once_and_recorded_with_who_sent_it(desk: Office, acme: str) -> None:
    path = enabled(desk)
    done = await desk.ask("PUT", path, json={"enabled": False})
    assert done["enabled"] is False
    assert writes(desk) == ["PUT"]
    sending, answered = recorded(desk)
    assert (sending["event"], answered["event"], answered["status"]) == ("sending", "answered", 200)
    assert (sending["connection"], sending["client"]["name"]) == (acme, f"key:{acme}")
    assert sending["principal"] == f"local somebody key:{acme}"
    assert sending["body_members"] == ["enabled"]


async def test_what_is_made_and_deleted_keeps_the_status_of_pingone(desk: Office, acme: str) -> None:
    made = await desk.http.post("/proxy/groups", json={"name": "Made here"})
    assert (made.status_code, made.json()["name"]) == (201, "Made here")
    gone = await desk.http.delete(f"/proxy/groups/{made.json()['id']}", headers={"Content-Type": "application/json"})
    assert (gone.status_code, gone.content) == (204, b"")


async def test_a_media_type_of_pingone_is_passed_on(desk: Office, acme: str) -> None:
    path = f"/proxy/users/{user_of(desk)['id']}"
    answer = await desk.http.post(path, headers={"Content-Type": "application/vnd.pingidentity.account.lock+json"})
    assert answer.status_code == 200, answer.text
    assert recorded(desk)[0]["content_type"] == "application/vnd.pingidentity.account.lock+json"


async def test_without_the_permission_nothing_is_written(desk: Office, acme: str) -> None:
    desk.is_for(acme, may=("directory.read", "connections.manage"))
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert "directory.write" in (await desk.ask(method, enabled(desk), 403, json={}))["message"]
    assert writes(desk) == []


async def test_without_the_switch_of_the_connection_nothing_is_written(desk: Office) -> None:
    linked = await desk.estate.link("acme")
    desk.is_for(linked.id)
    assert (await desk.ask("PUT", enabled(desk), 403, json={"enabled": False}))["code"] == "WRITES_OFF"
    assert writes(desk) == []


@pytest.mark.parametrize("allowed", [False, True])
async def test_what_is_no_sandbox_needs_the_second_switch(desk: Office, *, allowed: bool) -> None:
    sandbox = desk.estate.company("acme").sandbox
    production = next(one for one in sandbox.company.environments if one.type == "PRODUCTION")
    user = next(sandbox.users(production.id))
    linked = await desk.estate.link(
        "acme", allow_writes=True, allow_production_writes=allowed, environments=production.id
    )
    desk.is_for(linked.id)
    answer = await desk.http.put(f"/proxy/users/{user['id']}/enabled", json={"enabled": False})
    if allowed:
        assert (answer.status_code, writes(desk)) == (200, ["PUT"])
        return
    assert (answer.status_code, answer.json()["code"]) == (403, "PRODUCTION_WRITES_OFF")
    assert writes(desk) == []
    assert [line["event"] for line in recorded(desk)] == ["refused"]


@pytest.mark.parametrize(
    "path",
    ["/proxy/environments/{}", "/proxy/roles", "/proxy/users/%2541bc", "/proxy/Users", "/proxy/users/x%00", "/proxy/"],
)
async def test_the_fence_holds_for_writes(desk: Office, acme: str, path: str) -> None:
    home = desk.estate.company("acme").sandbox.environment_id
    answer = await desk.http.request("DELETE", path.replace("{}", home))
    assert answer.status_code in (400, 404)
    assert writes(desk) == []


@pytest.mark.parametrize(
    "body", [b"{", b"nonsense", b'{"a": NaN}', b'{"a": 1e999}', b"\xff", b'"\\ud800"', b"[" * 5_000]
)
async def test_a_body_that_is_no_json_is_refused(desk: Office, acme: str, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    assert (await desk.ask("PUT", enabled(desk), 400, content=body, headers=headers))["code"] == "WRONG_BODY"
    other = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await desk.ask("PUT", enabled(desk), 415, content=b"a=1", headers=other))["code"] == "NOT_JSON"
    assert writes(desk) == []


# --- Idempotency-Key


async def test_the_same_key_gives_the_first_answer_and_does_nothing_again(desk: Office, acme: str) -> None:
    first = await desk.http.post("/proxy/groups", json={"name": "Once"}, headers=KEY)
    again = await desk.http.post("/proxy/groups", json={"name": "Once"}, headers=KEY)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert again.headers["content-type"] == "application/json"
    assert (first.headers.get("idempotent-replayed"), again.headers["idempotent-replayed"]) == (None, "true")
    assert writes(desk) == ["POST"]


async def test_an_answer_without_a_body_is_kept_too(desk: Office, acme: str) -> None:
    made = await desk.http.post("/proxy/groups", json={"name": "Short"})
    path = f"/proxy/groups/{made.json()['id']}"
    answers = [await desk.http.delete(path, headers=KEY) for _ in range(2)]
    assert [(one.status_code, one.content) for one in answers] == [(204, b""), (204, b"")]
    assert writes(desk) == ["POST", "DELETE"]


@pytest.mark.parametrize(
    "other",
    [{"json": {"name": "Twice"}}, {"json": {"name": "Once"}, "params": {"expand": "x"}}, {"content": b"{}"}],
)
async def test_the_same_key_with_another_request_is_refused(desk: Office, acme: str, other: dict[str, Any]) -> None:
    await desk.http.post("/proxy/groups", json={"name": "Once"}, headers=KEY)
    body = await desk.ask("POST", "/proxy/groups", 422, headers=KEY, **other)
    assert body["code"] == "KEY_REUSED"
    assert writes(desk) == ["POST"]


async def test_a_key_is_one_of_its_caller_its_connection_and_its_path(desk: Office, acme: str) -> None:
    globex = await desk.estate.link("globex", allow_writes=True)
    body: dict[str, Any] = {"json": {"name": "Mine"}, "headers": KEY}
    assert (await desk.http.post("/proxy/groups", **body)).status_code == 201
    assert (await desk.http.post("/proxy/populations", **body)).status_code == 201
    desk.is_for(globex.id)
    assert (await desk.http.post("/proxy/groups", **body)).status_code == 201
    desk.is_for(acme, globex.id)
    body["json"] = {"name": "Another caller's"}
    assert (await desk.http.post("/proxy/groups", params={"integrated_account_id": acme}, **body)).status_code == 201
    assert writes(desk) == ["POST", "POST", "POST"]
    assert writes(desk, "globex") == ["POST"]


async def test_one_at_a_time_and_the_other_hears_so(desk: Office, acme: str) -> None:
    sandbox = desk.estate.company("acme").sandbox
    arrived, released = anyio.Event(), anyio.Event()
    answers: list[int] = []

    async def slowly(seconds: float) -> None:
        arrived.set()
        await released.wait()

    sandbox.sleep = slowly
    sandbox.faults.add(Fault("slow", path="/groups", seconds=1))

    async def first() -> None:
        answers.append((await desk.http.post("/proxy/groups", json={"name": "Slow"}, headers=KEY)).status_code)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first)
            await arrived.wait()
            for _ in range(3):  # as Truto's SDK in TypeScript sends a 409 again
                body = await desk.ask("POST", "/proxy/groups", 409, json={"name": "Slow"}, headers=KEY)
                assert body["code"] == "IN_FLIGHT"
            released.set()
    again = await desk.http.post("/proxy/groups", json={"name": "Slow"}, headers=KEY)
    assert answers == [again.status_code] == [201]
    assert writes(desk) == ["POST"]


async def test_what_was_refused_before_it_was_sent_may_be_sent_again(desk: Office, acme: str) -> None:
    linking = desk.estate.administration.linking
    await linking.reconnect(acme, {"allow_writes": False}, desk.estate.steps.append)
    assert (await desk.ask("POST", "/proxy/groups", 403, json={"name": "x"}, headers=KEY))["code"] == "WRITES_OFF"
    await linking.reconnect(acme, {"allow_writes": True}, desk.estate.steps.append)
    assert (await desk.http.post("/proxy/groups", json={"name": "x"}, headers=KEY)).status_code == 201
    assert writes(desk) == ["POST"]


async def test_what_pingone_has_refused_stays_the_answer(desk: Office, acme: str) -> None:
    answers = [await desk.http.post("/proxy/groups", json={}, headers=KEY) for _ in range(2)]
    assert [one.status_code for one in answers] == [400, 400]
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["truto_is_remote_error"] is True
    assert writes(desk) == ["POST"]


@pytest.mark.parametrize("keyed", [True, False])
@pytest.mark.parametrize("kind", ["server_error", "unavailable_503", "dropped_connection"])
async def test_a_write_that_may_have_happened_is_answered_so_that_no_client_repeats_it(
    desk: Office, acme: str, kind: Any, *, keyed: bool
) -> None:
    headers = KEY if keyed else {}
    desk.estate.company("acme").sandbox.faults.add(Fault(kind, path="/groups"))
    body = await desk.ask("POST", "/proxy/groups", 500, json={"name": "Perhaps"}, headers=headers)
    assert "before you repeat" in body["next_step"]
    assert body["truto_is_remote_error"] is True
    if keyed:
        assert await desk.ask("POST", "/proxy/groups", 500, json={"name": "Perhaps"}, headers=headers) == body
    assert [line["event"] for line in recorded(desk)] == ["sending", "unknown"]


@pytest.mark.parametrize("key", ["", "x" * 256, "\tx\x01", "ä"])
async def test_a_key_is_a_short_text(desk: Office, acme: str, key: str) -> None:
    headers = {b"Idempotency-Key": key.encode()}
    answer = await desk.http.post("/proxy/groups", json={"name": "x"}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "WRONG_KEY")
