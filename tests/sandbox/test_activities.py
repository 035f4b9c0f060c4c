from __future__ import annotations

from typing import Any

import httpx
import pytest

from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.options import Options
from tests.sandbox.entrance import NOW, enter, walk

pytestmark = pytest.mark.anyio

SPAN = 'recordedAt ge "2026-05-01T00:00:00Z" and recordedAt le "2026-06-16T00:00:00Z"'


async def events(client: httpx.AsyncClient, more: str = "", limit: int = 50) -> list[dict[str, Any]]:
    address = httpx.URL("/activities", params={"filter": SPAN + more, "limit": str(limit)})
    return await walk(client, str(address), "activities")


async def test_the_log_goes_back_fourteen_days_newest_first(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    rows = await events(client, limit=4)
    times = [row["recordedAt"] for row in rows]
    assert times == sorted(times, reverse=True)
    assert len({row["id"] for row in rows}) == len(rows) > 12
    assert "2026-06-01T12:00:00.000Z" <= times[-1] < times[0] <= "2026-06-15T12:00:00.000Z"
    sandbox.clock.advance(10 * 86_400)
    left = sandbox.state().events_between(0, 2**60)
    assert 0 < len(left) < len(rows)


async def test_the_envelope_has_no_count_and_the_event_the_recorded_shape(client: httpx.AsyncClient) -> None:
    page = (await client.get("/activities", params={"filter": f'{SPAN} and action.type eq "USER.DELETED"'})).json()
    assert list(page) == ["_links", "_embedded"]
    event = page["_embedded"]["activities"][0]
    resource = event["resources"][0]
    assert list(event) == [
        "_links",
        "id",
        "recordedAt",
        "createdAt",
        "correlationId",
        "actors",
        "action",
        "resources",
        "result",
        "tags",
    ]
    assert event["action"] == {"type": "USER.DELETED", "description": "User Deleted"}
    assert event["result"] == {"status": "SUCCESS", "description": f"Deleted User {resource['name']}"}
    assert list(resource) == ["type", "id", "name", "environment", "population", "href"]
    assert (await client.get(event["_links"]["self"]["href"])).json() == event
    assert (await client.get(resource["href"])).status_code == 404


async def test_the_history_agrees_with_the_users(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    state = sandbox.state()
    recent = {user["id"]: user for user in sandbox.users() if user["updatedAt"] >= "2026-06-01T12:00:00.000Z"}
    told: dict[str, dict[str, Any]] = {}
    for event in reversed(await events(client)):
        path = event["resources"][0]["href"].partition("/users/")[2]
        user_id, _, membership = path.partition("/")
        position = state.position(user_id)
        kind = event["action"]["type"]
        if membership:
            assert position is not None
            group = state.groups[membership.rpartition("/")[2]]
            assert state.is_direct(position, group) == (kind == "MEMBER_OF_GROUP.CREATED")
            continue
        if position is None:
            told.setdefault(user_id, {})["gone"] = True
            continue
        told[user_id] = event
    assert any("gone" in event for event in told.values())
    living = {user_id: event for user_id, event in told.items() if "gone" not in event}
    assert set(living) == set(recent)
    for user_id, event in living.items():
        user, kind = recent[user_id], event["action"]["type"]
        assert user["updatedAt"] == event["recordedAt"]
        if kind == "USER.LOCKED":
            assert user["account"] == {"canAuthenticate": False, "status": "LOCKED", "lockedAt": event["recordedAt"]}
        if kind == "USER.UNLOCKED":
            assert user["account"]["status"] == "OK"
        if kind == "USER.CREATED":
            assert user["createdAt"] == event["recordedAt"]
    disabled = [user for user in recent.values() if not user["enabled"]]
    assert disabled
    assert all(living[user["id"]]["result"]["description"].startswith("Updated enabled") for user in disabled)


async def test_some_users_were_deleted_before_the_log_begins(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    gone = {row["resources"][0]["id"] for row in await events(client, ' and action.type eq "USER.DELETED"')}
    main = sandbox.company.main
    ghosts = {main.people.ids.of(ghost.index) for ghost in main.ghosts}
    assert gone < ghosts


@pytest.mark.parametrize(
    "text",
    [
        None,
        'action.type eq "USER.DELETED"',
        'recordedAt ge "2026-06-01T00:00:00Z"',
        f'{SPAN} and action.type eq "USER.DELETED" and resources.id eq "x"',
        f'{SPAN} and resources.id eq "x" and resources.population.id eq "y"',
        f'{SPAN} and tags eq "adminIdentityEvent" and action.type eq "USER.DELETED"',
        f'{SPAN} or action.type eq "USER.DELETED"',
        f'{SPAN} and result.status eq "SUCCESS"',
        'recordedAt eq "2026-06-01T00:00:00Z"',
    ],
)
async def test_questions_that_are_not_answered(client: httpx.AsyncClient, text: str | None) -> None:
    answer = await client.get("/activities", params={} if text is None else {"filter": text})
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_DATA")


@pytest.mark.parametrize(
    "text",
    [
        SPAN.replace("recordedAt", "recordedat").replace(" and ", " AND "),
        SPAN.replace("recordedAt", "createdAt").replace("ge", "gt").replace("le ", "lt "),
        f'{SPAN} and action.type eq "USER.UPDATED" and resources.population.id eq "x"',
        f'{SPAN} and actors.user.name eq "sam.reyes@example.com" and resources.population.id eq "x"',
        f'{SPAN} and resources.type eq "USER"',
        f'{SPAN} and resources.population.id eq "x"',
        f'{SPAN} and tags eq "adminIdentityEvent"',
    ],
)
async def test_questions_that_are(client: httpx.AsyncClient, text: str) -> None:
    assert (await client.get("/activities", params={"filter": text})).status_code == 200


async def test_a_question_may_be_asked_in_a_body(client: httpx.AsyncClient) -> None:
    rows = await events(client)
    first = (await client.post("/activities", json={"filter": SPAN, "limit": 5})).json()
    assert first["_embedded"]["activities"] == rows[:5]
    assert await walk(client, first["_links"]["next"]["href"], "activities") == rows[5:]
    later = (await client.post("/activities", json={"filter": SPAN, "limit": 5, "offset": 3})).json()
    assert later["_embedded"]["activities"] == rows[3:8]
    assert (await client.post("/activities", json={"limit": 5})).status_code == 400


async def test_writes_are_recorded_with_their_correlation(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    before = len(sandbox.state().events)
    headers = {"x-ping-external-transaction-id": "tx-1", "x-ping-external-session-id": "s-1"}
    made = await client.post("/users", json={"username": "kim", "email": "kim@example.com"}, headers=headers)
    user_id = made.json()["id"]
    path = f"/users/{user_id}"
    group_id = next(iter(sandbox.state().groups))
    await client.patch(path, json={"title": "Buyer"})
    await client.put(f"{path}/enabled", json={"enabled": False})
    for action in ("lock", "unlock"):
        kind = f"application/vnd.pingidentity.account.{action}+json"
        await client.post(path, headers={"content-type": kind})
    await client.post(f"{path}/memberOfGroups", json={"id": group_id})
    await client.delete(f"{path}/memberOfGroups/{group_id}")
    await client.delete(path)
    assert [(event.action, event.result) for event in sandbox.state().events[before:]] == [
        ("USER.CREATED", "Created User kim"),
        ("USER.UPDATED", "Updated User kim"),
        ("USER.UPDATED", "Updated enabled for User kim"),
        ("USER.LOCKED", "Locked User kim"),
        ("USER.UNLOCKED", "Unlocked User kim"),
        ("MEMBER_OF_GROUP.CREATED", "Created Member Of Group All Staff"),
        ("MEMBER_OF_GROUP.DELETED", "Deleted Member Of Group All Staff"),
        ("USER.DELETED", "Deleted User kim"),
    ]
    about = await events(client, f' and resources.id eq "{user_id}"')
    assert about[-1]["correlationId"] == made.headers["correlation-id"]
    assert about[-1]["internalCorrelation"] == {"sessionId": "s-1", "transactionId": "tx-1"}
    assert about[-1]["actors"] == {
        "client": {"id": sandbox.client_id, "name": "Directory reader", "type": "CLIENT"},
    }
    assert about[0]["resources"][0]["population"] == made.json()["population"]


async def test_a_refused_write_leaves_no_event(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    before = len(sandbox.state().events)
    await client.post("/users", json={"username": "kim"})
    await client.put("/users/nobody/enabled", json={"enabled": False})
    assert len(sandbox.state().events) == before


async def test_events_may_come_late() -> None:
    sandbox = Sandbox(size=40, now=NOW, options=Options(event_lag=30))
    async with enter(sandbox) as client:
        made = await client.post("/users", json={"username": "kim", "email": "kim@example.com"})
        about = f' and resources.id eq "{made.json()["id"]}"'
        assert await events(client, about) == []
        sandbox.clock.advance(31)
        assert len(await events(client, about)) == 1


async def test_an_event_outside_the_window_is_not_found(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    oldest = (await events(client))[-1]
    assert (await client.get("/activities/nothing")).status_code == 404
    sandbox.clock.advance(14 * 86_400)
    assert sandbox.state().event(oldest["id"]) is None
