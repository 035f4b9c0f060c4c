"""Somebody is disabled, locked or removed by hand, at the sandbox's back door."""

from __future__ import annotations

import httpx

from pingone_mcp.sandbox.app import Sandbox


async def test_whoever_is_named_by_id_or_username_is_changed_as_an_administrator_would(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    user = next(one for one in sandbox.users() if one["enabled"] and one["account"]["status"] == "OK")
    who = {"id": user["id"], "username": user["username"]}
    before = len(sandbox.state().events)

    async def do(act: str, name: str) -> None:
        answer = await client.post(f"https://api.example.net/sandbox/users/{name}/{act}")
        assert (answer.status_code, answer.json()) == (200, who)

    def found() -> tuple[bool, str, bool]:
        one = sandbox.user(None, user["id"])
        assert one is not None
        return one["enabled"], one["account"]["status"], one["account"]["canAuthenticate"]

    await do("disable", user["username"])
    assert found() == (False, "OK", False)
    await do("enable", user["id"])
    assert found() == (True, "OK", True)
    await do("lock", user["id"])
    assert found() == (True, "LOCKED", False)
    await do("unlock", user["username"])
    assert found() == (True, "OK", True)
    await do("delete", user["username"])
    assert sandbox.user(None, user["id"]) is None
    done = sandbox.state().events[before:]
    updated, locked = "USER.UPDATED", ["USER.LOCKED", "USER.UNLOCKED"]
    assert [event.action for event in done] == [updated, updated, *locked, "USER.DELETED"]
    assert {event.actor.user_name for event in done} == {"sam.reyes@example.com"}


async def test_nobody_and_no_act_are_told_apart(client: httpx.AsyncClient, sandbox: Sandbox) -> None:
    before = len(sandbox.state().events)
    nobody = await client.post("https://api.example.net/sandbox/users/nobody/disable")
    assert (nobody.status_code, list(nobody.json())) == (404, ["user"])
    wrong = await client.post(f"https://api.example.net/sandbox/users/{next(sandbox.users())['id']}/promote")
    assert (wrong.status_code, wrong.json()["acts"]) == (404, ["disable", "enable", "lock", "unlock", "delete"])
    assert len(sandbox.state().events) == before
