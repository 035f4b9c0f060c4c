"""What other sites and other people at the same machine cannot do with pages: frame them, fix a session, go back."""

from __future__ import annotations

import os

import pytest
from playwright.async_api import Browser, Route, expect

from tests.browser.walking import FLAGS, VARIABLE, Site, Walk, walking
from tests.web.pages.rounds import Rounds, pages_of

_FRAMING = "/framing"  # a path of ours, so that even cookies come along


async def framed(walk: Walk, address: str, *, without: tuple[str, ...] = ()) -> bool:
    """Say whether a page shows itself in a frame of another one, when it comes without some of its headers."""

    async def frame(route: Route) -> None:
        await route.fulfill(body=f'<title>Frames</title><iframe src="{address}"></iframe>', content_type="text/html")

    async def answer(route: Route) -> None:
        real = await route.fetch()
        await route.fulfill(response=real, headers={n: v for n, v in real.headers.items() if n not in without})

    await walk.context.unroute_all()
    await walk.context.route(f"{walk.site.base}{_FRAMING}", frame)
    if without:
        await walk.context.route(f"{walk.site.base}{address}", answer)
    await walk.open(_FRAMING)
    inner = walk.page.frames[1]
    return await inner.locator("main").count() > 0


async def test_no_page_shows_itself_in_a_frame_and_either_header_is_enough(
    browser: Browser, everywhere: tuple[Site, Rounds]
) -> None:
    site, rounds = everywhere
    policy, options = "content-security-policy", "x-frame-options"
    async with walking(browser, site, scripts=False) as walk:
        await walk.come_in(rounds.cookie)
        pages = await rounds.shown(further=0)
        for route in pages_of(rounds.app):
            address = next(iter(rounds.filled(route.path)))
            assert address not in pages or not await framed(walk, address), address
        for without, is_shown in (((policy,), False), ((options,), False), ((policy, options), True)):
            assert await framed(walk, site.path("settings"), without=without) is is_shown


async def test_a_session_that_somebody_else_has_chosen_opens_nothing(walk: Walk) -> None:
    await walk.sign_in()
    [cookie] = await walk.context.cookies()
    await walk.context.clear_cookies()
    fixed = f"{cookie['name']}=chosen-by-somebody-else"
    await walk.come_in(fixed)
    await walk.sign_in()
    [own] = await walk.context.cookies()
    assert own["value"] not in (fixed.partition("=")[2], cookie["value"])
    assert (own["httpOnly"], own["sameSite"]) == (True, "Lax")
    await walk.context.clear_cookies()
    await walk.come_in(fixed)
    await walk.open("/")
    assert "/sign-in" in walk.page.url


@pytest.mark.parametrize("keeps_pages", [False, True])
async def test_back_after_signing_out_shows_nothing(browser: Browser, site: Site, keeps_pages: bool) -> None:
    """Also in a browser that keeps pages as they were, to go back at once (which the tests' own does not)."""
    own = browser.browser_type
    launched = await own.launch(
        executable_path=os.environ[VARIABLE],
        args=list(FLAGS),
        ignore_default_args=["--disable-back-forward-cache"] if keeps_pages else None,
    )
    try:
        async with walking(launched, site) as walk:
            await walk.sign_in()
            for path in ("people", "changes"):
                await walk.open(site.path(path))
            await walk.page.get_by_role("button", name="Sign out").click()
            await walk.page.get_by_role("heading", name="Sign in").wait_for()
            for _ in range(2):
                await walk.page.go_back()
                await expect(walk.page.get_by_role("heading", level=1)).to_have_text("Sign in")
                assert await walk.page.locator(".row, .change").count() == 0
    finally:
        await launched.close()


async def test_back_and_reload_after_a_form_send_it_once(walk: Walk) -> None:
    control = walk.site.estate.control
    webhook, _ = await control.webhooks.create(
        target_url="https://app.example.com/hooks", event_types=(), tenant="customer"
    )
    await walk.sign_in()
    await walk.open(walk.site.path("settings"))
    await walk.page.get_by_role("button", name="Send a test").click()
    await walk.page.get_by_text("An event to try it is on its way.").wait_for()
    await walk.page.reload()
    await expect(walk.page.get_by_text("An event to try it is on its way.")).to_have_count(0)
    await walk.page.go_back()
    await walk.page.go_forward()
    await walk.page.reload()
    assert (await control.outbox.counts(webhook.id))["waiting"] == 1
