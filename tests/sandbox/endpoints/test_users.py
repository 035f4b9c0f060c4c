from __future__ import annotations

from typing import Any

import httpx
import pytest

from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.options import Options
from tests.sandbox.entrance import NOW, enter, walk

pytestmark = pytest.mark.anyio


LOCK = {"content-type": "application/vnd.pingidentity.account.lock+json"}
UNLOCK = {"content-type": "application/vnd.pingidentity.account.unlock+json"}
IMPORT = {"content-type": "application/vnd.pingidentity.user.import+json"}
SCIM_PATCH = {"content-type": "application/vnd.pingidentity.user.scim.patch+json"}
TIMES = {"createdAt", "updatedAt"}


async def create(client: httpx.AsyncClient, name: str = "kim", **more: Any) -> dict[str, Any]:
    answer = await client.post("/users", json={"username": name, "email": f"{name}@example.com", **more})
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


def bare(user: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in user.items() if name not in {"_links", "_embedded"}}


# --------------------------------------------------------------------------------------------------- reading


async def test_a_walk_sees_everybody_once_and_in_the_order_of_creation(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    rows = await walk(client, "/users?limit=7")
    assert [bare(row) for row in rows] == list(sandbox.users())
    assert [row["createdAt"] for row in rows] == sorted(row["createdAt"] for row in rows)


async def test_count_is_the_total_and_size_the_page(client: httpx.AsyncClient) -> None:
    page = (await client.get("/users?limit=10")).json()
    assert (page["count"], page["size"], len(page["_embedded"]["users"])) == (120, 10, 10)
    assert "next" in page["_links"]


async def test_a_larger_limit_is_served_as_the_largest_page() -> None:
    async with enter(Sandbox(size=30, now=NOW, options=Options(max_page=8))) as client:
        for limit in ("?limit=1000", ""):
            page = (await client.get(f"/users{limit}")).json()
            assert page["size"] == 8
            assert page["_links"]["self"]["href"].endswith(f"/users{limit}")


@pytest.mark.parametrize("limit", ["0", "-1", "ten", "1.5", "²"])
async def test_a_limit_below_one_is_refused(client: httpx.AsyncClient, limit: str) -> None:
    answer = await client.get("/users", params={"limit": limit})
    assert (answer.status_code, answer.json()["details"][0]["target"]) == (400, "limit")


async def test_nobody_found_is_an_empty_array(client: httpx.AsyncClient) -> None:
    page = (await client.get("/users", params={"filter": 'username eq "nobody"', "limit": "5"})).json()
    address = str(client.base_url)
    assert page == {
        "_links": {
            "self": {"href": address + "users?limit=5&filter=username%20eq%20%22nobody%22"},
        },
        "_embedded": {"users": []},
        "count": 0,
        "size": 0,
    }


async def test_self_reorders_the_parameters(client: httpx.AsyncClient) -> None:
    users = (await client.get("/users?filter=enabled%20eq%20true&limit=1")).json()
    groups = (await client.get("/groups?limit=1&filter=name%20eq%20%22Reviewers%22")).json()
    assert users["_links"]["self"]["href"].endswith("/users?limit=1&filter=enabled%20eq%20true")
    assert "/users?limit=1&filter=enabled%20eq%20true&cursor=" in users["_links"]["next"]["href"]
    assert "/groups?filter=name%20eq%20%22Reviewers%22&limit=1&cursor=" in groups["_links"]["next"]["href"]
    assert groups["_links"]["self"]["href"].endswith("/groups?filter=name%20eq%20%22Reviewers%22&limit=1")


async def test_links_follow_the_address_the_client_used(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    other = f"http://127.0.0.1:9999/v1/environments/{sandbox.environment_id}/users?limit=1"
    page = (await client.get(other)).json()
    assert page["_links"]["next"]["href"].startswith(other)
    assert page["_embedded"]["users"][0]["_links"]["self"]["href"].startswith("http://127.0.0.1:9999/v1/")


async def test_a_filtered_walk_keeps_its_filter(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    rows = await walk(client, "/users?limit=3&filter=enabled%20eq%20false")
    assert [row["id"] for row in rows] == [user["id"] for user in sandbox.users() if not user["enabled"]]


async def test_the_filter_may_travel_inside_the_cursor() -> None:
    sandbox = Sandbox(size=120, now=NOW, options=Options(cursor_carries_filter=True))
    async with enter(sandbox) as client:
        first = (await client.get("/users?limit=3&filter=enabled%20eq%20false")).json()
        assert "filter" not in first["_links"]["next"]["href"]
        rows = await walk(client, "/users?limit=3&filter=enabled%20eq%20false")
    assert [row["id"] for row in rows] == [user["id"] for user in sandbox.users() if not user["enabled"]]


async def test_deletions_during_a_walk_lose_nobody_else(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    before = [user["id"] for user in sandbox.users()]
    seen: list[str] = []
    following = "/users?limit=9"
    while following:
        page = (await client.get(following)).json()
        seen += [user["id"] for user in page["_embedded"]["users"]]
        following = page["_links"].get("next", {}).get("href")
        for victim in (seen[-1], seen[0]):  # the anchor of the cursor, and somebody long past
            await client.delete(f"/users/{victim}")
    assert seen == before


async def test_a_user_created_during_a_walk_comes_last(client: httpx.AsyncClient) -> None:
    page = (await client.get("/users?limit=100")).json()
    created = await create(client)
    rest = await walk(client, page["_links"]["next"]["href"])
    assert rest[-1]["id"] == created["id"]


async def test_a_cursor_is_bound_to_its_list_and_its_filter(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    link = httpx.URL((await client.get("/users?limit=3")).json()["_links"]["next"]["href"])
    cursor = link.params["cursor"]
    assert set(cursor) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
    narrow = (await client.get("/users?limit=3&filter=enabled%20eq%20true")).json()["_links"]["next"]["href"]
    filtered = httpx.URL(narrow).params["cursor"]
    other = sandbox.company.environments[1].id
    edited = ("A" if cursor[0] != "A" else "B") + cursor[1:]
    for address, parameters in (
        ("/users", {"cursor": edited}),
        ("/users", {"cursor": "nonsense"}),
        ("/users", {"cursor": cursor, "filter": "enabled eq true"}),
        ("/users", {"cursor": filtered}),
        ("/groups", {"cursor": cursor}),
        (f"https://api.example.net/v1/environments/{other}/users", {"cursor": cursor}),
    ):
        answer = await client.get(address, params=parameters)
        assert (answer.status_code, answer.json()["details"][0]["target"]) == (400, "cursor")


async def test_an_unbound_cursor_takes_another_filter() -> None:
    async with enter(Sandbox(size=40, now=NOW, options=Options(cursor_bound_to_filter=False))) as client:
        link = httpx.URL((await client.get("/users?limit=3")).json()["_links"]["next"]["href"])
        parameters = {"cursor": link.params["cursor"], "filter": "enabled eq true"}
        assert (await client.get("/users", params=parameters)).status_code == 200


async def test_a_cursor_may_expire() -> None:
    sandbox = Sandbox(size=40, now=NOW, options=Options(cursor_lifetime=60))
    async with enter(sandbox) as client:
        link = (await client.get("/users?limit=3")).json()["_links"]["next"]["href"]
        sandbox.clock.advance(59)
        assert (await client.get(link)).status_code == 200
        sandbox.clock.advance(2)
        assert (await client.get(link)).status_code == 400


async def test_a_deleted_anchor_may_refuse_its_cursor() -> None:
    async with enter(Sandbox(size=40, now=NOW, options=Options(deleted_anchor_refuses_cursor=True))) as client:
        page = (await client.get("/users?limit=3")).json()
        await client.delete(f"/users/{page['_embedded']['users'][-1]['id']}")
        assert (await client.get(page["_links"]["next"]["href"])).status_code == 400


async def test_order_is_refused_unless_it_is_ignored(client: httpx.AsyncClient) -> None:
    assert (await client.get("/users?order=-updatedAt")).status_code == 400
    async with enter(Sandbox(size=10, now=NOW, options=Options(order_refused=False))) as tolerant:
        assert (await tolerant.get("/users?order=-updatedAt")).status_code == 200


async def test_the_count_of_a_bounded_range_may_be_wrong() -> None:
    text = 'updatedAt ge "2020-01-01T00:00:00Z"'
    both = f'{text} and updatedAt le "2027-01-01T00:00:00Z"'
    async with enter(Sandbox(size=40, now=NOW, options=Options(inaccurate_updated_at_count=True))) as client:
        assert (await client.get("/users", params={"filter": text})).json()["count"] == 40
        assert (await client.get("/users", params={"filter": both})).json()["count"] == 45


async def test_a_single_read_has_more_links_and_the_groups_on_request(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    user_id = sandbox.company.main.notables["locked"]
    user = (await client.get(f"/users/{user_id}")).json()
    assert list(user["_links"])[-4:] == ["environment", "population", "devices", "roleAssignments"]
    assert bare(user) == sandbox.user(None, user_id)
    asked = "include=memberOfGroupIDs,memberOfGroupNames&expand=population"
    more = (await client.get(f"/users/{user_id}?{asked}")).json()
    listed = (await client.get(f"/users/{user_id}/memberOfGroups")).json()["_embedded"]["groupMemberships"]
    assert more["memberOfGroupNames"] == [row["name"] for row in listed]
    assert more["memberOfGroupIDs"] == [row["id"] for row in listed]
    assert more["_embedded"]["population"]["id"] == user["population"]["id"]


@pytest.mark.parametrize("user_id", ["nobody", "11111111-2222-4333-8444-555555555555"])
async def test_an_unknown_user_is_not_found(client: httpx.AsyncClient, user_id: str) -> None:
    answer = await client.get(f"/users/{user_id}")
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")


async def test_a_deleted_user_of_the_sample_is_not_found(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    people, ghost = sandbox.company.main.people, sandbox.company.main.ghosts[0]
    assert (await client.get(f"/users/{people.ids.of(ghost.index)}")).status_code == 404
    page = (await client.get("/users", params={"filter": f'username eq "{people.username(ghost.index)}"'})).json()
    assert page["count"] == 0


# --------------------------------------------------------------------------------------------------- writing


async def test_the_life_of_a_user(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    user = await create(client, name="lee", title="Buyer", department="Operations", shoeSize="44", enabled=False)
    path = f"/users/{user['id']}"
    default = sandbox.state().default_population
    assert bare(user) == {
        "id": user["id"],
        "environment": {"id": sandbox.environment_id},
        "account": {"canAuthenticate": True, "status": "OK"},
        "createdAt": user["createdAt"],
        "department": "Operations",
        "email": "lee@example.com",
        "emailVerified": False,
        "enabled": True,
        "identityProvider": {"type": "PING_ONE"},
        "lifecycle": {"status": "ACCOUNT_OK"},
        "mfaEnabled": False,
        "population": {"id": default},
        "title": "Buyer",
        "updatedAt": user["createdAt"],
        "username": "lee",
        "verifyStatus": "NOT_INITIATED",
    }

    named = (await client.patch(path, json={"name": {"given": "Lee", "family": "Oh"}, "title": None})).json()
    assert (named["name"], "title" in named) == ({"given": "Lee", "family": "Oh"}, False)
    again = (await client.patch(path, json={"name": {"family": None}, "enabled": False})).json()
    assert (again["name"], again["enabled"]) == ({"given": "Lee"}, True)

    replaced = (await client.put(path, json={"username": "lee.oh", "email": "lee.oh@example.com"})).json()
    assert {"name", "department"} & set(replaced) == set()
    assert replaced["createdAt"] == user["createdAt"] < replaced["updatedAt"]

    off = await client.put(f"{path}/enabled", json={"enabled": False})
    assert (off.status_code, off.json()["enabled"]) == (200, False)
    assert (await client.get(path)).json()["account"] == {"canAuthenticate": False, "status": "OK"}
    locked = (await client.post(path, headers=LOCK)).json()
    assert (locked["account"]["status"], locked["account"]["canAuthenticate"]) == ("LOCKED", False)
    assert "lockedAt" in locked["account"]
    await client.put(f"{path}/enabled", json={"enabled": True})
    assert (await client.get(path)).json()["account"]["status"] == "LOCKED"
    unlocked = (await client.post(path, headers=UNLOCK)).json()
    assert unlocked["account"] == {"canAuthenticate": True, "status": "OK"}

    await client.put(f"{path}/mfaEnabled", json={"mfaEnabled": True})
    assert (await client.get(f"{path}/mfaEnabled")).json()["mfaEnabled"] is True
    contractors = sandbox.state().contractors()
    assert (await client.put(f"{path}/population", json={"id": contractors})).json()["id"] == contractors
    assert (await client.get(f"{path}/population")).json()["id"] == contractors

    gone = await client.delete(path)
    assert (gone.status_code, gone.content) == (204, b"")
    assert (await client.get(path)).status_code == 404
    assert (await client.get("/users?limit=1")).json()["count"] == 120


async def test_an_import_may_say_what_others_may_not(client: httpx.AsyncClient) -> None:
    body = {
        "username": "kim",
        "email": "kim@example.com",
        "emailVerified": True,
        "lifecycle": {"status": "VERIFICATION_REQUIRED"},
    }
    plain = (await client.post("/users", json=body)).json()
    assert (plain["emailVerified"], plain["lifecycle"]) == (False, {"status": "ACCOUNT_OK"})
    await client.delete(f"/users/{plain['id']}")
    answer = await client.post("/users", content=httpx.Request("POST", "http://x", json=body).content, headers=IMPORT)
    imported = answer.json()
    assert (imported["emailVerified"], imported["lifecycle"]) == (True, {"status": "VERIFICATION_REQUIRED"})
    assert answer.headers["location"] == imported["_links"]["self"]["href"]


async def test_mfa_of_a_new_user_is_an_option() -> None:
    async with enter(Sandbox(size=10, now=NOW, options=Options(mfa_enabled_by_default=True))) as client:
        assert (await create(client))["mfaEnabled"] is True


async def test_scim_patch_operations_do_the_same(client: httpx.AsyncClient) -> None:
    user = await create(client, title="Buyer")
    operations = (
        '{"Operations":[{"op":"replace","path":"name.given","value":"Kim"},{"op":"remove","path":"title"},'
        '{"op":"add","path":"nickname","value":"K"}]}'
    )
    changed = (await client.patch(f"/users/{user['id']}", content=operations, headers=SCIM_PATCH)).json()
    assert (changed["name"], changed["nickname"], "title" in changed) == ({"given": "Kim"}, "K", False)


async def test_a_username_is_unique_in_any_case_and_free_again_after_deletion(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    taken = next(sandbox.users())
    body = {"username": taken["username"].upper(), "email": "x@example.com"}
    answer = await client.post("/users", json=body)
    detail = answer.json()["details"][0]
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_DATA")
    assert (detail["code"], detail["target"]) == ("UNIQUENESS_VIOLATION", "username")
    assert detail["innerError"] == {"existingId": taken["id"]}
    other = await create(client)
    assert (await client.patch(f"/users/{other['id']}", json={"username": taken["username"]})).status_code == 400
    await client.delete(f"/users/{taken['id']}")
    assert (await client.post("/users", json=body)).status_code == 201


@pytest.mark.parametrize(
    ("change", "code", "target"),
    [
        ({"username": None}, "REQUIRED_VALUE", "username"),
        ({"email": None}, "REQUIRED_VALUE", "email"),
        ({"email": "not an address"}, "INVALID_VALUE", "email"),
        ({"username": "x" * 129}, "SIZE_LIMIT_EXCEEDED", "username"),
        ({"username": ""}, "EMPTY_VALUE", "username"),
        ({"username": 7}, "INVALID_VALUE", "username"),
        ({"title": "a\u200bb"}, "INVALID_VALUE", "title"),
        ({"name": {"given": "\u202eevil"}}, "INVALID_VALUE", "name.given"),
        ({"name": {"family": "<b>"}}, "INVALID_VALUE", "name.family"),
        ({"name": "Kim"}, "INVALID_VALUE", "name"),
        ({"address": {"countryCode": "no"}}, "INVALID_VALUE", "address.countryCode"),
        ({"timezone": "Oslo"}, "INVALID_VALUE", "timezone"),
        ({"photo": {"href": "javascript:alert(1)"}}, "INVALID_VALUE", "photo.href"),
        ({"population": {"id": "nowhere"}}, "INVALID_VALUE", "population.id"),
    ],
)
async def test_what_breaks_a_rule_is_refused(
    client: httpx.AsyncClient, change: dict[str, Any], code: str, target: str
) -> None:
    answer = await client.post("/users", json={"username": "kim", "email": "kim@example.com"} | change)
    assert answer.status_code == 400
    assert (answer.json()["details"][0]["code"], answer.json()["details"][0]["target"]) == (code, target)


async def test_wrong_media_types_methods_and_bodies(client: httpx.AsyncClient) -> None:
    user = await create(client)
    path = f"/users/{user['id']}"
    for method, address, headers, content in (
        ("POST", path, {"content-type": "application/json"}, "{}"),
        ("POST", "/users", {"content-type": "text/plain"}, "{}"),
        ("PUT", f"{path}/enabled", {}, '{"enabled":false}'),
    ):
        answer = await client.request(method, address, headers=headers, content=content)
        assert (answer.status_code, answer.json()["code"]) == (415, "INVALID_REQUEST")
    assert (await client.patch("/users", json={})).status_code == 405
    for address in ("/nothing/of/the/kind", "/users/"):
        answer = await client.get(address)
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
    for content in ("{", "[]", '"text"'):
        answer = await client.patch(path, content=content, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST")
    assert (await client.put(f"{path}/enabled", json={"enabled": "no"})).status_code == 400


async def test_a_lock_ends_by_itself_and_in_the_past_never_begins(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    user = await create(client)
    path = f"/users/{user['id']}"
    events = len(sandbox.state().events)
    past = (await client.post(path, headers=LOCK, content='{"unlockAt":"2020-01-01T00:00:00Z"}')).json()
    assert (bare(past), len(sandbox.state().events)) == (bare(user), events)
    locked = (await client.post(path, headers=LOCK, content='{"unlockAt":"2026-06-15T13:00:00Z"}')).json()
    assert locked["account"]["unlockAt"] == "2026-06-15T13:00:00.000Z"
    assert 3_590 < locked["account"]["secondsUntilUnlock"] <= 3_600
    events = len(sandbox.state().events)
    sandbox.clock.advance(3_000)
    assert (await client.get(path)).json()["account"]["secondsUntilUnlock"] < 601
    sandbox.clock.advance(599)
    assert (await client.get(path)).json()["account"]["status"] == "LOCKED"
    sandbox.clock.advance(2)
    assert sandbox.user(None, user["id"]) == bare(locked) | {"account": {"canAuthenticate": True, "status": "OK"}}
    assert len(sandbox.state().events) == events


@pytest.mark.parametrize("bumps", [True, False])
async def test_state_changes_move_updated_at_by_option(bumps: bool) -> None:
    async with enter(Sandbox(size=10, now=NOW, options=Options(writes_bump_updated_at=bumps))) as client:
        user = await create(client)
        await client.put(f"/users/{user['id']}/enabled", json={"enabled": False})
        off = (await client.get(f"/users/{user['id']}")).json()
        locked = (await client.post(f"/users/{user['id']}", headers=LOCK)).json()
        assert (off["updatedAt"] > user["updatedAt"], locked["updatedAt"] > off["updatedAt"]) == (bumps, bumps)
        edited = (await client.patch(f"/users/{user['id']}", json={"title": "Buyer"})).json()
        assert edited["updatedAt"] > locked["updatedAt"]


async def test_the_password_is_never_told(client: httpx.AsyncClient) -> None:
    user = await create(client, password={"value": "hunter2", "forceChange": True})
    path = f"/users/{user['id']}/password"
    headers = {"content-type": "application/vnd.pingidentity.password.set+json"}
    answer = await client.put(path, content='{"value":"hunter3","forceChange":true}', headers=headers)
    assert (answer.status_code, answer.json()["status"]) == (200, "MUST_CHANGE_PASSWORD")
    for told in (answer, await client.get(path), await client.get(f"/users/{user['id']}")):
        assert "hunter" not in told.text


async def test_roles_are_given_and_taken(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    user = await create(client)
    path = f"/users/{user['id']}/roleAssignments"
    assert (await client.get(path)).json()["_embedded"] == {"roleAssignments": []}
    roles = (await client.get("https://api.example.net/v1/roles")).json()
    assert (roles["count"], roles["size"]) == (6, 6)
    reader = next(role for role in roles["_embedded"]["roles"] if role["name"] == "Identity Data Read Only")
    body = {"role": {"id": reader["id"]}, "scope": {"id": sandbox.environment_id, "type": "ENVIRONMENT"}}
    given = await client.post(path, json=body)
    assert (given.status_code, given.json()["role"]) == (201, {"id": reader["id"]})
    assert (await client.post(path, json=body)).json()["details"][0]["code"] == "UNIQUENESS_VIOLATION"
    wrong = {"role": {"id": reader["id"]}, "scope": {"id": "x", "type": "APPLICATION"}}
    assert (await client.post(path, json=wrong)).status_code == 400
    assert (await client.get(f"{path}/{given.json()['id']}")).json() == given.json()
    assert (await client.delete(f"{path}/{given.json()['id']}")).status_code == 204
    assert (await client.get(path)).json()["count"] == 0
    assert (await client.get(f"https://api.example.net/v1/roles/{reader['id']}")).json() == reader


async def test_garbled_values_are_no_values_of_their_type_wherever_they_are_shown() -> None:
    first, second = (user["id"] for user in list(Sandbox(size=9, now=NOW).users())[:2])
    pairs = ((first, "lastSignOn.at"), (first, "title"), (second, "id"))
    sandbox = Sandbox(size=9, now=NOW, options=Options(garbled=pairs))
    async with enter(sandbox) as client:
        page = (await client.get("/users")).json()["_embedded"]["users"]
        single = (await client.get(f"/users/{first}")).json()
    assert [page[0]["lastSignOn"]["at"], page[0]["title"], single["title"]] == [["garbled"]] * 3
    assert ["id" in user for user in page[:3]] == [True, False, True]
    assert next(sandbox.users())["title"] != ["garbled"]
