"""What each tool answers, and what it says when it cannot: through the MCP client, over the sandbox."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import anyio
import httpx
import pytest
from mcp import Client

from pingone_mcp.directory.rows import DEFAULT_FIELDS
from pingone_mcp.directory.text.harmless import clean, harmless
from tests.world import NOW, World, error_text, facts, walk


def truth(world: World) -> dict[str, dict[str, Any]]:
    return {user["id"]: user for user in world.sandbox.users()}


def raw_reasons(user: dict[str, Any]) -> list[str]:
    reasons = [] if user["enabled"] else ["disabled"]
    return reasons + (["locked"] if user["account"]["status"] == "LOCKED" else [])


async def sent_nothing(world: World, client: Client, tool: str, arguments: dict[str, Any]) -> str:
    """Call a tool and return its error; fail when a request was sent for it, the token's included."""
    before = len(world.sandbox.requests)
    result = await client.call_tool(tool, arguments)
    assert result.is_error, error_text(result)
    assert len(world.sandbox.requests) == before, "a request was sent"
    return error_text(result)


# Answers


async def test_both_forms_of_an_answer_are_equal(world: World) -> None:
    user = next(iter(truth(world)))
    calls: list[tuple[str, dict[str, Any]]] = [
        ("list_users", {"limit": 3}),
        ("get_user", {"user": user}),
        ("find_deactivated", {"limit": 3}),
        ("proxy_request", {"path": f"/environments/{world.sandbox.environment_id}/groups"}),
        ("proxy_request", {"path": f"/environments/{world.sandbox.environment_id}/users/{user}"}),
    ]
    async with world.client() as client:
        for tool, arguments in calls:
            result = await client.call_tool(tool, arguments)
            assert json.loads(error_text(result)) == facts(result)
            assert "\n" not in error_text(result)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_clients_of_both_eras_get_the_same_answer(world: World, mode: str) -> None:
    async with world.client(mode=mode) as client:
        answer = facts(await client.call_tool("list_users", {"limit": 2}))
    assert answer["result_count"] == 2
    assert answer["total"] == 500


async def test_a_row_carries_the_default_fields_that_are_there(world: World) -> None:
    async with world.client() as client:
        rows = await walk(client, limit=500)
    users = truth(world)
    for row in rows:
        assert set(row) <= set(DEFAULT_FIELDS) - {"organization"}
        assert None not in row.values()
        native = users[row["id"]]
        assert row["username"] == harmless(native["username"])
        assert row.get("department") == clean(native.get("department"))


async def test_fields_choose_what_a_row_carries(world: World) -> None:
    async with world.client() as client:
        some = facts(await client.call_tool("list_users", {"fields": ["username", "locale"], "limit": 1}))["result"][0]
        everything = facts(await client.call_tool("list_users", {"fields": ["*"], "limit": 2}))["result"][1]
        typo = await sent_nothing(world, client, "list_users", {"fields": ["user_name"]})
    assert "username" in some
    assert set(some) <= {"username", "locale"}
    assert {"status_source", "created_at", "custom_attributes", "organizations"} <= set(everything)
    assert "Did you mean username" in typo


@pytest.mark.parametrize(
    ("status", "holds"),
    [
        ("active", lambda user: not raw_reasons(user) and user["lifecycle"]["status"] == "ACCOUNT_OK"),
        ("inactive", lambda user: bool(raw_reasons(user))),
        ("invited", lambda user: not raw_reasons(user) and user["lifecycle"]["status"] == "VERIFICATION_REQUIRED"),
    ],
)
async def test_status_selects_exactly_its_users(world: World, status: str, holds: Any) -> None:
    async with world.client() as client:
        rows = await walk(client, status=status, limit=37)
    assert {row["status"] for row in rows} == {status}
    assert sorted(row["id"] for row in rows) == sorted(user["id"] for user in truth(world).values() if holds(user))


async def test_query_finds_people_by_what_a_person_types(world: World) -> None:
    everybody = [user for user in truth(world).values() if user.get("name", {}).get("family", "").isalpha()]
    person = everybody[40]
    given, family = person["name"]["given"], person["name"]["family"]
    async with world.client() as client:
        for query in (
            given,
            family.upper(),
            f"{given} {family}",
            f"{family} {given}",
            person["email"],
            person["username"][:8],
        ):
            found = [row["id"] for row in await walk(client, query=query, limit=100)]
            assert person["id"] in found, query
            assert len(found) == len(set(found))


