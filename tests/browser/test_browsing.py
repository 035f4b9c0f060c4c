"""Looking through a directory in a real browser: by mouse, by keyboard, without scripts, on a narrow screen, live."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from pingone_mcp.sandbox.app import Sandbox
from tests.browser.walking import Site, Walk, open_site, walking
from tests.replica.happenings import Doors
from tests.web.pages.visiting import Hostile


def doors(site: Site) -> Doors:
    return Doors(site.estate.company("acme").sandbox)


async def sync(site: Site) -> None:
    """Sync as the server does, so that pages that are open hear of it."""
    served = await site.estate.fleet.current(site.acme)

    async def silent(_: object) -> None:
        """Take no note of progress."""

    await served.syncing(await served.backend()).wait("auto", 60.0, silent)


async def add(site: Site, number: int) -> None:
    """Let many people be there, called More00 and so on, by which they come in order."""
    place = site.estate.company("acme").sandbox.company.main.populations[0].id
    async with doors(site) as admin:
        for one in range(number):
            name = {"given": "Ann", "family": f"More{one:03}"}
            body = {"username": f"more{one:03}", "email": f"more{one:03}@example.net", "name": name}
            assert await admin.send("POST", "/users", {**body, "population": {"id": place}}) == 201
    await sync(site)


async def test_results_come_while_somebody_types_and_the_address_keeps_them(walk: Walk) -> None:
    await add(walk.site, 3)
    await walk.sign_in()
    await walk.open(walk.site.path("people"))
    box = walk.page.get_by_label("Name, username, email or external id")
    await box.press_sequentially("more001 ann")
    await expect(walk.page.locator("[data-count]")).to_have_text("1 person found")
    await expect(walk.page.get_by_role("status").first).to_have_text("1 person found")
    await expect(walk.page).to_have_url(f"{walk.site.base}{walk.site.path('people')}?q=more001+ann")
    await walk.page.reload()
    await expect(walk.page.get_by_role("link", name="Ann More001")).to_be_visible()
    await box.fill("")
    await expect(walk.page.locator("[data-count]")).to_have_text("43 people")


async def test_filters_show_their_counts_and_narrow_at_once(walk: Walk) -> None:
    await walk.sign_in()
    await walk.open(walk.site.path("people"))
    await walk.page.get_by_text("Filters").click()
    option = walk.page.get_by_label("Status").locator("option", has_text="Inactive")
    label = await option.inner_text()
    await walk.page.get_by_label("Status").select_option("inactive")
    number = label.partition("(")[2].rstrip(")")
    await expect(walk.page.locator("[data-count]")).to_contain_text(f"{number} p")
    assert "status=inactive" in walk.page.url


async def test_rows_keep_coming_by_scrolling_and_those_far_away_are_let_go(walk: Walk) -> None:
    await add(walk.site, 230)
    await walk.sign_in()
    await walk.open(walk.site.path("people"))
    page = walk.page
    while await page.locator("a[rel=next]").count():
        await page.evaluate("scrollTo(0, document.body.scrollHeight)")
        await page.wait_for_timeout(50)  # until the next rows are there
    await expect(page.locator("ol.rows")).to_have_count(6)
    await expect(page.get_by_role("link", name="Ann More229")).to_be_attached()
    height = await page.evaluate("document.body.scrollHeight")
    await expect(page.locator("ol.rows[data-away=yes]").first).to_be_attached()
    away = await page.locator("ol.rows[data-away=yes]").count()
    assert away >= 1
    assert await page.locator("ol.rows[data-away=yes] .row").count() == 0
    assert await page.evaluate("document.body.scrollHeight") == height, "who is let go keeps their room"
    walk.site.estate.time.passed += 11  # a connection answers fifty questions in ten seconds
    await page.evaluate("scrollTo(0, 0)")
    second = page.locator("ol.rows").nth(1)
    await second.scroll_into_view_if_needed()
    await expect(second.locator(".row")).to_have_count(50)


async def test_the_keyboard_alone_goes_from_the_search_to_a_person_and_back(walk: Walk) -> None:
    await add(walk.site, 2)
    await walk.sign_in()
    await walk.open(walk.site.path("people"))
    page = walk.page
    for _ in range(30):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement.id") == "q":
            break
    await page.keyboard.type("more0")
    await expect(page.locator("[data-count]")).to_have_text("2 people found")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Ann More001")
    await page.go_back()
    assert page.url.endswith("?q=more0")
    await expect(page.get_by_role("link", name="Ann More000")).to_be_visible()


async def test_who_is_disabled_shows_up_in_a_list_that_is_open(walk: Walk) -> None:
    await add(walk.site, 1)
    await walk.sign_in()
    await walk.open(f"{walk.site.path('people')}?q=more000")
    row = walk.page.locator(".row")
    await expect(row).to_contain_text("Active")
    await expect(walk.page.locator("[data-listening]")).to_be_attached()
    (user,) = [one["id"] for one in walk.site.estate.company("acme").sandbox.users() if one["username"] == "more000"]
    async with doors(walk.site) as admin:
        assert await admin.send("PUT", f"/users/{user}/enabled", {"enabled": False}) == 200
    await sync(walk.site)
    await expect(row).to_contain_text("Inactive")


async def test_a_page_that_somebody_reads_is_not_changed_under_their_eyes(walk: Walk) -> None:
    await walk.sign_in()
    sandbox = walk.site.estate.company("acme").sandbox
    user = next(iter(sandbox.users()))["id"]
    await walk.open(walk.site.path("people", user))
    await expect(walk.page.locator("[data-listening]")).to_be_attached()
    async with doors(walk.site) as admin:
        assert await admin.send("PATCH", f"/users/{user}", {"title": "Somebody else now"}) == 200
    await sync(walk.site)
    await expect(walk.page.get_by_text("The directory has changed")).to_be_visible()
    await walk.page.get_by_role("button", name="Show it as it is now").click()
    await expect(walk.page.locator("article")).to_contain_text("Somebody else now")


async def test_all_can_be_read_without_scripts(browser: Browser, site: Site) -> None:
    await add(site, 20)
    async with walking(browser, site, scripts=False) as walk:
        await walk.sign_in()
        await walk.open(site.path("people"))
        await walk.page.get_by_role("link", name="More people").click()
        await walk.page.wait_for_url("**after=**")
        await walk.page.get_by_role("link", name="From the beginning").click()
        await walk.page.get_by_label("Name, username, email or external id").fill("more003")
        await walk.page.get_by_role("button", name="Search").click()
        await walk.page.get_by_role("link", name="Ann More003").click()
        await walk.page.get_by_text("Contact and account").wait_for()
        for page in ("groups", "changes"):
            await walk.open(site.path(page))
            assert "From the local copy" in await walk.text()
        await walk.page.get_by_text("The numbers as a table").click()
        assert await walk.page.locator("tbody tr").count() == 30
        assert walk.complaints == []


@pytest.mark.parametrize("width", [320, 768])
async def test_nothing_has_to_be_scrolled_sideways(browser: Browser, site: Site, width: int) -> None:
    async with walking(browser, site, width=width) as walk:
        await walk.sign_in()
        user = next(iter(site.estate.company("acme").sandbox.users()))["id"]
        groups = list(site.estate.company("acme").sandbox.state().groups)
        for page in (("people",), ("people", user), ("groups",), ("groups", groups[0]), ("changes",)):
            await walk.open(site.path(*page))
            assert await walk.page.evaluate("document.documentElement.scrollWidth") <= width, page
        assert walk.complaints == []


def make_hostile(sandbox: Sandbox) -> None:
    sandbox.app = Hostile(sandbox.app)


async def test_what_a_hostile_directory_says_never_runs(browser: Browser, tmp_path: Path) -> None:
    async with open_site(tmp_path, make_hostile) as site, walking(browser, site) as walk:
        opened: list[str] = []
        walk.page.on("dialog", lambda dialog: opened.append(dialog.message))
        await walk.sign_in()
        await walk.open(site.path("people"))
        await walk.page.get_by_label("Name, username, email or external id").press_sequentially("script")
        await expect(walk.page.locator("[data-count]")).to_have_text("40 people found")
        await walk.page.locator(".row a").first.click()
        await expect(walk.page.get_by_role("heading", level=1)).to_contain_text("<img src=x")
        for page in ("groups", "changes"):
            await walk.open(site.path(page))
            await expect(walk.page.locator("main")).to_contain_text("<script>")
        assert opened == []
        assert walk.complaints == []
