"""What needs a person, and the settings, in a real browser: every state without barriers, settled by keyboard alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
from playwright.async_api import Browser, expect

from pingone_mcp.sandbox.company.roles import Narrowing
from pingone_mcp.sandbox.options import Options
from pingone_mcp.service.rosters.pulling import NotPulled
from tests.browser.looking import look_at
from tests.browser.walking import Site, Walk, open_site, walking


@pytest.fixture
async def troubled(tmp_path: Path) -> AsyncIterator[Site]:
    """Give a site whose company hides most of its people, and of which nearly everything else needs a person too."""
    async with open_site(tmp_path, options=Options(unreachable_user_status=404)) as site:
        control, acme, rosters = site.estate.control, site.acme, site.estate.rosters
        sandbox = site.estate.company("acme").sandbox
        hidden = frozenset([user["id"] for user in sandbox.users()][:30])
        sandbox.narrow(sandbox.environment_id, Narrowing(hidden=hidden))
        backend = await (await site.estate.fleet.current(acme)).backend()
        assert (await backend.replica.sync("full", report=lambda *_: None)).held
        webhook, _ = await control.webhooks.create(target_url="https://app.example.com/hooks", tenant="customer")
        await control.outbox.give_up(webhook.id, "Events could not be delivered for 24 hours.")
        ends = control.clock.now() + timedelta(days=5)
        await control.api_keys.create(
            name='nightly"><b>', permissions=["directory.read"], connections=[acme.id], expires_at=ends
        )
        await control.hook_secrets.get(acme.id)
        await control.hook_secrets.note_refused(acme.id, 3)
        await rosters.pulls.set_source(acme.id, "crm", "https://crm.example.com/scim/v2/Users", None)
        with pytest.raises(NotPulled):
            await rosters.pulls.pull(acme.id, "crm")
        yield site


@pytest.fixture
async def keeping(browser: Browser, troubled: Site) -> AsyncIterator[Walk]:
    async with walking(browser, troubled) as opened:
        await opened.sign_in()
        yield opened
        assert opened.complaints == []


async def users(site: Site) -> int:
    state = await (await (await site.estate.fleet.current(site.acme)).backend()).replica.state()
    assert state is not None
    return state.users


async def test_every_page_where_much_needs_a_person_is_without_barriers(keeping: Walk) -> None:
    site, wrong = keeping.site, list[str]()
    [key] = await site.estate.control.api_keys.listed()
    for path in (
        "/",
        site.path("attention"),
        site.path("removals"),
        site.path("settings"),
        site.path("settings", "hook", "secret"),
        site.path("settings", "keys", key.id, "revoke"),
        site.path("settings", "shown", "nothing"),
    ):
        await keeping.open(path)
        await keeping.page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        wrong += await look_at(keeping, path)
        weight = len((await keeping.page.content()).encode())
        wrong += [f"{path} weighs {weight} bytes"] if weight > 100_000 else []
    assert wrong == []


async def test_empty_states_are_without_barriers(walk: Walk) -> None:
    await walk.sign_in()
    wrong: list[str] = []
    for path in (walk.site.path("attention"), walk.site.path("removals")):
        await walk.open(path)
        wrong += await look_at(walk, path)
    assert wrong == []
    assert "Nobody waits for your word" in await walk.text()


async def test_by_keyboard_alone_who_is_gone_is_seen_and_released(keeping: Walk) -> None:
    page, site = keeping.page, keeping.site
    await keeping.open(site.path("people"))
    await press_until(keeping, "5 things need you")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/attention")
    await press_until(keeping, "See who they are")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/removals")
    await press_until(keeping, "They are gone: remove 30 from the copy")
    assert await users(site) == 40
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_contain_text("taken over by a sync")
    with anyio.fail_after(60):
        while await users(site) != 10:  # noqa: ASYNC110 - the sync runs behind the page
            await anyio.sleep(0.02)
    await page.reload()
    await expect(page.get_by_text("Cannot be found any more")).to_have_count(0)


async def test_back_and_send_again_releases_nobody_else(keeping: Walk) -> None:
    page, site = keeping.page, keeping.site
    await keeping.open(site.path("removals"))
    sandbox = site.estate.company("acme").sandbox
    everybody = frozenset(user["id"] for user in sandbox.users())
    sandbox.narrow(sandbox.environment_id, Narrowing(hidden=everybody))
    backend = await (await site.estate.fleet.current(site.acme)).backend()
    assert (await backend.replica.sync("full", report=lambda *_: None)).held
    await page.get_by_role("button", name="They are gone").click()
    await expect(page.get_by_role("status")).to_contain_text("nothing was released")
    await expect(page.get_by_role("button", name="remove 40 from the copy")).to_be_visible()
    assert await users(site) == 40


async def test_a_new_key_is_shown_once_without_scripts_too(browser: Browser, troubled: Site) -> None:
    async with walking(browser, troubled, scripts=False, width=320) as walk:
        await walk.sign_in()
        await walk.open(troubled.path("settings"))
        await walk.page.get_by_text("Make a key of this connection").click()
        await walk.page.get_by_label("What it is for").fill("a report")
        await walk.page.get_by_role("button", name="Make the key").click()
        text = await walk.page.locator(".secret").inner_text()
        assert text.startswith("pmk_")
        assert await troubled.estate.control.api_keys.verify(text) is not None
        await walk.page.reload()
        assert text not in await walk.page.content()
        await walk.page.go_back()
        assert text not in await walk.page.content()
        assert len(await troubled.estate.control.api_keys.listed()) == 2, "neither made another one"


async def press_until(walk: Walk, label: str) -> None:
    """Press the tabulator until what has this label has the focus, and can be seen to have it."""
    for _ in range(120):
        await walk.page.keyboard.press("Tab")
        focused = walk.page.locator(":focus")
        if await focused.count() and label in (await focused.inner_text()):
            outline = await focused.evaluate("one => getComputedStyle(one).outlineStyle")
            assert outline != "none"
            return
    raise AssertionError(f"{label} is not reached by the tabulator")