async def test_group_and_population_select_by_name_or_id(world: World) -> None:
    state = world.sandbox.state()
    contractors = {user["id"] for user in truth(world).values() if user["population"]["id"] == state.contractors()}
    async with world.client() as client:
        by_name = {row["id"] for row in await walk(client, population="contractors", limit=100)}
        by_id = {row["id"] for row in await walk(client, population=state.contractors(), limit=100)}
        unknown = await client.call_tool("list_users", {"population": "Nobody's"})
        groups = facts(
            await client.call_tool(
                "proxy_request", {"path": f"/environments/{state.id}/groups", "query": {"limit": 100}}
            )
        )["result"]
        names = [group["name"] for group in groups]
        unique = next(g for g in groups if names.count(g["name"]) == 1 and g["directMemberCounts"]["users"])
        twice = next(g for g in groups if names.count(g["name"]) > 1)
        members = await walk(client, group=unique["name"], limit=100)
        same = await walk(client, group=unique["id"], limit=100)
        ambiguous = error_text(await client.call_tool("list_users", {"group": twice["name"]}))
    assert by_name == by_id == contractors
    assert "UNKNOWN_NAME" in error_text(unknown)
    assert members == same != []
    assert "AMBIGUOUS_NAME" in ambiguous
    assert all(g["id"] in ambiguous for g in groups if g["name"] == twice["name"])


async def test_a_filter_is_passed_on_and_stays_inside_what_is_served(world: World) -> None:
    contractors = world.sandbox.state().contractors()
    async with world.client(populations=(contractors,)) as client:
        rows = await walk(client, filter='enabled eq true or enabled eq false or name.family sw ""', limit=100)
    assert {row["id"] for row in rows} == {
        u["id"] for u in truth(world).values() if u["population"]["id"] == contractors
    }


async def test_include_adds_groups_and_roles_to_rows(world: World) -> None:
    async with world.client() as client:
        rows = facts(await client.call_tool("list_users", {"include": ["groups", "roles"], "limit": 10}))["result"]
        one = facts(await client.call_tool("get_user", {"user": rows[3]["id"]}))
    assert all("groups" in row and "roles" in row for row in rows)
    assert [group["name"] for group in rows[3]["groups"]] == [group["name"] for group in one["groups"]]


@pytest.mark.parametrize("by", ["id", "username", "email", "externalId"])
async def test_one_user_is_found_by_any_of_its_names(world: World, by: str) -> None:
    native = [user for user in truth(world).values() if user.get("externalId")]
    person = next(user for user in native if [other[by] for other in native].count(user[by]) == 1)
    async with world.client() as client:
        found = facts(await client.call_tool("get_user", {"user": person[by]}))
    assert found["id"] == person["id"]


async def test_one_user_is_told_whole(world: World) -> None:
    native = truth(world)
    person = next(
        user
        for user in native.values()
        if user.get("manager") in {other["username"] for other in native.values()} and user.get("mobilePhone")
    )
    async with world.client() as client:
        found = facts(await client.call_tool("get_user", {"user": person["id"], "include_remote_data": True}))
    manager = next(other for other in native.values() if other["username"] == person["manager"])
    assert found["manager"]["id"] == manager["id"]
    assert found["manager"]["reference"] == person["manager"]
    assert found["organizations"][0]["name"] == "Workforce"
    assert found["workspaces"][0]["id"] == person["population"]["id"]
    assert {group["type"] for group in found["groups"]} <= {"direct", "indirect"}
    assert found["remote_data"]["username"] == person["username"]
    assert found["status_source"]["account_status"] == person["account"]["status"]


async def test_a_manager_who_points_nowhere_stays_a_reference(world: World) -> None:
    state = world.sandbox.state()
    user = next(user for user in truth(world).values() if user.get("manager"))
    position = state.position(user["id"])
    assert position is not None
    state.put_user(position, user | {"manager": "nobody@example.com"})
    async with world.client() as client:
        found = facts(await client.call_tool("get_user", {"user": user["id"]}))
    assert found["manager"] == {"reference": "nobody@example.com"}


