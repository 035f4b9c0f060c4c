"""A company whose every string is hostile: nothing of it runs, nothing breaks the layout, on any page."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Route

from tests.browser.looking import overflow
from tests.browser.walking import Site, Walk, walking
from tests.web.pages.rounds import Rounds

_INJECTED = """<script>alert("injected")</script><img src="https://evil.test/x" onerror="alert(1)">
<p style="color:red">red</p><form action="https://evil.test/"><button id="evil">Send</button></form>"""


@pytest.mark.timeout(900)  # a hundred pages, on a slow machine
async def test_nothing_of_it_runs_on_any_page_and_every_page_fits(
    browser: Browser, hostile: tuple[Site, Rounds]
) -> None:
    site, rounds = hostile
    wrong: list[str] = []
    async with walking(browser, site, width=320) as walk:
        await walk.come_in(rounds.cookie)
        pages = await rounds.shown()
        assert len(pages) > 100
        for address in pages:
            await walk.open(address)
            if wider := await overflow(walk.page):
                wrong.append(f"{address}: {wider} px too wide")
            foreign = await walk.page.evaluate(
                """() => [...document.querySelectorAll("*")].flatMap((one) => [...one.attributes]
                .filter((it) => it.name.startsWith("on") || it.name === "style" || /^\\s*javascript:/i.test(it.value))
                .map((it) => `${one.tagName} ${it.name}`))"""
            )
            wrong += [f"{address}: {one}" for one in foreign]
        for way in ("people", "groups"):  # what the script puts in
            await walk.open(site.path(way))
            await walk.page.get_by_role("searchbox").press_sequentially("scr")
            await walk.page.locator("#results:not([aria-busy])").wait_for()
        assert wrong == []
        assert (walk.violations, walk.dialogs) == ([], [])
        assert [one for one in walk.complaints if "Failed to load resource" not in one] == []


async def inject(walk: Walk, *, with_policy: bool) -> None:
    """Let every page hold what must not run; without its policy, it would."""

    async def answer(route: Route) -> None:
        real = await route.fetch()
        headers = {name: value for name, value in real.headers.items() if name != "content-length"}
        if not with_policy:
            headers.pop("content-security-policy")
        await route.fulfill(
            response=real, headers=headers, body=(await real.text()).replace("<h1>", _INJECTED + "<h1>")
        )

    await walk.context.route(f"{walk.site.base}/sign-in", answer)


async def test_a_page_that_would_violate_its_policy_is_counted_and_runs_nothing(walk: Walk) -> None:
    await inject(walk, with_policy=True)
    await walk.open("/sign-in")
    await walk.page.evaluate("document.querySelector('#evil').click()")
    await walk.page.wait_for_function("document.title")  # so that what the click has led to was said
    kinds = {one.partition(" ")[0] for one in walk.violations}
    assert {"script-src-elem", "script-src-attr", "style-src-attr", "img-src"} - kinds <= {"script-src-attr"}
    assert "form-action" in kinds
    assert walk.dialogs == []
    assert walk.page.url.startswith(walk.site.base)
    walk.complaints.clear()  # it says the same


async def test_what_runs_is_counted_where_no_policy_keeps_it_from_running(walk: Walk) -> None:
    await inject(walk, with_policy=False)
    await walk.open("/sign-in")
    assert "injected" in walk.dialogs
    walk.complaints.clear()
