"""Somebody who has never seen it links the sample company, and finds the three people who left last week.

They come by two links that they were sent, and go on by what they see: never by an address.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser, Locator, expect

_MOST_CLICKS = 12
_MOST_SECONDS = 120
_STARTS_SECONDS = 60


@dataclass(frozen=True)
class Dashboard:
    """The command while it runs: the link that it printed, and one that links a tenant."""

    link: str
    invitation: str


@dataclass
class Mouse:
    """Counts what is clicked. A choice from a list takes two: one opens it. Typing is none."""

    clicks: int = 0

    async def click(self, where: Locator) -> None:
        self.clicks += 1
        await where.click()

    async def choose(self, where: Locator, label: str) -> None:
        self.clicks += 2
        await where.select_option(label=label)


def _run(environment: dict[str, str], *words: str) -> str:
    command = [sys.executable, "-m", "pingone_mcp", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=_STARTS_SECONDS)
    return done.stdout


@pytest.fixture
def dashboard(tmp_path: Path) -> Iterator[Dashboard]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PINGONE_")}
    environment |= {"PINGONE_STATE_DIR": str(tmp_path / "state"), "PINGONE_SANDBOX": "1", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "pingone_mcp", "dashboard", "--no-browser"]
    made = re.search(r"pmk_\w+", _run(environment, "keys", "create", "operator", "--scope", "connections.manage"))
    assert made is not None
    with (tmp_path / "said").open("w+") as said:
        running = subprocess.Popen(command, env=environment, stdout=said, stderr=subprocess.STDOUT)
        try:
            until = time.monotonic() + _STARTS_SECONDS
            while (found := re.search(r"(http://\S+)/login\?code=\S+", (tmp_path / "said").read_text())) is None:
                assert running.poll() is None, (tmp_path / "said").read_text()
                assert time.monotonic() < until
                time.sleep(0.05)
            bearer = {"Authorization": f"Bearer {made[0]}"}
            given = httpx.post(
                f"{found[1]}/link-token", json={"tenant_id": "customer"}, headers=bearer, trust_env=False
            )
            token = given.raise_for_status().json()["link_token"]
            yield Dashboard(link=found[0], invitation=f"{found[1]}/connect-account?link_token={token}")
        finally:
            running.send_signal(signal.SIGINT)
            running.wait(30)


async def test_the_three_who_left_last_week_are_found_in_a_few_clicks(browser: Browser, dashboard: Dashboard) -> None:
    context = await browser.new_context(viewport={"width": 1440, "height": 900})
    page, mouse, began = await context.new_page(), Mouse(), time.monotonic()
    await page.goto(dashboard.invitation)
    await mouse.click(page.get_by_role("button", name="Use the sample company"))
    await page.get_by_role("heading", name="It works").wait_for()
    await page.get_by_label("What to call this connection").fill("Alder and Finch")
    await mouse.click(page.get_by_role("button", name="Connect"))
    await page.get_by_role("heading", name="Connected").wait_for()
    await page.goto(dashboard.link)
    await mouse.click(page.get_by_role("link", name="Alder and Finch", exact=True))
    await page.get_by_role("heading", name="People").wait_for()
    await mouse.click(page.get_by_role("link", name="Changes"))
    await mouse.choose(page.get_by_label("Time"), "The last 7 days")
    await mouse.click(page.get_by_role("link", name="3 left"))
    await expect(page.locator("[data-count]")).to_have_text("3 changes like that in 7 days")
    people = page.locator(".change a")
    await expect(people).to_have_count(3)
    names = await people.all_inner_texts()
    await mouse.click(people.first)
    await expect(page.get_by_text("The account was removed from the directory.")).to_be_visible()
    taken = time.monotonic() - began
    print(f"{mouse.clicks} clicks, {taken:.1f} seconds: {names}")  # noqa: T201 - quoted with -s
    assert len(set(names)) == 3
    assert mouse.clicks <= _MOST_CLICKS
    assert taken < _MOST_SECONDS
    await context.close()