async def test_what_may_not_be_read_of_a_user_is_named(world: World) -> None:
    class NoRoles(httpx.AsyncBaseTransport):
        def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
            self.inner = inner

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith("/roleAssignments"):
                return httpx.Response(403, json={"code": "ACCESS_FAILED"}, request=request)
            return await self.inner.handle_async_request(request)

    async with world.client(wrap=NoRoles) as client:
        found = facts(await client.call_tool("get_user", {"user": next(iter(truth(world)))}))
    assert found["unreadable"] == ["roles"]
    assert "roles" not in found


async def test_there_is_no_such_user(world: World) -> None:
    async with world.client() as client:
        for reference in (
            "nobody@example.com",
            "3f5f7c1e-8a54-4d0e-9f0a-6c1f2b7d9e10",
            'x" or enabled eq true or username eq "',
        ):
            text = error_text(await client.call_tool("get_user", {"user": reference}))
            assert "NOT_FOUND" in text
            assert reference not in text


# Who cannot sign in any more


async def test_deactivated_users_are_exactly_the_truth(world: World) -> None:
    async with world.client() as client:
        rows = await walk(client, "find_deactivated", reasons=["disabled", "locked"], limit=9)
    expected = {user["id"]: raw_reasons(user) for user in truth(world).values() if raw_reasons(user)}
    assert {row["id"]: row["status_reasons"] for row in rows} == expected
    assert len(rows) == len(expected)


async def test_each_reason_alone_is_exact(world: World) -> None:
    async with world.client() as client:
        for reason in ("disabled", "locked"):
            rows = await walk(client, "find_deactivated", reasons=[reason], limit=50)
            expected = sorted(user["id"] for user in truth(world).values() if reason in raw_reasons(user))
            assert sorted(row["id"] for row in rows) == expected


async def test_removed_users_come_from_the_events_of_fourteen_days(world: World) -> None:
    since = (NOW - timedelta(days=30)).isoformat()
    gone = truth(world)
    victim = next(iter(gone.values()))
    world.sandbox.faults.add("user_deleted", path="/users", user_id=victim["id"])
    async with world.client() as client:
        await client.call_tool("list_users", {"limit": 1})
        rows = await walk(client, "find_deactivated", reasons=["removed"], limit=50)
        recent = facts(
            await client.call_tool(
                "find_deactivated", {"reasons": ["removed"], "since": (NOW - timedelta(days=13)).isoformat()}
            )
        )
        old = facts(await client.call_tool("find_deactivated", {"reasons": ["removed"], "since": since}))
    mine = next(row for row in rows if row["id"] == victim["id"])
    assert (mine["status"], mine["status_reasons"]) == ("deleted", ["removed"])
    assert mine["username"] == victim["username"]
    assert mine["deactivated_at"]
    assert mine["deactivated_by"]
    assert len(rows) > 1
    assert all(row["id"] not in truth(world) for row in rows)
    assert recent["coverage"]["removed"]["complete"] is True
    assert old["coverage"]["removed"]["complete"] is False
    assert "14 days" in old["coverage"]["removed"]["note"]


async def test_locks_since_a_time_come_from_events_and_are_read_again(world: World) -> None:
    since = NOW - timedelta(days=13)
    async with world.client() as client:
        answer = facts(
            await client.call_tool(
                "find_deactivated", {"reasons": ["locked"], "since": since.isoformat(), "limit": 100}
            )
        )
    locked = {user["id"] for user in truth(world).values() if "locked" in raw_reasons(user)}
    assert answer["result"]
    assert {row["id"] for row in answer["result"]} <= locked
    assert all(row["deactivated_at"] >= since.isoformat()[:19] for row in answer["result"])
    assert answer["coverage"]["locked"]["complete"] is False
    assert "Without `since`" in answer["coverage"]["locked"]["note"]


async def test_disabled_since_a_time_tells_when_and_by_whom(world: World) -> None:
    since = NOW - timedelta(days=13)
    async with world.client() as client:
        answer = facts(
            await client.call_tool(
                "find_deactivated", {"reasons": ["disabled"], "since": since.isoformat(), "limit": 200}
            )
        )
    expected = {u["id"] for u in truth(world).values() if not u["enabled"] and u["updatedAt"] >= since.isoformat()[:19]}
    assert {row["id"] for row in answer["result"]} == expected
    assert any(row.get("deactivated_by") and row.get("deactivated_at") for row in answer["result"])
    assert answer["total"] is None
    assert answer["coverage"]["disabled"]["complete"] is False


