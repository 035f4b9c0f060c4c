"""Connections over REST: linked once they work, shown without secrets, and changed by those who may."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from tests.fleets import caller
from tests.web.rest.offices import ALL, Office

ROOT = "/integrated-account"


async def test_what_works_is_linked_and_shown_without_its_secret(desk: Office) -> None:
    body = {"tenant_id": "customer-17", "name": "Acme", "context": desk.context("acme", region="EU")}
    made = await desk.ask("POST", ROOT, json=body)
    assert (made["status"], made["tenant_id"], made["name"]) == ("active", "customer-17", "Acme")
    assert made["integration"]["name"] == "pingone"
    assert made["context"]["region"] == "EU"
    assert desk.estate.company("acme").sandbox.client_secret not in json.dumps(made)
    assert await desk.ask("GET", f"{ROOT}/{made['id']}") == made
    assert (await desk.ask("GET", ROOT))["result"] == [made]


async def test_what_does_not_work_is_said_with_the_findings_and_not_kept(desk: Office) -> None:
    context = desk.context("acme", client_secret="another")
    body = await desk.ask("POST", ROOT, 422, json={"context": context})
    assert body["code"] == "CONNECTION_DOES_NOT_WORK"
    assert any(finding.startswith("token: ") for finding in body["details"]["failures"])
    assert (await desk.ask("GET", ROOT))["result"] == []


async def test_values_that_make_no_connection_are_named_as_members_and_not_shown(desk: Office) -> None:
    body = await desk.ask("POST", ROOT, 400, json={"context": {"environment_id": "acme", "client_secret": "s3cret"}})
    assert any(finding.startswith("`context.client_id`: missing") for finding in body["details"]["failures"])
    assert "s3cret" not in json.dumps(body)


@pytest.mark.parametrize(
    "name", ["api_url", "auth_url", "cache_dir", "audit_file", "rosters", "roles_file", "sandbox", "nonsense"]
)
async def test_a_caller_gives_no_address_and_no_file(desk: Office, name: str) -> None:
    acme = await desk.estate.link("acme")
    given = desk.context("acme", **{name: "https://acme.test"})
    for method, path in (("POST", ROOT), ("PATCH", f"{ROOT}/{acme.id}")):
        body = await desk.ask(method, path, 400, json={"context": given})
        assert (body["code"], name in body["message"]) == ("NO_SUCH_SETTING", True)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.0.0.8", "169.254.169.254", "localhost", "[::1]", "vault.internal", "intern", "a.de:8443"]
)
async def test_a_custom_domain_is_a_public_host(desk: Office, host: str) -> None:
    body = await desk.ask("POST", ROOT, 400, json={"context": desk.context("acme", custom_domain=host)})
    assert body["code"] == "NO_PUBLIC_HOST"
    assert "`context.custom_domain`" in body["message"]


async def test_the_secret_that_is_there_is_sent_to_no_other_host(desk: Office) -> None:
    acme = await desk.estate.link("acme")
    elsewhere = {"custom_domain": "login.evil.example"}
    body = await desk.ask("PATCH", f"{ROOT}/{acme.id}", 400, json={"context": elsewhere})
    assert body["code"] == "SECRET_NEEDED"
    knows = {**elsewhere, "client_secret": desk.estate.company("acme").sandbox.client_secret}
    assert (await desk.ask("PATCH", f"{ROOT}/{acme.id}", json={"context": knows}))["status"] == "active"


@pytest.mark.parametrize("switch", ["allow_writes", "allow_production_writes"])
async def test_only_who_may_write_lets_a_connection_write(desk: Office, switch: str) -> None:
    acme = await desk.estate.link("acme")
    desk.is_for(acme.id, may=("connections.manage",))
    body = await desk.ask("PATCH", f"{ROOT}/{acme.id}", 403, json={"context": {switch: True}})
    assert (body["code"], "directory.write" in body["message"]) == ("INSUFFICIENT_SCOPE", True)
    desk.is_for(acme.id, may=("connections.manage", "directory.write"))
    changed = await desk.ask("PATCH", f"{ROOT}/{acme.id}", json={"context": {switch: True}})
    assert changed["context"][switch] is True


async def test_a_change_counts_once_it_works_and_keeps_what_is_not_named(desk: Office) -> None:
    acme = await desk.estate.link("acme", sync_minutes=30)
    path = f"{ROOT}/{acme.id}"
    await desk.ask("PATCH", path, 422, json={"context": {"client_secret": "another"}})
    assert (await desk.ask("GET", path))["status"] == "active"
    changed = await desk.ask("PATCH", path, json={"name": "Acme & Co", "context": {"page_size": 50}})
    assert (changed["name"], changed["context"]["page_size"]) == ("Acme & Co", 50)
    assert (changed["id"], changed["context"]["sync_minutes"]) == (acme.id, 30)


async def test_a_paused_connection_is_shown_and_not_asked(desk: Office) -> None:
    acme = await desk.estate.link("acme")
    assert (await desk.ask("PATCH", f"{ROOT}/{acme.id}", json={"is_paused": True}))["is_paused"] is True
    body = await desk.ask("GET", "/unified/user-directory/users", 400, params={"integrated_account_id": acme.id})
    assert body["code"] == "CONNECTION_PAUSED"
    await desk.ask("PATCH", f"{ROOT}/{acme.id}", json={"is_paused": False})
    await desk.ask("GET", "/unified/user-directory/users", params={"integrated_account_id": acme.id})


async def test_a_check_says_what_came_of_it_and_notes_it(desk: Office) -> None:
    acme = await desk.estate.link("acme")
    again: dict[str, Any] = {"json": {"id": acme.id}}
    with desk.estate.another_secret("acme"):
        body = await desk.ask("POST", f"{ROOT}/refresh-credentials", 422, **again)
    assert body["details"]["failures"]
    noted = await desk.ask("GET", f"{ROOT}/{acme.id}")
    assert (noted["status"], noted["last_error"] in body["message"]) == ("needs_reauth", True)
    assert await desk.ask("POST", f"{ROOT}/refresh-credentials", **again) == {"success": True}
    assert (await desk.ask("GET", f"{ROOT}/{acme.id}"))["status"] == "active"


async def test_a_check_without_an_answer_fails_and_changes_nothing(desk: Office) -> None:
    acme = await desk.estate.link("acme", retry_seconds=0)
    desk.estate.company("acme").sandbox.faults.add("dropped_connection", path="/as/token|/v1/", times=None)
    body = await desk.ask("POST", f"{ROOT}/refresh-credentials", 422, json={"id": acme.id})
    assert body["details"]["failures"]
    assert (await desk.ask("GET", f"{ROOT}/{acme.id}"))["status"] == "active"


async def test_what_is_removed_is_gone(desk: Office) -> None:
    acme = await desk.estate.link("acme")
    assert await desk.ask("DELETE", f"{ROOT}/{acme.id}") == {"id": acme.id}
    assert (await desk.ask("GET", f"{ROOT}/{acme.id}", 404))["code"] == "NO_CONNECTION"


async def test_nothing_at_all_changes_nothing_and_null_is_no_change(desk: Office) -> None:
    acme = await desk.estate.link("acme")
    before = await desk.ask("GET", f"{ROOT}/{acme.id}")
    assert await desk.ask("PATCH", f"{ROOT}/{acme.id}") == before
    assert (await desk.ask("PATCH", f"{ROOT}/{acme.id}", 400, content=b"null"))["code"] == "WRONG_BODY"


async def test_several_are_removed_or_none(desk: Office) -> None:
    linked = [await desk.estate.link(name, tenant="t") for name in ("a1", "b1", "c1")]
    other = await desk.estate.link("other", tenant="o")
    desk.is_for(tenant="t")
    ids = [one.id for one in linked[:2]]
    for missing in (other.id, "nobody"):
        refused = await desk.ask("POST", f"{ROOT}/bulk-delete", 404, json={"ids": [*ids, missing]})
        assert refused["code"] == "NO_CONNECTION"
    assert len((await desk.ask("GET", ROOT))["result"]) == 3
    assert await desk.ask("POST", f"{ROOT}/bulk-delete", json={"ids": [*ids, ids[0]]}) == {"success": True}
    assert [row["id"] for row in (await desk.ask("GET", ROOT))["result"]] == [linked[2].id]


async def test_that_of_the_variables_is_not_removed_and_nothing_beside_it(desk: Office) -> None:
    acme = await desk.estate.link("acme")
    await desk.estate.control.connections.keep_default({})
    await desk.ask("POST", f"{ROOT}/bulk-delete", 400, json={"ids": [acme.id, "default"]})
    assert {row["id"] for row in (await desk.ask("GET", ROOT))["result"]} == {acme.id, "default"}


async def test_credentials_alone_are_changed_once_they_work(desk: Office) -> None:
    acme = await desk.estate.link("acme", sync_minutes=30)
    own = {name: desk.context("acme")[name] for name in ("client_id", "client_secret")}
    path = f"{ROOT}/{acme.id}/credentials"
    await desk.ask("PATCH", path, 422, json={"context": {**own, "client_secret": "another"}})
    others: list[dict[str, Any]] = [{}, {"context": {**own, "page_size": 5}}, {"context": {}}]
    for body in [*others, {"context": own, "name": "x"}]:
        assert (await desk.ask("PATCH", path, 400, json=body))["code"] == "WRONG_BODY"
    changed = await desk.ask("PATCH", path, json={"context": own})
    assert (changed["id"], changed["status"], changed["context"]["sync_minutes"]) == (acme.id, "active", 30)
    assert own["client_secret"] not in json.dumps(changed)


async def test_lists_come_in_pages_each_once_and_end_without_a_cursor(desk: Office) -> None:
    linked = []
    for name in ("a1", "b1", "c1", "d1"):
        linked.append(await desk.estate.link(name, tenant="t" if name < "c" else None))
        desk.estate.time.passed += 1
    for limit in (1, 2, 4, 5):
        rows = await desk.every(ROOT, {"limit": limit})
        assert [row["id"] for row in rows] == [one.id for one in linked]
    assert [row["id"] for row in await desk.every(ROOT, {"limit": 1, "tenant_id": "t"})] == [
        one.id for one in linked[:2]
    ]
    assert (await desk.ask("GET", ROOT))["limit"] == 5_000


async def test_a_cursor_goes_on_where_one_was_removed_meanwhile(desk: Office) -> None:
    linked = sorted([await desk.estate.link(name) for name in ("a1", "b1", "c1")], key=lambda one: one.id)
    page = await desk.ask("GET", ROOT, params={"limit": 2})
    await desk.estate.administration.linking.remove(linked[1].id)
    rest = await desk.ask("GET", ROOT, params={"limit": 2, "next_cursor": page["next_cursor"]})
    assert ([row["id"] for row in rest["result"]], rest["next_cursor"]) == ([linked[2].id], None)


async def test_a_cursor_is_good_for_its_caller_and_its_question_only(desk: Office) -> None:
    for name in ("a1", "b1"):
        await desk.estate.link(name, tenant="t")
    cursor = (await desk.ask("GET", ROOT, params={"limit": 1}))["next_cursor"]
    other = {"limit": 1, "next_cursor": cursor, "tenant_id": "t"}
    assert (await desk.ask("GET", ROOT, 400, params=other))["code"] == "FOREIGN_CURSOR"
    desk.is_for(tenant="t")
    for wrong in (cursor, "nonsense"):
        assert (await desk.ask("GET", ROOT, 400, params={"next_cursor": wrong}))["code"] == "FOREIGN_CURSOR"


@pytest.mark.parametrize("query", [{"tenant": "t"}, {"limit": "0"}, {"limit": "5001"}, {"limit": "x"}])
async def test_a_parameter_that_is_none_is_refused_by_name(desk: Office, query: dict[str, str]) -> None:
    body = await desk.ask("GET", ROOT, 400, params=query)
    assert next(iter(query)) in body["message"]


# --- Who reaches what


# Every way to name a connection.
NAMING: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", f"{ROOT}/ID", {}),
    ("PATCH", f"{ROOT}/ID", {"json": {"name": "mine"}}),
    ("PATCH", f"{ROOT}/ID", {"json": {"context": {"page_size": 20}}}),
    ("DELETE", f"{ROOT}/ID", {}),
    ("POST", f"{ROOT}/token", {"json": {"integrated_account_id": "ID"}}),
    ("POST", f"{ROOT}/refresh-credentials", {"json": {"id": "ID"}}),
    ("POST", "/link-token", {"json": {"integrated_account_id": "ID"}}),
    ("POST", "/sync-job-run", {"json": {"integrated_account_id": "ID"}}),
    ("GET", "/sync-job-run", {"params": {"integrated_account_id": "ID"}}),
    ("PATCH", f"{ROOT}/ID/credentials", {"json": {"context": {"client_id": "a", "client_secret": "b"}}}),
    ("POST", f"{ROOT}/bulk-delete", {"json": {"ids": ["ID"]}}),
    ("GET", "/unified/user-directory/users", {"params": {"integrated_account_id": "ID"}}),
    ("GET", "/proxy/users", {"params": {"integrated_account_id": "ID"}}),
    ("POST", "/proxy/users", {"params": {"integrated_account_id": "ID"}, "json": {}}),
]


async def test_others_of_another_tenant_are_as_if_they_were_not_there(desk: Office) -> None:
    acme, globex = await desk.estate.link("acme", tenant="a"), await desk.estate.link("globex", tenant="g")
    desk.is_for(tenant="a")
    assert [row["id"] for row in (await desk.ask("GET", ROOT))["result"]] == [acme.id]
    assert (await desk.ask("GET", ROOT, params={"tenant_id": "g"}))["result"] == []
    for method, path, more in NAMING:
        answers = [
            await desk.ask(method, path.replace("ID", one), 404, **json.loads(json.dumps(more).replace("ID", one)))
            for one in (globex.id, "11111111-1111-1111-1111-111111111111")
        ]
        assert answers[0] == answers[1]
        assert "globex" not in json.dumps(answers[0])
    assert (await desk.estate.control.connections.get(globex.id)) is not None


async def test_who_is_of_one_tenant_links_for_that_tenant(desk: Office) -> None:
    desk.is_for(tenant="a")
    body = await desk.ask("POST", ROOT, 403, json={"tenant_id": "g", "context": desk.context("acme")})
    assert body["code"] == "ANOTHER_TENANT"
    assert (await desk.ask("POST", ROOT, json={"context": desk.context("acme")}))["tenant_id"] == "a"


async def test_who_reaches_single_connections_neither_links_nor_renames(desk: Office) -> None:
    acme = await desk.estate.link("acme")
    await desk.estate.link("globex")
    desk.is_for(acme.id)
    for method, path, body in (
        ("POST", ROOT, {"context": desk.context("initech")}),
        ("PATCH", f"{ROOT}/{acme.id}", {"name": "globex"}),
        ("PATCH", f"{ROOT}/{acme.id}", {"name": "anything"}),
        ("POST", "/link-token", {"tenant_id": "g"}),
    ):
        assert (await desk.ask(method, path, 403, json=body))["code"] == "CREDENTIAL_TOO_NARROW"
    await desk.ask("PATCH", f"{ROOT}/{acme.id}", json={"name": "acme", "is_paused": True})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", ROOT),
        ("PATCH", f"{ROOT}/me"),
        ("PATCH", f"{ROOT}/1"),
        ("DELETE", f"{ROOT}/1"),
        ("PATCH", f"{ROOT}/1/credentials"),
        ("POST", f"{ROOT}/bulk-delete"),
        ("POST", f"{ROOT}/refresh-credentials"),
        ("POST", "/link-token"),
    ],
)
async def test_changes_need_the_permission_to_manage(desk: Office, method: str, path: str) -> None:
    desk.is_for(may=("directory.read", "directory.sync", "directory.write", "events.manage"))
    body = await desk.ask(method, path, 403, json={})
    assert (body["code"], "connections.manage" in body["message"]) == ("INSUFFICIENT_SCOPE", True)


# --- Tokens


async def test_a_token_is_for_one_connection_and_fifteen_minutes_and_can_no_more_than_its_giver(desk: Office) -> None:
    acme = await desk.estate.link("acme")
    desk.is_for(acme.id, may=("directory.read", "events.manage"))
    given = await desk.ask("POST", f"{ROOT}/token", json={"integrated_account_id": acme.id})
    token = await desk.estate.control.tokens.account(given["integrated_account_token"])
    assert token is not None
    assert (token.connection_id, token.permissions) == (acme.id, frozenset({"directory.read"}))
    assert (token.expires_at - desk.estate.time.clock().now()).total_seconds() == 900
    more = {"integrated_account_id": acme.id, "scopes": ["connections.manage"]}
    assert (await desk.ask("POST", f"{ROOT}/token", 403, json=more))["code"] == "INSUFFICIENT_SCOPE"


async def test_the_token_of_one_connection_opens_what_it_opens_at_truto(desk: Office) -> None:
    acme = await desk.estate.link("acme")
    desk.caller = dataclasses.replace(caller(acme.id, permissions=ALL), kind="account_token")
    for method, path in (("GET", f"{ROOT}/me"), ("GET", "/unified/user-directory/users"), ("GET", "/proxy/users")):
        assert await desk.ask(method, path)
    assert (await desk.ask("PATCH", f"{ROOT}/me", json={"is_paused": False}))["id"] == acme.id
    for operation in desk.operations:
        path = operation.path.replace("{id}", acme.id)
        own = ("/unified/", "/proxy/", "/roster", "/role-rules")
        if operation.is_open or path.startswith(own) or path.endswith("/me"):
            continue
        body = await desk.ask(operation.method, path, 403, json={})
        assert body["code"] == "ACCOUNT_TOKEN"


async def test_me_is_the_only_connection_of_the_credential(desk: Office) -> None:
    acme = await desk.estate.link("acme")
    desk.is_for(acme.id)
    assert (await desk.ask("GET", f"{ROOT}/me"))["id"] == acme.id
    globex = await desk.estate.link("globex")
    desk.is_for(acme.id, globex.id)
    assert (await desk.ask("GET", f"{ROOT}/me", 400))["code"] == "WHICH_CONNECTION"


async def test_a_link_token_is_for_a_customer_or_for_a_connection(desk: Office) -> None:
    acme = await desk.estate.link("acme", tenant="a")
    links = desk.estate.control.tokens
    new = await desk.ask("POST", "/link-token", json={"tenant_id": "b", "redirect_uri": "https://app.example.com/done"})
    found = await links.link(new["link_token"])
    assert found is not None
    assert (found.tenant, found.connection_id, found.redirect_uri) == ("b", None, "https://app.example.com/done")
    members = {"environment_unified_model_id": "x", "unified_model_id": "x", "context": {}}  # as SDKs send them
    again = await desk.ask("POST", "/link-token", json={"integrated_account_id": acme.id, **members})
    found = await links.link(again["link_token"])
    assert found is not None
    assert (found.tenant, found.connection_id) == ("a", acme.id)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"tenant_id": "b", "integrated_account_id": "ID"},
        {"tenant_id": ""},
        {"tenant_id": "b", "redirect_uri": "javascript:alert(1)"},
        {"tenant_id": "b", "redirect_uri": "http://app.example.com"},
        {"tenant_id": "b", "redirect_uri": "https://app.example.com@evil.example"},
        {"tenant_id": "b", "context": {"environment_id": "1"}},
    ],
)
async def test_a_link_token_for_nobody_or_two_is_refused(desk: Office, body: dict[str, Any]) -> None:
    acme = await desk.estate.link("acme", tenant="a")
    await desk.ask("POST", "/link-token", 400, json=json.loads(json.dumps(body).replace("ID", acme.id)))
