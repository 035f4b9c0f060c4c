"""Runs of syncs over REST."""

from __future__ import annotations

import anyio
import pytest

from tests.web.rest.offices import Office

ROOT = "/sync-job-run"


async def ended(desk: Office, run: str) -> dict[str, object]:
    with anyio.fail_after(60):
        while True:
            found: dict[str, object] = await desk.ask("GET", f"{ROOT}/{run}")
            if found["ended_at"] is not None:
                return found
            await anyio.sleep(0.01)


async def test_a_sync_that_is_asked_for_runs_and_is_told(desk: Office) -> None:
    acme = await desk.estate.link("acme")
    body = {"integrated_account_id": acme.id, "sync_job_id": "user-directory", "status": "created"}
    made = await desk.ask("POST", ROOT, json=body)
    assert (made["integrated_account_id"], made["cause"]) == (acme.id, "request")
    run = await ended(desk, made["id"])
    assert (run["status"], run["error"]) == ("completed", None)
    assert isinstance(run["counts"], dict)
    assert run["counts"]["users"] == 40
    copied = {"integrated_account_id": acme.id, "truto_super_query": "true", "limit": 1}
    assert (await desk.ask("GET", "/unified/user-directory/users", params=copied))["total"] == 40


async def test_the_newest_come_first_in_pages_and_by_status(desk: Office) -> None:
    acme, globex = await desk.estate.link("acme"), await desk.estate.link("globex")
    runs = desk.estate.control.sync_runs
    made: list[str] = []
    for linked in (acme, globex, acme):
        run = await runs.request(linked.id, "schedule")
        await runs.start(run.id)
        await runs.end(run.id, "failed", reason="it broke")
        made.insert(0, run.id)
    waiting = await runs.request(globex.id, "schedule")
    for limit in (1, 2, 4, 5):
        assert [row["id"] for row in await desk.every(ROOT, {"limit": limit})] == [waiting.id, *made]
    assert [row["id"] for row in await desk.every(ROOT, {"limit": 1, "status": "failed"})] == made
    assert [row["id"] for row in await desk.every(ROOT, {"limit": 1, "integrated_account_id": acme.id})] == made[::2]


async def test_a_cursor_behind_a_run_that_is_gone_is_refused(desk: Office) -> None:
    acme, globex = await desk.estate.link("acme"), await desk.estate.link("globex")
    runs = desk.estate.control.sync_runs
    await runs.request(acme.id, "schedule")
    await runs.request(globex.id, "schedule")
    cursor = (await desk.ask("GET", ROOT, params={"limit": 1}))["next_cursor"]
    await desk.estate.administration.linking.remove(globex.id)
    assert (await desk.ask("GET", ROOT, 400, params={"limit": 1, "next_cursor": cursor}))["code"] == "STALE_CURSOR"


async def test_runs_of_others_are_as_if_they_were_not_there(desk: Office) -> None:
    await desk.estate.link("acme", tenant="a")
    globex = await desk.estate.link("globex", tenant="g")
    run = await desk.estate.control.sync_runs.request(globex.id, "schedule")
    desk.is_for(tenant="a")
    assert (await desk.ask("GET", ROOT))["result"] == []
    theirs = await desk.ask("GET", f"{ROOT}/{run.id}", 404)
    assert theirs == await desk.ask("GET", f"{ROOT}/11111111-1111-1111-1111-111111111111", 404)


async def test_a_paused_connection_is_not_synced(desk: Office) -> None:
    acme = await desk.estate.link("acme")
    await desk.estate.administration.linking.pause(acme.id)
    assert (await desk.ask("POST", ROOT, 400, json={"integrated_account_id": acme.id}))["code"] == "CONNECTION_PAUSED"
    assert (await desk.ask("GET", ROOT))["result"] == []


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_runs_need_their_permission(desk: Office, method: str) -> None:
    desk.is_for(may=("directory.read",))
    assert "directory.sync" in (await desk.ask(method, ROOT, 403, json={}))["message"]


async def test_somebody_answers_without_a_credential(desk: Office) -> None:
    desk.caller = None
    assert await desk.ask("GET", "/ping") == {"status": "ok"}


@pytest.mark.parametrize("value", [0, 0.0, 1, True, "false"])
async def test_a_run_that_ignores_the_one_before_is_not_to_be_had(desk: Office, value: object) -> None:
    acme = await desk.estate.link("acme")
    body = {"integrated_account_id": acme.id, "ignore_previous_run": value}
    assert (await desk.ask("POST", "/sync-job-run", 400, json=body))["code"] == "WRONG_BODY"