async def test_coverage_is_complete_only_once_everything_was_read(world: World) -> None:
    async with world.client() as client:
        first = facts(await client.call_tool("find_deactivated", {"reasons": ["disabled", "locked"], "limit": 3}))
        whole = facts(await client.call_tool("find_deactivated", {"reasons": ["disabled", "locked"], "limit": 500}))
        while whole["next_cursor"]:
            whole = facts(await client.call_tool("find_deactivated", {"cursor": whole["next_cursor"], "limit": 500}))
    assert [how["complete"] for how in first["coverage"].values()] == [False, False]
    assert [how["complete"] for how in whole["coverage"].values()] == [True, True]


async def test_without_the_audit_permission_the_missing_role_is_named(world: World) -> None:
    world.sandbox.withdraw("Configuration Read Only", "Environment Admin")
    async with world.client() as client:
        text = error_text(await client.call_tool("find_deactivated", {"reasons": ["removed"]}))
    assert "audit_reporting:read:activity" in text
    assert "correlation id" in text


# The proxy


async def test_the_proxy_answers_collections_page_by_page(world: World) -> None:
    path = f"/environments/{world.sandbox.environment_id}/users"
    async with world.client(characters=100_000) as client:
        first = facts(await client.call_tool("proxy_request", {"path": path, "query": {"limit": 40}}))
        second = facts(
            await client.call_tool(
                "proxy_request", {"path": path, "query": {"limit": 40}, "cursor": first["next_cursor"]}
            )
        )
        rows = await walk(client, "proxy_request", path=path, query={"limit": 200, "filter": "enabled eq false"})
    native = await world.native(f"{path}?limit=40")
    items = native["_embedded"]["users"]
    assert first["result"] == [clean({k: v for k, v in item.items() if k != "_links"}) for item in items]
    assert (first["status"], first["total"]) == (200, 500)
    assert first["correlation_id"]
    assert second["result"][0]["id"] not in {item["id"] for item in first["result"]}
    assert {row["id"] for row in rows} == {user["id"] for user in truth(world).values() if not user["enabled"]}


async def test_the_proxy_answers_one_resource_verbatim(world: World) -> None:
    path = f"/environments/{world.sandbox.environment_id}"
    async with world.client() as client:
        answer = facts(await client.call_tool("proxy_request", {"path": path}))
        head = facts(await client.call_tool("proxy_request", {"path": path, "method": "HEAD"}))
    assert answer["body"] == await world.native(path)
    assert head["status"] == 200
    assert "body" not in head


async def test_a_page_larger_than_the_budget_is_cut_and_goes_on(world: World) -> None:
    path = f"/environments/{world.sandbox.environment_id}/users"
    async with world.client(characters=6_000) as client:
        first = facts(await client.call_tool("proxy_request", {"path": path, "query": {"limit": 100}}))
        rows = await walk(client, "proxy_request", path=path, query={"limit": 100})
    assert first["stopped"] == "size"
    assert [row["id"] for row in rows] == list(truth(world))


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example.net/v1/environments",
        "//evil.example.net/x",
        "/environments/../organizations",
        "/environments/%2e%2e/organizations",
        "/environments/3f5f7c1e-8a54-4d0e-9f0a-6c1f2b7d9e10/users",
        "/environments/{env}/users/%2e%2e/%2e%2e/%2e%2e/environments",
        "/environments/{env}//users",
        "/environments/{env}/users#x",
        "/environments/{env}\\..\\users",
        "/environments",
        "/organizations",
        "",
        "/",
        "/environments/{env}/users/\u202e",
    ],
)
async def test_paths_that_lead_elsewhere_are_refused_before_any_request(world: World, path: str) -> None:
    async with world.client() as client:
        path = path.replace("{env}", world.sandbox.environment_id)
        await sent_nothing(world, client, "proxy_request", {"path": path})


async def test_secrets_in_pingones_own_objects_are_blanked(world: World) -> None:
    class Application(httpx.AsyncBaseTransport):
        def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
            self.inner = inner

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith("/secret"):
                body = {
                    "secret": "hunter2hunter2",
                    "environment": {"id": "x"},
                    "previous": {"secret": "hunter1hunter1"},
                }
                return httpx.Response(200, json=body, request=request)
            return await self.inner.handle_async_request(request)

    path = f"/environments/{world.sandbox.environment_id}/applications/3f5f7c1e-8a54-4d0e-9f0a-6c1f2b7d9e10/secret"
    async with world.client(wrap=Application) as client:
        result = await client.call_tool("proxy_request", {"path": path})
    assert "hunter" not in error_text(result)
    assert "[redacted]" in error_text(result)


