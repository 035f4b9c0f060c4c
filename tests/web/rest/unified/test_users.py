"""Users over REST, asked of the provider."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pingone_mcp.directory.paging.listing import Gathered
from pingone_mcp.errors import NotPermitted
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.faults import Fault
from pingone_mcp.service.answering import Listed
from pingone_mcp.service.asking.shown_user import shown_user
from pingone_mcp.web.rest.operation import Asking, RestAnswer
from pingone_mcp.web.rest.unified import schemas
from pingone_mcp.web.rest.unified.switches import RowShape
from pingone_mcp.web.rest.unified.users import OPERATIONS
from tests.replica.happenings import Doors
from tests.web.rest.doors import Door, opened
from tests.world import NOW, World

USERS = "/users"


@pytest.fixture
def small(tmp_path: Path) -> World:
    return World(sandbox=Sandbox(size=60, now=NOW), cache=tmp_path / "cache")


@pytest.fixture
async def door(small: World) -> AsyncIterator[Door]:
    async with opened({"acme": small}) as found:
        yield found


def people(world: World) -> dict[str, Any]:
    return {one["id"]: one for one in world.sandbox.users()}


async def test_everybody_comes_once_however_it_is_paged(door: Door, small: World) -> None:
    for limit in (1, 7, 100):
        rows = await door.every(USERS, {"limit": limit})
        assert sorted(row["id"] for row in rows) == sorted(people(small))


async def test_a_list_has_the_envelope_and_says_how_many_there_are(door: Door, small: World) -> None:
    page = await door.get(USERS, {"limit": 3})
    assert {"result", "next_cursor", "prev_cursor", "result_count", "is_partial_response", "total"} <= page.keys()
    assert (page["prev_cursor"], page["result_count"], page["total"]) == (None, 3, len(people(small)))
    assert page["is_partial_response"] is True, "one user has groups and roles too"


async def test_a_row_has_our_names_and_those_of_truto(door: Door, small: World) -> None:
    user = small.sandbox.state().user(3)
    async with Doors(small.sandbox) as doors:
        assert (
            await doors.send("PATCH", f"/users/{user['id']}", {"photo": {"href": "https://example.com/a.png"}}) == 200
        )
    found = await door.get(f"{USERS}/{user['id']}")
    assert found["avatar"] == found["avatar_url"] == "https://example.com/a.png"
    home = small.sandbox.environment_id
    member = next(row for row in [await door.get(f"{USERS}/{one}") for one in list(people(small))[:9]] if row["groups"])
    assert {group["organization"] for group in member["groups"]} == {home}
    assert member["emails"][0] == {"email": member["emails"][0]["email"], "type": "work", "is_primary": True}


async def test_one_user_is_bare_and_whole(door: Door, small: World) -> None:
    user = small.sandbox.state().user(3)
    found = await door.get(f"{USERS}/{user['id']}")
    assert "result" not in found
    assert (found["id"], found["username"]) == (user["id"], user["username"])
    assert "groups" in found
    assert "roles" in found
    assert found["remote_data"]["id"] == user["id"]


async def test_a_user_who_is_not_there_is_not_found(door: Door) -> None:
    body = await door.get(f"{USERS}/11111111-1111-1111-1111-111111111111", status=404)
    assert body["code"] == "NOT_FOUND"
    assert "truto_is_remote_error" not in body, "the provider has not refused anything"
    await door.get(f"{USERS}/", status=404)


async def test_an_id_may_hold_what_a_path_cannot(door: Door, small: World) -> None:
    async with Doors(small.sandbox) as doors:
        assert await doors.send("POST", "/users", {"username": "team/ann", "email": "ann@example.org"}) == 201
    for name in ("team%2Fann", "team/ann"):
        assert (await door.get(f"{USERS}/{name}"))["username"] == "team/ann"
    for name in ("a%2Fb", "a/b", "%3Fx", "..%2F..%2Fenvironments"):
        await door.get(f"{USERS}/{name}", status=404)


@pytest.mark.parametrize("name", ["email", "emails", "emails[email]", "emails.email", "email[eq]", "emails[email][in]"])
async def test_users_are_found_by_address(door: Door, small: World, name: str) -> None:
    user = next(one for one in small.sandbox.users() if one.get("email"))
    assert [row["id"] for row in await door.every(USERS, {name: user["email"].upper()})] == [user["id"]]


async def test_several_values_are_any_of_them(door: Door, small: World) -> None:
    ids = sorted(people(small))[:4]
    for query in (
        {"id[in]": ",".join(ids)},
        {"id[]": ids},
        {"id": ids},
        {f"id[{at}]": one for at, one in enumerate(ids)},
    ):
        assert sorted(row["id"] for row in await door.every(USERS, query)) == ids


async def test_conditions_narrow_each_other(door: Door, small: World) -> None:
    rows = await door.every(USERS)
    user = next(row for row in rows if row["status"] == "active" and row.get("title"))
    query = {"first_name": user["first_name"], "title": user["title"], "status": "active", "type": user["type"]}
    found = await door.every(USERS, query)
    assert [row["id"] for row in found] == [
        row["id"] for row in rows if all(row.get(name) == value for name, value in query.items())
    ]


@pytest.mark.parametrize("status", ["active", "inactive", "invited"])
async def test_a_status_has_its_users(door: Door, status: str) -> None:
    rows = await door.every(USERS, {"limit": 2})
    found = await door.every(USERS, {"status": status, "limit": 2})
    assert sorted(row["id"] for row in found) == sorted(row["id"] for row in rows if row["status"] == status)


async def test_users_of_a_group_a_population_an_environment(door: Door, small: World) -> None:
    rows = [await door.get(f"{USERS}/{one}") for one in people(small)]
    group = next(row["groups"][0]["id"] for row in rows if row["groups"])
    found = await door.every(USERS, {"group[id]": group})
    assert {row["id"] for row in found} == {row["id"] for row in rows if group in [one["id"] for one in row["groups"]]}
    home = rows[0]["workspaces"][0]["id"]
    found = await door.every(USERS, {"workspace": home, "organization_id": small.sandbox.environment_id})
    assert {row["id"] for row in found} == {row["id"] for row in rows if row["workspaces"][0]["id"] == home}


async def test_users_changed_since_a_time(door: Door) -> None:
    rows = sorted(await door.every(USERS), key=lambda row: row["updated_at"])
    middle = rows[len(rows) // 2]["updated_at"]
    for operator, holds in {"gt": str.__gt__, "gte": str.__ge__, "lt": str.__lt__, "lte": str.__le__}.items():
        found = await door.every(USERS, {f"updated_at[{operator}]": middle, "limit": 9})
        assert {row["id"] for row in found} == {row["id"] for row in rows if holds(row["updated_at"], middle)}, operator


async def test_what_the_provider_cannot_compare_is_refused_with_who_can(door: Door) -> None:
    for query in (
        {"created_at[gt]": "2026-01-01"},
        {"last_login_at[lt]": "2026-01-01"},
        {"status[in]": "active,invited"},
        {"sort_by": "name"},
        {"is_2fa_enabled": "true"},
        {"id[in]": ",".join(f"{number:08d}-1111-1111-1111-111111111111" for number in range(200))},
    ):
        body = await door.get(USERS, query, status=400)
        assert body["code"] == "ASK_THE_COPY"
        assert "truto_super_query" in body["next_step"]


async def test_an_unknown_parameter_is_named_with_the_nearest(door: Door) -> None:
    body = await door.get(USERS, {"frst_name": "Ann", "colour": "red"}, status=400)
    assert "`frst_name`" in body["message"]
    assert "`colour`" in body["message"]
    assert "first_name" in body["next_step"]


async def test_the_provider_is_asked_in_its_own_words(door: Door, small: World) -> None:
    user = small.sandbox.state().user(5)
    query = {"remote_query[filter]": f'username eq "{user["username"]}"'}
    assert [row["id"] for row in await door.every(USERS, query)] == [user["id"]]
    assert await door.every(USERS, {**query, "status": "invited"}) == []
    await door.get(USERS, {"remote_query[expand]": "x"}, status=400)
    refused = await door.get(USERS, {"remote_query[filter]": "title co x"}, status=400)
    assert refused["message"]


async def test_groups_and_roles_come_with_a_list_that_asks_for_them(door: Door) -> None:
    page = await door.get(USERS, {"limit": 5, "include": "groups,roles"})
    assert all("groups" in row and "roles" in row for row in page["result"])


# Cursors


async def test_a_cursor_alone_goes_on_and_so_does_one_beside_the_same_parameters(door: Door) -> None:
    query = {"limit": "3", "status": "active"}
    first = await door.get(USERS, query)
    alone = await door.get(USERS, {"next_cursor": first["next_cursor"], "limit": "3"})
    beside = await door.get(USERS, query | {"next_cursor": first["next_cursor"]})
    assert alone["result"] == beside["result"] != first["result"]


async def test_a_cursor_of_another_question_is_refused_in_words(door: Door) -> None:
    first = await door.get(USERS, {"limit": 3})
    for path, query in (
        ("/groups", {}),
        (USERS, {"status": "active"}),
        (USERS, {"truto_super_query": "true"}),
        ("/roles", {}),
    ):
        body = await door.get(path, {**query, "next_cursor": first["next_cursor"]}, status=400)
        assert (body["code"], "next_cursor" in body["next_step"]) == ("FOREIGN_CURSOR", True)
    for broken in ("x", first["next_cursor"][:-1], first["next_cursor"] + "=", "A" * 20_000, "é"):
        await door.get(USERS, {"next_cursor": broken}, status=400)


# The switches


async def test_the_providers_own_object_may_be_left_out(door: Door) -> None:
    whole = (await door.get(USERS, {"limit": 2}))["result"]
    assert all(row["remote_data"]["id"] == row["id"] for row in whole)
    for query in ({"truto_ignore_remote_data": "true"}, {"truto_exclude_fields[]": "remote_data"}):
        without = (await door.get(USERS, {"limit": 2, **query}))["result"]
        assert without == [{name: value for name, value in row.items() if name != "remote_data"} for row in whole]


@pytest.mark.parametrize("name", ["truto_exclude_fields", "truto_exclude_fields[]"])
async def test_fields_may_be_left_out(door: Door, name: str) -> None:
    query = {name: ["emails.type", "username"], "limit": 2}
    for row in (await door.get(USERS, query))["result"]:
        assert "username" not in row
        assert all("type" not in one and one["email"] for one in row["emails"])
    await door.get(USERS, {name: "usrname"}, status=400)


async def test_rows_may_be_keyed_by_a_field_that_all_have(door: Door) -> None:
    page = await door.get(USERS, {"limit": 3, "truto_key_by": "id"})
    assert all(row["id"] == key for key, row in page["result"].items())
    assert len(page["result"]) == page["result_count"] == 3
    await door.get(USERS, {"truto_key_by": "status"}, status=400)
    await door.get(USERS, {"truto_key_by": "nothing"}, status=400)


async def test_raw_rows_are_the_providers_own(door: Door, small: World) -> None:
    page = await door.get(USERS, {"limit": 2, "truto_response_format": "raw"})
    native = await small.native(f"/environments/{small.sandbox.environment_id}/users?limit=2")
    assert [row["id"] for row in page["result"]] == [row["id"] for row in native["_embedded"]["users"]]
    assert all("createdAt" in row and "created_at" not in row for row in page["result"])
    one = await door.get(f"{USERS}/{page['result'][0]['id']}", {"truto_response_format": "raw"})
    assert one["createdAt"] == page["result"][0]["createdAt"]


async def test_debug_rows_tell_how_they_came_about(door: Door) -> None:
    page = await door.get(USERS, {"limit": 2, "truto_response_format": "debug"})
    told = page["debug"]
    assert (told["resultCount"], told["isEmptyResult"], told["nextCursor"]) == (2, False, page["next_cursor"])
    assert [one["id"] for one in told["data"]] == [row["id"] for row in page["result"]]
    await door.get(USERS, {"truto_response_format": "stream"}, status=400)


# What goes wrong


async def test_gaps_are_shown_in_the_body_and_in_a_header(small: World) -> None:
    small.sandbox.faults.add(Fault(kind="lost_next", path="/users", times=None))
    async with opened({"acme": small}) as door:
        answer = await door.http.get("/unified/user-directory/users", params={"limit": 5})
    body = answer.json()
    assert body["gaps"]
    assert answer.headers["x-gaps"] == str(len(body["gaps"]))
    assert body["total"] is None


async def test_what_the_provider_refuses_says_that_it_was_the_provider(small: World) -> None:
    small.sandbox.withdraw()
    async with opened({"acme": small}) as door:
        body = await door.get(USERS, status=403)
    assert body["truto_is_remote_error"] is True
    assert body["raw_response"]["id"]
    assert small.sandbox.client_secret not in str(body)


async def test_wrong_credentials_are_a_remote_401(small: World) -> None:
    async with opened({"acme": small}, client_secret="wrong") as door:
        body = await door.get(USERS, status=401)
    assert body["truto_is_remote_error"] is True


async def test_a_provider_that_asks_for_a_pause_is_a_429_with_whole_seconds(small: World) -> None:
    small.sandbox.faults.add(Fault(kind="rate_limited_seconds", seconds=900.0, path="/users", times=None))
    async with opened({"acme": small}) as door:
        answer = await door.http.get("/unified/user-directory/users")
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["truto_is_remote_error"] is True


@pytest.mark.parametrize(
    ("gathered", "status", "code"),
    [
        (Gathered(stopped="time"), 504, "NO_ROW_YET"),
        (Gathered(stopped="error", problem=NotPermitted("No.", code="ACCESS_FAILED")), 403, "ACCESS_FAILED"),
    ],
)
async def test_a_list_that_comes_to_no_row_in_time_says_so_and_where_to_go_on(
    small: World, gathered: Gathered, status: int, code: str
) -> None:
    """Clients of this API take an empty page for the end: the rest would be lost without a word."""

    async def nothing_yet(asking: Asking) -> RestAnswer:
        found = Listed(gathered=gathered, next_cursor="further on", is_first=True, is_partial=False)
        return RowShape.of(asking.query, schemas.USER["properties"]).list(found, shown_user)

    operation = dataclasses.replace(OPERATIONS[0], answer=nothing_yet)
    async with opened({"acme": small}, operations=[operation]) as door:
        body = await door.get(USERS, status=status)
    assert (body["code"], "result" in body) == (code, False)
    assert body.get("next_cursor") == ("further on" if status == 504 else None)


async def test_a_page_that_fails_behind_others_is_shown_and_met_again(small: World) -> None:
    small.sandbox.faults.add(Fault(kind="forbidden", path="/users.*cursor", times=None))
    async with opened({"acme": small}, page_size=5) as door:
        first = await door.get(USERS, {"limit": 20})
        assert (len(first["result"]), first["stopped"]) == (5, "error")
        assert first["error"]
        body = await door.get(USERS, {"limit": 20, "next_cursor": first["next_cursor"]}, status=403)
        assert body["truto_is_remote_error"] is True
