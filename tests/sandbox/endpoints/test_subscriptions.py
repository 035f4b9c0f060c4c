"""`/subscriptions` as PingOne documents it; where the sandbox is stricter, it is so that it calls nobody else."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.options import Options
from tests.sandbox.entrance import NOW, enter, walk
from tests.sandbox.webhooks.receiver import ACTIONS, SECRET, TARGET, body_of

pytestmark = pytest.mark.anyio


async def test_a_subscription_is_created_read_replaced_and_deleted(client: httpx.AsyncClient) -> None:
    made = await client.post("/subscriptions", json=body_of())
    assert made.status_code == 201
    body = made.json()
    address = made.headers["location"]
    assert address == body["_links"]["self"]["href"]
    endpoint = {"url": TARGET, "headers": {"Authorization": SECRET}}
    environment_id = body["environment"]["id"]
    assert body == {
        "_links": {"self": {"href": address}, "environment": {"href": address.partition("/subscriptions")[0]}},
        "id": address.rpartition("/")[2],
        "environment": {"id": environment_id},
        "name": "ours",
        "enabled": True,
        "protocol": "HTTPS",
        "format": "ACTIVITY",
        "httpEndpoint": endpoint,
        "connectionDetails": endpoint,
        "verifyTlsCertificates": True,
        "filterOptions": {"ipAddressExposed": False, "userAgentExposed": False, "includedActionTypes": ACTIONS},
        "createdAt": "2026-06-15T12:00:00.001Z",
        "updatedAt": "2026-06-15T12:00:00.001Z",
    }
    assert (await client.get(address)).json() == body
    assert await walk(client, "/subscriptions", "subscriptions") == [body]
    put = await client.put(address, json=body_of(name="theirs", enabled=False))
    assert (put.status_code, put.json()["name"], put.json()["enabled"]) == (200, "theirs", False)
    assert put.json()["createdAt"] == body["createdAt"] < put.json()["updatedAt"]
    gone = await client.delete(address)
    assert (gone.status_code, gone.content) == (204, b"")
    assert [(await client.get(address)).status_code, (await client.delete(address)).status_code] == [404, 404]


async def test_there_is_no_patch_and_no_call_to_try_one(client: httpx.AsyncClient) -> None:
    address = (await client.post("/subscriptions", json=body_of())).headers["location"]
    assert (await client.patch(address, json={"enabled": False})).status_code == 405
    assert (await client.post(address, json={})).status_code == 405
    assert (await client.post(f"{address}/test", json={})).status_code == 404


async def test_the_target_may_be_given_by_either_of_its_names(client: httpx.AsyncClient) -> None:
    given = body_of(connectionDetails={"url": TARGET})
    del given["httpEndpoint"]
    body = (await client.post("/subscriptions", json=given)).json()
    assert body["httpEndpoint"] == body["connectionDetails"] == {"url": TARGET, "headers": {}}


async def test_the_fifty_first_subscription_is_refused(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    for _ in range(50):
        assert (await client.post("/subscriptions", json=body_of())).status_code == 201
    refused = await client.post("/subscriptions", json=body_of())
    assert (refused.status_code, refused.json()["code"]) == (403, "ACCESS_FAILED")
    rows = await walk(client, "/subscriptions?limit=20", "subscriptions")
    assert len({row["id"] for row in rows}) == 50
    await client.delete(f"/subscriptions/{rows[0]['id']}")
    assert (await client.post("/subscriptions", json=body_of())).status_code == 201
    other = sandbox.company.environments[1].id
    elsewhere = await client.post(f"https://api.example.net/v1/environments/{other}/subscriptions", json=body_of())
    assert elsewhere.status_code == 201, "each environment has fifty of its own"


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in body_of().items() if key != name}


def filtering(**options: Any) -> dict[str, Any]:
    return body_of(filterOptions={"includedActionTypes": ACTIONS} | options)


def limited(type_: str, size: object) -> dict[str, Any]:
    return body_of(payloadOptions={"maximumPayloadLimit": {"type": type_, "size": size}})


def to(url: object) -> dict[str, Any]:
    return body_of(httpEndpoint={"url": url})


@pytest.mark.parametrize(
    ("body", "target"),
    [
        (without("name"), "name"),
        (body_of(name=7), "name"),
        (without("enabled"), "enabled"),
        (body_of(enabled="true"), "enabled"),
        (without("verifyTlsCertificates"), "verifyTlsCertificates"),
        (without("format"), "format"),
        (body_of(format="NEW_RELIC"), "format"),
        (body_of(protocol="TCP_IP"), "protocol"),
        (without("httpEndpoint"), "connectionDetails.url"),
        (body_of(httpEndpoint="somewhere"), "httpEndpoint"),
        (to(""), "httpEndpoint.url"),
        (body_of(httpEndpoint={"url": TARGET, "headers": {"A b": "c"}}), "httpEndpoint.headers"),
        (body_of(httpEndpoint={"url": TARGET, "headers": {"A": "b\r\nC: d"}}), "httpEndpoint.headers"),
        (body_of(httpEndpoint={"url": TARGET, "headers": {"A": 1}}), "httpEndpoint.headers"),
        (body_of(httpEndpoint={"url": TARGET, "headers": {"A": "ü"}}), "httpEndpoint.headers"),
        (without("filterOptions"), "filterOptions.includedActionTypes"),
        (filtering(includedActionTypes=[]), "filterOptions.includedActionTypes"),
        (filtering(includedActionTypes="USER.UPDATED"), "filterOptions.includedActionTypes"),
        (filtering(includedPopulations=[{"id": "nowhere"}]), "filterOptions.includedPopulations"),
        (filtering(includedPopulations=[{"id": "x"}] * 11), "filterOptions.includedPopulations"),
        (filtering(includedApplications=[{"id": "x"}] * 11), "filterOptions.includedApplications"),
        (filtering(includedApplications=["x"]), "filterOptions.includedApplications"),
        (filtering(includedTags=["other"]), "filterOptions.includedTags"),
        (filtering(includedTags=[["adminIdentityEvent"]]), "filterOptions.includedTags"),
        (filtering(ipAddressExposed="yes"), "filterOptions.ipAddressExposed"),
        (limited("EVENTS_PER_PAYLOAD", 0), "payloadOptions.maximumPayloadLimit.size"),
        (limited("EVENTS_PER_PAYLOAD", 501), "payloadOptions.maximumPayloadLimit.size"),
        (limited("KB_PER_PAYLOAD", 4_097), "payloadOptions.maximumPayloadLimit.size"),
        (limited("KB_PER_PAYLOAD", True), "payloadOptions.maximumPayloadLimit.size"),
        (limited("MB_PER_PAYLOAD", 1), "payloadOptions.maximumPayloadLimit.type"),
        (
            body_of(payloadOptions={"payloadFormat": {"https": {"format": "CSV"}}}),
            "payloadOptions.payloadFormat.https.format",
        ),
        (body_of(tlsClientAuthKeyPair={"id": "k"}, verifyTlsCertificates=False), "verifyTlsCertificates"),
    ],
)
async def test_what_is_wrong_with_a_subscription_is_named(
    client: httpx.AsyncClient, body: dict[str, Any], target: str
) -> None:
    refused = await client.post("/subscriptions", json=body)
    assert (refused.status_code, refused.json()["code"]) == (400, "INVALID_DATA")
    assert refused.json()["details"][0]["target"] == target
    assert await walk(client, "/subscriptions", "subscriptions") == []


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.net/",
        "https://192.0.2.1/",
        "http://10.0.0.7/",
        "http://169.254.169.254/latest",
        "http://0.0.0.0:9000/",
        "http://[::1]:9000/",
        "http://[::ffff:127.0.0.1]/",
        "http://127.0.0.1.example.net/",
        "http://localhost.example.net/",
        "http://127.0.0.1@example.net/",
        "http://example.net#@127.0.0.1/",
        "http://example.net\\@127.0.0.1/",
        "http://2130706433/",
        "ftp://127.0.0.1/",
        "//127.0.0.1/",
        "127.0.0.1:9000",
        "http://127.0.0.1:99999999/",
        "http:///x",
        "http://\x00",
    ],
)
async def test_no_target_lies_outside_this_machine(client: httpx.AsyncClient, url: str) -> None:
    refused = await client.post("/subscriptions", json=to(url))
    assert (refused.status_code, refused.json()["code"]) == (400, "INVALID_DATA")
    assert refused.json()["details"][0]["target"] == "httpEndpoint.url"
    address = (await client.post("/subscriptions", json=body_of())).headers["location"]
    assert (await client.put(address, json=to(url))).status_code == 400
    assert (await client.get(address)).json()["httpEndpoint"]["url"] == TARGET


@pytest.mark.parametrize("url", ["http://localhost:1/x?y=z", "https://127.0.0.1/", "http://127.7.7.7:9000/"])
async def test_targets_on_this_machine_are_taken(client: httpx.AsyncClient, url: str) -> None:
    assert (await client.post("/subscriptions", json=to(url))).status_code == 201


async def test_who_reads_the_configuration_sees_subscriptions_and_changes_none(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    address = (await client.post("/subscriptions", json=body_of())).headers["location"]
    sandbox.withdraw()
    sandbox.grant("Identity Data Read Only")
    assert (await client.get("/subscriptions")).status_code == 403
    sandbox.grant("Configuration Read Only")
    assert (await client.get("/subscriptions")).json()["count"] == 1
    refused = [
        await client.post("/subscriptions", json=body_of()),
        await client.put(address, json=body_of()),
        await client.delete(address),
    ]
    assert [(one.status_code, one.json()["code"]) for one in refused] == [(403, "ACCESS_FAILED")] * 3


async def test_which_roles_it_takes_is_an_option() -> None:
    options = Options(subscription_readers=("Environment Admin",), subscription_managers=("Identity Data Admin",))
    sandbox = Sandbox(size=10, now=NOW, options=options)
    sandbox.withdraw("Environment Admin")
    async with enter(sandbox) as client:
        assert (await client.get("/subscriptions")).status_code == 403
        assert (await client.post("/subscriptions", json=body_of())).status_code == 201


async def test_the_secret_in_a_header_is_shown_unless_an_option_hides_it(client: httpx.AsyncClient) -> None:
    await client.post("/subscriptions", json=body_of())
    assert SECRET in (await client.get("/subscriptions")).text
    sandbox = Sandbox(size=10, now=NOW, options=Options(subscription_headers_shown=False))
    async with enter(sandbox) as other:
        made = await other.post("/subscriptions", json=body_of())
        assert SECRET not in made.text + (await other.get("/subscriptions")).text
        assert list(made.json()["httpEndpoint"]["headers"]) == ["Authorization"]


async def test_by_an_option_a_subscription_may_lead_anywhere_by_https_and_nothing_is_sent_there() -> None:
    sandbox = Sandbox(size=10, now=NOW, options=Options(subscriptions_to_elsewhere=True))
    async with enter(sandbox) as client:
        assert (await client.post("/subscriptions", json=to("http://receiver.example.com/"))).status_code == 400
        assert (await client.post("/subscriptions", json=to("https://receiver.example.com/"))).status_code == 201
        sandbox.administration().update_user(0, title="Another")
        [delivery] = await sandbox.sender.deliver()
    assert (delivery.status, delivery.accepted) == (None, False)


async def test_an_option_takes_a_subscription_without_a_format() -> None:
    async with enter(Sandbox(size=10, now=NOW, options=Options(subscription_format_required=False))) as client:
        assert (await client.post("/subscriptions", json=without("format"))).json()["format"] == "ACTIVITY"


async def test_changes_of_subscriptions_are_recorded(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    before = len(sandbox.state().events)
    address = (await client.post("/subscriptions", json=body_of())).headers["location"]
    await client.put(address, json=body_of(enabled=False))
    await client.delete(address)
    await client.post("/subscriptions", json={})
    done = sandbox.state().events[before:]
    assert [(event.action, event.resource_name) for event in done] == [
        ("SUBSCRIPTION.CREATED", "ours"),
        ("SUBSCRIPTION.UPDATED", "ours"),
        ("SUBSCRIPTION.DELETED", "ours"),
    ]
    assert {event.path for event in done} == {f"subscriptions/{address.rpartition('/')[2]}"}