# Refusals


@pytest.mark.parametrize(
    ("tool", "arguments", "says"),
    [
        ("list_users", {"limit": 0}, "`limit`"),
        ("list_users", {"limit": 1001}, "`limit`"),
        ("list_users", {"limitt": 5}, "there is no argument `limitt`"),
        ("list_users", {"status": "gone"}, "`status`: Input should be 'active', 'inactive', 'invited' or 'any'."),
        ("list_users", {"status": "deleted"}, 'find_deactivated with reasons ["removed"]'),
        ("list_users", {"status": "Locked"}, 'find_deactivated with reasons ["locked"]'),
        ("list_users", {"fields": "username,email"}, '`fields`: Input should be a list, e.g. ["a","b"].'),
        ("list_users", {"filter": "username = 'ann'"}, "has = where a word belongs: eq"),
        (
            "proxy_request",
            {"path": "/environments/{id}/users", "query": "limit=5"},
            "`query`: Input should be an object",
        ),
        ("list_users", {"filter": 'username eq "x'}, "open quote"),
        ("list_users", {"filter": "username eq"}, "INVALID_FILTER"),
        ("list_users", {"filter": 'a eq "x") or (b eq "y"'}, "INVALID_FILTER"),
        ("list_users", {"query": "  "}, "EMPTY_QUERY"),
        ("list_users", {"cursor": "made-up"}, "FOREIGN_CURSOR"),
        ("list_users", {"environment": "3f5f7c1e-8a54-4d0e-9f0a-6c1f2b7d9e10"}, "OUTSIDE_CONFIGURATION"),
        ("get_user", {}, "`user` is missing: Id, username, email or external id."),
        ("get_user", {"user": ""}, "`user` is missing: Id, username, email or external id."),
        ("query_directory", {"sql": ""}, "`sql` is missing: One SELECT"),
        ("proxy_request", {"path": ""}, "`path` is missing: Path below"),
        ("list_members", {"group": ""}, "MISSING_ARGUMENT"),
        ("find_deactivated", {"since": "yesterday"}, "`since`"),
        ("find_deactivated", {"since": "2026-06-01T00:00:00"}, "`since`"),
        ("find_deactivated", {"since": "2999-01-01T00:00:00Z"}, "future"),
        ("find_deactivated", {"reasons": ["fired"]}, "`reasons.0`"),
        ("list_changes", {"since": "7 moons"}, "7d"),
        ("proxy_request", {"method": "DELETE", "path": "/environments"}, "PINGONE_ALLOW_WRITES"),
        (
            "proxy_request",
            {"method": "PUT", "path": "/environments/{id}/users", "body": {"a": 1}},
            "PINGONE_ALLOW_WRITES",
        ),
        ("proxy_request", {"method": "post", "path": "/environments", "content_type": "text/csv"}, "WRITES_OFF"),
        ("proxy_request", {"method": "TRACE", "path": "/environments"}, "`method`"),
    ],
)
async def test_bad_input_is_refused_before_any_request(
    world: World, tool: str, arguments: dict[str, Any], says: str
) -> None:
    async with world.client() as client:
        text = await sent_nothing(world, client, tool, arguments)
    assert says in text
    assert "pydantic" not in text
    assert len(text) < 500


