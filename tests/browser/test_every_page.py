"""Every page in every state: no barrier that axe finds, nothing too wide, no complaint of the browser."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser

from tests.browser.looking import look_at, overflow, unlike
from tests.browser.walking import Site, Walk, walking
from tests.web.pages.rounds import Rounds, pages_of


@pytest.mark.timeout(900)  # a hundred pages, on a slow machine
async def test_no_page_has_a_barrier_or_is_too_wide(browser: Browser, everywhere: tuple[Site, Rounds]) -> None:
    site, rounds = everywhere
    pages = await rounds.shown()
    chosen = unlike(pages)
    for route in pages_of(rounds.app):  # one of each at least, whatever it is made of
        chosen += [one for one in list(rounds.filled(route.path))[:1] if one in pages and one not in chosen]
    assert len(chosen) > len(pages_of(rounds.app)) // 2
    wrong: list[str] = []
    async with walking(browser, site) as walk:
        await walk.come_in(rounds.cookie)
        for address in chosen:
            await walk.open(address)
            wrong += await look_at(walk, address)
        assert [one for one in walk.complaints if "Failed to load resource" not in one] == []
        assert (walk.violations, walk.dialogs) == ([], [])
    assert wrong == []


@pytest.mark.timeout(900)  # a hundred pages, on a slow machine
async def test_no_state_of_a_page_is_too_wide_for_a_narrow_screen(
    browser: Browser, everywhere: tuple[Site, Rounds]
) -> None:
    site, rounds = everywhere
    async with walking(browser, site, width=320, scripts=False) as walk:
        await walk.come_in(rounds.cookie)
        wrong: list[str] = []
        for address in await rounds.shown():
            await walk.open(address)
            if wider := await overflow(walk.page):
                wrong.append(f"{address}: {wider} px too wide")
        assert wrong == []


async def test_pages_for_anybody(walk: Walk) -> None:
    for path in ("/sign-in", "/sign-in?next=/c/none/people", "/"):
        await walk.open(path)
        assert await look_at(walk, path) == []
