"""Without scripts, and without a mouse: every page is read, paged and used all the same."""

from __future__ import annotations

from typing import Any

from playwright.async_api import Browser, Page

from tests.browser.looking import unlike
from tests.browser.walking import Site, Walk, walking
from tests.web.pages.rounds import Rounds

_MOST_STEPS = 400
_SAID = """() => {
  const copy = document.querySelector("main").cloneNode(true);
  for (const one of copy.querySelectorAll("time")) one.replaceWith(one.dateTime);
  for (const one of copy.querySelectorAll("[data-said], .news, [data-part=copy], .problem code")) one.remove();
  return copy.textContent.replace(/\\s+/g, " ").trim();
}"""
# What can be done on a page: whatever is seen that takes a click or a key, but for those that a key goes on to.
_ACTIONS = """() => [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")]
  .filter((one) => one.checkVisibility({ contentVisibilityAuto: false }) && !one.disabled && one.type !== "hidden")
  .map((one, at) => { one.dataset.action ??= String(at); return one.outerHTML.slice(0, 120); })"""
_FOCUSED = """() => {
  const one = document.activeElement;
  if (!one || one === document.body) return null;
  const box = one.getBoundingClientRect();
  const style = getComputedStyle(one);
  return {
    action: one.dataset.action ?? "", html: one.outerHTML.slice(0, 120), tag: one.tagName,
    isClosed: one.tagName === "SUMMARY" && !one.parentElement.open,
    isShown: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2
      && box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
  };
}"""


async def test_every_page_says_the_same_without_scripts(browser: Browser, everywhere: tuple[Site, Rounds]) -> None:
    site, rounds = everywhere
    pages = await rounds.shown(further=0)
    said: dict[str, dict[bool, str]] = {}
    for scripts in (False, True):
        async with walking(browser, site, scripts=scripts) as walk:
            await walk.come_in(rounds.cookie)
            for address in unlike(pages):
                if 'rel="next"' in pages[address] or address in rounds.others:
                    continue  # which the script goes on with by itself, or leads away from
                await walk.open(address)
                said.setdefault(address, {})[scripts] = await walk.page.evaluate(_SAID)
    assert len(said) > 10
    for address, one in said.items():
        assert one[False], address
        assert one[True] == one[False], address


async def test_every_list_is_paged_to_its_end_without_scripts(
    browser: Browser, everywhere: tuple[Site, Rounds]
) -> None:
    site, rounds = everywhere
    begun = [one for one, page in (await rounds.shown(further=0)).items() if 'rel="next"' in page]
    assert site.path("people") in begun
    async with walking(browser, site, scripts=False) as walk:
        await walk.come_in(rounds.cookie)
        for address in begun:
            await walk.open(address)
            seen: list[str] = []
            while True:
                rows = await walk.page.locator("main .row, main .change, main tbody tr, main .card").all_inner_texts()
                assert rows, walk.page.url
                assert rows != seen, f"{walk.page.url} is the page before it"
                seen = rows
                if not await walk.page.locator("a[rel=next]").count():
                    break
                site.estate.time.passed += 11
                await walk.page.locator("a[rel=next]").first.click()


async def steps(page: Page) -> list[dict[str, Any]]:
    """Go through a page by the Tab key until it leads out of it; what is closed is opened on the way."""
    found: list[dict[str, Any]] = []
    for _ in range(_MOST_STEPS):
        await page.keyboard.press("Tab")
        at = await page.evaluate(_FOCUSED)
        if at is None or (found and at["action"] and at["action"] == found[0]["action"]):
            return found
        if at["isClosed"]:
            await page.keyboard.press("Enter")
            await page.evaluate(_ACTIONS)
        found.append(at)
    raise AssertionError(f"{page.url} does not let go: {found[-1]['html']}")


async def by_keyboard(walk: Walk, address: str) -> list[str]:
    """Return what cannot be done on a page by the keyboard, or is not seen to have its focus."""
    page = walk.page
    await page.evaluate(_ACTIONS)
    taken = await steps(page)
    wrong = [f"{address}: the focus is not seen on {one['html']}" for one in taken if not one["isShown"]]
    if not taken or "skip" not in taken[0]["html"]:
        wrong.append(f"{address}: it does not begin with the way past the bar")
    left = await page.evaluate(
        """(taken) => [...document.querySelectorAll("[data-action]")]
        .filter((one) => one.checkVisibility() && !taken.includes(one.dataset.action) && one.type !== "radio")
        .map((one) => one.outerHTML.slice(0, 120))""",
        [one["action"] for one in taken],
    )
    wrong += [f"{address}: no key leads to {one}" for one in left]
    await page.locator(".skip").focus()
    await page.keyboard.press("Enter")
    if await page.evaluate("document.activeElement.id") != "main":
        wrong.append(f"{address}: the way past the bar leads nowhere")
    return wrong


async def test_every_action_is_reached_by_the_keyboard_and_seen_to_be(
    browser: Browser, everywhere: tuple[Site, Rounds]
) -> None:
    site, rounds = everywhere
    wrong: list[str] = []
    async with walking(browser, site, width=768) as walk:
        await walk.come_in(rounds.cookie)
        await walk.context.route("**/live", lambda route: route.abort())  # nothing changes under the steps
        for address in unlike(await rounds.shown(further=0)):
            if address in rounds.others:
                continue
            await walk.open(address)
            wrong += await by_keyboard(walk, address)
    assert wrong == []