async def test_a_cursor_is_refused_when_edited_or_given_to_another_question(world: World) -> None:
    async with world.client() as client:
        cursor = facts(await client.call_tool("list_users", {"status": "active", "limit": 5}))["next_cursor"]
        edited = cursor[:-1] + ("A" if cursor[-1] != "A" else "B")
        assert "FOREIGN_CURSOR" in await sent_nothing(world, client, "list_users", {"cursor": edited})
        assert "FOREIGN_CURSOR" in await sent_nothing(world, client, "find_deactivated", {"cursor": cursor})
        other = await sent_nothing(world, client, "list_users", {"cursor": cursor, "status": "inactive"})
        alone = facts(await client.call_tool("list_users", {"cursor": cursor, "limit": 5}))
        together = facts(await client.call_tool("list_users", {"cursor": cursor, "status": "active", "limit": 5}))
    assert "status" in other
    assert alone["result"] == together["result"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"client_id": "3f5f7c1e-8a54-4d0e-9f0a-6c1f2b7d9e10"}, "PINGONE_CLIENT_ID"),
        ({"auth_method": "client_secret_post"}, "PINGONE_AUTH_METHOD"),
        ({"environment_id": "3f5f7c1e-8a54-4d0e-9f0a-6c1f2b7d9e10"}, "PINGONE_ENVIRONMENT_ID"),
        ({"environments": ("3f5f7c1e-8a54-4d0e-9f0a-6c1f2b7d9e10",)}, "PINGONE_ENVIRONMENTS"),
    ],
)
async def test_a_connection_that_cannot_work_says_which_setting_to_check(
    world: World, changes: dict[str, Any], says: str
) -> None:
    async with world.client(**changes) as client:
        text = error_text(await client.call_tool("list_users", {}))
    assert says in text
    assert world.sandbox.client_secret not in text


async def test_a_missing_role_is_named(world: World) -> None:
    world.sandbox.withdraw()
    async with world.client() as client:
        text = error_text(await client.call_tool("list_users", {}))
    assert "Identity Data Read Only" in text


@pytest.mark.parametrize("kind", ["truncated_body", "bad_gateway_html", "server_error", "rate_limited_seconds"])
async def test_a_fault_that_does_not_end_becomes_one_sentence(world: World, kind: Any) -> None:
    world.sandbox.faults.add(kind, path="/users", times=None, seconds=2)
    async with world.client() as client, anyio.create_task_group():
        text = error_text(await client.call_tool("list_users", {}))
    assert text.count("[") == 1
    assert "<html" not in text.lower()
    assert sum(world.time.naps) <= 30


async def test_hostile_names_leave_harmless(world: World) -> None:
    async with world.client() as client:
        rows = await walk(client, limit=100, fields=["*"])
    text = json.dumps(rows, ensure_ascii=False)
    assert not [hidden for hidden in "\u202e\u200b\u2066\ufeff\x00\x1b" if hidden in text]
    assert not [character for character in text if "\U000e0000" <= character <= "\U000e0fff"]


async def test_an_answer_that_cannot_be_unpacked_is_one_sentence(world: World) -> None:
    class Garbled(httpx.AsyncBaseTransport):
        def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
            self.inner = inner

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if not request.url.path.endswith("/users"):
                return await self.inner.handle_async_request(request)
            stream = httpx.ByteStream(b"this is no gzip")
            return httpx.Response(200, headers={"content-encoding": "gzip"}, stream=stream, request=request)

    async with world.client(wrap=Garbled) as client:
        assert "UNREADABLE_ANSWER" in error_text(await client.call_tool("list_users", {}))


@pytest.mark.parametrize("since", ["13d", "312h", "2026-06-02T12:00:00Z", "2026-06-02T14:00:00+02:00"])
async def test_since_takes_how_long_ago_and_means_the_same_time_on_every_page(world: World, since: str) -> None:
    asked = {"reasons": ["removed"], "limit": 2}
    paged: list[Any] = []
    async with world.client() as client:
        exact = {"since": (NOW - timedelta(days=13)).isoformat(), "limit": 60}
        every = facts(await client.call_tool("find_deactivated", asked | exact))["result"]
        page = first = facts(await client.call_tool("find_deactivated", asked | {"since": since}))
        while True:
            paged += page["result"]
            if page["next_cursor"] is None:
                break
            world.time.passed += 3_600
            goes_on = asked | {"since": since, "cursor": page["next_cursor"]}
            page = facts(await client.call_tool("find_deactivated", goes_on))
        other = {"since": "3d", "cursor": first["next_cursor"]}
        refused = error_text(await client.call_tool("find_deactivated", other))
    assert paged == every != []
    assert "The cursor was made with another value of: since." in refused


async def test_since_a_date_is_since_its_first_moment_in_utc(world: World) -> None:
    async with world.client() as client:
        rows = [
            facts(await client.call_tool("find_deactivated", {"reasons": ["removed"], "since": since}))["result"]
            for since in ("2026-06-05", "2026-06-05T00:00:00Z")
        ]
    assert rows[0] == rows[1] != []
