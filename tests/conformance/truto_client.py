"""Truto's public SDK for Python, as it is, in an environment of its own: it says as JSON what it has met.

Its arguments: where the API is, a key, the id of a connection that may write, and of one that it removes.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from typing import Any

from aiohttp import ClientResponseError
from truto_python_sdk import TrutoApi  # type: ignore[import-not-found] # it is in no environment of ours


async def directory(api: Any, account: str) -> dict[str, Any]:
    """Walk through lists of the user directory, and get one of each."""
    met: dict[str, Any] = {}
    for resource in ("users", "groups", "roles", "organizations", "workspaces"):
        asked = {"integrated_account_id": account, "limit": 200}
        rows = await api.unified_api.list("user-directory", resource, dict(asked)).to_array()
        one = await api.unified_api.get("user-directory", resource, rows[0]["id"], {"integrated_account_id": account})
        assert one["id"] == rows[0]["id"]
        assert len({row["id"] for row in rows}) == len(rows)
        met[resource] = len(rows)
    asked = {"integrated_account_id": account, "status": "active", "limit": 3, "truto_exclude_fields": ["remote_data"]}
    pages = api.unified_api.list("user-directory", "users", asked)
    rows, following = [*await pages.next_page()], [*await pages.next_page()]
    assert {row["status"] for row in rows} == {"active"}
    assert not any("remote_data" in row for row in rows)
    assert not {row["id"] for row in rows} & {row["id"] for row in following}
    ids = {"integrated_account_id": account, "id": {"in": [row["id"] for row in (*rows, *following)]}}
    met["found by id"] = len(await api.unified_api.list("user-directory", "users", ids).to_array())
    run = await api.sync_job_runs.create({"integrated_account_id": account, "status": "created"})
    while (await api.sync_job_runs.get(run["id"]))["status"] in ("created", "running"):  # noqa: ASYNC110 - over HTTP
        await asyncio.sleep(0.2)
    since = {"integrated_account_id": account, "created_at": {"gt": datetime(2000, 1, 1, tzinfo=UTC)}, "limit": 5}
    copied = {**since, "truto_super_query": True, "sort_by": {"created_at": "desc"}}
    met["out of the copy"] = len(await api.unified_api.list("user-directory", "users", copied).next_page())
    me = await api.unified_api.list("user-directory", "me", {"integrated_account_id": account}).to_array()
    met["me"] = me[0]["type"]
    return met


async def proxy(api: Any, account: str) -> dict[str, Any]:
    """Read and write what the provider itself has."""
    of = {"integrated_account_id": account}
    users = await api.proxy_api.list("users", {**of, "limit": 200}).to_array()
    groups = await api.proxy_api.list("groups", {**of}).to_array()
    populations = await api.proxy_api.list("populations", {**of}).to_array()
    body = {"username": "truto.sdk", "email": "truto.sdk@example.com", "population": {"id": populations[0]["id"]}}
    made = await api.proxy_api.create("users", body, {**of})
    changed = await api.proxy_api.update("users", made["id"], {"title": "Tester"}, {**of})
    read = await api.proxy_api.get("users", made["id"], {**of})
    removed = await api.proxy_api.delete("users", made["id"], {**of})
    gone = await refused(api.proxy_api.get("users", made["id"], {**of}))
    return {
        "proxy": [len(users), len(groups) > 0],
        "written": [changed["title"], read["username"], bytes(removed).decode(), gone],
    }


async def accounts(api: Any, account: str, other: str) -> dict[str, Any]:
    """Look at connections, change and remove them, and give tokens for them."""
    listed = [one["id"] for one in await api.integrated_accounts.list().to_array()]
    found = await api.integrated_accounts.get(account)
    renamed = await api.integrated_accounts.update(account, {"name": "renamed"})
    refreshed = await api.integrated_accounts.refresh_credentials(account)
    token = (await api.integrated_accounts.create_integrated_account_token(account))["integrated_account_token"]
    own = TrutoApi(token=token, base_url=api.base_url)
    rows = await own.unified_api.list("user-directory", "users", {"limit": 2}).next_page()
    links = [
        (await api.link_tokens.create(one))["link_token"]
        for one in ({"tenant_id": "another", "context": {}}, {"integrated_account_id": account})
    ]
    removed = await api.integrated_accounts.delete(other)
    return {
        "accounts": [
            {account, other} == set(listed),
            found["status"],
            renamed["name"],
            refreshed,
            removed == {"id": other},
        ],
        "removed": await refused(api.integrated_accounts.get(other)),
        "not made": await refused(api.integrated_accounts._import({"context": {"region": "EU"}})),  # noqa: SLF001 - so it is called
        "account token": [len(rows), await refused(own.webhooks.list().to_array())],
        "link tokens": all(links),
    }


async def events(api: Any, account: str) -> dict[str, Any]:
    """Have events sent somewhere, and look at syncs."""
    made = await api.webhooks.create({"target_url": "https://example.com/hooks", "event_types": ["record:updated"]})
    listed = [one["id"] for one in await api.webhooks.list().to_array()]
    tested = await api.webhooks.test(made["id"])
    changed = await api.webhooks.update(made["id"], {"is_active": False})
    got = await api.webhooks.get(made["id"])
    removed = await api.webhooks.delete(made["id"])
    runs = await api.sync_job_runs.list(integrated_account_id=account, status="completed").to_array()
    return {
        "webhooks": [listed == [made["id"]], changed["is_active"], tested, "secret" in made, "secret" in got],
        "webhook removed": removed == {"id": made["id"]},
        "runs": len(runs) > 0,
    }


async def refused(call: Any) -> int:
    """Return the status with which a call fails; 0: it does not."""
    try:
        await call
    except ClientResponseError as error:
        return error.status
    return 0


async def main(url: str, key: str, account: str, other: str) -> None:
    met: dict[str, Any] = {}
    for base in (url, f"{url}/"):
        api = TrutoApi(token=key, base_url=base)
        met["ping"] = await api.ping()
    api = TrutoApi(token=key, base_url=url)
    met |= await directory(api, account) | await proxy(api, account) | await accounts(api, account, other)
    met |= await events(api, account)
    met["without a key"] = await refused(TrutoApi(token="pmk_0_0", base_url=url).users.list().next_page())
    print(json.dumps(met))  # noqa: T201 - it says what it has met


asyncio.run(main(*sys.argv[1:]))
