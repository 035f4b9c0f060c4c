"""A browser for all tests, and for each a site of its own to walk through."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

from tests.browser.walking import FLAGS, VARIABLE, Site, Walk, open_site, walking
from tests.web.pages.rounds import Rounds, furnished, make_hostile


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=os.environ[VARIABLE], args=list(FLAGS))
        yield chromium
        await chromium.close()


@pytest.fixture(scope="session")
async def everywhere(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Site, Rounds]]:
    """Give a site with every page in every state, which tests look at and leave as it is."""
    async with open_site(tmp_path_factory.mktemp("everywhere")) as opened:
        yield opened, await furnished(opened.face.app, opened.estate, opened.acme, opened.base)


@pytest.fixture(scope="session")
async def hostile(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Site, Rounds]]:
    """Give the same of companies whose every string is hostile."""
    opening = open_site(tmp_path_factory.mktemp("hostile"), before=make_hostile)
    async with opening as opened:
        rounds = await furnished(opened.face.app, opened.estate, opened.acme, opened.base, is_hostile=True)
        yield opened, rounds


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path) as opened:
        yield opened


@pytest.fixture
async def walk(browser: Browser, site: Site) -> AsyncIterator[Walk]:
    """Walk with scripts; whatever the browser complains about fails the test that does not expect it."""
    async with walking(browser, site) as opened:
        yield opened
        assert opened.complaints == []
