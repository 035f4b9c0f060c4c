"""The pictures of the guides: main pages of the sample company, light and small, taken anew by one command.

`.venv/bin/python -m tests.browser --pictures` writes them; somebody looks at them before they are kept.
"""

from __future__ import annotations

import base64
import tempfile
from pathlib import Path

from playwright.async_api import Page, async_playwright

from pingone_mcp.sandbox.app import Sandbox
from tests.browser.walking import FLAGS, Site, Walk, open_site, walking

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "pictures"
MOST_BYTES = 60_000
_SIZE = 500  # people, as `PINGONE_SANDBOX=1` has them
_WIDTH, _HEIGHT = 1100, 720
_QUALITY = 80


async def take(chromium: str) -> list[Path]:
    """Write all pictures, and return where they are. Raises ValueError for one that is too large."""
    with tempfile.TemporaryDirectory() as folder:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
            async with open_site(Path(folder), size=_SIZE) as site, walking(browser, site, width=_WIDTH) as walk:
                await walk.sign_in()
                taken = [await _take(walk, name, path) for name, path in _pages(site)]
            await browser.close()
    return taken


def _pages(site: Site) -> list[tuple[str, str]]:
    sandbox = site.estate.company("acme").sandbox
    [person] = [user["id"] for user in sandbox.users() if user["username"] == _usual(sandbox)]
    return [
        ("people", site.path("people")),
        ("person", site.path("people", person)),
        ("changes", f"{site.path('changes')}?days=30"),
    ]


def _usual(sandbox: Sandbox) -> str:
    """Return somebody who leads others and is like most people: the first one whom several name as their manager."""
    leaders: list[str] = [user["manager"] for user in sandbox.users() if user.get("manager")]
    return max(sorted(set(leaders)), key=leaders.count)


async def _take(walk: Walk, name: str, path: str) -> Path:
    page: Page = walk.page
    await page.emulate_media(color_scheme="light", reduced_motion="reduce")
    await page.set_viewport_size({"width": _WIDTH, "height": _HEIGHT})
    await walk.open(path)
    await page.get_by_role("heading", level=1).wait_for()
    FOLDER.mkdir(exist_ok=True)
    file = FOLDER / f"{name}.webp"
    chromium = await walk.context.new_cdp_session(page)  # Playwright itself writes no WebP
    shot = await chromium.send("Page.captureScreenshot", {"format": "webp", "quality": _QUALITY})
    file.write_bytes(base64.b64decode(shot["data"]))
    if (size := file.stat().st_size) > MOST_BYTES:
        msg = f"{file.name} has {size:,} bytes, and may have {MOST_BYTES:,}"
        raise ValueError(msg)
    return file
