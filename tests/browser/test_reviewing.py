"""Reviews in a real browser: no barrier in any width and scheme, rows for tickets, files, print, without scripts."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from pingone_mcp.reports.export import Manifest, verify
from tests.browser.looking import barriers, look_at, overflow
from tests.browser.test_browsing import doors, make_hostile, sync
from tests.browser.walking import Site, Walk, open_site, walking
from tests.web.pages.reviewing.conftest import RULES

PAGES = (
    ("reviews",),
    ("reviews", "drift"),
    ("reviews", "drift", "crm"),
    ("reviews", "drift", "crm?kind=unexpected"),
    ("reviews", "roles"),
    ("reviews?group=Finance",),
)


async def furnish(site: Site) -> None:
    """Push a roster with findings of several kinds, and rules with conflicts."""
    users = list(site.estate.company("acme").sandbox.users())
    lines = [f'{one["email"]},{one["username"]},active,"Boss"' for one in users[:25]]
    lines += [f"gone{one}@example.com,gone{one},active," for one in range(30)]
    content = "\n".join(("email,username,status,title", *lines)).encode()
    await site.estate.rosters.keeping.push(site.acme.id, "crm", "csv", content)
    await site.estate.rosters.rules.put(site.acme.id, RULES)


@pytest.mark.parametrize("path", PAGES, ids="/".join)
async def test_no_barrier_in_any_width_light_and_dark(walk: Walk, path: tuple[str, ...]) -> None:
    await furnish(walk.site)
    await walk.sign_in()
    await walk.open(walk.site.path(*path))
    assert await look_at(walk, "/".join(path)) == []


@pytest.mark.parametrize("path", [("reviews",), ("reviews", "drift"), ("reviews", "roles")], ids="/".join)
async def test_no_barrier_where_there_is_nothing_yet(walk: Walk, path: tuple[str, ...]) -> None:
    await walk.sign_in()
    await walk.open(walk.site.path(*path))
    assert await look_at(walk, "/".join(path)) == []


async def test_a_row_is_copied_for_a_ticket_by_the_keyboard(walk: Walk) -> None:
    await furnish(walk.site)
    await walk.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await walk.sign_in()
    await walk.open(walk.site.path("reviews", "drift", "crm"))
    button = walk.page.get_by_role("button", name="Copy for a ticket: gone0@example.com")
    await button.focus()
    await walk.page.keyboard.press("Enter")
    await expect(button).to_have_text("Copied")
    await expect(walk.page.locator("[data-said]")).to_have_text("Copied.")
    copied: str = await walk.page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("Drift of crm: accounts without a user in the directory\nRoster: crm\n")
    assert "email in the application: gone0@example.com" in copied


async def test_where_nothing_may_be_copied_the_text_is_marked(walk: Walk) -> None:
    await walk.page.add_init_script("delete Navigator.prototype.clipboard")
    await walk.sign_in()
    await walk.open(walk.site.path("reviews"))
    await walk.page.locator("button[data-copy]").first.click()
    marked: str = await walk.page.evaluate("getSelection().toString()")
    assert marked.startswith("Access review: ")


async def test_files_are_saved_under_their_names_and_the_page_proves_them(walk: Walk) -> None:
    await walk.sign_in()
    await walk.open(walk.site.path("reviews"))
    for label, ending in (("CSV", "csv"), ("Excel (XLSX)", "xlsx"), ("One HTML file", "html")):
        async with walk.page.expect_download() as saving:
            await walk.page.get_by_role("link", name=label, exact=True).click()
        saved = await saving.value
        assert saved.suggested_filename.endswith(f".{ending}")
        content = (await saved.path()).read_bytes()
        await walk.page.reload()
        await expect(walk.page.get_by_text(hashlib.sha256(content).hexdigest())).to_be_visible()
        async with walk.page.expect_download() as beside:
            await walk.page.get_by_role("link", name=f"Manifest of {saved.suggested_filename}").click()
        manifest = await beside.value
        assert manifest.suggested_filename == f"{saved.suggested_filename}.manifest.json"
        assert verify(Manifest.from_json(json.loads((await manifest.path()).read_bytes())), content)


async def test_the_manifest_stays_the_end_of_the_page_and_rows_go_on_by_a_link(walk: Walk) -> None:
    await walk.sign_in()
    await walk.open(walk.site.path("reviews"))
    rows = await walk.page.locator(".findings tbody tr").count()
    await walk.page.get_by_role("link", name="More rows").scroll_into_view_if_needed()
    await walk.page.get_by_role("heading", name="How to verify").scroll_into_view_if_needed()
    await walk.page.get_by_role("link", name="More rows").click()
    await expect(walk.page.get_by_text("From the beginning")).to_be_visible()
    assert await walk.page.locator(".findings tbody tr").count() <= rows


async def test_rows_that_an_address_leads_to_are_shown_as_they_are_now(walk: Walk) -> None:
    await furnish(walk.site)
    await walk.sign_in()
    await walk.open(walk.site.path("reviews", "drift", "crm"))
    await walk.page.get_by_role("link", name="accounts that are active, of users who are not").click()
    await expect(walk.page.locator("[data-listening]")).to_be_attached()
    assert walk.page.url.endswith("?kind=status_mismatches#rows")
    user = next(one for one in walk.site.estate.company("acme").sandbox.users() if one["enabled"])
    async with doors(walk.site) as admin:
        assert await admin.send("PUT", f"/users/{user['id']}/enabled", {"enabled": False}) == 200
    await sync(walk.site)
    await walk.page.get_by_role("button", name="Show it as it is now").click()
    await expect(walk.page.locator(".findings")).to_contain_text(user["email"])
    assert walk.page.url.endswith("?kind=status_mismatches")


async def test_without_scripts_rows_are_read_and_their_texts_opened(browser: Browser, site: Site) -> None:
    await furnish(site)
    async with walking(browser, site, scripts=False) as walk:
        await walk.sign_in()
        for path in PAGES:
            await walk.open(site.path(*path))
            assert await walk.page.locator("button[data-copy]:visible, button[data-print]:visible").count() == 0
        await walk.open(site.path("reviews"))
        await walk.page.locator(".ticket summary").first.click()
        await expect(walk.page.locator(".ticket pre").first).to_be_visible()
        await walk.page.get_by_role("link", name="More rows").click()
        await expect(walk.page.get_by_text("From the beginning")).to_be_visible()
        assert walk.complaints == []


async def test_on_paper_there_is_everything_but_what_is_pressed(walk: Walk) -> None:
    await furnish(walk.site)
    await walk.sign_in()
    for path in (("reviews",), ("reviews", "drift", "crm"), ("reviews", "roles")):
        await walk.open(walk.site.path(*path))
        await walk.page.emulate_media(media="print", color_scheme="dark")
        for unwanted in ("header.bar", ".ways", ".ticket", "form", "button", "footer"):
            assert await walk.page.locator(f"{unwanted}:visible").count() == 0, unwanted
        for wanted in ("h1", ".tiles", ".glance svg", ".findings", ".manifest", ".digest, .manifest dl"):
            await expect(walk.page.locator(wanted).first).to_be_visible()
        ground = await walk.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == "rgb(255, 255, 255)", "whatever the scheme of the screen is"
        assert (await walk.page.pdf(prefer_css_page_size=True)).startswith(b"%PDF")
        await walk.page.emulate_media(media="screen")


async def test_what_a_hostile_directory_says_never_runs(browser: Browser, tmp_path: Path) -> None:
    async with open_site(tmp_path, make_hostile) as site, walking(browser, site) as walk:
        await furnish(site)
        opened: list[str] = []
        walk.page.on("dialog", lambda dialog: opened.append(dialog.message))
        await walk.sign_in()
        for path in PAGES[:5]:
            await walk.open(site.path(*path))
            await expect(walk.page.locator("h1")).to_be_visible()
            for width in (320, 1440):
                await walk.page.set_viewport_size({"width": width, "height": 900})
                assert await overflow(walk.page) == 0, (path, width)
        assert opened == []
        assert walk.complaints == []


async def test_the_one_file_opens_without_a_network_has_no_barrier_and_runs_nothing(
    browser: Browser, site: Site, tmp_path: Path
) -> None:
    await furnish(site)
    async with walking(browser, site) as walk:
        await walk.sign_in()
        await walk.open(site.path("reviews"))
        async with walk.page.expect_download() as saving:
            await walk.page.get_by_role("link", name="One HTML file").click()
        file = tmp_path / "review.html"
        file.write_bytes((await (await saving.value).path()).read_bytes())
    async with walking(browser, site) as reader:
        await reader.context.set_offline(True)
        asked: list[str] = []
        reader.page.on("request", lambda request: asked.append(request.url))
        await reader.page.goto(file.as_uri())
        await expect(reader.page.get_by_role("heading", name="Drift of crm")).to_be_visible()
        assert asked == [file.as_uri()]
        for width in (320, 768, 1440):
            await reader.page.set_viewport_size({"width": width, "height": 900})
            assert await overflow(reader.page) == 0, width
        assert reader.complaints == []
    async with walking(browser, site) as axe:  # in a page whose own policy would keep the script of axe out
        policy = 'http-equiv="Content-Security-Policy"'
        await axe.page.set_content(file.read_text(encoding="utf-8").replace(policy, 'name="policy"'))
        for scheme in ("light", "dark"):
            await axe.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            assert await barriers(axe.page) == []
