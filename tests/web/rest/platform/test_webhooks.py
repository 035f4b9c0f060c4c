"""Webhooks over REST: public targets only, the secret once, each tenant its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.web.rest.offices import Office

ROOT = "/webhook"
TARGET = "https://hooks.example.com/pingone?for=us"
UNKNOWN = "11111111-1111-1111-1111-111111111111"


async def test_the_secret_is_shown_when_a_webhook_is_made_and_never_again(desk: Office) -> None:
    made = await desk.ask("POST", ROOT, json={"target_url": TARGET, "event_types": ["record:*"]})
    secret = made.pop("secret")
    assert (await desk.estate.control.webhooks.secret(made["id"])).get_secret_value() == secret
    assert (made["target_url"], made["event_types"], made["is_active"]) == (TARGET, ["record:*"], True)
    assert await desk.ask("GET", f"{ROOT}/{made['id']}") == made
    assert (await desk.ask("GET", ROOT))["result"] == [made]
    changed = await desk.ask("PATCH", f"{ROOT}/{made['id']}", json={"is_active": False, "event_types": []})
    assert (changed["is_active"], changed["event_types"], changed["target_url"]) == (False, [], TARGET)
    assert await desk.ask("DELETE", f"{ROOT}/{made['id']}") == {"id": made["id"]}
    assert (await desk.ask("GET", f"{ROOT}/{made['id']}", 404))["code"] == "NO_WEBHOOK"


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com",
        "ftp://hooks.example.com",
        "https://localhost/x",
        "https://127.0.0.1/x",
        "https://127.1/x",
        "https://2130706433/x",
        "https://0x7f000001/x",
        "https://1.0x7f000001/x",
        "https://0177.0.0.1/x",
        "https://10.1.2.3/x",
        "https://172.16.0.1/x",
        "https://192.168.1.1:8443/x",
        "https://100.64.0.1/x",
        "https://169.254.169.254/latest/meta-data",
        "https://0.0.0.0/x",
        "https://224.0.0.1/x",
        "https://[::1]/x",
        "https://[::]/x",
        "https://[fe80::1]/x",
        "https://[fd00:ec2::254]/x",
        "https://[::ffff:127.0.0.1]/x",
        "https://[2002:7f00:1::]/x",
        "https://[64:ff9b::7f00:1]/x",
        "https://metadata.google.internal/x",
        "https://printer.local/x",
        "https://router.home.arpa/x",
        "https://localhost./x",
        "https://app.localhost/x",
        "https://intranet/x",
        "https://user:word@hooks.example.com/x",
        "https://hooks.example.com@127.0.0.1/x",
        "https://hooks.example.com\\@127.0.0.1/x",
        "https://hooks.example.com/x#part",
        "https://hooks.example.com:0/x",
        "https://hooks.example.com:99999/x",
        "https://hooks.example.com/\n x",
        "https://①②⑦.0.0.1/x",
        "https:///x",
        "https://[::1",
        "nonsense",
        "",
        "https://hooks.example.com/" + "x" * 2_000,
    ],
)
async def test_events_go_to_public_addresses_by_https_only(desk: Office, url: str) -> None:
    await desk.ask("POST", ROOT, 400, json={"target_url": url})
    made = await desk.ask("POST", ROOT, json={"target_url": TARGET})
    await desk.ask("PATCH", f"{ROOT}/{made['id']}", 400, json={"target_url": url})
    assert [row["target_url"] for row in (await desk.ask("GET", ROOT))["result"]] == [TARGET]


@pytest.mark.parametrize(
    "url", ["https://1.1.1.1/x", "https://[2606:4700::1111]/", "https://xn--bcher-kva.example.com:8443"]
)
async def test_public_addresses_are_taken(desk: Office, url: str) -> None:
    assert (await desk.ask("POST", ROOT, json={"target_url": url}))["target_url"] == url


async def test_an_event_that_there_is_not_is_named(desk: Office) -> None:
    body = await desk.ask("POST", ROOT, 400, json={"target_url": TARGET, "event_types": ["record:crated"]})
    assert (body["code"], "record:created" in body["message"]) == ("NO_SUCH_EVENT", True)


async def test_a_test_waits_in_the_outbox(desk: Office) -> None:
    made = await desk.ask("POST", ROOT, json={"target_url": TARGET, "event_types": ["record:created"]})
    assert await desk.ask("POST", f"{ROOT}/test", json={"id": made["id"]}) == {"success": True}
    [head] = await desk.estate.control.outbox.heads()
    event = await desk.estate.control.outbox.read(head.id)
    assert event is not None
    assert (event.webhook_id, event.event, event.payload) == (made["id"], "test", {"foo": "bar"})
    await desk.ask("PATCH", f"{ROOT}/{made['id']}", json={"is_active": False})
    assert (await desk.ask("POST", f"{ROOT}/test", 400, json={"id": made["id"]}))["code"] == "WEBHOOK_OFF"


async def test_each_tenant_has_its_own(desk: Office) -> None:
    everybodys = await desk.ask("POST", ROOT, json={"target_url": TARGET})
    desk.is_for(tenant="g")
    theirs = await desk.ask("POST", ROOT, json={"target_url": TARGET})
    assert theirs["tenant_id"] == "g"
    desk.is_for(tenant="a")
    mine = await desk.ask("POST", ROOT, json={"target_url": TARGET})
    assert [row["id"] for row in (await desk.ask("GET", ROOT))["result"]] == [mine["id"]]
    calls: list[tuple[str, str, Any]] = [
        ("GET", f"{ROOT}/ID", None),
        ("PATCH", f"{ROOT}/ID", {"is_active": False}),
        ("DELETE", f"{ROOT}/ID", None),
        ("POST", f"{ROOT}/test", {"id": "ID"}),
    ]
    for method, path, body in calls:
        answers = [
            await desk.ask(method, path.replace("ID", one), 404, json=json.loads(json.dumps(body).replace("ID", one)))
            for one in (theirs["id"], everybodys["id"], UNKNOWN)
        ]
        assert answers[0] == answers[1] == answers[2]
    desk.is_for()
    assert len((await desk.ask("GET", ROOT))["result"]) == 3


async def test_lists_come_in_pages(desk: Office) -> None:
    made = [(await desk.ask("POST", ROOT, json={"target_url": f"{TARGET}&n={n}"}))["id"] for n in range(5)]
    for limit in (1, 2, 5):
        assert sorted(row["id"] for row in await desk.every(ROOT, {"limit": limit})) == sorted(made)
    cursor = (await desk.ask("GET", ROOT, params={"limit": 1}))["next_cursor"]
    desk.is_for(tenant="a")
    assert (await desk.ask("GET", ROOT, 400, params={"next_cursor": cursor}))["code"] == "FOREIGN_CURSOR"


async def test_who_reaches_single_connections_has_no_webhooks(desk: Office) -> None:
    acme = await desk.estate.link("acme")
    desk.is_for(acme.id)
    body = {"target_url": TARGET}
    for method, path in (("GET", ROOT), ("POST", ROOT), ("GET", f"{ROOT}/1"), ("DELETE", f"{ROOT}/1")):
        more = {"json": body} if method == "POST" else {}
        assert (await desk.ask(method, path, 403, **more))["code"] == "CREDENTIAL_TOO_NARROW"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ROOT), ("POST", ROOT), ("PATCH", f"{ROOT}/1"), ("POST", f"{ROOT}/test")]
)
async def test_webhooks_need_their_permission(desk: Office, method: str, path: str) -> None:
    desk.is_for(may=("directory.read", "directory.sync", "directory.write", "connections.manage"))
    assert "events.manage" in (await desk.ask(method, path, 403, json={}))["message"]
