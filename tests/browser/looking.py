"""What is looked for on every page: barriers, by axe; a width that fits; and no complaint of the browser."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]  # it carries no types
from playwright.async_api import Page

from tests.browser.walking import Walk

WIDTHS = (320, 768, 1440)
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")


async def barriers(page: Page, *, colours_only: bool = False) -> list[str]:
    """Return what axe finds wrong with a page as it is now, by WCAG 2.2 AA: rule, element, and why."""
    chosen = {"type": "rule", "values": ["color-contrast"]} if colours_only else {"type": "tag", "values": list(RULES)}
    found = await Axe().run(page, options={"runOnly": chosen})
    return [
        f"{violation['id']}: {node['html'][:200]} ({node.get('failureSummary', '')[:300]})"
        for violation in found.response["violations"]
        for node in violation["nodes"]
    ]


async def overflow(page: Page) -> int:
    """Return how many pixels a page is wider than its window: somebody would have to scroll in two directions."""
    wider: int = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return wider


def unlike(pages: Mapping[str, str]) -> list[str]:
    """Return the addresses of pages each of which has some kind of element that none before it has."""
    seen: set[object] = set()
    found: list[str] = []
    for address, page in pages.items():
        kinds = set(re.findall(r'<(\w+)(?:[^>]*? class="([^"]*)")?(?:[^>]*? type="([^"]*)")?', page))
        kinds |= {(heading, "", "h1") for heading in re.findall(r"<title>([^·]*) ·", page) if "<code>" in page}
        if not kinds <= seen:
            found.append(address)
            seen |= kinds
    return found


async def look_at(walk: Walk, where: str) -> list[str]:
    """Return what is wrong with the page that is open, in every width, light and dark; `where` names it."""
    wrong: list[str] = []
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for scheme in schemes:
        await walk.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        for width in WIDTHS if scheme == "light" else WIDTHS[::-1]:  # so that axe sees a wide and a narrow one
            await walk.page.set_viewport_size({"width": width, "height": 900})
            if wider := await overflow(walk.page):
                wrong.append(f"{where}, {width} px: {wider} px too wide")
        wrong += [f"{where}, {scheme}: {one}" for one in await barriers(walk.page, colours_only=scheme == "dark")]
    return wrong
