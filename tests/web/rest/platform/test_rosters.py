"""Rosters and rules for roles over REST: pushed whole, listed, pulled, removed; nobody else's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import SecretStr

from pingone_mcp.directory.models import JsonObject
from pingone_mcp.service.callers import Permission
from pingone_mcp.service.rosters.pulling import ReadList
from tests.web.rest.offices import Office

ROOT, RULES = "/roster", "/role-rules"
CSV = {"Content-Type": "text/csv; charset=utf-8"}
TOML = {"Content-Type": "application/toml"}
LIST = "email,status\nann@example.com,active\nbo@example.com,active\n"
RIGHT = '[[rule]]\nrole = "reader"\ngroup = "Finance*"\n'
URL = "https://crm.example.com/scim/v2/Users"


@dataclass(frozen=True)
class Read:
    users: tuple[JsonObject, ...]
    total: int | None = None
    is_whole: bool = True
    reason: str | None = None


async def answers(_: str, token: SecretStr | None) -> ReadList:
    assert token is not None
    assert token.get_secret_value() == "t0ken"
    return Read(({"userName": "ann", "active": True},))


async def put(
    desk: Office, path: str, content: str | bytes = LIST, status: int = 200, *, headers: dict[str, str] = CSV
) -> Any:
    return await desk.ask("PUT", path, status, content=content, headers=headers)


async def test_a_list_is_pushed_listed_shown_and_removed(desk: Office) -> None:
    acme = await desk.estate.link("acme")
    desk.is_for(acme.id)
    pushed = await put(desk, f"{ROOT}/crm")
    notes = pushed.pop("notes")
    assert notes == []
    assert pushed == {
        "name": "crm",
        "integrated_account_id": acme.id,
        "source": "pushed",
        "url": None,
        "accounts": 2,
        "received_at": pushed["created_at"],
        "age_seconds": 0,
        "tried_at": None,
        "reason": None,
        "created_at": pushed["created_at"],
    }
    assert await desk.ask("GET", f"{ROOT}/crm") == pushed
    entries = [{"email": "ann@example.com"}]
    assert (await desk.ask("PUT", f"{ROOT}/wiki", json=entries))["accounts"] == 1
    for limit in (1, 2, 5):
        assert [row["name"] for row in await desk.every(ROOT, {"limit": limit})] == ["crm", "wiki"]
    assert await desk.ask("DELETE", f"{ROOT}/crm") == {"name": "crm"}
    await desk.ask("GET", f"{ROOT}/crm", 404)
    await desk.ask("DELETE", f"{ROOT}/crm", 404)


@pytest.mark.parametrize(
    ("content", "headers", "status", "said"),
    [
        (LIST, {"Content-Type": "application/xml"}, 415, "Send it with Content-Type: text/csv or application/json."),
        (LIST, {"Content-Type": "text/plain"}, 415, "text/csv or application/json"),
        (LIST, {"X-Nothing": "x"}, 415, "text/csv or application/json"),
        (b"", CSV, 400, "there is no heading line"),
        ("name\nAnn\n", CSV, 400, "Name a column email, username or external_id"),
        ('email\n"ann', CSV, 400, "line 2"),
        (b"email\n\xff\n", CSV, 400, "Save it as"),
        (b"email\n\0\n", CSV, 400, "Save it as"),
        ("{", {"Content-Type": "application/json"}, 400, "line 1"),
        ('"x"', {"Content-Type": "application/json"}, 400, "Write a list of objects"),
        (b"[" * 1_000_000, {"Content-Type": "application/json"}, 400, "nested too deeply"),
    ],
)
async def test_what_is_no_roster_is_refused_with_what_to_do(
    desk: Office, content: str | bytes, headers: dict[str, str], status: int, said: str
) -> None:
    desk.is_for((await desk.estate.link("acme")).id)
    body = await put(desk, f"{ROOT}/crm", content, status, headers=headers)
    assert said in f"{body['message']} {body.get('next_step')}"
    assert (await desk.ask("GET", ROOT))["result"] == []


@pytest.mark.parametrize("name", ["..%2fx", "..", "a%00b", ".x", "x" * 65, "%2e%2e", "a%2Fb", "%F0%9F%98%80"])
async def test_a_name_that_is_none_is_refused(desk: Office, name: str) -> None:
    desk.is_for((await desk.estate.link("acme")).id)
    answer = await desk.http.request("PUT", f"http://here{ROOT}/{name}", content=LIST, headers=CSV)
    assert answer.status_code in (400, 404, 405)
    await desk.ask("GET", f"{ROOT}/{name}" if name != ".." else f"{ROOT}/a..b", 404)
    assert (await desk.ask("GET", ROOT))["result"] == []


async def test_a_roster_is_pulled_from_its_source(desk: Office) -> None:
    desk.is_for((await desk.estate.link("acme")).id)
    body = {"url": URL, "token": "t0ken"}
    made = await desk.ask("PUT", f"{ROOT}/crm/source", json=body)
    assert (made["source"], made["url"], made["accounts"]) == ("scim", URL, None)
    failed = await desk.ask("POST", f"{ROOT}/crm/pull", 422)
    assert failed["code"] == "ROSTER_NOT_PULLED"
    assert (await desk.ask("GET", f"{ROOT}/crm"))["reason"] == "No application answers there."
    desk.estate.applications[URL] = answers
    pulled = await desk.ask("POST", f"{ROOT}/crm/pull")
    assert (pulled["accounts"], pulled["is_pulling"], pulled["reason"]) == (1, False, None)
    assert (await put(desk, f"{ROOT}/crm", status=409))["code"] == "ROSTER_IS_PULLED"
    moved = {"url": "https://elsewhere.example.com/Users"}
    assert (await desk.ask("PUT", f"{ROOT}/crm/source", 400, json=moved))["code"] == "SECRET_NEEDED"
    assert (await desk.ask("PUT", f"{ROOT}/crm/source", json={"url": URL}))["accounts"] == 1
    for wrong in ({"url": "http://crm.example.com"}, {"url": "https://10.0.0.1/Users"}):
        assert (await desk.ask("PUT", f"{ROOT}/crm/source", 400, json=wrong))["code"] == "TARGET_REFUSED"
    assert "t0ken" not in (await desk.http.get(ROOT)).text
    await put(desk, f"{ROOT}/wiki")
    assert (await desk.ask("POST", f"{ROOT}/wiki/pull", 409))["code"] == "NO_SOURCE"
    await desk.ask("POST", f"{ROOT}/none/pull", 404)


async def test_rules_are_put_shown_and_removed(desk: Office) -> None:
    desk.is_for((await desk.estate.link("acme")).id)
    await desk.ask("GET", RULES, 404)
    made = await put(desk, RULES, RIGHT, headers=TOML)
    assert (made["lines"], made["rules"], made["exclusive"]) == (RIGHT.splitlines(), 1, 0)
    wrong = await put(desk, RULES, RIGHT.replace("group", "gruop"), 400, headers=TOML)
    assert "line 3: `gruop` is not known; did you mean group?" in wrong["message"]
    assert (await put(desk, RULES, RIGHT, 415))["next_step"].endswith("application/toml or text/plain.")
    assert (await put(desk, RULES, "# x\n" * 300_000, 413, headers=TOML))["code"] == "TOO_LARGE"
    assert await desk.ask("GET", RULES) == made
    assert await desk.ask("DELETE", RULES) == {"success": True}
    await desk.ask("DELETE", RULES, 404)


ASKED = [
    ("GET", ROOT, "directory.read"),
    ("GET", f"{ROOT}/crm", "directory.read"),
    ("GET", RULES, "directory.read"),
    ("PUT", f"{ROOT}/crm", "directory.sync"),
    ("DELETE", f"{ROOT}/crm", "directory.sync"),
    ("PUT", f"{ROOT}/crm/source", "directory.sync"),
    ("POST", f"{ROOT}/crm/pull", "directory.sync"),
    ("PUT", RULES, "directory.sync"),
    ("DELETE", RULES, "directory.sync"),
]


@pytest.mark.parametrize(("method", "path", "needed"), ASKED)
async def test_each_needs_its_permission(desk: Office, method: str, path: str, needed: Permission) -> None:
    acme = await desk.estate.link("acme")
    other: Permission = "directory.sync" if needed == "directory.read" else "directory.read"
    desk.is_for(acme.id, may=(other, "connections.manage", "events.manage", "directory.write"))
    body = await desk.ask(method, path, 403, json={"url": URL})
    assert needed in body["message"]


@pytest.mark.parametrize(("method", "path", "needed"), ASKED)
async def test_the_connection_of_another_is_as_one_that_there_is_not(
    desk: Office, method: str, path: str, needed: Permission
) -> None:
    acme, globex = await desk.estate.link("acme", tenant="a"), await desk.estate.link("globex", tenant="b")
    desk.is_for(globex.id)
    await put(desk, f"{ROOT}/crm")
    await put(desk, RULES, RIGHT, headers=TOML)
    desk.is_for(acme.id)
    heard = [
        await desk.ask(method, path, 404, params={"integrated_account_id": one}, json={"url": URL})
        for one in (globex.id, "11111111-1111-1111-1111-111111111111")
    ]
    assert heard[0] == heard[1]
    desk.is_for(globex.id)
    assert (await desk.ask("GET", f"{ROOT}/crm"))["accounts"] == 2


async def test_with_the_connection_its_rosters_go(desk: Office) -> None:
    acme = await desk.estate.link("acme")
    desk.is_for(acme.id)
    await put(desk, f"{ROOT}/crm")
    await put(desk, RULES, RIGHT, headers=TOML)
    removed = await desk.estate.administration.linking.remove(acme.id)
    assert {"its rosters", "its rules for roles"} <= set(removed)
    assert not list((desk.estate.folder / "state" / "connections").iterdir())
