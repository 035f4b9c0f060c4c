"""Truto's Link SDK, as npm has it, opens our page from the page of a customer's program, and hears what came of it.

It stands here and not with the conformance suites, because it runs in a browser only.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.async_api import Page, Route

from tests.browser.packages import npm_package
from tests.browser.test_connecting import enter, invited
from tests.browser.walking import Walk

APP = "http://app.test"
_PAGE = """<!doctype html><title>App</title><button>Connect</button><pre></pre>
<script type="module">
import authenticate from "/sdk.js";
const { token, options } = JSON.parse(decodeURIComponent(location.hash.slice(1)) || "{}");
document.querySelector("button").addEventListener("click", async () => {
  const said = document.querySelector("pre");
  try {
    said.textContent = JSON.stringify({ resolved: await authenticate(token, options) });
  } catch (error) {
    said.textContent = JSON.stringify({ rejected: typeof error === "string" ? error : { ...error } });
  }
});
</script>"""


@pytest.fixture
async def app(walk: Walk) -> Page:
    """The page of a program of somebody else's, on an origin of its own."""
    sdk = (npm_package("@truto/truto-link-sdk", "1.1.30") / "dist" / "main.js").read_text(encoding="utf-8")

    async def answer(route: Route) -> None:
        is_script = route.request.url.endswith("/sdk.js")
        kind = "text/javascript" if is_script else "text/html"
        await route.fulfill(body=sdk if is_script else _PAGE, content_type=kind)

    await walk.context.route(f"{APP}/**", answer)
    return walk.page


async def start(walk: Walk, link: str, **options: Any) -> None:
    token = link.partition("=")[2]
    said = json.dumps({"token": token, "options": {"baseUrl": walk.site.base, **options}})
    await walk.page.goto(f"{APP}/#{said}")


async def heard(app: Page) -> dict[str, Any]:
    await app.locator("pre", has_text="{").wait_for()
    said: dict[str, Any] = json.loads(await app.inner_text("pre"))
    return said


async def popup(walk: Walk, app: Page, link: str, **options: Any) -> Page:
    await start(walk, link, iframe=False, **options)
    async with app.expect_popup() as opening:
        await app.get_by_role("button", name="Connect").click()
    return await opening.value


@pytest.mark.parametrize("redirect", [{}, {"redirect_uri": f"{APP}/done"}])
async def test_the_popup_resolves_with_the_account(walk: Walk, app: Page, redirect: dict[str, str]) -> None:
    window = await popup(walk, app, await invited(walk.site, **redirect), integration="pingone")
    await enter(window, walk.site, "beta")
    await window.get_by_role("button", name="Connect").click()
    said = await heard(app)
    [_, beta] = await walk.site.estate.control.connections.listed()
    assert said == {
        "resolved": {
            "result": "success",
            "integration": "pingone",
            "integrated_account_id": beta.id,
            "is_truto": True,
        }
    }
    assert window.is_closed(), "the SDK closes it"


async def test_an_opener_of_another_origin_than_the_one_named_hears_nothing(walk: Walk, app: Page) -> None:
    link = await invited(walk.site, redirect_uri="https://elsewhere.test/done")
    await walk.context.route("https://elsewhere.test/**", lambda route: route.fulfill(body="there"))
    window = await popup(walk, app, link)
    await enter(window, walk.site, "beta")
    await window.get_by_role("button", name="Connect").click()
    await window.wait_for_url("https://elsewhere.test/done?result=success**")
    assert await app.inner_text("pre") == ""
    walk.complaints.clear()


async def test_the_popup_rejects_for_a_link_that_is_not_good(walk: Walk, app: Page) -> None:
    await popup(walk, app, "?link_token=plt_0")
    rejected = (await heard(app))["rejected"]
    assert (rejected["error_type"], rejected["is_truto"]) == ("invalid_token", True)
    walk.complaints.clear()


async def test_the_popup_rejects_when_somebody_stops(walk: Walk, app: Page) -> None:
    window = await popup(walk, app, await invited(walk.site))
    await window.get_by_role("link", name="Stop here").click()
    assert (await heard(app))["rejected"]["error_type"] == "connection_error"


async def test_a_window_that_is_closed_rejects_and_leaves_the_link_good(walk: Walk, app: Page) -> None:
    link = await invited(walk.site)
    window = await popup(walk, app, link)
    await enter(window, walk.site, "beta", client_secret="wrong")
    await window.close()
    assert (await heard(app))["rejected"] == "closed"
    assert await walk.site.estate.control.tokens.link(link.partition("=")[2]) is not None


async def test_in_the_same_window_it_leads_back(walk: Walk, app: Page) -> None:
    await start(walk, await invited(walk.site, redirect_uri=f"{APP}/done?from=here"), sameWindow=True)
    await app.get_by_role("button", name="Connect").click()
    await app.get_by_role("heading", name="Connect PingOne").wait_for()
    await enter(app, walk.site, "beta")
    await app.get_by_role("button", name="Connect").click()
    await app.wait_for_url(f"{APP}/done?from=here&result=success&integration=pingone&integrated_account_id=*")
